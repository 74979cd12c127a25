//! Links: how long things take from one node to another, and what gets lost on the way.

use crate::sim_rng::SimRng;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::time::Duration;

/// What the way from one node to another does to what travels on it.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Link {
    /// How long everything takes at least.
    #[serde(with = "crate::duration")]
    pub delay: Duration,
    /// How much longer it takes, by chance.
    pub jitter: Jitter,
    /// Which share of the datagrams is lost, 0 to 1; what is lost on a stream is sent again, and late.
    pub loss: f64,
    /// Losses that come in bursts, beside `loss`.
    pub bursts: Option<Bursts>,
    /// Which share of the datagrams comes twice, 0 to 1.
    pub duplicate: f64,
    /// Which share of the datagrams takes `reorder_by` longer, so that later ones overtake it, 0 to 1.
    pub reorder: f64,
    /// How much longer those take, at most.
    #[serde(with = "crate::duration")]
    pub reorder_by: Duration,
    /// The longest datagram that gets through, in bytes.
    pub max_datagram: usize,
    /// Which share of what is written to streams breaks the stream, 0 to 1.
    pub stream_resets: f64,
    /// Which share of what is written to streams never arrives, nor anything after it, 0 to 1.
    pub stream_stalls: f64,
}

impl Default for Link {
    /// A local network on which nothing is lost.
    fn default() -> Self {
        Self {
            delay: Duration::from_micros(200),
            jitter: Jitter::None,
            loss: 0.0,
            bursts: None,
            duplicate: 0.0,
            reorder: 0.0,
            reorder_by: Duration::from_millis(20),
            max_datagram: 65_507,
            stream_resets: 0.0,
            stream_stalls: 0.0,
        }
    }
}

/// By how much what travels is delayed beyond the least, by chance.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Jitter {
    /// Not at all.
    #[default]
    None,
    /// By anything up to this.
    Uniform(#[serde(with = "crate::duration")] Duration),
    /// By this on average, exponentially distributed: a queue on the way.
    Exponential(#[serde(with = "crate::duration")] Duration),
    /// By the size of a normal variable of this deviation.
    Normal(#[serde(with = "crate::duration")] Duration),
    /// By at least this (Pareto with exponent 1.5, capped at 1,000 times this): rarely, by very much.
    HeavyTail(#[serde(with = "crate::duration")] Duration),
}

/// Losses in bursts: Gilbert's model, in which a way is either good or bad.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Bursts {
    /// For how long a way is good, on average.
    #[serde(with = "crate::duration")]
    pub good: Duration,
    /// For how long it is bad, on average.
    #[serde(with = "crate::duration")]
    pub bad: Duration,
    /// Which share of the datagrams is lost while it is bad, 0 to 1.
    pub loss: f64,
}

impl Link {
    /// Why the values make no sense, if they do not.
    pub fn problem(&self) -> Option<String> {
        let bursts = self.bursts.as_ref();
        for (name, share) in [
            ("loss", self.loss),
            ("bursts.loss", bursts.map_or(0.0, |bursts| bursts.loss)),
            ("duplicate", self.duplicate),
            ("reorder", self.reorder),
            ("stream_resets", self.stream_resets),
            ("stream_stalls", self.stream_stalls),
        ] {
            if !(0.0..=1.0).contains(&share) {
                return Some(format!("{name} is {share}; a share is between 0 and 1"));
            }
        }
        if bursts.is_some_and(|bursts| bursts.good + bursts.bad == Duration::ZERO) {
            return Some("bursts last no time; give `good` or `bad` a length".into());
        }
        None
    }

    /// How long something takes.
    pub(crate) fn sample_delay(&self, rng: &mut SimRng) -> Duration {
        let more = match self.jitter {
            Jitter::None => return self.delay,
            Jitter::Uniform(span) => rng.uniform(span),
            Jitter::Exponential(mean) => rng.exponential(mean),
            Jitter::Normal(deviation) => deviation.mul_f64(rng.normal().abs()),
            Jitter::HeavyTail(least) => {
                let factor = libm::pow(1.0 - rng.unit(), -1.0 / 1.5);
                least.mul_f64(factor.min(1000.0))
            }
        };
        self.delay + more
    }

    /// How long something takes on a stream, on which what is lost is sent again: first after `again`,
    /// and after twice as long each further time, as TCP does it.
    pub(crate) fn sample_stream_delay(&self, rng: &mut SimRng, rto: Duration) -> Duration {
        let (mut delay, mut rto) = (self.sample_delay(rng), rto);
        for _ in 0..MAX_RETRANSMISSIONS {
            if !rng.chance(self.loss) {
                break;
            }
            delay += rto;
            rto *= 2;
        }
        delay
    }
}

/// How often something is sent again on a stream; Linux has 15, which takes a quarter of an hour.
const MAX_RETRANSMISSIONS: usize = 10;

/// All ways between all nodes: what they are like, and which of them are cut.
#[derive(Clone, Debug, Default)]
pub(crate) struct Links {
    default: Link,
    /// Ways that are not as usual; later ones count before earlier ones.
    overrides: Vec<(Paths, Link)>,
    cuts: Vec<(Paths, Cut)>,
}

/// Everything from some nodes to some nodes.
#[derive(Clone, Debug)]
pub(crate) struct Paths {
    pub(crate) from: Group,
    pub(crate) to: Group,
}

/// Some nodes.
#[derive(Clone, Debug)]
pub(crate) struct Group(Vec<bool>);

/// What does not get through where a way is cut.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Cut {
    /// Nothing does.
    All,
    /// Streams do: somebody filters UDP.
    Datagrams,
    /// Datagrams do: somebody filters TCP.
    Streams,
}

impl Group {
    pub(crate) fn new(nodes: impl IntoIterator<Item = usize>) -> Self {
        let nodes: BTreeSet<_> = nodes.into_iter().collect();
        let mut group = vec![false; nodes.last().map_or(0, |last| last + 1)];
        nodes.into_iter().for_each(|node| group[node] = true);
        Self(group)
    }

    fn contains(&self, node: usize) -> bool {
        self.0.get(node).copied().unwrap_or(false)
    }
}

impl Paths {
    pub(crate) fn new(
        from: impl IntoIterator<Item = usize>,
        to: impl IntoIterator<Item = usize>,
    ) -> Self {
        Self { from: Group::new(from), to: Group::new(to) }
    }

    fn contains(&self, from: usize, to: usize) -> bool {
        self.from.contains(from) && self.to.contains(to)
    }
}

impl Links {
    pub(crate) fn new(default: Link) -> Self {
        Self { default, ..Self::default() }
    }

    /// Makes some ways unlike the others.
    pub(crate) fn change(&mut self, paths: Option<Paths>, link: Link) {
        match paths {
            Some(paths) => self.overrides.push((paths, link)),
            None => *self = Self { default: link, overrides: Vec::new(), ..std::mem::take(self) },
        }
    }

    /// Lets nothing, or not everything, through on some ways.
    pub(crate) fn cut(&mut self, paths: Paths, cut: Cut) {
        self.cuts.push((paths, cut));
    }

    /// Lets everything through again.
    pub(crate) fn mend(&mut self) {
        self.cuts.clear();
    }

    pub(crate) fn link(&self, from: usize, to: usize) -> &Link {
        let overrides = self.overrides.iter().rev().find(|(paths, _)| paths.contains(from, to));
        overrides.map_or(&self.default, |(_, link)| link)
    }

    /// Whether such a thing gets through.
    pub(crate) fn is_cut(&self, from: usize, to: usize, stream: bool) -> bool {
        let harmless = if stream { Cut::Datagrams } else { Cut::Streams };
        self.cuts.iter().any(|(paths, cut)| *cut != harmless && paths.contains(from, to))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn later_links_count_before_earlier_ones_and_cuts_add_up() {
        let slow = Link { delay: Duration::from_secs(1), ..Link::default() };
        let mut links = Links::new(Link::default());
        links.change(Some(Paths::new([0], [1, 2])), Link { loss: 1.0, ..Link::default() });
        links.change(Some(Paths::new([0], [1])), slow.clone());
        assert_eq!(*links.link(0, 1), slow);
        assert_eq!(links.link(0, 2).loss, 1.0);
        assert_eq!(*links.link(1, 0), Link::default(), "the way back is another way");
        links.cut(Paths::new([0], [1]), Cut::Datagrams);
        assert!(links.is_cut(0, 1, false) && !links.is_cut(0, 1, true));
        links.cut(Paths::new([0, 5], [1, 6]), Cut::Streams);
        assert!(links.is_cut(0, 1, true) && !links.is_cut(1, 0, true) && !links.is_cut(5, 2, true));
        links.mend();
        assert!(!links.is_cut(0, 1, false));
    }

    #[test]
    fn delays_are_what_they_are_said_to_be() {
        let mut rng = SimRng::new(1, 1);
        let ms = Duration::from_millis;
        for (jitter, mean) in [
            (Jitter::None, 0.0),
            (Jitter::Uniform(ms(10)), 5.0),
            (Jitter::Exponential(ms(10)), 10.0),
            (Jitter::Normal(ms(10)), 7.98),
            (Jitter::HeavyTail(ms(10)), 29.0),
        ] {
            let link = Link { delay: ms(3), jitter, ..Link::default() };
            let total: f64 =
                (0..40_000).map(|_| link.sample_delay(&mut rng).as_secs_f64() * 1e3).sum();
            let measured = total / 40_000.0 - 3.0;
            assert!((measured - mean).abs() <= mean * 0.06, "{link:?}: {measured}");
        }
    }

    #[test]
    fn what_is_lost_on_a_stream_comes_late() {
        let (mut rng, rto) = (SimRng::new(1, 1), Duration::from_millis(200));
        let link = Link { loss: 0.5, ..Link::default() };
        let delayed = (0..1000).filter(|_| link.sample_stream_delay(&mut rng, rto) >= rto).count();
        assert!((450..550).contains(&delayed), "{delayed}");
        assert_eq!(Link::default().sample_stream_delay(&mut rng, rto), Link::default().delay);
    }

    #[test]
    fn values_that_make_no_sense_are_named() {
        let link = Link { duplicate: 1.5, ..Link::default() };
        assert!(link.problem().unwrap().starts_with("duplicate is 1.5"));
        assert_eq!(Link::default().problem(), None);
    }
}

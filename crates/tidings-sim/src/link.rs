//! Network links: latency, jitter, loss, bursts, duplication, reordering and partitions.

use crate::sim_rng::SimRng;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::time::Duration;

/// Properties of the network path from one node to another.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Link {
    /// Minimum one-way delay.
    #[serde(with = "crate::duration")]
    pub delay: Duration,
    /// Random delay added to `delay`.
    pub jitter: Jitter,
    /// Datagram loss rate, 0 to 1. On streams a loss delays the data by a retransmission instead.
    pub loss: f64,
    /// Bursty loss, in addition to `loss`.
    pub bursts: Option<Bursts>,
    /// Rate of duplicated datagrams, 0 to 1.
    pub duplicate: f64,
    /// Rate of datagrams delayed by up to `reorder_by`, so that later ones overtake them, 0 to 1.
    pub reorder: f64,
    /// Maximum extra delay of reordered datagrams.
    #[serde(with = "crate::duration")]
    pub reorder_by: Duration,
    /// Path MTU for datagrams in bytes; longer ones are dropped.
    pub max_datagram: usize,
    /// Rate of stream writes that reset the stream, 0 to 1.
    pub stream_resets: f64,
    /// Rate of stream writes that are lost for good, together with all that follows on the stream,
    /// 0 to 1.
    pub stream_stalls: f64,
}

impl Default for Link {
    /// A local network without loss.
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

/// Distribution of the random delay that is added to the minimum delay.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Jitter {
    /// No jitter.
    #[default]
    None,
    /// Uniform between zero and this value.
    Uniform(#[serde(with = "crate::duration")] Duration),
    /// Exponential with this mean, as from a queue.
    Exponential(#[serde(with = "crate::duration")] Duration),
    /// Absolute value of a normal variable with this standard deviation.
    Normal(#[serde(with = "crate::duration")] Duration),
    /// Pareto with this minimum and exponent 1.5, capped at 1,000 times the minimum: rare, very
    /// long delays.
    HeavyTail(#[serde(with = "crate::duration")] Duration),
}

/// Bursty loss after Gilbert and Elliott: a path alternates between a good and a bad state.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Bursts {
    /// Mean duration of the good state.
    #[serde(with = "crate::duration")]
    pub good: Duration,
    /// Mean duration of the bad state.
    #[serde(with = "crate::duration")]
    pub bad: Duration,
    /// Datagram loss rate in the bad state, 0 to 1.
    pub loss: f64,
}

impl Link {
    /// Checks the values; returns the problem, if any.
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
                return Some(format!("{name} is {share}; a rate is between 0 and 1"));
            }
        }
        if bursts.is_some_and(|bursts| bursts.good + bursts.bad == Duration::ZERO) {
            return Some(
                "`bursts` has `good` and `bad` of zero length; one of them must be longer".into(),
            );
        }
        None
    }

    /// Draws a one-way delay.
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

    /// Draws a one-way delay on a stream, where a lost segment is retransmitted after `rto`, and
    /// after twice as long each further time, as TCP does.
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

/// Maximum number of retransmissions on a stream; Linux has 15, which takes a quarter of an hour.
const MAX_RETRANSMISSIONS: usize = 10;

/// All network paths between nodes: their links, and the partitions in effect.
#[derive(Clone, Debug, Default)]
pub(crate) struct Links {
    default: Link,
    /// Paths with a link of their own; later entries take precedence.
    overrides: Vec<(Paths, Link)>,
    cuts: Vec<(Paths, Cut)>,
    /// Those that refuse connections, and do not only drop them.
    rejects: Vec<Paths>,
}

/// All directed paths from one group of nodes to another.
#[derive(Clone, Debug)]
pub(crate) struct Paths {
    pub(crate) from: Group,
    pub(crate) to: Group,
}

/// A set of nodes.
#[derive(Clone, Debug)]
pub(crate) struct Group(Vec<bool>);

/// Kind of traffic that a partition drops.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Cut {
    /// All traffic.
    All,
    /// Datagrams only, as by a firewall that filters UDP.
    Datagrams,
    /// Streams only, as by a firewall that filters TCP.
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

    /// Sets the link of some paths, or of all if `paths` is `None`.
    pub(crate) fn change(&mut self, paths: Option<Paths>, link: Link) {
        match paths {
            Some(paths) => self.overrides.push((paths, link)),
            None => *self = Self { default: link, overrides: Vec::new(), ..std::mem::take(self) },
        }
    }

    /// Partitions some paths.
    pub(crate) fn cut(&mut self, paths: Paths, cut: Cut) {
        self.cuts.push((paths, cut));
    }

    /// Partitions some paths by a firewall that refuses new connections.
    pub(crate) fn reject(&mut self, paths: Paths, cut: Cut) {
        if cut != Cut::Datagrams {
            self.rejects.push(paths.clone());
        }
        self.cut(paths, cut);
    }

    /// Heals all partitions.
    pub(crate) fn mend(&mut self) {
        self.cuts.clear();
        self.rejects.clear();
    }

    pub(crate) fn link(&self, from: usize, to: usize) -> &Link {
        let overrides = self.overrides.iter().rev().find(|(paths, _)| paths.contains(from, to));
        overrides.map_or(&self.default, |(_, link)| link)
    }

    /// Whether a partition drops this kind of traffic.
    pub(crate) fn is_cut(&self, from: usize, to: usize, stream: bool) -> bool {
        let harmless = if stream { Cut::Datagrams } else { Cut::Streams };
        self.cuts.iter().any(|(paths, cut)| *cut != harmless && paths.contains(from, to))
    }

    /// Whether a firewall refuses new connections.
    pub(crate) fn is_rejected(&self, from: usize, to: usize) -> bool {
        self.rejects.iter().any(|paths| paths.contains(from, to))
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
        assert!(!links.is_rejected(0, 1), "it is only silent");
        links.reject(Paths::new([2], [3]), Cut::Streams);
        assert!(links.is_cut(2, 3, true) && links.is_rejected(2, 3) && !links.is_rejected(3, 2));
        links.mend();
        assert!(!links.is_cut(0, 1, false) && !links.is_cut(2, 3, true));
        assert!(!links.is_rejected(2, 3));
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

//! The gateways that a member knows by gossip, and the order in which to ask them.

use crate::advert::{Advert, Height};
use crate::attempt::Attempt;
use crate::candidates::{Candidate, Candidates};
use crate::endpoint::Endpoint;
use crate::reach::Reach;
use alloy_primitives::keccak256;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;
use std::time::Duration;
use tidings::{Event, Instant, Member, NodeId, State};

/// The gateways that a member knows, and the order in which to ask them. Does no I/O.
///
/// It is told the events of a node, the round-trip times to gateways, and what became of calls; it
/// returns [`Candidates`]: this machine's own endpoints first, then gateways whose height does not
/// lag, that are not suspected, by round-trip time. The first endpoint of each comes before the
/// second of any. Among equals the order is random, so that callers spread over them. An endpoint
/// that failed a call comes after all others for a while: 1 s, and twice that with each further
/// failure, up to a minute.
///
/// It knows at most [`MAX_GATEWAYS`](Self::MAX_GATEWAYS) gateways.
#[derive(Debug)]
pub struct Directory {
    chain: Option<u64>,
    reach: Reach,
    max_lag: u64,
    local: Vec<Endpoint>,
    gateways: BTreeMap<NodeId, KnownGateway>,
    /// The endpoints that failed of late.
    failures: HashMap<Endpoint, Failures>,
    seed: u64,
    /// The number of orders drawn so far.
    drawn: u64,
}

/// A gateway that a member knows.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct KnownGateway {
    /// What it advertises.
    pub advert: Advert,
    /// The height that it told last; `None` if it told none yet.
    pub height: Option<u64>,
    /// The round-trip time to it, if known.
    pub rtt: Option<Duration>,
    /// Whether it is suspected to have failed.
    pub suspect: bool,
    ip: IpAddr,
}

#[derive(Clone, Copy, Debug)]
struct Failures {
    count: u32,
    until: Instant,
}

/// The order in which endpoints are asked: the least first, the first field decides.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
struct Order {
    rests: bool,
    behind: bool,
    suspect: bool,
    /// The place of the endpoint among those of its gateway: all first ones come before all second
    /// ones, so that a gateway with many dead endpoints does not use up a call's time.
    alternative: usize,
    height_unknown: bool,
    /// 0 for this machine's own endpoints, else the class of the round-trip time and 1.
    distance: u32,
    tie: u64,
}

impl Directory {
    /// The largest number of gateways that it knows; further ones are ignored.
    pub const MAX_GATEWAYS: usize = 1024;
    /// The largest number of candidates for one call.
    pub const MAX_CANDIDATES: usize = 32;

    /// A directory without gateways.
    ///
    /// `local` are endpoints from this machine's configuration, which are asked first. Of
    /// advertised ones those of `chain` are asked, at addresses that `reach` permits; a gateway is
    /// behind if its height lags more than `max_lag`. `seed` determines all random choices.
    pub fn new(
        local: Vec<Endpoint>,
        chain: Option<u64>,
        reach: Reach,
        max_lag: u64,
        seed: u64,
    ) -> Self {
        let (gateways, failures) = (BTreeMap::new(), HashMap::new());
        Self { chain, reach, max_lag, local, gateways, failures, seed, drawn: 0 }
    }

    // ---- the cluster speaks ----

    /// Takes an event of the node; those that have nothing to do with gateways are ignored.
    pub fn handle_event(&mut self, event: &Event) {
        match event {
            Event::Joined(member)
            | Event::Updated(member)
            | Event::Suspected(member)
            | Event::Recovered(member)
            | Event::Failed(member)
            | Event::Left(member) => self.handle_member(member),
            Event::Message { from, data, .. } => {
                let Some(height) = Height::parse(data) else { return };
                if from.as_ref().is_none_or(|from| *from == height.gateway) {
                    self.handle_height(&height);
                }
            }
            _ => {}
        }
    }

    /// Takes the members that are present: all others are gone.
    pub fn handle_members(&mut self, present: &[Member]) {
        let ids: BTreeSet<_> = present.iter().map(Member::id).collect();
        self.gateways.retain(|id, _| ids.contains(id));
        present.iter().for_each(|member| self.handle_member(member));
    }

    /// Takes the state of a member.
    pub fn handle_member(&mut self, member: &Member) {
        let advert = member.meta().as_str().and_then(Advert::find);
        let advert = advert.filter(|_| member.state().is_present());
        let suspect = member.state() == State::Suspect;
        self.update(member.id(), advert, suspect, member.addr().ip());
    }

    /// Takes what a member advertises; `None` if it is no gateway, or is gone.
    fn update(&mut self, id: &NodeId, advert: Option<Advert>, suspect: bool, ip: IpAddr) {
        let ours = |advert: &Advert| self.chain.is_none_or(|chain| chain == advert.chain);
        let Some(advert) = advert.filter(ours) else {
            self.gateways.remove(id);
            return;
        };
        let known = self.gateways.get(id);
        if known.is_none() && self.gateways.len() == Self::MAX_GATEWAYS {
            return;
        }
        let same_chain = known.filter(|known| known.advert.chain == advert.chain);
        let height = same_chain.and_then(|known| known.height);
        let rtt = known.and_then(|known| known.rtt);
        let gateway = KnownGateway { advert, height, rtt, suspect, ip };
        self.gateways.insert(id.clone(), gateway);
    }

    fn handle_height(&mut self, told: &Height) {
        if let Some(gateway) = self.gateways.get_mut(&told.gateway) {
            if gateway.advert.chain == told.chain {
                gateway.height = Some(told.height);
            }
        }
    }

    /// Takes the round-trip times to gateways.
    pub fn set_rtts(&mut self, rtt: impl Fn(&NodeId) -> Option<Duration>) {
        for (id, gateway) in &mut self.gateways {
            gateway.rtt = rtt(id);
        }
    }

    /// Takes what became of a call: the gateways that had no answer, and the one that had.
    pub fn handle_outcome(
        &mut self,
        failed: &[Attempt],
        answered: Option<&Endpoint>,
        now: Instant,
    ) {
        if let Some(endpoint) = answered {
            self.failures.remove(endpoint);
        }
        for attempt in failed.iter().filter(|attempt| attempt.fault.is_gateways()) {
            if self.failures.len() == MAX_FAILURES {
                self.failures.retain(|_, failures| failures.until > now);
            }
            if self.failures.len() < MAX_FAILURES {
                let first = Failures { count: 0, until: now };
                let failures = self.failures.entry(attempt.endpoint.clone()).or_insert(first);
                failures.until = now + Duration::from_secs(1 << failures.count.min(MAX_DOUBLINGS));
                failures.count += 1;
            }
        }
    }

    // ---- the directory answers ----

    /// The gateways to ask, in order: at most [`MAX_CANDIDATES`](Self::MAX_CANDIDATES).
    pub fn candidates(&mut self, now: Instant) -> Candidates {
        self.drawn += 1;
        let rests = |endpoint: &Endpoint| {
            self.failures.get(endpoint).is_some_and(|failures| failures.until > now)
        };
        let mut list = Vec::new();
        for (place, endpoint) in self.local.iter().enumerate() {
            let order = Order { rests: rests(endpoint), tie: place as u64, ..Order::default() };
            list.push((order, Candidate::local(endpoint.clone())));
        }
        for (id, gateway) in &self.gateways {
            let reference = self.reference(gateway.advert.chain);
            let behind = |height: u64| {
                reference.is_some_and(|best| height.saturating_add(self.max_lag) < best)
            };
            let tie = self.random(id);
            for (alternative, endpoint) in gateway.advert.endpoints.iter().enumerate() {
                let endpoint = Endpoint::from(endpoint.clone());
                let order = Order {
                    rests: rests(&endpoint),
                    behind: gateway.height.is_some_and(behind),
                    suspect: gateway.suspect,
                    alternative,
                    height_unknown: gateway.height.is_none(),
                    distance: 1 + rtt_class(gateway.rtt),
                    tie,
                };
                let candidate = Candidate::advertised(endpoint, self.reach, id.clone(), gateway.ip);
                list.push((order, candidate));
            }
        }
        list.sort_by_key(|(order, _)| *order);
        list.truncate(Self::MAX_CANDIDATES);
        let list = list.into_iter().map(|(_, candidate)| candidate).collect();
        Candidates { list, reference: self.only_chain().and_then(|chain| self.reference(chain)) }
    }

    /// The height of a chain as its gateways tell it: the second highest of three or more, so that
    /// one gateway that lies does not exclude all others, and else the highest.
    pub fn reference(&self, chain: u64) -> Option<u64> {
        let of_chain = self.gateways.values().filter(|gateway| gateway.advert.chain == chain);
        reference(of_chain.filter_map(|gateway| gateway.height).collect())
    }

    /// As [`reference`](Self::reference), for the gateway `id` whose node is at `height`: that
    /// counts, too, so that of three gateways one that lies cannot make the others withdraw.
    pub fn reference_for(&self, id: &NodeId, chain: u64, height: u64) -> Option<u64> {
        let others = self.gateways.iter().filter(|(other, _)| *other != id);
        let of_chain = others.filter(|(_, gateway)| gateway.advert.chain == chain);
        let mut heights: Vec<_> = of_chain.filter_map(|(_, gateway)| gateway.height).collect();
        heights.push(height);
        reference(heights)
    }

    /// The chain of all gateways; `None` if they serve several, or there are none.
    fn only_chain(&self) -> Option<u64> {
        let mut chains = self.gateways.values().map(|gateway| gateway.advert.chain);
        let first = chains.next()?;
        chains.all(|chain| chain == first).then_some(first)
    }

    /// The gateways, by name.
    pub fn gateways(&self) -> impl Iterator<Item = (&NodeId, &KnownGateway)> {
        self.gateways.iter()
    }

    /// A number for one gateway in one order, the same from the same seed.
    fn random(&self, id: &NodeId) -> u64 {
        let mut bytes = [self.seed.to_le_bytes(), self.drawn.to_le_bytes()].concat();
        bytes.extend_from_slice(id.as_str().as_bytes());
        let hash = keccak256(bytes);
        u64::from_le_bytes(hash[..8].try_into().expect("eight bytes"))
    }
}

/// The second highest of three or more, and else the highest.
fn reference(mut heights: Vec<u64>) -> Option<u64> {
    heights.sort_unstable();
    let from_top = if heights.len() < 3 { 1 } else { 2 };
    heights.len().checked_sub(from_top).map(|place| heights[place])
}

/// The class of a round-trip time: times within a factor of two of each other, and all up to a
/// millisecond, count as equal; an unknown one as 128 ms.
fn rtt_class(rtt: Option<Duration>) -> u32 {
    let millis = rtt.unwrap_or(Duration::from_millis(128)).as_millis();
    u128::BITS - millis.leading_zeros()
}

/// The largest number of endpoints whose failures are remembered.
const MAX_FAILURES: usize = 4 * Directory::MAX_GATEWAYS;
/// An endpoint that failed rests for 2 to this power seconds at most.
const MAX_DOUBLINGS: u32 = 6;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attempt::Fault;
    use tidings::{Config, Node, Via};

    fn directory() -> Directory {
        Directory::new(Vec::new(), Some(1), Reach::PUBLIC, 3, 7)
    }

    fn id(name: &str) -> NodeId {
        name.parse().unwrap()
    }

    /// A member that advertises `http://NAME:1`.
    fn add(directory: &mut Directory, name: &str, suspect: bool) {
        let advert = Advert::find(&format!("eth 1 http://{name}:1"));
        directory.update(&id(name), advert, suspect, [10, 0, 0, 1].into());
    }

    fn tell_height(directory: &mut Directory, from: Option<&str>, text: &str) {
        let (from, data) = (from.map(id), text.to_owned().into());
        directory.handle_event(&Event::Message { from, data, via: Via::Broadcast });
    }

    /// The names of the candidates' hosts.
    fn order(directory: &mut Directory, now: Instant) -> Vec<String> {
        let list = directory.candidates(now).list;
        let name = |candidate: Candidate| match candidate.endpoint {
            Endpoint::Http(http) => http.host().to_string(),
            Endpoint::Ipc(path) => path.display().to_string(),
        };
        list.into_iter().map(name).collect()
    }

    fn fails(directory: &mut Directory, name: &str, now: Instant) {
        let endpoint = format!("http://{name}:1").parse().unwrap();
        let attempt = Attempt { endpoint, fault: Fault::Closed };
        directory.handle_outcome(&[attempt], None, now);
    }

    const ZERO: Instant = Instant::ZERO;

    #[test]
    fn a_gateway_is_known_while_it_is_present_and_advertises_the_chain() {
        let mut directory = directory();
        add(&mut directory, "a", false);
        let other_chain = Advert::find("eth 2 http://b:1");
        directory.update(&id("b"), other_chain, false, [10, 0, 0, 1].into());
        assert_eq!(order(&mut directory, ZERO), ["a"]);
        directory.update(&id("a"), None, false, [10, 0, 0, 1].into());
        assert!(order(&mut directory, ZERO).is_empty());
    }

    #[test]
    fn own_endpoints_come_first_then_gateways_that_are_current_alive_and_near() {
        let mut directory = directory();
        directory.local = vec!["/node.ipc".parse().unwrap()];
        for (name, suspect, height, millis) in [
            ("unknown", false, None, 1),
            ("far", false, Some(100), 200),
            ("near", false, Some(98), 20),
            ("behind", false, Some(90), 1),
            ("suspect", true, Some(100), 1),
        ] {
            add(&mut directory, name, suspect);
            if let Some(height) = height {
                tell_height(&mut directory, Some(name), &format!("eth-height 1 {height} {name}"));
            }
            directory.gateways.get_mut(&id(name)).unwrap().rtt =
                Some(Duration::from_millis(millis));
        }
        let expected = ["/node.ipc", "near", "far", "unknown", "suspect", "behind"];
        assert_eq!(order(&mut directory, ZERO), expected);
        assert_eq!(directory.candidates(ZERO).reference, Some(100));
    }

    #[test]
    fn callers_spread_over_gateways_that_are_equal_and_repeat_by_seed() {
        let firsts = |seed| {
            let mut directory = Directory::new(Vec::new(), None, Reach::PUBLIC, 3, seed);
            ["a", "b", "c"].iter().for_each(|name| add(&mut directory, name, false));
            (0..20).map(|_| order(&mut directory, ZERO).remove(0)).collect::<Vec<_>>()
        };
        assert_eq!(firsts(1), firsts(1));
        assert_ne!(firsts(1), firsts(2));
        assert_eq!(firsts(1).into_iter().collect::<BTreeSet<_>>().len(), 3);
    }

    #[test]
    fn one_gateway_that_lies_about_its_height_does_not_exclude_two_others() {
        let mut directory = directory();
        for (name, height) in [("a", 100), ("b", 101), ("liar", u64::MAX)] {
            add(&mut directory, name, false);
            tell_height(&mut directory, Some(name), &format!("eth-height 1 {height} {name}"));
        }
        assert_eq!(directory.reference(1), Some(101));
    }

    #[test]
    fn of_three_gateways_one_that_lies_does_not_make_the_others_withdraw() {
        let mut directory = directory();
        for (name, height) in [("b", 100), ("liar", u64::MAX)] {
            add(&mut directory, name, false);
            tell_height(&mut directory, Some(name), &format!("eth-height 1 {height} {name}"));
        }
        assert_eq!(directory.reference_for(&id("a"), 1, 99), Some(100));
        assert_eq!(directory.reference_for(&id("b"), 1, 100), Some(u64::MAX), "of two the highest");
        assert_eq!(directory.reference_for(&id("a"), 2, 99), Some(99));
    }

    #[test]
    fn a_member_that_advertises_anothers_endpoint_cannot_make_it_come_last() {
        let mut directory = directory();
        ["a", "b"].iter().for_each(|name| add(&mut directory, name, false));
        let endpoint = "http://a:1".parse().unwrap();
        let fault = Fault::NotReached(crate::NotReached::Private);
        directory.handle_outcome(&[Attempt { endpoint, fault }], None, ZERO);
        let firsts: BTreeSet<_> = (0..20).map(|_| order(&mut directory, ZERO).remove(0)).collect();
        assert_eq!(firsts.len(), 2);
    }

    #[test]
    fn the_first_endpoint_of_each_gateway_comes_before_the_second_of_any() {
        let mut directory = directory();
        let many = Advert::find("eth 1 http://m1:1 http://m2:1 http://m3:1 http://m4:1");
        directory.update(&id("many"), many, false, [10, 0, 0, 1].into());
        add(&mut directory, "far", false);
        directory.gateways.get_mut(&id("many")).unwrap().rtt = Some(Duration::ZERO);
        assert_eq!(order(&mut directory, ZERO), ["m1", "far", "m2", "m3", "m4"]);
    }

    #[test]
    fn heights_of_one_chain_say_nothing_about_another() {
        let mut directory = Directory::new(Vec::new(), None, Reach::PUBLIC, 3, 7);
        add(&mut directory, "low", false);
        let other_chain = Advert::find("eth 2 http://high:1");
        directory.update(&id("high"), other_chain, false, [10, 0, 0, 1].into());
        tell_height(&mut directory, Some("low"), "eth-height 1 5 low");
        tell_height(&mut directory, Some("high"), "eth-height 2 1000 high");
        assert_eq!((directory.reference(1), directory.reference(2)), (Some(5), Some(1000)));
        assert_eq!(directory.reference(3), None);
        let firsts: BTreeSet<_> = (0..20).map(|_| order(&mut directory, ZERO).remove(0)).collect();
        assert_eq!(firsts.len(), 2, "neither is behind");
        assert_eq!(directory.candidates(ZERO).reference, None);
    }

    #[test]
    fn a_height_counts_from_the_gateway_itself_or_where_the_format_names_no_sender() {
        let mut directory = directory();
        add(&mut directory, "a", false);
        tell_height(&mut directory, Some("b"), "eth-height 1 5 a");
        tell_height(&mut directory, Some("a"), "eth-height 2 5 a");
        tell_height(&mut directory, Some("b"), "eth-height 1 5 b");
        assert_eq!(directory.reference(1), None);
        tell_height(&mut directory, None, "eth-height 1 5 a");
        assert_eq!(directory.reference(1), Some(5));
    }

    #[test]
    fn a_gateway_that_failed_comes_last_for_a_while_that_doubles() {
        let mut directory = directory();
        ["a", "b"].iter().for_each(|name| add(&mut directory, name, false));
        let second = Duration::from_secs(1);
        let mut now = ZERO;
        for rest in [1, 2, 4] {
            fails(&mut directory, "a", now);
            now = now + second * rest - Duration::from_nanos(1);
            assert_eq!(order(&mut directory, now), ["b", "a"], "after {rest} s less a bit");
            now += Duration::from_nanos(1);
            let first = |directory: &mut Directory| order(directory, now).remove(0);
            assert!((0..20).any(|_| first(&mut directory) == "a"), "after {rest} s");
        }
        for _ in 0..20 {
            fails(&mut directory, "a", now);
        }
        assert!((0..20).any(|_| order(&mut directory, now + second * 64).remove(0) == "a"));
        directory.handle_outcome(&[], Some(&"http://a:1".parse().unwrap()), now);
        assert!((0..20).any(|_| order(&mut directory, now).remove(0) == "a"));
    }

    #[test]
    fn a_gateway_that_is_not_among_the_present_members_is_gone() {
        let member = |name: &str| {
            let config = Config::builder("c".parse().unwrap(), id(name), ([10, 0, 0, 1], 1).into());
            let config = config.meta(format!("eth 1 http://{name}:1").as_str().into()).build();
            Node::new(config.unwrap(), [7; 32], ZERO).local().clone()
        };
        let mut directory = directory();
        directory.handle_members(&[member("a"), member("b")]);
        tell_height(&mut directory, Some("b"), "eth-height 1 5 b");
        directory.handle_members(&[member("b"), member("c")]);
        let known: Vec<_> =
            directory.gateways().map(|(id, known)| (id.as_str(), known.height)).collect();
        assert_eq!(known, [("b", Some(5)), ("c", None)]);
    }

    #[test]
    fn nothing_grows_without_a_limit() {
        let mut directory = directory();
        for n in 0..2 * Directory::MAX_GATEWAYS {
            add(&mut directory, &format!("gateway-{n}"), false);
        }
        assert_eq!(directory.gateways.len(), Directory::MAX_GATEWAYS);
        for n in 0..2 * MAX_FAILURES {
            fails(&mut directory, &format!("host-{n}"), ZERO);
        }
        assert_eq!(directory.failures.len(), MAX_FAILURES);
        assert_eq!(order(&mut directory, ZERO).len(), Directory::MAX_CANDIDATES);
        let later = ZERO + Duration::from_secs(3600);
        fails(&mut directory, "later", later);
        assert_eq!(directory.failures.len(), 1);
    }
}

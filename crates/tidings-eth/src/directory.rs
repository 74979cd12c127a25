//! The gateways that a member knows by gossip, and the order in which to ask them.

use crate::advert::{Advert, Height};
use crate::attempt::Attempt;
use crate::caller::{Candidate, Candidates};
use crate::endpoint::Endpoint;
use crate::reach::Reach;
use alloy_primitives::keccak256;
use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::time::Duration;
use tidings::{Event, Instant, Member, NodeId, State};

/// The gateways that a member knows, and the order in which to ask them. Does no I/O.
///
/// It is told the events of a node, the round-trip times to gateways, and what became of calls; it
/// returns [`Candidates`]: this machine's own endpoints first, then gateways whose height does not
/// lag, that are not suspected, by round-trip time. Among equals the order is random, so that callers
/// spread over them. A gateway that failed a call comes after all others for a while: 1 s, and twice
/// that with each further failure, up to a minute.
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

    /// Takes the state of a member.
    pub fn handle_member(&mut self, member: &Member) {
        let advert = member.meta().as_str().and_then(Advert::find);
        let advert = advert.filter(|advert| self.chain.is_none_or(|chain| chain == advert.chain));
        let (Some(advert), true) = (advert, member.state().is_present()) else {
            self.gateways.remove(member.id());
            return;
        };
        let known = self.gateways.get(member.id());
        if known.is_none() && self.gateways.len() == Self::MAX_GATEWAYS {
            return;
        }
        let same_chain = known.filter(|known| known.advert.chain == advert.chain);
        let height = same_chain.and_then(|known| known.height);
        let rtt = known.and_then(|known| known.rtt);
        let (suspect, ip) = (member.state() == State::Suspect, member.addr().ip());
        let gateway = KnownGateway { advert, height, rtt, suspect, ip };
        self.gateways.insert(member.id().clone(), gateway);
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
        let reference = self.reference();
        let rests = |endpoint: &Endpoint| {
            self.failures.get(endpoint).is_some_and(|failures| failures.until > now)
        };
        let mut list = Vec::new();
        for (place, endpoint) in self.local.iter().enumerate() {
            let order = Order { rests: rests(endpoint), tie: place as u64, ..Order::default() };
            list.push((order, Candidate::local(endpoint.clone())));
        }
        for (id, gateway) in &self.gateways {
            let behind = |height: u64| {
                reference.is_some_and(|best| height.saturating_add(self.max_lag) < best)
            };
            let tie = self.random(id);
            for endpoint in &gateway.advert.endpoints {
                let endpoint = Endpoint::from(endpoint.clone());
                let order = Order {
                    rests: rests(&endpoint),
                    behind: gateway.height.is_some_and(behind),
                    suspect: gateway.suspect,
                    height_unknown: gateway.height.is_none(),
                    distance: 1 + rtt_class(gateway.rtt),
                    tie,
                };
                let candidate = Candidate::advertised(endpoint, self.reach, gateway.ip);
                list.push((order, candidate));
            }
        }
        list.sort_by_key(|(order, _)| *order);
        list.truncate(Self::MAX_CANDIDATES);
        Candidates { list: list.into_iter().map(|(_, candidate)| candidate).collect(), reference }
    }

    /// The height of the chain as the gateways tell it: the second highest of three or more, so
    /// that one gateway that lies does not exclude all others, and else the highest.
    pub fn reference(&self) -> Option<u64> {
        let mut heights: Vec<_> =
            self.gateways.values().filter_map(|gateway| gateway.height).collect();
        heights.sort_unstable();
        let from_top = if heights.len() < 3 { 1 } else { 2 };
        heights.len().checked_sub(from_top).map(|place| heights[place])
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

//! Seeds: the members through which a node joins a cluster, as the application writes them.

use crate::error::{JoinError, SeedError};
use crate::lookup::{self, LookupError};
use std::net::SocketAddr;
use tidings::{Failure, SeedFailure, Target, TargetError};

/// A member through which to join, as text (`"db-1:7946"`), a [`SocketAddr`] or a [`Target`].
///
/// Text is `[NAME/]HOST[:PORT]` as [`Target`] describes it; without a port it is 7946. Text that
/// does not parse does not fail here: the join reports it, beside the reasons of the other seeds.
///
/// ```
/// use tidings_driver::Seed;
///
/// for seed in [Seed::from("db-1:7946"), Seed::from("10.0.0.7"), Seed::from("[2001:db8::7]:80")] {
///     println!("{seed:?}");
/// }
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Seed {
    written: String,
    target: Result<Target, TargetError>,
}

impl From<&str> for Seed {
    fn from(text: &str) -> Self {
        Self { written: text.into(), target: text.parse() }
    }
}

impl From<&String> for Seed {
    fn from(text: &String) -> Self {
        Self::from(text.as_str())
    }
}

impl From<String> for Seed {
    fn from(text: String) -> Self {
        Self { target: text.parse(), written: text }
    }
}

impl From<SocketAddr> for Seed {
    fn from(addr: SocketAddr) -> Self {
        Self { written: addr.to_string(), target: Ok(addr.into()) }
    }
}

impl From<&SocketAddr> for Seed {
    fn from(addr: &SocketAddr) -> Self {
        (*addr).into()
    }
}

impl From<Target> for Seed {
    fn from(target: Target) -> Self {
        Self { written: target.to_string(), target: Ok(target) }
    }
}

impl From<&Target> for Seed {
    fn from(target: &Target) -> Self {
        target.clone().into()
    }
}

impl Seed {
    /// Whether the operating system has to look something up, which may take seconds.
    #[cfg(feature = "async")]
    pub(crate) fn may_block(&self) -> bool {
        let asks = |target: &Target| target.name().is_some() || target.zone().is_some();
        self.target.as_ref().is_ok_and(asks)
    }
}

/// The addresses of the seeds of one join, and the seeds that have none.
#[derive(Debug, Default)]
pub(crate) struct Resolved {
    pub(crate) addrs: Vec<SocketAddr>,
    /// For each address, the seed as the application wrote it.
    written: Vec<String>,
    failed: Vec<SeedError>,
    /// All seeds, in the order in which the application wrote them.
    seeds: Vec<String>,
}

impl Resolved {
    /// Looks up all seeds, one after the other; it blocks if a seed [may](Seed::may_block).
    pub(crate) fn look_up(seeds: Vec<Seed>) -> Self {
        let mut resolved = Self::default();
        for Seed { written: seed, target } in seeds {
            resolved.seeds.push(seed.clone());
            let found = target.map_err(LookupError::Target).and_then(|it| lookup::look_up(&it));
            match found {
                Ok(addrs) => {
                    resolved.written.extend(addrs.iter().map(|_| seed.clone()));
                    resolved.addrs.extend(addrs);
                }
                Err(LookupError::Target(error)) => {
                    resolved.failed.push(SeedError::Invalid { seed, error });
                }
                Err(LookupError::System { error, .. }) => {
                    resolved.failed.push(SeedError::LookUp { seed, error: error.to_string() });
                }
            }
        }
        resolved
    }

    /// The error of a join that was not started.
    pub(crate) fn not_started(self, error: tidings::JoinError) -> JoinError {
        match error {
            tidings::JoinError::NoSeeds if !self.failed.is_empty() => {
                JoinError::Failed(self.failed)
            }
            tidings::JoinError::NoSeeds => JoinError::NoSeeds,
            tidings::JoinError::TooManySeeds { seeds, max } => {
                JoinError::TooManySeeds { seeds, max }
            }
            tidings::JoinError::Leaving => JoinError::Leaving,
            tidings::JoinError::Busy { max } => JoinError::Busy { max },
            // A version of the core that knows more reasons comes with a driver that does.
            error => unreachable!("a join was not started: {error}"),
        }
    }

    /// The error of a join that was started.
    pub(crate) fn failed(mut self, failure: Failure) -> JoinError {
        match failure {
            Failure::NoSeed(failures) => {
                let failures = failures.into_iter().map(|failure| self.exchange(failure));
                let failures: Vec<_> = failures.collect();
                self.failed.extend(failures);
                let order = |error: &SeedError| self.seeds.iter().position(|it| it == error.seed());
                self.failed.sort_by_key(order);
                JoinError::Failed(self.failed)
            }
            Failure::NameTaken { seed: addr } => {
                JoinError::NameTaken { seed: self.written_as(addr), addr }
            }
            Failure::Left => JoinError::Left,
            _ => JoinError::Stopped,
        }
    }

    fn exchange(&self, SeedFailure { seed: addr, error }: SeedFailure) -> SeedError {
        SeedError::Exchange { seed: self.written_as(addr), addr, error }
    }

    /// The seed with an address, as the application wrote it.
    fn written_as(&self, addr: SocketAddr) -> String {
        // The core returns IPv4 addresses in IPv6's form as IPv4.
        let same = |it: &SocketAddr| {
            it.port() == addr.port() && it.ip().to_canonical() == addr.ip().to_canonical()
        };
        match self.addrs.iter().position(same) {
            Some(at) => self.written[at].clone(),
            None => addr.to_string(),
        }
    }
}

//! The gateways that a call may ask.

use crate::endpoint::Endpoint;
use crate::reach::{NotReached, Reach};
use std::net::IpAddr;

/// A gateway that may be asked.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Candidate {
    /// Where its node answers.
    pub endpoint: Endpoint,
    /// For an endpoint that a member advertised, the addresses to which it may lead.
    advertised: Option<(Reach, IpAddr)>,
}

impl Candidate {
    /// An endpoint from local configuration, which may lead anywhere.
    pub fn local(endpoint: Endpoint) -> Self {
        Self { endpoint, advertised: None }
    }

    /// An endpoint that the member at an address advertised.
    pub fn advertised(endpoint: Endpoint, reach: Reach, member: IpAddr) -> Self {
        Self { endpoint, advertised: Some((reach, member)) }
    }

    /// `Ok` if the driver may connect to `ip` to reach this endpoint; it checks each address to
    /// which the endpoint's name resolves.
    ///
    /// # Errors
    ///
    /// If the configuration does not permit it.
    pub fn check(&self, ip: IpAddr) -> Result<(), NotReached> {
        self.advertised.map_or(Ok(()), |(reach, member)| reach.check(ip, Some(member)))
    }
}

/// The gateways for one call, in the order in which to ask them.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct Candidates {
    /// The gateways; each is asked once.
    pub list: Vec<Candidate>,
    /// The height of the chain as the gateways tell it; `None` if they do not.
    pub reference: Option<u64>,
}

impl From<Vec<Endpoint>> for Candidates {
    fn from(endpoints: Vec<Endpoint>) -> Self {
        let list = endpoints.into_iter().map(Candidate::local).collect();
        Self { list, reference: None }
    }
}

//! The gateways that a call may ask.

use crate::endpoint::Endpoint;
use crate::reach::{NotReached, Reach};
use std::net::IpAddr;
use tidings::NodeId;

/// A gateway that may be asked.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Candidate {
    /// Where its node answers.
    pub endpoint: Endpoint,
    /// For an endpoint that a member advertised, who that is.
    advertised: Option<Advertised>,
}

impl Candidate {
    /// An endpoint from local configuration, which may lead anywhere.
    pub fn local(endpoint: Endpoint) -> Self {
        Self { endpoint, advertised: None }
    }

    /// An endpoint that the member `gateway` at `ip` advertised.
    pub fn advertised(endpoint: Endpoint, reach: Reach, gateway: NodeId, ip: IpAddr) -> Self {
        Self { endpoint, advertised: Some(Advertised { gateway, ip, reach }) }
    }

    /// `Ok` if the driver may connect to `ip` to reach this endpoint; it checks each address to
    /// which the endpoint's name resolves.
    ///
    /// # Errors
    ///
    /// If the configuration does not permit it.
    pub fn check(&self, ip: IpAddr) -> Result<(), NotReached> {
        match &self.advertised {
            Some(by) => by.reach.check(ip, Some(by.ip)),
            None => Ok(()),
        }
    }

    /// Whether the two count as one gateway: they are one endpoint, or of one member.
    pub(crate) fn is_same_gateway(&self, other: &Self) -> bool {
        let same_member = match (&self.advertised, &other.advertised) {
            (Some(one), Some(other)) => one.gateway == other.gateway,
            _ => false,
        };
        same_member || self.endpoint == other.endpoint
    }
}

/// The member that advertised an endpoint, and to which addresses its endpoints may lead.
#[derive(Clone, Debug, Eq, PartialEq)]
struct Advertised {
    gateway: NodeId,
    ip: IpAddr,
    reach: Reach,
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

//! Memberlist's wire format: how a node takes part in a cluster that speaks it.

use crate::config::ConfigError;
use crate::member::{ClusterName, ProtocolVersions};
use core::time::Duration;
use serde::{Deserialize, Serialize};

/// How a node takes part in a cluster of HashiCorp memberlist's: Serf, Consul, Nomad, Alertmanager.
///
/// All of its nodes have to have the same label, keys and delegate protocol. Their timing is that of
/// [`Options`](crate::Options): the presets have memberlist's values.
///
/// ```
/// use tidings::{ClusterName, Config, Memberlist, NodeId, Wire};
///
/// let memberlist = Memberlist::new().with_delegate_protocol(2, 5, 5)?;
/// // The cluster's name does not travel in this format: the label does, where there is one.
/// let name = ClusterName::new("unused")?;
/// let config = Config::builder(name, NodeId::new("db-7")?, "10.0.0.7:7946".parse()?)
///     .wire(Wire::Memberlist(memberlist))
///     .build()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Memberlist {
    label: Option<ClusterName>,
    protocol: u8,
    delegate: [u8; 3],
    compression: bool,
    reclaim: Duration,
}

impl Memberlist {
    /// As memberlist's own defaults have it, but for compression, which is off: protocol 2, delegate
    /// protocol 0, no label, and names that never move to another address while their holders have not
    /// left.
    pub fn new() -> Self {
        Self {
            label: None,
            protocol: 2,
            delegate: [0; 3],
            compression: false,
            reclaim: Duration::ZERO,
        }
    }

    /// The same with a label, which goes before all that is sent, and has to be before all that is
    /// taken; memberlist knows it since 0.3.0.
    #[must_use]
    pub fn with_label(mut self, label: ClusterName) -> Self {
        self.label = Some(label);
        self
    }

    /// The same with the protocol of the application: the least and the greatest version that it
    /// understands, and the one that it speaks.
    ///
    /// The version of each member has to be within the range of every other one, or they do not sync:
    /// 2, 5, 5 is right with Serf and Consul, 0, 0, 0 with Alertmanager.
    ///
    /// # Errors
    ///
    /// If `current` is not within `min` to `max`.
    pub fn with_delegate_protocol(
        mut self,
        min: u8,
        max: u8,
        current: u8,
    ) -> Result<Self, ConfigError> {
        if current < min || current > max {
            return Err(ConfigError::DelegateProtocol { min, max, current });
        }
        self.delegate = [min, max, current];
        Ok(self)
    }

    /// The same in another version of memberlist's own protocol: 1 to 5. They only differ in that 1
    /// encrypts in an older way; all are understood.
    ///
    /// # Errors
    ///
    /// If it is none of these.
    pub fn with_protocol(mut self, version: u8) -> Result<Self, ConfigError> {
        let (min, max) = (PROTOCOLS[0], PROTOCOLS[1]);
        if version < min || version > max {
            let (option, value) = ("protocol", version.into());
            let (min, max, given) = (min.into(), max.into(), &[]);
            return Err(ConfigError::Count { option, value, min, max, given });
        }
        self.protocol = version;
        Ok(self)
    }

    /// The same with compression: datagrams that become smaller by it, and everything on streams.
    ///
    /// What others compressed is understood without it. It takes time, and memory for each message.
    #[must_use]
    pub fn with_compression(mut self, compression: bool) -> Self {
        self.compression = compression;
        self
    }

    /// The same with a time after which the name of a member that failed is free for a node at another
    /// address; zero is never (memberlist's `DeadNodeReclaimTime`).
    ///
    /// That of one that left is free at once. One that failed is forgotten after
    /// [`gossip_to_the_dead`](crate::Options::gossip_to_the_dead), and then its name is free anyway.
    #[must_use]
    pub fn with_reclaim_time(mut self, reclaim: Duration) -> Self {
        self.reclaim = reclaim;
        self
    }

    pub(crate) fn label(&self) -> &[u8] {
        self.label.as_ref().map_or(&[], |label| label.as_str().as_bytes())
    }

    pub(crate) fn protocol(&self) -> u8 {
        self.protocol
    }

    pub(crate) fn compression(&self) -> bool {
        self.compression
    }

    pub(crate) fn reclaim(&self) -> Duration {
        self.reclaim
    }

    /// What the node says of how it speaks.
    pub(crate) fn versions(&self) -> ProtocolVersions {
        let ([min, max], [delegate_min, delegate_max, delegate]) = (PROTOCOLS, self.delegate);
        let versions = [min, max, self.protocol, delegate_min, delegate_max, delegate];
        ProtocolVersions { versions, mapped: false }
    }
}

impl Default for Memberlist {
    fn default() -> Self {
        Self::new()
    }
}

/// The form of a [`Memberlist`] in a checkpoint.
#[derive(Deserialize, Serialize)]
#[serde(remote = "Memberlist")]
pub(super) struct MemberlistForm {
    label: Option<ClusterName>,
    protocol: u8,
    delegate: [u8; 3],
    compression: bool,
    reclaim: Duration,
}

/// Which versions of memberlist's own protocol are spoken, at least and at most.
const PROTOCOLS: [u8; 2] = [1, 5];

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn versions_are_checked_where_they_are_set() {
        let error = Memberlist::new().with_delegate_protocol(2, 5, 6).unwrap_err();
        let said =
            "the delegate protocol is 6; with the versions that are understood it must be 2 to 5";
        assert_eq!(error.to_string(), said);
        assert!(Memberlist::new().with_protocol(0).is_err());
        assert!(Memberlist::new().with_protocol(6).is_err());
        let spoken = Memberlist::new().with_delegate_protocol(2, 5, 4).unwrap().versions();
        assert_eq!(spoken.versions, [1, 5, 2, 2, 5, 4]);
    }
}

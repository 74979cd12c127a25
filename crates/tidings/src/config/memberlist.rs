//! Settings of memberlist's wire format.

use crate::config::ConfigError;
use crate::member::{ClusterName, ProtocolVersions};
use core::time::Duration;
use serde::{Deserialize, Serialize};

/// Settings of HashiCorp memberlist's wire format, for a node in a cluster of Serf, Consul, Nomad
/// or Alertmanager agents.
///
/// All nodes of a cluster need the same label, keys and delegate protocol. The timing is in
/// [`Options`](crate::Options), whose presets have memberlist's values.
///
/// ```
/// use tidings::{ClusterName, Config, Memberlist, NodeId, Wire};
///
/// let memberlist = Memberlist::new().with_delegate_protocol(2, 5, 5)?;
/// // This format does not carry the cluster's name; it carries the label, if there is one.
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
    /// memberlist's defaults, but without compression: protocol 2, delegate protocol 0, no label,
    /// no reclaim time.
    pub fn new() -> Self {
        Self {
            label: None,
            protocol: 2,
            delegate: [0; 3],
            compression: false,
            reclaim: Duration::ZERO,
        }
    }

    /// Sets the label, a prefix of each packet and stream; input without it is dropped. memberlist
    /// 0.3.0 and later.
    #[must_use]
    pub fn with_label(mut self, label: ClusterName) -> Self {
        self.label = Some(label);
        self
    }

    /// Sets the delegate protocol, that of the application: the lowest and the highest version that
    /// it understands, and the one that it speaks.
    ///
    /// The version of each member has to be within the range of each other one, or they do not
    /// sync. Use 2, 5, 5 with Serf and Consul, and 0, 0, 0 with Alertmanager.
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

    /// Sets the version of memberlist's own protocol that the node speaks: 1 to 5, 2 by default.
    ///
    /// The versions differ only in encryption, for which 1 has an older form. A node understands
    /// all.
    ///
    /// # Errors
    ///
    /// If the version is not within 1 to 5.
    pub fn with_protocol(mut self, version: u8) -> Result<Self, ConfigError> {
        let [min, max] = PROTOCOL_RANGE;
        if version < min || version > max {
            let (option, value) = ("protocol", version.into());
            let (min, max, given) = (min.into(), max.into(), &[]);
            return Err(ConfigError::Count { option, value, min, max, given });
        }
        self.protocol = version;
        Ok(self)
    }

    /// Switches compression of what the node sends: of all frames on streams, and of the datagrams
    /// that it makes smaller.
    ///
    /// A node understands compressed input either way. Compression takes time, and memory for each
    /// message.
    #[must_use]
    pub fn with_compression(mut self, compression: bool) -> Self {
        self.compression = compression;
        self
    }

    /// Sets the reclaim time, after which a node at another address can take the name of a failed
    /// member (memberlist's `DeadNodeReclaimTime`); zero, the default, means never.
    ///
    /// The name of a member that left is free at once. A failed member is forgotten after
    /// [`gossip_to_the_dead`](crate::Options::gossip_to_the_dead), and then its name is free in any
    /// case.
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

    /// The versions that the node announces.
    pub(crate) fn versions(&self) -> ProtocolVersions {
        let ([min, max], [delegate_min, delegate_max, delegate]) = (PROTOCOL_RANGE, self.delegate);
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

/// The lowest and the highest version of memberlist's own protocol that a node understands.
const PROTOCOL_RANGE: [u8; 2] = [1, 5];

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn versions_are_checked_when_they_are_set() {
        let error = Memberlist::new().with_delegate_protocol(2, 5, 6).unwrap_err();
        let text =
            "the delegate protocol is 6; with the versions that are understood it must be 2 to 5";
        assert_eq!(error.to_string(), text);
        assert!(Memberlist::new().with_protocol(0).is_err());
        assert!(Memberlist::new().with_protocol(6).is_err());
        let memberlist = Memberlist::new().with_delegate_protocol(2, 5, 4).unwrap();
        assert_eq!(memberlist.versions().versions, [1, 5, 2, 2, 5, 4]);
    }
}

//! How a node behaves: its name and address, and what else it is told at its start.

#[cfg(feature = "memberlist")]
mod memberlist;
pub(crate) mod options;
pub(crate) mod variant;

pub(crate) use crate::config::options::ConfigError;
use crate::config::options::Options;
#[cfg(feature = "memberlist")]
use crate::config::options::UDP_MAX;
use crate::config::variant::ProtocolVariant;
#[cfg(feature = "encryption")]
use crate::crypto::keyring::Keyring;
use crate::member::{ClusterName, Member, Meta, NodeId, ProtocolVersions, TooLong};
#[cfg(feature = "memberlist")]
use crate::wire;
use core::net::SocketAddr;
use serde::{Deserialize, Serialize};

#[cfg(feature = "memberlist")]
pub use memberlist::Memberlist;

/// Everything that a [`Node`](crate::Node) is told at its start; one that exists is valid.
///
/// ```
/// use tidings::{ClusterName, Config, NodeId};
///
/// let config = Config::lan(
///     ClusterName::new("shop")?,
///     NodeId::new("db-7")?,
///     "10.0.0.7:7946".parse()?,
/// );
/// assert_eq!(config.options().gossip_nodes, 3);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Config {
    pub(crate) cluster: ClusterName,
    pub(crate) id: NodeId,
    pub(crate) addr: SocketAddr,
    pub(crate) generation: u64,
    pub(crate) meta: Meta,
    #[cfg(feature = "encryption")]
    #[serde(skip)]
    pub(crate) encryption: Option<(Keyring, Plaintext)>,
    pub(crate) wire: Wire,
    #[serde(skip)]
    pub(crate) admission: Option<fn(&Member) -> bool>,
    pub(crate) options: Options,
}

impl Config {
    /// A node with options of one's own.
    ///
    /// `addr` is where the others reach this node, by datagram and by stream. An adapter replaces
    /// its port, where that is 0, by the port that it was given; a node that is driven with an
    /// unspecified IP or with port 0 is not heard by its peers.
    ///
    /// # Errors
    ///
    /// If an option is outside its range; the error names it, its value and the range.
    pub fn new(
        cluster: ClusterName,
        id: NodeId,
        addr: SocketAddr,
        options: Options,
    ) -> Result<Self, ConfigError> {
        options.check()?;
        Ok(Self {
            cluster,
            id,
            addr,
            generation: 0,
            meta: Meta::EMPTY,
            #[cfg(feature = "encryption")]
            encryption: None,
            wire: Wire::Tidings,
            admission: None,
            options,
        })
    }

    /// A node in one local network: [`Options::lan`].
    pub fn lan(cluster: ClusterName, id: NodeId, addr: SocketAddr) -> Self {
        Self::preset(cluster, id, addr, Options::lan())
    }

    /// A node among others at far places: [`Options::wan`].
    pub fn wan(cluster: ClusterName, id: NodeId, addr: SocketAddr) -> Self {
        Self::preset(cluster, id, addr, Options::wan())
    }

    /// A node whose peers run on the same machine: [`Options::local`].
    pub fn local(cluster: ClusterName, id: NodeId, addr: SocketAddr) -> Self {
        Self::preset(cluster, id, addr, Options::local())
    }

    fn preset(cluster: ClusterName, id: NodeId, addr: SocketAddr, options: Options) -> Self {
        Self::new(cluster, id, addr, options).expect("a test says that the presets are valid")
    }

    /// The same with metadata to start with.
    ///
    /// # Errors
    ///
    /// If there are more bytes than [`Options::max_meta`].
    pub fn with_meta(mut self, meta: Meta) -> Result<Self, TooLong> {
        meta.check_len(self.options.max_meta)?;
        self.meta = meta;
        Ok(self)
    }

    /// The same with another generation: which life of the node this is.
    ///
    /// Later lives must have higher generations, so that a restarted node is believed at once;
    /// seconds of the wall clock do. Adapters put them in where the generation is 0, as it is
    /// unless set. A node whose generation is too low, since its clock was set back, learns that
    /// from its peers and goes above what they know.
    #[must_use]
    pub fn with_generation(mut self, generation: u64) -> Self {
        self.generation = generation;
        self
    }

    /// The same with encryption: everything that the node sends is sealed with the keyring's primary
    /// key, and what is not sealed with any of its keys is not taken, but for what `plaintext` allows.
    ///
    /// Every sealed message has the time in it, on the clock from which generations are taken, and is
    /// taken for half of [`tombstone_timeout`](Options::tombstone_timeout), and for a minute at least:
    /// so [generations](Self::with_generation) have to be seconds of the wall clock, and clocks roughly
    /// right. The node's seed must never have been used before with these keys.
    ///
    /// In memberlist's format there is no time: there all of that is as with memberlist, whose
    /// `GossipVerifyIncoming` and `GossipVerifyOutgoing` are false where plaintext is accepted and sent.
    ///
    /// # Errors
    ///
    /// If the keys are for another [wire format](Self::with_wire) than that of the node.
    #[cfg(feature = "encryption")]
    pub fn with_encryption(
        mut self,
        keyring: Keyring,
        plaintext: Plaintext,
    ) -> Result<Self, ConfigError> {
        self.encryption = Some((keyring, plaintext));
        self.check()?;
        Ok(self)
    }

    /// The same in another wire format than Tidings' own, for a cluster that speaks it.
    ///
    /// # Errors
    ///
    /// If the node has an option that the format has not, keys for another one, or so much room for
    /// metadata that it would not fit into its datagrams.
    pub fn with_wire(mut self, wire: Wire) -> Result<Self, ConfigError> {
        self.wire = wire;
        self.check()?;
        Ok(self)
    }

    /// Whether the options, the keys and the wire format go together.
    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        self.options.check()?;
        self.meta.check_len(self.options.max_meta).map_err(|TooLong { len, max }| {
            ConfigError::Count { option: "metadata", value: len, min: 0, max }
        })?;
        #[cfg(feature = "encryption")]
        if let Some((keyring, _)) = &self.encryption {
            if keyring.is_memberlists() != self.wire.is_memberlists() {
                return Err(ConfigError::KeyFormat);
            }
        }
        #[cfg(feature = "memberlist")]
        if let Wire::Memberlist(memberlist) = &self.wire {
            if self.options.stream_only {
                return Err(ConfigError::NotInFormat { option: "stream_only" });
            }
            let (size, label) = (self.options.datagram_size, memberlist.label().len());
            let (option, min) = ("datagram_size", wire::memberlist::PING_OVERHEAD + label);
            if size < min {
                return Err(ConfigError::Count { option, value: size, min, max: UDP_MAX });
            }
            let (option, value) = ("max_meta", self.options.max_meta);
            let max = size.saturating_sub(wire::memberlist::UPDATE_OVERHEAD + label);
            if value > max {
                return Err(ConfigError::Count { option, value, min: 0, max });
            }
        }
        Ok(())
    }

    /// By whose rules the node plays.
    pub(crate) fn variant(&self) -> ProtocolVariant {
        match &self.wire {
            Wire::Tidings => ProtocolVariant::Tidings,
            #[cfg(feature = "memberlist")]
            Wire::Memberlist(memberlist) => {
                ProtocolVariant::Memberlist { reclaim: memberlist.reclaim() }
            }
        }
    }

    /// The same with a say in who is a member: whoever is not admitted is unknown to this node.
    ///
    /// It is asked about everybody who is not a member yet, or not any more, as they describe
    /// themselves. A node that joins through this one and is not admitted is told so; one that is a
    /// member stays one, whatever it says of itself later. All nodes of a cluster should decide alike.
    #[must_use]
    pub fn with_admission(mut self, admit: fn(&Member) -> bool) -> Self {
        self.admission = Some(admit);
        self
    }

    /// The same at another address: for adapters, which learn the port when they bind.
    #[must_use]
    pub fn with_addr(mut self, addr: SocketAddr) -> Self {
        self.addr = addr;
        self
    }

    /// The cluster's name.
    pub fn cluster(&self) -> &ClusterName {
        &self.cluster
    }

    /// The node's name.
    pub fn id(&self) -> &NodeId {
        &self.id
    }

    /// Where the others reach the node.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The format in which the node speaks.
    pub fn wire(&self) -> &Wire {
        &self.wire
    }

    /// Which life of the node this is; 0 until somebody sets it.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// Timing and limits.
    pub fn options(&self) -> &Options {
        &self.options
    }
}

/// The format in which the nodes of a cluster speak: the same for all.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub enum Wire {
    /// Tidings' own.
    #[default]
    Tidings,
    /// HashiCorp memberlist's, in which nodes of both are members of one cluster.
    #[cfg(feature = "memberlist")]
    Memberlist(Memberlist),
}

impl Wire {
    /// What a node that speaks it says of that.
    pub(crate) fn versions(&self) -> ProtocolVersions {
        match self {
            Self::Tidings => ProtocolVersions::default(),
            #[cfg(feature = "memberlist")]
            Self::Memberlist(memberlist) => memberlist.versions(),
        }
    }

    #[cfg(feature = "encryption")]
    fn is_memberlists(&self) -> bool {
        *self != Self::Tidings
    }
}

/// What a node that has keys does with messages that are not encrypted.
///
/// A cluster that runs goes over to encryption in three rounds of restarts: with the keyring and
/// [`Sent`](Self::Sent), then with [`Accepted`](Self::Accepted), then with
/// [`Refused`](Self::Refused).
#[cfg(feature = "encryption")]
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub enum Plaintext {
    /// It takes none: what is not encrypted is dropped, and counted.
    #[default]
    Refused,
    /// It takes them, and encrypts what it sends itself.
    Accepted,
    /// It takes them, and sends them: it only understands what is encrypted.
    Sent,
}

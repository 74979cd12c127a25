//! How a node behaves: its name and address, and what else it is told at its start.

pub(crate) mod limits;
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
use crate::member::{ClusterName, Member, Meta, NodeId, ProtocolVersions};
use core::fmt;
use core::net::SocketAddr;
use serde::{Deserialize, Serialize};

#[cfg(feature = "memberlist")]
pub use memberlist::Memberlist;
#[cfg(feature = "memberlist")]
use memberlist::MemberlistForm;

/// The configuration of a [`Node`](crate::Node): name, address, options, keys, wire format.
///
/// A `Config` that exists is valid: the presets [`lan`](Self::lan), [`wan`](Self::wan) and
/// [`local`](Self::local) always are, and [`ConfigBuilder::build`] checks everything else once.
///
/// It cannot be serialized, because a copy without its keys would send plaintext; store
/// [`Options`] instead.
///
/// ```compile_fail,E0277
/// fn store(config: &impl serde::Serialize) {}
///
/// let id = tidings::NodeId::new("a").unwrap();
/// let cluster = tidings::ClusterName::new("c").unwrap();
/// store(&tidings::Config::lan(cluster, id, "10.0.0.1:1".parse().unwrap()));
/// ```
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
#[derive(Clone)]
pub struct Config {
    pub(crate) cluster: ClusterName,
    pub(crate) id: NodeId,
    pub(crate) addr: SocketAddr,
    pub(crate) generation: u64,
    pub(crate) meta: Meta,
    #[cfg(feature = "encryption")]
    pub(crate) encryption: Option<(Keyring, Plaintext)>,
    pub(crate) wire: Wire,
    pub(crate) admission: Option<fn(&Member) -> bool>,
    pub(crate) options: Options,
}

impl Config {
    /// A builder for a node with these names at this address, with [`Options::lan`].
    ///
    /// `addr` is the address at which other nodes reach this one, by datagram and by stream. An
    /// adapter replaces port 0 by the port that it was given; a node that is driven with an
    /// unspecified IP address or with port 0 cannot be reached by its peers.
    ///
    /// ```
    /// use tidings::{ClusterName, Config, Meta, NodeId, Options};
    ///
    /// let mut options = Options::wan();
    /// options.max_meta = 256;
    /// let config = Config::builder("shop".parse()?, "db-7".parse()?, "10.0.0.7:7946".parse()?)
    ///     .meta(Meta::from("role=db"))
    ///     .options(options)
    ///     .build()?;
    /// assert_eq!(config.meta().as_bytes(), b"role=db");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn builder(cluster: ClusterName, id: NodeId, addr: SocketAddr) -> ConfigBuilder {
        Self::lan(cluster, id, addr).to_builder()
    }

    /// A builder that starts from this configuration, to change more than an address.
    pub fn to_builder(&self) -> ConfigBuilder {
        ConfigBuilder { config: self.clone() }
    }

    /// A node in one local network: [`Options::lan`].
    pub fn lan(cluster: ClusterName, id: NodeId, addr: SocketAddr) -> Self {
        Self::preset(cluster, id, addr, Options::lan())
    }

    /// A node whose peers are in other places: [`Options::wan`].
    pub fn wan(cluster: ClusterName, id: NodeId, addr: SocketAddr) -> Self {
        Self::preset(cluster, id, addr, Options::wan())
    }

    /// A node whose peers run on the same machine: [`Options::local`].
    pub fn local(cluster: ClusterName, id: NodeId, addr: SocketAddr) -> Self {
        Self::preset(cluster, id, addr, Options::local())
    }

    /// A test says that the presets are valid.
    fn preset(cluster: ClusterName, id: NodeId, addr: SocketAddr, options: Options) -> Self {
        Self {
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
        }
    }

    /// The same configuration at another address: for drivers, which learn the port when they bind.
    #[must_use]
    pub fn with_addr(mut self, addr: SocketAddr) -> Self {
        self.addr = addr;
        self
    }

    /// The same configuration with another generation: for drivers, which set one where it is 0.
    ///
    /// [`ConfigBuilder::generation`] says what it is.
    #[must_use]
    pub fn with_generation(mut self, generation: u64) -> Self {
        self.generation = generation;
        self
    }

    /// Checks that the options, the metadata, the keys and the wire format go together.
    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        self.options.check()?;
        self.meta.check_len(self.options.max_meta).map_err(ConfigError::Meta)?;
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
            let (option, min) = ("datagram_size", limits::MEMBERLIST_PING_OVERHEAD + label);
            if size < min {
                let (value, max, given) = (size, UDP_MAX, &["label"]);
                return Err(ConfigError::Count { option, value, min, max, given });
            }
            let (option, value) = ("max_meta", self.options.max_meta);
            let max = size.saturating_sub(limits::MEMBERLIST_UPDATE_OVERHEAD + label);
            if value > max {
                let given = &["datagram_size"];
                return Err(ConfigError::Count { option, value, min: 0, max, given });
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

    /// The metadata with which the node starts.
    pub fn meta(&self) -> &Meta {
        &self.meta
    }

    /// The wire format that the node speaks.
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

/// A [`Config`] in the making: set what differs from the preset, in any order, then [`build`].
///
/// [`build`]: Self::build
#[derive(Clone, Debug)]
#[must_use]
pub struct ConfigBuilder {
    /// Not checked yet.
    config: Config,
}

impl ConfigBuilder {
    /// Sets timing and limits; [`Options::lan`] by default.
    pub fn options(mut self, options: Options) -> Self {
        self.config.options = options;
        self
    }

    /// Sets the metadata with which the node starts, at most [`Options::max_meta`] bytes; none by
    /// default.
    pub fn meta(mut self, meta: Meta) -> Self {
        self.config.meta = meta;
        self
    }

    /// Sets the generation, which tells one life of the node from the next; 0 by default.
    ///
    /// A restarted node needs a higher generation than before, so that it is believed at once;
    /// seconds of the wall clock do. Adapters put them in where the generation is 0. A node whose
    /// generation is too low, because its clock was set back, learns that from its peers and goes
    /// above what they know.
    pub fn generation(mut self, generation: u64) -> Self {
        self.config.generation = generation;
        self
    }

    /// Encrypts: the node seals everything that it sends with the keyring's primary key, and drops
    /// messages that are sealed with none of its keys; `plaintext` says what becomes of messages
    /// that are not sealed. Off by default.
    ///
    /// The keys have to be for the node's [wire format](Self::wire).
    ///
    /// Every sealed message carries the time, on the clock from which generations are taken, and is
    /// accepted for half of [`tombstone_timeout`](Options::tombstone_timeout), but for a minute at
    /// least. So [generations](Self::generation) have to be seconds of the wall clock, and clocks
    /// roughly right. The node's seed must never have been used before with these keys.
    ///
    /// memberlist's format carries no time: there everything is as with memberlist, whose
    /// `GossipVerifyIncoming` and `GossipVerifyOutgoing` are false where plaintext is accepted and
    /// sent.
    #[cfg(feature = "encryption")]
    pub fn encryption(mut self, keyring: Keyring, plaintext: Plaintext) -> Self {
        self.config.encryption = Some((keyring, plaintext));
        self
    }

    /// Sets the wire format, the same in the whole cluster; [`Wire::Tidings`] by default.
    ///
    /// memberlist's has no [`stream_only`](Options::stream_only), its datagrams have to have room
    /// for [`max_meta`](Options::max_meta), and its keys are made by `Key::memberlist`.
    pub fn wire(mut self, wire: Wire) -> Self {
        self.config.wire = wire;
        self
    }

    /// Sets the function that admits members; without one the node admits everybody.
    ///
    /// The node calls it for each node that is not a member yet, or not any more, with the member
    /// as it describes itself. A node that is not admitted is unknown here; if it joins through this
    /// node, it is told so. A member stays one, whatever it says of itself later. All nodes of a
    /// cluster should decide alike.
    pub fn admission(mut self, admit: fn(&Member) -> bool) -> Self {
        self.config.admission = Some(admit);
        self
    }

    /// Checks everything once, and returns the configuration.
    ///
    /// # Errors
    ///
    /// If an option is outside its range, the metadata is longer than
    /// [`max_meta`](Options::max_meta), or the wire format does not go with the keys or with an
    /// option. The error names the value, the limit and the option.
    pub fn build(self) -> Result<Config, ConfigError> {
        self.config.check()?;
        Ok(self.config)
    }
}

/// The format in which the nodes of a cluster speak: the same for all.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
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
///
/// Exhaustive on purpose: a new way would be a change of what a cluster accepts.
#[cfg(feature = "encryption")]
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Plaintext {
    /// It takes none: what is not encrypted is dropped, and counted.
    #[default]
    Refused,
    /// It takes them, and encrypts what it sends itself.
    Accepted,
    /// It takes them, and sends them: it only understands what is encrypted.
    Sent,
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("Config");
        debug.field("cluster", &self.cluster).field("id", &self.id).field("addr", &self.addr);
        debug.field("generation", &self.generation).field("meta", &self.meta);
        #[cfg(feature = "encryption")]
        debug.field("encryption", &self.encryption);
        debug.field("wire", &self.wire).field("admission", &self.admission.is_some());
        debug.field("options", &self.options).finish()
    }
}

/// The form of a [`Config`] in a checkpoint: without its keys and its function.
#[derive(Deserialize, Serialize)]
#[serde(remote = "Config")]
pub(crate) struct ConfigForm {
    cluster: ClusterName,
    id: NodeId,
    addr: SocketAddr,
    generation: u64,
    meta: Meta,
    #[cfg(feature = "encryption")]
    #[serde(skip)]
    encryption: Option<(Keyring, Plaintext)>,
    #[serde(with = "WireForm")]
    wire: Wire,
    #[serde(skip)]
    admission: Option<fn(&Member) -> bool>,
    options: Options,
}

#[derive(Deserialize, Serialize)]
#[serde(remote = "Wire")]
enum WireForm {
    Tidings,
    #[cfg(feature = "memberlist")]
    Memberlist(#[serde(with = "MemberlistForm")] Memberlist),
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::member::TooLong;
    use alloc::string::ToString;

    fn builder() -> ConfigBuilder {
        let (cluster, id) = ("test".parse().unwrap(), "a".parse().unwrap());
        Config::builder(cluster, id, "10.0.0.1:7946".parse().unwrap())
    }

    #[test]
    fn the_presets_are_valid() {
        for preset in [Config::lan, Config::wan, Config::local] {
            let (cluster, id) = ("test".parse().unwrap(), "a".parse().unwrap());
            let config = preset(cluster, id, "10.0.0.1:7946".parse().unwrap());
            assert_eq!(config.check(), Ok(()));
        }
    }

    #[test]
    fn metadata_is_checked_against_the_limit_whichever_is_set_first() {
        let mut options = Options::lan();
        options.max_meta = 600;
        let meta = Meta::new(&[0; 600]);
        assert!(builder().meta(meta.clone()).options(options.clone()).build().is_ok());
        assert!(builder().options(options).meta(meta.clone()).build().is_ok());
        let error = builder().meta(meta).build().unwrap_err();
        assert!(
            matches!(error, ConfigError::Meta(TooLong { len: 600, max: 512, .. })),
            "{error:?}"
        );
        assert_eq!(error.to_string(), "metadata has 600 bytes; max_meta allows 512");
    }

    #[test]
    #[cfg(all(feature = "encryption", feature = "memberlist"))]
    fn keys_are_checked_against_the_wire_format_whichever_is_set_first() {
        use crate::crypto::key::{Cipher, Key};
        let wire = || Wire::Memberlist(Memberlist::new());
        let keyring = |theirs: bool| {
            let ours = Key::new(Cipher::Aes256Gcm, [1; 32]);
            Keyring::new(if theirs { Key::memberlist(&[1; 32]).unwrap() } else { ours })
        };
        let refused = Plaintext::Refused;
        for (theirs, expected) in [(true, Ok(())), (false, Err(ConfigError::KeyFormat))] {
            let keys_first = builder().encryption(keyring(theirs), refused).wire(wire()).build();
            let wire_first = builder().wire(wire()).encryption(keyring(theirs), refused).build();
            assert_eq!(keys_first.map(|_| ()), expected);
            assert_eq!(wire_first.map(|_| ()), expected);
        }
        assert!(builder().encryption(keyring(false), refused).build().is_ok());
        let error = builder().encryption(keyring(true), refused).build().unwrap_err();
        assert_eq!(error, ConfigError::KeyFormat);
        let said = error.to_string();
        assert!(said.contains("Key::memberlist") && said.contains("Key::new"), "{said}");
    }

    #[test]
    #[cfg(feature = "memberlist")]
    fn limits_of_memberlists_format_are_checked_whichever_is_set_first() {
        let mut options = Options::lan();
        options.max_meta = 1020;
        let wire = || Wire::Memberlist(Memberlist::new());
        let options_first = builder().options(options.clone()).wire(wire()).build().unwrap_err();
        let wire_first = builder().wire(wire()).options(options).build().unwrap_err();
        assert_eq!(options_first, wire_first);
    }
}

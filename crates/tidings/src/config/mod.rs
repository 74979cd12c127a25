//! The configuration of a node.

pub(crate) mod limits;
#[cfg(feature = "memberlist")]
mod memberlist;
pub(crate) mod network;
pub(crate) mod options;
pub(crate) mod variant;

use crate::config::network::{AllowedNetworks, IpNetwork};
pub(crate) use crate::config::options::ConfigError;
use crate::config::options::Options;
#[cfg(feature = "memberlist")]
use crate::config::options::UDP_MAX;
use crate::config::variant::ProtocolVariant;
#[cfg(feature = "encryption")]
use crate::crypto::keyring::Keyring;
use crate::member::{ClusterName, Member, Meta, NodeId, ProtocolVersions};
use core::fmt;
use core::net::{IpAddr, SocketAddr};

#[cfg(feature = "memberlist")]
pub use memberlist::Memberlist;
#[cfg(all(feature = "memberlist", feature = "record"))]
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
    /// `None`: the generation is it.
    pub(crate) wall_clock: Option<u64>,
    pub(crate) meta: Meta,
    #[cfg(feature = "encryption")]
    pub(crate) encryption: Option<(Keyring, Plaintext)>,
    pub(crate) wire: Wire,
    pub(crate) on_name_taken: OnNameTaken,
    pub(crate) admission: Option<fn(&Member) -> bool>,
    pub(crate) networks: AllowedNetworks,
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

    /// A configuration for one local network: [`Options::lan`].
    pub fn lan(cluster: ClusterName, id: NodeId, addr: SocketAddr) -> Self {
        Self::preset(cluster, id, addr, Options::lan())
    }

    /// A configuration for members in distant places: [`Options::wan`].
    pub fn wan(cluster: ClusterName, id: NodeId, addr: SocketAddr) -> Self {
        Self::preset(cluster, id, addr, Options::wan())
    }

    /// A configuration for members on one machine: [`Options::local`].
    pub fn local(cluster: ClusterName, id: NodeId, addr: SocketAddr) -> Self {
        Self::preset(cluster, id, addr, Options::local())
    }

    /// A configuration that is not checked; a test checks the presets.
    fn preset(cluster: ClusterName, id: NodeId, addr: SocketAddr, options: Options) -> Self {
        Self {
            cluster,
            id,
            addr,
            generation: 0,
            wall_clock: None,
            meta: Meta::EMPTY,
            #[cfg(feature = "encryption")]
            encryption: None,
            wire: Wire::Tidings,
            on_name_taken: OnNameTaken::Refuse,
            admission: None,
            networks: AllowedNetworks::default(),
            options,
        }
    }

    /// Sets another address: for drivers, which learn the port when they bind. The IP address has
    /// to be in the [allowed networks](ConfigBuilder::allowed_networks), if there are any.
    #[must_use]
    pub fn with_addr(mut self, addr: SocketAddr) -> Self {
        self.addr = addr;
        self
    }

    /// Sets another [generation](ConfigBuilder::generation): for drivers, which set one if it is 0.
    #[must_use]
    pub fn with_generation(mut self, generation: u64) -> Self {
        self.generation = generation;
        self
    }

    /// Sets another [wall clock](ConfigBuilder::wall_clock): for drivers, which set it if the
    /// generation is 0.
    #[must_use]
    pub fn with_wall_clock(mut self, seconds: u64) -> Self {
        self.wall_clock = Some(seconds);
        self
    }

    /// Checks options and metadata, and that the keys and the options suit the wire format.
    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        self.options.check()?;
        self.meta.check_len(self.options.max_meta).map_err(ConfigError::Meta)?;
        self.check_networks()?;
        #[cfg(feature = "encryption")]
        if let Some((keyring, _)) = &self.encryption {
            if keyring.is_memberlist() != self.wire.is_memberlist() {
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

    /// Checks that the node's own address is in the allowed networks, if there are any.
    fn check_networks(&self) -> Result<(), ConfigError> {
        let networks = self.allowed_networks().unwrap_or_default();
        let max = AllowedNetworks::MAX;
        if networks.len() > max {
            let (option, value) = ("allowed_networks", networks.len());
            return Err(ConfigError::Count { option, value, min: 0, max, given: &[] });
        }
        if !self.allows(self.addr.ip()) {
            let (addr, networks) = (self.addr, networks.into());
            return Err(ConfigError::AddressNotAllowed { addr, networks });
        }
        Ok(())
    }

    /// The variant of the protocol that belongs to the wire format.
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

    /// The address at which other nodes reach this one.
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

    /// The [generation](ConfigBuilder::generation); 0 if none is set.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// The [wall clock](ConfigBuilder::wall_clock) at the node's start; `None` if none is set.
    pub fn wall_clock(&self) -> Option<u64> {
        self.wall_clock
    }

    /// The networks in which members' addresses have to lie; `None` if all addresses are allowed.
    pub fn allowed_networks(&self) -> Option<&[IpNetwork]> {
        self.networks.list()
    }

    /// Whether a member may have this address: it is in one of the
    /// [allowed networks](Self::allowed_networks), or all addresses are allowed.
    pub fn allows(&self, ip: IpAddr) -> bool {
        self.networks.allow(ip)
    }

    /// Timing and limits.
    pub fn options(&self) -> &Options {
        &self.options
    }
}

/// A builder of a [`Config`]: set what differs from the preset, in any order, then [`build`].
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

    /// Sets the generation, the part of the [`Incarnation`](crate::Incarnation) that counts
    /// restarts; 0 by default.
    ///
    /// A restarted node needs a higher generation than before, so that its claims win at once, and
    /// never the same one: its peers would take the broadcasts of the new life for repetitions.
    /// Adapters set `Clock::generation` if it is 0, which counts with the wall clock. A node whose
    /// generation is too low, because its clock was set back, learns the higher one from its peers
    /// and starts the next generation.
    pub fn generation(mut self, generation: u64) -> Self {
        self.config.generation = generation;
        self
    }

    /// Sets the wall clock at the node's start, in seconds since any moment that is the same at all
    /// nodes; by default the [generation](Self::generation) is taken for it.
    ///
    /// Sealed messages carry this time, and the limits of incarnations move with it.
    /// [`Node::set_wall_clock`](crate::Node::set_wall_clock) sets it while the node runs.
    pub fn wall_clock(mut self, seconds: u64) -> Self {
        self.config.wall_clock = Some(seconds);
        self
    }

    /// Sets the keys with which the node encrypts and authenticates all traffic; none by default.
    ///
    /// The node seals all that it sends with the keyring's primary key, and drops messages that
    /// none of its keys opens. `plaintext` is the policy for messages that are not sealed. The keys
    /// have to be for the node's [wire format](Self::wire).
    ///
    /// Each sealed message carries its time, on the [wall clock](Self::wall_clock). It is accepted
    /// for half of [`tombstone_timeout`](Options::tombstone_timeout), at least for a minute, so
    /// clocks have to be roughly right. Never use a node's seed twice with the same keys.
    ///
    /// memberlist's format carries no time. There plaintext that is accepted corresponds to a
    /// `GossipVerifyIncoming` of false, and plaintext that is sent to a `GossipVerifyOutgoing` of
    /// false.
    #[cfg(feature = "encryption")]
    pub fn encryption(mut self, keyring: Keyring, plaintext: Plaintext) -> Self {
        self.config.encryption = Some((keyring, plaintext));
        self
    }

    /// Sets the wire format, the same in the whole cluster; [`Wire::Tidings`] by default.
    ///
    /// memberlist's format does not support [`stream_only`](Options::stream_only). Its updates are
    /// larger, so that [`datagram_size`](Options::datagram_size) leaves less room for
    /// [`max_meta`](Options::max_meta). Its keys come from `Key::memberlist`.
    pub fn wire(mut self, wire: Wire) -> Self {
        self.config.wire = wire;
        self
    }

    /// Sets what happens if another node that lives has this node's name when it first joins;
    /// [`OnNameTaken::Refuse`] by default.
    pub fn on_name_taken(mut self, policy: OnNameTaken) -> Self {
        self.config.on_name_taken = policy;
        self
    }

    /// Sets the function that admits members; without one the node admits all.
    ///
    /// The node calls it for each claim that somebody is present who is not a member yet, or no
    /// longer, with the member as announced. A node that is not admitted stays unknown here; if it
    /// joins through this node, it gets a refusal. A member stays one, whatever it announces later.
    /// All nodes of a cluster should decide alike.
    pub fn admission(mut self, admit: fn(&Member) -> bool) -> Self {
        self.config.admission = Some(admit);
        self
    }

    /// Sets the networks in which the addresses of members have to lie, at most 256; without this,
    /// all addresses are allowed. An empty list allows none, and so is an error.
    ///
    /// The node talks with addresses in these networks only: claims about members elsewhere are
    /// refused before anything is sent because of them, datagrams from elsewhere are dropped, and
    /// streams from elsewhere get a refusal ([`Refusal::AddressNotAllowed`]). Seeds have to be in
    /// them too. IPv4 and IPv6 networks are listed separately. All nodes of a cluster should have
    /// the same list.
    ///
    /// [`Refusal::AddressNotAllowed`]: crate::Refusal::AddressNotAllowed
    pub fn allowed_networks(mut self, networks: impl IntoIterator<Item = IpNetwork>) -> Self {
        self.config.networks = AllowedNetworks::new(networks);
        self
    }

    /// Checks the configuration, and returns it.
    ///
    /// # Errors
    ///
    /// If an option is outside its range, the metadata is longer than
    /// [`max_meta`](Options::max_meta), the node's own address is in none of its
    /// [`allowed_networks`](Self::allowed_networks), or the keys or an option do not suit the wire
    /// format. The error names the value, the limit and the option.
    pub fn build(self) -> Result<Config, ConfigError> {
        self.config.check()?;
        Ok(self.config)
    }
}

/// The wire format of a cluster: the same at all nodes.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub enum Wire {
    /// Tidings' own format.
    #[default]
    Tidings,
    /// The format of HashiCorp's memberlist, for clusters with nodes of both.
    #[cfg(feature = "memberlist")]
    Memberlist(Memberlist),
}

impl Wire {
    /// The protocol versions that a node announces in this format.
    pub(crate) fn versions(&self) -> ProtocolVersions {
        match self {
            Self::Tidings => ProtocolVersions::default(),
            #[cfg(feature = "memberlist")]
            Self::Memberlist(memberlist) => memberlist.versions(),
        }
    }

    #[cfg(feature = "encryption")]
    fn is_memberlist(&self) -> bool {
        *self != Self::Tidings
    }
}

/// The policy of a node that is not a member yet, if another node that lives has its name.
///
/// In memberlist's format, whose nodes do not ask, the node itself asks where a seed's table has
/// its name, and the seed reports [`Event::Conflict`](crate::Event::Conflict). There the first node
/// keeps a name.
///
/// Exhaustive on purpose: there is no third way.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[cfg_attr(feature = "record", derive(serde::Deserialize, serde::Serialize))]
pub enum OnNameTaken {
    /// The node is not accepted, once the other one has answered a ping over a stream
    /// ([`Refusal::NameTaken`](crate::Refusal::NameTaken)): a join fails with
    /// [`Failure::NameTaken`](crate::Failure::NameTaken), and nobody else notices. If the other one
    /// does not answer within [`probe_interval`](Options::probe_interval), and a quarter of
    /// [`stream_timeout`](Options::stream_timeout), the node joins.
    #[default]
    Refuse,
    /// The node joins. The one with the higher incarnation holds the name, and both report
    /// [`Event::Conflict`](crate::Event::Conflict).
    Contest,
}

/// The policy of a node with keys for messages that are not encrypted.
///
/// A running cluster migrates to encryption in three rounds of restarts: with the keyring and
/// [`Sent`](Self::Sent), then with [`Accepted`](Self::Accepted), then with
/// [`Refused`](Self::Refused).
///
/// Exhaustive on purpose: a further policy would change what a cluster accepts.
#[cfg(feature = "encryption")]
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Plaintext {
    /// The node drops plaintext, and counts it.
    #[default]
    Refused,
    /// The node accepts plaintext, and sends encrypted messages.
    Accepted,
    /// The node accepts and sends plaintext; it also accepts encrypted messages.
    Sent,
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("Config");
        debug.field("cluster", &self.cluster).field("id", &self.id).field("addr", &self.addr);
        debug.field("generation", &self.generation).field("wall_clock", &self.wall_clock);
        debug.field("meta", &self.meta);
        #[cfg(feature = "encryption")]
        debug.field("encryption", &self.encryption);
        debug.field("wire", &self.wire).field("on_name_taken", &self.on_name_taken);
        debug.field("admission", &self.admission.is_some());
        debug.field("networks", &self.allowed_networks());
        debug.field("options", &self.options).finish()
    }
}

/// The form of a [`Config`] in a checkpoint: without keys and without the admission function.
#[cfg(feature = "record")]
#[derive(serde::Deserialize, serde::Serialize)]
#[serde(remote = "Config")]
pub(crate) struct ConfigForm {
    cluster: ClusterName,
    id: NodeId,
    addr: SocketAddr,
    generation: u64,
    wall_clock: Option<u64>,
    meta: Meta,
    #[cfg(feature = "encryption")]
    #[serde(skip)]
    encryption: Option<(Keyring, Plaintext)>,
    #[serde(with = "WireForm")]
    wire: Wire,
    on_name_taken: OnNameTaken,
    #[serde(skip)]
    admission: Option<fn(&Member) -> bool>,
    networks: AllowedNetworks,
    options: Options,
}

#[cfg(feature = "record")]
#[derive(serde::Deserialize, serde::Serialize)]
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
    use alloc::vec::Vec;

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
    fn metadata_is_checked_against_its_limit_in_either_order_of_calls() {
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
    fn an_own_address_outside_of_the_allowed_networks_is_an_error_that_says_what_to_do() {
        let networks = |all: &[&str]| -> Vec<IpNetwork> {
            all.iter().map(|text| text.parse().unwrap()).collect()
        };
        let error = builder().allowed_networks(networks(&["10.1.0.0/16", "::/0"])).build();
        let error = error.unwrap_err();
        assert!(matches!(error, ConfigError::AddressNotAllowed { .. }));
        assert_eq!(
            error.to_string(),
            "allowed_networks (10.1.0.0/16, ::/0) do not have this node's own address, 10.0.0.1; \
             advertise an address in one of them, or allow its network too"
        );
        let empty = builder().allowed_networks([]).build().unwrap_err().to_string();
        assert!(empty.starts_with("allowed_networks is an empty list, which"), "{empty}");
        assert_eq!(builder().build().unwrap().allowed_networks(), None);
        for allowed in [&["10.0.0.0/24"][..], &["::/0", "10.0.0.1/32"], &["0.0.0.0/0"]] {
            let config = builder().allowed_networks(networks(allowed)).build().unwrap();
            assert_eq!(config.allowed_networks(), Some(&networks(allowed)[..]));
        }
        // Also an IPv4 address in IPv6 form.
        let (cluster, id) = ("test".parse().unwrap(), "a".parse().unwrap());
        let mapped = Config::builder(cluster, id, "[::ffff:10.0.0.1]:7946".parse().unwrap());
        assert!(mapped.clone().allowed_networks(networks(&["10.0.0.0/8"])).build().is_ok());
        assert!(mapped.allowed_networks(networks(&["::/0"])).build().is_err());
        let many = networks(&["10.0.0.0/8"]).repeat(257);
        let error = builder().allowed_networks(many).build().unwrap_err().to_string();
        assert_eq!(error, "allowed_networks is 257; it must be 0 to 256");
    }

    #[test]
    #[cfg(all(feature = "encryption", feature = "memberlist"))]
    fn keys_are_checked_against_the_wire_format_in_either_order_of_calls() {
        use crate::crypto::cipher::Cipher;
        use crate::crypto::key::Key;
        let wire = || Wire::Memberlist(Memberlist::new());
        let keyring = |memberlist: bool| {
            let own = Key::new(Cipher::Aes256Gcm, [1; 32]);
            Keyring::new(if memberlist { Key::memberlist(&[1; 32]).unwrap() } else { own })
        };
        let refused = Plaintext::Refused;
        for (memberlist, expected) in [(true, Ok(())), (false, Err(ConfigError::KeyFormat))] {
            let keys_first =
                builder().encryption(keyring(memberlist), refused).wire(wire()).build();
            let wire_first =
                builder().wire(wire()).encryption(keyring(memberlist), refused).build();
            assert_eq!(keys_first.map(|_| ()), expected);
            assert_eq!(wire_first.map(|_| ()), expected);
        }
        assert!(builder().encryption(keyring(false), refused).build().is_ok());
        let error = builder().encryption(keyring(true), refused).build().unwrap_err();
        assert_eq!(error, ConfigError::KeyFormat);
        let text = error.to_string();
        assert!(text.contains("Key::memberlist") && text.contains("Key::new"), "{text}");
    }

    #[test]
    #[cfg(feature = "memberlist")]
    fn limits_of_memberlists_format_are_checked_in_either_order_of_calls() {
        let mut options = Options::lan();
        options.max_meta = 1020;
        let wire = || Wire::Memberlist(Memberlist::new());
        let options_first = builder().options(options.clone()).wire(wire()).build().unwrap_err();
        let wire_first = builder().wire(wire()).options(options).build().unwrap_err();
        assert_eq!(options_first, wire_first);
    }
}

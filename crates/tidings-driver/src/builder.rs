//! The builder with which an application starts a node.

use crate::advertise;
use crate::discovery::{InvalidSource, SeedSource};
use crate::driver_config::DriverConfig;
use crate::error::StartError;
use crate::notice::Notice;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;
use tidings::{
    ClusterName, Config, IpNetwork, Member, Meta, NodeId, OnNameTaken, Options, Target, Wire,
};
#[cfg(feature = "encryption")]
use tidings::{Keyring, Plaintext};

/// The settings of a node that is to start, with defaults for all but the cluster's name.
///
/// An adapter's function `builder` makes one; `T` is what it starts: a handle and events. Setters
/// take text, may be called in any order, and report nothing: all errors come from
/// [`start`](Self::start).
///
/// | setter | default |
/// |---|---|
/// | [`name`](Self::name) | the machine's host name |
/// | [`bind`](Self::bind) | `0.0.0.0:7946`: all interfaces, by UDP and TCP |
/// | [`advertise`](Self::advertise) | the bound address, or that of the default route |
/// | [`meta`](Self::meta) | empty |
/// | [`options`](Self::options) | [`Options::lan`] |
/// | [`wire`](Self::wire) | Tidings' own format |
/// | [`seeds`](Self::seeds) | none: the application calls `join` |
/// | [`snapshot`](Self::snapshot) | none |
///
/// Where the settings come as a [`Config`] already, use the adapter's `bind`, `bind_to` or
/// `bind_with` instead.
#[must_use = "a builder does nothing until `start`"]
pub struct Builder<T> {
    bind_with: fn(SocketAddr, Config, DriverConfig) -> Result<T, StartError>,
    cluster: String,
    name: Option<String>,
    bind: Option<String>,
    advertise: Option<String>,
    meta: Meta,
    options: Options,
    wire: Wire,
    admission: Option<fn(&Member) -> bool>,
    networks: Option<Vec<String>>,
    on_name_taken: OnNameTaken,
    driver: DriverConfig,
    #[cfg(feature = "encryption")]
    encryption: Option<(Keyring, Plaintext)>,
}

impl<T> Builder<T> {
    pub(crate) fn new(
        cluster: &str,
        bind_with: fn(SocketAddr, Config, DriverConfig) -> Result<T, StartError>,
    ) -> Self {
        Self {
            bind_with,
            cluster: cluster.into(),
            name: None,
            bind: None,
            advertise: None,
            meta: Meta::EMPTY,
            options: Options::lan(),
            wire: Wire::Tidings,
            admission: None,
            networks: None,
            on_name_taken: OnNameTaken::default(),
            driver: DriverConfig::new(),
            #[cfg(feature = "encryption")]
            encryption: None,
        }
    }

    /// Sets the node's name, which no other node of the cluster may have; the host name by default.
    pub fn name(mut self, name: impl ToString) -> Self {
        self.name = Some(name.to_string());
        self
    }

    /// Sets the address to listen at, by UDP and TCP, as `IP:PORT` or `IP`; `0.0.0.0:7946` by
    /// default.
    ///
    /// Without a port it is 7946. Port 0 takes a free one, the same for UDP and TCP.
    pub fn bind(mut self, addr: impl ToString) -> Self {
        self.bind = Some(addr.to_string());
        self
    }

    /// Sets the address that other nodes reach, as `IP:PORT` or `IP`, where it is not the one that
    /// the node listens at: behind a translation of addresses, or on all interfaces.
    ///
    /// Without a port, or with port 0, it is the port that the node listens at. By default, a node
    /// that listens on all interfaces advertises the source address of the default route, and
    /// without a default route the machine's only address besides those of the loopback interface.
    pub fn advertise(mut self, addr: impl ToString) -> Self {
        self.advertise = Some(addr.to_string());
        self
    }

    /// Sets the metadata that the node publishes to all members from its start; at most
    /// [`max_meta`](Options::max_meta) bytes, 512 by default.
    pub fn meta(mut self, meta: impl Into<Meta>) -> Self {
        self.meta = meta.into();
        self
    }

    /// Sets timing and limits; [`Options::lan`] by default.
    pub fn options(mut self, options: Options) -> Self {
        self.options = options;
        self
    }

    /// Sets the wire format, for a cluster that uses another one than Tidings' own.
    pub fn wire(mut self, wire: Wire) -> Self {
        self.wire = wire;
        self
    }

    /// Sets a check of each node that would become a member, as
    /// [`ConfigBuilder::admission`](tidings::ConfigBuilder::admission) describes.
    pub fn admission(mut self, admit: fn(&Member) -> bool) -> Self {
        self.admission = Some(admit);
        self
    }

    /// Sets the networks in which the addresses of members have to lie, each as `ADDRESS/PREFIX`;
    /// without this, all addresses are allowed.
    ///
    /// [`ConfigBuilder::allowed_networks`](tidings::ConfigBuilder::allowed_networks) has the rules.
    pub fn allowed_networks<N: ToString>(mut self, networks: impl IntoIterator<Item = N>) -> Self {
        self.networks = Some(networks.into_iter().map(|network| network.to_string()).collect());
        self
    }

    /// Sets what happens if another node that lives has this node's name; by default a join fails
    /// with [`JoinError::NameTaken`](crate::JoinError::NameTaken).
    pub fn on_name_taken(mut self, policy: OnNameTaken) -> Self {
        self.on_name_taken = policy;
        self
    }

    /// Encrypts everything that the node sends, and drops messages that are not encrypted with one
    /// of these keys.
    #[cfg(feature = "encryption")]
    pub fn keyring(self, keyring: Keyring) -> Self {
        self.encryption(keyring, Plaintext::Refused)
    }

    /// Encrypts as [`keyring`](Self::keyring), and says what to do with messages that are not
    /// encrypted, for a cluster that goes over to encryption while it runs: see [`Plaintext`].
    #[cfg(feature = "encryption")]
    pub fn encryption(mut self, keyring: Keyring, plaintext: Plaintext) -> Self {
        self.encryption = Some((keyring, plaintext));
        self
    }

    /// Adds [sources of seeds](SeedSource), through which the node joins its cluster and comes
    /// back to it for as long as it runs; each is text, an address or a [`Target`].
    pub fn seeds<S>(mut self, sources: impl IntoIterator<Item = S>) -> Self
    where
        S: TryInto<SeedSource>,
        InvalidSource: From<S::Error>,
    {
        self.driver = self.driver.seeds(sources);
        self
    }

    /// Adds the sources of seeds of the environment variable
    /// [`TIDINGS_SEEDS`](SeedSource::VARIABLE), with commas between them, as it is now.
    pub fn seeds_from_env(mut self) -> Self {
        self.driver = self.driver.seeds_from_env();
        self
    }

    /// Sets how often the sources of seeds are looked up again, as
    /// [`DriverConfig::seed_refresh`]; 60 s by default.
    pub fn seed_refresh(mut self, interval: Duration) -> Self {
        self.driver = self.driver.seed_refresh(interval);
        self
    }

    /// Sets the file in which the node remembers the members that it knew, as
    /// [`DriverConfig::snapshot`] describes.
    pub fn snapshot(mut self, path: impl Into<PathBuf>) -> Self {
        self.driver = self.driver.snapshot(path);
        self
    }

    /// Sets whether a node that left on purpose tries the members of its snapshot when it starts
    /// again; it does not by default.
    pub fn rejoin_after_leave(mut self, rejoin: bool) -> Self {
        self.driver = self.driver.rejoin_after_leave(rejoin);
        self
    }

    /// Sets the function that is told what goes wrong beside the node, as
    /// [`DriverConfig::on_notice`] describes; by default nobody is.
    pub fn on_notice(mut self, tell: impl Fn(Notice) + Send + Sync + 'static) -> Self {
        self.driver = self.driver.on_notice(tell);
        self
    }

    /// Starts the node.
    ///
    /// # Errors
    ///
    /// If a setting is not valid, or the port is taken; the error names the setting and its value.
    pub fn start(self) -> Result<T, StartError> {
        let bind_with = self.bind_with;
        let (listen, config, driver) = self.settings()?;
        bind_with(listen, config, driver)
    }

    fn settings(self) -> Result<(SocketAddr, Config, DriverConfig), StartError> {
        let cluster = ClusterName::new(&self.cluster)
            .map_err(|error| StartError::Cluster { cluster: self.cluster.clone(), error })?;
        let id = match &self.name {
            Some(name) => {
                NodeId::new(name).map_err(|error| StartError::Name { name: name.clone(), error })?
            }
            None => host_name()?,
        };
        let listen = match &self.bind {
            Some(text) => addr("bind", text, Target::DEFAULT_PORT)?,
            None => (Ipv4Addr::UNSPECIFIED, Target::DEFAULT_PORT).into(),
        };
        let advertised = match &self.advertise {
            Some(text) => addr("advertise", text, 0)?,
            // The port is known once the node listens.
            None => (advertise::address(listen)?, 0).into(),
        };
        let mut config = Config::builder(cluster, id, advertised)
            .options(self.options)
            .on_name_taken(self.on_name_taken)
            .meta(self.meta)
            .wire(self.wire);
        if let Some(admit) = self.admission {
            config = config.admission(admit);
        }
        if let Some(networks) = &self.networks {
            let networks = networks.iter().map(|network| network.parse());
            let networks = networks.collect::<Result<Vec<IpNetwork>, _>>();
            config = config.allowed_networks(networks.map_err(StartError::Network)?);
        }
        #[cfg(feature = "encryption")]
        if let Some((keyring, plaintext)) = self.encryption {
            config = config.encryption(keyring, plaintext);
        }
        let config = config.build().map_err(StartError::Config)?;
        Ok((listen, config, self.driver))
    }
}

impl<T> fmt::Debug for Builder<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("cluster", &self.cluster)
            .field("name", &self.name)
            .field("bind", &self.bind)
            .field("advertise", &self.advertise)
            .finish_non_exhaustive()
    }
}

fn addr(option: &'static str, text: &str, default_port: u16) -> Result<SocketAddr, StartError> {
    let ip = |text: &str| text.parse::<IpAddr>().ok().map(|ip| SocketAddr::new(ip, default_port));
    text.parse()
        .ok()
        .or_else(|| ip(text))
        .ok_or_else(|| StartError::Addr { option, value: text.into() })
}

fn host_name() -> Result<NodeId, StartError> {
    let unusable = |host_name: String, reason: String| StartError::NoHostName { host_name, reason };
    let name = hostname::get().map_err(|error| unusable(String::new(), error.to_string()))?;
    let name = name
        .into_string()
        .map_err(|name| unusable(name.to_string_lossy().into_owned(), "it is not UTF-8".into()))?;
    NodeId::new(&name).map_err(|error| unusable(name, error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn builder() -> Builder<(SocketAddr, Config)> {
        Builder::new("shop", |listen, config, _| Ok((listen, config))).bind("127.0.0.1")
    }

    fn error(builder: Builder<(SocketAddr, Config)>) -> String {
        builder.start().unwrap_err().to_string()
    }

    #[test]
    fn the_defaults_are_the_host_name_the_bound_address_and_port_7946() {
        let (listen, config) = builder().start().unwrap();
        assert_eq!(listen, "127.0.0.1:7946".parse().unwrap());
        assert_eq!(config.addr(), "127.0.0.1:0".parse().unwrap(), "0 stands for the bound port");
        assert_eq!(config.id().as_str(), hostname::get().unwrap().to_str().unwrap());
        assert_eq!(config.cluster().as_str(), "shop");
        assert_eq!(config.options(), &Options::lan());
    }

    #[test]
    fn all_interfaces_are_the_default_to_listen_at() {
        let all = Builder::new("shop", |listen, config: Config, _| Ok((listen, config)));
        let (listen, config) = all.advertise("10.0.0.7").start().unwrap();
        assert_eq!(listen, "0.0.0.0:7946".parse().unwrap());
        assert_eq!(config.addr(), "10.0.0.7:0".parse().unwrap());
    }

    #[test]
    fn addresses_are_taken_with_and_without_a_port_as_text_and_as_addresses() {
        let at = |listen: SocketAddr| builder().bind(listen).start().unwrap().0;
        let addr: SocketAddr = "[2001:db8::7]:80".parse().unwrap();
        assert_eq!(at(addr), addr);
        let (_, config) = builder().advertise("2001:db8::7").start().unwrap();
        assert_eq!(config.addr(), "[2001:db8::7]:0".parse().unwrap());
    }

    #[test]
    fn an_error_names_the_setting_and_its_value() {
        assert_eq!(
            error(builder().bind("db-7:80")),
            "`bind` is \"db-7:80\", which is not IP:PORT, as in \"10.0.0.7:7946\""
        );
        let said = error(builder().advertise("nowhere"));
        assert!(said.starts_with("`advertise` is \"nowhere\""), "{said}");
        let said = error(builder().name(""));
        assert!(said.starts_with("\"\" is not a node's name") && said.contains("`name`"), "{said}");
        let said = error(Builder::new("", |listen, config, _| Ok((listen, config))));
        assert!(said.starts_with("\"\" is not a cluster's name"), "{said}");
        let said = error(builder().meta(&*vec![7; 1000]));
        assert!(said.contains("1000") && said.contains("512"), "{said}");
        let said = error(builder().allowed_networks(["10.0.0.0/8", "10.0.0.0"]));
        assert!(said.starts_with("`allowed_networks`: \"10.0.0.0\" is not"), "{said}");
        let said = error(builder().allowed_networks(["10.0.0.0/8"]));
        assert!(said.starts_with("allowed_networks (10.0.0.0/8) do not have"), "{said}");
        assert!(said.contains("127.0.0.1"), "{said}");
        let mut options = Options::lan();
        options.awareness_max = 0;
        let said = error(builder().options(options));
        assert!(said.contains("awareness_max"), "{said}");
    }
}

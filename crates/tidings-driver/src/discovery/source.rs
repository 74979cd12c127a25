//! Sources of seeds, as operators write them.

use std::convert::Infallible;
use std::error::Error;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::{env, fmt};
use tidings::{Services, Target, TargetError};

/// A source of seeds: an address, a name that is looked up again and again, a file, or a command.
///
/// | text | addresses |
/// |---|---|
/// | `[NAME/]HOST[:PORT]` | one address, or all addresses of a host name, as [`Target`] has it |
/// | `dns:HOST[:PORT]` | the same; for a host whose name is one of these prefixes |
/// | `file:PATH` | one `HOST[:PORT]` on each line of a file, which is watched |
/// | `exec:COMMAND` | one on each line that `sh -c COMMAND` prints; on Unix only |
/// | `srv:NAME` | the hosts and ports of the SRV records of a name; needs the feature `srv` |
///
/// Without a port it is 7946. In a file and in the output of a command, blank lines and text after
/// `#` are ignored; each has at most 1 MiB and 1,024 lines with seeds. A command is killed after
/// 10 s, with its process group.
///
/// ```
/// use tidings_driver::SeedSource;
///
/// let source: SeedSource = "file:/etc/shop/seeds".parse()?;
/// assert_eq!(source.to_string(), "file:/etc/shop/seeds");
/// # Ok::<(), tidings_driver::InvalidSource>(())
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SeedSource {
    written: String,
    kind: Kind,
}

/// Where a source gets its seeds from.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Kind {
    Target(Target),
    /// A file, and the port of lines without one.
    File(PathBuf, u16),
    /// A command, and the port of lines without one.
    #[cfg(unix)]
    Exec(String, u16),
    /// The name of SRV records.
    #[cfg(feature = "srv")]
    Srv(String),
}

impl SeedSource {
    /// The environment variable that [`from_env`](Self::from_env) reads: `TIDINGS_SEEDS`.
    pub const VARIABLE: &'static str = "TIDINGS_SEEDS";

    /// Parses a source, with the port of hosts that are written without one and the services that
    /// may stand for a port; `str::parse` does the same with [`Target::DEFAULT_PORT`] and the
    /// services that are known without a file.
    ///
    /// # Errors
    ///
    /// If nothing follows a prefix, the text is not a host, or this program cannot use the source.
    pub fn parse(
        text: &str,
        default_port: u16,
        services: &Services,
    ) -> Result<Self, InvalidSource> {
        let text = text.trim();
        let (prefix, rest) = match text.split_once(':') {
            Some((prefix @ ("dns" | "srv" | "file" | "exec"), rest)) => (prefix, rest),
            _ => ("", text),
        };
        if rest.is_empty() {
            return Err(InvalidSource::Empty { source: text.into() });
        }
        let kind = match prefix {
            #[cfg(feature = "srv")]
            "srv" => Kind::Srv(rest.into()),
            #[cfg(not(feature = "srv"))]
            "srv" => return Err(InvalidSource::NoSrv { source: text.into() }),
            "file" => Kind::File(rest.into(), default_port),
            #[cfg(unix)]
            "exec" => Kind::Exec(rest.into(), default_port),
            #[cfg(not(unix))]
            "exec" => return Err(InvalidSource::NoExec { source: text.into() }),
            _ => Target::parse(rest, default_port, services)
                .map(Kind::Target)
                .map_err(|error| InvalidSource::Target { source: text.into(), error })?,
        };
        Ok(Self { written: text.into(), kind })
    }

    /// Parses sources with commas between them, as [`parse`](Self::parse) does; empty ones are
    /// ignored. A path or a command with a comma cannot be written in such a list.
    ///
    /// # Errors
    ///
    /// As [`parse`](Self::parse).
    pub fn parse_list(
        text: &str,
        default_port: u16,
        services: &Services,
    ) -> Result<Vec<Self>, InvalidSource> {
        let sources = text.split(',').map(str::trim).filter(|text| !text.is_empty());
        sources.map(|text| Self::parse(text, default_port, services)).collect()
    }

    /// The sources of the environment variable [`VARIABLE`](Self::VARIABLE), with commas between
    /// them; none if it is not set.
    ///
    /// # Errors
    ///
    /// If the variable is not UTF-8, and as [`parse`](Self::parse).
    pub fn from_env(default_port: u16, services: &Services) -> Result<Vec<Self>, InvalidSource> {
        let Some(list) = env::var_os(Self::VARIABLE) else { return Ok(Vec::new()) };
        let list = list.into_string().map_err(|list| InvalidSource::NotText {
            variable: Self::VARIABLE,
            value: list.to_string_lossy().into_owned(),
        })?;
        Self::parse_list(&list, default_port, services)
    }

    pub(crate) fn kind(&self) -> &Kind {
        &self.kind
    }

    /// The addresses of a source that needs no lookup.
    pub(crate) fn literal(&self) -> Option<Vec<SocketAddr>> {
        match &self.kind {
            Kind::Target(target) if target.name().is_none() && target.zone().is_none() => {
                target.addrs(&[], None).ok()
            }
            _ => None,
        }
    }

    /// The file of a source that is one.
    pub(crate) fn file(&self) -> Option<&Path> {
        match &self.kind {
            Kind::File(path, _) => Some(path),
            _ => None,
        }
    }
}

impl fmt::Display for SeedSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.written)
    }
}

impl FromStr for SeedSource {
    type Err = InvalidSource;

    fn from_str(text: &str) -> Result<Self, InvalidSource> {
        Self::parse(text, Target::DEFAULT_PORT, &Services::default())
    }
}

impl TryFrom<&str> for SeedSource {
    type Error = InvalidSource;

    fn try_from(text: &str) -> Result<Self, InvalidSource> {
        text.parse()
    }
}

impl TryFrom<&String> for SeedSource {
    type Error = InvalidSource;

    fn try_from(text: &String) -> Result<Self, InvalidSource> {
        text.parse()
    }
}

impl TryFrom<String> for SeedSource {
    type Error = InvalidSource;

    fn try_from(text: String) -> Result<Self, InvalidSource> {
        text.parse()
    }
}

impl From<SocketAddr> for SeedSource {
    fn from(addr: SocketAddr) -> Self {
        Self { written: addr.to_string(), kind: Kind::Target(addr.into()) }
    }
}

impl From<Target> for SeedSource {
    fn from(target: Target) -> Self {
        Self { written: target.to_string(), kind: Kind::Target(target) }
    }
}

/// The reason why text is not a source of seeds; each names the text.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum InvalidSource {
    /// Nothing follows the prefix, or there is no text.
    Empty {
        /// The text.
        source: String,
    },
    /// The host or its port is not valid.
    Target {
        /// The text.
        source: String,
        /// The reason.
        error: TargetError,
    },
    /// This program was built without the feature `srv`, which looks SRV records up.
    NoSrv {
        /// The text.
        source: String,
    },
    /// Commands are run on Unix only.
    NoExec {
        /// The text.
        source: String,
    },
    /// An environment variable is not UTF-8.
    NotText {
        /// The variable.
        variable: &'static str,
        /// Its value, with U+FFFD for what is not UTF-8.
        value: String,
    },
}

impl fmt::Display for InvalidSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty { source } => write!(
                f,
                "{source:?} is not a source of seeds: HOST[:PORT], dns:HOST[:PORT], srv:NAME, \
                 file:PATH or exec:COMMAND"
            ),
            Self::Target { source, error } => {
                write!(f, "{source:?} is not a source of seeds: {error}")
            }
            Self::NoSrv { source } => write!(
                f,
                "{source:?} is not a source of seeds here: this program was built without the \
                 feature srv of tidings-driver, which looks up SRV records"
            ),
            Self::NoExec { source } => {
                write!(f, "{source:?} is not a source of seeds here: commands run on Unix only")
            }
            Self::NotText { variable, value } => {
                write!(f, "the environment variable {variable} is {value:?}, which is not UTF-8")
            }
        }
    }
}

impl Error for InvalidSource {}

impl From<Infallible> for InvalidSource {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(text: &str) -> SeedSource {
        text.parse().unwrap()
    }

    fn error(text: &str) -> String {
        text.parse::<SeedSource>().unwrap_err().to_string()
    }

    #[test]
    fn a_prefix_says_where_seeds_come_from_and_a_host_needs_none() {
        let target = |text: &str| Kind::Target(text.parse().unwrap());
        assert_eq!(source("db-1").kind, target("db-1:7946"));
        assert_eq!(source(" a/db-1:80 ").kind, target("a/db-1:80"));
        assert_eq!(source("dns:db-1:80").kind, target("db-1:80"));
        assert_eq!(source("[2001:db8::7]:80").kind, target("[2001:db8::7]:80"));
        // As dig prints names.
        assert_eq!(source("db-1.shop.example.:80").kind, target("db-1.shop.example.:80"));
        assert_eq!(source("2001:db8::7").kind, target("[2001:db8::7]:7946"));
        assert_eq!(source("file:/etc/a:b").kind, Kind::File("/etc/a:b".into(), 7946));
        #[cfg(unix)]
        assert_eq!(source("exec:echo a:1").kind, Kind::Exec("echo a:1".into(), 7946));
        #[cfg(feature = "srv")]
        assert_eq!(source("srv:_a._tcp.b").kind, Kind::Srv("_a._tcp.b".into()));
        let at_80 = SeedSource::parse("file:seeds", 80, &Services::default()).unwrap();
        assert_eq!(at_80.kind, Kind::File("seeds".into(), 80));
    }

    #[test]
    fn a_host_with_the_name_of_a_prefix_is_written_with_dns() {
        assert_eq!(source("dns:file:80").kind, Kind::Target("file:80".parse().unwrap()));
        assert_eq!(source("file").kind, Kind::Target("file:7946".parse().unwrap()));
    }

    #[test]
    fn a_source_is_displayed_as_it_was_written() {
        for text in ["db-1", "dns:db-1:80", "file:/a b", "10.0.0.7"] {
            assert_eq!(source(text).to_string(), text);
        }
        let addr: SocketAddr = "10.0.0.7:80".parse().unwrap();
        assert_eq!(SeedSource::from(addr).to_string(), "10.0.0.7:80");
        assert_eq!(SeedSource::from(addr).literal(), Some(vec![addr]));
        assert_eq!(source("db-1").literal(), None);
    }

    #[test]
    fn an_error_names_the_text() {
        for text in ["", "dns:", "file:", "exec:", "srv:"] {
            assert!(error(text).starts_with(&format!("{text:?} is not a source")), "{text}");
        }
        assert!(error("no where").contains("no where"));
        assert!(error("dns:db-1:nosuch").contains("\"dns:db-1:nosuch\" is not a source"));
        #[cfg(not(feature = "srv"))]
        assert!(error("srv:_shop._tcp.example").contains("without the feature srv"));
    }

    #[test]
    fn a_list_has_commas_and_empty_parts_do_not_count() {
        let list = |text| SeedSource::parse_list(text, 7946, &Services::default());
        assert_eq!(list("a, file:b,,c:80,").unwrap(), ["a", "file:b", "c:80"].map(source));
        assert_eq!(list(" ").unwrap(), []);
        assert!(list("a,file:").is_err());
    }
}

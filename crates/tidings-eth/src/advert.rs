//! What gateways tell all members: endpoints as metadata, heights as broadcasts. Both are text.

use crate::endpoint::HttpEndpoint;
use std::fmt;
use std::str::FromStr;
use tidings::NodeId;

/// What a gateway advertises in its metadata: the chain that its node serves, and where.
///
/// It is one line of text, so that other tools and people can read it, and so that an application
/// can have lines of its own in the same metadata:
///
/// ```
/// use tidings_eth::Advert;
///
/// let advert = Advert::find("role=rpc\neth 31337 http://10.0.0.7:8545").expect("it has a line");
/// assert_eq!(advert.chain, 31337);
/// assert_eq!(advert.to_string(), "eth 31337 http://10.0.0.7:8545");
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Advert {
    /// The chain.
    pub chain: u64,
    /// Where the node answers, best first: 1 to 4. None has a path, because a path can be a key.
    pub endpoints: Vec<HttpEndpoint>,
}

impl Advert {
    /// The largest number of endpoints.
    pub const MAX_ENDPOINTS: usize = 4;

    /// An advert of a chain and endpoints.
    ///
    /// # Errors
    ///
    /// If there is no endpoint or too many, or one has a path.
    pub fn new(chain: u64, endpoints: Vec<HttpEndpoint>) -> Result<Self, InvalidAdvert> {
        match endpoints.len() {
            0 => return Err(InvalidAdvert::NoEndpoint),
            1..=Self::MAX_ENDPOINTS => {}
            _ => return Err(InvalidAdvert::TooMany),
        }
        if endpoints.iter().any(|endpoint| endpoint.path() != "/") {
            return Err(InvalidAdvert::Path);
        }
        Ok(Self { chain, endpoints })
    }

    /// The advert in a member's metadata; `None` without a valid one.
    pub fn find(meta: &str) -> Option<Self> {
        meta.lines().find(|line| line.starts_with("eth "))?.parse().ok()
    }
}

impl FromStr for Advert {
    type Err = InvalidAdvert;

    fn from_str(text: &str) -> Result<Self, InvalidAdvert> {
        let mut words = text.split(' ');
        let (Some("eth"), Some(chain)) = (words.next(), words.next()) else {
            return Err(InvalidAdvert::Form);
        };
        let chain = number(chain).ok_or(InvalidAdvert::Form)?;
        let endpoints = words.take(Self::MAX_ENDPOINTS + 1).map(str::parse);
        let endpoints = endpoints.collect::<Result<_, _>>().map_err(|_| InvalidAdvert::Form)?;
        Self::new(chain, endpoints)
    }
}

impl fmt::Display for Advert {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "eth {}", self.chain)?;
        self.endpoints.iter().try_for_each(|endpoint| write!(f, " {endpoint}"))
    }
}

/// The reason why there is no [`Advert`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum InvalidAdvert {
    /// The text is not of the form `eth CHAIN URL...`.
    Form,
    /// There is no endpoint.
    NoEndpoint,
    /// There are more than [`Advert::MAX_ENDPOINTS`].
    TooMany,
    /// An endpoint has a path, which may be a key and would be told to all members.
    Path,
}

impl fmt::Display for InvalidAdvert {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Form => f.write_str("an advert is of the form `eth CHAIN URL...`"),
            Self::NoEndpoint => f.write_str("an advert has at least one endpoint"),
            Self::TooMany => {
                write!(f, "an advert has at most {} endpoints", Advert::MAX_ENDPOINTS)
            }
            Self::Path => {
                f.write_str("an advertised endpoint is http(s)://HOST:PORT without a path")
            }
        }
    }
}

impl std::error::Error for InvalidAdvert {}

/// The height of a gateway's node, which the gateway broadcasts to all members.
///
/// The gateway is named, because in memberlist's format a broadcast does not tell who sent it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Height {
    pub(crate) chain: u64,
    pub(crate) height: u64,
    pub(crate) gateway: NodeId,
}

impl Height {
    /// The height in a broadcast; `None` for broadcasts of other kinds.
    pub(crate) fn parse(data: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(data).ok()?.strip_prefix("eth-height ")?;
        let (chain, rest) = text.split_once(' ')?;
        let (height, gateway) = rest.split_once(' ')?;
        let gateway = gateway.parse().ok()?;
        Some(Self { chain: number(chain)?, height: number(height)?, gateway })
    }
}

impl fmt::Display for Height {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "eth-height {} {} {}", self.chain, self.height, self.gateway.as_str())
    }
}

/// A decimal number without a sign.
fn number(text: &str) -> Option<u64> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_advert_is_a_line_among_others() {
        let line = "eth 1 http://10.0.0.7:8545 https://rpc.example:443";
        for meta in [line.to_owned(), format!("role=rpc\n{line}"), format!("{line}\nx")] {
            assert_eq!(Advert::find(&meta).unwrap().to_string(), line);
        }
    }

    #[test]
    fn gossip_names_neither_paths_nor_sockets() {
        for meta in [
            "",
            "eth",
            "eth 1",
            "eth x http://a",
            "eth +1 http://a",
            "eth 1 /run/anvil.ipc",
            "eth 1 ws://a",
            "eth 1 http://a/key",
            "eth 1  http://a",
            "eth 1 http://user@a",
            "eth 1 http://a http://b http://c http://d http://e",
        ] {
            assert_eq!(Advert::find(meta), None, "{meta:?}");
        }
    }

    #[test]
    fn heights_are_written_as_they_are_read() {
        let gateway = "gateway 1".parse().unwrap();
        let height = Height { chain: 1, height: u64::MAX, gateway };
        assert_eq!(Height::parse(height.to_string().as_bytes()), Some(height));
        for text in ["eth-height 1 2", "eth-height 1 2 ", "eth-height 1 -2 a", "eth-height 1 2 \0"]
        {
            assert_eq!(Height::parse(text.as_bytes()), None, "{text:?}");
        }
    }
}

//! Networks of IP addresses, and the list of those in which members' addresses have to lie.

use alloc::vec::Vec;
use core::fmt;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use core::str::FromStr;
use smol_str::SmolStr;

/// A network of IPv4 or of IPv6 addresses: an address and the number of its leading bits that all
/// addresses of the network share, as in `10.0.0.0/8` or `2001:db8::/32`.
///
/// An IPv4 network has no IPv6 addresses, and the other way round; an IPv4 address in IPv6 form
/// counts as IPv4.
///
/// ```
/// use tidings::IpNetwork;
///
/// let network: IpNetwork = "10.1.0.0/16".parse()?;
/// assert!(network.contains("10.1.255.7".parse()?));
/// assert!(network.contains("::ffff:10.1.255.7".parse()?));
/// assert!(!network.contains("10.2.0.1".parse()?));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[cfg_attr(feature = "record", derive(serde::Deserialize, serde::Serialize))]
#[cfg_attr(feature = "record", serde(try_from = "(IpAddr, u8)", into = "(IpAddr, u8)"))]
pub struct IpNetwork {
    /// The first address: all further bits are 0.
    first: IpAddr,
    prefix: u8,
}

impl IpNetwork {
    /// The network of the addresses that share the first `prefix` bits of `ip`; its further bits
    /// have no effect.
    ///
    /// # Errors
    ///
    /// If `prefix` is over 32 for IPv4, or over 128 for IPv6.
    pub fn new(ip: IpAddr, prefix: u8) -> Result<Self, InvalidNetwork> {
        let max = if ip.is_ipv4() { 32 } else { 128 };
        if prefix > max {
            return Err(InvalidNetwork::Prefix { ip, prefix: prefix.into(), max });
        }
        Ok(match (ip, ip.to_canonical()) {
            // An IPv4 network in IPv6 form.
            (IpAddr::V6(_), IpAddr::V4(mapped)) if prefix >= 96 => {
                Self { first: masked(mapped.into(), prefix - 96), prefix: prefix - 96 }
            }
            _ => Self { first: masked(ip, prefix), prefix },
        })
    }

    /// Whether an address is in the network.
    pub fn contains(self, ip: IpAddr) -> bool {
        let ip = ip.to_canonical();
        ip.is_ipv4() == self.first.is_ipv4() && masked(ip, self.prefix) == self.first
    }
}

/// An address with all bits after the first `prefix` set to 0.
fn masked(ip: IpAddr, prefix: u8) -> IpAddr {
    let prefix = u32::from(prefix);
    match ip {
        IpAddr::V4(ip) => {
            let mask = u32::MAX.checked_shl(32 - prefix).unwrap_or(0);
            Ipv4Addr::from_bits(ip.to_bits() & mask).into()
        }
        IpAddr::V6(ip) => {
            let mask = u128::MAX.checked_shl(128 - prefix).unwrap_or(0);
            Ipv6Addr::from_bits(ip.to_bits() & mask).into()
        }
    }
}

impl FromStr for IpNetwork {
    type Err = InvalidNetwork;

    /// Parses `ADDRESS/PREFIX`.
    fn from_str(text: &str) -> Result<Self, InvalidNetwork> {
        let parts = text.split_once('/').and_then(|(ip, prefix)| {
            let digits = prefix.len() <= 3 && prefix.bytes().all(|byte| byte.is_ascii_digit());
            let prefix = prefix.parse::<u16>().ok().filter(|_| digits)?;
            Some((ip.parse::<IpAddr>().ok()?, prefix))
        });
        let (ip, prefix) = parts.ok_or_else(|| InvalidNetwork::Syntax(text.into()))?;
        let max = if ip.is_ipv4() { 32 } else { 128 };
        let prefix =
            u8::try_from(prefix).map_err(|_| InvalidNetwork::Prefix { ip, prefix, max })?;
        Self::new(ip, prefix)
    }
}

impl TryFrom<(IpAddr, u8)> for IpNetwork {
    type Error = InvalidNetwork;

    fn try_from((ip, prefix): (IpAddr, u8)) -> Result<Self, InvalidNetwork> {
        Self::new(ip, prefix)
    }
}

impl From<IpNetwork> for (IpAddr, u8) {
    fn from(IpNetwork { first, prefix }: IpNetwork) -> Self {
        (first, prefix)
    }
}

impl fmt::Display for IpNetwork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.first, self.prefix)
    }
}

impl fmt::Debug for IpNetwork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The reason why an [`IpNetwork`] was not made.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum InvalidNetwork {
    /// The text is not `ADDRESS/PREFIX`.
    Syntax(SmolStr),
    /// The prefix is longer than the address.
    Prefix {
        /// The address.
        ip: IpAddr,
        /// The number of bits.
        prefix: u16,
        /// The number of bits of such an address.
        max: u8,
    },
}

impl fmt::Display for InvalidNetwork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Syntax(text) => {
                write!(f, "{text:?} is not ADDRESS/PREFIX, as in 10.0.0.0/8 or 2001:db8::/32")
            }
            Self::Prefix { ip, prefix, max } => {
                write!(f, "{ip}/{prefix} has a prefix of {prefix} bits; it must be 0 to {max}")
            }
        }
    }
}

impl core::error::Error for InvalidNetwork {}

/// The networks in which the addresses of members have to lie; without a list, all addresses may be
/// members', and with an empty one none.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[cfg_attr(feature = "record", derive(serde::Deserialize, serde::Serialize))]
pub(crate) struct AllowedNetworks(Option<Vec<IpNetwork>>);

impl AllowedNetworks {
    /// The largest number of networks.
    pub(crate) const MAX: usize = 256;

    pub(crate) fn new(networks: impl IntoIterator<Item = IpNetwork>) -> Self {
        Self(Some(networks.into_iter().collect()))
    }

    pub(crate) fn list(&self) -> Option<&[IpNetwork]> {
        self.0.as_deref()
    }

    /// Whether an address is in one of the networks, or there is no list.
    pub(crate) fn allow(&self, ip: IpAddr) -> bool {
        self.list().is_none_or(|list| list.iter().any(|network| network.contains(ip)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    fn network(text: &str) -> IpNetwork {
        text.parse().unwrap()
    }

    #[test]
    fn a_network_has_the_addresses_that_share_its_prefix() {
        for (text, inside, outside) in [
            ("10.0.0.0/8", &["10.0.0.0", "10.255.255.255", "::ffff:10.1.2.3"][..], "11.0.0.0"),
            ("10.0.0.7/8", &["10.0.0.0", "10.9.9.9"], "9.255.255.255"),
            ("192.0.2.7/32", &["192.0.2.7"], "192.0.2.6"),
            ("192.0.2.6/31", &["192.0.2.6", "192.0.2.7"], "192.0.2.8"),
            ("0.0.0.0/0", &["0.0.0.0", "255.255.255.255"], "::"),
            ("::/0", &["::", "2001:db8::7"], "192.0.2.7"),
            ("2001:db8::/33", &["2001:db8:7fff::"], "2001:db8:8000::"),
            ("2001:db8::7/128", &["2001:db8::7"], "2001:db8::6"),
            ("::ffff:10.0.0.0/104", &["10.1.2.3", "::ffff:10.1.2.3"], "11.0.0.0"),
            ("::ffff:0.0.0.0/96", &["192.0.2.7"], "2001:db8::7"),
        ] {
            for ip in inside {
                assert!(network(text).contains(ip.parse().unwrap()), "{ip} is in {text}");
            }
            assert!(!network(text).contains(outside.parse().unwrap()), "{outside} is in {text}");
        }
    }

    #[test]
    fn a_network_is_shown_by_its_first_address() {
        assert_eq!(network("10.1.2.3/8").to_string(), "10.0.0.0/8");
        assert_eq!(network("::ffff:10.1.2.3/120").to_string(), "10.1.2.0/24");
        assert_eq!(network("2001:db8::7/32").to_string(), "2001:db8::/32");
    }

    #[test]
    fn text_that_is_no_network_is_an_error_that_names_it() {
        for text in ["", "10.0.0.0", "10.0.0.0/", "/8", "10.0.0.0/+8", "10.0.0.0/-1", "a/8"] {
            let error = text.parse::<IpNetwork>().unwrap_err();
            assert_eq!(error, InvalidNetwork::Syntax(text.into()));
            assert!(error.to_string().starts_with(&alloc::format!("{text:?} is not")), "{error}");
        }
        for (text, max) in [("10.0.0.0/33", 32), ("10.0.0.0/999", 32), ("2001:db8::/129", 128)] {
            let error = text.parse::<IpNetwork>().unwrap_err().to_string();
            assert!(error.starts_with(text), "{error}");
            assert!(error.ends_with(&alloc::format!("it must be 0 to {max}")), "{error}");
        }
    }

    #[test]
    fn without_a_list_all_addresses_are_allowed_and_with_an_empty_one_none() {
        let (none, some) = (AllowedNetworks::default(), [network("10.0.0.0/8"), network("::/0")]);
        let some = AllowedNetworks::new(some);
        for (ip, allowed) in [("10.0.0.1", true), ("2001:db8::7", true), ("192.0.2.7", false)] {
            let ip = ip.parse().unwrap();
            assert!(none.allow(ip) && !AllowedNetworks::new([]).allow(ip));
            assert_eq!(some.allow(ip), allowed);
        }
    }
}

//! Who a member is: its name, its incarnation, its state, its metadata.

use crate::detector::rtt::Rtt;
use crate::incarnation::Incarnation;
use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use core::net::{IpAddr, SocketAddr};
use core::ops::Deref;
use core::str::FromStr;
use serde::de::{Error, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use smol_str::SmolStr;

macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(Clone, Eq, Hash, Ord, PartialEq, PartialOrd)]
        pub struct $name(SmolStr);

        impl $name {
            /// The longest name, in bytes of UTF-8.
            pub const MAX_LEN: usize = 255;

            #[doc = concat!("Checks and takes ", $what, ".")]
            ///
            /// # Errors
            ///
            /// If the name is empty, longer than [`Self::MAX_LEN`] bytes, or holds a control
            /// character (which would let a peer write escape sequences to our users' terminals).
            pub fn new(name: &str) -> Result<Self, InvalidName> {
                check_name(name, Self::MAX_LEN)?;
                Ok(Self(SmolStr::new(name)))
            }

            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = InvalidName;

            fn from_str(name: &str) -> Result<Self, InvalidName> {
                Self::new(name)
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(self.as_str(), f)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Text;

                impl Visitor<'_> for Text {
                    type Value = $name;

                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str($what)
                    }

                    fn visit_str<E: Error>(self, name: &str) -> Result<$name, E> {
                        $name::new(name).map_err(E::custom)
                    }
                }

                deserializer.deserialize_str(Text)
            }
        }
    };
}

name! {
    /// The name that identifies a member in its cluster, at whatever address it runs.
    ///
    /// 1 to 255 bytes of UTF-8 without control characters. Cloning is cheap, and a name of up to
    /// 23 bytes is held without an allocation.
    ///
    /// ```
    /// use tidings::NodeId;
    ///
    /// let id = NodeId::new("db-7")?;
    /// assert_eq!(id.as_str(), "db-7");
    /// assert!(NodeId::new("").is_err());
    /// # Ok::<(), tidings::InvalidName>(())
    /// ```
    NodeId, "a member's name"
}

name! {
    /// The name of a cluster, to which every datagram and every stream is bound.
    ///
    /// 1 to 255 bytes of UTF-8 without control characters. Nodes with different cluster names do
    /// not hear one another, so that two clusters never merge because an address was reused. It is
    /// not a secret and keeps nobody out.
    ClusterName, "a cluster's name"
}

impl NodeId {
    /// What stands for this name where a message has no room for it: the CRC-32 of its bytes.
    pub(crate) fn short(&self) -> u32 {
        crc32fast::hash(self.0.as_bytes())
    }
}

fn check_name(name: &str, max: usize) -> Result<(), InvalidName> {
    if name.is_empty() {
        return Err(InvalidName::Empty);
    }
    if name.len() > max {
        return Err(InvalidName::TooLong(TooLong { len: name.len(), max }));
    }
    match name.chars().find(|c| c.is_control()) {
        Some(character) => Err(InvalidName::Control { character }),
        None => Ok(()),
    }
}

/// Why a name was not taken as a [`NodeId`] or a [`ClusterName`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum InvalidName {
    /// The name has no characters.
    Empty,
    /// The name has too many bytes.
    TooLong(TooLong),
    /// The name holds a control character.
    Control {
        /// The first of them.
        character: char,
    },
}

impl fmt::Display for InvalidName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("a name must not be empty"),
            Self::TooLong(too_long) => write!(f, "a name is too long: {too_long}"),
            Self::Control { character } => {
                write!(f, "a name must not hold the control character {character:?}")
            }
        }
    }
}

impl core::error::Error for InvalidName {}

/// Something has more bytes than its limit allows.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct TooLong {
    /// How many bytes it has.
    pub len: usize,
    /// How many it may have.
    pub max: usize,
}

impl fmt::Display for TooLong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes where {} are allowed", self.len, self.max)
    }
}

impl core::error::Error for TooLong {}

/// What a member tells all others about itself: bytes that mean something to the application.
///
/// The limit is the node's own, [`Options::max_meta`](crate::Options::max_meta), and is checked
/// where metadata enters a node. Cloning is cheap; empty metadata takes no memory.
#[derive(Clone, Default, Eq, Hash, PartialEq)]
pub struct Meta(
    /// Twice away, since one pointer has half the size: there is one for every member.
    Option<Arc<Box<[u8]>>>,
);

impl Meta {
    /// No metadata.
    pub const EMPTY: Self = Self(None);

    /// Takes a copy of `bytes` as metadata.
    pub fn new(bytes: &[u8]) -> Self {
        Self((!bytes.is_empty()).then(|| Arc::new(bytes.into())))
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_ref().map_or(&[], |bytes| bytes)
    }

    /// `Ok` if there are at most `max` bytes.
    pub(crate) fn check_len(&self, max: usize) -> Result<(), TooLong> {
        let len = self.len();
        if len > max { Err(TooLong { len, max }) } else { Ok(()) }
    }
}

impl Deref for Meta {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.as_bytes()
    }
}

impl From<&[u8]> for Meta {
    fn from(bytes: &[u8]) -> Self {
        Self::new(bytes)
    }
}

impl From<&str> for Meta {
    fn from(text: &str) -> Self {
        Self::new(text.as_bytes())
    }
}

impl Serialize for Meta {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(self)
    }
}

impl<'de> Deserialize<'de> for Meta {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Octets;

        impl<'de> Visitor<'de> for Octets {
            type Value = Meta;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("bytes")
            }

            fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<Meta, E> {
                Ok(Meta::new(bytes))
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Meta, E> {
                Ok(Meta::new(text.as_bytes()))
            }

            /// Formats without bytes, as JSON is, have a list of numbers.
            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Meta, A::Error> {
                let mut bytes = Vec::new();
                while let Some(byte) = list.next_element()? {
                    bytes.push(byte);
                }
                Ok(Meta::new(&bytes))
            }
        }

        deserializer.deserialize_bytes(Octets)
    }
}

/// As text where it is text.
impl fmt::Debug for Meta {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_bytes(self, f)
    }
}

/// Writes bytes for a person to read: as quoted text where they are text.
pub(crate) fn write_bytes(bytes: &[u8], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match str::from_utf8(bytes) {
        Ok(text) => write!(f, "{text:?}"),
        Err(_) => write!(f, "b\"{}\"", bytes.escape_ascii()),
    }
}

/// What a node holds to be true of a member.
///
/// The order is that of precedence between claims about one incarnation: a later state overrides
/// an earlier one (SWIM §4.2), and a member's own word that it left overrides that it failed.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
pub enum State {
    /// It takes part.
    Alive,
    /// It did not answer a probe and has not contradicted that yet; it still counts as a member.
    Suspect,
    /// It did not answer and did not contradict in time.
    Failed,
    /// It said itself that it leaves.
    Left,
}

impl State {
    /// Whether such a member takes part: alive or suspect.
    pub fn is_present(self) -> bool {
        self <= Self::Suspect
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Alive => "alive",
            Self::Suspect => "suspect",
            Self::Failed => "failed",
            Self::Left => "left",
        })
    }
}

/// One member as a node knows it: its name, address, state, incarnation and metadata.
///
/// It can be serialized, to be shown or stored; beside what the methods tell, that has internal
/// values. When it is deserialized, a member that no node could hold is refused: one with an IPv4
/// address in IPv6's form, or one that is [degraded](Self::is_degraded) and not present.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Member {
    pub(crate) id: NodeId,
    pub(crate) meta: Meta,
    pub(crate) incarnation: Incarnation,
    ip: IpAddr,
    port: u16,
    pub(crate) state: State,
    pub(crate) degraded: bool,
    pub(crate) versions: ProtocolVersions,
    /// How long it takes to answer us.
    pub(crate) rtt: Rtt,
}

/// How a member speaks memberlist's format, as it says itself; nothing of that in ours.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct ProtocolVersions {
    /// Which versions it speaks.
    pub(crate) versions: [u8; 6],
    /// Whether it gives its IPv4 address in 16 bytes.
    pub(crate) mapped: bool,
}

#[cfg(feature = "memberlist")]
impl ProtocolVersions {
    /// Whether each speaks versions that the other one understands.
    pub(crate) fn agrees(self, other: Self) -> bool {
        let understands = |one: Self, other: Self| {
            let [min, max, _, delegate_min, delegate_max, _] = one.versions;
            let [_, _, spoken, _, _, delegate] = other.versions;
            (min..=max).contains(&spoken) && (delegate_min..=delegate_max).contains(&delegate)
        };
        understands(self, other) && understands(other, self)
    }
}

/// A [`Member`] that is not checked yet.
#[derive(Deserialize)]
#[serde(remote = "Member")]
struct Unchecked {
    id: NodeId,
    meta: Meta,
    incarnation: Incarnation,
    ip: IpAddr,
    port: u16,
    state: State,
    degraded: bool,
    versions: ProtocolVersions,
    rtt: Rtt,
}

impl<'de> Deserialize<'de> for Member {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let member = Unchecked::deserialize(deserializer)?;
        if member.ip != member.ip.to_canonical() {
            let (id, ip) = (&member.id, member.ip);
            return Err(Error::custom(format_args!(
                "member {id} has the IPv4 address {ip} in IPv6's form; write {}",
                ip.to_canonical()
            )));
        }
        if member.degraded && !member.state.is_present() {
            let (id, state) = (&member.id, member.state);
            return Err(Error::custom(format_args!(
                "member {id} is {state} and degraded; only one that is alive or suspect can be"
            )));
        }
        Ok(member)
    }
}

impl Member {
    pub(crate) fn new(id: NodeId, addr: SocketAddr, incarnation: Incarnation, meta: Meta) -> Self {
        let (ip, port, state, degraded) = (addr.ip(), addr.port(), State::Alive, false);
        let (versions, rtt) = (ProtocolVersions::default(), Rtt::default());
        Self { id, meta, incarnation, ip, port, state, degraded, versions, rtt }
    }

    pub(crate) fn set_addr(&mut self, addr: SocketAddr) {
        (self.ip, self.port) = (addr.ip(), addr.port());
    }

    /// Its name.
    pub fn id(&self) -> &NodeId {
        &self.id
    }

    /// Where it is reached, by datagram and by stream; an IPv6 address never has a zone here.
    pub fn addr(&self) -> SocketAddr {
        SocketAddr::new(self.ip, self.port)
    }

    /// What it says about itself.
    pub fn meta(&self) -> &Meta {
        &self.meta
    }

    /// What we hold to be true of it.
    pub fn state(&self) -> State {
        self.state
    }

    /// Whether it answered our last probe of it over a stream, and no datagram: it is there, but news
    /// does not reach it, or its does not reach us.
    pub fn is_degraded(&self) -> bool {
        self.degraded
    }

    /// The versions of memberlist's protocol that it speaks and of its application's, each as the
    /// least, the greatest and the current one; `None` in Tidings' own format.
    pub fn versions(&self) -> Option<[u8; 6]> {
        let versions = self.versions.versions;
        (versions != [0; 6]).then_some(versions)
    }

    /// The incarnation that this knowledge is about.
    pub fn incarnation(&self) -> Incarnation {
        self.incarnation
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::String;

    #[test]
    fn names_are_checked_where_they_are_made() {
        assert!(NodeId::new(&"x".repeat(255)).is_ok());
        assert_eq!(
            NodeId::new(&"x".repeat(256)),
            Err(InvalidName::TooLong(TooLong { len: 256, max: 255 }))
        );
        assert_eq!(NodeId::new(""), Err(InvalidName::Empty));
        assert_eq!(NodeId::new("a\x1b[2J"), Err(InvalidName::Control { character: '\x1b' }));
        let said = alloc::format!("{}", NodeId::new(&"x".repeat(300)).unwrap_err());
        assert_eq!(said, String::from("a name is too long: 300 bytes where 255 are allowed"));
    }
}

//! Members: their names, metadata and states, and the record of one.

mod name;

pub use name::is_hidden;

use crate::incarnation::Incarnation;
use crate::rtt::Rtt;
use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use bytes::Bytes;
use core::fmt;
use core::net::{IpAddr, SocketAddr};
use core::ops::Deref;
use core::str::FromStr;
#[cfg(feature = "serde")]
use serde::de::{Error, SeqAccess, Visitor};
#[cfg(feature = "serde")]
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use siphasher::sip::SipHasher13;
use smol_str::SmolStr;

macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(Clone, Eq, Hash, Ord, PartialEq, PartialOrd)]
        pub struct $name(SmolStr);

        impl $name {
            /// The longest name, in bytes of UTF-8.
            pub const MAX_LEN: usize = 255;

            #[doc = concat!("Creates ", $what, " from text, if it is valid.")]
            ///
            /// # Errors
            ///
            /// If the name is empty, longer than [`Self::MAX_LEN`] bytes, or people cannot see or
            /// type it: it contains a control character, with which a peer could write escape
            /// sequences to a user's terminal, or a character without a glyph, such as those that
            /// change the direction of text or have no width; or it begins or ends with a space.
            pub fn new(name: &str) -> Result<Self, InvalidName> {
                name::check_chosen(name, Self::MAX_LEN)?;
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

        impl TryFrom<&str> for $name {
            type Error = InvalidName;

            fn try_from(name: &str) -> Result<Self, InvalidName> {
                Self::new(name)
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidName;

            fn try_from(name: String) -> Result<Self, InvalidName> {
                Self::new(&name)
            }
        }

        impl PartialEq<str> for $name {
            fn eq(&self, name: &str) -> bool {
                self.as_str() == name
            }
        }

        impl PartialEq<&str> for $name {
            fn eq(&self, name: &&str) -> bool {
                self.as_str() == *name
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        /// In quotes and with escapes if it has spaces, or characters that people cannot see.
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                name::write(&self.0, f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(self.as_str(), f)
            }
        }

        #[cfg(feature = "serde")]
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        #[cfg(feature = "serde")]
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Text;

                impl Visitor<'_> for Text {
                    type Value = $name;

                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str($what)
                    }

                    fn visit_str<E: Error>(self, name: &str) -> Result<$name, E> {
                        $name::stored(name).map_err(E::custom)
                    }
                }

                deserializer.deserialize_str(Text)
            }
        }
    };
}

name! {
    /// A member's name: its identity in the cluster, whatever its address.
    ///
    /// 1 to 255 bytes of UTF-8 without control characters and characters that nobody can see, and
    /// without spaces at either end. Cloning is cheap, and a name of up to 23 bytes needs no
    /// allocation. `Display` writes names with spaces in quotes.
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
    /// A cluster's name, to which each datagram and each stream is bound.
    ///
    /// Text as that of a [`NodeId`]. A node drops messages that are bound to another name, so that
    /// two clusters never merge because an address is reused. The name is not secret and keeps no
    /// attacker out.
    ClusterName, "a cluster's name"
}

impl NodeId {
    /// Creates a member's name as memberlist's format may have it, in which people need not be able
    /// to see or type a name: a node takes the names of others there as they come.
    ///
    /// # Errors
    ///
    /// If the name is empty, longer than [`Self::MAX_LEN`] bytes, or contains a control character.
    pub fn foreign(name: &str) -> Result<Self, InvalidName> {
        name::check(name, Self::MAX_LEN)?;
        Ok(Self(SmolStr::new(name)))
    }

    /// A name that was serialized, by a node that may speak memberlist's format.
    #[cfg(feature = "serde")]
    fn stored(name: &str) -> Result<Self, InvalidName> {
        Self::foreign(name)
    }

    /// The short name: the CRC-32 of the name's bytes, for messages that have no room for all of
    /// it.
    pub(crate) fn short(&self) -> u32 {
        crc32fast::hash(self.0.as_bytes())
    }

    /// The [hash](name_hash) of the name.
    pub(crate) fn hash(&self) -> u64 {
        name_hash(self.0.as_bytes())
    }
}

#[cfg(feature = "serde")]
impl ClusterName {
    fn stored(name: &str) -> Result<Self, InvalidName> {
        Self::new(name)
    }
}

/// The hash of a name, SipHash-1-3 under the key 0: unlike the short name, nobody finds another
/// name that has it.
pub(crate) fn name_hash(name: &[u8]) -> u64 {
    SipHasher13::new().hash(name)
}

/// The reason why text is not valid as a [`NodeId`] or a [`ClusterName`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum InvalidName {
    /// The name is empty.
    Empty,
    /// The name has too many bytes.
    TooLong(TooLong),
    /// The name contains a control character.
    Control {
        /// The first control character in the name.
        character: char,
    },
    /// The name contains a character that people cannot see.
    Hidden {
        /// The first such character in the name.
        character: char,
    },
    /// The name begins or ends with a space.
    Padded {
        /// The space.
        character: char,
    },
}

impl fmt::Display for InvalidName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("a name must not be empty"),
            Self::TooLong(too_long) => too_long.fmt(f),
            Self::Control { character } => {
                write!(f, "a name must not contain the control character {character:?}")
            }
            Self::Hidden { character } => write!(
                f,
                "a name must not contain the character U+{:04X}, which nobody can see",
                u32::from(*character)
            ),
            Self::Padded { character } => {
                write!(f, "a name must not begin or end with a space ({character:?})")
            }
        }
    }
}

impl core::error::Error for InvalidName {}

/// The error that a value has more bytes than its limit allows.
///
/// `Display` names the value, its length and the limit: "metadata has 1000 bytes; max_meta allows
/// 512".
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct TooLong {
    /// The value that is too long, as text: `metadata`, `the message`.
    pub what: &'static str,
    /// Its length, in bytes.
    pub len: usize,
    /// The maximum length, in bytes.
    pub max: usize,
    /// The name of the [option](crate::Options) that sets the limit; `None` if it is fixed.
    pub option: Option<&'static str>,
}

impl TooLong {
    /// `Ok` if `len` is at most `max`.
    pub(crate) fn check(
        what: &'static str,
        len: usize,
        max: usize,
        option: Option<&'static str>,
    ) -> Result<(), Self> {
        if len > max { Err(Self { what, len, max, option }) } else { Ok(()) }
    }
}

impl fmt::Display for TooLong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { what, len, max, .. } = self;
        match self.option {
            Some(option) => write!(f, "{what} has {len} bytes; {option} allows {max}"),
            None => write!(f, "{what} has {len} bytes; at most {max} are allowed"),
        }
    }
}

impl core::error::Error for TooLong {}

/// A member's metadata: bytes that the member announces to the cluster, and applications interpret.
///
/// Text, bytes and owned buffers convert with `into()`. That never fails: the limit,
/// [`Options::max_meta`](crate::Options::max_meta), is checked where metadata enters a node.
/// Cloning is cheap; empty metadata takes no memory.
///
/// ```
/// use tidings::Meta;
///
/// let meta = Meta::from(format!("role={}", "db"));
/// assert_eq!(meta.as_str(), Some("role=db"));
/// assert_eq!(meta, Meta::from(b"role=db"));
/// ```
#[derive(Clone, Default, Eq, Hash, PartialEq)]
pub struct Meta(
    /// Doubly indirect, because a thin pointer takes half the size of an `Arc<[u8]>`, and each
    /// member has one.
    Option<Arc<Box<[u8]>>>,
);

impl Meta {
    /// No metadata.
    pub const EMPTY: Self = Self(None);

    /// Metadata with a copy of `bytes`.
    pub fn new(bytes: &[u8]) -> Self {
        Self((!bytes.is_empty()).then(|| Arc::new(bytes.into())))
    }

    /// The metadata as bytes.
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_ref().map_or(&[], |bytes| bytes)
    }

    /// The metadata as text; `None` if it is not UTF-8.
    pub fn as_str(&self) -> Option<&str> {
        core::str::from_utf8(self).ok()
    }

    /// `Ok` if there are at most `max` bytes.
    pub(crate) fn check_len(&self, max: usize) -> Result<(), TooLong> {
        TooLong::check("metadata", self.len(), max, Some("max_meta"))
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

impl<const N: usize> From<&[u8; N]> for Meta {
    fn from(bytes: &[u8; N]) -> Self {
        Self::new(bytes)
    }
}

impl From<&str> for Meta {
    fn from(text: &str) -> Self {
        Self::new(text.as_bytes())
    }
}

/// Reuses the allocation if it has no spare capacity.
impl From<Vec<u8>> for Meta {
    fn from(bytes: Vec<u8>) -> Self {
        Self((!bytes.is_empty()).then(|| Arc::new(bytes.into_boxed_slice())))
    }
}

/// Reuses the allocation if it has no spare capacity.
impl From<String> for Meta {
    fn from(text: String) -> Self {
        text.into_bytes().into()
    }
}

impl From<&String> for Meta {
    fn from(text: &String) -> Self {
        text.as_str().into()
    }
}

/// Copies, because a slice of a datagram would keep the whole datagram in memory.
impl From<Bytes> for Meta {
    fn from(bytes: Bytes) -> Self {
        Self::new(&bytes)
    }
}

#[cfg(feature = "serde")]
impl Serialize for Meta {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(self)
    }
}

#[cfg(feature = "serde")]
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

            /// Formats without a type for bytes, such as JSON, have a list of numbers.
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

/// As quoted text if it is UTF-8, else as escaped bytes.
impl fmt::Debug for Meta {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_bytes(self, f)
    }
}

/// Writes bytes for people: as quoted text if they are UTF-8, else escaped.
pub(crate) fn write_bytes(bytes: &[u8], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match core::str::from_utf8(bytes) {
        Ok(text) => write!(f, "{text:?}"),
        Err(_) => write!(f, "b\"{}\"", bytes.escape_ascii()),
    }
}

/// A member's state, as a node knows it.
///
/// The order is the precedence of claims with equal incarnations: a later state overrides an
/// earlier one (SWIM §4.2), and a member's own leave overrides a failure.
///
/// Exhaustive on purpose: these are the protocol's states, and a program handles each.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize, serde::Serialize))]
pub enum State {
    /// The member takes part.
    Alive,
    /// The member did not answer a probe, and can still refute the suspicion; it counts as present.
    Suspect,
    /// The member did not refute the suspicion in time.
    Failed,
    /// The member announced its own leave.
    Left,
}

impl State {
    /// Whether a member in this state is present: alive or suspect.
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

/// A member as a node knows it: name, address, state, incarnation and metadata.
///
/// It can be serialized, to be shown or stored; the serialized form also contains internal values.
/// Deserialization fails for a member that no node could have in its table: one with an IPv4-mapped
/// IPv6 address, or one that is [degraded](Self::is_degraded) and not present.
#[derive(Clone, Eq, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Member {
    pub(crate) id: NodeId,
    pub(crate) meta: Meta,
    pub(crate) incarnation: Incarnation,
    ip: IpAddr,
    port: u16,
    pub(crate) state: State,
    pub(crate) condition: Condition,
    pub(crate) versions: ProtocolVersions,
    /// The round-trip time between the local node and the member.
    pub(crate) rtt: Rtt,
}

/// How well the local node reaches a member.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize, serde::Serialize))]
pub(crate) enum Condition {
    Well,
    /// It answered the last probe over a stream only.
    Degraded,
    /// It flaps, and does not count as present.
    Suppressed,
}

/// The protocol versions that a member announces in memberlist's format; zeros in Tidings' own.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize, serde::Serialize))]
pub(crate) struct ProtocolVersions {
    /// Minimum, maximum and current version of memberlist's protocol, then the same of the
    /// application's (delegate protocol).
    pub(crate) versions: [u8; 6],
    /// Whether the member announces its IPv4 address in 16 bytes.
    pub(crate) mapped: bool,
}

#[cfg(feature = "memberlist")]
impl ProtocolVersions {
    /// Whether each side speaks versions that the other understands.
    pub(crate) fn agrees(self, other: Self) -> bool {
        let understands = |one: Self, other: Self| {
            let [min, max, _, delegate_min, delegate_max, _] = one.versions;
            let [_, _, current, _, _, delegate] = other.versions;
            (min..=max).contains(&current) && (delegate_min..=delegate_max).contains(&delegate)
        };
        understands(self, other) && understands(other, self)
    }
}

/// A [`Member`] as deserialized, before it is validated.
#[cfg(feature = "serde")]
#[derive(serde::Deserialize)]
#[serde(remote = "Member")]
struct Unchecked {
    id: NodeId,
    meta: Meta,
    incarnation: Incarnation,
    ip: IpAddr,
    port: u16,
    state: State,
    condition: Condition,
    versions: ProtocolVersions,
    rtt: Rtt,
}

#[cfg(feature = "serde")]
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
        if member.is_degraded() && !member.state.is_present() {
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
        let (ip, port, state) = (addr.ip(), addr.port(), State::Alive);
        let (condition, versions) = (Condition::Well, ProtocolVersions::default());
        Self { id, meta, incarnation, ip, port, state, condition, versions, rtt: Rtt::default() }
    }

    pub(crate) fn set_addr(&mut self, addr: SocketAddr) {
        (self.ip, self.port) = (addr.ip(), addr.port());
    }

    /// The member's name.
    pub fn id(&self) -> &NodeId {
        &self.id
    }

    /// The member's address, for datagrams and streams; an IPv6 address never has a zone here.
    pub fn addr(&self) -> SocketAddr {
        SocketAddr::new(self.ip, self.port)
    }

    /// The member's metadata.
    pub fn meta(&self) -> &Meta {
        &self.meta
    }

    /// The member's state.
    pub fn state(&self) -> State {
        self.state
    }

    /// Whether the member answered the local node's last probe of it over a stream only: it is
    /// alive, but datagrams do not get through in one or both directions.
    pub fn is_degraded(&self) -> bool {
        self.condition == Condition::Degraded
    }

    /// Whether the member keeps being suspected or failing, and returning, so that the local node
    /// no longer counts it as present, whatever its [`state`](Self::state): flap damping (RFC
    /// 2439), by [`flap_suppress`](crate::Options::flap_suppress).
    pub fn is_suppressed(&self) -> bool {
        self.condition == Condition::Suppressed
    }

    /// Whether the local node counts the member as present: it is alive or suspect, and not
    /// [suppressed](Self::is_suppressed).
    pub fn is_present(&self) -> bool {
        self.state.is_present() && !self.is_suppressed()
    }

    /// The versions of memberlist's protocol and of the application's (delegate protocol) that the
    /// member speaks, each as minimum, maximum and current; `None` in Tidings' own format.
    pub fn versions(&self) -> Option<[u8; 6]> {
        let versions = self.versions.versions;
        (versions != [0; 6]).then_some(versions)
    }

    /// The incarnation to which state, address and metadata belong.
    pub fn incarnation(&self) -> Incarnation {
        self.incarnation
    }
}

/// The fields that are of interest to people; internal ones are left out.
impl fmt::Debug for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("Member");
        debug.field("id", &self.id).field("addr", &self.addr()).field("state", &self.state);
        debug.field("incarnation", &format_args!("{}", self.incarnation));
        debug.field("meta", &self.meta);
        if self.is_degraded() {
            debug.field("degraded", &true);
        }
        if self.is_suppressed() {
            debug.field("suppressed", &true);
        }
        debug.finish()
    }
}

/// Name and address: `db-7 (10.0.0.7:7946)`.
impl fmt::Display for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.id, self.addr())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::String;

    #[test]
    fn names_are_checked_at_construction() {
        assert!(NodeId::new(&"x".repeat(255)).is_ok());
        let too_long = TooLong { what: "the name", len: 256, max: 255, option: None };
        assert_eq!(NodeId::new(&"x".repeat(256)), Err(InvalidName::TooLong(too_long)));
        assert_eq!(NodeId::new(""), Err(InvalidName::Empty));
        assert_eq!(NodeId::new("a\x1b[2J"), Err(InvalidName::Control { character: '\x1b' }));
        let text = alloc::format!("{}", NodeId::new(&"x".repeat(300)).unwrap_err());
        assert_eq!(text, String::from("the name has 300 bytes; at most 255 are allowed"));
    }

    #[test]
    fn names_and_metadata_convert_from_text_and_bytes() {
        let id = NodeId::new("db-7").unwrap();
        assert_eq!(NodeId::try_from("db-7"), Ok(id.clone()));
        assert_eq!(NodeId::try_from(String::from("db-7")), Ok(id.clone()));
        assert_eq!("db-7".parse(), Ok(id.clone()));
        assert!(id == "db-7" && id == *"db-7" && id != "db-8");
        let meta = Meta::new(b"role=db");
        assert_eq!(Meta::from("role=db"), meta);
        assert_eq!(Meta::from(String::from("role=db")), meta);
        assert_eq!(Meta::from(&String::from("role=db")), meta);
        assert_eq!(Meta::from(b"role=db"), meta);
        assert_eq!(Meta::from(b"role=db".to_vec()), meta);
        assert_eq!(Meta::from(Bytes::from("role=db")), meta);
        assert_eq!(Meta::from(Vec::new()), Meta::EMPTY);
        assert_eq!((meta.as_str(), Meta::new(b"\xff").as_str()), (Some("role=db"), None));
    }

    #[test]
    fn debug_and_display_of_a_member_are_for_people() {
        let incarnation = Incarnation { generation: 5, number: 2 };
        let (id, addr) = (NodeId::new("db-7").unwrap(), "10.0.0.7:7946".parse().unwrap());
        let mut member = Member::new(id, addr, incarnation, Meta::from("role=db"));
        assert_eq!(
            alloc::format!("{member:?}"),
            "Member { id: \"db-7\", addr: 10.0.0.7:7946, state: Alive, incarnation: 5.2, \
             meta: \"role=db\" }"
        );
        assert_eq!(alloc::format!("{member}"), "db-7 (10.0.0.7:7946)");
        member.meta = Meta::new(b"\0\xff");
        member.condition = Condition::Degraded;
        let text = alloc::format!("{member:?}");
        assert!(text.ends_with(r#"meta: b"\x00\xff", degraded: true }"#), "{text}");
    }
}

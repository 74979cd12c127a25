//! Values as bytes on the wire: numbers, names and byte strings in postcard's form.
//!
//! Written out here and not taken from postcard, because the format needs little of it, and because
//! serde and its macros would double the core's build time. `docs/WIRE.md` describes the forms.

use crate::incarnation::Incarnation;
use crate::member::{ClusterName, NodeId};
use crate::stats::Reject;
use crate::wire::message::{PeerStatus, PingSender};
use alloc::vec::Vec;

/// A value with a form on the wire.
pub(crate) trait Encode {
    /// Appends the value to `buf`.
    fn encode(&self, buf: &mut Vec<u8>);
}

/// A value that is read from the wire.
pub(crate) trait Decode<'a>: Sized {
    /// Removes the value from the front of `bytes`.
    fn decode(bytes: &mut &'a [u8]) -> Result<Self, Reject>;
}

/// Appends the encoded value to `buf`.
pub(crate) fn encode<T: Encode + ?Sized>(buf: &mut Vec<u8>, value: &T) {
    value.encode(buf);
}

/// Decodes a value from the front of `bytes`, and advances `bytes` behind it.
///
/// # Errors
///
/// [`Reject::Malformed`] if there is no such value.
pub(crate) fn decode<'a, T: Decode<'a>>(bytes: &mut &'a [u8]) -> Result<T, Reject> {
    T::decode(bytes)
}

/// A number in four bytes, the lowest first.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Fixed(pub(crate) u32);

impl Encode for Fixed {
    fn encode(&self, buf: &mut Vec<u8>) {
        buf.extend_from_slice(&self.0.to_le_bytes());
    }
}

impl Decode<'_> for Fixed {
    fn decode(bytes: &mut &[u8]) -> Result<Self, Reject> {
        Ok(Self(u32::from_le_bytes(decode(bytes)?)))
    }
}

impl Decode<'_> for u8 {
    fn decode(bytes: &mut &[u8]) -> Result<Self, Reject> {
        let (&byte, rest) = bytes.split_first().ok_or(Reject::Malformed)?;
        *bytes = rest;
        Ok(byte)
    }
}

impl<const N: usize> Decode<'_> for [u8; N] {
    fn decode(bytes: &mut &[u8]) -> Result<Self, Reject> {
        let (&array, rest) = bytes.split_first_chunk().ok_or(Reject::Malformed)?;
        *bytes = rest;
        Ok(array)
    }
}

impl Encode for u32 {
    fn encode(&self, buf: &mut Vec<u8>) {
        u64::from(*self).encode(buf);
    }
}

impl Decode<'_> for u32 {
    fn decode(bytes: &mut &[u8]) -> Result<Self, Reject> {
        varint(bytes, Self::MAX.into()).map(|n| n as Self)
    }
}

impl Encode for u64 {
    fn encode(&self, buf: &mut Vec<u8>) {
        let mut rest = *self;
        while rest >= 0x80 {
            buf.push(rest as u8 | 0x80);
            rest >>= 7;
        }
        buf.push(rest as u8);
    }
}

impl Decode<'_> for u64 {
    fn decode(bytes: &mut &[u8]) -> Result<Self, Reject> {
        varint(bytes, Self::MAX)
    }
}

/// Reads a varint of at most as many bytes as `max` takes, whose value is at most `max`.
fn varint(bytes: &mut &[u8], max: u64) -> Result<u64, Reject> {
    let longest = (u64::BITS - max.leading_zeros()).div_ceil(7) as usize;
    let mut value = 0;
    for (n, &byte) in bytes.iter().take(longest).enumerate() {
        let shift = 7 * n as u32;
        let group = u64::from(byte & 0x7f);
        if group > max >> shift {
            return Err(Reject::Malformed);
        }
        value |= group << shift;
        if byte & 0x80 == 0 {
            *bytes = &bytes[n + 1..];
            return Ok(value);
        }
    }
    Err(Reject::Malformed)
}

/// Its length, then the bytes.
impl Encode for [u8] {
    fn encode(&self, buf: &mut Vec<u8>) {
        (self.len() as u64).encode(buf);
        buf.extend_from_slice(self);
    }
}

impl<'a> Decode<'a> for &'a [u8] {
    fn decode(bytes: &mut &'a [u8]) -> Result<Self, Reject> {
        let len = varint(bytes, usize::MAX as u64)? as usize;
        let (value, rest) = bytes.split_at_checked(len).ok_or(Reject::Malformed)?;
        *bytes = rest;
        Ok(value)
    }
}

macro_rules! names {
    ($($name:ident)*) => {$(
        impl Encode for $name {
            fn encode(&self, buf: &mut Vec<u8>) {
                self.as_str().as_bytes().encode(buf);
            }
        }

        impl Decode<'_> for $name {
            fn decode(bytes: &mut &[u8]) -> Result<Self, Reject> {
                let name = core::str::from_utf8(decode(bytes)?).map_err(|_| Reject::Malformed)?;
                Self::new(name).map_err(|_| Reject::Malformed)
            }
        }
    )*};
}

names! { ClusterName NodeId }

/// A name; an empty one where there is none.
impl Encode for Option<&NodeId> {
    fn encode(&self, buf: &mut Vec<u8>) {
        self.map_or(&[][..], |name| name.as_str().as_bytes()).encode(buf);
    }
}

impl Decode<'_> for Option<NodeId> {
    fn decode(bytes: &mut &[u8]) -> Result<Self, Reject> {
        match bytes.split_first() {
            Some((0, rest)) => {
                *bytes = rest;
                Ok(None)
            }
            _ => decode(bytes).map(Some),
        }
    }
}

impl Encode for Incarnation {
    fn encode(&self, buf: &mut Vec<u8>) {
        (self.generation, self.number).encode(buf);
    }
}

impl Decode<'_> for Incarnation {
    fn decode(bytes: &mut &[u8]) -> Result<Self, Reject> {
        Ok(Self { generation: decode(bytes)?, number: decode(bytes)? })
    }
}

impl Encode for PeerStatus {
    fn encode(&self, buf: &mut Vec<u8>) {
        (self.incarnation, Fixed(self.digest)).encode(buf);
    }
}

impl Decode<'_> for PeerStatus {
    fn decode(bytes: &mut &[u8]) -> Result<Self, Reject> {
        let (incarnation, Fixed(digest)) = decode(bytes)?;
        Ok(Self { incarnation, digest })
    }
}

impl Encode for PingSender {
    fn encode(&self, buf: &mut Vec<u8>) {
        (Fixed(self.tag), self.number, Fixed(self.digest)).encode(buf);
    }
}

impl Decode<'_> for PingSender {
    fn decode(bytes: &mut &[u8]) -> Result<Self, Reject> {
        let (Fixed(tag), number, Fixed(digest)) = decode(bytes)?;
        Ok(Self { tag, number, digest })
    }
}

impl<T: Encode + ?Sized> Encode for &T {
    fn encode(&self, buf: &mut Vec<u8>) {
        (**self).encode(buf);
    }
}

/// One after the other.
macro_rules! tuples {
    ($(($($part:ident)*))*) => {$(
        #[expect(non_snake_case, reason = "each type and its value have one name")]
        impl<$($part: Encode),*> Encode for ($($part,)*) {
            fn encode(&self, buf: &mut Vec<u8>) {
                let ($($part,)*) = self;
                $($part.encode(buf);)*
            }
        }

        impl<'a, $($part: Decode<'a>),*> Decode<'a> for ($($part,)*) {
            fn decode(bytes: &mut &'a [u8]) -> Result<Self, Reject> {
                Ok(($($part::decode(bytes)?,)*))
            }
        }
    )*};
}

tuples! { (A B) (A B C) (A B C D) (A B C D E) }

#[cfg(all(test, feature = "record"))]
mod tests {
    use super::*;
    use core::fmt::Debug;
    use proptest::prelude::*;
    use serde::{Deserialize, Serialize};

    /// Both write the same.
    fn is_postcard(ours: &(impl Encode + ?Sized), theirs: &(impl Serialize + ?Sized)) {
        let mut bytes = Vec::new();
        encode(&mut bytes, ours);
        assert_eq!(bytes, postcard::to_allocvec(theirs).unwrap());
    }

    /// Both read the same, and leave the same, or both read nothing.
    fn reads_as_postcard<'a, T>(bytes: &'a [u8])
    where
        T: Decode<'a> + Deserialize<'a> + Debug + PartialEq,
    {
        let mut rest = bytes;
        let ours = decode::<T>(&mut rest).ok().map(|value| (value, rest));
        assert_eq!(ours, postcard::take_from_bytes::<T>(bytes).ok(), "{bytes:x?}");
    }

    /// On the wire, members' names are such as people can see and type; stored ones need not be.
    fn reads_name_as_postcard(bytes: &[u8]) {
        let mut rest = bytes;
        let ours = decode::<NodeId>(&mut rest).ok().map(|value| (value, rest));
        let stored = postcard::take_from_bytes::<NodeId>(bytes).ok();
        let chosen = stored.filter(|(name, _)| NodeId::new(name.as_str()).is_ok());
        assert_eq!(ours, chosen, "{bytes:x?}");
    }

    proptest! {
        #[test]
        fn written_as_postcard_writes(a: u32, b: u64, shift in 0..64u32, text in ".{1,60}") {
            is_postcard(&a, &a);
            is_postcard(&(b >> shift), &(b >> shift));
            is_postcard(text.as_bytes(), text.as_bytes());
            let incarnation = Incarnation { generation: b >> shift, number: a.into() };
            is_postcard(&incarnation, &incarnation);
            let status = PeerStatus { incarnation, digest: a };
            is_postcard(&(b, status), &(b, status));
            if let Ok(name) = NodeId::new(&text) {
                let value = (&name, b >> shift, text.as_bytes());
                is_postcard(&value, &value);
            }
        }

        #[test]
        fn read_as_postcard_reads(
            bytes in prop::collection::vec(
                prop_oneof![Just(0xff), Just(0x80), 0..0x18u8, any::<u8>()],
                0..24,
            ),
        ) {
            reads_as_postcard::<u8>(&bytes);
            reads_as_postcard::<u32>(&bytes);
            reads_as_postcard::<u64>(&bytes);
            reads_as_postcard::<[u8; 4]>(&bytes);
            reads_as_postcard::<&[u8]>(&bytes);
            reads_name_as_postcard(&bytes);
            reads_as_postcard::<ClusterName>(&bytes);
            reads_as_postcard::<PeerStatus>(&bytes);
            reads_as_postcard::<(ClusterName, &[u8])>(&bytes);
            reads_as_postcard::<(u64, Incarnation, u8)>(&bytes);
        }
    }
}

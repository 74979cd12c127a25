//! msgpack, as memberlist's nodes write it and as they take it.
//!
//! They write structs as maps whose keys are sorted, bytes and text in the one form of the format's first
//! version, and take a good deal more.

use alloc::borrow::Cow;
use alloc::vec::Vec;

/// Why something was not read.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Flaw {
    /// It ends too early; on a stream more may come.
    Early,
    Malformed,
}

/// A value that is not a struct.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Value<'a> {
    Nil,
    Bool(bool),
    Uint(u64),
    Bytes(Cow<'a, [u8]>),
    /// Something that none of memberlist's fields takes.
    Other,
}

impl<'a> Value<'a> {
    /// As a number of at most `max`.
    pub(crate) fn number(&self, max: u64) -> Result<u64, Flaw> {
        match self {
            Self::Nil => Ok(0),
            Self::Uint(number) if *number <= max => Ok(*number),
            _ => Err(Flaw::Malformed),
        }
    }

    pub(crate) fn u32(&self) -> Result<u32, Flaw> {
        self.number(u32::MAX.into()).map(|number| number as u32)
    }

    pub(crate) fn u16(&self) -> Result<u16, Flaw> {
        self.number(u16::MAX.into()).map(|number| number as u16)
    }

    pub(crate) fn bool(&self) -> Result<bool, Flaw> {
        match self {
            Self::Bool(truth) => Ok(*truth),
            other => other.number(1).map(|number| number == 1),
        }
    }

    pub(crate) fn bytes(self) -> Result<Cow<'a, [u8]>, Flaw> {
        match self {
            Self::Nil => Ok(Cow::Borrowed(&[])),
            Self::Bytes(bytes) => Ok(bytes),
            _ => Err(Flaw::Malformed),
        }
    }
}

/// Takes a struct off the front of `bytes`: `field` gets the number of each field that is there, in the
/// order of `names`, and what it holds.
///
/// Fields of other names are passed over. A struct that is an array has its fields in that order.
pub(crate) fn take_struct<'a>(
    bytes: &mut &'a [u8],
    names: &[&str],
    mut field: impl FnMut(usize, Value<'a>) -> Result<(), Flaw>,
) -> Result<(), Flaw> {
    let mut left = MAX_VALUES;
    match take_head(bytes)? {
        Head::Map(len) => {
            for _ in 0..len {
                let key = take_value(bytes, MAX_DEPTH, &mut left)?;
                let value = take_value(bytes, MAX_DEPTH, &mut left)?;
                let Value::Bytes(key) = key else { continue };
                if let Some(n) = names.iter().position(|name| name.as_bytes() == &key[..]) {
                    field(n, value)?;
                }
            }
        }
        Head::Array(len) => {
            for n in 0..len as usize {
                let value = take_value(bytes, MAX_DEPTH, &mut left)?;
                if n < names.len() {
                    field(n, value)?;
                }
            }
        }
        _ => return Err(Flaw::Malformed),
    }
    Ok(())
}

fn take_value<'a>(bytes: &mut &'a [u8], depth: u32, left: &mut u32) -> Result<Value<'a>, Flaw> {
    *left = left.checked_sub(1).ok_or(Flaw::Malformed)?;
    Ok(match take_head(bytes)? {
        Head::Nil => Value::Nil,
        Head::Bool(truth) => Value::Bool(truth),
        Head::Uint(number) => Value::Uint(number),
        Head::Bytes(len) => Value::Bytes(Cow::Borrowed(take(bytes, len)?)),
        Head::Other(len) => {
            take(bytes, len)?;
            Value::Other
        }
        Head::Array(_) | Head::Map(_) if depth == 0 => return Err(Flaw::Malformed),
        Head::Array(len) => take_array(bytes, len, depth - 1, left)?,
        Head::Map(len) => {
            for _ in 0..u64::from(len) * 2 {
                take_value(bytes, depth - 1, left)?;
            }
            Value::Other
        }
    })
}

/// Takes an array, which may stand for bytes.
fn take_array<'a>(
    bytes: &mut &'a [u8],
    len: u32,
    depth: u32,
    left: &mut u32,
) -> Result<Value<'a>, Flaw> {
    // It grows with what is there, and not with what is claimed.
    let (mut all, mut octets) = (true, Vec::new());
    for _ in 0..len {
        match take_value(bytes, depth, left)? {
            Value::Uint(octet @ 0..=255) if all => octets.push(octet as u8),
            _ => all = false,
        }
    }
    Ok(if all { Value::Bytes(Cow::Owned(octets)) } else { Value::Other })
}

/// What a value begins with; how many bytes or values follow.
enum Head {
    Nil,
    Bool(bool),
    Uint(u64),
    Bytes(u32),
    Array(u32),
    Map(u32),
    Other(u32),
}

fn take_head(bytes: &mut &[u8]) -> Result<Head, Flaw> {
    let [first] = take_chunk(bytes)?;
    Ok(match first {
        0x00..=0x7f => Head::Uint(first.into()),
        0x80..=0x8f => Head::Map(u32::from(first & 0x0f)),
        0x90..=0x9f => Head::Array(u32::from(first & 0x0f)),
        0xa0..=0xbf => Head::Bytes(u32::from(first & 0x1f)),
        0xc0 => Head::Nil,
        0xc1 => return Err(Flaw::Malformed),
        0xc2 | 0xc3 => Head::Bool(first == 0xc3),
        0xc4 | 0xd9 => Head::Bytes(u8::from_be_bytes(take_chunk(bytes)?).into()),
        0xc5 | 0xda => Head::Bytes(u16::from_be_bytes(take_chunk(bytes)?).into()),
        0xc6 | 0xdb => Head::Bytes(u32::from_be_bytes(take_chunk(bytes)?)),
        // Extensions have a type before what they hold.
        0xc7 => Head::Other(u32::from(u8::from_be_bytes(take_chunk(bytes)?)) + 1),
        0xc8 => Head::Other(u32::from(u16::from_be_bytes(take_chunk(bytes)?)) + 1),
        0xc9 => Head::Other(u32::from_be_bytes(take_chunk(bytes)?).saturating_add(1)),
        0xd4..=0xd8 => Head::Other((1 << (first - 0xd4)) + 1),
        0xca => Head::Other(4),
        0xcb => Head::Other(8),
        0xcc => Head::Uint(u8::from_be_bytes(take_chunk(bytes)?).into()),
        0xcd => Head::Uint(u16::from_be_bytes(take_chunk(bytes)?).into()),
        0xce => Head::Uint(u32::from_be_bytes(take_chunk(bytes)?).into()),
        0xcf => Head::Uint(u64::from_be_bytes(take_chunk(bytes)?)),
        0xd0 => signed(i8::from_be_bytes(take_chunk(bytes)?).into()),
        0xd1 => signed(i16::from_be_bytes(take_chunk(bytes)?).into()),
        0xd2 => signed(i32::from_be_bytes(take_chunk(bytes)?).into()),
        0xd3 => signed(i64::from_be_bytes(take_chunk(bytes)?)),
        0xdc => Head::Array(u16::from_be_bytes(take_chunk(bytes)?).into()),
        0xdd => Head::Array(u32::from_be_bytes(take_chunk(bytes)?)),
        0xde => Head::Map(u16::from_be_bytes(take_chunk(bytes)?).into()),
        0xdf => Head::Map(u32::from_be_bytes(take_chunk(bytes)?)),
        0xe0..=0xff => Head::Other(0),
    })
}

/// No field of memberlist's may be negative.
fn signed(number: i64) -> Head {
    u64::try_from(number).map_or(Head::Other(0), Head::Uint)
}

fn take<'a>(bytes: &mut &'a [u8], len: u32) -> Result<&'a [u8], Flaw> {
    let split = usize::try_from(len).ok().and_then(|len| bytes.split_at_checked(len));
    let (taken, rest) = split.ok_or(Flaw::Early)?;
    *bytes = rest;
    Ok(taken)
}

fn take_chunk<const N: usize>(bytes: &mut &[u8]) -> Result<[u8; N], Flaw> {
    let (taken, rest) = bytes.split_first_chunk().ok_or(Flaw::Early)?;
    *bytes = rest;
    Ok(*taken)
}

// ---- writing ----

/// Begins a struct of so many fields, at most 15, each of which is a key and a value.
pub(crate) fn encode_struct(buf: &mut Vec<u8>, fields: u8) {
    debug_assert!(fields < 16);
    buf.push(0x80 | fields);
}

/// A field that holds bytes or text.
pub(crate) fn encode_bytes(buf: &mut Vec<u8>, key: &str, bytes: &[u8]) {
    encode_raw(buf, key.as_bytes());
    encode_raw(buf, bytes);
}

/// The same, but that nothing is nil.
pub(crate) fn encode_bytes_or_nil(buf: &mut Vec<u8>, key: &str, bytes: &[u8]) {
    encode_raw(buf, key.as_bytes());
    if bytes.is_empty() { buf.push(0xc0) } else { encode_raw(buf, bytes) }
}

pub(crate) fn encode_bool(buf: &mut Vec<u8>, key: &str, truth: bool) {
    encode_raw(buf, key.as_bytes());
    buf.push(if truth { 0xc3 } else { 0xc2 });
}

pub(crate) fn encode_number(buf: &mut Vec<u8>, key: &str, number: u32) {
    encode_raw(buf, key.as_bytes());
    match number {
        0..0x80 => buf.push(number as u8),
        0x80..0x100 => buf.extend_from_slice(&[0xcc, number as u8]),
        0x100..0x1_0000 => {
            buf.push(0xcd);
            buf.extend_from_slice(&(number as u16).to_be_bytes());
        }
        _ => {
            buf.push(0xce);
            buf.extend_from_slice(&number.to_be_bytes());
        }
    }
}

/// What stands before so many bytes.
pub(crate) fn encode_raw_head(buf: &mut Vec<u8>, len: usize) {
    match len {
        0..0x20 => buf.push(0xa0 | len as u8),
        0x20..0x1_0000 => {
            buf.push(0xda);
            buf.extend_from_slice(&(len as u16).to_be_bytes());
        }
        _ => {
            buf.push(0xdb);
            let len = u32::try_from(len).expect("nothing that we write has 4 GiB");
            buf.extend_from_slice(&len.to_be_bytes());
        }
    }
}

fn encode_raw(buf: &mut Vec<u8>, bytes: &[u8]) {
    encode_raw_head(buf, bytes.len());
    buf.extend_from_slice(bytes);
}

/// How deep what is passed over may be nested.
const MAX_DEPTH: u32 = 16;
/// How many values a struct may hold, what is passed over included: what comes in many small pieces is
/// looked at anew with each of them.
const MAX_VALUES: u32 = 4096;

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;
    use proptest::prelude::*;

    fn fields(mut bytes: &[u8]) -> Result<Vec<(usize, Value<'_>)>, Flaw> {
        let mut all = vec![];
        take_struct(&mut bytes, &["A", "B"], |n, value| {
            all.push((n, value));
            Ok(())
        })?;
        Ok(all)
    }

    #[test]
    fn all_values_that_gos_decoder_accepts_for_a_field_are_accepted() {
        let octets = |bytes: &'static [u8]| Value::Bytes(Cow::Borrowed(bytes));
        for (bytes, value) in [
            (&b"\x81\xa1A\xa2hi"[..], octets(b"hi")),
            (b"\x81\xa1A\xd9\x02hi", octets(b"hi")),
            (b"\x81\xa1A\xda\x00\x02hi", octets(b"hi")),
            (b"\x81\xa1A\xdb\x00\x00\x00\x02hi", octets(b"hi")),
            (b"\x81\xa1A\xc4\x02hi", octets(b"hi")),
            (b"\x81\xa1A\xc5\x00\x02hi", octets(b"hi")),
            (b"\x81\xa1A\xc6\x00\x00\x00\x02hi", octets(b"hi")),
            (b"\x81\xa1A\x92\x68\xcc\x69", octets(b"hi")),
            (b"\xde\x00\x01\xa1A\x07", Value::Uint(7)),
            (b"\xdf\x00\x00\x00\x01\xa1A\x07", Value::Uint(7)),
            (b"\x81\xd9\x01A\x07", Value::Uint(7)),
            (b"\x81\xa1A\xcd\x01\x00", Value::Uint(256)),
            (b"\x81\xa1A\xce\x00\x01\x00\x00", Value::Uint(0x1_0000)),
            (b"\x81\xa1A\xcf\x00\x00\x00\x01\x00\x00\x00\x00", Value::Uint(1 << 32)),
            (b"\x81\xa1A\xd0\x7f", Value::Uint(127)),
            (b"\x81\xa1A\xd1\x00\x80", Value::Uint(128)),
            (b"\x81\xa1A\xd2\x00\x00\x9c\x40", Value::Uint(40_000)),
            (b"\x81\xa1A\xd3\x00\x00\x00\x00\x00\x00\x00\x07", Value::Uint(7)),
            (b"\x81\xa1A\xc0", Value::Nil),
            (b"\x81\xa1A\xc3", Value::Bool(true)),
            (b"\x81\xa1A\xff", Value::Other),
            (b"\x81\xa1A\xd0\x80", Value::Other),
            (b"\x81\xa1A\xcb\0\0\0\0\0\0\0\0", Value::Other),
            (b"\x91\x07", Value::Uint(7)),
        ] {
            assert_eq!(fields(bytes), Ok(vec![(0, value)]), "{bytes:02x?}");
        }
        assert_eq!(fields(b"\x93\x07\x08\x09"), Ok(vec![(0, Value::Uint(7)), (1, Value::Uint(8))]));
    }

    #[test]
    fn fields_of_other_names_are_passed_over_whatever_they_hold() {
        let others = b"\x85\xa1Z\x82\x01\x93\x01\x02\xa1x\xa1y\xc0\xa1a\x05\xa1X\xd6\x01abcd\x07\x08\xa1B\x09";
        assert_eq!(fields(others), Ok(vec![(1, Value::Uint(9))]));
    }

    #[test]
    fn numbers_are_bounded_and_nil_is_zero() {
        assert_eq!(Value::Uint(1 << 16).u16(), Err(Flaw::Malformed));
        assert_eq!(Value::Uint(1 << 32).u32(), Err(Flaw::Malformed));
        assert_eq!(Value::Nil.u32(), Ok(0));
        assert_eq!(Value::Nil.bool(), Ok(false));
        assert_eq!(Value::Uint(1).bool(), Ok(true));
        assert_eq!(Value::Uint(2).bool(), Err(Flaw::Malformed));
        assert_eq!(Value::Other.number(9), Err(Flaw::Malformed));
        assert_eq!(Value::Uint(1).bytes(), Err(Flaw::Malformed));
        assert_eq!(Value::Nil.bytes(), Ok(Cow::Borrowed(&[][..])));
    }

    #[test]
    fn too_deep_nesting_is_refused_and_claimed_lengths_take_no_memory() {
        let deep = [&b"\x81\xa1Z"[..], &[0x91; 17], b"\x00"].concat();
        assert_eq!(fields(&deep), Err(Flaw::Malformed));
        let flat = [&b"\x81\xa1Z"[..], &[0x91; 16], b"\x00"].concat();
        assert_eq!(fields(&flat), Ok(vec![]));
        for claim in [
            &b"\x81\xa1A\xdd\xff\xff\xff\xff"[..],
            b"\x81\xa1A\xdb\xff\xff\xff\xff",
            b"\xdf\xff\xff\xff\xff",
        ] {
            assert_eq!(fields(claim), Err(Flaw::Early));
        }
    }

    #[test]
    fn a_struct_of_too_many_values_is_refused() {
        let with = |count: u16| {
            let [high, low] = count.to_be_bytes();
            [&[0x81, 0xa1, b'Z', 0xdc, high, low][..], &vec![0xc0; count.into()]].concat()
        };
        assert_eq!(fields(&with(4094)), Ok(vec![]));
        assert_eq!(fields(&with(4095)), Err(Flaw::Malformed));
    }

    proptest! {
        #[test]
        fn a_struct_comes_back_as_it_was_and_ends_early_wherever_it_is_cut(
            bytes in prop::collection::vec(any::<u8>(), 0..300),
            number: u32,
            cut in any::<prop::sample::Index>(),
        ) {
            let mut buf = Vec::new();
            encode_struct(&mut buf, 2);
            encode_bytes(&mut buf, "A", &bytes);
            encode_number(&mut buf, "B", number);
            let all = [(0, Value::Bytes(Cow::Borrowed(&bytes[..]))), (1, Value::Uint(number.into()))];
            prop_assert_eq!(fields(&buf), Ok(all.into()));
            prop_assert_eq!(fields(&buf[..cut.index(buf.len())]), Err(Flaw::Early));
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            drop(fields(&bytes));
        }
    }
}

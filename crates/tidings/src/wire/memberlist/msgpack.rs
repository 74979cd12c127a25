//! msgpack as memberlist encodes and accepts it.
//!
//! memberlist encodes structs as maps with sorted keys, and bytes and text alike as the raw type of
//! msgpack's first version. Its decoder accepts more forms, and so does this one.

use alloc::borrow::Cow;
use alloc::vec::Vec;

/// The reason why a value could not be decoded.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum DecodeError {
    /// The bytes end too early; on a stream, more may arrive. At least `missing` bytes are needed.
    Incomplete {
        missing: usize,
    },
    Malformed,
}

impl DecodeError {
    /// The error of a value after which at least `values` more follow, of a byte or more each.
    fn before(self, values: u64) -> Self {
        match self {
            Self::Incomplete { missing } => {
                let values = usize::try_from(values).unwrap_or(usize::MAX);
                Self::Incomplete { missing: missing.saturating_add(values) }
            }
            Self::Malformed => Self::Malformed,
        }
    }
}

/// The value of a field.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Value<'a> {
    Nil,
    Bool(bool),
    Uint(u64),
    Bytes(Cow<'a, [u8]>),
    /// A value of a type that no field of memberlist has.
    Other,
}

impl<'a> Value<'a> {
    /// The value as a number of at most `max`; nil is 0.
    pub(crate) fn number(&self, max: u64) -> Result<u64, DecodeError> {
        match self {
            Self::Nil => Ok(0),
            Self::Uint(number) if *number <= max => Ok(*number),
            _ => Err(DecodeError::Malformed),
        }
    }

    pub(crate) fn u32(&self) -> Result<u32, DecodeError> {
        self.number(u32::MAX.into()).map(|number| number as u32)
    }

    pub(crate) fn u16(&self) -> Result<u16, DecodeError> {
        self.number(u16::MAX.into()).map(|number| number as u16)
    }

    pub(crate) fn bool(&self) -> Result<bool, DecodeError> {
        match self {
            Self::Bool(truth) => Ok(*truth),
            other => other.number(1).map(|number| number == 1),
        }
    }

    pub(crate) fn bytes(self) -> Result<Cow<'a, [u8]>, DecodeError> {
        match self {
            Self::Nil => Ok(Cow::Borrowed(&[])),
            Self::Bytes(bytes) => Ok(bytes),
            _ => Err(DecodeError::Malformed),
        }
    }
}

/// Decodes a struct from the front of `bytes`. Calls `field` for each field that is present, with
/// its index in `names` and its value.
///
/// Fields with other names are skipped. A struct encoded as an array has its fields in the order of
/// `names`.
pub(crate) fn decode_struct<'a>(
    bytes: &mut &'a [u8],
    names: &[&str],
    mut field: impl FnMut(usize, Value<'a>) -> Result<(), DecodeError>,
) -> Result<(), DecodeError> {
    let mut values_left = MAX_VALUES;
    match decode_marker(bytes)? {
        Marker::Map(len) => {
            let mut values = 2 * u64::from(len);
            for _ in 0..len {
                let key = decode_one(bytes, MAX_DEPTH, &mut values_left, &mut values)?;
                let value = decode_one(bytes, MAX_DEPTH, &mut values_left, &mut values)?;
                let Value::Bytes(key) = key else { continue };
                if let Some(n) = names.iter().position(|name| name.as_bytes() == &key[..]) {
                    field(n, value)?;
                }
            }
        }
        Marker::Array(len) => {
            let mut values = len.into();
            for n in 0..len as usize {
                let value = decode_one(bytes, MAX_DEPTH, &mut values_left, &mut values)?;
                if n < names.len() {
                    field(n, value)?;
                }
            }
        }
        _ => return Err(DecodeError::Malformed),
    }
    Ok(())
}

/// Decodes the next of `values` values of a container.
fn decode_one<'a>(
    bytes: &mut &'a [u8],
    depth: u32,
    values_left: &mut u32,
    values: &mut u64,
) -> Result<Value<'a>, DecodeError> {
    *values -= 1;
    // More values than are left would be an error, however they end.
    decode_value(bytes, depth, values_left)
        .map_err(|error| error.before((*values).min(u64::from(*values_left))))
}

fn decode_value<'a>(
    bytes: &mut &'a [u8],
    depth: u32,
    values_left: &mut u32,
) -> Result<Value<'a>, DecodeError> {
    *values_left = values_left.checked_sub(1).ok_or(DecodeError::Malformed)?;
    Ok(match decode_marker(bytes)? {
        Marker::Nil => Value::Nil,
        Marker::Bool(truth) => Value::Bool(truth),
        Marker::Uint(number) => Value::Uint(number),
        Marker::Bytes(len) => Value::Bytes(Cow::Borrowed(split(bytes, len)?)),
        Marker::Other(len) => {
            split(bytes, len)?;
            Value::Other
        }
        Marker::Array(_) | Marker::Map(_) if depth == 0 => return Err(DecodeError::Malformed),
        Marker::Array(len) => decode_array(bytes, len, depth - 1, values_left)?,
        Marker::Map(len) => {
            let mut values = u64::from(len) * 2;
            while values > 0 {
                decode_one(bytes, depth - 1, values_left, &mut values)?;
            }
            Value::Other
        }
    })
}

/// Decodes an array; one of numbers up to 255 is a byte string.
fn decode_array<'a>(
    bytes: &mut &'a [u8],
    len: u32,
    depth: u32,
    values_left: &mut u32,
) -> Result<Value<'a>, DecodeError> {
    // Memory grows with the elements that are present, not with the length that is claimed.
    let (mut all, mut octets) = (true, Vec::new());
    let mut values = len.into();
    while values > 0 {
        match decode_one(bytes, depth, values_left, &mut values)? {
            Value::Uint(octet @ 0..=255) if all => octets.push(octet as u8),
            _ => all = false,
        }
    }
    Ok(if all { Value::Bytes(Cow::Owned(octets)) } else { Value::Other })
}

/// The beginning of a value: its type, and the number of bytes or values that follow.
enum Marker {
    Nil,
    Bool(bool),
    Uint(u64),
    Bytes(u32),
    Array(u32),
    Map(u32),
    Other(u32),
}

fn decode_marker(bytes: &mut &[u8]) -> Result<Marker, DecodeError> {
    let [first] = split_chunk(bytes)?;
    Ok(match first {
        0x00..=0x7f => Marker::Uint(first.into()),
        0x80..=0x8f => Marker::Map(u32::from(first & 0x0f)),
        0x90..=0x9f => Marker::Array(u32::from(first & 0x0f)),
        0xa0..=0xbf => Marker::Bytes(u32::from(first & 0x1f)),
        0xc0 => Marker::Nil,
        0xc1 => return Err(DecodeError::Malformed),
        0xc2 | 0xc3 => Marker::Bool(first == 0xc3),
        0xc4 | 0xd9 => Marker::Bytes(u8::from_be_bytes(split_chunk(bytes)?).into()),
        0xc5 | 0xda => Marker::Bytes(u16::from_be_bytes(split_chunk(bytes)?).into()),
        0xc6 | 0xdb => Marker::Bytes(u32::from_be_bytes(split_chunk(bytes)?)),
        // Extensions have a type byte before their data.
        0xc7 => Marker::Other(u32::from(u8::from_be_bytes(split_chunk(bytes)?)) + 1),
        0xc8 => Marker::Other(u32::from(u16::from_be_bytes(split_chunk(bytes)?)) + 1),
        0xc9 => Marker::Other(u32::from_be_bytes(split_chunk(bytes)?).saturating_add(1)),
        0xd4..=0xd8 => Marker::Other((1 << (first - 0xd4)) + 1),
        0xca => Marker::Other(4),
        0xcb => Marker::Other(8),
        0xcc => Marker::Uint(u8::from_be_bytes(split_chunk(bytes)?).into()),
        0xcd => Marker::Uint(u16::from_be_bytes(split_chunk(bytes)?).into()),
        0xce => Marker::Uint(u32::from_be_bytes(split_chunk(bytes)?).into()),
        0xcf => Marker::Uint(u64::from_be_bytes(split_chunk(bytes)?)),
        0xd0 => signed(i8::from_be_bytes(split_chunk(bytes)?).into()),
        0xd1 => signed(i16::from_be_bytes(split_chunk(bytes)?).into()),
        0xd2 => signed(i32::from_be_bytes(split_chunk(bytes)?).into()),
        0xd3 => signed(i64::from_be_bytes(split_chunk(bytes)?)),
        0xdc => Marker::Array(u16::from_be_bytes(split_chunk(bytes)?).into()),
        0xdd => Marker::Array(u32::from_be_bytes(split_chunk(bytes)?)),
        0xde => Marker::Map(u16::from_be_bytes(split_chunk(bytes)?).into()),
        0xdf => Marker::Map(u32::from_be_bytes(split_chunk(bytes)?)),
        0xe0..=0xff => Marker::Other(0),
    })
}

/// A signed number; a negative one is not valid in any field of memberlist.
fn signed(number: i64) -> Marker {
    u64::try_from(number).map_or(Marker::Other(0), Marker::Uint)
}

fn split<'a>(bytes: &mut &'a [u8], len: u32) -> Result<&'a [u8], DecodeError> {
    let len = usize::try_from(len).unwrap_or(usize::MAX);
    let missing = len.saturating_sub(bytes.len());
    let split = bytes.split_at_checked(len);
    let (prefix, rest) = split.ok_or(DecodeError::Incomplete { missing })?;
    *bytes = rest;
    Ok(prefix)
}

fn split_chunk<const N: usize>(bytes: &mut &[u8]) -> Result<[u8; N], DecodeError> {
    let missing = N.saturating_sub(bytes.len());
    let (chunk, rest) = bytes.split_first_chunk().ok_or(DecodeError::Incomplete { missing })?;
    *bytes = rest;
    Ok(*chunk)
}

// ---- writing ----

/// Appends the header of a struct of at most 15 fields; each is a key and a value.
pub(crate) fn encode_struct(buf: &mut Vec<u8>, fields: u8) {
    debug_assert!(fields < 16);
    buf.push(0x80 | fields);
}

/// Appends a field of bytes or text.
pub(crate) fn encode_bytes(buf: &mut Vec<u8>, key: &str, bytes: &[u8]) {
    encode_raw(buf, key.as_bytes());
    encode_raw(buf, bytes);
}

/// Appends a field of bytes or text; nil if it is empty.
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

/// Appends the header of a string of `len` bytes.
pub(crate) fn encode_raw_marker(buf: &mut Vec<u8>, len: usize) {
    match len {
        0..0x20 => buf.push(0xa0 | len as u8),
        0x20..0x1_0000 => {
            buf.push(0xda);
            buf.extend_from_slice(&(len as u16).to_be_bytes());
        }
        _ => {
            buf.push(0xdb);
            let len = u32::try_from(len).expect("no message of ours has 4 GiB");
            buf.extend_from_slice(&len.to_be_bytes());
        }
    }
}

fn encode_raw(buf: &mut Vec<u8>, bytes: &[u8]) {
    encode_raw_marker(buf, bytes.len());
    buf.extend_from_slice(bytes);
}

/// Largest nesting depth of values that are skipped.
const MAX_DEPTH: u32 = 16;
/// Largest number of values in a struct, with those that are skipped. It bounds the work, because
/// a message that arrives in small chunks is decoded anew whenever the missing bytes have arrived.
const MAX_VALUES: u32 = 4096;

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;
    use proptest::prelude::*;

    fn fields(mut bytes: &[u8]) -> Result<Vec<(usize, Value<'_>)>, DecodeError> {
        let mut all = vec![];
        decode_struct(&mut bytes, &["A", "B"], |n, value| {
            all.push((n, value));
            Ok(())
        })?;
        Ok(all)
    }

    #[test]
    fn all_field_encodings_that_gos_decoder_accepts_are_accepted() {
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
    fn fields_with_other_names_are_skipped_with_any_value() {
        let others = b"\x85\xa1Z\x82\x01\x93\x01\x02\xa1x\xa1y\xc0\xa1a\x05\xa1X\xd6\x01abcd\x07\x08\xa1B\x09";
        assert_eq!(fields(others), Ok(vec![(1, Value::Uint(9))]));
    }

    #[test]
    fn numbers_are_bounded_and_nil_is_zero() {
        assert_eq!(Value::Uint(1 << 16).u16(), Err(DecodeError::Malformed));
        assert_eq!(Value::Uint(1 << 32).u32(), Err(DecodeError::Malformed));
        assert_eq!(Value::Nil.u32(), Ok(0));
        assert_eq!(Value::Nil.bool(), Ok(false));
        assert_eq!(Value::Uint(1).bool(), Ok(true));
        assert_eq!(Value::Uint(2).bool(), Err(DecodeError::Malformed));
        assert_eq!(Value::Other.number(9), Err(DecodeError::Malformed));
        assert_eq!(Value::Uint(1).bytes(), Err(DecodeError::Malformed));
        assert_eq!(Value::Nil.bytes(), Ok(Cow::Borrowed(&[][..])));
    }

    #[test]
    fn deep_nesting_is_rejected_and_a_claimed_length_takes_no_memory() {
        let deep = [&b"\x81\xa1Z"[..], &[0x91; 17], b"\x00"].concat();
        assert_eq!(fields(&deep), Err(DecodeError::Malformed));
        let flat = [&b"\x81\xa1Z"[..], &[0x91; 16], b"\x00"].concat();
        assert_eq!(fields(&flat), Ok(vec![]));
        for claim in [
            &b"\x81\xa1A\xdd\xff\xff\xff\xff"[..],
            b"\x81\xa1A\xdb\xff\xff\xff\xff",
            b"\xdf\xff\xff\xff\xff",
        ] {
            assert!(matches!(fields(claim), Err(DecodeError::Incomplete { .. })));
        }
    }

    #[test]
    fn a_struct_of_too_many_values_is_rejected() {
        let with = |count: u16| {
            let [high, low] = count.to_be_bytes();
            [&[0x81, 0xa1, b'Z', 0xdc, high, low][..], &vec![0xc0; count.into()]].concat()
        };
        assert_eq!(fields(&with(4094)), Ok(vec![]));
        assert_eq!(fields(&with(4095)), Err(DecodeError::Malformed));
    }

    proptest! {
        #[test]
        fn a_struct_is_decoded_as_it_was_encoded_and_a_prefix_is_incomplete(
            bytes in prop::collection::vec(any::<u8>(), 0..300),
            number: u32,
            cut in any::<prop::sample::Index>(),
        ) {
            let mut buf = Vec::new();
            encode_struct(&mut buf, 2);
            encode_bytes(&mut buf, "A", &bytes);
            encode_number(&mut buf, "B", number);
            let a = Value::Bytes(Cow::Borrowed(&bytes[..]));
            let all = [(0, a), (1, Value::Uint(number.into()))];
            prop_assert_eq!(fields(&buf), Ok(all.into()));
            let cut = cut.index(buf.len());
            let Err(DecodeError::Incomplete { missing }) = fields(&buf[..cut]) else {
                return Err(TestCaseError::fail("a prefix is not incomplete"));
            };
            prop_assert!(0 < missing && cut + missing <= buf.len());
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            drop(fields(&bytes));
        }
    }
}

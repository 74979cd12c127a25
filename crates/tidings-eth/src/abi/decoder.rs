//! The decoder of answers, which reads no byte often.
//!
//! An encoding has offsets, and a hostile one points many parts of an answer to the same bytes: a
//! few kilobytes stand for any number of values. `alloy-dyn-abi` allows 1 GiB for that, before it
//! decodes the values; this decoder counts the bytes that it reads, and refuses an answer when it
//! has read four times as many as the answer has. A compiler's encoding is read once.

use super::types::{WORD, head_words, is_dynamic};
use alloy_dyn_abi::{DynSolType, DynSolValue};
use alloy_primitives::{Address, B256, Function, I256, U256};
use std::fmt;

/// Decodes values of these types that stand one after another; bytes after them are ignored.
pub(super) fn decode(types: &[DynSolType], data: &[u8]) -> Result<Vec<DynSolValue>, Invalid> {
    let mut decoder = Decoder { left: READS_PER_BYTE.saturating_mul(data.len()) };
    let mut zone = Zone { bytes: data, at: 0 };
    types.iter().map(|ty| decoder.value(ty, &mut zone)).collect()
}

/// The reason why bytes are no encoding of their types.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Invalid {
    /// A value ends behind the answer.
    Overrun,
    /// The answer stands for much more than it has.
    TooMuch,
    /// A word, or a text, is no value of the type.
    Value(DynSolType),
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Overrun => f.write_str("it ends too early for its types"),
            Self::TooMuch => f.write_str("its values point to the same bytes again and again"),
            Self::Value(ty) => write!(f, "it has a value that is no {ty}"),
        }
    }
}

struct Decoder {
    /// The number of bytes that may still be read.
    left: usize,
}

/// The bytes from which offsets count, and the position of the next value.
struct Zone<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Decoder {
    /// The next value of a zone: there, or behind an offset.
    fn value(&mut self, ty: &DynSolType, zone: &mut Zone<'_>) -> Result<DynSolValue, Invalid> {
        if !is_dynamic(ty) {
            return self.body(ty, zone);
        }
        let offset = self.length(zone)?;
        let bytes = zone.bytes.get(offset..).ok_or(Invalid::Overrun)?;
        self.body(ty, &mut Zone { bytes, at: 0 })
    }

    /// A value that stands at the zone's position.
    fn body(&mut self, ty: &DynSolType, zone: &mut Zone<'_>) -> Result<DynSolValue, Invalid> {
        match ty {
            DynSolType::Bytes => self.packed(zone).map(|bytes| DynSolValue::Bytes(bytes.into())),
            DynSolType::String => {
                let text = std::str::from_utf8(self.packed(zone)?);
                let text = text.map_err(|_| Invalid::Value(ty.clone()))?;
                Ok(DynSolValue::String(text.into()))
            }
            DynSolType::Array(element) => {
                let len = self.length(zone)?;
                let mut zone = Zone { bytes: &zone.bytes[zone.at..], at: 0 };
                self.elements(element, len, &mut zone).map(DynSolValue::Array)
            }
            DynSolType::FixedArray(element, len) => {
                self.elements(element, *len, zone).map(DynSolValue::FixedArray)
            }
            DynSolType::Tuple(members) => {
                let values = members.iter().map(|member| self.value(member, zone));
                values.collect::<Result<_, _>>().map(DynSolValue::Tuple)
            }
            _ => {
                let word = B256::from_slice(self.read(WORD, zone)?);
                scalar(ty, word).ok_or_else(|| Invalid::Value(ty.clone()))
            }
        }
    }

    fn elements(
        &mut self,
        ty: &DynSolType,
        len: usize,
        zone: &mut Zone<'_>,
    ) -> Result<Vec<DynSolValue>, Invalid> {
        let heads = head_words(ty).checked_mul(WORD).and_then(|head| head.checked_mul(len));
        if heads.is_none_or(|heads| heads > zone.bytes.len() - zone.at) {
            return Err(Invalid::Overrun);
        }
        (0..len).map(|_| self.value(ty, zone)).collect()
    }

    /// Bytes after their length, filled up to a whole word.
    fn packed<'a>(&mut self, zone: &mut Zone<'a>) -> Result<&'a [u8], Invalid> {
        let len = self.length(zone)?;
        let padded = len.checked_next_multiple_of(WORD).ok_or(Invalid::Overrun)?;
        self.read(padded, zone).map(|bytes| &bytes[..len])
    }

    /// A length or an offset.
    fn length(&mut self, zone: &mut Zone<'_>) -> Result<usize, Invalid> {
        let word = self.read(WORD, zone)?;
        usize::try_from(U256::from_be_slice(word)).map_err(|_| Invalid::Overrun)
    }

    fn read<'a>(&mut self, len: usize, zone: &mut Zone<'a>) -> Result<&'a [u8], Invalid> {
        let bytes = zone.bytes[zone.at..].get(..len).ok_or(Invalid::Overrun)?;
        self.left = self.left.checked_sub(len).ok_or(Invalid::TooMuch)?;
        zone.at += len;
        Ok(bytes)
    }
}

/// The value of a word, if it is one of the type.
fn scalar(ty: &DynSolType, word: B256) -> Option<DynSolValue> {
    let ends_with_zeros = |from: usize| word[from..].iter().all(|&byte| byte == 0);
    match *ty {
        DynSolType::Bool => match U256::from_be_bytes(word.0) {
            number if number > U256::ONE => None,
            number => Some(DynSolValue::Bool(number == U256::ONE)),
        },
        DynSolType::Uint(bits) => {
            let number = U256::from_be_bytes(word.0);
            (number.bit_len() <= bits).then_some(DynSolValue::Uint(number, bits))
        }
        DynSolType::Int(bits) => {
            let number = I256::from_be_bytes(word.0);
            (number.bits() as usize <= bits).then_some(DynSolValue::Int(number, bits))
        }
        DynSolType::FixedBytes(len) => {
            ends_with_zeros(len).then_some(DynSolValue::FixedBytes(word, len))
        }
        DynSolType::Address => {
            let zeros = word[..12].iter().all(|&byte| byte == 0);
            zeros.then(|| DynSolValue::Address(Address::from_slice(&word[12..])))
        }
        DynSolType::Function => {
            let function = Function::from_slice(&word[..24]);
            ends_with_zeros(24).then_some(DynSolValue::Function(function))
        }
        _ => None,
    }
}

/// How often all bytes of an answer may be read.
const READS_PER_BYTE: usize = 4;

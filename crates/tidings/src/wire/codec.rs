//! Encoding of values with postcard.

use crate::stats::Reject;
use alloc::vec::Vec;
use postcard::ser_flavors::Flavor;
use serde::{Deserialize, Serialize};

/// Appends the encoded value to `buf`.
pub(crate) fn encode<T: Serialize + ?Sized>(buf: &mut Vec<u8>, value: &T) {
    postcard::serialize_with_flavor(value, Append(buf))
        .expect("postcard encodes all types of our messages, and a vector grows");
}

/// Decodes a value from the front of `bytes`, and advances `bytes` behind it.
///
/// # Errors
///
/// [`Reject::Malformed`] if there is no such value.
pub(crate) fn decode<'a, T: Deserialize<'a>>(bytes: &mut &'a [u8]) -> Result<T, Reject> {
    let (value, rest) = postcard::take_from_bytes(bytes).map_err(|_| Reject::Malformed)?;
    *bytes = rest;
    Ok(value)
}

/// A postcard flavor that appends to a borrowed vector.
struct Append<'a>(&'a mut Vec<u8>);

impl Flavor for Append<'_> {
    type Output = ();

    fn try_push(&mut self, byte: u8) -> postcard::Result<()> {
        self.0.push(byte);
        Ok(())
    }

    fn try_extend(&mut self, bytes: &[u8]) -> postcard::Result<()> {
        self.0.extend_from_slice(bytes);
        Ok(())
    }

    fn finalize(self) -> postcard::Result<()> {
        Ok(())
    }
}

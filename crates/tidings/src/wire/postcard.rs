//! Values of checkpoints and journals as bytes: postcard.

use crate::stats::Reject;
use alloc::vec::Vec;
use postcard::ser_flavors::Flavor;
use serde::{Deserialize, Serialize};

/// Appends a value to `buf`.
pub(crate) fn put<T: Serialize + ?Sized>(buf: &mut Vec<u8>, value: &T) {
    postcard::serialize_with_flavor(value, Append(buf))
        .expect("our values are none that postcard refuses, and memory grows");
}

/// Takes a value off the front of `bytes`.
pub(crate) fn take<'a, T: Deserialize<'a>>(bytes: &mut &'a [u8]) -> Result<T, Reject> {
    let (value, rest) = postcard::take_from_bytes(bytes).map_err(|_| Reject::Malformed)?;
    *bytes = rest;
    Ok(value)
}

/// Postcard's way to write, onto a vector that somebody else owns.
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

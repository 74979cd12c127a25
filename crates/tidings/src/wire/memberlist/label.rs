//! Labels: what goes before everything that nodes of one cluster send, where they have one.

use crate::stats::Reject;
use alloc::vec::Vec;

/// Puts a label, of at most 255 bytes, in front; nothing if it is empty.
pub(crate) fn encode(buf: &mut Vec<u8>, label: &[u8]) {
    if !label.is_empty() {
        buf.extend_from_slice(&[HAS_LABEL, label.len() as u8]);
        buf.extend_from_slice(label);
    }
}

/// How many bytes that takes.
pub(crate) fn len(label: &[u8]) -> usize {
    if label.is_empty() { 0 } else { 2 + label.len() }
}

/// Takes the label off the front, which has to be this one; `None` if more has to come to tell.
///
/// # Errors
///
/// If it is another one, or if there is one and should be none, or the other way round.
pub(crate) fn strip<'a>(bytes: &'a [u8], label: &[u8]) -> Result<Option<&'a [u8]>, Reject> {
    let Some((&first, rest)) = bytes.split_first() else { return Ok(None) };
    if first != HAS_LABEL {
        return if label.is_empty() { Ok(Some(bytes)) } else { Err(Reject::ForeignCluster) };
    }
    let Some((&len, rest)) = rest.split_first() else { return Ok(None) };
    if len == 0 {
        return Err(Reject::Malformed);
    }
    if usize::from(len) != label.len() {
        return Err(Reject::ForeignCluster);
    }
    let Some((theirs, rest)) = rest.split_at_checked(label.len()) else { return Ok(None) };
    if theirs == label { Ok(Some(rest)) } else { Err(Reject::ForeignCluster) }
}

const HAS_LABEL: u8 = 244;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_has_to_be_the_same_and_none_is_one_too() {
        let mut labelled = Vec::new();
        encode(&mut labelled, b"lab");
        labelled.extend_from_slice(b"\x08hi");
        assert_eq!(labelled, b"\xf4\x03lab\x08hi");
        assert_eq!(len(b"lab"), 5);
        assert_eq!(strip(&labelled, b"lab"), Ok(Some(&b"\x08hi"[..])));
        assert_eq!(strip(b"\x08hi", b""), Ok(Some(&b"\x08hi"[..])));
        for wrong in [&b"lob"[..], b"la", b"labs", b""] {
            assert_eq!(strip(&labelled, wrong), Err(Reject::ForeignCluster));
        }
        assert_eq!(strip(b"\x08hi", b"lab"), Err(Reject::ForeignCluster));
        assert_eq!(strip(b"\xf4\x00\x08hi", b"lab"), Err(Reject::Malformed));
        for cut in 0..5 {
            assert_eq!(strip(&labelled[..cut], b"lab"), Ok(None));
        }
    }
}

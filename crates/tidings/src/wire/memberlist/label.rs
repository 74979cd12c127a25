//! Labels: an optional prefix of everything that the nodes of a cluster send.

use crate::stats::Reject;
use alloc::vec::Vec;

/// Appends the header of a label of at most 255 bytes; nothing if it is empty.
pub(crate) fn encode(buf: &mut Vec<u8>, label: &[u8]) {
    if !label.is_empty() {
        buf.extend_from_slice(&[HAS_LABEL, label.len() as u8]);
        buf.extend_from_slice(label);
    }
}

/// Length of that header, in bytes.
pub(crate) fn len(label: &[u8]) -> usize {
    if label.is_empty() { 0 } else { 2 + label.len() }
}

/// Removes the label from the front of `bytes`; `None` if more bytes are needed.
///
/// # Errors
///
/// [`Reject::ForeignCluster`] if the label differs from `label`; no label and the empty one are
/// equal. [`Reject::Malformed`] if an empty label is sent.
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
    fn labels_must_be_equal_and_no_label_equals_only_no_label() {
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

//! Envelopes: what binds datagrams and frames to a cluster.

use super::codec::{put, take};
use crate::member::ClusterName;
use crate::stats::Reject;
use alloc::vec::Vec;
use bytes::Bytes;

/// What binds everything that a node sends to its cluster, and tells whether what it gets is.
#[derive(Debug)]
pub(crate) struct Envelope {
    name: ClusterName,
    /// Says at a glance whose a message is: the CRC-32 of the cluster's name.
    tag: u32,
}

impl Envelope {
    pub(crate) fn new(name: &ClusterName) -> Self {
        Self { name: name.clone(), tag: crc32fast::hash(name.as_str().as_bytes()) }
    }

    /// How many bytes a datagram takes beside its messages.
    pub(crate) fn overhead(&self) -> usize {
        HEADER
    }

    /// Begins a datagram: its messages go behind what is there then.
    pub(crate) fn begin(&self, buf: &mut Vec<u8>) {
        buf.clear();
        buf.resize(HEADER, 0);
    }

    /// Closes a datagram, now that its messages are there.
    pub(crate) fn finish(&self, buf: &mut [u8]) {
        let checksum = self.checksum(&buf[HEADER..]);
        buf[0] = VERSION;
        buf[1..5].copy_from_slice(&self.tag.to_le_bytes());
        buf[5..HEADER].copy_from_slice(&checksum.to_le_bytes());
    }

    /// Opens a datagram; returns its messages.
    pub(crate) fn open<'a>(&self, datagram: &'a [u8]) -> Result<&'a [u8], Reject> {
        let (header, messages) = datagram.split_at_checked(HEADER).ok_or(Reject::Format)?;
        let mut fields = &header[1..];
        let tag = u32::from_le_bytes(take(&mut fields)?);
        let checksum = u32::from_le_bytes(take(&mut fields)?);
        if header[0] != VERSION {
            return Err(Reject::Format);
        }
        if tag != self.tag {
            return Err(Reject::ForeignCluster);
        }
        if checksum != self.checksum(messages) {
            return Err(Reject::Checksum);
        }
        Ok(messages)
    }

    /// Begins a frame of a kind: its body goes behind what is there then.
    pub(crate) fn begin_frame(&self, kind: u8) -> Vec<u8> {
        let mut buf = alloc::vec![0; FRAME_HEADER];
        put(&mut buf, &self.name);
        buf.push(kind);
        buf
    }

    /// Closes a frame, now that its body is there.
    pub(crate) fn finish_frame(&self, mut buf: Vec<u8>) -> Bytes {
        let body = &buf[FRAME_HEADER..];
        let length = u32::try_from(body.len()).expect("max_frame is at most 64 MiB");
        let checksum = self.checksum(body);
        buf[0] = VERSION;
        buf[1..5].copy_from_slice(&self.tag.to_le_bytes());
        buf[5..9].copy_from_slice(&checksum.to_le_bytes());
        buf[9..FRAME_HEADER].copy_from_slice(&length.to_le_bytes());
        buf.into()
    }

    /// Opens the frame that a stream has brought, if it is complete: its kind and its body.
    ///
    /// What cannot become a frame of ours of at most `limit` bytes is turned away as soon as that can
    /// be seen.
    pub(crate) fn open_frame<'a>(
        &self,
        bytes: &'a [u8],
        limit: usize,
    ) -> Result<Option<(u8, &'a [u8])>, Reject> {
        if bytes.first().is_some_and(|&version| version != VERSION) {
            return Err(Reject::Format);
        }
        let Some((header, body)) = bytes.split_at_checked(FRAME_HEADER) else {
            return Ok(None);
        };
        let mut fields = &header[1..];
        let tag = u32::from_le_bytes(take(&mut fields)?);
        let checksum = u32::from_le_bytes(take(&mut fields)?);
        let length = u32::from_le_bytes(take(&mut fields)?);
        if tag != self.tag {
            return Err(Reject::ForeignCluster);
        }
        let length = usize::try_from(length).ok().filter(|&length| length <= limit);
        let length = length.ok_or(Reject::Oversized)?;
        let Some(mut body) = body.get(..length) else {
            return Ok(None);
        };
        if checksum != self.checksum(body) {
            return Err(Reject::Checksum);
        }
        if take::<ClusterName>(&mut body)? != self.name {
            return Err(Reject::ForeignCluster);
        }
        let kind = take(&mut body)?;
        Ok(Some((kind, body)))
    }

    /// The envelope of another cluster, from a whole frame that is bound to it.
    ///
    /// With it whoever has the wrong cluster's name can be told so, in a way that it understands.
    pub(crate) fn of_stranger(frame: &[u8]) -> Option<Self> {
        let name = take::<ClusterName>(&mut frame.get(FRAME_HEADER..)?).ok()?;
        let theirs = Self::new(&name);
        theirs.open_frame(frame, frame.len()).ok()??;
        Some(theirs)
    }

    /// The CRC-32 of the cluster's name followed by `bytes`: it fits in no other cluster.
    fn checksum(&self, bytes: &[u8]) -> u32 {
        let mut hasher = crc32fast::Hasher::new_with_initial(self.tag);
        hasher.update(bytes);
        hasher.finalize()
    }
}

/// The first byte of every datagram and every frame: Tidings' format, version 1.
const VERSION: u8 = 0xd1;

/// Of a datagram: version, cluster tag, checksum.
const HEADER: usize = 9;

/// Of a frame: version, cluster tag, checksum, length of what follows.
const FRAME_HEADER: usize = 13;

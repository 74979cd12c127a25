//! Inputs of a node, as a journal has them.

use crate::addr::Dialled;
use crate::error::StreamError;
use crate::event::Ticket;
use crate::member::NodeId;
use crate::stats::DatagramError;
use crate::stream::{StreamId, StreamInput};
#[cfg(feature = "record")]
use crate::wire::journal_note::octets;
use alloc::borrow::Cow;
use alloc::vec::Vec;
use core::net::SocketAddr;

/// Input of a node, as journaled.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "record", derive(serde::Deserialize, serde::Serialize))]
#[cfg_attr(not(feature = "record"), expect(dead_code, reason = "only journals read it"))]
pub(crate) enum Input<'a> {
    Datagram {
        from: SocketAddr,
        #[cfg_attr(feature = "record", serde(serialize_with = "octets"))]
        data: &'a [u8],
    },
    /// A sealed datagram of our cluster, of `len` bytes; a note has its plaintext.
    Sealed {
        from: SocketAddr,
        len: usize,
    },
    Timeout,
    Accept {
        from: SocketAddr,
    },
    Opened(StreamId),
    Data(StreamId, #[cfg_attr(feature = "record", serde(serialize_with = "octets"))] &'a [u8]),
    Closed(StreamId),
    Failed(StreamId, StreamError),
    Join(Vec<Dialled>),
    SetSeeds(Vec<Dialled>),
    SetHints(Vec<Dialled>),
    Leave,
    Cancel(Ticket),
    Ping(Cow<'a, NodeId>),
    Send(
        Cow<'a, NodeId>,
        #[cfg_attr(feature = "record", serde(serialize_with = "octets"))] &'a [u8],
    ),
    SendReliable(
        Cow<'a, NodeId>,
        #[cfg_attr(feature = "record", serde(serialize_with = "octets"))] &'a [u8],
    ),
    Broadcast {
        #[cfg_attr(feature = "record", serde(serialize_with = "octets"))]
        key: &'a [u8],
        #[cfg_attr(feature = "record", serde(serialize_with = "octets"))]
        data: &'a [u8],
    },
    SetMeta(#[cfg_attr(feature = "record", serde(serialize_with = "octets"))] &'a [u8]),
    SetSyncState(#[cfg_attr(feature = "record", serde(serialize_with = "octets"))] &'a [u8]),
    SetWallClock(u64),
    SendFailed {
        to: Dialled,
        len: usize,
        error: DatagramError,
    },
    SetAddr(Dialled),
    ForceLeave(Cow<'a, NodeId>),
}

impl<'a> Input<'a> {
    pub(crate) fn of_stream(id: StreamId, input: StreamInput<'a>) -> Self {
        match input {
            StreamInput::Opened => Self::Opened(id),
            StreamInput::Data(data) => Self::Data(id, data),
            StreamInput::Closed => Self::Closed(id),
            StreamInput::Failed(error) => Self::Failed(id, error),
        }
    }
}

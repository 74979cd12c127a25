//! Streams: connections between nodes, and data in flight.

use bytes::Bytes;
use std::collections::HashMap;
use tidings::{Instant, StreamError, StreamId, StreamInput};

/// All streams of a world; only looked up, never iterated.
#[derive(Debug, Default)]
pub(super) struct Streams {
    streams: HashMap<u64, Stream>,
    next: u64,
}

/// A stream: its two ends and the state of the connection.
#[derive(Debug)]
pub(super) struct Stream {
    pub(super) ends: [Option<End>; 2],
    /// Arrival time of the latest chunk for each end, which later ones do not overtake.
    last: [Instant; 2],
    /// Whether nothing arrives any more.
    pub(super) stalled: bool,
}

/// A node's end of a stream.
#[derive(Clone, Copy, Debug)]
pub(super) struct End {
    pub(super) host: usize,
    pub(super) starts: u32,
    pub(super) id: StreamId,
}

/// A chunk of a stream: data or a change of its state.
#[derive(Clone, Debug)]
pub(super) enum StreamChunk {
    Opened,
    Data(Bytes),
    Closed,
    Failed(StreamError),
}

impl Streams {
    pub(super) fn open(&mut self, end: End) -> u64 {
        let stream = self.next;
        self.next += 1;
        let ends = [Some(end), None];
        self.streams.insert(stream, Stream { ends, last: [Instant::ZERO; 2], stalled: false });
        stream
    }

    pub(super) fn get_mut(&mut self, stream: u64) -> Option<&mut Stream> {
        self.streams.get_mut(&stream)
    }

    pub(super) fn get(&self, stream: u64) -> Option<&Stream> {
        self.streams.get(&stream)
    }

    /// Detaches one end; a stream without ends is removed.
    pub(super) fn detach(&mut self, stream: u64, side: usize) {
        let Some(known) = self.streams.get_mut(&stream) else { return };
        known.ends[side] = None;
        if known.ends == [const { None }; 2] {
            self.streams.remove(&stream);
        }
    }

    pub(super) fn len(&self) -> usize {
        self.streams.len()
    }
}

impl Stream {
    /// Arrival time at a side for a chunk that could arrive at `due`.
    pub(super) fn arrival(&mut self, side: usize, due: Instant) -> Instant {
        self.last[side] = self.last[side].max(due);
        self.last[side]
    }
}

impl PartialEq for End {
    fn eq(&self, other: &Self) -> bool {
        (self.host, self.starts, self.id) == (other.host, other.starts, other.id)
    }
}

impl StreamChunk {
    pub(super) fn input(&self) -> StreamInput<'_> {
        match self {
            Self::Opened => StreamInput::Opened,
            Self::Data(data) => StreamInput::Data(data),
            Self::Closed => StreamInput::Closed,
            Self::Failed(error) => StreamInput::Failed(*error),
        }
    }

    /// Whether an end receives nothing after it.
    pub(super) fn is_last(&self) -> bool {
        matches!(self, Self::Closed | Self::Failed(_))
    }
}

//! Streams: what is connected to what, and what is on the way.

use bytes::Bytes;
use std::collections::HashMap;
use tidings::{Instant, StreamError, StreamId, StreamInput};

/// All streams of a world. They are only ever looked up, so that their order is never seen.
#[derive(Debug, Default)]
pub(super) struct Streams {
    streams: HashMap<u64, Stream>,
    next: u64,
}

/// Two ends, and what is known of the way between them.
#[derive(Debug)]
pub(super) struct Stream {
    pub(super) ends: [Option<End>; 2],
    /// When what was sent last to either end arrives: nothing overtakes it.
    last: [Instant; 2],
    /// Nothing arrives any more.
    pub(super) stalled: bool,
}

/// A node's end of a stream.
#[derive(Clone, Copy, Debug)]
pub(super) struct End {
    pub(super) host: usize,
    pub(super) starts: u32,
    pub(super) id: StreamId,
}

/// Something that arrives on a stream.
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

    /// One end is gone; a stream without ends is forgotten.
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
    /// When something arrives at a side that could be there at `due`.
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

    /// Whether it is the last thing that an end hears.
    pub(super) fn is_last(&self) -> bool {
        matches!(self, Self::Closed | Self::Failed(_))
    }
}

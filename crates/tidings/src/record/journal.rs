//! The journal: every input of a node and a checksum of every output, as bytes.
//!
//! A node that is restored from the checkpoint at the journal's start and gets the same inputs
//! writes the same journal. A replay compares the two.

use crate::addr::Dialled;
use crate::error::StreamError;
use crate::event::Ticket;
use crate::member::NodeId;
use crate::output::Output;
use crate::stream::{StreamAction, StreamId, StreamInput};
use crate::time::Instant;
use crate::wire::codec::{decode, encode};
use crate::wire::dissect::MessageSummary;
use crate::wire::journal_note::{JournalNote, octets};
use crate::wire::{Format, in_clear};
use alloc::borrow::Cow;
use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::fmt::{self, Write};
use core::net::SocketAddr;
use core::time::Duration;
use postcard::ser_flavors::Flavor;
use serde::{Deserialize, Serialize};

/// A journal that a node writes while it is recorded or replayed.
///
/// In a replay, a [`Script`] supplies the recorded results of callbacks.
#[derive(Debug)]
pub(crate) struct Journal {
    buf: Vec<u8>,
    /// The time of the last record.
    last: Instant,
    /// Checksum of the datagram that is being polled, before encryption.
    unsealed: u32,
    script: Option<Script>,
}

/// Recorded results of callbacks for a replayed node, and the messages that it decodes.
#[derive(Debug, Default)]
pub(crate) struct Script {
    /// The application's admission decisions during the current input, in order.
    admissions: VecDeque<bool>,
    /// Summaries of the frames decoded during the current input.
    pub(crate) heard: Vec<Vec<MessageSummary>>,
}

/// Encoded form of one entry of a journal.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) enum Record<'a> {
    /// The node was polled: the kind and the CRC-32 of its output.
    Output { kind: Kind, checksum: u32 },
    /// The node got an input, `after` nanoseconds after the previous one. Its notes follow, up to
    /// [`JournalNote::End`].
    Input {
        after: u64,
        #[serde(borrow)]
        input: Input<'a>,
    },
}

/// Kind of a node's output.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) enum Kind {
    /// None, although a poll was due: the pending output had become unnecessary.
    Nothing,
    Datagram,
    Stream,
    Event,
}

impl Kind {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Nothing => "no output",
            Self::Datagram => "a datagram",
            Self::Stream => "a stream action",
            Self::Event => "an event",
        }
    }
}

/// Input of a node, as journaled.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) enum Input<'a> {
    Datagram {
        from: SocketAddr,
        #[serde(serialize_with = "octets")]
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
    Data(StreamId, #[serde(serialize_with = "octets")] &'a [u8]),
    Closed(StreamId),
    Failed(StreamId, StreamError),
    Join(Vec<Dialled>),
    Leave,
    Cancel(Ticket),
    Ping(Cow<'a, NodeId>),
    Send(Cow<'a, NodeId>, #[serde(serialize_with = "octets")] &'a [u8]),
    SendReliable(Cow<'a, NodeId>, #[serde(serialize_with = "octets")] &'a [u8]),
    Broadcast {
        #[serde(serialize_with = "octets")]
        key: &'a [u8],
        #[serde(serialize_with = "octets")]
        data: &'a [u8],
    },
    SetMeta(#[serde(serialize_with = "octets")] &'a [u8]),
    SetSyncState(#[serde(serialize_with = "octets")] &'a [u8]),
}

impl Journal {
    pub(crate) fn new(now: Instant) -> Self {
        Self { buf: Vec::new(), last: now, unsealed: 0, script: None }
    }

    /// The journal of a replayed node.
    pub(crate) fn of_replay(now: Instant) -> Self {
        Self { script: Some(Script::default()), ..Self::new(now) }
    }

    /// The script; `None` if this is not a replay.
    pub(crate) fn script(&mut self) -> Option<&mut Script> {
        self.script.as_mut()
    }

    /// Whether more than [`MAX_PENDING`] bytes wait for [`take`](Self::take).
    pub(crate) fn is_full(&self) -> bool {
        self.buf.len() > MAX_PENDING
    }

    /// Number of bytes that wait for [`take`](Self::take).
    pub(crate) fn len(&self) -> usize {
        self.buf.len()
    }

    /// Moves the journal's bytes to the end of `out`.
    pub(crate) fn take(&mut self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.buf);
        self.buf.clear();
        // Release the memory of a burst.
        self.buf.shrink_to(MAX_RETAINED);
    }

    /// Starts an input.
    pub(crate) fn begin(&mut self, now: Instant, input: Input<'_>) {
        let after = now.since(self.last).as_nanos() as u64;
        self.last = now;
        encode(&mut self.buf, &Record::Input { after, input });
    }

    /// Ends an input, with the wire format's notes and the checksum of the returned value.
    pub(crate) fn end(&mut self, notes: Option<&mut Vec<u8>>, returned: Option<&dyn fmt::Debug>) {
        if let Some(notes) = notes {
            self.buf.append(notes);
        }
        if let Some(returned) = returned {
            let mut checksum = Checksum::default();
            write!(checksum, "{returned:?}").expect("writing to a checksum does not fail");
            self.note(JournalNote::Returned(checksum.finish()));
        }
        self.note(JournalNote::End);
    }

    fn note(&mut self, note: JournalNote<'_>) {
        encode(&mut self.buf, &note);
    }

    /// Notes and returns the application's admission decision; a replay returns the recorded one.
    pub(crate) fn admitted(&mut self, ask: impl FnOnce() -> bool) -> bool {
        let admitted = match &mut self.script {
            Some(script) => script.admissions.pop_front().unwrap_or_default(),
            None => ask(),
        };
        self.note(JournalNote::Admitted(admitted));
        admitted
    }

    /// Records the checksum of a datagram before encryption.
    pub(crate) fn built(&mut self, datagram: &[u8]) {
        self.unsealed = crc32fast::hash(datagram);
    }

    /// Writes the record of a poll while output was pending.
    pub(crate) fn polled(&mut self, wire: &Format, output: Option<&Output<'_>>) {
        let (kind, checksum) = match output {
            None => (Kind::Nothing, 0),
            Some(Output::Datagram { to, data }) => (
                Kind::Datagram,
                checksum_of(&(to, data.len(), self.unsealed, Octets(wire.head(data)))),
            ),
            Some(Output::Stream { id, action: StreamAction::Write(bytes) }) => {
                (Kind::Stream, checksum_of(&(id, bytes.len(), Octets(in_clear(bytes)))))
            }
            Some(Output::Stream { id, action }) => (Kind::Stream, checksum_of(&(id, action))),
            Some(Output::Event(event)) => (Kind::Event, checksum_of(event)),
        };
        encode(&mut self.buf, &Record::Output { kind, checksum });
    }
}

impl Script {
    /// Sets the admission decisions for the next input.
    pub(crate) fn admit(&mut self, admissions: impl Iterator<Item = bool>) {
        self.admissions.clear();
        self.admissions.extend(admissions);
    }
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

/// A decoded entry of a journal: an input with its notes, or an output.
#[derive(Debug)]
pub(crate) enum Entry<'a> {
    Output { kind: Kind, checksum: u32 },
    Input { after: Duration, input: Input<'a>, notes: Vec<JournalNote<'a>> },
}

/// Decodes and removes the first entry of a journal; `None` if it is malformed.
pub(crate) fn decode_entry<'a>(journal: &mut &'a [u8]) -> Option<Entry<'a>> {
    match decode(journal).ok()? {
        Record::Output { kind, checksum } => Some(Entry::Output { kind, checksum }),
        Record::Input { after, input } => {
            let mut notes = Vec::new();
            loop {
                match decode(journal).ok()? {
                    JournalNote::End => break,
                    note => notes.push(note),
                }
            }
            Some(Entry::Input { after: Duration::from_nanos(after), input, notes })
        }
    }
}

/// Bytes that serialize as one byte string instead of a sequence of bytes.
#[derive(Serialize)]
struct Octets<'a>(#[serde(serialize_with = "octets")] &'a [u8]);

/// CRC-32 of a value's serialized form.
fn checksum_of<T: Serialize>(value: &T) -> u32 {
    postcard::serialize_with_flavor(value, Checksum::default())
        .expect("postcard can serialize all outputs")
}

/// A CRC-32 over serialized bytes or text.
#[derive(Default)]
struct Checksum(crc32fast::Hasher);

impl Checksum {
    fn finish(self) -> u32 {
        self.0.finalize()
    }
}

impl Flavor for Checksum {
    type Output = u32;

    fn try_push(&mut self, byte: u8) -> postcard::Result<()> {
        self.0.update(&[byte]);
        Ok(())
    }

    fn try_extend(&mut self, bytes: &[u8]) -> postcard::Result<()> {
        self.0.update(bytes);
        Ok(())
    }

    fn finalize(self) -> postcard::Result<u32> {
        Ok(self.finish())
    }
}

impl Write for Checksum {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.update(text.as_bytes());
        Ok(())
    }
}

/// Maximum number of pending bytes; with more, the node ends its journal.
const MAX_PENDING: usize = 32 << 20;
/// Capacity of the buffer that is retained after a take, in bytes.
const MAX_RETAINED: usize = 64 << 10;

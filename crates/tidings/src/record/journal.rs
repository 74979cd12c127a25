//! The journal: every input of a node and a checksum of every output, as bytes.
//!
//! A node that is restored from the checkpoint at which its journal began and takes the same inputs
//! writes the same journal. That is all there is to verify: a replay compares the two.

use crate::output::Output;
use crate::stream::StreamAction;
use crate::time::Instant;
use crate::wire::dissect::MessageSummary;
use crate::wire::journal_note::{JournalNote, octets};
use crate::wire::postcard::{put, take};
use crate::wire::{Format, in_clear};
use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::fmt::{self, Write};
use core::time::Duration;
use postcard::ser_flavors::Flavor;
use serde::{Deserialize, Serialize};

pub(crate) use super::input::Input;

/// What a node notes while it keeps a journal; the same in a replay, where it is also told what was
/// noted then.
#[derive(Debug)]
pub(crate) struct Journal {
    buf: Vec<u8>,
    /// The time of the last record.
    last: Instant,
    /// What the datagram that is being polled said before it was sealed, as a checksum.
    unsealed: u32,
    script: Option<Script>,
}

/// What a replayed node is told, and what it tells beside its journal.
#[derive(Debug, Default)]
pub(crate) struct Script {
    /// What the application said to each who asked to be admitted.
    admissions: VecDeque<bool>,
    /// The frames that came over streams, as they were taken.
    pub(crate) heard: Vec<Vec<MessageSummary>>,
}

/// One entry of a journal.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) enum Record<'a> {
    /// The node was polled: what it gave, by a checksum.
    Output { kind: Kind, checksum: u32 },
    /// The node took an input so many nanoseconds after the last one; what it was told during that
    /// follows.
    Input {
        after: u64,
        #[serde(borrow)]
        input: Input<'a>,
    },
}

/// Which kind of output a node gave.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) enum Kind {
    /// None, although something waited: there was nothing to say after all.
    Nothing,
    Datagram,
    Stream,
    Event,
}

impl Kind {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::Datagram => "a datagram",
            Self::Stream => "something on a stream",
            Self::Event => "an event",
        }
    }
}

impl Journal {
    pub(crate) fn new(now: Instant) -> Self {
        Self { buf: Vec::new(), last: now, unsealed: 0, script: None }
    }

    /// A journal that is kept in a replay.
    pub(crate) fn of_replay(now: Instant) -> Self {
        Self { script: Some(Script::default()), ..Self::new(now) }
    }

    pub(crate) fn script(&mut self) -> Option<&mut Script> {
        self.script.as_mut()
    }

    /// Whether more waits to be taken than may.
    pub(crate) fn is_full(&self) -> bool {
        self.buf.len() > MAX_WAITING
    }

    pub(crate) fn len(&self) -> usize {
        self.buf.len()
    }

    pub(crate) fn take(&mut self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.buf);
        self.buf.clear();
        // What a burst took is given back.
        self.buf.shrink_to(MAX_KEPT);
    }

    pub(crate) fn begin(&mut self, now: Instant, input: Input<'_>) {
        let after = now.since(self.last).as_nanos() as u64;
        self.last = now;
        put(&mut self.buf, &Record::Input { after, input });
    }

    /// Ends an input, with what else it was told.
    pub(crate) fn end(&mut self, notes: Option<&mut Vec<u8>>, returned: Option<&dyn fmt::Debug>) {
        if let Some(notes) = notes {
            self.buf.append(notes);
        }
        if let Some(returned) = returned {
            let mut sum = Sum::default();
            write!(sum, "{returned:?}").expect("a checksum takes anything");
            self.told(JournalNote::Returned(sum.finish()));
        }
        self.told(JournalNote::End);
    }

    fn told(&mut self, told: JournalNote<'_>) {
        put(&mut self.buf, &told);
    }

    /// Has the application's word on whom it admits, which in a replay is what it said then.
    pub(crate) fn admitted(&mut self, ask: impl FnOnce() -> bool) -> bool {
        let admitted = match &mut self.script {
            Some(script) => script.admissions.pop_front().unwrap_or_default(),
            None => ask(),
        };
        self.told(JournalNote::Admitted(admitted));
        admitted
    }

    /// A datagram was built, and is not sealed yet.
    pub(crate) fn built(&mut self, datagram: &[u8]) {
        self.unsealed = crc32fast::hash(datagram);
    }

    /// The node was polled while something waited.
    pub(crate) fn polled(&mut self, wire: &Format, output: Option<&Output<'_>>) {
        let (kind, checksum) = match output {
            None => (Kind::Nothing, 0),
            Some(Output::Datagram { to, data }) => {
                (Kind::Datagram, sum_of(&(to, data.len(), self.unsealed, Octets(wire.head(data)))))
            }
            Some(Output::Stream { id, action: StreamAction::Write(bytes) }) => {
                (Kind::Stream, sum_of(&(id, bytes.len(), Octets(in_clear(bytes)))))
            }
            Some(Output::Stream { id, action }) => (Kind::Stream, sum_of(&(id, action))),
            Some(Output::Event(event)) => (Kind::Event, sum_of(event)),
        };
        put(&mut self.buf, &Record::Output { kind, checksum });
    }
}

impl Script {
    pub(crate) fn admit(&mut self, admissions: impl Iterator<Item = bool>) {
        self.admissions.clear();
        self.admissions.extend(admissions);
    }
}

/// An entry of a journal as it is read: an input with what was told, or an output.
#[derive(Debug)]
pub(crate) enum Entry<'a> {
    Output { kind: Kind, checksum: u32 },
    Input { after: Duration, input: Input<'a>, told: Vec<JournalNote<'a>> },
}

/// Takes an entry off the front of a journal; `None` if it is malformed.
pub(crate) fn entry<'a>(journal: &mut &'a [u8]) -> Option<Entry<'a>> {
    match take(journal).ok()? {
        Record::Output { kind, checksum } => Some(Entry::Output { kind, checksum }),
        Record::Input { after, input } => {
            let mut told = Vec::new();
            loop {
                match take(journal).ok()? {
                    JournalNote::End => break,
                    one => told.push(one),
                }
            }
            Some(Entry::Input { after: Duration::from_nanos(after), input, told })
        }
    }
}

/// Bytes that are written at once, and not one by one.
#[derive(Serialize)]
struct Octets<'a>(#[serde(serialize_with = "octets")] &'a [u8]);

/// A checksum over values as they would be written.
fn sum_of<T: Serialize>(value: &T) -> u32 {
    postcard::serialize_with_flavor(value, Sum::default())
        .expect("our outputs have no values that postcard refuses")
}

#[derive(Default)]
struct Sum(crc32fast::Hasher);

impl Sum {
    fn finish(self) -> u32 {
        self.0.finalize()
    }
}

impl Flavor for Sum {
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

impl Write for Sum {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.update(text.as_bytes());
        Ok(())
    }
}

/// So many bytes wait to be taken; with more the journal ends.
const MAX_WAITING: usize = 32 << 20;
/// So much of the buffer is kept once it was taken.
const MAX_KEPT: usize = 64 << 10;

//! Replays: a node runs again from a checkpoint and a journal, and everything that it says is compared
//! with what it said then.
//!
//! ```
//! use tidings::replay::Replay;
//! use tidings::{ClusterName, Config, Instant, Node, NodeId};
//!
//! let at = "10.0.0.1:7946".parse()?;
//! let config = Config::lan(ClusterName::new("example")?, NodeId::new("a")?, at);
//! let mut node = Node::new(config, [7; 32], Instant::ZERO);
//! let (mut checkpoint, mut journal) = (Vec::new(), Vec::new());
//! node.start_journal(&mut checkpoint);
//!
//! let mut buf = Vec::new();
//! node.join(Instant::ZERO, &["10.0.0.2:7946".parse()?])?;
//! while node.poll_output(&mut buf).is_some() {}
//! node.take_journal(&mut journal);
//!
//! let mut replay = Replay::new(&checkpoint, &journal)?;
//! while let Some(step) = replay.step()? {
//!     assert_eq!(step.difference, None);
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! A recording is trusted as far as its checksums: what is not a journal is an error, and one that was
//! forged may say anything.

mod step;

use crate::addr::Dialled;
use crate::gossip::broadcast_key::BroadcastKey;
use crate::member::{Member, Meta, NodeId};
use crate::node::Node;
use crate::record::journal::{Entry, Input as Given, entry};
use crate::stream::{StreamId, StreamInput};
use crate::time::Instant;
use crate::timers::Timer;
use crate::wire::dissect;
use crate::wire::journal_note::JournalNote;
use alloc::vec::Vec;
use bytes::Bytes;
use core::fmt;

pub use crate::wire::dissect::{MessageSummary, ShortName};
pub use step::{Difference, Input, ReplayedOutput, Step};

/// A node that runs again as it ran when its journal was kept.
pub struct Replay<'a> {
    node: Node,
    /// What is still to be read.
    journal: &'a [u8],
    buf: Vec<u8>,
    /// Scratch: what the node notes now.
    noted: Vec<u8>,
}

/// A member that is suspected, as a node holds it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Suspected<'a> {
    /// The member.
    pub member: &'a Member,
    /// When the suspicion began.
    pub since: Instant,
    /// When it runs out, if nobody contradicts and nobody else accuses.
    pub until: Instant,
    /// Who accuses the member, the first one first; `None` stands for somebody unknown.
    pub accusers: Vec<Option<ShortName>>,
}

impl<'a> Replay<'a> {
    /// Begins where a checkpoint was made, with the journal that was begun then.
    ///
    /// # Errors
    ///
    /// If this is no checkpoint, or one of another version.
    pub fn new(checkpoint: &[u8], journal: &'a [u8]) -> Result<Self, ReplayError> {
        let node = Node::restore_for_replay(checkpoint)?;
        Ok(Self { node, journal, buf: Vec::new(), noted: Vec::new() })
    }

    /// The node as it is now.
    pub fn node(&self) -> &Node {
        &self.node
    }

    /// What time it is for the node.
    pub fn now(&self) -> Instant {
        self.node.now()
    }

    /// Whom four bytes stand for, of those that the node knows now.
    pub fn name(&self, short: ShortName) -> Option<&NodeId> {
        self.node.all_members().map(Member::id).find(|id| ShortName::of(id) == short)
    }

    /// Who is suspected now.
    pub fn suspected(&self) -> Vec<Suspected<'_>> {
        self.node.suspected()
    }

    /// Until when the node holds that it hears enough to pronounce others failed.
    pub fn lease_until(&self) -> Instant {
        self.node.lease_until()
    }

    /// All that the node waits for, and when it is due, the first one first.
    pub fn timers(&self) -> Vec<(Instant, Timer)> {
        self.node.all_timers()
    }

    /// When the next step is; `None` at the end.
    ///
    /// # Errors
    ///
    /// If what follows is no journal.
    pub fn next_at(&self) -> Result<Option<Instant>, ReplayError> {
        let mut journal = self.journal;
        if journal.is_empty() {
            return Ok(None);
        }
        match entry(&mut journal).ok_or(ReplayError::Journal)? {
            Entry::Input { after, .. } => Ok(Some(self.now() + after)),
            Entry::Output { .. } => Ok(Some(self.now())),
        }
    }

    /// Gives the node its next input, and polls what it was polled for then; `None` at the end.
    ///
    /// After a difference the node is not the one that it was, and what follows says little.
    ///
    /// # Errors
    ///
    /// If what follows is no journal.
    pub fn step(&mut self) -> Result<Option<Step>, ReplayError> {
        let mut step = Step::new(self.now());
        let begun = self.journal;
        match self.next_entry()? {
            None => return Ok(None),
            Some(Entry::Output { .. }) => self.journal = begun,
            Some(Entry::Input { after, input, told }) => {
                let now = self.now() + after;
                step.at = now;
                step.input = self.give(now, input, &told)?;
                let recorded = &begun[..begun.len() - self.journal.len()];
                step.difference = self.compare(recorded);
            }
        }
        while step.difference.is_none() {
            let begun = self.journal;
            let Some(Entry::Output { .. }) = self.next_entry()? else {
                self.journal = begun;
                break;
            };
            let gave = match self.node.poll_output(&mut self.buf) {
                Some(output) => ReplayedOutput::of(&output, self.node.wire()),
                None => ReplayedOutput::Nothing,
            };
            step.outputs.push(gave.with_peer(|id| self.node.peer_of(id)));
            let recorded = &begun[..begun.len() - self.journal.len()];
            step.difference = self.compare(recorded);
        }
        Ok(Some(step))
    }

    fn next_entry(&mut self) -> Result<Option<Entry<'a>>, ReplayError> {
        if self.journal.is_empty() {
            return Ok(None);
        }
        entry(&mut self.journal).map(Some).ok_or(ReplayError::Journal)
    }

    /// Compares what was noted then with what the node notes now.
    fn compare(&mut self, recorded: &[u8]) -> Option<Difference> {
        self.noted.clear();
        self.node.take_journal(&mut self.noted);
        (self.noted != recorded).then(|| Difference::between(recorded, &self.noted))
    }

    fn give(
        &mut self,
        now: Instant,
        given: Given<'_>,
        told: &[JournalNote<'_>],
    ) -> Result<Input, ReplayError> {
        let opened = told.iter().find_map(|told| match told {
            JournalNote::Opened(plain) => Some(*plain),
            _ => None,
        });
        self.prepare(told, opened);
        let node = &mut self.node;
        Ok(match given {
            Given::Datagram { from, data } => {
                let taken = taken(node, |node| node.handle_datagram(now, from, data));
                let summaries = dissect::in_datagram(node.wire(), data, opened);
                Input::Datagram { from, len: data.len(), sealed: false, summaries, taken }
            }
            Given::Sealed { from, len } => {
                let mut data = node.wire_mut().sealed_prefix().to_vec();
                if len < data.len() || len > MAX_SEALED {
                    return Err(ReplayError::Journal);
                }
                data.resize(len, 0);
                let taken = taken(node, |node| node.handle_datagram(now, from, &data));
                let summaries = match opened {
                    Some(plain) => dissect::in_datagram(node.wire(), &[], Some(plain)),
                    None => [MessageSummary::Unreadable].into(),
                };
                Input::Datagram { from, len, sealed: true, summaries, taken }
            }
            Given::Timeout => {
                let due = node.all_timers().into_iter().take_while(|(at, _)| *at <= now);
                let due = due.map(|(_, timer)| timer).collect();
                node.handle_timeout(now);
                Input::Timeout { due }
            }
            Given::Accept { from } => Input::Accepted { from, id: node.accept_stream(now, from) },
            Given::Opened(id) => self.stream(now, id, StreamInput::Opened),
            Given::Data(id, data) => self.stream(now, id, StreamInput::Data(data)),
            Given::Closed(id) => self.stream(now, id, StreamInput::Closed),
            Given::Failed(id, error) => self.stream(now, id, StreamInput::Failed(error)),
            Given::Join(seeds) => {
                let seeds: Vec<_> = seeds.into_iter().map(|Dialled(seed)| seed).collect();
                let _ = node.join(now, &seeds);
                Input::Join { seeds }
            }
            Given::Leave => {
                node.leave(now);
                Input::Leave
            }
            Given::Cancel(ticket) => {
                node.cancel(now, ticket);
                Input::Cancel(ticket)
            }
            Given::Ping(to) => {
                let _ = node.ping(now, &to);
                Input::Ping { to: to.into_owned() }
            }
            Given::Send(to, data) => {
                let _ = node.send(now, &to, Bytes::copy_from_slice(data));
                Input::Send { to: to.into_owned(), len: data.len() }
            }
            Given::SendReliable(to, data) => {
                let _ = node.send_reliable(now, &to, Bytes::copy_from_slice(data));
                Input::SendReliable { to: to.into_owned(), len: data.len() }
            }
            Given::Broadcast { key, data } => {
                let bytes = Bytes::copy_from_slice(data);
                let _ = if key.is_empty() {
                    node.broadcast(now, bytes)
                } else {
                    let key = BroadcastKey::new(key).map_err(|_| ReplayError::Journal)?;
                    node.broadcast_replacing(now, key, bytes)
                };
                Input::Broadcast { len: data.len() }
            }
            Given::SetMeta(meta) => {
                let _ = node.set_meta(now, Meta::new(meta));
                Input::SetMeta { len: meta.len() }
            }
            Given::SetSyncState(state) => {
                let _ = node.set_sync_state(now, Bytes::copy_from_slice(state));
                Input::SetSyncState { len: state.len() }
            }
        })
    }

    fn stream(&mut self, now: Instant, id: StreamId, input: StreamInput<'_>) -> Input {
        let peer = self.node.peer_of(id);
        self.node.handle_stream(now, id, input);
        match input {
            StreamInput::Opened => Input::StreamOpened { id, peer },
            StreamInput::Data(data) => {
                let script = self.node.journal().and_then(|journal| journal.script());
                let summaries = script.and_then(|script| script.heard.pop());
                Input::StreamData {
                    id,
                    peer,
                    len: data.len(),
                    summaries: summaries.unwrap_or_default(),
                }
            }
            StreamInput::Closed => Input::StreamClosed { id, peer },
            StreamInput::Failed(error) => Input::StreamFailed { id, peer, error },
        }
    }

    /// Lets the node have what it was told during an input.
    fn prepare(&mut self, told: &[JournalNote<'_>], opened: Option<&[u8]>) {
        self.node.wire_mut().script(opened);
        let admissions = told.iter().filter_map(|told| match told {
            JournalNote::Admitted(admitted) => Some(*admitted),
            _ => None,
        });
        if let Some(script) = self.node.journal().and_then(|journal| journal.script()) {
            script.admit(admissions);
            script.heard.clear();
        }
    }
}

impl fmt::Debug for Replay<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("Replay");
        debug.field("node", &self.node).field("unread_bytes", &self.journal.len());
        debug.finish_non_exhaustive()
    }
}

/// Whether the node takes a datagram, and does not turn it away.
fn taken(node: &mut Node, give: impl FnOnce(&mut Node)) -> bool {
    let before = node.stats().rejected_datagrams.total();
    give(node);
    node.stats().rejected_datagrams.total() == before
}

/// A recording cannot be replayed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum ReplayError {
    /// It is in a format of another version.
    Format(u8),
    /// It does not begin with the state of a node.
    Checkpoint,
    /// What follows is not what a node notes.
    Journal,
    /// It is of a node that has keys: such a node cannot be restored, only replayed.
    Keys,
    /// It is of a node that has keys, and this program was built without encryption.
    Encryption,
}

impl fmt::Display for ReplayError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Format(format) => write!(
                f,
                "the recording is in format {format}; replay it with the version that made it"
            ),
            Self::Checkpoint => f.write_str("what should be the state of a node is not"),
            Self::Journal => f.write_str("what should be the journal of a node is not"),
            Self::Keys => f.write_str("a node that has keys can only be replayed"),
            Self::Encryption => {
                f.write_str("the node had keys; replay it with a program that can encrypt")
            }
        }
    }
}

impl core::error::Error for ReplayError {}

/// The longest datagram of which only the length is noted.
const MAX_SEALED: usize = 65_535;

//! Replay: runs a recorded node again from a checkpoint and a journal, and compares its outputs
//! with the recorded ones.
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
//! Malformed bytes are an error. A forged recording is not detected: its checksums are not keyed.

mod step;

use crate::addr::Dialled;
use crate::gossip::broadcast_key::BroadcastKey;
use crate::member::{Member, Meta, NodeId};
use crate::node::Node;
use crate::record::journal::{Entry, Input as JournalInput, decode_entry};
use crate::stream::{StreamId, StreamInput};
use crate::time::Instant;
use crate::timers::Timer;
use crate::wire::dissect;
use crate::wire::journal_note::JournalNote;
use alloc::vec::Vec;
use bytes::Bytes;
use core::fmt;

pub use crate::record::error::ReplayError;
pub use crate::record::suspect::Suspect;
pub use crate::wire::dissect::{MessageSummary, ShortName, TargetTag};
pub use step::{Difference, Input, ReplayedOutput, Step};

/// A recorded node that runs again, step by step.
pub struct Replay<'a> {
    node: Node,
    /// The rest of the journal.
    journal: &'a [u8],
    buf: Vec<u8>,
    /// Scratch: the journal that the replayed node writes.
    replayed: Vec<u8>,
}

impl<'a> Replay<'a> {
    /// A replay of `journal` from the checkpoint at its start.
    ///
    /// # Errors
    ///
    /// If `checkpoint` is malformed, or of another version, or if it needs the feature `encryption`
    /// and this program lacks it.
    pub fn new(checkpoint: &[u8], journal: &'a [u8]) -> Result<Self, ReplayError> {
        let node = Node::restore_for_replay(checkpoint)?;
        Ok(Self { node, journal, buf: Vec::new(), replayed: Vec::new() })
    }

    /// The node, in its current state.
    pub fn node(&self) -> &Node {
        &self.node
    }

    /// The node's current time.
    pub fn now(&self) -> Instant {
        self.node.now()
    }

    /// The member with a short name, among those that the node knows now.
    pub fn name(&self, short: ShortName) -> Option<&NodeId> {
        self.node.all_members().map(Member::id).find(|id| ShortName::of(id) == short)
    }

    /// The members that the node suspects now.
    pub fn suspects(&self) -> Vec<Suspect<'_>> {
        self.node.suspected()
    }

    /// Time until which the node may declare others failed, because its own probes are answered.
    ///
    /// See the option [`require_recent_ack`](crate::Options::require_recent_ack).
    pub fn lease_until(&self) -> Instant {
        self.node.lease_until()
    }

    /// All running timers with their deadlines, the earliest first.
    pub fn timers(&self) -> Vec<(Instant, Timer)> {
        self.node.all_timers()
    }

    /// The time of the next step; `None` at the end.
    ///
    /// # Errors
    ///
    /// If the next entry of the journal is malformed.
    pub fn next_at(&self) -> Result<Option<Instant>, ReplayError> {
        let mut journal = self.journal;
        if journal.is_empty() {
            return Ok(None);
        }
        match decode_entry(&mut journal).ok_or(ReplayError::Journal)? {
            Entry::Input { after, .. } => Ok(Some(self.now() + after)),
            Entry::Output { .. } => Ok(Some(self.now())),
        }
    }

    /// Feeds the next input to the node, and polls it as often as it was polled then; `None` at the
    /// end.
    ///
    /// After a difference the node's state is not the recorded one, and further steps mean little.
    ///
    /// # Errors
    ///
    /// If the next entry of the journal is malformed.
    pub fn step(&mut self) -> Result<Option<Step>, ReplayError> {
        let mut step = Step::new(self.now());
        let start = self.journal;
        match self.next_entry()? {
            None => return Ok(None),
            Some(Entry::Output { .. }) => self.journal = start,
            Some(Entry::Input { after, input, notes }) => {
                let now = self.now() + after;
                step.at = now;
                step.input = self.feed(now, input, &notes)?;
                let recorded = &start[..start.len() - self.journal.len()];
                step.difference = self.compare(recorded);
            }
        }
        while step.difference.is_none() {
            let start = self.journal;
            let Some(Entry::Output { .. }) = self.next_entry()? else {
                self.journal = start;
                break;
            };
            let output = match self.node.poll_output(&mut self.buf) {
                Some(output) => ReplayedOutput::of(&output, self.node.wire()),
                None => ReplayedOutput::Nothing,
            };
            step.outputs.push(output.with_peer(|id| self.node.peer_of(id)));
            let recorded = &start[..start.len() - self.journal.len()];
            step.difference = self.compare(recorded);
        }
        Ok(Some(step))
    }

    fn next_entry(&mut self) -> Result<Option<Entry<'a>>, ReplayError> {
        if self.journal.is_empty() {
            return Ok(None);
        }
        decode_entry(&mut self.journal).map(Some).ok_or(ReplayError::Journal)
    }

    /// Compares a recorded part of the journal with the one that the node wrote just now.
    fn compare(&mut self, recorded: &[u8]) -> Option<Difference> {
        self.replayed.clear();
        self.node.take_journal(&mut self.replayed);
        (self.replayed != recorded).then(|| Difference::between(recorded, &self.replayed))
    }

    fn feed(
        &mut self,
        now: Instant,
        recorded: JournalInput<'_>,
        notes: &[JournalNote<'_>],
    ) -> Result<Input, ReplayError> {
        let opened = notes.iter().find_map(|note| match note {
            JournalNote::Opened(plain) => Some(*plain),
            _ => None,
        });
        self.prepare(notes, opened);
        let node = &mut self.node;
        Ok(match recorded {
            JournalInput::Datagram { from, data } => {
                let accepted = is_accepted(node, |node| node.handle_datagram(now, from, data));
                let summaries = dissect::in_datagram(node.wire(), data, opened);
                Input::Datagram { from, len: data.len(), sealed: false, summaries, accepted }
            }
            JournalInput::Sealed { from, len } => {
                let mut data = node.wire_mut().sealed_prefix().to_vec();
                if len < data.len() || len > MAX_SEALED {
                    return Err(ReplayError::Journal);
                }
                data.resize(len, 0);
                let accepted = is_accepted(node, |node| node.handle_datagram(now, from, &data));
                let summaries = match opened {
                    Some(plain) => dissect::in_datagram(node.wire(), &[], Some(plain)),
                    None => [MessageSummary::Unreadable].into(),
                };
                Input::Datagram { from, len, sealed: true, summaries, accepted }
            }
            JournalInput::Timeout => {
                let due = node.all_timers().into_iter().take_while(|(at, _)| *at <= now);
                let due = due.map(|(_, timer)| timer).collect();
                node.handle_timeout(now);
                Input::Timeout { due }
            }
            JournalInput::Accept { from } => {
                Input::IncomingStream { from, id: node.accept_stream(now, from) }
            }
            JournalInput::Opened(id) => self.stream(now, id, StreamInput::Opened),
            JournalInput::Data(id, data) => self.stream(now, id, StreamInput::Data(data)),
            JournalInput::Closed(id) => self.stream(now, id, StreamInput::Closed),
            JournalInput::Failed(id, error) => self.stream(now, id, StreamInput::Failed(error)),
            JournalInput::Join(seeds) => {
                let seeds: Vec<_> = seeds.into_iter().map(|Dialled(seed)| seed).collect();
                let _ = node.join(now, &seeds);
                Input::Join { seeds }
            }
            JournalInput::SetSeeds(seeds) => {
                let seeds: Vec<_> = seeds.into_iter().map(|Dialled(seed)| seed).collect();
                let _ = node.set_seeds(now, &seeds);
                Input::SetSeeds { seeds }
            }
            JournalInput::SetHints(hints) => {
                let hints: Vec<_> = hints.into_iter().map(|Dialled(hint)| hint).collect();
                let _ = node.set_hints(now, &hints);
                Input::SetHints { hints }
            }
            JournalInput::Leave => {
                node.leave(now);
                Input::Leave
            }
            JournalInput::ForceLeave(id) => {
                let _ = node.force_leave(now, &id);
                Input::ForceLeave { id: id.into_owned() }
            }
            JournalInput::Cancel(ticket) => {
                node.cancel(now, ticket);
                Input::Cancel(ticket)
            }
            JournalInput::Ping(to) => {
                let _ = node.ping(now, &to);
                Input::Ping { to: to.into_owned() }
            }
            JournalInput::Send(to, data) => {
                let _ = node.send(now, &to, Bytes::copy_from_slice(data));
                Input::Send { to: to.into_owned(), len: data.len() }
            }
            JournalInput::SendReliable(to, data) => {
                let _ = node.send_reliable(now, &to, Bytes::copy_from_slice(data));
                Input::SendReliable { to: to.into_owned(), len: data.len() }
            }
            JournalInput::Broadcast { key, data } => {
                let bytes = Bytes::copy_from_slice(data);
                let _ = if key.is_empty() {
                    node.broadcast(now, bytes)
                } else {
                    let key = BroadcastKey::new(key).map_err(|_| ReplayError::Journal)?;
                    node.broadcast_replacing(now, key, bytes)
                };
                Input::Broadcast { len: data.len() }
            }
            JournalInput::SetMeta(meta) => {
                let _ = node.set_meta(now, Meta::new(meta));
                Input::SetMeta { len: meta.len() }
            }
            JournalInput::SetSyncState(state) => {
                let _ = node.set_sync_state(now, Bytes::copy_from_slice(state));
                Input::SetSyncState { len: state.len() }
            }
            JournalInput::SendFailed { to: Dialled(to), len, error } => {
                node.handle_send_error(now, to, len, error);
                Input::SendFailed { to, len, error }
            }
            JournalInput::SetAddr(Dialled(addr)) => {
                let _ = node.set_addr(now, addr);
                Input::SetAddr { addr }
            }
            JournalInput::SetWallClock(seconds) => {
                let before = node.wall_clock();
                node.set_wall_clock(now, seconds);
                Input::SetWallClock { before, seconds }
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

    /// Gives the node the recorded results of callbacks during the next input.
    fn prepare(&mut self, notes: &[JournalNote<'_>], opened: Option<&[u8]>) {
        self.node.wire_mut().script(opened);
        let admissions = notes.iter().filter_map(|note| match note {
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

/// Whether the node accepts a datagram, and does not reject and count it.
fn is_accepted(node: &mut Node, handle: impl FnOnce(&mut Node)) -> bool {
    let before = node.stats().rejected_datagrams.total();
    handle(node);
    node.stats().rejected_datagrams.total() == before
}

/// Maximum length of a sealed datagram in a journal, in bytes.
const MAX_SEALED: usize = 65_535;

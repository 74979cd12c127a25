//! Checkpoints and journals of a node, from which it can be replayed.

#[cfg(feature = "encryption")]
use super::sealed;
use super::surroundings::Reach;
use super::{END_OF_TIME, Node, Scratch, format};
#[cfg(feature = "encryption")]
use crate::config::Plaintext;
use crate::config::variant::ProtocolVariant;
use crate::config::{Config, ConfigForm};
use crate::detector::Detector;
use crate::detector::suspicion::Suspicion;
use crate::gossip::Gossip;
use crate::member::{Member, State};
use crate::membership::Members;
use crate::membership::damping::Damping;
use crate::membership::refute::Refute;
use crate::membership::table::MemberKey;
use crate::output::OutputQueue;
use crate::record::error::ReplayError;
use crate::record::journal::{Input, Journal};
use crate::record::suspect::Suspect;
use crate::rng::Rng;
use crate::stats::{MAX_COUNT, Stats};
use crate::stream::{StreamId, Streams};
use crate::sync::Sync;
use crate::time::{Instant, WallClock};
use crate::timers::{FixedTimer, Timer, TimerKey, Timers};
use crate::wire::Format;
#[cfg(feature = "encryption")]
use crate::wire::crypto_state::CryptoState;
use crate::wire::dissect::ShortName;
use crate::wire::message::Accuser;
use crate::wire::postcard::{decode, encode};
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::fmt;
use core::net::SocketAddr;
use serde::{Deserialize, Serialize};

impl Node {
    /// Appends the node's whole state to `out`; a node [restored](Self::restore) from it continues
    /// exactly as this one.
    ///
    /// It has neither keys nor the admission function. A reader can predict the random choices of
    /// the running node.
    pub fn checkpoint(&self, out: &mut Vec<u8>) {
        out.push(FORMAT);
        encode(
            out,
            &Head { sealing: self.sealing_state(), admission: self.config.admission.is_some() },
        );
        encode(out, &Saved(self));
    }

    /// Restores a node from a checkpoint.
    ///
    /// The admission function, if the node had one, has to be given again. A node with keys cannot
    /// be restored, only [replayed](crate::replay::Replay): no checkpoint has its keys, and two
    /// nodes that continue from one checkpoint would use the same nonces.
    ///
    /// # Errors
    ///
    /// If this is no checkpoint of this version, or the node had keys.
    pub fn restore(
        checkpoint: &[u8],
        admission: Option<fn(&Member) -> bool>,
    ) -> Result<Self, ReplayError> {
        let (head, mut node) = read(checkpoint)?;
        if head.sealing.is_some() {
            return Err(ReplayError::Keys);
        }
        node.config.admission = admission;
        Ok(node)
    }

    /// Restores a node for a replay, which stands in for keys and application.
    pub(crate) fn restore_for_replay(checkpoint: &[u8]) -> Result<Self, ReplayError> {
        let (head, mut node) = read(checkpoint)?;
        if let Some(sealing) = head.sealing {
            let clock = node.wire.message_clock();
            node.wire = keyless(&node, sealing)?;
            node.wire.set_message_clock(clock);
            node.advance(node.now);
        }
        node.config.admission = head.admission.then_some(|_| true);
        node.journal = Some(Box::new(Journal::of_replay(node.now)));
        node.wire.set_note_taking(true);
        Ok(node)
    }

    /// Starts a journal of each input and a checksum of each output.
    ///
    /// Appends the checkpoint with which a [`Replay`](crate::replay::Replay) of that journal starts
    /// to `out`. If a journal is kept already, its part that was not taken is lost.
    pub fn start_journal(&mut self, out: &mut Vec<u8>) {
        self.checkpoint(out);
        self.journal = Some(Box::new(Journal::new(self.now)));
        self.wire.set_note_taking(true);
    }

    /// Appends the journal since the last call to `out`.
    ///
    /// Call it regularly: a journal with more than 32 MiB that were not taken ends.
    pub fn take_journal(&mut self, out: &mut Vec<u8>) {
        if let Some(journal) = &mut self.journal {
            journal.take(out);
        }
    }

    /// The number of bytes of the journal that were not taken; `None` if no journal is kept.
    pub fn journal_len(&self) -> Option<usize> {
        self.journal.as_ref().map(|journal| journal.len())
    }

    /// Ends the journal; its part that was not taken is lost.
    pub fn stop_journal(&mut self) {
        self.journal = None;
        self.wire.set_note_taking(false);
    }

    /// Journals an input that starts now, if a journal is kept.
    pub(super) fn note_input<'i>(&mut self, input: impl FnOnce(&Self) -> Input<'i>) {
        if let Some(mut journal) = self.journal.take() {
            journal.begin(self.now, input(self));
            self.journal = Some(journal);
        }
    }

    /// Journals the end of an input and the value that it returned, if a journal is kept.
    pub(super) fn note_end(&mut self, returned: Option<&dyn fmt::Debug>) {
        if let Some(journal) = &mut self.journal {
            journal.end(self.wire.notes(), returned);
            if journal.is_full() {
                self.stop_journal();
            }
        }
    }

    pub(crate) fn journal(&mut self) -> Option<&mut Journal> {
        self.journal.as_deref_mut()
    }

    pub(crate) fn wire(&self) -> &Format {
        &self.wire
    }

    pub(crate) fn wire_mut(&mut self) -> &mut Format {
        &mut self.wire
    }

    // ---- inspection by a replay ----

    pub(crate) fn suspected(&self) -> Vec<Suspect<'_>> {
        let of = |(key, suspicion, deadline): (MemberKey, &Suspicion, Instant)| {
            let known = |accuser: &Accuser| accuser.known().map(ShortName);
            Suspect {
                member: &self.members[key],
                since: suspicion.started(),
                deadline,
                accusers: suspicion.accusers().iter().map(known).collect(),
            }
        };
        self.detector.suspicions().map(of).collect()
    }

    pub(crate) fn lease_until(&self) -> Instant {
        self.detector.lease_until()
    }

    pub(crate) fn all_timers(&self) -> Vec<(Instant, Timer)> {
        self.timers.iter().map(|(at, slot)| (at, self.timer(slot))).collect()
    }

    pub(crate) fn peer_of(&self, id: StreamId) -> Option<SocketAddr> {
        self.streams.exchanges.get(id).map(|exchange| exchange.peer)
    }

    #[cfg(feature = "encryption")]
    fn sealing_state(&self) -> Option<(u8, Rng)> {
        let (plaintext, nonces) = self.wire.crypto()?.state();
        Some((plaintext as u8, nonces.clone()))
    }

    #[cfg(not(feature = "encryption"))]
    fn sealing_state(&self) -> Option<(u8, Rng)> {
        None
    }

    /// Rebuilds the parts that a checkpoint leaves out; `None` if the rest is not consistent.
    fn fill_in(&mut self) -> Option<()> {
        self.config.check().ok()?;
        self.short_name = self.config.id.short();
        self.name_hash = self.config.id.hash();
        self.members.restore(&self.config.cluster)?;
        self.gossip.restore()?;
        self.streams.restore(&self.config.options)?;
        self.timers.restore()?;
        self.outputs.restore();
        let clock = self.wire.message_clock();
        self.wire = format(&mut self.config, [0; 32]);
        self.wire.set_message_clock(clock);
        self.advance(self.now);
        self.is_consistent().then_some(())
    }

    /// Whether no statistic is near its end.
    fn is_countable(&self) -> bool {
        let mut encoded = Vec::new();
        encode(&mut encoded, &self.stats);
        let mut counts = &encoded[..];
        while !counts.is_empty() {
            if !decode::<u64>(&mut counts).is_ok_and(|count| count <= MAX_COUNT) {
                return false;
            }
        }
        true
    }

    /// Whether the restored parts agree with one another.
    fn is_consistent(&self) -> bool {
        let known = |timer: TimerKey| match timer {
            TimerKey::Suspicion(key) => {
                self.members.get(key).is_some_and(|member| member.state() == State::Suspect)
            }
            _ => true,
        };
        // Deadlines beyond that would be due at once, again and again.
        if self.now > END_OF_TIME || !self.is_countable() {
            return false;
        }
        let (members, timers) = (&self.members, &self.timers);
        self.detector.is_consistent(members, timers, &self.config.options)
            && self.damping.is_consistent(&self.config.options)
            && members
                .iter()
                .all(|member| member.is_suppressed() == self.damping.is_suppressed(&member.id))
            && timers.at(TimerKey::Fixed(FixedTimer::Damping)).is_some()
                == self.damping.next(&self.config.options).is_some()
            && timers.at(TimerKey::Fixed(FixedTimer::Ready)).is_some() != self.sync.ready.is_ready()
            && self.sync.seeds.is_consistent()
            && self.sync.name_checks.is_consistent()
            && self.sync.name_checks.is_countable()
            && timers.iter().all(|(_, timer)| known(timer))
            && self.streams.exchanges.ids().all(|id| timers.at(TimerKey::Stream(id)).is_some())
            && self.detector.pings().all(|token| timers.at(TimerKey::UserPing(token)).is_some())
            && self.local().id() == &self.config.id
            && matches!(self.local().state(), State::Alive | State::Left)
            && timers.at(TimerKey::Fixed(FixedTimer::Probe)).is_some()
                == (self.local().state() == State::Alive)
    }
}

/// The head of a checkpoint, before the node's state.
#[derive(Deserialize, Serialize)]
struct Head {
    /// How the node treats plaintext, and the state of its nonces; `None` without keys.
    sealing: Option<(u8, Rng)>,
    /// Whether there is an admission function.
    admission: bool,
}

/// The form of a [`Node`] in a checkpoint, after [`Head`]: all parts but keys and scratch space.
#[derive(Deserialize, Serialize)]
#[serde(remote = "Node")]
struct NodeForm {
    #[serde(with = "ConfigForm")]
    config: Config,
    variant: ProtocolVariant,
    wire: Format,
    #[serde(skip)]
    short_name: u32,
    #[serde(skip)]
    name_hash: u64,
    wall_clock: WallClock,
    now: Instant,
    members: Members,
    refute: Refute,
    reach: Reach,
    /// The length of the shortest datagram that was too long for a path.
    too_long: usize,
    detector: Detector,
    damping: Damping,
    gossip: Gossip,
    sync: Sync,
    streams: Streams,
    timers: Timers,
    outputs: OutputQueue,
    stats: Stats,
    #[serde(skip)]
    journal: Option<Box<Journal>>,
    #[serde(skip)]
    scratch: Scratch,
}

#[derive(Serialize)]
struct Saved<'a>(#[serde(with = "NodeForm")] &'a Node);

#[derive(Deserialize)]
struct Restored(#[serde(with = "NodeForm")] Node);

fn read(checkpoint: &[u8]) -> Result<(Head, Node), ReplayError> {
    let (&format, mut rest) = checkpoint.split_first().ok_or(ReplayError::Checkpoint)?;
    if format != FORMAT {
        return Err(ReplayError::Format(format));
    }
    let malformed = |_| ReplayError::Checkpoint;
    let head = decode(&mut rest).map_err(malformed)?;
    let Restored(mut node) = decode(&mut rest).map_err(malformed)?;
    if !rest.is_empty() {
        return Err(ReplayError::Checkpoint);
    }
    node.fill_in().ok_or(ReplayError::Checkpoint)?;
    Ok((head, node))
}

#[cfg(feature = "encryption")]
fn keyless(node: &Node, (plaintext, nonces): (u8, Rng)) -> Result<Format, ReplayError> {
    let all = [Plaintext::Refused, Plaintext::Accepted, Plaintext::Sent];
    let plaintext = all.into_iter().find(|&one| one as u8 == plaintext);
    let plaintext = plaintext.ok_or(ReplayError::Checkpoint)?;
    Ok(sealed(&node.config, CryptoState::new(None, plaintext, nonces)))
}

#[cfg(not(feature = "encryption"))]
fn keyless(_: &Node, _: (u8, Rng)) -> Result<Format, ReplayError> {
    Err(ReplayError::Encryption)
}

/// The version of checkpoints and journals.
const FORMAT: u8 = 13;

//! Checkpoints and journals: what a node writes down of itself, so that it can be run again.

#[cfg(feature = "encryption")]
use super::sealed;
use super::{Node, format};
#[cfg(feature = "encryption")]
use crate::config::Plaintext;
use crate::config::variant::ProtocolVariant;
use crate::config::{Config, ConfigForm};
use crate::detector::health::LocalHealth;
use crate::detector::indirect::IndirectPings;
use crate::detector::lease::VerdictLease;
use crate::detector::probe::Probe;
use crate::detector::suspicion::{Suspicion, Suspicions};
use crate::detector::user_pings::UserPings;
use crate::gossip::broadcast::Broadcasts;
use crate::gossip::dedup::BroadcastDedup;
use crate::gossip::queue::GossipQueue;
use crate::member::{Member, State};
use crate::membership::Members;
use crate::membership::refute::Refute;
use crate::membership::table::MemberKey;
use crate::output::OutputQueue;
use crate::record::journal::{Input, Journal};
use crate::replay::{ReplayError, ShortName, Suspected};
use crate::rng::Rng;
use crate::stats::Stats;
use crate::stream::StreamId;
use crate::stream::exchange::Exchanges;
use crate::stream::tickets::Tickets;
use crate::sync::index::DigestIndex;
use crate::sync::reconnect::Reconnect;
use crate::sync::trigger::SyncTrigger;
use crate::time::Instant;
use crate::timers::{Timer, TimerKey, Timers};
use crate::wire::Format;
#[cfg(feature = "encryption")]
use crate::wire::crypto_state::CryptoState;
use crate::wire::message::Accuser;
use crate::wire::postcard::{put, take};
use alloc::boxed::Box;
use alloc::vec::Vec;
use bytes::Bytes;
use core::fmt;
use core::net::SocketAddr;
use serde::{Deserialize, Serialize};

impl Node {
    /// Appends the whole state of the node to `out`: from it the node goes on as this one does.
    ///
    /// Keys are no part of it, nor is the function that says whom the node admits. But who reads it
    /// can foretell the random choices of the node that runs.
    pub fn checkpoint(&self, out: &mut Vec<u8>) {
        out.push(FORMAT);
        put(
            out,
            &Head { sealing: self.sealing_state(), admission: self.config.admission.is_some() },
        );
        put(out, &Saved(self));
    }

    /// A node as it was when it wrote a checkpoint.
    ///
    /// It has to be given the function that says whom it admits, if it had one. A node that seals
    /// what it sends cannot be restored, only [replayed](crate::replay::Replay): its keys are in no
    /// checkpoint, and two nodes that go on from one would use nonces twice.
    ///
    /// # Errors
    ///
    /// If this is no checkpoint of this version, or one of a node that has keys.
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

    /// The same for a replay, which takes the place of keys and of the application.
    pub(crate) fn restore_for_replay(checkpoint: &[u8]) -> Result<Self, ReplayError> {
        let (head, mut node) = read(checkpoint)?;
        if let Some(sealing) = head.sealing {
            node.wire = keyless(&node, sealing)?;
            node.advance(node.now);
        }
        node.config.admission = head.admission.then_some(|_| true);
        node.journal = Some(Box::new(Journal::of_replay(node.now)));
        node.wire.set_note_taking(true);
        Ok(node)
    }

    /// Begins a journal: from now on the node notes every input and a checksum of every output.
    ///
    /// Appends the checkpoint to `out` with which a [`Replay`](crate::replay::Replay) of that journal
    /// begins. If a journal is kept already, what has not been taken of it is lost, and a new one
    /// begins.
    pub fn start_journal(&mut self, out: &mut Vec<u8>) {
        self.checkpoint(out);
        self.journal = Some(Box::new(Journal::new(self.now)));
        self.wire.set_note_taking(true);
    }

    /// Appends to `out` what was noted since this was called last.
    ///
    /// It should be called again and again: a journal of which more than 32 MiB wait ends by itself.
    pub fn take_journal(&mut self, out: &mut Vec<u8>) {
        if let Some(journal) = &mut self.journal {
            journal.take(out);
        }
    }

    /// How many bytes of the journal wait to be taken; `None` if no journal is kept.
    pub fn journal_len(&self) -> Option<usize> {
        self.journal.as_ref().map(|journal| journal.len())
    }

    /// Ends the journal; what has not been taken of it is lost.
    pub fn stop_journal(&mut self) {
        self.journal = None;
        self.wire.set_note_taking(false);
    }

    /// Notes an input that begins now, if a journal is kept.
    pub(super) fn note_input<'i>(&mut self, input: impl FnOnce(&Self) -> Input<'i>) {
        if let Some(mut journal) = self.journal.take() {
            journal.begin(self.now, input(self));
            self.journal = Some(journal);
        }
    }

    /// Notes the end of an input and what it returned, if a journal is kept.
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

    // ---- for whoever looks at a replay ----

    pub(crate) fn suspected(&self) -> Vec<Suspected<'_>> {
        let of = |(key, suspicion): (MemberKey, &Suspicion)| {
            let known = |accuser: &Accuser| accuser.known().map(ShortName);
            Suspected {
                member: &self.members[key],
                since: suspicion.started(),
                until: suspicion.deadline(),
                accusers: suspicion.accusers().iter().map(known).collect(),
            }
        };
        self.suspicions.iter().map(of).collect()
    }

    pub(crate) fn lease_until(&self) -> Instant {
        self.verdict_lease.until()
    }

    pub(crate) fn all_timers(&self) -> Vec<(Instant, Timer)> {
        self.timers.iter().map(|(at, slot)| (at, self.timer(slot))).collect()
    }

    pub(crate) fn peer_of(&self, id: StreamId) -> Option<SocketAddr> {
        self.exchanges.get(id).map(|exchange| exchange.peer)
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

    /// Makes what a checkpoint leaves out; `None` if no node can have been like that.
    fn fill_in(&mut self) -> Option<()> {
        self.config.check().ok()?;
        self.members.restore(&self.config.cluster)?;
        self.gossip_queue.restore()?;
        self.broadcasts.restore()?;
        self.dedup.restore()?;
        self.exchanges.restore()?;
        self.timers.restore()?;
        self.outputs.restore();
        self.wire = format(&self.config, [0; 32]);
        self.advance(self.now);
        self.is_consistent().then_some(())
    }

    /// Whether the parts agree: what they say of a member, a member is.
    fn is_consistent(&self) -> bool {
        let suspect = |(key, at): (MemberKey, Instant)| {
            let state = self.members.get(key).map(Member::state);
            state == Some(State::Suspect) && self.timers.at(TimerKey::Suspicion(key)) == Some(at)
        };
        let suspects = self.members.iter().filter(|member| member.state() == State::Suspect);
        let named = |slot: TimerKey| match slot {
            TimerKey::Suspicion(key) => self.members.get(key).is_some(),
            _ => true,
        };
        let target = self.probe.target();
        self.health.is_below(self.config.options.awareness_max)
            && self.suspicions.is_consistent()
            && self.suspicions.deadlines().all(suspect)
            && suspects.count() == self.suspicions.len()
            && self.timers.iter().all(|(_, slot)| named(slot))
            && self.exchanges.ids().all(|id| self.timers.at(TimerKey::Stream(id)).is_some())
            && target.is_none_or(|key| key != MemberKey::LOCAL && self.members.get(key).is_some())
            && self.local().id() == &self.config.id
            && matches!(self.local().state(), State::Alive | State::Left)
    }
}

/// What a checkpoint says before the node's own state.
#[derive(Deserialize, Serialize)]
struct Head {
    /// What the node does with what is not sealed, and its nonces to come; `None` if it has no keys.
    sealing: Option<(u8, Rng)>,
    /// Whether the application has a say in who is a member.
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
    started: Instant,
    now: Instant,
    members: Members,
    probe: Probe,
    health: LocalHealth,
    indirect_pings: IndirectPings,
    user_pings: UserPings,
    verdict_lease: VerdictLease,
    suspicions: Suspicions,
    refute: Refute,
    gossip_queue: GossipQueue,
    broadcasts: Broadcasts,
    dedup: BroadcastDedup,
    next_broadcast: u64,
    reconnect: Reconnect,
    datagrams_built: u64,
    next_gossip_at: Instant,
    exchanges: Exchanges,
    sync_trigger: SyncTrigger,
    #[serde(skip)]
    digest_index: DigestIndex,
    sync_state: Bytes,
    tickets: Tickets,
    timers: Timers,
    outputs: OutputQueue,
    stats: Stats,
    #[serde(skip)]
    journal: Option<Box<Journal>>,
    probe_rng: Rng,
    gossip_rng: Rng,
    ping_rng: Rng,
    sync_rng: Rng,
    reconnect_rng: Rng,
    #[serde(skip)]
    opened: Vec<u8>,
    #[serde(skip)]
    picked: Vec<MemberKey>,
    #[serde(skip)]
    recent: Vec<MemberKey>,
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
    let head = take(&mut rest).map_err(malformed)?;
    let Restored(mut node) = take(&mut rest).map_err(malformed)?;
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

/// Of a checkpoint and of a journal: a change in either is another one.
const FORMAT: u8 = 1;

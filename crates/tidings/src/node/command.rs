//! Commands of the application: join, leave, cancel, metadata, sync state, keys.

use super::Node;
use super::update::UpdateSource;
use crate::addr::{Dialled, canonical, dialled};
#[cfg(feature = "encryption")]
use crate::crypto::keyring::Keyring;
use crate::error::{ExchangeError, Failure, ForceLeaveError, JoinError, Refusal, SeedFailure};
use crate::event::{Done, Phase, Ticket};
use crate::gossip::queue::GossipQueue;
use crate::member::{Meta, NodeId, State, TooLong};
use crate::membership::damping::Damping;
use crate::membership::table::MemberKey;
use crate::record::journal::Input;
use crate::stream::exchange::Purpose;
use crate::stream::tickets::Retry;
use crate::sync::reconnect::Reconnect;
use crate::sync::seeds::MAX_SEEDS;
use crate::time::Instant;
use crate::timers::{FixedTimer, TimerKey};
#[cfg(feature = "encryption")]
use crate::wire::crypto_state::CryptoState;
use crate::wire::message::Accuser;
use alloc::borrow::Cow;
use alloc::vec::Vec;
use bytes::Bytes;
use core::net::SocketAddr;

impl Node {
    /// Joins a cluster through any of its members.
    ///
    /// All seeds are contacted at once, each over a stream, with a sync; beyond
    /// [`max_streams_out`](crate::Options::max_streams_out) they wait until a stream has ended. The
    /// ticket ends with [`Done::Joined`] when the first seed has replied (the replies of the others
    /// are merged later), or with the reason of each when the last one has failed: at the latest
    /// [`stream_timeout`](crate::Options::stream_timeout) after it was contacted. A seed that
    /// closes the stream without a reply, because it is overloaded, is contacted again after a
    /// delay. One outside of the [allowed networks](crate::ConfigBuilder::allowed_networks) fails
    /// without being contacted. This node itself among the seeds counts for nothing; if it is the
    /// only one, the ticket ends with [`Done::First`]. Seeds that were silent are tried again, as
    /// members that failed are, also if no other one has answered. A seed's address may have a zone
    /// (the scope id of an IPv6 address), which is used to connect; members' addresses have none.
    ///
    /// If a seed finds that another node which lives has this node's name, the ticket ends with
    /// [`Failure::NameTaken`], unless the node was configured to
    /// [contest](crate::OnNameTaken::Contest) the name, or was a member before.
    ///
    /// A node that has left joins again by this. It missed all updates, so it forgets all other
    /// members, without an event: earlier events are void, and each member joins again.
    ///
    /// # Errors
    ///
    /// If there are no seeds, or more than 1,024, if
    /// [`max_streams_out`](crate::Options::max_streams_out) are open, or if the node is leaving.
    /// Then nothing was begun.
    pub fn join(&mut self, now: Instant, seeds: &[SocketAddr]) -> Result<Ticket, JoinError> {
        let input = |_: &Self| Input::Join(seeds.iter().copied().map(Dialled).collect());
        self.input(now, input, |node| node.begin_join(seeds))
    }

    fn begin_join(&mut self, seeds: &[SocketAddr]) -> Result<Ticket, JoinError> {
        if self.phase() == Phase::Leaving {
            return Err(JoinError::Leaving);
        }
        if seeds.is_empty() {
            return Err(JoinError::NoSeeds);
        }
        let own = self.local().addr();
        let mut others: Vec<_> = seeds.iter().copied().map(dialled).collect();
        others.sort_unstable();
        others.dedup();
        others.retain(|&seed| canonical(seed) != own);
        if others.len() > MAX_SEEDS {
            return Err(JoinError::TooManySeeds { seeds: others.len(), max: MAX_SEEDS });
        }
        if !others.is_empty() && self.streams.exchanges.room_out() == 0 {
            return Err(JoinError::Busy { max: self.config.options.max_streams_out });
        }
        if self.phase() == Phase::Left {
            self.rejoin_from_scratch();
        }
        let ticket = self.streams.tickets.issue();
        if others.is_empty() {
            self.emit_completed(ticket, Ok(Done::First));
        } else {
            self.streams.tickets.begin_join(ticket, &others);
            self.contact_seeds();
        }
        Ok(ticket)
    }

    /// Contacts waiting seeds, as many as streams may be opened.
    pub(super) fn contact_seeds(&mut self) {
        let deadline = self.now + self.config.options.stream_timeout;
        while self.streams.exchanges.room_out() > 0 {
            let Some((ticket, seed)) = self.streams.tickets.next_seed(deadline) else { return };
            if !self.config.allows(seed.ip()) {
                let error = ExchangeError::NotAccepted(Refusal::AddressNotAllowed);
                self.seed_failed(ticket, SeedFailure { seed, error });
                continue;
            }
            self.open_until(seed, Purpose::Join(ticket), None, deadline);
        }
    }

    /// Contacts a seed again that closed its stream without a reply.
    pub(super) fn retry_seed(&mut self, number: u64) {
        let Some(Retry { ticket, seed, error }) = self.streams.tickets.remove_retry(number) else {
            return;
        };
        let Some(deadline) = self.streams.tickets.join_deadline(ticket) else { return };
        if !self.open_until(seed, Purpose::Join(ticket), None, deadline) {
            self.seed_failed(ticket, SeedFailure { seed, error });
        }
    }

    /// Joins again after a leave: the node forgets all other members, and has a later incarnation.
    fn rejoin_from_scratch(&mut self) {
        self.detector.reset(&mut self.timers, &self.config.options);
        self.damping = Damping::default();
        self.timers.clear(TimerKey::Fixed(FixedTimer::Damping));
        self.timers.clear(TimerKey::Fixed(FixedTimer::Reap));
        self.gossip.queue = GossipQueue::default();
        self.gossip.broadcasts.clear();
        self.sync.reconnect = Reconnect::new(self.config.options.max_reconnect);
        self.sync.is_member = false;
        self.members.forget_others();
        self.bump_incarnation(State::Alive);
        self.start_rounds();
    }

    /// Starts to probe and to sync, each at a random point of its first interval, so that nodes
    /// that start together do not act together.
    pub(super) fn start_rounds(&mut self) {
        let (detector, mut cx) = self.detector();
        detector.start(&mut cx);
        let sync = self.sync.rng.within(self.config.options.sync_interval);
        self.timers.set(TimerKey::Fixed(FixedTimer::Sync), self.now + sync);
        self.arm_seeds();
    }

    /// Stops to probe, to sync, to reconnect and to try seeds, because the node leaves.
    pub(super) fn stop_rounds(&mut self) {
        self.detector.stop(&mut self.timers);
        self.timers.clear(TimerKey::Fixed(FixedTimer::Sync));
        self.timers.clear(TimerKey::Fixed(FixedTimer::Reconnect));
        self.timers.clear(TimerKey::Fixed(FixedTimer::Seeds));
        self.sync.seeds.reset();
    }

    /// Leaves the cluster, so that all others see this node as left and not as failed.
    ///
    /// The node sends its leave to [`leave_peers`](crate::Options::leave_peers) members over
    /// streams, and to the seeds of joins that have not ended, and gossips it to all others. The
    /// ticket ends with [`Done::Left`] when half of those members have confirmed it, at once if
    /// there are none; with [`Failure::Unconfirmed`] if no member does within
    /// [`stream_timeout`](crate::Options::stream_timeout). A second call during a leave ends with
    /// the first; one after it ends at once. A join that has not ended fails with
    /// [`Failure::Left`].
    pub fn leave(&mut self, now: Instant) -> Ticket {
        self.input(now, |_| Input::Leave, Self::begin_leave)
    }

    fn begin_leave(&mut self) -> Ticket {
        let ticket = self.streams.tickets.issue();
        if self.streams.tickets.await_leave(ticket) {
            return ticket;
        }
        let mut asked = false;
        if self.phase() == Phase::Running {
            let seeds = self.abandon_joins();
            self.stop_rounds();
            self.bump_incarnation(State::Left);
            asked = self.announce_leave(ticket, seeds);
        }
        if !asked {
            self.emit_completed(ticket, Ok(Done::Left { confirmed: 0 }));
        }
        ticket
    }

    /// Declares for all members that one that failed has left: an operator knows that it does not
    /// come back. This node no longer tries to reconnect to it; others that it has told do so until
    /// they have forgotten the member, because the claim may be a lie.
    ///
    /// A member that lives all the same refutes the claim, and has joined again then. One that has
    /// left is left alone.
    ///
    /// # Errors
    ///
    /// If the member is not known or has not failed, this node has left, or it speaks memberlist's
    /// format. Then nothing changed.
    pub fn force_leave(&mut self, now: Instant, id: &NodeId) -> Result<(), ForceLeaveError> {
        self.input(now, |_| Input::ForceLeave(Cow::Borrowed(id)), |node| node.declare_left(id))
    }

    fn declare_left(&mut self, id: &NodeId) -> Result<(), ForceLeaveError> {
        if self.phase() != Phase::Running {
            return Err(ForceLeaveError::Left);
        }
        if self.wire.tidings().is_none() {
            return Err(ForceLeaveError::Unsupported);
        }
        let key = self.members.find(id).ok_or(ForceLeaveError::Unknown)?;
        let known = &self.members[key];
        match known.state() {
            State::Left => return Ok(()),
            State::Failed => {}
            present => return Err(ForceLeaveError::Present(present)),
        }
        let claim = self.claim_without_profile(key, known.incarnation(), State::Left);
        self.apply_update(&UpdateSource::own(Accuser::Unknown, true), &claim);
        self.timers.set(TimerKey::Fixed(FixedTimer::Gossip), self.now);
        Ok(())
    }

    /// Cancels a join, a reliable message or a ping; the ticket ends with [`Failure::Cancelled`].
    ///
    /// Returns `false`, and does nothing, if the ticket has ended or is one of a leave. The command
    /// may have its effect all the same.
    pub fn cancel(&mut self, now: Instant, ticket: Ticket) -> bool {
        self.input(now, |_| Input::Cancel(ticket), |node| node.cancel_command(ticket))
    }

    fn cancel_command(&mut self, ticket: Ticket) -> bool {
        let ended = if self.streams.tickets.joined(ticket).is_some() {
            self.abort_streams(|purpose| purpose == Purpose::Join(ticket));
            true
        } else if self.detector.cancel_user_ping(&mut self.timers, ticket) {
            true
        } else {
            !self.abort_streams(|purpose| purpose == Purpose::Message(ticket)).is_empty()
        };
        if ended {
            self.emit_completed(ticket, Err(Failure::Cancelled));
        }
        ended
    }

    /// Sends the leave to a few members, and to the seeds of joins that have not ended, which may
    /// have made this node a member; `false` if there are none.
    fn announce_leave(&mut self, ticket: Ticket, mut peers: Vec<SocketAddr>) -> bool {
        let mut picked = core::mem::take(&mut self.scratch.picked);
        let count = self.config.options.leave_peers;
        self.members.pick(&mut self.sync.rng, count, None, &mut picked);
        let members = picked.len();
        peers.extend(picked.iter().map(|&key| self.members[key].addr()));
        self.scratch.picked = picked;
        peers.sort_unstable();
        peers.dedup();
        if peers.is_empty() {
            return false;
        }
        self.streams.tickets.begin_leave(ticket, peers.len(), members);
        for peer in peers {
            let to = self.members.find_addr(peer).map(|key| self.members[key].id());
            let news = self.wire.updates(to, self.local());
            if !self.open(peer, Purpose::Leave(ticket), Some(news)) {
                self.on_leave_confirmed(ticket, false);
            }
        }
        true
    }

    /// Sets the metadata that this node publishes to all members.
    ///
    /// # Errors
    ///
    /// If it is longer than [`max_meta`](crate::Options::max_meta). Then nothing changed.
    pub fn set_meta(&mut self, now: Instant, meta: Meta) -> Result<(), TooLong> {
        self.input(now, |_| Input::SetMeta(&meta), |node| node.apply_meta(&meta))
    }

    fn apply_meta(&mut self, meta: &Meta) -> Result<(), TooLong> {
        meta.check_len(self.config.options.max_meta)?;
        if self.local().meta() == meta {
            return Ok(());
        }
        self.members.update_local(|local| local.meta = meta.clone());
        self.bump_incarnation(self.local().state());
        Ok(())
    }

    /// Sets the state that this node sends with every sync from now on, which the peer gets as
    /// [`Event::SyncState`](crate::Event::SyncState). It replaces the earlier state; an empty state
    /// is not sent.
    ///
    /// # Errors
    ///
    /// If it is longer than [`max_sync_state`](crate::Options::max_sync_state). Then nothing
    /// changed.
    pub fn set_sync_state(&mut self, now: Instant, state: Bytes) -> Result<(), TooLong> {
        let input = Input::SetSyncState(&state);
        self.input(now, |_| input, |node| node.replace_sync_state(state.clone()))
    }

    fn replace_sync_state(&mut self, state: Bytes) -> Result<(), TooLong> {
        let max = self.config.options.max_sync_state;
        TooLong::check("the sync state", state.len(), max, Some("max_sync_state"))?;
        self.sync.state = state;
        Ok(())
    }

    /// The node's keys; `None` if it does not encrypt.
    #[cfg(feature = "encryption")]
    pub fn keyring(&self) -> Option<&Keyring> {
        self.wire.crypto().and_then(CryptoState::keyring)
    }

    /// The same keys, to be changed while the node runs: the node seals the next message with the
    /// primary key of that moment.
    ///
    /// It takes no time, because it is no input: journals never hold keys, and replays need none.
    #[cfg(feature = "encryption")]
    pub fn keyring_mut(&mut self) -> Option<&mut Keyring> {
        self.wire.crypto_mut().and_then(CryptoState::keyring_mut)
    }

    /// Publishes this node's own state in a new incarnation, at once.
    pub(super) fn bump_incarnation(&mut self, state: State) {
        let variant = self.variant;
        self.members.update_local(|local| {
            local.incarnation = variant.above(local.incarnation, local.incarnation);
            local.state = state;
        });
        self.disseminate(MemberKey::LOCAL);
        self.timers.set(TimerKey::Fixed(FixedTimer::Gossip), self.now);
    }
}

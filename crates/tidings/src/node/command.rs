//! What the application asks.

use super::Node;
use crate::addr::{Dialled, canonical, dialled};
#[cfg(feature = "encryption")]
use crate::crypto::keyring::Keyring;
use crate::detector::health::LocalHealth;
use crate::error::{Failure, JoinError, SeedFailure};
use crate::event::{Done, Phase, Ticket};
use crate::gossip::queue::GossipQueue;
use crate::member::{Meta, State, TooLong};
use crate::membership::table::MemberKey;
use crate::record::journal::Input;
use crate::stream::exchange::Purpose;
use crate::stream::tickets::{MAX_SEEDS, Retry};
use crate::sync::reconnect::Reconnect;
use crate::time::Instant;
use crate::timers::{FixedTimer, TimerKey};
#[cfg(feature = "encryption")]
use crate::wire::crypto_state::CryptoState;
use alloc::vec::Vec;
use bytes::Bytes;
use core::net::SocketAddr;

impl Node {
    /// Joins a cluster through any of its members.
    ///
    /// All seeds are asked at once, each over a stream, for the members that they know; where there are more
    /// than [`max_streams_out`](crate::Options::max_streams_out), the others wait until a stream has ended. The ticket
    /// ends with [`Done::Joined`] when the first one has answered (those that were asked are heard
    /// too, later), or when the last one has failed, with each one's reason: at the latest
    /// [`stream_timeout`](crate::Options::stream_timeout) after it was asked. One that breaks off without an answer, as
    /// one does that too many ask at once, is asked again after a while. Our own address among the seeds is
    /// passed over; if it is the only one, the node is the first of its cluster, and has joined. A seed's
    /// address may have a zone (the scope id of an IPv6 address), by which it is dialled; members are
    /// known without.
    ///
    /// A node that has left comes back by this, as a member that joins. It has heard nothing since,
    /// and so forgets all others, without an event: what earlier events told is void, and whoever
    /// is there joins again.
    ///
    /// # Errors
    ///
    /// If there are no seeds, or more than 1,024, if no stream may be opened now, or if the node is
    /// leaving. Then nothing was begun.
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
        if !others.is_empty() && self.exchanges.room_out() == 0 {
            return Err(JoinError::Busy { max: self.config.options.max_streams_out });
        }
        if self.phase() == Phase::Left {
            self.rejoin_from_scratch();
        }
        let ticket = self.tickets.issue();
        if others.is_empty() {
            let members = self.members.present_count();
            self.emit_completed(ticket, Ok(Done::Joined { seed: own, members }));
        } else {
            self.tickets.begin_join(ticket, &others);
            self.contact_seeds();
        }
        Ok(ticket)
    }

    /// Asks seeds that were not asked yet, as many as streams may be opened.
    pub(super) fn contact_seeds(&mut self) {
        let deadline = self.now + self.config.options.stream_timeout;
        while self.exchanges.room_out() > 0 {
            let Some((ticket, seed)) = self.tickets.next_seed(deadline) else { return };
            self.open_until(seed, Purpose::Join(ticket), None, deadline);
        }
    }

    /// Asks a seed again that broke off.
    pub(super) fn retry_seed(&mut self, number: u64) {
        let Some(Retry { ticket, seed, error }) = self.tickets.remove_retry(number) else { return };
        let Some(deadline) = self.tickets.join_deadline(ticket) else { return };
        if !self.open_until(seed, Purpose::Join(ticket), None, deadline) {
            self.seed_failed(ticket, SeedFailure { seed, error });
        }
    }

    /// Takes part again after having left.
    fn rejoin_from_scratch(&mut self) {
        for key in self.suspicions.stop_all() {
            self.timers.clear(TimerKey::Suspicion(key));
        }
        self.timers.clear(TimerKey::Fixed(FixedTimer::Reap));
        self.gossip_queue = GossipQueue::default();
        self.broadcasts.clear();
        self.reconnect = Reconnect::new(self.config.options.max_reconnect);
        self.health = LocalHealth::new(self.config.options.awareness_max);
        self.members.forget_others();
        self.digest_index.clear();
        self.bump_incarnation(State::Alive);
        self.start_rounds();
    }

    /// Leaves the cluster, so that all others see this node as left and not as failed.
    ///
    /// The node tells [`leave_peers`](crate::Options::leave_peers) members over streams, also the
    /// seeds of joins that have not ended, and all others by gossip. The ticket ends with
    /// [`Done::Left`] when as many have confirmed it as half of those members, at once if there is
    /// nobody; with [`Failure::Unconfirmed`] if no member does within
    /// [`stream_timeout`](crate::Options::stream_timeout). A second call while that runs ends with
    /// the first; one after it ends at once. A join that has not ended fails with
    /// [`Failure::Left`].
    pub fn leave(&mut self, now: Instant) -> Ticket {
        self.input(now, |_| Input::Leave, Self::begin_leave)
    }

    fn begin_leave(&mut self) -> Ticket {
        let ticket = self.tickets.issue();
        if self.tickets.await_leave(ticket) {
            return ticket;
        }
        let mut asked = false;
        if self.phase() == Phase::Running {
            self.stop_rounds();
            let seeds = self.abandon_joins();
            self.bump_incarnation(State::Left);
            asked = self.announce_leave(ticket, seeds);
        }
        if !asked {
            self.emit_completed(ticket, Ok(Done::Left { confirmed: 0 }));
        }
        ticket
    }

    /// Gives up a join, a reliable message or a ping; the ticket ends with
    /// [`Failure::Cancelled`].
    ///
    /// Returns `false`, and does nothing, if the ticket has ended or is one of a leave. What was under
    /// way may have its effect all the same.
    pub fn cancel(&mut self, now: Instant, ticket: Ticket) -> bool {
        self.input(now, |_| Input::Cancel(ticket), |node| node.cancel_command(ticket))
    }

    fn cancel_command(&mut self, ticket: Ticket) -> bool {
        let ended = if self.tickets.joined(ticket).is_some() {
            self.abort_streams(|purpose| purpose == Purpose::Join(ticket));
            true
        } else if let Some(token) = self.user_pings.find(ticket) {
            self.user_pings.end(token);
            self.timers.clear(TimerKey::UserPing(token));
            true
        } else {
            !self.abort_streams(|purpose| purpose == Purpose::Message(ticket)).is_empty()
        };
        if ended {
            self.emit_completed(ticket, Err(Failure::Cancelled));
        }
        ended
    }

    /// Tells a few members, and the seeds of joins that have not ended: they may have taken us in;
    /// `false` if there is nobody.
    fn announce_leave(&mut self, ticket: Ticket, mut peers: Vec<SocketAddr>) -> bool {
        let mut picked = core::mem::take(&mut self.picked);
        let count = self.config.options.leave_peers;
        self.members.pick(&mut self.sync_rng, count, None, &mut picked);
        let members = picked.len();
        peers.extend(picked.iter().map(|&key| self.members[key].addr()));
        self.picked = picked;
        peers.sort_unstable();
        peers.dedup();
        if peers.is_empty() {
            return false;
        }
        self.tickets.begin_leave(ticket, peers.len(), members);
        for peer in peers {
            let news = self.wire.updates(self.local());
            if !self.open(peer, Purpose::Leave(ticket), Some(news)) {
                self.on_leave_confirmed(ticket, false);
            }
        }
        true
    }

    /// Sets what this node tells all others about itself.
    ///
    /// # Errors
    ///
    /// If there are more bytes than [`max_meta`](crate::Options::max_meta). Then nothing changed.
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

    /// Sets what every node with which this one syncs from now on is told:
    /// [`Event::SyncState`](crate::Event::SyncState). It replaces what was set before; empty is
    /// nothing.
    ///
    /// # Errors
    ///
    /// If there are more bytes than [`max_sync_state`](crate::Options::max_sync_state). Then nothing
    /// changed.
    pub fn set_sync_state(&mut self, now: Instant, state: Bytes) -> Result<(), TooLong> {
        let input = Input::SetSyncState(&state);
        self.input(now, |_| input, |node| node.replace_sync_state(state.clone()))
    }

    fn replace_sync_state(&mut self, state: Bytes) -> Result<(), TooLong> {
        let max = self.config.options.max_sync_state;
        TooLong::check("the sync state", state.len(), max, Some("max_sync_state"))?;
        self.sync_state = state;
        Ok(())
    }

    /// The keys with which the node seals and opens what travels; `None` if it does neither.
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

    /// Says something new of ourselves, at once.
    fn bump_incarnation(&mut self, state: State) {
        let variant = self.variant;
        self.members.update_local(|local| {
            local.incarnation = variant.above(local.incarnation, local.incarnation);
            local.state = state;
        });
        self.disseminate(MemberKey::LOCAL);
        self.timers.set(TimerKey::Fixed(FixedTimer::Gossip), self.now);
    }
}

//! Seeds as a standing wish: the node tries them until it has found its cluster, and afterwards.

use super::Node;
use crate::addr::{Dialled, canonical};
use crate::error::{ExchangeError, JoinError, Refusal};
use crate::event::Event;
use crate::record::journal::Input;
use crate::stream::exchange::Purpose;
use crate::sync::seeds::{MAX_SEEDS, Pace};
use crate::time::Instant;
use crate::timers::{FixedTimer, TimerKey};
use core::net::SocketAddr;

impl Node {
    /// Sets the seeds: addresses of members through which the node finds its cluster, in place of
    /// earlier ones.
    ///
    /// Unlike [`join`](Self::join), which is tried once and has an outcome, this is a standing
    /// wish. While the node knows nobody, it tries each seed with exponential backoff from
    /// [`seed_retry`](crate::Options::seed_retry) to
    /// [`seed_retry_max`](crate::Options::seed_retry_max), both randomized by half. Afterwards it
    /// tries those that are no members, at a low rate, so that islands which share a seed merge.
    /// Seeds that stay in the list keep their backoff, and new ones are tried at once. The node's
    /// own address counts for nothing, and no seeds end the wish.
    ///
    /// [`Event::SeedFailed`] reports each seed that fails, once for each reason in a row.
    /// [`Event::Ready`] reports once that the node has settled; see [`is_ready`](Self::is_ready).
    /// A node that has left does not try its seeds until it joins again.
    ///
    /// # Errors
    ///
    /// If there are more than 1,024. Then nothing changed.
    pub fn set_seeds(&mut self, now: Instant, seeds: &[SocketAddr]) -> Result<(), JoinError> {
        let input = |_: &Self| Input::SetSeeds(seeds.iter().copied().map(Dialled).collect());
        self.input(now, input, |node| node.replace_seeds(seeds, true))
    }

    /// Sets addresses where members of the cluster were, as a snapshot of an earlier life has them,
    /// in place of earlier ones.
    ///
    /// The node tries them as it does [seeds](Self::set_seeds). But nobody vouches for whoever
    /// answers there now: without keys, what that one says of other members is hearsay, which they
    /// have to confirm, while a seed's table is believed.
    ///
    /// # Errors
    ///
    /// If there are more than 1,024. Then nothing changed.
    pub fn set_hints(&mut self, now: Instant, hints: &[SocketAddr]) -> Result<(), JoinError> {
        let input = |_: &Self| Input::SetHints(hints.iter().copied().map(Dialled).collect());
        self.input(now, input, |node| node.replace_seeds(hints, false))
    }

    fn replace_seeds(&mut self, seeds: &[SocketAddr], trusted: bool) -> Result<(), JoinError> {
        if seeds.len() > MAX_SEEDS {
            return Err(JoinError::TooManySeeds { seeds: seeds.len(), max: MAX_SEEDS });
        }
        self.sync.seeds.set(seeds, trusted);
        if self.sync.ready.begin(self.now) {
            let due = self.now + self.config.options.ready_quiet;
            self.timers.set(TimerKey::Fixed(FixedTimer::Ready), due);
        }
        self.arm_seeds();
        Ok(())
    }

    /// The [seeds](Self::set_seeds), in the order of their addresses.
    pub fn seeds(&self) -> impl Iterator<Item = SocketAddr> {
        self.sync.seeds.iter()
    }

    /// Whether the node has settled since it was first given [seeds](Self::set_seeds): it knows
    /// another member, and its view of the cluster was quiet for
    /// [`ready_quiet`](crate::Options::ready_quiet); or it is the first of its cluster, because it
    /// has no seeds but itself, or none has answered within
    /// [`ready_timeout`](crate::Options::ready_timeout).
    ///
    /// A node that was never given seeds is always ready.
    pub fn is_ready(&self) -> bool {
        self.sync.ready.is_ready()
    }

    /// Tries the seeds that are due, while half of the streams are free for other purposes, and
    /// then hints.
    pub(super) fn try_seeds(&mut self) {
        let pace = self.seed_pace();
        while self.streams.exchanges.has_room_to_spare() {
            let hints = self.has_room_for_hint();
            let Some(seed) = self.sync.seeds.begin(self.now, pace, hints) else { break };
            let addr = canonical(seed);
            if addr == self.local().addr() || self.members.is_present_at(addr) {
                self.sync.seeds.skip(self.now, seed);
            } else if !self.config.allows(addr.ip()) {
                let refusal = Refusal::AddressNotAllowed;
                self.on_seed_tried(seed, Err(ExchangeError::NotAccepted(refusal)));
            } else {
                self.open(seed, Purpose::Seed, None);
            }
        }
        self.arm_seeds();
    }

    /// Tries all seeds, a lost member and a sync at once, because what kept this node apart may be
    /// over.
    pub(super) fn retry_at_once(&mut self) {
        self.sync.seeds.retry();
        self.arm_seeds();
        self.sync.reconnect.retry();
        if !self.local().state().is_present() {
            return;
        }
        self.timers.set(TimerKey::Fixed(FixedTimer::Sync), self.now);
        if self.sync.reconnect.has_candidates() {
            self.timers.set(TimerKey::Fixed(FixedTimer::Reconnect), self.now);
        }
    }

    /// Applies the outcome of an attempt at a seed.
    pub(super) fn on_seed_tried(&mut self, seed: SocketAddr, answer: Result<(), ExchangeError>) {
        let vouched = self.sync.seeds.is_trusted(seed) || self.wire.is_authenticated();
        let answer = answer.map_err(|error| match error {
            // Whoever is at a hint now has no say in whether this node may start.
            ExchangeError::Refused(_) if !vouched => ExchangeError::NoAnswer,
            error => error,
        });
        let error = self.sync.seeds.on_attempt_ended(self.now, seed, answer);
        if let Some(error) = error {
            self.outputs.event(Event::SeedFailed { seed, error });
        }
        self.arm_seeds();
    }

    /// Sets the timer for the next attempt at a seed.
    pub(super) fn arm_seeds(&mut self) {
        let timer = TimerKey::Fixed(FixedTimer::Seeds);
        let next = self.sync.seeds.next(self.seed_pace());
        let Some(next) = next.filter(|_| self.local().state().is_present()) else {
            return self.timers.clear(timer);
        };
        let options = &self.config.options;
        // Without room, when there may be some. The waits may be shorter by then, too.
        let room = self.streams.exchanges.has_room_to_spare() && self.has_room_for_hint();
        let earliest = if room { self.now } else { self.now + options.seed_retry };
        self.timers.set(timer, next.clamp(earliest, self.now + options.seed_retry_max));
    }

    /// Whether another hint may be tried: hints have an eighth of the streams.
    fn has_room_for_hint(&self) -> bool {
        self.sync.seeds.running_hints() < (self.config.options.max_streams_out / 8).max(1)
    }

    fn seed_pace(&self) -> Pace {
        let options = &self.config.options;
        Pace {
            first: options.seed_retry,
            longest: options.seed_retry_max,
            present: self.members.validated_others() + 1,
        }
    }

    /// Whether no other member is present that has answered.
    pub(super) fn is_alone(&self) -> bool {
        self.members.validated_others() == 0
    }

    /// Reports that the node is ready, once it is.
    pub(super) fn check_ready(&mut self) {
        let options = &self.config.options;
        let (quiet, timeout) = (options.ready_quiet, options.ready_timeout);
        let is_first = !self.sync.seeds.has_others(self.local().addr());
        let synced = is_first || !self.is_alone();
        match self.sync.ready.settle(self.now, synced, quiet, timeout) {
            Some(next) => self.timers.set(TimerKey::Fixed(FixedTimer::Ready), next),
            // A node that has left meanwhile has settled nowhere.
            None if !self.local().state().is_present() => {}
            None => self.outputs.event(Event::Ready { members: self.present_count() }),
        }
    }
}

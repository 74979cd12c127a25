//! The node's surroundings, which may change while it runs: its wall clock, and its address.

use super::Node;
use crate::addr::{Dialled, canonical};
use crate::error::SetAddrError;
use crate::event::Event;
use crate::incarnation::Incarnation;
use crate::record::journal::Input;
use crate::time::{Instant, WallClock};
use crate::wire::is_reachable;
use crate::wire::message::PeerStatus;
use core::net::SocketAddr;
use core::time::Duration;

impl Node {
    /// Sets the time on the wall clock, in seconds since any moment that is the same at all nodes;
    /// it runs on with `now`.
    ///
    /// Sealed messages carry it, and the limits of [incarnations](crate::Incarnation) move with it.
    /// It may step in either direction: the next message has the new time, and is judged by it.
    /// After a step back the node still accepts no message from before the time that a peer's reply
    /// proved, less [`tombstone_timeout`](crate::Options::tombstone_timeout). After a step of a
    /// minute or more, which a machine that slept makes too, it syncs at once, and tries seeds and
    /// a lost member.
    pub fn set_wall_clock(&mut self, now: Instant, seconds: u64) {
        self.input(now, |_| Input::SetWallClock(seconds), |node| node.step_wall_clock(seconds));
    }

    fn step_wall_clock(&mut self, seconds: u64) {
        let before = self.wall_clock();
        self.wall_clock = WallClock::new(self.now, seconds);
        self.wire.on_clock_step(before, seconds);
        if before.abs_diff(seconds) >= LONG_STEP {
            self.retry_at_once();
        }
    }

    /// The time on the [wall clock](Self::set_wall_clock), in seconds, as the node knows it.
    pub fn wall_clock(&self) -> u64 {
        self.wall_clock.at(self.now)
    }

    /// Sets the address at which other nodes reach this one, in a new incarnation: its machine has
    /// another one, or the one that it had was wrong.
    ///
    /// The others follow as soon as they hear of it, by gossip; without keys each asks at the new
    /// address first. Nobody sees the node fail or leave. The driver has to receive what arrives at
    /// the new address before this call, and should at the old one for a few seconds more. A node
    /// that has left, or is alone, tells it when it joins.
    ///
    /// # Errors
    ///
    /// If no node can have the address, or it is not in the [allowed
    /// networks](crate::ConfigBuilder::allowed_networks); in memberlist's format, while the node is
    /// a member. Then nothing changed.
    pub fn set_addr(&mut self, now: Instant, addr: SocketAddr) -> Result<(), SetAddrError> {
        let addr = canonical(addr);
        self.input(now, |_| Input::SetAddr(Dialled(addr)), |node| node.move_to(addr))
    }

    fn move_to(&mut self, addr: SocketAddr) -> Result<(), SetAddrError> {
        if !is_reachable(addr) {
            return Err(SetAddrError::Unreachable(addr));
        }
        if !self.config.allows(addr.ip()) {
            return Err(SetAddrError::NotAllowed(addr));
        }
        if self.local().addr() == addr {
            return Ok(());
        }
        if !self.variant.names_move() && self.local().state().is_present() {
            return Err(SetAddrError::Present);
        }
        self.config.addr = addr;
        self.wire.set_addr(addr);
        self.members.move_local(addr);
        self.reach = Reach::new(self.now);
        self.bump_incarnation(self.local().state());
        self.refute.on_moved(self.local().incarnation());
        // A stream shows one member where this node is, whatever becomes of datagrams.
        self.retry_at_once();
        Ok(())
    }

    /// A ping arrived, so that somebody reaches this node.
    pub(super) fn on_reached(&mut self) {
        self.reach = Reach::new(self.now);
    }

    /// A member acked a ping. An ack for strangers says that it does not know this node where the
    /// ping came from.
    pub(super) fn on_acked_as(&mut self, status: Option<PeerStatus>) {
        let as_stranger = |status: PeerStatus| status.incarnation == Incarnation::default();
        if status.is_some_and(as_stranger) {
            self.on_missed(1);
        }
    }

    /// The node refuted an accusation.
    pub(super) fn on_accusation(&mut self) {
        self.on_missed(ACCUSATION);
    }

    fn on_missed(&mut self, weight: u32) {
        if self.reach.is_missed(self.now, weight, self.config.options.probe_interval) {
            let addr = self.local().addr();
            self.outputs.event(Event::Unreachable { addr });
        }
    }
}

/// The signs that others hear this node, and do not reach it at its address.
///
/// A node that is reached gets pings: one in each probe interval, on average. So without one,
/// accusations and acks as to a stranger add up.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "record", derive(serde::Deserialize, serde::Serialize))]
pub(super) struct Reach {
    /// When the last ping arrived.
    pinged: Instant,
    /// The signs since then; an accusation counts as [`ACCUSATION`].
    signs: u32,
    reported: bool,
}

impl Reach {
    pub(super) fn new(now: Instant) -> Self {
        Self { pinged: now, signs: 0, reported: false }
    }

    /// Adds a sign; `true` if that is enough, once until the next ping.
    fn is_missed(&mut self, now: Instant, weight: u32, interval: Duration) -> bool {
        self.signs = self.signs.saturating_add(weight);
        let long = now.since(self.pinged) >= interval.saturating_mul(QUIET_INTERVALS);
        let missed = long && self.signs >= ENOUGH;
        missed && !core::mem::replace(&mut self.reported, true)
    }
}

/// The weight of an accusation, in acks as to a stranger.
const ACCUSATION: u32 = 3;
/// The signs that are enough: three accusations, or nine acks.
const ENOUGH: u32 = 9;
/// The probe intervals without a ping that are enough: chance brings them to one in 3,000.
const QUIET_INTERVALS: u32 = 8;

/// The least step of the wall clock, in seconds, after which others may judge this node's messages
/// otherwise: they accept any time for a minute, at least.
const LONG_STEP: u64 = 60;

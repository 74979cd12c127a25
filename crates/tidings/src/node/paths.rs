//! Paths to other members: on which streams or datagrams do not get through.

use super::Node;
use crate::addr::{Dialled, canonical};
use crate::error::ExchangeError;
use crate::event::Event;
use crate::member::NodeId;
use crate::membership::table::MemberKey;
use crate::record::journal::Input;
use crate::stats::DatagramError;
use crate::stream::StreamId;
use crate::stream::exchange::Purpose;
use crate::stream::paths::Finding;
use crate::time::Instant;
use crate::timers::TimerKey;
use core::net::SocketAddr;

impl Node {
    /// Whether streams to a member do not open, although it acks datagrams:
    /// [`StreamsBlocked`](crate::Event::StreamsBlocked) was reported, and no
    /// [`StreamsRestored`](crate::Event::StreamsRestored) since.
    ///
    /// Of datagrams that do not get through, [`Member::is_degraded`](crate::Member::is_degraded)
    /// tells.
    pub fn are_streams_blocked(&self, id: &NodeId) -> bool {
        self.streams.paths.is_blocked(id)
    }

    /// Whether this node itself accuses a suspect: the suspect did not ack a probe of this node.
    ///
    /// `false` also if enough others accused the suspect first: further accusers are not kept.
    pub fn accuses(&self, id: &NodeId) -> bool {
        let own = self.wire.accuser(self.local().id());
        self.members.find(id).is_some_and(|key| self.detector.is_accused_by(key, &own))
    }

    /// When this node declares a suspect failed, unless that refutes the suspicion; `None` if the
    /// member is not suspected.
    ///
    /// Each further member that accuses the suspect brings it forward (Lifeguard §IV-B), and a node
    /// that then has no recent ack puts it off.
    pub fn suspicion_deadline(&self, id: &NodeId) -> Option<Instant> {
        let key = self.members.find(id)?;
        self.timers.at(TimerKey::Suspicion(key))
    }

    /// Handles the error with which the operating system refused a datagram of `len` bytes, which
    /// counts as lost.
    ///
    /// It is counted in [`Stats::datagrams_unsent`](crate::Stats::datagrams_unsent), and one that
    /// is too long reported as an [event](crate::Event::DatagramTooLong). A driver may keep an
    /// error to itself: the node then takes the datagram for lost on the way.
    pub fn handle_send_error(
        &mut self,
        now: Instant,
        to: SocketAddr,
        len: usize,
        error: DatagramError,
    ) {
        let input = |_: &Self| Input::SendFailed { to: Dialled(to), len, error };
        self.input(now, input, |node| node.on_unsent(to, len, error));
    }

    fn on_unsent(&mut self, to: SocketAddr, len: usize, error: DatagramError) {
        self.stats.datagrams_unsent.count(error);
        if error == DatagramError::TooLong && len < self.too_long {
            self.too_long = len;
            self.outputs.event(Event::DatagramTooLong { to: canonical(to), len });
        }
    }

    /// A stream to a peer is open.
    pub(super) fn on_stream_opened(&mut self, peer: SocketAddr) {
        if self.streams.paths.is_empty() {
            return;
        }
        let Some(key) = self.members.find_addr(canonical(peer)) else { return };
        if self.streams.paths.on_opened(self.members[key].id()) {
            self.event(Event::StreamsRestored, key);
        }
    }

    /// A stream has failed. One that did not even open tells of the path, if it is one of ours.
    pub(super) fn on_stream_failed(&mut self, id: StreamId, error: ExchangeError) {
        let unopened = matches!(
            error,
            ExchangeError::TimedOut | ExchangeError::ConnectionRefused | ExchangeError::Unreachable
        );
        let peer = self.streams.exchanges.unopened(id).filter(|_| unopened);
        let Some(key) = peer.and_then(|peer| self.members.find_addr(canonical(peer))) else {
            return;
        };
        // In this mode, nobody answers by datagram.
        if self.members[key].state().is_present() && !self.config.options.stream_only {
            self.streams.paths.on_failed(self.members[key].id());
        }
    }

    /// A member acked a probe by datagram, from its own address.
    pub(super) fn on_answer_by_datagram(&mut self, key: MemberKey) {
        if self.streams.paths.is_empty() {
            return;
        }
        match self.streams.paths.on_answer(self.members[key].id()) {
            Some(Finding::Retry) => {
                let token = self.detector.trial_token();
                let ping = self.wire.ping(self.members[key].id(), token);
                self.open(self.members[key].addr(), Purpose::Probe(token), Some(ping));
            }
            Some(Finding::Blocked) => self.event(Event::StreamsBlocked, key),
            None => {}
        }
    }
}

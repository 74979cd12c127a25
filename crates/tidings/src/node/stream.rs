//! Streams: requests and replies.

use super::Node;
use crate::error::Refusal;
use crate::error::{ExchangeError, Failure, SeedFailure};
use crate::event::Event;
use crate::event::{Done, Ticket};
use crate::stats::Reject;
use crate::stream::exchange::{Exchange, Place, Purpose};
use crate::stream::tickets::Retry;
use crate::stream::{StreamAction, StreamId, StreamInput, first_byte_timeout};
use crate::time::Instant;
use crate::timers::TimerKey;
#[cfg(feature = "record")]
use crate::wire::dissect::in_frame;
use crate::wire::frame::{Frame, Introduction};
use crate::wire::message::Ack;
use alloc::vec::Vec;
use core::net::SocketAddr;
use core::time::Duration;

impl Node {
    pub(super) fn process_accept(&mut self, from: SocketAddr) -> Option<StreamId> {
        match self.streams.exchanges.place_for(from, self.now) {
            Place::Free => {}
            Place::Of(idle) => self.on_stream_timeout(idle),
            Place::None => {
                self.stats.streams_refused += 1;
                return None;
            }
        }
        let id = self.streams.exchanges.accept(from, self.now);
        self.stats.streams_in += 1;
        let deadline = self.now + first_byte_timeout(&self.config.options);
        self.timers.set(TimerKey::Stream(id), deadline);
        Some(id)
    }

    /// Opens a stream to a peer; `false` if too many are open.
    pub(super) fn open(
        &mut self,
        to: SocketAddr,
        purpose: Purpose,
        request: Option<Vec<u8>>,
    ) -> bool {
        let deadline = self.now + self.config.options.stream_timeout;
        self.open_until(to, purpose, request, deadline)
    }

    pub(super) fn open_until(
        &mut self,
        to: SocketAddr,
        purpose: Purpose,
        request: Option<Vec<u8>>,
        deadline: Instant,
    ) -> bool {
        let Some(id) = self.streams.exchanges.open(to, purpose, request, self.now) else {
            return false;
        };
        self.stats.streams_out += 1;
        self.timers.set(TimerKey::Stream(id), deadline);
        self.outputs.stream(id, StreamAction::Open { to, deadline });
        true
    }

    /// Sets the deadline of a stream anew, from now, but not beyond that of its sync.
    pub(super) fn extend(&mut self, id: StreamId) {
        let exchange = self.streams.exchanges.get(id);
        let ends = exchange.and_then(|exchange| Some(exchange.comparison.as_ref()?.ends));
        let deadline = self.now + self.config.options.stream_timeout;
        let deadline = ends.map_or(deadline, |ends| ends.min(deadline));
        self.timers.set(TimerKey::Stream(id), deadline);
    }

    pub(super) fn process_stream(&mut self, id: StreamId, input: StreamInput<'_>) {
        let Some(exchange) = self.streams.exchanges.get(id) else {
            return;
        };
        let purpose = exchange.purpose;
        match input {
            StreamInput::Opened => {
                let unopened = self.streams.exchanges.unopened(id);
                if self.streams.exchanges.opened(id) {
                    unopened.into_iter().for_each(|peer| self.on_stream_opened(peer));
                    self.send_request(id, purpose);
                }
            }
            StreamInput::Data(data) => {
                let accepted = self.streams.exchanges.hear(id);
                if let Some(accepted) = accepted.filter(|_| purpose == Purpose::Inbound) {
                    let deadline = accepted + self.config.options.stream_timeout;
                    self.timers.set(TimerKey::Stream(id), deadline);
                }
                match self.streams.exchanges.receive(id, data, &mut self.wire, self.now) {
                    Ok(None) => {}
                    Ok(Some(frame)) => self.handle_frame(id, frame),
                    Err(Reject::ForeignCluster) if purpose == Purpose::Inbound => {
                        self.reject_foreign_cluster(id)
                    }
                    Err(Reject::Stale) if purpose == Purpose::Inbound => {
                        self.stats.rejected_streams.count(Reject::Stale);
                        self.streams.exchanges.stop_reading(id);
                        self.refuse(id, Refusal::Clock);
                    }
                    Err(reject) => self.reject(id, reject),
                }
            }
            StreamInput::Closed if self.sync.name_checks.on_closed(id) => {}
            StreamInput::Closed => self.end(id, self.closed(purpose)),
            StreamInput::Failed(error) => self.end(id, Err(error.into())),
        }
    }

    /// The outcome when the peer closes a stream without a reply.
    fn closed(&self, purpose: Purpose) -> Result<(), ExchangeError> {
        match purpose {
            Purpose::Message(_) if !self.variant.has_receipts() => Ok(()),
            _ => Err(ExchangeError::NoAnswer),
        }
    }

    pub(super) fn on_stream_timeout(&mut self, id: StreamId) {
        self.stats.streams_timed_out += 1;
        self.outputs.stream(id, StreamAction::Reset);
        self.end(id, Err(ExchangeError::TimedOut));
    }

    /// Sends the request of a stream, once it is open.
    fn send_request(&mut self, id: StreamId, purpose: Purpose) {
        if let Some(request) = self.streams.exchanges.pop_request(id) {
            self.write(id, request);
            match purpose {
                Purpose::Packet => self.resolve(id, Ok(())),
                Purpose::Message(_) if !self.variant.has_receipts() => {
                    self.outputs.stream(id, StreamAction::Close);
                }
                _ => {}
            }
            return;
        }
        match purpose {
            Purpose::Join(_) | Purpose::Reconnect | Purpose::Seed => {
                self.begin_sync(id, self.introduction());
            }
            Purpose::Sync => self.begin_sync(id, Introduction::Name),
            _ => {}
        }
    }

    /// Handles a frame: a request on the peer's streams, a reply on ours.
    fn handle_frame(&mut self, id: StreamId, frame: Frame) {
        #[cfg(feature = "record")]
        if let Some(script) = self.journal.as_mut().and_then(|journal| journal.script()) {
            script.heard.push(in_frame(&frame));
        }
        let Some(exchange) = self.streams.exchanges.get(id) else { return };
        let &Exchange { purpose, peer, .. } = exchange;
        let greeted = exchange.comparison.is_some();
        if purpose == Purpose::Inbound && self.refuse_source(id, peer) {
            return;
        }
        if purpose == Purpose::Inbound && !self.is_fresh_and_ours(id, &frame) {
            return;
        }
        match (purpose, frame) {
            // A second greeting would begin the sync's limits anew.
            (_, Frame::Sync(_) | Frame::SyncReply(_)) if greeted => {
                self.reject(id, Reject::Unexpected);
            }
            (Purpose::Inbound, Frame::Sync(hello)) => self.serve_sync(id, hello),
            (Purpose::Inbound, Frame::Updates { members, .. }) => {
                self.handle_updates(peer, members);
                self.send_receipt(id);
            }
            (Purpose::Inbound, Frame::Message(letter)) => self.handle_reliable(id, letter),
            (Purpose::Inbound, Frame::Ping(ping)) => self.serve_ping(id, &ping),
            (Purpose::Inbound, Frame::Packet { from, messages, .. })
                if self.config.options.stream_only =>
            {
                self.process_stream_datagram(peer, &from, &messages);
            }
            (
                Purpose::Join(_) | Purpose::Sync | Purpose::Reconnect | Purpose::Seed,
                Frame::SyncReply(hello),
            ) => self.handle_sync_reply(id, purpose, hello),
            #[cfg(feature = "memberlist")]
            (Purpose::Inbound, Frame::PushPull(theirs)) => self.serve_push_pull(id, theirs),
            #[cfg(feature = "memberlist")]
            (
                Purpose::Join(_) | Purpose::Sync | Purpose::Reconnect | Purpose::Seed,
                Frame::PushPull(theirs),
            ) => self.handle_push_pull_reply(id, purpose, peer, theirs),
            #[cfg(feature = "memberlist")]
            (Purpose::Leave(_), Frame::PushPull(_)) => self.resolve(id, Ok(())),
            (_, Frame::Compare(parts)) => self.compare(id, &parts),
            (Purpose::Leave(_) | Purpose::Message(_), Frame::Receipt) => self.resolve(id, Ok(())),
            (Purpose::Probe(token), Frame::Pong(pong))
                if pong.token.is_none_or(|carried| carried == token) =>
            {
                self.handle_stream_pong(peer, token, pong.status);
                self.resolve(id, Ok(()));
            }
            (Purpose::NameCheck(number), Frame::Pong(pong)) => {
                let generation = pong.status.map(|status| status.incarnation.generation);
                let newcomer = self.sync.name_checks.is_newcomer(number, generation);
                self.resolve(id, if newcomer { Err(ExchangeError::NoAnswer) } else { Ok(()) });
            }
            (Purpose::Relay(token), Frame::Pong(pong))
                if pong.token.is_none_or(|carried| carried == token) =>
            {
                self.handle_ack(peer, Ack { token, status: pong.status });
                self.resolve(id, Ok(()));
            }
            (Purpose::Inbound, _) => self.reject(id, Reject::Unexpected),
            (_, Frame::Refusal(refusal)) => {
                self.resolve(id, Err(ExchangeError::Refused(refusal)));
            }
            _ => self.reject(id, Reject::Unexpected),
        }
    }

    /// Whether a peer's request is for this node and was not received before; otherwise it is
    /// refused.
    ///
    /// Without a key, somebody can connect a stream to another node than the one that it is for, or
    /// repeat the first frame of an earlier one.
    fn is_fresh_and_ours(&mut self, id: StreamId, frame: &Frame) -> bool {
        if frame.receiver().is_some_and(|to| to != self.local().id()) {
            self.refuse(id, Refusal::NotMe);
            return false;
        }
        let replayed = self.wire.tidings().is_some() && self.streams.exchanges.is_replay(id);
        if replayed {
            self.reject(id, Reject::Unexpected);
        }
        !replayed
    }

    /// Sends the reply, and closes the stream.
    pub(super) fn reply(&mut self, id: StreamId, frame: Vec<u8>) {
        if self.write(id, frame) {
            self.outputs.stream(id, StreamAction::Close);
        }
    }

    /// Writes a frame to a stream; `false` if the stream was reset instead, because too many
    /// answers wait for peers to read them.
    pub(super) fn write(&mut self, id: StreamId, frame: Vec<u8>) -> bool {
        let Some(binding) = self.streams.exchanges.binding(id) else { return false };
        let frame = self.wire.finish_frame(frame, binding);
        if !self.streams.exchanges.hold_answer(id, frame.len()) {
            self.reject(id, Reject::Oversized);
            return false;
        }
        self.outputs.stream(id, StreamAction::Write(frame));
        true
    }

    pub(super) fn refuse(&mut self, id: StreamId, refusal: Refusal) {
        match self.wire.refused(refusal) {
            Some(frame) => self.reply(id, frame),
            None => self.outputs.stream(id, StreamAction::Close),
        }
    }

    /// Sends a receipt, in a format that has them, and closes the stream.
    pub(super) fn send_receipt(&mut self, id: StreamId) {
        match self.wire.receipt() {
            Some(frame) => self.reply(id, frame),
            None => self.outputs.stream(id, StreamAction::Close),
        }
    }

    /// Answers a frame of another cluster with a refusal in that cluster's envelope: the sender
    /// learns of its mistake, and nothing about this cluster.
    fn reject_foreign_cluster(&mut self, id: StreamId) {
        self.stats.rejected_streams.count(Reject::ForeignCluster);
        let exchanges = &mut self.streams.exchanges;
        let answer = self.wire.send_away(exchanges.received(id));
        match answer.filter(|frame| exchanges.hold_answer(id, frame.len())) {
            Some(frame) => {
                self.streams.exchanges.stop_reading(id);
                self.outputs.stream(id, StreamAction::Write(frame));
                self.outputs.stream(id, StreamAction::Close);
            }
            None => {
                self.outputs.stream(id, StreamAction::Reset);
                self.end(id, Err(ExchangeError::BadAnswer(Reject::ForeignCluster)));
            }
        }
    }

    /// Rejects the input of a stream and resets it; memberlist's format sends an error message
    /// first.
    pub(super) fn reject(&mut self, id: StreamId, reject: Reject) {
        self.stats.rejected_streams.count(reject);
        let serving =
            self.streams.exchanges.get(id).is_some_and(|one| one.purpose == Purpose::Inbound);
        if let Some(complaint) = self.wire.complaint(reject).filter(|_| serving) {
            self.streams.exchanges.stop_reading(id);
            return self.reply(id, complaint);
        }
        self.outputs.stream(id, StreamAction::Reset);
        self.end(id, Err(ExchangeError::BadAnswer(reject)));
    }

    /// Resolves a stream by its reply and closes it; its deadline stays until it is closed.
    pub(super) fn resolve(&mut self, id: StreamId, answer: Result<(), ExchangeError>) {
        self.streams.exchanges.stop_reading(id);
        self.outputs.stream(id, StreamAction::Close);
        if let Some((peer, purpose)) = self.streams.exchanges.resolve(id) {
            self.on_resolved(peer, purpose, answer);
        }
    }

    /// Abandons all joins and attempts at seeds, because the node leaves; returns the seeds that
    /// have not replied.
    pub(super) fn abandon_joins(&mut self) -> Vec<SocketAddr> {
        for ticket in self.streams.tickets.abandon_joins() {
            self.emit_completed(ticket, Err(Failure::Left));
        }
        let joins = |purpose| matches!(purpose, Purpose::Join(_) | Purpose::Seed);
        let joining = self.abort_streams(joins);
        joining.into_iter().map(|(_, seed)| seed).collect()
    }

    /// Resets all unresolved streams with such a purpose, without an outcome; returns them with
    /// their peers.
    pub(super) fn abort_streams(
        &mut self,
        such: impl Fn(Purpose) -> bool,
    ) -> Vec<(StreamId, SocketAddr)> {
        let streams = self.streams.exchanges.unanswered(such);
        for &(id, _) in &streams {
            self.outputs.stream(id, StreamAction::Reset);
            self.forget(id);
        }
        streams
    }

    /// Removes a stream, and resolves it if no reply did.
    pub(super) fn end(&mut self, id: StreamId, answer: Result<(), ExchangeError>) {
        if let Err(error) = answer {
            self.on_stream_failed(id, error);
        }
        if let Some((peer, purpose)) = self.streams.exchanges.resolve(id) {
            self.on_resolved(peer, purpose, answer);
        }
        self.forget(id);
    }

    fn forget(&mut self, id: StreamId) {
        self.streams.exchanges.remove(id);
        self.timers.clear(TimerKey::Stream(id));
        self.sync.name_checks.forget(id);
        self.contact_seeds();
    }

    /// Applies the outcome of a stream.
    fn on_resolved(
        &mut self,
        peer: SocketAddr,
        purpose: Purpose,
        answer: Result<(), ExchangeError>,
    ) {
        if answer.is_ok()
            && matches!(purpose, Purpose::Join(_) | Purpose::Seed | Purpose::Reconnect)
        {
            self.sync.is_member = true;
        }
        match (purpose, answer) {
            (Purpose::Probe(token), Err(ExchangeError::ConnectionRefused)) => {
                self.on_refused(token);
            }
            (Purpose::Relay(token), Err(ExchangeError::ConnectionRefused)) => {
                self.on_relay_refused(token);
            }
            (Purpose::Inbound | Purpose::Sync | Purpose::Packet, _) => {}
            (Purpose::Probe(_) | Purpose::Relay(_), _) => {}
            (Purpose::Reconnect, answer) => {
                self.sync.reconnect.on_attempt_ended(peer, answer.is_ok())
            }
            (Purpose::Seed, answer) => self.on_seed_tried(peer, answer),
            (Purpose::Message(ticket), answer) => {
                let receipts = self.variant.has_receipts();
                let done = if receipts { Done::Delivered } else { Done::Written };
                let result = answer.map(|()| done).map_err(Failure::Undelivered);
                self.emit_completed(ticket, result);
            }
            (Purpose::Join(ticket), Ok(())) => {
                self.sync.reconnect.add_seed(peer);
                if let Some(silent) = self.streams.tickets.joined(ticket) {
                    silent.into_iter().for_each(|seed| self.remember_silent_seed(seed));
                    let members = self.members.present_count();
                    self.emit_completed(ticket, Ok(Done::Joined { seed: peer, members }));
                }
            }
            (Purpose::Join(ticket), Err(ExchangeError::Refused(Refusal::NameTaken))) => {
                if self.streams.tickets.joined(ticket).is_some() {
                    self.abort_streams(|purpose| purpose == Purpose::Join(ticket));
                    self.emit_completed(ticket, Err(Failure::NameTaken { seed: peer }));
                }
            }
            (Purpose::Join(ticket), Err(error)) => {
                let again = matches!(
                    error,
                    ExchangeError::ConnectionReset
                        | ExchangeError::NoAnswer
                        | ExchangeError::Refused(Refusal::CheckingName)
                );
                if again && self.retry_join(Retry { ticket, seed: peer, error }) {
                    return;
                }
                self.seed_failed(ticket, SeedFailure { seed: peer, error });
            }
            (Purpose::NameCheck(number), answer) => self.on_name_checked(number, answer.is_ok()),
            (Purpose::Leave(ticket), answer) => self.on_leave_confirmed(ticket, answer.is_ok()),
        }
    }

    fn retry_join(&mut self, retry: Retry) -> bool {
        let due = self.now + RETRY_AFTER + self.sync.rng.within(RETRY_AFTER * 4);
        let number = self.streams.tickets.retry(retry, due);
        if let Some(number) = number {
            self.timers.set(TimerKey::Retry(number), due);
        }
        number.is_some()
    }

    /// Counts a seed of a join as failed; it is not contacted again for this join.
    pub(super) fn seed_failed(&mut self, ticket: Ticket, failure: SeedFailure) {
        if !self.streams.tickets.is_joining(ticket) && failure.error.is_silence() {
            self.remember_silent_seed(failure.seed);
        }
        let Some(failures) = self.streams.tickets.seed_failed(ticket, failure) else { return };
        let itself = ExchangeError::Refused(Refusal::SameNode);
        if self.sync.met_itself && failures.iter().all(|failure| failure.error == itself) {
            return self.emit_completed(ticket, Ok(Done::First));
        }
        for failure in failures.iter().filter(|failure| failure.error.is_silence()) {
            self.remember_silent_seed(failure.seed);
        }
        self.emit_completed(ticket, Err(Failure::NoSeed(failures)));
    }

    /// Remembers a silent seed of a join: it may be on the other side of a partition, or not run
    /// yet.
    fn remember_silent_seed(&mut self, seed: SocketAddr) {
        self.sync.reconnect.add_seed(seed);
        self.arm_reconnect();
    }

    /// Counts a confirmation of the leave, or a failure of one.
    pub(super) fn on_leave_confirmed(&mut self, ticket: Ticket, confirmed: bool) {
        if let Some((tickets, result)) = self.streams.tickets.on_leave_confirmed(ticket, confirmed)
        {
            for ticket in tickets {
                self.emit_completed(ticket, result.clone());
            }
        }
    }

    pub(super) fn emit_completed(&mut self, ticket: Ticket, result: Result<Done, Failure>) {
        self.outputs.event(Event::Completed { ticket, result });
    }
}

/// The delay before a seed that closed a stream without a reply is contacted again: from this to
/// five times this.
const RETRY_AFTER: Duration = Duration::from_millis(100);

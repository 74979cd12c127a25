//! Streams: what is asked and answered over them.

use super::Node;
use crate::error::Refusal;
use crate::error::{ExchangeError, Failure, SeedFailure};
use crate::event::Event;
use crate::event::{Done, Ticket};
use crate::stats::Reject;
use crate::stream::exchange::{Exchange, Purpose};
use crate::stream::tickets::Retry;
use crate::stream::{StreamAction, StreamId, StreamInput};
use crate::time::Instant;
use crate::timers::TimerKey;
use crate::wire::dissect::in_frame;
use crate::wire::frame::Frame;
use alloc::vec::Vec;
use core::net::SocketAddr;
use core::time::Duration;

impl Node {
    pub(super) fn process_accept(&mut self, from: SocketAddr) -> Option<StreamId> {
        let Some(id) = self.streams.exchanges.accept(from) else {
            self.stats.streams_refused += 1;
            return None;
        };
        self.stats.streams_in += 1;
        self.extend(id);
        Some(id)
    }

    /// Opens a stream to a peer; `false` if there are too many.
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
        let Some(id) = self.streams.exchanges.open(to, purpose, request) else {
            return false;
        };
        self.stats.streams_out += 1;
        self.timers.set(TimerKey::Stream(id), deadline);
        self.outputs.stream(id, StreamAction::Open { to, deadline });
        true
    }

    /// Gives a stream its time, from now on.
    pub(super) fn extend(&mut self, id: StreamId) {
        let deadline = self.now + self.config.options.stream_timeout;
        self.timers.set(TimerKey::Stream(id), deadline);
    }

    pub(super) fn process_stream(&mut self, id: StreamId, input: StreamInput<'_>) {
        let Some(exchange) = self.streams.exchanges.get(id) else {
            return;
        };
        let purpose = exchange.purpose;
        match input {
            StreamInput::Opened if self.streams.exchanges.opened(id) => {
                self.send_request(id, purpose)
            }
            // The driver has said so before.
            StreamInput::Opened => {}
            StreamInput::Data(data) => {
                match self.streams.exchanges.receive(id, data, &mut self.wire) {
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
            StreamInput::Closed => self.end(id, self.closed(purpose)),
            StreamInput::Failed(error) => self.end(id, Err(error.into())),
        }
    }

    /// How it ends what a stream is for that the peer closes it without an answer.
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

    /// Sends the request for which a stream was opened.
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
            Purpose::Join(_) | Purpose::Reconnect => self.begin_sync(id, true),
            Purpose::Sync => self.begin_sync(id, false),
            _ => {}
        }
    }

    /// Takes a frame that the peer sends: a request on its streams, the reply on ours.
    fn handle_frame(&mut self, id: StreamId, frame: Frame) {
        if let Some(script) = self.journal.as_mut().and_then(|journal| journal.script()) {
            script.heard.push(in_frame(&frame));
        }
        let Some(&Exchange { purpose, peer, .. }) = self.streams.exchanges.get(id) else { return };
        match (purpose, frame) {
            (Purpose::Inbound, Frame::Sync(hello)) => self.serve_sync(id, hello),
            (Purpose::Inbound, Frame::Updates { members }) => {
                self.handle_updates(members);
                self.send_receipt(id);
            }
            (Purpose::Inbound, Frame::Message(letter)) => self.handle_reliable(id, letter),
            (Purpose::Inbound, Frame::Ping(ping)) => self.serve_ping(id, ping),
            (Purpose::Inbound, Frame::Packet { from, messages }) => {
                self.process_stream_datagram(peer, &from, &messages);
            }
            (Purpose::Join(_) | Purpose::Sync | Purpose::Reconnect, Frame::SyncReply(hello)) => {
                self.handle_sync_reply(id, peer, hello);
            }
            #[cfg(feature = "memberlist")]
            (Purpose::Inbound, Frame::PushPull(theirs)) => self.serve_push_pull(id, theirs),
            #[cfg(feature = "memberlist")]
            (Purpose::Join(_) | Purpose::Sync | Purpose::Reconnect, Frame::PushPull(theirs)) => {
                self.handle_push_pull_reply(id, purpose, peer, theirs);
            }
            #[cfg(feature = "memberlist")]
            (Purpose::Leave(_), Frame::PushPull(_)) => self.resolve(id, Ok(())),
            (_, Frame::Compare(parts)) => self.compare(id, &parts),
            (Purpose::Leave(_) | Purpose::Message(_), Frame::Receipt) => self.resolve(id, Ok(())),
            (Purpose::Probe(token), Frame::Pong(pong))
                if pong.token.is_none_or(|carried| carried == token) =>
            {
                self.handle_stream_pong(token, pong.status);
                self.resolve(id, Ok(()));
            }
            (Purpose::Inbound, _) => self.reject(id, Reject::Unexpected),
            (_, Frame::Refusal(refusal)) => {
                self.resolve(id, Err(ExchangeError::Refused(refusal)));
            }
            _ => self.reject(id, Reject::Unexpected),
        }
    }

    /// Answers the one request that a stream brings.
    pub(super) fn reply(&mut self, id: StreamId, frame: Vec<u8>) {
        self.write(id, frame);
        self.outputs.stream(id, StreamAction::Close);
    }

    /// Writes a frame to a stream.
    pub(super) fn write(&mut self, id: StreamId, frame: Vec<u8>) {
        let Some(binding) = self.streams.exchanges.binding(id) else { return };
        let frame = self.wire.finish_frame(frame, binding);
        self.outputs.stream(id, StreamAction::Write(frame));
    }

    pub(super) fn refuse(&mut self, id: StreamId, refusal: Refusal) {
        match self.wire.refused(refusal) {
            Some(frame) => self.reply(id, frame),
            None => self.outputs.stream(id, StreamAction::Close),
        }
    }

    /// Confirms that we have what a stream brought, where that is done.
    pub(super) fn send_receipt(&mut self, id: StreamId) {
        match self.wire.receipt() {
            Some(frame) => self.reply(id, frame),
            None => self.outputs.stream(id, StreamAction::Close),
        }
    }

    /// Tells whoever took us for one of another cluster that we are not, in that cluster's envelope:
    /// whoever made a mistake learns of it, and nothing of us.
    fn reject_foreign_cluster(&mut self, id: StreamId) {
        self.stats.rejected_streams.count(Reject::ForeignCluster);
        match self.wire.send_away(self.streams.exchanges.received(id)) {
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

    /// Drops a stream that brought what we do not take; nothing is answered, but for a complaint to
    /// whoever asked in a way that we cannot read, in a format that has one.
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

    /// The peer answered on a stream of ours: closes it, which its deadline still watches.
    pub(super) fn resolve(&mut self, id: StreamId, answer: Result<(), ExchangeError>) {
        self.outputs.stream(id, StreamAction::Close);
        if let Some((peer, purpose)) = self.streams.exchanges.resolve(id) {
            self.on_resolved(peer, purpose, answer);
        }
    }

    /// Gives up all joins, since the node leaves; returns the seeds that have not answered.
    pub(super) fn abandon_joins(&mut self) -> Vec<SocketAddr> {
        for ticket in self.streams.tickets.abandon_joins() {
            self.emit_completed(ticket, Err(Failure::Left));
        }
        let joining = self.abort_streams(|purpose| matches!(purpose, Purpose::Join(_)));
        joining.into_iter().map(|(_, seed)| seed).collect()
    }

    /// Breaks off all streams for such a purpose that have not been answered, without a word of how
    /// they ended; returns them, with the peers.
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

    /// A stream is gone; if its purpose was not settled before, it is by this.
    fn end(&mut self, id: StreamId, answer: Result<(), ExchangeError>) {
        if let Some((peer, purpose)) = self.streams.exchanges.resolve(id) {
            self.on_resolved(peer, purpose, answer);
        }
        self.forget(id);
    }

    fn forget(&mut self, id: StreamId) {
        self.streams.exchanges.remove(id);
        self.timers.clear(TimerKey::Stream(id));
        if !self.streams.exchanges.is_comparing() {
            self.sync.index.clear();
        }
        self.contact_seeds();
    }

    /// Ends what a stream was for.
    fn on_resolved(
        &mut self,
        peer: SocketAddr,
        purpose: Purpose,
        answer: Result<(), ExchangeError>,
    ) {
        match (purpose, answer) {
            (Purpose::Inbound | Purpose::Sync | Purpose::Probe(_) | Purpose::Packet, _) => {}
            (Purpose::Reconnect, answer) => {
                self.sync.reconnect.on_attempt_ended(peer, answer.is_ok())
            }
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
            (Purpose::Join(ticket), Err(error)) => {
                if matches!(error, ExchangeError::ConnectionReset | ExchangeError::NoAnswer)
                    && self.retry_join(Retry { ticket, seed: peer, error })
                {
                    return;
                }
                self.seed_failed(ticket, SeedFailure { seed: peer, error });
            }
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

    /// A seed of a join did not take us in, and is not asked again.
    pub(super) fn seed_failed(&mut self, ticket: Ticket, failure: SeedFailure) {
        if !self.streams.tickets.is_joining(ticket) && failure.error.is_silence() {
            self.remember_silent_seed(failure.seed);
        }
        if let Some(failure) = self.streams.tickets.seed_failed(ticket, failure) {
            self.emit_completed(ticket, Err(failure));
        }
    }

    /// A seed was not heard of, and another one took us in: it may be on the other side of a partition.
    fn remember_silent_seed(&mut self, seed: SocketAddr) {
        self.sync.reconnect.add_seed(seed);
        self.arm_reconnect();
    }

    /// A member confirmed that we leave, or will not.
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

/// How soon a seed that broke off is asked again: between this and five times this.
const RETRY_AFTER: Duration = Duration::from_millis(100);

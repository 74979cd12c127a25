//! Streams: what is asked and answered over them.

use super::Node;
use super::claims::Heard;
use crate::command::{Done, ExchangeError, Failure, SeedFailure, Ticket};
use crate::exchange::{Exchange, Purpose};
use crate::output::Event;
use crate::stats::Reject;
use crate::stream::{Refusal, StreamAction, StreamError, StreamId, StreamInput};
use crate::timers::Slot;
use crate::wire::frame::{self, Claims, Encoded, Frame};
use alloc::vec::Vec;
use bytes::Bytes;
use core::net::SocketAddr;

impl Node {
    pub(super) fn take_stream(&mut self, from: SocketAddr) -> Option<StreamId> {
        let Some(id) = self.exchanges.accept(from) else {
            self.stats.streams_refused += 1;
            return None;
        };
        self.stats.streams_in += 1;
        self.timers.set(Slot::Stream(id), self.now + self.config.options.stream_timeout);
        Some(id)
    }

    /// Opens a stream to a peer; `false` if there are too many.
    pub(super) fn open(&mut self, to: SocketAddr, purpose: Purpose) -> bool {
        let Some(id) = self.exchanges.open(to, purpose) else {
            return false;
        };
        self.stats.streams_out += 1;
        let deadline = self.now + self.config.options.stream_timeout;
        self.timers.set(Slot::Stream(id), deadline);
        self.outbox.stream(id, StreamAction::Open { to, deadline });
        true
    }

    pub(super) fn take_stream_input(&mut self, id: StreamId, input: StreamInput<'_>) {
        let Some(exchange) = self.exchanges.get(id) else {
            return;
        };
        match input {
            StreamInput::Opened => self.ask(id, exchange.purpose),
            StreamInput::Data(data) => match self.exchanges.receive(id, data, &self.binding) {
                Ok(None) => {}
                Ok(Some(frame)) => self.take_frame(id, frame),
                Err(reject) => self.reject(id, reject),
            },
            StreamInput::Closed => self.end(id, Err(ExchangeError::NoAnswer)),
            StreamInput::Failed(error) => self.end(id, Err(ExchangeError::Stream(error))),
        }
    }

    pub(super) fn stream_timed_out(&mut self, id: StreamId) {
        self.stats.streams_timed_out += 1;
        self.outbox.stream(id, StreamAction::Reset);
        self.end(id, Err(ExchangeError::Stream(StreamError::TimedOut)));
    }

    /// Sends the request for which a stream was opened.
    fn ask(&mut self, id: StreamId, purpose: Purpose) {
        let limit = self.config.options.max_frame;
        let request = match purpose {
            Purpose::Serve => return,
            Purpose::Join(_) | Purpose::Sync => {
                let encoded = frame::sync(&self.binding, limit, self.members.iter_for(None));
                self.count_left_out(encoded)
            }
            Purpose::Leave(_) => frame::news(&self.binding, limit, self.local()),
        };
        self.outbox.stream(id, StreamAction::Write(request));
    }

    /// Takes the one frame that the peer sends: a request on its streams, the reply on ours.
    fn take_frame(&mut self, id: StreamId, frame: Frame) {
        let Some(&Exchange { purpose, .. }) = self.exchanges.get(id) else { return };
        match (purpose, frame) {
            (Purpose::Serve, Frame::Sync { members }) => {
                let reply = self.serve_sync(members);
                self.reply(id, reply);
            }
            (Purpose::Serve, Frame::News { members }) => {
                self.merge(members, true);
                let reply = frame::taken(&self.binding);
                self.reply(id, reply);
            }
            (Purpose::Join(_) | Purpose::Sync, Frame::Synced { members }) => {
                // Whoever knew nobody has nobody to tell what it learns.
                let spread = self.members.present() > 1;
                self.merge(members, spread);
                self.stats.syncs += 1;
                self.settle(id, Ok(()));
            }
            (Purpose::Leave(_), Frame::Taken) => self.settle(id, Ok(())),
            (Purpose::Serve, _) => self.reject(id, Reject::Unexpected),
            (_, Frame::Refused(refusal)) => {
                self.settle(id, Err(ExchangeError::Refused(refusal)));
            }
            _ => self.reject(id, Reject::Unexpected),
        }
    }

    fn serve_sync(&mut self, members: Claims) -> Bytes {
        if !self.local().state().is_present() {
            return frame::refused(&self.binding, Refusal::NotRunning);
        }
        if members.sender_refused {
            self.stats.members_refused += 1;
            return frame::refused(&self.binding, Refusal::Unacceptable);
        }
        let sender = members.claims.first().map(|claim| claim.id.clone());
        self.merge(members, true);
        if sender.as_ref().is_some_and(|id| self.members.find(id).is_none()) {
            return frame::refused(&self.binding, Refusal::Full);
        }
        self.stats.syncs += 1;
        let limit = self.config.options.max_frame;
        let encoded = frame::synced(&self.binding, limit, self.members.iter_for(sender.as_ref()));
        self.count_left_out(encoded)
    }

    fn merge(&mut self, Claims { claims, refused, .. }: Claims, spread: bool) {
        self.stats.members_refused += refused as u64;
        let mut speak_to = None;
        for claim in claims {
            let heard = Heard { from: None, accuser: 0, spread };
            speak_to = self.hear(heard, claim).or(speak_to);
        }
        if let Some(to) = speak_to {
            self.tell_of_us(to);
        }
    }

    fn count_left_out(&mut self, Encoded { frame, left_out }: Encoded) -> Bytes {
        self.stats.sync_left_out += left_out as u64;
        frame
    }

    fn reply(&mut self, id: StreamId, frame: Bytes) {
        self.outbox.stream(id, StreamAction::Write(frame));
        self.outbox.stream(id, StreamAction::Close);
    }

    /// Drops a stream that brought what we do not take; nothing is answered.
    fn reject(&mut self, id: StreamId, reject: Reject) {
        self.stats.rejected_streams.count(reject);
        self.outbox.stream(id, StreamAction::Reset);
        self.end(id, Err(ExchangeError::BadAnswer(reject)));
    }

    /// The peer answered on a stream of ours: closes it, which its deadline still watches.
    fn settle(&mut self, id: StreamId, answer: Result<(), ExchangeError>) {
        self.outbox.stream(id, StreamAction::Close);
        if let Some((peer, purpose)) = self.exchanges.settle(id) {
            self.complete(peer, purpose, answer);
        }
    }

    /// Gives up all joins, since the node leaves; returns the seeds that have not answered.
    pub(super) fn abandon_joins(&mut self) -> Vec<SocketAddr> {
        for ticket in self.tickets.abandon_joins() {
            self.completed(ticket, Err(Failure::Left));
        }
        let joining = self.exchanges.joining();
        for &(id, _) in &joining {
            self.outbox.stream(id, StreamAction::Reset);
            self.exchanges.remove(id);
            self.timers.clear(Slot::Stream(id));
        }
        joining.into_iter().map(|(_, seed)| seed).collect()
    }

    /// A stream is gone; if its purpose was not settled before, it is by this.
    fn end(&mut self, id: StreamId, answer: Result<(), ExchangeError>) {
        if let Some((peer, purpose)) = self.exchanges.settle(id) {
            self.complete(peer, purpose, answer);
        }
        self.exchanges.remove(id);
        self.timers.clear(Slot::Stream(id));
    }

    /// Ends what a stream was for.
    fn complete(&mut self, peer: SocketAddr, purpose: Purpose, answer: Result<(), ExchangeError>) {
        match (purpose, answer) {
            (Purpose::Serve | Purpose::Sync, _) => {}
            (Purpose::Join(ticket), Ok(())) => {
                if self.tickets.joined(ticket) {
                    let members = self.members.present();
                    self.completed(ticket, Ok(Done::Joined { seed: peer, members }));
                }
            }
            (Purpose::Join(ticket), Err(error)) => {
                let failure = SeedFailure { seed: peer, error };
                if let Some(failure) = self.tickets.seed_failed(ticket, failure) {
                    self.completed(ticket, Err(failure));
                }
            }
            (Purpose::Leave(ticket), answer) => self.leave_heard(ticket, answer.is_ok()),
        }
    }

    /// A member confirmed that we leave, or will not.
    pub(super) fn leave_heard(&mut self, ticket: Ticket, confirmed: bool) {
        if let Some((tickets, result)) = self.tickets.leave_heard(ticket, confirmed) {
            for ticket in tickets {
                self.completed(ticket, result.clone());
            }
        }
    }

    pub(super) fn completed(&mut self, ticket: Ticket, result: Result<Done, Failure>) {
        self.outbox.event(Event::Completed { ticket, result });
    }
}

//! Traffic: carries what nodes send to where it goes, and gives them what arrives.

use super::host::{Input, Loop, Mood};
use super::queue::What;
use super::streams::{End, Piece};
use super::{World, number};
use crate::seen::{Kind, Seen};
use std::net::SocketAddr;
use std::time::Duration;
use tidings::{Done, Event, Instant, Output, StreamAction, StreamError, StreamId};

impl World {
    pub(super) fn happen(&mut self, at: Instant, what: What) {
        match what {
            What::Datagram { from, from_addr, to, data } => self.arrive(from, from_addr, to, data),
            What::Connect { stream, to } => self.connect(stream, to),
            What::Piece { stream, side, local, piece } => {
                self.arrive_on_stream(stream, side, local, piece);
            }
            What::Ready { host } => self.next_input(host, at),
            What::Step(step) => self.due.push(step),
            What::Timer { host } => self.timer(host, at),
        }
    }

    // ---- to nodes ----

    fn arrive(&mut self, from: usize, from_addr: SocketAddr, to: SocketAddr, data: Vec<u8>) {
        let there = self.listening.get(&to).copied();
        let there = there.filter(|&there| self.hosts[there].addr == to);
        match there.filter(|&there| self.hosts[there].is_up()) {
            None => self.tally.datagrams_to_nobody += 1,
            Some(there) if self.links.is_cut(from, there, false) => self.tally.datagrams_cut += 1,
            Some(there) => {
                let traffic = &mut self.hosts[there].traffic;
                traffic.datagrams_in += 1;
                traffic.bytes_in += data.len() as u64;
                return self.hand(there, Input::Datagram { from: from_addr, data });
            }
        }
        self.spare.push(data);
    }

    fn connect(&mut self, stream: u64, to: SocketAddr) {
        let Some(from) = self.streams.get(stream).and_then(|stream| stream.ends[0]) else { return };
        let there = self.listening.get(&to).copied();
        let Some(there) = there.filter(|&there| self.hosts[there].addr == to) else { return };
        if self.links.is_cut(from.host, there, true) {
            self.tally.streams_cut += 1;
            return;
        }
        match self.hosts[there].mood {
            Mood::Off => {}
            Mood::Crashed => self.send_piece(stream, 0, Piece::Failed(StreamError::Refused)),
            _ => self.hand(there, Input::Connect { stream }),
        }
    }

    fn arrive_on_stream(&mut self, stream: u64, side: usize, local: bool, piece: Piece) {
        let Some(known) = self.streams.get_mut(stream) else { return };
        let Some(end) = known.ends[side] else { return };
        if known.stalled && !local {
            return;
        }
        let sender = known.ends[1 - side].map(|end| end.host);
        if !local && sender.is_some_and(|from| self.links.is_cut(from, end.host, true)) {
            // What a retransmission would bring is not modelled: the rest is silence.
            self.tally.streams_cut += 1;
            if let Some(known) = self.streams.get_mut(stream) {
                known.stalled = true;
            }
            return;
        }
        let host = &mut self.hosts[end.host];
        if host.is_up() && host.life == end.life {
            if let Piece::Data(bytes) = &piece {
                host.traffic.bytes_in += bytes.len() as u64;
            }
            self.hand(end.host, Input::Piece { stream, side, piece });
        }
    }

    /// Gives a node an input, when it has worked through what came before.
    pub(super) fn hand(&mut self, to: usize, input: Input) {
        let host = &mut self.hosts[to];
        let idle = host.mood == Mood::Up && host.inbox.is_empty() && host.busy_until <= self.now;
        if idle && host.cpu.is_zero() {
            return self.feed(to, input);
        }
        host.wait(input, self.settings.socket_buffer);
        self.attend(to);
    }

    /// Has a node get to what waits for it, as soon as it can.
    pub(super) fn attend(&mut self, here: usize) {
        let host = &mut self.hosts[here];
        if host.mood == Mood::Up && host.attends.is_none() && !host.inbox.is_empty() {
            let at = host.busy_until.max(self.now);
            host.attends = Some(at);
            self.queue.push(at, What::Ready { host: here });
        }
    }

    /// A node gets to the first input that waits for it; over what waited while it did not read it is
    /// as long as over anything, but at least for `DRAIN`.
    fn next_input(&mut self, here: usize, at: Instant) {
        let host = &mut self.hosts[here];
        if host.attends != Some(at) || host.mood != Mood::Up {
            return;
        }
        host.attends = None;
        let Some(input) = host.inbox.pop_front() else { return };
        let least = if host.backlog > 0 { DRAIN } else { DRAIN_STEP };
        host.backlog = host.backlog.saturating_sub(1);
        host.busy_until = self.now + host.cpu.max(least);
        self.feed(here, input);
        self.attend(here);
    }

    fn timer(&mut self, here: usize, at: Instant) {
        let host = &mut self.hosts[here];
        if host.armed != Some(at) || !host.is_up() {
            return;
        }
        host.armed = None;
        let busy = host.busy_until > self.now || !host.inbox.is_empty();
        match host.mood {
            Mood::Paused => {}
            Mood::Stalled if host.blocks && host.held.datagrams.contains_key(&Loop::Probe) => {}
            Mood::Up if busy => {
                if !host.inbox.iter().any(|input| matches!(input, Input::Timeout)) {
                    host.inbox.push_back(Input::Timeout);
                }
                self.attend(here);
            }
            _ => self.feed(here, Input::Timeout),
        }
    }

    pub(super) fn feed(&mut self, here: usize, input: Input) {
        let now = self.hosts[here].clock.local(self.now);
        let tracing = self.settings.trace;
        self.tally.inputs += 1;
        let mut acting = Loop::Other;
        match input {
            Input::Datagram { from, data } => {
                if tracing {
                    self.trace.note(self.now, here, 1, &data);
                }
                self.hosts[here].node_mut().handle_datagram(now, from, &data);
                if self.spare.len() < MAX_SPARE {
                    self.spare.push(data);
                }
            }
            Input::Timeout => {
                if tracing {
                    self.trace.note(self.now, here, 2, &[]);
                }
                if self.mischief.forgets_time(self.tally.stalls) {
                    return;
                }
                acting = self.hosts[here].next_loop();
                let node = self.hosts[here].node_mut();
                let rounds = node.stats().probes;
                node.handle_timeout(now);
                self.watch.round_began = self.settings.probes && node.stats().probes > rounds;
            }
            Input::Connect { stream } => self.accept(here, now, stream),
            Input::Piece { stream, side, piece } => {
                let end = self.streams.get(stream).and_then(|stream| stream.ends[side]);
                let Some(end) = end.filter(|end| end.host == here) else { return };
                if tracing {
                    let data = if let Piece::Data(data) = &piece { &data[..] } else { &[] };
                    self.trace.note(self.now, here, 3, data);
                }
                if piece.is_last() {
                    self.hosts[here].streams.remove(&end.id);
                    self.streams.leave(stream, side);
                }
                self.hosts[here].node_mut().handle_stream(now, end.id, piece.input());
            }
        }
        self.drain(here, acting);
    }

    fn accept(&mut self, here: usize, now: Instant, stream: u64) {
        let Some(from) = self.streams.get(stream).and_then(|stream| stream.ends[0]) else { return };
        let peer = self.hosts[from.host].addr;
        match self.hosts[here].node_mut().accept_stream(now, peer) {
            Some(id) => {
                let host = &mut self.hosts[here];
                host.streams.insert(id, (stream, 1));
                let end = End { host: here, life: host.life, id };
                if let Some(stream) = self.streams.get_mut(stream) {
                    stream.ends[1] = Some(end);
                }
                self.send_piece(stream, 0, Piece::Opened);
            }
            None => self.send_piece(stream, 0, Piece::Failed(StreamError::Reset)),
        }
    }

    // ---- from nodes ----

    /// Carries out all that a node wants done, and sets its timer.
    pub(super) fn drain(&mut self, here: usize, acting: Loop) {
        let mut buf = std::mem::take(&mut self.buf);
        let mut outputs = 0;
        while let Some(output) = self.hosts[here].node_mut().poll_output(&mut buf) {
            outputs += 1;
            match output {
                Output::Datagram { to, data } => self.send(here, acting, to, data),
                Output::Stream { id, action } => {
                    if self.hosts[here].mood == Mood::Stalled {
                        self.hosts[here].held.actions.push((id, action));
                    } else {
                        self.act(here, id, action);
                    }
                }
                Output::Event(event) => self.event(here, &event),
            }
        }
        self.buf = buf;
        self.note(here);
        if let Some(checks) = &mut self.checks {
            let host = &self.hosts[here];
            let node = host.node.as_ref().expect("it has just given output");
            checks.drained(self.now, here, node, outputs, host.streams.len());
        }
        self.arm(here);
    }

    /// Sets a node's timer.
    pub(super) fn arm(&mut self, here: usize) {
        let host = &mut self.hosts[here];
        let due = host.node.as_ref().and_then(tidings::Node::poll_timeout);
        let Some(due) = due.filter(|_| matches!(host.mood, Mood::Up | Mood::Stalled)) else {
            return;
        };
        let mut at = host.clock.when(due).max(self.now);
        if !self.settings.timer_slack.is_zero() && host.armed.is_none_or(|armed| armed < at) {
            at += self.dice.within(self.settings.timer_slack);
        }
        if host.armed != Some(at) {
            host.armed = Some(at);
            self.queue.push(at, What::Timer { host: here });
        }
    }

    fn send(&mut self, here: usize, acting: Loop, to: SocketAddr, data: &[u8]) {
        self.watch_probe(here, to);
        if let Some(checks) = &mut self.checks {
            checks.datagram(self.now, here, data.len());
        }
        if self.hosts[here].mood == Mood::Stalled {
            let held = &mut self.hosts[here].held.datagrams;
            let slot = held.entry(acting).or_default();
            if slot.len() >= MAX_HELD {
                slot.clear();
            }
            slot.push((to, data.to_vec()));
            return;
        }
        self.transmit(here, to, data);
    }

    /// Sends what a node could not send while it was stalled.
    pub(super) fn send_held(&mut self, here: usize) {
        let held = std::mem::take(&mut self.hosts[here].held);
        for (to, data) in held.datagrams.into_values().flatten() {
            self.transmit(here, to, &data);
        }
        for (id, action) in held.actions {
            self.act(here, id, action);
        }
    }

    fn transmit(&mut self, here: usize, to: SocketAddr, data: &[u8]) {
        if self.settings.trace {
            self.trace.note(self.now, here, 4, data);
        }
        self.tally.datagrams += 1;
        self.tally.datagram_bytes += data.len() as u64;
        self.watch_datagram(here, data);
        let there = self.listening.get(&to).copied().unwrap_or(here);
        let link = self.links.link(here, there);
        if data.len() > link.max_datagram {
            self.tally.datagrams_too_long += 1;
            return;
        }
        let bursts = link.bursts.clone();
        let (loss, duplicate) = (link.loss, link.duplicate);
        let lost = self.dice.chance(loss)
            || bursts.is_some_and(|bursts| self.is_lost_in_burst(here, there, &bursts));
        if lost {
            self.tally.datagrams_lost += 1;
            return;
        }
        let copies = if self.dice.chance(duplicate) { 2 } else { 1 };
        self.tally.datagrams_duplicated += copies - 1;
        for _ in 0..copies {
            let link = self.links.link(here, there);
            let mut due = self.now + link.travel(&mut self.dice);
            if self.dice.chance(link.reorder) {
                due += self.dice.within(link.reorder_by);
                self.tally.datagrams_reordered += 1;
            }
            let mut copy = self.spare.pop().unwrap_or_default();
            copy.clear();
            copy.extend_from_slice(data);
            let from_addr = self.hosts[here].addr;
            self.queue.push(due, What::Datagram { from: here, from_addr, to, data: copy });
        }
    }

    fn is_lost_in_burst(&mut self, from: usize, to: usize, bursts: &crate::link::Bursts) -> bool {
        let (bad, until) = self.bursts.entry((from, to)).or_insert((true, Instant::ZERO));
        while *until <= self.now {
            *bad = !*bad;
            let mean = if *bad { bursts.bad } else { bursts.good };
            *until += self.dice.exponential(mean) + Duration::from_nanos(1);
        }
        *bad && self.dice.chance(bursts.loss)
    }

    fn act(&mut self, here: usize, id: StreamId, action: StreamAction) {
        let life = self.hosts[here].life;
        if let StreamAction::Open { to, .. } = action {
            self.tally.streams += 1;
            let stream = self.streams.open(End { host: here, life, id });
            self.hosts[here].streams.insert(id, (stream, 0));
            let there = self.listening.get(&to).copied().unwrap_or(here);
            let link = self.links.link(here, there);
            let due = self.now + link.travel_by_stream(&mut self.dice, CONNECT_AGAIN);
            self.queue.push(due, What::Connect { stream, to });
            return;
        }
        let Some(&(stream, side)) = self.hosts[here].streams.get(&id) else { return };
        match action {
            StreamAction::Write(bytes) => {
                if self.settings.trace {
                    self.trace.note(self.now, here, 5, &bytes);
                }
                self.tally.stream_bytes += bytes.len() as u64;
                self.hosts[here].traffic.bytes_out += bytes.len() as u64;
                if let Some(checks) = &mut self.checks {
                    checks.write(self.now, here, bytes.len());
                }
                // A stream's bytes are cut anywhere on the way.
                let cut = if self.dice.chance(0.3) { self.dice.below(bytes.len()) } else { 0 };
                if cut > 0 {
                    self.send_piece(stream, 1 - side, Piece::Data(bytes.slice(..cut)));
                }
                self.send_piece(stream, 1 - side, Piece::Data(bytes.slice(cut..)));
            }
            StreamAction::Close => {
                self.send_piece(stream, 1 - side, Piece::Closed);
                if !self.mischief.never_closes() {
                    let piece = Piece::Closed;
                    self.queue.push(self.now, What::Piece { stream, side, local: true, piece });
                }
            }
            StreamAction::Reset => {
                self.send_piece(stream, 1 - side, Piece::Failed(StreamError::Reset));
                self.hosts[here].streams.remove(&id);
                self.streams.leave(stream, side);
            }
            StreamAction::Open { .. } => {}
        }
    }

    /// Sends something to one side of a stream, from the other.
    pub(super) fn send_piece(&mut self, stream: u64, side: usize, piece: Piece) {
        let Some(known) = self.streams.get(stream) else { return };
        let ends = known.ends.map(|end| end.map(|end| end.host));
        let Some(to) = ends[side] else { return };
        let link = self.links.link(ends[1 - side].unwrap_or(to), to);
        let (resets, stalls) = (link.stream_resets, link.stream_stalls);
        let due = self.now + link.travel_by_stream(&mut self.dice, SEND_AGAIN);
        let Some(known) = self.streams.get_mut(stream) else { return };
        if matches!(piece, Piece::Data(_)) {
            if self.dice.chance(stalls) {
                self.tally.streams_stalled += 1;
                known.stalled = true;
                return;
            }
            if self.dice.chance(resets) {
                self.tally.streams_reset += 1;
                for side in [0, 1] {
                    let (local, piece) = (true, Piece::Failed(StreamError::Reset));
                    self.queue.push(due, What::Piece { stream, side, local, piece });
                }
                return;
            }
        }
        let due = known.arrival(side, due);
        self.queue.push(due, What::Piece { stream, side, local: false, piece });
    }

    fn event(&mut self, here: usize, event: &Event) {
        let times = if self.mischief.tells_twice(event) { 2 } else { 1 };
        for _ in 0..times {
            if let Some(checks) = &mut self.checks {
                checks.event(self.now, here, event);
            }
        }
        if let Event::Completed { result: Ok(Done::Joined { .. }), .. } = event {
            self.hosts[here].company = Some(true);
        }
        let (kind, about) = Kind::of(event);
        self.tally.count(kind);
        let up = |id| number(id).is_some_and(|about| self.hosts[about].mood == Mood::Up);
        if kind == Kind::Failed && about.is_some_and(up) {
            self.tally.failed_while_up += 1;
        }
        if self.settings.trace {
            let about = about.map_or(0, |id| 1 + number(id).unwrap_or(0) as u32);
            self.trace.note(self.now, here, 16 + kind as u8, &about.to_le_bytes());
        }
        if self.settings.log {
            let about = about.and_then(number);
            self.log.push(Seen { at: self.now, by: here, kind, about });
        }
    }
}

/// How many buffers of datagrams are kept to be used again.
const MAX_SPARE: usize = 4096;
/// How many datagrams of one loop a node that is stalled has in its hands: a ping and what asks others.
const MAX_HELD: usize = 4;
/// After how long Linux asks for a connection again, and after how long at least it sends again what
/// was lost.
const CONNECT_AGAIN: Duration = Duration::from_secs(1);
const SEND_AGAIN: Duration = Duration::from_millis(200);
/// How long a node that goes on takes at least over each input that has waited for it.
const DRAIN: Duration = Duration::from_micros(15);
/// The least that one input takes of a node that is behind, so that order is kept.
const DRAIN_STEP: Duration = Duration::from_nanos(1);

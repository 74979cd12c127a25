//! Traffic: delivers datagrams, streams and timers to nodes, and processes their outputs.

use super::host::{HostState, Input, Loop};
use super::queue::SimEvent;
use super::streams::{End, StreamChunk};
use super::{World, number};
use crate::check::Outputs;
use crate::events::{EventKind, LoggedEvent};
use bytes::Bytes;
use std::net::SocketAddr;
use std::time::Duration;
use tidings::{Done, Event, Instant, Output, StreamAction, StreamError, StreamId};

impl World {
    pub(super) fn process_event(&mut self, at: Instant, event: SimEvent) {
        match event {
            SimEvent::Datagram { from, from_addr, to, data } => {
                self.deliver_datagram(from, from_addr, to, data)
            }
            SimEvent::Connect { stream, to } => self.connect(stream, to),
            SimEvent::Chunk { stream, side, local, chunk } => {
                self.deliver_chunk(stream, side, local, chunk);
            }
            SimEvent::Ready { host } => self.read_input(host, at),
            SimEvent::Step(step) => self.due_steps.push(step),
            SimEvent::Timer { host } => self.timer(host, at),
        }
    }

    // ---- to nodes ----

    fn deliver_datagram(
        &mut self,
        from: usize,
        from_addr: SocketAddr,
        to: SocketAddr,
        data: Vec<u8>,
    ) {
        let there = self.listening.get(&to).copied();
        let there = there.filter(|&there| self.hosts[there].addr == to);
        match there.filter(|&there| self.hosts[there].is_up()) {
            None => self.tally.datagrams_to_nobody += 1,
            Some(there) if self.links.is_cut(from, there, false) => self.tally.datagrams_cut += 1,
            Some(there) => {
                let traffic = &mut self.hosts[there].traffic;
                traffic.datagrams_in += 1;
                traffic.bytes_in += data.len() as u64;
                return self.deliver_input(there, Input::Datagram { from: from_addr, data });
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
            if self.links.is_rejected(from.host, there) {
                self.send_chunk(stream, 0, StreamChunk::Failed(StreamError::Refused));
            }
            return;
        }
        match self.hosts[there].state {
            HostState::Off => {}
            HostState::Taken => {
                let greeting = Bytes::from_static(b"SSH-2.0-OpenSSH_9.9\r\n");
                self.send_chunk(stream, 0, StreamChunk::Opened);
                self.send_chunk(stream, 0, StreamChunk::Data(greeting));
            }
            HostState::Crashed => {
                self.send_chunk(stream, 0, StreamChunk::Failed(StreamError::Refused))
            }
            _ => self.deliver_input(there, Input::Connect { stream }),
        }
    }

    fn deliver_chunk(&mut self, stream: u64, side: usize, local: bool, chunk: StreamChunk) {
        let Some(known) = self.streams.get_mut(stream) else { return };
        let Some(end) = known.ends[side] else { return };
        if known.stalled && !local {
            return;
        }
        let sender = known.ends[1 - side].map(|end| end.host);
        if !local && sender.is_some_and(|from| self.links.is_cut(from, end.host, true)) {
            // Later retransmissions are not modelled: the stream stays silent.
            self.tally.streams_cut += 1;
            if let Some(known) = self.streams.get_mut(stream) {
                known.stalled = true;
            }
            return;
        }
        let host = &mut self.hosts[end.host];
        if host.is_up() && host.starts == end.starts {
            if let StreamChunk::Data(bytes) = &chunk {
                host.traffic.bytes_in += bytes.len() as u64;
            }
            self.deliver_input(end.host, Input::Chunk { stream, side, chunk });
        }
    }

    /// Delivers an input to a node, at once or through its input buffer.
    pub(super) fn deliver_input(&mut self, to: usize, input: Input) {
        let host = &mut self.hosts[to];
        let idle =
            host.state == HostState::Up && host.inbox.is_empty() && host.busy_until <= self.now;
        if idle && host.cpu.is_zero() {
            return self.handle_input(to, input);
        }
        host.enqueue(input, self.settings.socket_buffer);
        self.schedule_read(to);
    }

    /// Schedules a node's next read from its input buffer, as soon as it is free.
    pub(super) fn schedule_read(&mut self, here: usize) {
        let host = &mut self.hosts[here];
        if host.state == HostState::Up && host.next_read.is_none() && !host.inbox.is_empty() {
            let at = host.busy_until.max(self.now);
            host.next_read = Some(at);
            self.queue.push(at, SimEvent::Ready { host: here });
        }
    }

    /// Reads the first buffered input. An input that was buffered while the node was stopped or
    /// blocked takes at least `DRAIN` of CPU time.
    fn read_input(&mut self, here: usize, at: Instant) {
        let host = &mut self.hosts[here];
        if host.next_read != Some(at) || host.state != HostState::Up {
            return;
        }
        host.next_read = None;
        let Some(input) = host.inbox.pop_front() else { return };
        let least = if host.backlog > 0 { DRAIN } else { DRAIN_STEP };
        host.backlog = host.backlog.saturating_sub(1);
        host.busy_until = self.now + host.cpu.max(least);
        self.handle_input(here, input);
        self.schedule_read(here);
    }

    fn timer(&mut self, here: usize, at: Instant) {
        let host = &mut self.hosts[here];
        if host.timer_at != Some(at) || !host.is_up() {
            return;
        }
        host.timer_at = None;
        let busy = host.busy_until > self.now || !host.inbox.is_empty();
        match host.state {
            HostState::Paused => {}
            HostState::Stalled
                if host.probe_loop_blocked
                    && host.blocked_sends.datagrams.contains_key(&Loop::Probe) => {}
            HostState::Up if busy => {
                if !host.inbox.iter().any(|input| matches!(input, Input::Timeout)) {
                    host.inbox.push_back(Input::Timeout);
                }
                self.schedule_read(here);
            }
            _ => self.handle_input(here, Input::Timeout),
        }
    }

    pub(super) fn handle_input(&mut self, here: usize, input: Input) {
        let now = self.hosts[here].clock.local(self.now);
        let tracing = self.settings.trace;
        self.tally.inputs += 1;
        let mut from_loop = Loop::Other;
        let mut datagram = None;
        match input {
            Input::Datagram { from, data } => {
                datagram = Some(data.len());
                if tracing {
                    self.trace.record(self.now, here, 1, &data);
                }
                self.hosts[here].node_mut().handle_datagram(now, from, &data);
                if self.spare.len() < MAX_SPARE {
                    self.spare.push(data);
                }
            }
            Input::Timeout => {
                if tracing {
                    self.trace.record(self.now, here, 2, &[]);
                }
                if self.bug.drops_timeouts(self.tally.stalls) {
                    return;
                }
                from_loop = self.hosts[here].next_loop();
                let node = self.hosts[here].node_mut();
                let rounds = node.stats().probes;
                node.handle_timeout(now);
                self.metrics.round_began = self.settings.probes && node.stats().probes > rounds;
            }
            Input::Connect { stream } => self.accept(here, now, stream),
            Input::Chunk { stream, side, chunk } => {
                let end = self.streams.get(stream).and_then(|stream| stream.ends[side]);
                let Some(end) = end.filter(|end| end.host == here) else { return };
                if tracing {
                    let data = if let StreamChunk::Data(data) = &chunk { &data[..] } else { &[] };
                    self.trace.record(self.now, here, 3, data);
                }
                if chunk.is_last() {
                    self.hosts[here].streams.remove(&end.id);
                    self.streams.detach(stream, side);
                }
                self.hosts[here].node_mut().handle_stream(now, end.id, chunk.input());
            }
        }
        self.drain(here, from_loop, datagram);
    }

    fn accept(&mut self, here: usize, now: Instant, stream: u64) {
        let Some(from) = self.streams.get(stream).and_then(|stream| stream.ends[0]) else { return };
        let peer = self.hosts[from.host].addr;
        match self.hosts[here].node_mut().accept_stream(now, peer) {
            Some(id) => {
                let host = &mut self.hosts[here];
                host.streams.insert(id, (stream, 1));
                let end = End { host: here, starts: host.starts, id };
                if let Some(stream) = self.streams.get_mut(stream) {
                    stream.ends[1] = Some(end);
                }
                self.send_chunk(stream, 0, StreamChunk::Opened);
            }
            None => self.send_chunk(stream, 0, StreamChunk::Failed(StreamError::Reset)),
        }
    }

    // ---- from nodes ----

    /// Processes all outputs of a node, and sets its timer. `datagram` is the length of the
    /// datagram that caused them, if one did.
    pub(super) fn drain(&mut self, here: usize, from_loop: Loop, datagram: Option<usize>) {
        let mut buf = std::mem::take(&mut self.buf);
        let mut outputs = Outputs::default();
        while let Some(output) = self.hosts[here].node_mut().poll_output(&mut buf) {
            outputs.count(&output);
            match output {
                Output::Datagram { to, data } => self.send(here, from_loop, to, data),
                Output::Stream { id, action } => {
                    if self.hosts[here].state == HostState::Stalled {
                        self.hosts[here].blocked_sends.actions.push((id, action));
                    } else {
                        self.apply_stream_action(here, id, action);
                    }
                }
                Output::Event(event) => self.event(here, &event),
            }
        }
        self.buf = buf;
        self.record_step(here);
        if let Some(checks) = &mut self.checks {
            let host = &self.hosts[here];
            let node = host.node.as_ref().expect("the node exists, because it gave output");
            if let Some(len) = datagram {
                checks.caused(self.now, here, len, outputs);
            }
            checks.drained(self.now, here, node, outputs, host.streams.len());
        }
        self.arm(here);
    }

    /// Sets a node's timer.
    pub(super) fn arm(&mut self, here: usize) {
        let host = &mut self.hosts[here];
        let due = host.node.as_ref().and_then(tidings::Node::poll_timeout);
        let Some(due) = due.filter(|_| matches!(host.state, HostState::Up | HostState::Stalled))
        else {
            return;
        };
        let mut at = host.clock.when(due).max(self.now);
        if !self.settings.timer_slack.is_zero()
            && host.timer_at.is_none_or(|timer_at| timer_at < at)
        {
            at += self.rng.uniform(self.settings.timer_slack);
        }
        if host.timer_at != Some(at) {
            host.timer_at = Some(at);
            self.queue.push(at, SimEvent::Timer { host: here });
        }
    }

    fn send(&mut self, here: usize, from_loop: Loop, to: SocketAddr, data: &[u8]) {
        self.record_probe(here, to);
        if let Some(checks) = &mut self.checks {
            checks.datagram(self.now, here, data.len());
        }
        if self.hosts[here].state == HostState::Stalled {
            let held = &mut self.hosts[here].blocked_sends.datagrams;
            let slot = held.entry(from_loop).or_default();
            if slot.len() >= MAX_BLOCKED_SENDS {
                slot.clear();
            }
            slot.push((to, data.to_vec()));
            return;
        }
        self.transmit(here, to, data);
    }

    /// Sends everything that was blocked while the node was stalled.
    pub(super) fn flush_blocked_sends(&mut self, here: usize) {
        let held = std::mem::take(&mut self.hosts[here].blocked_sends);
        for (to, data) in held.datagrams.into_values().flatten() {
            self.transmit(here, to, &data);
        }
        for (id, action) in held.actions {
            self.apply_stream_action(here, id, action);
        }
    }

    fn transmit(&mut self, here: usize, to: SocketAddr, data: &[u8]) {
        if self.settings.trace {
            self.trace.record(self.now, here, 4, data);
        }
        self.tally.datagrams += 1;
        self.tally.datagram_bytes += data.len() as u64;
        self.count_datagram(here, data);
        let there = self.listening.get(&to).copied().unwrap_or(here);
        let link = self.links.link(here, there);
        if data.len() > link.max_datagram {
            self.tally.datagrams_too_long += 1;
            return;
        }
        let bursts = link.bursts.clone();
        let (loss, duplicate) = (link.loss, link.duplicate);
        let lost = self.rng.chance(loss)
            || bursts.is_some_and(|bursts| self.is_lost_in_burst(here, there, &bursts));
        if lost {
            self.tally.datagrams_lost += 1;
            return;
        }
        let copies = if self.rng.chance(duplicate) { 2 } else { 1 };
        self.tally.datagrams_duplicated += copies - 1;
        for _ in 0..copies {
            let link = self.links.link(here, there);
            let mut due = self.now + link.sample_delay(&mut self.rng);
            if self.rng.chance(link.reorder) {
                due += self.rng.uniform(link.reorder_by);
                self.tally.datagrams_reordered += 1;
            }
            let mut copy = self.spare.pop().unwrap_or_default();
            copy.clear();
            copy.extend_from_slice(data);
            let from_addr = self.hosts[here].addr;
            self.queue.push(due, SimEvent::Datagram { from: here, from_addr, to, data: copy });
        }
    }

    fn is_lost_in_burst(&mut self, from: usize, to: usize, bursts: &crate::link::Bursts) -> bool {
        let (bad, until) = self.bursts.entry((from, to)).or_insert((true, Instant::ZERO));
        while *until <= self.now {
            *bad = !*bad;
            let mean = if *bad { bursts.bad } else { bursts.good };
            *until += self.rng.exponential(mean) + Duration::from_nanos(1);
        }
        *bad && self.rng.chance(bursts.loss)
    }

    fn apply_stream_action(&mut self, here: usize, id: StreamId, action: StreamAction) {
        let starts = self.hosts[here].starts;
        if let StreamAction::Open { to, .. } = action {
            self.tally.streams += 1;
            let stream = self.streams.open(End { host: here, starts, id });
            self.hosts[here].streams.insert(id, (stream, 0));
            let there = self.listening.get(&to).copied().unwrap_or(here);
            let link = self.links.link(here, there);
            let due = self.now + link.sample_stream_delay(&mut self.rng, CONNECT_RTO);
            self.queue.push(due, SimEvent::Connect { stream, to });
            return;
        }
        let Some(&(stream, side)) = self.hosts[here].streams.get(&id) else { return };
        match action {
            StreamAction::Write(bytes) => {
                if self.settings.trace {
                    self.trace.record(self.now, here, 5, &bytes);
                }
                self.tally.stream_bytes += bytes.len() as u64;
                self.hosts[here].traffic.bytes_out += bytes.len() as u64;
                if let Some(checks) = &mut self.checks {
                    checks.write(self.now, here, bytes.len());
                }
                // The network may split stream data anywhere.
                let cut = if self.rng.chance(0.3) { self.rng.below(bytes.len()) } else { 0 };
                if cut > 0 {
                    self.send_chunk(stream, 1 - side, StreamChunk::Data(bytes.slice(..cut)));
                }
                self.send_chunk(stream, 1 - side, StreamChunk::Data(bytes.slice(cut..)));
            }
            StreamAction::Close => {
                self.send_chunk(stream, 1 - side, StreamChunk::Closed);
                if !self.bug.leaks_streams() {
                    let chunk = StreamChunk::Closed;
                    self.queue.push(self.now, SimEvent::Chunk { stream, side, local: true, chunk });
                }
            }
            StreamAction::Reset => {
                self.send_chunk(stream, 1 - side, StreamChunk::Failed(StreamError::Reset));
                self.hosts[here].streams.remove(&id);
                self.streams.detach(stream, side);
            }
            StreamAction::Open { .. } => {}
        }
    }

    /// Sends a chunk to one side of a stream, from the other.
    pub(super) fn send_chunk(&mut self, stream: u64, side: usize, chunk: StreamChunk) {
        let Some(known) = self.streams.get(stream) else { return };
        let ends = known.ends.map(|end| end.map(|end| end.host));
        let Some(to) = ends[side] else { return };
        let link = self.links.link(ends[1 - side].unwrap_or(to), to);
        let (resets, stalls) = (link.stream_resets, link.stream_stalls);
        let due = self.now + link.sample_stream_delay(&mut self.rng, DATA_RTO);
        let Some(known) = self.streams.get_mut(stream) else { return };
        if matches!(chunk, StreamChunk::Data(_)) {
            if self.rng.chance(stalls) {
                self.tally.streams_stalled += 1;
                known.stalled = true;
                return;
            }
            if self.rng.chance(resets) {
                self.tally.streams_reset += 1;
                for side in [0, 1] {
                    let (local, chunk) = (true, StreamChunk::Failed(StreamError::Reset));
                    self.queue.push(due, SimEvent::Chunk { stream, side, local, chunk });
                }
                return;
            }
        }
        let due = known.arrival(side, due);
        self.queue.push(due, SimEvent::Chunk { stream, side, local: false, chunk });
    }

    fn event(&mut self, here: usize, event: &Event) {
        let times = if self.bug.completes_twice(event) { 2 } else { 1 };
        for _ in 0..times {
            if let Some(checks) = &mut self.checks {
                checks.event(self.now, here, event);
            }
        }
        if let Event::Completed { result: Ok(Done::Joined { .. }), .. } = event {
            self.hosts[here].join_succeeded = Some(true);
        }
        let (kind, subject) = EventKind::of(event);
        self.tally.count(kind);
        let up = |id| number(id).is_some_and(|subject| self.hosts[subject].state == HostState::Up);
        if kind == EventKind::Failed && subject.is_some_and(up) {
            self.tally.failed_while_up += 1;
        }
        if self.settings.trace {
            let subject = subject.map_or(0, |id| 1 + number(id).unwrap_or(0) as u32);
            self.trace.record(self.now, here, 16 + kind as u8, &subject.to_le_bytes());
        }
        if self.settings.log {
            let subject = subject.and_then(number);
            self.log.push(LoggedEvent { at: self.now, observer: here, kind, subject });
        }
    }
}

/// Maximum number of datagram buffers kept for reuse.
const MAX_SPARE: usize = 4096;
/// Maximum number of blocked datagrams of one loop: a ping and its indirect ping requests.
const MAX_BLOCKED_SENDS: usize = 4;
/// Linux's initial retransmission timeout for connection requests, and its minimum for data.
const CONNECT_RTO: Duration = Duration::from_secs(1);
const DATA_RTO: Duration = Duration::from_millis(200);
/// Minimum time that a resumed node takes for each buffered input.
const DRAIN: Duration = Duration::from_micros(15);
/// Minimum time that one buffered input takes, so that order is kept.
const DRAIN_STEP: Duration = Duration::from_nanos(1);

//! The work that one input causes: bounded by its length and that of the answer, at any size of the
//! table.

mod common;

use common::forge;
use common::single_node::{GENERATION, address, config, name};
use std::net::SocketAddr;
use std::time::{Duration, Instant as Clock};
use tidings::{Instant, Node, Options, Output, StreamAction, StreamId, StreamInput};

/// Frames of a sync that look for the most work: each asks for as many members as it can.
#[test]
fn a_frame_of_a_sync_causes_work_by_its_length_and_that_of_the_answer() {
    for members in [5_000, 100_000] {
        let mut node = Victim::new(members);
        let ask_all = part(MEMBERS_AND_ASK, 0, 0, &[END]);
        // The index is built, once.
        let stream = node.greet(&ask_all);
        node.frame(stream, COMPARE, &ask_all);
        for depth in [0, 1, 2, 3, 4] {
            let every = |kind: u8, rest: &[u8]| -> Vec<u8> {
                let ranges = 0..1_u64 << (4 * depth);
                ranges.flat_map(|start| part(kind, depth, start, rest)).collect()
            };
            let all_differ = [&[0xff; 2][..], &[7; 16 * 8]].concat();
            for (kind, rest) in [
                (MEMBERS_AND_ASK, &[END][..]),
                (DIGEST, &[7; 8]),
                (SPLIT, &[0; 2]),
                (SPLIT, &all_differ),
            ] {
                let mut parts = every(kind, rest);
                let len = parts.len() >> (4 * depth);
                parts.truncate(MAX_PARTS / len * len);
                node.check(&format!("{members} members, kind {kind}, depth {depth}"), |node| {
                    let stream = node.greet(&[]);
                    node.frame(stream, COMPARE, &parts)
                });
            }
        }
    }
}

/// Parts that name a member with metadata, again and again and not as it is: its record makes no
/// room for others in the answer.
#[test]
fn claims_in_a_frame_make_no_more_room_than_their_records_take() {
    for members in [5_000, 100_000] {
        let mut node = Victim::new(members);
        let meta = [7; 500];
        let large = forge::member(0, "large", STRANGER, GENERATION, &meta);
        // The index is built, once.
        let stream = node.greet(&part(MEMBERS, 0, 0, &[&large[..], &[END]].concat()));
        node.frame(stream, COMPARE, &part(DIGEST, 0, 0, &[7; 8]));
        let claim = forge::member(0, "large", STRANGER, GENERATION, b"");
        for depth in [0, 1, 2, 3] {
            for repeats in [1, 2, 20, 100] {
                let rest = [&claim.repeat(repeats)[..], &[END]].concat();
                let ranges = 0..(1_u64 << (4 * depth)).min(64);
                let parts: Vec<_> =
                    ranges.flat_map(|start| part(MEMBERS_AND_ASK, depth, start, &rest)).collect();
                let what = format!("{members} members, depth {depth}, {repeats} claims");
                node.check(&what, |node| {
                    let stream = node.greet(&[]);
                    node.frame(stream, COMPARE, &parts);
                });
            }
        }
    }
}

#[test]
fn overlapping_ranges_are_refused() {
    let mut node = Victim::new(100);
    let stream = node.greet(&[]);
    let twice = part(MEMBERS_AND_ASK, 0, 0, &[END]).repeat(2);
    node.frame(stream, COMPARE, &twice);
    assert_eq!(node.actions, [StreamAction::Reset]);
    assert_eq!(node.node.stats().rejected_streams.malformed, 1);
}

#[test]
fn a_new_stream_and_a_new_member_do_not_cost_a_look_at_all_members() {
    for members in [5_000, 100_000] {
        let mut node = Victim::new(members);
        let digest = part(DIGEST, 0, 0, &[7; 8]);
        let stream = node.greet(&digest);
        node.frame(stream, COMPARE, &digest);
        for n in 1..=10 {
            node.check(&format!("{members} members, stream {n}"), |node| {
                let alive = record(0, members + n);
                let parts = [&part(MEMBERS, 1, 0, &[&alive[..], &[END]].concat())[..], &digest];
                // The members come in a frame of their own.
                let stream = node.greet(parts[0]);
                node.frame(stream, COMPARE, parts[1])
            });
        }
    }
}

/// Many members at one address: all of their queued updates are skipped in an ack to it.
#[test]
fn a_ping_does_not_cost_a_look_at_all_queued_updates() {
    let mut node = Victim::new(5_000);
    let alive = |n| forge::alive(&name(n), STRANGER, GENERATION, 1, b"");
    let claims: Vec<_> = (1..=5_000).map(alive).collect();
    for some in claims.chunks(200) {
        node.datagram(&forge::plain_datagram(forge::CLUSTER, some));
    }
    let ping = forge::plain_datagram(forge::CLUSTER, &[forge::ping(7, "victim")]);
    node.check("a ping from an address of many members", |node| node.datagram(&ping));
}

/// Peers that ask for all members and do not read the answers.
#[cfg(debug_assertions)]
#[test]
fn an_answer_for_which_there_is_no_memory_is_not_looked_for() {
    let mut node = Victim::new(5_000);
    let ask_all = part(MEMBERS_AND_ASK, 0, 0, &[END]);
    // The beginnings of frames take all of it but a megabyte.
    let mut begun = forge::plain_frame(forge::CLUSTER, SYNC, &vec![0; 1 << 20]);
    begun.truncate(1 << 20);
    let accept = |node: &mut Victim, n: u32| {
        node.node.accept_stream(node.now, address(1_000_000 + n)).unwrap()
    };
    for n in 0..63 {
        let stream = accept(&mut node, n);
        node.node.handle_stream(node.now, stream, StreamInput::Data(&begun));
    }
    let mut rejected = 0;
    for n in 63..128 {
        let stream = accept(&mut node, n);
        let stranger = forge::member(0, "stranger", STRANGER, GENERATION, b"");
        let (before, visits) = (node.bytes, node.node.visits());
        node.frame(stream, SYNC, &[&stranger[..], &[0], &ask_all].concat());
        let (bytes, visits) = (node.bytes - before, node.node.visits() - visits);
        assert!(visits <= 4 * bytes + 1000, "stream {n}: {visits} looks, {bytes} bytes");
        rejected += u32::from(node.actions == [StreamAction::Reset]);
    }
    assert!(rejected > 0, "the memory was full");
}

/// In memberlist's format a node answers with its whole table.
#[cfg(all(feature = "memberlist", debug_assertions))]
#[test]
fn a_table_that_does_not_fit_into_the_memory_for_answers_is_not_looked_at() {
    use common::memberlist;
    let mut options = Options::lan();
    options.max_frame = 512 << 10;
    // The next request is answered as long as the answers before it were read.
    options.max_stream_memory = options.max_frame + 1024;
    let now = Instant::ZERO;
    let config = config("victim", address(0), options).to_builder();
    let config = config.wire(tidings::Wire::Memberlist(tidings::Memberlist::new()));
    let mut node = Node::new(config.build().unwrap(), [7; 32], now);
    for first in [1, 2_001, 4_001] {
        let record = |n| memberlist::record(0, 1, &name(n), &address(n).to_string(), &[]);
        let all: Vec<_> = (first..first + 2_000).map(record).collect();
        let stream = node.accept_stream(now, address(first)).unwrap();
        let all = memberlist::push_pull(false, &all, b"");
        node.handle_stream(now, stream, StreamInput::Data(&all));
        node.handle_stream(now, stream, StreamInput::Closed);
    }
    assert_eq!(node.present_count(), 6_001);
    let mut written = 0;
    for n in 1..=10 {
        let stream = node.accept_stream(now, address(n)).unwrap();
        let before = node.visits();
        let request = memberlist::push_pull(false, &[], b"");
        node.handle_stream(now, stream, StreamInput::Data(&request));
        let visits = node.visits() - before;
        let mut answered = 0;
        while let Some(output) = node.poll_output(&mut Vec::new()) {
            if let Output::Stream { action: StreamAction::Write(bytes), .. } = output {
                answered += bytes.len();
            }
        }
        written += answered;
        assert!(
            visits <= 4 * (request.len() + answered) + 1000,
            "{visits} looks, {answered} bytes"
        );
    }
    assert!(written > 0, "the first one is answered");
    assert!(node.stats().rejected_streams.oversized > 0, "and some later one is not");
}

/// A node with members of which half are present, and half are known gone by hearsay.
struct Victim {
    node: Node,
    now: Instant,
    /// The actions on the latest stream.
    actions: Vec<StreamAction>,
    bytes: usize,
}

impl Victim {
    fn new(members: u32) -> Self {
        let mut options = Options::lan();
        // So that one input brings all members, because each is followed by a check of all.
        options.max_frame = 16 << 20;
        options.max_stream_memory = 64 << 20;
        options.max_members = 200_000;
        let node = Node::new(config("victim", address(0), options), [7; 32], Instant::ZERO);
        let mut victim = Self { node, now: Instant::ZERO, actions: Vec::new(), bytes: 0 };
        let all: Vec<u8> = (1..=members).flat_map(|n| record(n as u8 % 2 * FAILED, n)).collect();
        victim.greet(&part(MEMBERS, 0, 0, &[&all[..], &[END]].concat()));
        let known = victim.node.all_members().count();
        assert!(known >= members as usize, "{known}");
        victim
    }

    /// Opens a stream, and begins a sync on it.
    fn greet(&mut self, parts: &[u8]) -> StreamId {
        self.now += Duration::from_millis(1);
        let stream = self.node.accept_stream(self.now, STRANGER.parse().unwrap()).unwrap();
        let stranger = forge::member(0, "stranger", STRANGER, GENERATION, b"");
        self.frame(stream, SYNC, &[&[0], &stranger[..], &[0], parts].concat());
        stream
    }

    /// Sends a frame on a stream, and handles the outputs.
    fn frame(&mut self, stream: StreamId, kind: u8, body: &[u8]) {
        let frame = forge::plain_frame(forge::CLUSTER, kind, body);
        self.node.handle_stream(self.now, stream, StreamInput::Data(&frame));
        self.bytes += frame.len();
        self.drain(Some(stream));
    }

    /// Hands over a datagram of a stranger, and handles the outputs.
    fn datagram(&mut self, data: &[u8]) {
        self.node.handle_datagram(self.now, STRANGER.parse().unwrap(), data);
        self.bytes += data.len();
        self.drain(None);
    }

    /// Handles the outputs, and keeps the actions on a stream.
    fn drain(&mut self, stream: Option<StreamId>) {
        self.actions.clear();
        let mut buf = Vec::new();
        while let Some(output) = self.node.poll_output(&mut buf) {
            if let Output::Stream { id, action } = output {
                if let StreamAction::Write(bytes) = &action {
                    self.bytes += bytes.len();
                }
                self.actions.extend((Some(id) == stream).then_some(action));
            }
        }
    }

    /// Asserts that inputs cause work by their length and that of the answers.
    fn check(&mut self, what: &str, inputs: impl FnOnce(&mut Self)) {
        self.bytes = 0;
        #[cfg(debug_assertions)]
        let visits = self.node.visits();
        let begun = Clock::now();
        inputs(self);
        let took = begun.elapsed();
        assert!(self.actions != [StreamAction::Reset], "{what}: it is an acceptable frame");
        #[cfg(debug_assertions)]
        {
            let visits = self.node.visits() - visits;
            eprintln!("{what}: {visits} looks, {} bytes, {took:?}", self.bytes);
            assert!(
                visits <= 4 * self.bytes + 1000,
                "{what}: {visits} looks, {} bytes",
                self.bytes
            );
        }
        #[cfg(not(debug_assertions))]
        eprintln!("{what}: {} bytes, {took:?}", self.bytes);
    }
}

/// The record of a member in this state.
fn record(state: u8, n: u32) -> Vec<u8> {
    let addr: SocketAddr = address(n);
    forge::member(state, &name(n), &addr.to_string(), GENERATION, b"")
}

/// A part of a frame about the range that begins with these nibbles.
fn part(kind: u8, depth: u8, nibbles: u64, rest: &[u8]) -> Vec<u8> {
    let start = if depth == 0 { 0 } else { nibbles << (64 - 4 * depth) };
    let prefix = &start.to_be_bytes()[..usize::from(depth.div_ceil(2))];
    [&[kind | (depth << 2)], prefix, rest].concat()
}

const FAILED: u8 = 2;
const STRANGER: &str = "192.0.2.1:999";
/// The longest frame of a sync that the tests send, in bytes.
const MAX_PARTS: usize = 128 << 10;

const SYNC: u8 = 0;
const COMPARE: u8 = 5;
const DIGEST: u8 = 0;
const SPLIT: u8 = 1;
const MEMBERS: u8 = 2;
const MEMBERS_AND_ASK: u8 = 3;
const END: u8 = 0xff;

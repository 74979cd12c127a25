//! Input that crashes, deceives or blocks memberlist's nodes, in their format: our node counts it
//! and goes on.

use crate::common::memberlist::{self as forge, Value};
use proptest::prelude::*;
use std::net::SocketAddr;
use std::time::Duration;
use tidings::{
    ClusterName, Config, Event, Instant, Memberlist, Node, NodeId, Options, Output, State,
    StreamAction, StreamId, StreamInput, Via, Wire,
};

const SECOND: Duration = Duration::from_secs(1);
const MEMBER: &str = "10.0.0.2:7946";
const OTHER: &str = "10.0.0.3:7946";
const STRANGER: &str = "192.0.2.1:999";

/// A node `n0` that knows `n1`, with all outputs that it gave.
struct Harness {
    node: Node,
    now: Instant,
    sent: Vec<(SocketAddr, Vec<u8>)>,
    actions: Vec<(StreamId, StreamAction)>,
    events: Vec<Event>,
}

impl Harness {
    fn new() -> Self {
        Self::with(&Options::local())
    }

    fn with(options: &Options) -> Self {
        let mut harness = Self {
            node: Node::new(config(0, options), [1; 32], Instant::ZERO),
            now: Instant::ZERO,
            sent: Vec::new(),
            actions: Vec::new(),
            events: Vec::new(),
        };
        // A member tells of n1 (the node's own address is one): the node asks n1 whether it is
        // there.
        harness.receive("10.0.0.1:7946", &forge::alive(1, "n1", MEMBER, b""));
        harness.run_for(Duration::from_millis(1));
        let asked = harness.sent.iter().find_map(|(_, data)| forge::ping_in(data));
        harness.receive(MEMBER, &forge::ack(asked.expect("it asks")));
        assert!(harness.node.is_validated(&"n1".parse().unwrap()));
        assert_eq!(harness.state("n1"), Some(State::Alive));
        harness.sent.clear();
        harness.events.clear();
        harness
    }

    /// Hands a datagram to the node.
    fn receive(&mut self, from: &str, datagram: &[u8]) {
        self.node.handle_datagram(self.now, at(from), datagram);
        self.drain();
    }

    /// The same; returns the destinations of the datagrams that the node sends at once.
    fn answers(&mut self, from: &str, datagram: &[u8]) -> Vec<SocketAddr> {
        let before = self.sent.len();
        self.receive(from, datagram);
        self.sent[before..].iter().map(|(to, _)| *to).collect()
    }

    /// Opens an inbound stream and feeds it in pieces; returns the node's actions on it.
    fn serve_stream(&mut self, bytes: &[u8], piece: usize) -> Vec<StreamAction> {
        let id = self.node.accept_stream(self.now, at(STRANGER)).expect("there is room");
        self.on_stream(id, bytes, piece)
    }

    /// Answers a join of the node with these bytes; returns its actions on that stream.
    fn answer_join(&mut self, bytes: &[u8], piece: usize) -> Vec<StreamAction> {
        self.node.join(self.now, &[at(OTHER)]).expect("it has not left");
        self.drain();
        let opened = self.actions.iter().rev();
        let mut opened = opened.filter(|(_, action)| matches!(action, StreamAction::Open { .. }));
        let id = opened.next().expect("it asks").0;
        self.node.handle_stream(self.now, id, StreamInput::Opened);
        self.drain();
        self.on_stream(id, bytes, piece)
    }

    /// Answers the node's next sync with these bytes.
    fn answer_sync(&mut self, bytes: &[u8]) {
        let opened = |(id, action): &(StreamId, StreamAction)| {
            matches!(action, StreamAction::Open { .. }).then_some(*id)
        };
        self.actions.clear();
        let id = loop {
            match self.actions.iter().find_map(opened) {
                Some(id) => break id,
                None => self.run_for(SECOND),
            }
        };
        self.node.handle_stream(self.now, id, StreamInput::Opened);
        self.drain();
        self.on_stream(id, bytes, bytes.len());
    }

    fn on_stream(&mut self, id: StreamId, bytes: &[u8], piece: usize) -> Vec<StreamAction> {
        let before = self.actions.len();
        for piece in bytes.chunks(piece) {
            self.node.handle_stream(self.now, id, StreamInput::Data(piece));
        }
        self.drain();
        let of_this = self.actions[before..].iter().filter(|(of, _)| *of == id);
        let done = of_this.map(|(_, action)| action.clone()).collect();
        self.node.handle_stream(self.now, id, StreamInput::Closed);
        self.drain();
        done
    }

    fn run_for(&mut self, duration: Duration) {
        let end = self.now + duration;
        while let Some(due) = self.node.poll_timeout().filter(|&due| due <= end) {
            self.now = self.now.max(due);
            self.node.handle_timeout(self.now);
            self.drain();
        }
        self.now = end;
    }

    fn drain(&mut self) {
        let mut buf = Vec::new();
        while let Some(output) = self.node.poll_output(&mut buf) {
            match output {
                Output::Datagram { to, data } => {
                    assert!(data.len() <= self.node.config().options().datagram_size);
                    self.sent.push((to, data.to_vec()));
                }
                Output::Stream { id, action } => self.actions.push((id, action)),
                Output::Event(event) => self.events.push(event),
            }
        }
    }

    fn state(&self, name: &str) -> Option<State> {
        self.node.member(&id(name)).map(|member| member.state())
    }

    fn incarnation(&self) -> u64 {
        self.node.local().incarnation().number
    }

    fn rejected(&self) -> u64 {
        self.node.stats().rejected_datagrams.total()
    }

    fn refused(&self) -> u64 {
        self.node.stats().members_refused
    }

    /// Asserts that the node answers a ping.
    #[track_caller]
    fn assert_responsive(&mut self) {
        let ping = forge::ping_from(77, "n0", &[192, 0, 2, 1], 999);
        assert_eq!(self.answers(STRANGER, &ping), [at(STRANGER)]);
        let (_, ack) = self.sent.last().expect("it was sent");
        // A checksum comes before it.
        assert_eq!(ack[5..], forge::ack(77), "{ack:02x?}");
    }
}

fn config(n: u8, options: &Options) -> Config {
    let addr = SocketAddr::from(([10, 0, 0, n + 1], 7946));
    let (cluster, id) = (ClusterName::new("test").unwrap(), id(&format!("n{n}")));
    let config = Config::builder(cluster, id, addr).options(options.clone());
    config.wire(Wire::Memberlist(Memberlist::new())).build().unwrap()
}

fn id(name: &str) -> NodeId {
    NodeId::new(name).unwrap()
}

fn at(addr: &str) -> SocketAddr {
    addr.parse().unwrap()
}

/// One of many ports of one host.
fn port(n: usize) -> String {
    format!("10.0.0.9:{}", 1 + n)
}

fn mapped(ip: [u8; 4]) -> [u8; 16] {
    std::net::Ipv4Addr::from(ip).to_ipv6_mapped().octets()
}

mod updates {
    use super::*;

    /// With 1 to 5 bytes they crash every node up to 0.6.0.
    #[test]
    fn version_vectors_that_are_too_short_are_refused_and_never_passed_on() {
        for len in 0..=5 {
            let mut harness = Harness::new();
            let vsn = &forge::VSN[..len];
            harness.receive(MEMBER, &forge::alive_with(1, b"x", &[10, 0, 0, 9], 7946, b"", vsn));
            assert_eq!((harness.state("x"), harness.refused()), (None, 1), "{len}");
            let records = [
                forge::record_with(0, 1, b"y", &[10, 0, 0, 8], 7946, b"", vsn),
                forge::record(0, 1, "z", "10.0.0.7:7946", b""),
            ];
            let done = harness.serve_stream(&forge::push_pull(true, &records, b""), 1000);
            assert!(matches!(done[..], [StreamAction::Write(_), StreamAction::Close]), "{done:?}");
            assert_eq!((harness.state("y"), harness.refused()), (None, 2), "{len}");
            assert_eq!(
                harness.state("z"),
                Some(State::Alive),
                "one bad record does not spoil the rest"
            );
            // The table's entry of a member stays, whatever comes under its name.
            harness.receive(MEMBER, &forge::alive_with(9, b"n1", &[10, 0, 0, 2], 7946, b"", vsn));
            assert_eq!(harness.node.member(&id("n1")).unwrap().incarnation().number, 1);
            harness.run_for(2 * SECOND);
            for (_, datagram) in &harness.sent {
                let cut = forge::field("Vsn", vsn);
                assert!(!datagram.windows(cut.len()).any(|window| window == cut), "{len}");
            }
            harness.assert_responsive();
        }
    }

    #[test]
    fn version_vectors_of_no_version_are_refused_and_longer_ones_are_accepted() {
        let mut harness = Harness::new();
        for (vsn, refused) in [
            (&[0, 5, 2, 0, 0, 0][..], true),
            (&[1, 0, 2, 0, 0, 0], true),
            (&[6, 5, 5, 0, 0, 0], true),
            (&[1, 5, 255, 255, 255, 255], false),
            (&[1, 5, 2, 0, 0, 0, 9, 9], false),
        ] {
            let (name, before) = (format!("x{}", harness.refused()), harness.refused());
            harness.receive(
                MEMBER,
                &forge::alive_with(1, name.as_bytes(), &[10, 0, 0, 9], 7946, b"", vsn),
            );
            assert_eq!(harness.refused() - before, u64::from(refused), "{vsn:?}");
        }
        harness.assert_responsive();
    }

    /// memberlist adds such a node as dead, and passes it on at every push/pull.
    #[test]
    fn an_incarnation_of_zero_leaves_no_trace() {
        let mut harness = Harness::new();
        harness.receive(MEMBER, &forge::alive(0, "x", "10.0.0.9:7946", b""));
        let record = forge::record(0, 0, "y", "10.0.0.8:7946", b"");
        harness.serve_stream(&forge::push_pull(true, &[record], b""), 1000);
        for accusation in [forge::suspect(0, "n1", "x"), forge::dead(0, "n1", "x")] {
            harness.receive(MEMBER, &accusation);
        }
        assert_eq!(harness.node.all_members().count(), 2);
        assert_eq!(harness.state("n1"), Some(State::Alive));
        assert_eq!(harness.node.stats().implausible_claims, 2);
        for accusation in [forge::suspect(0, "n0", "x"), forge::dead(0, "n0", "x")] {
            harness.receive(MEMBER, &accusation);
        }
        assert_eq!((harness.incarnation(), harness.node.stats().refutations), (1, 0));
        harness.assert_responsive();
    }

    /// memberlist announces zero after the last number, which no node accepts.
    #[test]
    fn accusations_near_the_last_incarnation_never_take_us_back() {
        let mut harness = Harness::new();
        let mut own = 1;
        for incarnation in
            [1, 2, 200, 70_000, 1 << 30, 1 << 31, u32::MAX - 2, u32::MAX - 1, u32::MAX]
        {
            for accuse in [forge::suspect, forge::dead] {
                harness.receive(MEMBER, &accuse(incarnation, "n0", "n1"));
                harness.receive(MEMBER, &forge::dead(incarnation, "n0", "n0"));
                harness.receive(
                    MEMBER,
                    &forge::alive(incarnation, "n0", "10.0.0.1:7946", b"not ours"),
                );
                assert!(harness.incarnation() >= own && harness.incarnation() <= u32::MAX.into());
                own = harness.incarnation();
            }
        }
        assert_eq!(harness.node.local().state(), State::Alive);
        assert_eq!(harness.node.local().meta().as_bytes(), b"");
        harness.assert_responsive();
    }

    #[test]
    fn an_incarnation_that_the_member_could_not_refute_is_dropped() {
        for accuse in [forge::suspect, forge::dead] {
            for incarnation in [1 << 31, u32::MAX - 1, u32::MAX] {
                let mut harness = Harness::new();
                harness.receive(MEMBER, &accuse(incarnation, "n1", "x"));
                assert_eq!(harness.state("n1"), Some(State::Alive), "{incarnation}");
                assert_eq!(harness.node.stats().implausible_claims, 1);
                harness.assert_responsive();
            }
        }
        let mut harness = Harness::new();
        harness.receive(MEMBER, &forge::alive(u32::MAX, "n1", MEMBER, b""));
        assert_eq!(harness.node.member(&id("n1")).unwrap().incarnation().number, 1);
    }

    #[test]
    fn addresses_to_which_nobody_can_send_are_refused() {
        let mut harness = Harness::new();
        let (far, unspecified, multicast) = ([10, 0, 0, 9], mapped([0; 4]), mapped([224, 0, 0, 1]));
        for (ip, port) in [
            (&[][..], 7946),
            (&[10], 7946),
            (&[10, 0, 0, 9, 1], 7946),
            (&[7; 15], 7946),
            (&[7; 17], 7946),
            (&[7; 300], 7946),
            (&far, 0),
            (&[0; 4], 7946),
            (&[0; 16], 7946),
            (&[255; 4], 7946),
            (&[224, 0, 0, 1], 7946),
            (&unspecified, 7946),
            (&multicast, 7946),
        ] {
            let before = harness.refused();
            harness.receive(MEMBER, &forge::alive_with(1, b"x", ip, port, b"", forge::VSN));
            let record = forge::record_with(0, 1, b"x", ip, port, b"", forge::VSN);
            harness.serve_stream(&forge::push_pull(true, &[record], b""), 1000);
            assert_eq!(harness.refused() - before, 2, "{ip:?} {port}");
        }
        // With a port out of range or in text, the message is malformed.
        let before = harness.rejected();
        for port in [Value::Number(65_536), Value::Bytes(b"7946"), Value::Raw(&[0xff])] {
            let fields = [
                ("Addr", Value::Bytes(&far[..])),
                ("Incarnation", Value::Number(1)),
                ("Node", Value::Bytes(b"x")),
                ("Port", port),
                ("Vsn", Value::Bytes(forge::VSN)),
            ];
            harness.receive(MEMBER, &forge::message(4, &fields));
        }
        assert_eq!(harness.rejected() - before, 3);
        assert_eq!(harness.node.all_members().count(), 2);
        harness.assert_responsive();
    }

    /// memberlist compares addresses byte for byte: one member's must never have two forms.
    #[test]
    fn an_address_is_passed_on_in_the_form_in_which_its_owner_says_it() {
        let mut harness = Harness::new();
        let (short, long) = ([10, 0, 0, 9], mapped([10, 0, 0, 8]));
        harness.receive(MEMBER, &forge::alive_with(1, b"short", &short, 7946, b"", forge::VSN));
        harness.receive(MEMBER, &forge::alive_with(1, b"long", &long, 7946, b"", forge::VSN));
        assert_eq!(harness.node.member(&id("long")).unwrap().addr(), at("10.0.0.8:7946"));
        let done = harness.serve_stream(&forge::push_pull(false, &[], b""), 1000);
        let [StreamAction::Write(reply), StreamAction::Close] = &done[..] else {
            panic!("{done:?}")
        };
        for addr in [forge::field("Addr", &short), forge::field("Addr", &long)] {
            assert!(reply.windows(addr.len()).any(|window| window == addr), "{addr:02x?}");
        }
        harness.assert_responsive();
    }

    #[test]
    fn names_that_are_no_names_are_refused_wherever_they_stand() {
        let long = [b'x'; 256];
        for name in [&b""[..], b"a\0b", b"a\nb", b"\x1b[2J", b"\xff\xfe", b"\xc0\x80", &long] {
            let mut harness = Harness::new();
            let accuse = |kind| {
                let fields = [
                    ("From", Value::Bytes(b"n1")),
                    ("Incarnation", Value::Number(1)),
                    ("Node", Value::Bytes(name)),
                ];
                forge::message(kind, &fields)
            };
            harness.receive(
                MEMBER,
                &forge::alive_with(1, name, &[10, 0, 0, 9], 7946, b"", forge::VSN),
            );
            harness.receive(MEMBER, &accuse(3));
            harness.receive(MEMBER, &accuse(5));
            let record = forge::record_with(0, 1, name, &[10, 0, 0, 9], 7946, b"", forge::VSN);
            harness.serve_stream(&forge::push_pull(true, &[record], b""), 1000);
            assert_eq!((harness.node.all_members().count(), harness.refused()), (2, 4), "{name:?}");
            harness.assert_responsive();
        }
    }

    #[test]
    fn an_accuser_without_a_name_accuses_once() {
        let mut harness = Harness::new();
        for from in ["", "a\nb", "\u{7f}"] {
            harness.receive(MEMBER, &forge::suspect(1, "n1", from));
            harness.receive(MEMBER, &forge::suspect(1, "n1", from));
        }
        assert_eq!(harness.state("n1"), Some(State::Suspect));
        assert_eq!(harness.node.stats().confirmations, 0);
        harness.assert_responsive();
    }

    #[test]
    fn a_member_over_the_metadata_limit_is_refused_and_one_at_the_limit_is_gossiped() {
        let mut harness = Harness::new();
        let max = harness.node.config().options().max_meta;
        harness.receive(MEMBER, &forge::alive(1, "much", "10.0.0.8:7946", &vec![7; max + 1]));
        let huge = forge::record(0, 1, "huge", "10.0.0.7:7946", &[7; 100_000]);
        harness.serve_stream(&forge::push_pull(true, &[huge], b""), 1000);
        assert_eq!((harness.node.all_members().count(), harness.refused()), (2, 2));
        let meta = vec![9; max];
        harness.receive(MEMBER, &forge::alive(1, "full", "10.0.0.9:7946", &meta));
        harness.run_for(SECOND);
        let gossiped =
            harness.sent.iter().filter(|(_, data)| data.windows(max).any(|window| window == meta));
        assert!(gossiped.count() > 0, "it fits a datagram");
        harness.assert_responsive();
    }

    /// An IPv4 address in 16 bytes, the longest numbers and all the metadata that is allowed.
    #[test]
    fn updates_with_the_longest_names_fit_the_smallest_datagrams() {
        let mut options = Options::local();
        (options.datagram_size, options.max_meta) = (700, 300);
        let mut harness = Harness::with(&options);
        let long = ["x".repeat(255), "y".repeat(255)];
        for name in &long {
            let ip = mapped([10, 255, 255, 255]);
            let incarnation = 1 << 30;
            let name = name.as_bytes();
            let alive = forge::alive_with(incarnation, name, &ip, 65_535, &[7; 300], forge::VSN);
            harness.receive(MEMBER, &alive);
        }
        let [one, two] = &long;
        harness.receive(MEMBER, &forge::suspect(1 << 30, one, two));
        harness.run_for(20 * SECOND);
        let gossiped = |what: &[u8]| {
            harness.sent.iter().any(|(_, data)| data.windows(what.len()).any(|w| w == what))
        };
        assert!(gossiped(&forge::suspect(1 << 30, one, two)), "with the accuser");
        assert!(gossiped(&forge::field("Node", two.as_bytes())));
        harness.assert_responsive();
    }

    #[test]
    fn a_full_table_refuses_and_counts() {
        let mut options = Options::local();
        options.max_members = 10;
        let mut harness = Harness::with(&options);
        let names: Vec<_> =
            (0..50).map(|n| (format!("x{n}"), format!("10.1.0.{n}:7946"))).collect();
        let alive: Vec<_> =
            names.iter().map(|(name, addr)| forge::alive(1, name, addr, b"")).collect();
        harness.receive(MEMBER, &forge::compound(&alive));
        assert_eq!((harness.node.all_members().count(), harness.refused()), (10, 42));
        let records: Vec<_> =
            names.iter().map(|(name, addr)| forge::record(0, 1, name, addr, b"")).collect();
        harness.serve_stream(&forge::push_pull(true, &records, b""), 1000);
        assert_eq!((harness.node.all_members().count(), harness.refused()), (10, 84));
        harness.assert_responsive();
    }
}

mod datagrams {
    use super::*;

    #[test]
    fn a_truncated_compound_delivers_its_whole_parts() {
        let parts: Vec<_> = (0..5u8).map(|n| forge::user(&[b'0' + n; 10])).collect();
        let whole = forge::compound(&parts);
        let head = whole.len() - parts.concat().len();
        for cut in 0..=whole.len() {
            let mut harness = Harness::new();
            let before = harness.rejected();
            harness.receive(MEMBER, &whole[..cut]);
            let complete = cut.saturating_sub(head) / parts[0].len();
            assert_eq!(harness.node.stats().messages_in, complete as u64, "{cut}");
            assert_eq!(harness.rejected() - before, u64::from(complete < 5), "{cut}");
            harness.assert_responsive();
        }
    }

    #[test]
    fn empty_and_unknown_parts_are_counted_and_the_rest_is_accepted() {
        let mut harness = Harness::new();
        let mut parts = vec![vec![]; 200];
        parts.extend((14..60).map(|kind| vec![kind, 0x80]));
        // Types that do not belong into a datagram, or into a compound.
        parts.extend([6, 10, 12, 13, 0xf4].map(|kind| vec![kind, 0, 0, 0, 0, 0]));
        parts.push(forge::user(b"hello"));
        harness.receive(MEMBER, &forge::compound(&parts));
        assert_eq!(harness.rejected(), parts.len() as u64 - 1);
        assert_eq!(harness.node.stats().messages_in, 1);
        for nothing in [&b""[..], &[7, 0], &forge::compress(&[7, 0])] {
            harness.receive(MEMBER, nothing);
        }
        harness.assert_responsive();
    }

    #[test]
    fn a_datagram_is_a_bounded_number_of_messages() {
        let parts = |count, part: &[u8]| forge::compound(&vec![part.to_vec(); count]);
        let none = parts(255, b"");
        for (many, messages) in [
            (parts(255, &forge::user(b"")), 255),
            (parts(2, &parts(200, &forge::user(b""))), 0),
            (parts(15, &parts(17, &forge::user(b""))), 255),
            (parts(16, &parts(16, &forge::user(b""))), 0),
            (parts(255, &none), 0),
            (parts(200, &forge::compress(&parts(255, &forge::user(b"")))), 0),
            (forge::compress(&parts(85, &parts(255, &forge::user(b"")))), 0),
            (forge::compress(&parts(255, &forge::compress(&parts(60, b"\x08")))), 0),
            (parts(128, &parts(2, &[1])), 0),
        ] {
            let mut harness = Harness::new();
            let before = harness.rejected();
            harness.receive(MEMBER, &many);
            harness.receive(MEMBER, &forge::crc(&many));
            assert_eq!(harness.node.stats().messages_in, 2 * messages);
            let rejected = harness.rejected() - before;
            assert_eq!(rejected, if messages == 0 { 2 } else { 0 }, "each as a whole");
            // A stream has one message, never a compound.
            harness.serve_stream(&many, 1000);
            harness.serve_stream(&forge::compress(&many), 1000);
            assert_eq!(harness.node.stats().messages_in, 2 * messages);
            harness.assert_responsive();
        }
    }

    #[test]
    fn a_push_pull_has_no_more_records_than_its_length_allows() {
        let mut harness = Harness::new();
        let refused = harness.refused();
        for count in [40_000, 1_000_000] {
            let empty = vec![vec![0x80]; count];
            let push_pull = forge::push_pull(true, &empty, b"");
            for message in [forge::compress(&push_pull), push_pull] {
                assert_eq!(harness.serve_stream(&message, 10_000), [StreamAction::Reset]);
            }
        }
        assert_eq!(harness.refused(), refused, "no record was looked at");
        harness.assert_responsive();
    }

    #[test]
    fn endless_nesting_is_refused() {
        let (mut compounds, mut compressions) = (forge::user(b"hi"), forge::user(b"hi"));
        for depth in 1..400 {
            let mut harness = Harness::new();
            compounds = forge::compound(&[compounds]);
            harness.receive(MEMBER, &compounds);
            if depth < 40 {
                compressions = forge::compress(&compressions);
                harness.receive(MEMBER, &compressions);
            }
            let decoded = harness.node.stats().messages_in;
            assert_eq!(decoded, if depth <= 8 { 2 } else { 0 }, "{depth}");
            harness.assert_responsive();
        }
        // Each level has two copies of the one below.
        let mut tree = forge::user(b"hi");
        for _ in 0..11 {
            tree = forge::compound(&[tree.clone(), tree]);
        }
        let mut harness = Harness::new();
        harness.receive(MEMBER, &tree);
        assert_eq!(harness.node.stats().messages_in, 0);
        harness.assert_responsive();
    }

    #[test]
    fn bombs_are_refused_before_they_go_off() {
        let mut harness = Harness::new();
        let bomb = forge::compress(&forge::user(&vec![0; 4 << 20]));
        assert!(bomb.len() < 9000, "{} bytes", bomb.len());
        harness.receive(STRANGER, &bomb);
        harness.receive(STRANGER, &forge::crc(&bomb));
        assert_eq!(harness.node.stats().rejected_datagrams.oversized, 2);
        harness.receive(STRANGER, &forge::compound(&[bomb.clone(), forge::user(b"hi")]));
        assert_eq!(harness.node.stats().rejected_datagrams.oversized + harness.rejected(), 5);
        assert_eq!(harness.node.stats().messages_in, 1);
        // A bomb within one that is just small enough.
        let inner = forge::compress(&forge::user(&vec![0; 60_000]));
        let parts = vec![inner; 250];
        harness.receive(STRANGER, &forge::compress(&forge::compound(&parts)));
        assert!(harness.node.stats().messages_in <= 2, "{}", harness.node.stats().messages_in);
        for broken in [&b""[..], b"\0", b"\0\x03", b"\xff\xff\xff", &[0; 500]] {
            let before = harness.rejected();
            harness.receive(STRANGER, &forge::compressed(broken));
            assert_eq!(harness.rejected() - before, 1, "{broken:?}");
        }
        harness.assert_responsive();
    }

    #[test]
    fn a_stream_that_expands_beyond_its_limit_is_dropped() {
        let mut harness = Harness::new();
        let bomb = forge::compress(&forge::reliable(&vec![0; 32 << 20]));
        for piece in [1000, bomb.len()] {
            let before = harness.node.stats().rejected_streams.oversized;
            assert_eq!(harness.serve_stream(&bomb, piece), [StreamAction::Reset]);
            assert_eq!(harness.node.stats().rejected_streams.oversized - before, 1);
        }
        assert_eq!(harness.answer_join(&bomb, 1000), [StreamAction::Reset]);
        harness.assert_responsive();
    }

    #[test]
    fn values_nested_without_end_or_longer_than_the_datagram_are_refused() {
        let mut harness = Harness::new();
        let deep = vec![0x91; 5000];
        let deeper = [0x81, 0xa1, b'x'].repeat(2000);
        for value in [
            &deep[..],
            &deeper,
            &[0xdd, 0xff, 0xff, 0xff, 0xff],
            &[0xdf, 0xff, 0xff, 0xff, 0xff],
            &[0xdb, 0xff, 0xff, 0xff, 0xff],
            &[0xc6, 0xff, 0xff, 0xff, 0xff],
            &[0xc9, 0xff, 0xff, 0xff, 0xff],
            &[0xc1],
        ] {
            for kind in [0, 1, 2, 3, 4, 5, 9, 11] {
                let before = harness.rejected();
                harness.receive(STRANGER, &forge::message(kind, &[("Unknown", Value::Raw(value))]));
                harness.receive(STRANGER, &forge::message(kind, &[("SeqNo", Value::Raw(value))]));
                assert_eq!(harness.rejected() - before, 2, "{kind} {:02x?}", &value[..1]);
            }
        }
        assert_eq!(harness.node.all_members().count(), 2);
        harness.assert_responsive();
    }

    #[test]
    fn a_checksum_that_does_not_fit_is_counted_wherever_a_bit_flips() {
        let mut harness = Harness::new();
        let good = forge::crc(&forge::user(b"hello"));
        for at in 1..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 1;
            harness.receive(MEMBER, &bad);
            assert_eq!(harness.node.stats().rejected_datagrams.checksum, at as u64);
        }
        for cut in 1..5 {
            harness.receive(MEMBER, &good[..cut]);
        }
        harness.receive(MEMBER, &forge::crc(&good));
        assert_eq!(
            (harness.node.stats().messages_in, harness.rejected()),
            (0, good.len() as u64 + 4)
        );
        harness.assert_responsive();
    }
}

mod replies {
    use super::*;

    #[test]
    fn acks_and_nacks_that_nobody_asked_for_are_counted() {
        let mut harness = Harness::new();
        for seq in [0, 1, 2, 77, u32::MAX] {
            for from in [MEMBER, STRANGER] {
                assert_eq!(harness.answers(from, &forge::ack(seq)), []);
                assert_eq!(harness.answers(from, &forge::nack(seq)), []);
            }
        }
        assert_eq!(harness.node.stats().stray_acks, 20);
        let number = forge::message(2, &[("SeqNo", Value::Number(1 << 32))]);
        harness.receive(MEMBER, &number);
        assert_eq!(harness.rejected(), 1);
        harness.assert_responsive();
    }

    #[test]
    fn a_ping_is_answered_only_to_its_host_or_to_a_member() {
        let mut harness = Harness::new();
        let (member, stranger) = (at(MEMBER), at(STRANGER));
        for (from, ip, port, to) in [
            // A victim's address, in either form: our node does not flood it.
            (STRANGER, &[198, 51, 100, 7][..], 53, stranger),
            (STRANGER, &mapped([198, 51, 100, 7]), 53, stranger),
            (MEMBER, &[198, 51, 100, 7], 53, member),
            // Another port of the same host, and a member.
            (STRANGER, &[192, 0, 2, 1], 4000, at("192.0.2.1:4000")),
            (STRANGER, &mapped([192, 0, 2, 1]), 4000, at("192.0.2.1:4000")),
            ("10.0.0.2:5555", &[10, 0, 0, 2], 7946, member),
            // Invalid addresses.
            (STRANGER, &[], 7946, stranger),
            (STRANGER, &[192, 0, 2], 7946, stranger),
            (STRANGER, &[192, 0, 2, 1], 0, stranger),
            (STRANGER, &[0; 4], 7946, stranger),
            (STRANGER, &[255; 4], 7946, stranger),
        ] {
            assert_eq!(
                harness.answers(from, &forge::ping_from(7, "n0", ip, port)),
                [to],
                "{ip:?} {port}"
            );
        }
        let any = forge::ping_from(7, "", &[192, 0, 2, 1], 999);
        assert_eq!(harness.answers(STRANGER, &any), [stranger], "for any node");
        assert_eq!(harness.answers(STRANGER, &forge::ping(7, "")), [], "an ack is longer");
        assert_eq!(harness.answers(STRANGER, &forge::ping(7, "n9")), []);
        assert_eq!(harness.node.stats().misdirected_pings, 1);
        harness.assert_responsive();
    }

    #[test]
    fn a_stranger_learns_nothing_from_the_answer_to_its_ping() {
        let mut harness = Harness::new();
        harness.receive(MEMBER, &forge::alive(1, "x", "10.0.0.9:7946", b"news"));
        let ping = forge::ping_from(7, "n0", &[192, 0, 2, 1], 4000);
        harness.answers(STRANGER, &ping);
        let (_, ack) = harness.sent.last().unwrap();
        assert_eq!(ack[5..], forge::ack(7));
        assert!(ack.len() <= ping.len());
    }

    #[test]
    fn a_datagram_is_answered_once_however_often_it_asks() {
        let floods = [
            (0..200).map(|seq| forge::ping(seq, "n0")).collect::<Vec<_>>(),
            (0..120).map(|seq| forge::indirect_ping(seq, "n1", MEMBER, true)).collect(),
            (0..120).map(|n| forge::suspect(1 + n, "n0", "n1")).collect(),
            (0..90).map(|n| forge::alive(1 + n, "n0", "10.0.0.1:7946", b"x")).collect(),
        ];
        for flood in floods {
            for from in [MEMBER, STRANGER] {
                let mut harness = Harness::new();
                let answers = harness.answers(from, &forge::compound(&flood));
                assert!(answers.len() <= 1, "{answers:?}");
                harness.assert_responsive();
            }
        }
    }

    #[test]
    fn nobody_is_pinged_for_a_stranger() {
        let mut harness = Harness::new();
        for target in ["n1", "n9", "n0"] {
            for nack in [true, false] {
                let ask = forge::indirect_ping(7, target, MEMBER, nack);
                assert_eq!(harness.answers(STRANGER, &ask), [], "{target}");
            }
        }
        assert_eq!(harness.node.stats().indirect_pings_refused, 6);
        // At a member's request the node pings members only, and never an address from the request.
        let answers =
            harness.answers(MEMBER, &forge::indirect_ping(7, "n1", "198.51.100.7:53", true));
        assert!(answers.iter().all(|&to| to == at(MEMBER)), "{answers:?}");
        harness.assert_responsive();
    }
}

mod streams {
    use super::*;

    /// memberlist answers a push/pull of a few bytes with its whole table, to whoever asks.
    #[test]
    fn tables_that_peers_do_not_read_count_against_the_memory_for_streams() {
        let mut options = Options::local();
        options.max_stream_memory = options.max_frame + 1024;
        let mut harness = Harness::with(&options);
        let names = (0..1000).map(|n| (format!("x{n}"), format!("10.1.{}.{}:1", n / 250, n % 250)));
        let records: Vec<_> =
            names.map(|(name, addr)| forge::record(0, 1, &name, &addr, b"")).collect();
        harness.serve_stream(&forge::push_pull(true, &records, b""), 1_000_000);
        let (mut unread, mut reset) = (0, 0);
        for n in 0..30 {
            let from = SocketAddr::from(([198, 18, 0, n], 999));
            let stream = harness.node.accept_stream(harness.now, from).expect("there is room");
            harness.actions.clear();
            let request = forge::push_pull(false, &[], b"");
            harness.node.handle_stream(harness.now, stream, StreamInput::Data(&request));
            harness.drain();
            match &harness.actions[..] {
                [(_, StreamAction::Write(answer)), (_, StreamAction::Close)] => {
                    unread += answer.len();
                }
                actions => reset += usize::from(*actions == [(stream, StreamAction::Reset)]),
            }
        }
        let most = options.max_stream_memory;
        assert!(unread <= most && unread > most / 2, "{unread} bytes, {reset} streams");
        assert!(reset > 0 && harness.node.stats().rejected_streams.oversized == reset as u64);
    }

    /// Who answers is at its address under one name, whatever others it gives.
    #[test]
    fn of_the_names_at_the_address_of_who_answers_a_sync_at_most_one_has_answered() {
        let mut options = Options::local();
        options.sync_interval = 5 * SECOND;
        options.probe_interval = 60 * SECOND;
        options.probe_timeout = SECOND;
        let mut harness = Harness::with(&options);
        let own = forge::record(0, 2, "n1", MEMBER, b"new");
        let dead = forge::record(2, 1, "dead", MEMBER, b"");
        harness.answer_sync(&forge::push_pull(false, &[own.clone(), dead], b""));
        assert_eq!(harness.node.member(&id("n1")).unwrap().meta().as_bytes(), b"new");
        let invented = (0..1000).map(|n| forge::record(0, 1, &format!("x{n}"), MEMBER, b""));
        let records: Vec<_> = core::iter::once(own).chain(invented).collect();
        harness.answer_sync(&forge::push_pull(false, &records, b""));
        let answered = |n| harness.node.is_validated(&id(&format!("x{n}")));
        assert!(harness.node.member(&id("x7")).is_some() && !(0..1000).any(answered));
        assert!(harness.node.is_validated(&id("n1")));
    }

    #[test]
    fn a_table_of_many_names_at_one_ip_costs_no_more_than_its_length() {
        let took = |count: usize| {
            let table = |n: usize| forge::record(0, 1, &format!("x{n}"), &port(n), b"");
            let records: Vec<_> = (0..count).map(table).collect();
            let message = forge::push_pull(false, &records, b"");
            let mut harness = Harness::new();
            let begun = std::time::Instant::now();
            harness.answer_join(&message, message.len());
            begun.elapsed()
        };
        let fastest = |count| (0..3).map(|_| took(count)).min().unwrap();
        let (few, many) = (fastest(1000), fastest(16_000));
        assert!(many < few * 64, "{few:?} for 1,000, {many:?} for 16,000");
    }

    #[test]
    fn a_length_beyond_the_stream_limit_is_dropped_at_its_header() {
        let huge = [1 << 21, 1 << 30, u64::from(u32::MAX), 1 << 32, 1 << 63, u64::MAX];
        let mut messages = Vec::new();
        for len in huge {
            messages.push(forge::push_pull_header(true, len, 0));
            messages.push(forge::push_pull_header(true, 0, len));
            messages.push(forge::push_pull_header(true, len, len));
            messages.push(forge::reliable_header(len));
        }
        // Negative lengths.
        for less in [&[0xff][..], &[0xd0, 0x80], &[0xd3, 0x80, 0, 0, 0, 0, 0, 0, 0]] {
            let less = Value::Raw(less);
            messages.push(forge::message(8, &[("UserMsgLen", less)]));
            messages
                .push(forge::message(6, &[("Nodes", less), ("UserStateLen", Value::Number(0))]));
            messages
                .push(forge::message(6, &[("Nodes", Value::Number(0)), ("UserStateLen", less)]));
        }
        // Encrypted frames that claim more than 20 MiB.
        messages.push(vec![10, 0x7f, 0xff, 0xff, 0xff]);
        messages.push(vec![10, 0xff, 0xff, 0xff, 0xff]);
        let mut harness = Harness::new();
        for message in &messages {
            for piece in [1, message.len()] {
                for message in [message.clone(), forge::compress(message)] {
                    let before = harness.node.stats().rejected_streams.total();
                    let done = harness.serve_stream(&message, piece);
                    assert_eq!(done, [StreamAction::Reset], "{message:02x?}");
                    assert_eq!(harness.node.stats().rejected_streams.total() - before, 1);
                    assert_eq!(harness.answer_join(&message, piece), [StreamAction::Reset]);
                }
            }
        }
        harness.assert_responsive();
    }

    #[test]
    fn messages_that_have_no_place_on_a_stream_are_dropped() {
        let mut harness = Harness::new();
        for kind in [1, 3, 4, 5, 7, 11, 12, 14, 99, 0xf4, 0xff] {
            let before = harness.node.stats().rejected_streams.total();
            let done = harness.serve_stream(&[kind, 0x80, 0, 0, 0], 1);
            assert_eq!(done, [StreamAction::Reset], "{kind}");
            assert_eq!(harness.node.stats().rejected_streams.total() - before, 1, "{kind}");
        }
        // An ack and an error without a request.
        for message in [forge::ack(1), forge::error("oh")] {
            assert_eq!(harness.serve_stream(&message, 1), [StreamAction::Reset]);
        }
        // Two messages on one stream: the second is not read.
        let two = [forge::reliable(b"one"), forge::reliable(b"two")].concat();
        harness.serve_stream(&two, 1000);
        assert_eq!(harness.node.stats().messages_in, 1);
        let nested = forge::compress(&forge::compress(&forge::reliable(b"three")));
        assert_eq!(harness.serve_stream(&nested, 1000), [StreamAction::Reset]);
        harness.assert_responsive();
    }

    #[test]
    fn a_ping_over_a_stream_is_answered_there_and_nowhere_else() {
        let mut harness = Harness::new();
        let before = harness.sent.len();
        let done = harness.serve_stream(&forge::ping_from(9, "n0", &[198, 51, 100, 7], 53), 1);
        let ack = StreamAction::Write(forge::ack(9).into());
        assert_eq!(done, [ack, StreamAction::Close]);
        assert_eq!(
            harness.serve_stream(&forge::ping(9, "n9"), 1),
            [StreamAction::Close],
            "it is for another"
        );
        assert_eq!(harness.sent.len(), before);
        harness.assert_responsive();
    }

    #[test]
    fn a_push_pull_with_members_of_every_kind_of_nonsense_brings_the_rest() {
        let mut harness = Harness::new();
        let ip = [10, 0, 0, 9];
        let records = [
            forge::record(0, 1, "good", "10.0.1.1:7946", b""),
            forge::record(4, 1, "state-4", "10.0.1.2:7946", b""),
            forge::record(0, u32::MAX, "last", "10.0.1.3:7946", b""),
            forge::record_with(0, 1, b"", &ip, 7946, b"", forge::VSN),
            forge::record_with(0, 1, b"portless", &ip, 0, b"", forge::VSN),
            forge::record_with(2, 1, b"dead-and-mute", &ip, 7946, b"", &[]),
            vec![0x80],
            forge::record(2, 1, "nobody", "10.0.1.5:7946", b""),
            forge::record(3, 7, "n1", MEMBER, b""),
            forge::record(0, 1, "good-too", "10.0.1.6:7946", b""),
        ];
        let message = forge::push_pull(true, &records, b"state");
        for piece in [1, 7, 1000] {
            harness.serve_stream(&message, piece);
        }
        for (name, state) in
            [("good", State::Alive), ("good-too", State::Alive), ("n1", State::Left)]
        {
            assert_eq!(harness.state(name), Some(state), "{name}");
        }
        assert_eq!(harness.node.members().count(), 3);
        let states = harness.events.iter().filter(|event| matches!(event, Event::SyncState { .. }));
        assert_eq!(states.count(), 3);
        harness.assert_responsive();
    }

    #[test]
    fn a_message_without_a_sender_is_delivered_without_one() {
        let mut harness = Harness::new();
        harness.receive(STRANGER, &forge::user(b""));
        harness.serve_stream(&forge::reliable(b"hi"), 1);
        let message = |event: &Event| match event {
            Event::Message { from, via, .. } => Some((from.clone(), *via)),
            _ => None,
        };
        let messages: Vec<_> = harness.events.iter().filter_map(message).collect();
        assert_eq!(messages, [(None, Via::Datagram), (None, Via::Reliable)]);
        harness.assert_responsive();
    }

    #[test]
    fn a_label_that_nobody_asked_for_is_not_ours() {
        let mut harness = Harness::new();
        for label in ["a", "other", &"x".repeat(255)] {
            harness.receive(MEMBER, &forge::labelled(label, &forge::ping(7, "n0")));
            let pull = forge::labelled(label, &forge::push_pull(true, &[], b""));
            assert_eq!(
                harness.serve_stream(&pull, 1),
                [StreamAction::Reset],
                "not even a complaint"
            );
        }
        assert_eq!(harness.node.stats().rejected_datagrams.foreign_cluster, 3);
        assert_eq!(harness.node.stats().rejected_streams.foreign_cluster, 3);
        for cut in [&[0xf4][..], &[0xf4, 0], &[0xf4, 9, b'a']] {
            harness.receive(MEMBER, cut);
        }
        assert_eq!(harness.rejected(), 6);
        harness.assert_responsive();
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn no_bytes_after_any_type_harm_a_node(
        body in prop::collection::vec(any::<u8>(), 0..200),
        piece in 1..50usize,
    ) {
        let mut harness = Harness::new();
        for kind in 0..16 {
            let message = [&[kind], &body[..]].concat();
            for datagram in [message.clone(), forge::crc(&message), forge::compress(&message)] {
                harness.receive(STRANGER, &datagram);
                harness.receive(MEMBER, &forge::compound(&[datagram, forge::user(b"hi")]));
            }
            harness.serve_stream(&message, piece);
            harness.serve_stream(&forge::compress(&message), piece);
            harness.answer_join(&message, piece);
        }
        harness.run_for(3 * SECOND);
        harness.assert_responsive();
    }
}

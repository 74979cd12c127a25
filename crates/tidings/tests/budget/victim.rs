//! The node that is attacked: prepared with members, and measured at each input.

use crate::common;
use crate::genome::SHARED;
use common::forge;
#[cfg(feature = "memberlist")]
use common::memberlist;
use common::single_node::{GENERATION, answer_join};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;
use tidings::{
    ClusterName, Config, Event, Instant, Member, Meta, Node, NodeId, Options, Output, StreamAction,
    StreamInput,
};
#[cfg(feature = "memberlist")]
use tidings::{Memberlist, Wire};

/// The wire format of the node.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Format {
    Tidings,
    #[cfg(feature = "memberlist")]
    Memberlist,
}

impl Format {
    pub(crate) const ALL: &[Self] = &[
        Self::Tidings,
        #[cfg(feature = "memberlist")]
        Self::Memberlist,
    ];
}

/// One input, as bytes; `expanded` is their number before compression.
#[derive(Clone, Debug)]
pub(crate) enum Input {
    Datagram {
        from: SocketAddr,
        data: Vec<u8>,
        expanded: usize,
    },
    /// Frames on a stream of their own, in pieces of this length.
    Stream {
        from: SocketAddr,
        frames: Vec<Vec<u8>>,
        piece: usize,
        expanded: usize,
    },
}

/// What the node has learned before the search.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Table {
    /// Members with an address each.
    Honest,
    /// Three quarters of the members have the address from which the attacker sends, and were
    /// claimed first.
    Claimed,
}

/// A node with so many members in its table.
pub(crate) struct Victim {
    pub(crate) node: Node,
    pub(crate) format: Format,
    pub(crate) members: u32,
    /// Number of the first member with an address of its own.
    first: u32,
    now: Instant,
    /// Number of the next name that nobody had.
    next: u32,
    /// State of the random choice of members.
    picks: u32,
    /// The name in the latest message.
    pub(crate) last: String,
    /// The tokens of the latest pings that the node sent.
    tokens: Vec<u32>,
    buf: Vec<u8>,
}

impl Victim {
    pub(crate) fn new(format: Format, members: u32, table: Table) -> Self {
        // The defaults, because the bounds are about them.
        let options = Options::lan();
        let cluster = ClusterName::new(forge::CLUSTER).unwrap();
        let config = Config::builder(cluster, NodeId::new(own_name()).unwrap(), address(0));
        // As long as it may be, because the node's own claim is an answer too.
        let meta = Meta::from(vec![b'm'; options.max_meta]);
        let config = config.options(options).generation(GENERATION).meta(meta);
        let config = match format {
            Format::Tidings => config,
            #[cfg(feature = "memberlist")]
            Format::Memberlist => config.wire(Wire::Memberlist(Memberlist::new())),
        };
        let node = Node::new(config.build().unwrap(), [7; 32], Instant::ZERO);
        let mut victim = Self {
            node,
            format,
            members,
            first: if table == Table::Claimed { members * 3 / 4 } else { 1 },
            now: Instant::ZERO,
            next: members,
            picks: 0,
            last: own_name().into(),
            tokens: Vec::new(),
            buf: Vec::new(),
        };
        victim.learn_all();
        victim
    }

    /// Joins seeds that know the members with addresses of their own, and were told of the others;
    /// in memberlist's format a stranger tells of these. Every eighth failed.
    fn learn_all(&mut self) {
        let all: Vec<u32> = (1..self.members).collect();
        let (shared, own) = all.split_at(self.first as usize - 1);
        for some in shared.chunks(8000).chain(own.chunks(8000)) {
            let told = some[0] < self.first;
            let records: Vec<_> = some.iter().map(|&n| self.record(n)).collect();
            let frame = match self.format {
                Format::Tidings => forge::join_answer(&records),
                #[cfg(feature = "memberlist")]
                Format::Memberlist => memberlist::push_pull(false, &records, b""),
            };
            if told && self.format != Format::Tidings {
                let from = self.stranger();
                let (frames, piece) = (vec![frame], usize::MAX);
                self.apply(&Input::Stream { from, frames, piece, expanded: 0 });
            } else {
                answer_join(&mut self.node, self.now, &frame);
            }
        }
        if self.format == Format::Tidings {
            // The index for syncs is built, which takes a look at all members once.
            let digest = [&[0, 0x20, 1, b'x', 0, 0][..], &[7; 8]].concat();
            let frames = vec![forge::plain_frame(forge::CLUSTER, 0, &digest)];
            let from = self.stranger();
            self.apply(&Input::Stream { from, frames, piece: usize::MAX, expanded: 0 });
        }
        let known = self.node.all_members().count();
        assert!(known >= self.members as usize, "{known} of {}", self.members);
        let validated = |member: &&Member| self.node.is_validated(member.id());
        let validated = self.node.members().filter(validated).count();
        assert!(validated >= own.len() / 2, "{validated} of {}", own.len());
    }

    fn record(&self, n: u32) -> Vec<u8> {
        let state = if n % 8 == 0 { 2 } else { 0 };
        let at = if n < self.first { SHARED } else { address(n) }.to_string();
        match self.format {
            Format::Tidings => {
                let state = state | if n < self.first { forge::TOLD } else { 0 };
                forge::member(state, &short_name(n), &at, GENERATION, b"")
            }
            #[cfg(feature = "memberlist")]
            Format::Memberlist => memberlist::record(state, 1, &short_name(n), &at, b""),
        }
    }

    /// The tag with which the member at an address pings; that of nobody for other addresses.
    pub(crate) fn tag_of(&self, addr: SocketAddr) -> u32 {
        let SocketAddr::V4(v4) = addr else { return 1 };
        let [a, b, c, d] = v4.ip().octets();
        let n = u32::from_be_bytes([a.wrapping_sub(10), b, c, d]);
        forge::sender_tag(short_name(n).as_bytes(), GENERATION)
    }

    /// Whether so much has changed that the node has to be made anew.
    pub(crate) fn is_worn(&self) -> bool {
        let present = self.node.present_count();
        let known = self.node.all_members().count();
        let members = self.members as usize;
        known > members + members / 8 + 4 || present < members / 2
    }

    // ---- for the making of inputs ----

    /// A number that was not used for a name.
    pub(crate) fn fresh(&mut self) -> u32 {
        self.next += 1;
        self.next
    }

    /// An address that no member has.
    pub(crate) fn stranger(&mut self) -> SocketAddr {
        let [_, a, b, c] = self.fresh().to_be_bytes();
        SocketAddr::from(([172, a, b, c], 999))
    }

    /// The name and address of a member picked at random, of those with an address of their own.
    pub(crate) fn some_member(&mut self) -> (String, SocketAddr) {
        self.picks = self.picks.wrapping_add(1);
        let own = self.members - self.first;
        let n = self.first + common::single_node::spread(self.picks) % own;
        (short_name(n), address(n))
    }

    /// The incarnation and address of a member, if it is known.
    pub(crate) fn known(&self, name: &str) -> Option<((u64, u64), SocketAddr)> {
        let member = self.node.member(&NodeId::new(name).unwrap())?;
        let incarnation = member.incarnation();
        Some(((incarnation.generation, incarnation.number), member.addr()))
    }

    /// The token of a ping that the node sent, or any.
    pub(crate) fn token(&mut self) -> u32 {
        self.tokens.pop().unwrap_or(self.next)
    }

    /// Compresses a message, in the format that has compression.
    pub(crate) fn compress(&self, message: Vec<u8>) -> Vec<u8> {
        match self.format {
            Format::Tidings => message,
            #[cfg(feature = "memberlist")]
            Format::Memberlist => memberlist::compress(&message),
        }
    }

    // ---- inputs ----

    /// Applies an input; returns what it cost.
    pub(crate) fn apply(&mut self, input: &Input) -> Cost {
        self.now += Duration::from_micros(100);
        let mut sent = Vec::new();
        let mut cost = Cost::default();
        #[cfg(debug_assertions)]
        let visits = self.node.visits();
        let begun = time();
        match input {
            Input::Datagram { from, data, expanded } => {
                cost.expanded = data.len().max(*expanded);
                self.node.handle_datagram(self.now, *from, data);
                cost.bytes_in += data.len();
                cost.packets_in += 1;
                self.drain(&mut cost, &mut sent);
            }
            Input::Stream { from, frames, piece, expanded } => {
                cost.expanded = *expanded;
                // The three of a connection, and the two of its end.
                cost.packets_in += 5;
                let stream = self.node.accept_stream(self.now, *from);
                self.drain(&mut cost, &mut sent);
                if let Some(stream) = stream {
                    // A debug build checks all members after each piece.
                    let most = if cfg!(debug_assertions) { 1000 } else { usize::MAX };
                    let pieces = |frame: &'_ Vec<u8>| (*piece).max(frame.len().div_ceil(most));
                    for data in frames.iter().flat_map(|frame| frame.chunks(pieces(frame))) {
                        self.node.handle_stream(self.now, stream, StreamInput::Data(data));
                        cost.bytes_in += data.len();
                        cost.packets_in += 1;
                        self.drain(&mut cost, &mut sent);
                    }
                    self.node.handle_stream(self.now, stream, StreamInput::Closed);
                    self.drain(&mut cost, &mut sent);
                }
            }
        }
        cost.took = time().saturating_sub(begun);
        #[cfg(debug_assertions)]
        {
            cost.visits = self.node.visits().saturating_sub(visits);
        }
        cost.datagrams = sent.len();
        if let Input::Datagram { from, .. } = input {
            let back = sent.iter().filter(|(to, _)| to == from);
            cost.datagrams_back = back.count();
            cost.datagrams_for_datagram = sent.len();
        }
        let strangers = sent.into_iter().filter(|(to, _)| !self.is_member(*to));
        cost.to_strangers = strangers.collect();
        cost
    }

    /// Whether a member has answered from an address.
    fn is_member(&self, addr: SocketAddr) -> bool {
        let there = |member: &Member| member.addr() == addr && self.node.is_validated(member.id());
        self.is_prepared(addr) || self.node.all_members().any(there)
    }

    /// Whether an address is that of one of the members with which the node was prepared. Of all
    /// other addresses it has never heard anything but claims.
    pub(crate) fn is_prepared(&self, addr: SocketAddr) -> bool {
        let SocketAddr::V4(v4) = addr else { return false };
        let [a, b, c, d] = v4.ip().octets();
        let n = u32::from_be_bytes([a.wrapping_sub(10), b, c, d]);
        (self.first..self.members).contains(&n) && address(n) == addr
    }

    fn drain(&mut self, cost: &mut Cost, sent: &mut Vec<(SocketAddr, usize)>) {
        let mut opened = Vec::new();
        let mut buf = std::mem::take(&mut self.buf);
        while let Some(output) = self.node.poll_output(&mut buf) {
            match output {
                Output::Datagram { to, data } => {
                    sent.push((to, data.len()));
                    let token = forge::read_ping(data).map(|(token, _)| token);
                    self.tokens.extend(token.filter(|_| self.is_prepared(to)));
                }
                Output::Stream { action: StreamAction::Write(data), .. } => {
                    cost.answered += data.len();
                }
                Output::Stream { id, action: StreamAction::Open { .. } } => opened.push(id),
                Output::Stream { .. } => {}
                Output::Event(event) => {
                    cost.events += 1;
                    cost.event_bytes += event_bytes(&event);
                }
            }
        }
        self.buf = buf;
        for id in opened {
            cost.opened += 1;
            let refused = StreamInput::Failed(tidings::StreamError::Refused);
            self.node.handle_stream(self.now, id, refused);
        }
        self.tokens.truncate(100);
    }
}

/// The memory of an event in a queue, in bytes; what it shares with others counts too.
fn event_bytes(event: &Event) -> usize {
    let data = match event {
        Event::Message { data, .. } | Event::SyncState { data, .. } => data.len(),
        _ => 0,
    };
    size_of::<Event>() + data
}

/// What inputs cost.
#[derive(Clone, Debug, Default)]
pub(crate) struct Cost {
    pub(crate) bytes_in: usize,
    /// Number of bytes that came, after decompression.
    pub(crate) expanded: usize,
    /// Number of packets that bring the input: datagrams, a connection, segments.
    pub(crate) packets_in: usize,
    /// Number of bytes written to the stream.
    pub(crate) answered: usize,
    pub(crate) took: Duration,
    /// Number of members and index entries looked at; 0 in release builds.
    pub(crate) visits: usize,
    /// Number of datagrams sent.
    pub(crate) datagrams: usize,
    /// Number of datagrams sent to the source of the input.
    pub(crate) datagrams_back: usize,
    /// Most datagrams sent for one datagram.
    pub(crate) datagrams_for_datagram: usize,
    /// The datagrams sent to those of whom nothing but claims is known: receivers and lengths.
    pub(crate) to_strangers: Vec<(SocketAddr, usize)>,
    /// Number of streams opened.
    pub(crate) opened: usize,
    pub(crate) events: usize,
    pub(crate) event_bytes: usize,
    /// Most heap memory taken at a time, in bytes; 0 if it was not measured.
    pub(crate) heap: usize,
}

impl Cost {
    pub(crate) fn add(&mut self, other: Self) {
        self.bytes_in += other.bytes_in;
        self.expanded += other.expanded;
        self.packets_in += other.packets_in;
        self.answered += other.answered;
        self.took += other.took;
        self.visits += other.visits;
        self.datagrams += other.datagrams;
        self.datagrams_for_datagram = self.datagrams_for_datagram.max(other.datagrams_for_datagram);
        self.datagrams_back = self.datagrams_back.max(other.datagrams_back);
        self.to_strangers.extend(other.to_strangers);
        self.opened += other.opened;
        self.events += other.events;
        self.event_bytes += other.event_bytes;
        self.heap += other.heap;
    }

    /// The bytes that work has to be in proportion to, in and out, with the headers of IP and UDP
    /// or TCP of the packets that came.
    pub(crate) fn moved(&self) -> f64 {
        (self.bytes_in.max(self.expanded) + self.answered + PACKET_HEADER * self.packets_in) as f64
    }

    /// The number of bytes that came, with the headers, after decompression.
    pub(crate) fn received(&self) -> f64 {
        (self.bytes_in.max(self.expanded) + PACKET_HEADER * self.packets_in) as f64
    }

    /// The most bytes of datagrams to one who is no member.
    pub(crate) fn most_to_a_stranger(&self) -> usize {
        let mut all = BTreeMap::<_, usize>::new();
        for &(to, len) in &self.to_strangers {
            *all.entry(to).or_default() += len;
        }
        all.into_values().max().unwrap_or(0)
    }
}

/// The CPU time of this thread, because others may run meanwhile.
#[cfg(unix)]
fn time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::try_from(time).unwrap()
}

/// The time since an unknown origin.
#[cfg(not(unix))]
fn time() -> Duration {
    let epoch = std::time::SystemTime::UNIX_EPOCH;
    std::time::SystemTime::now().duration_since(epoch).unwrap()
}

/// The name of the node.
pub(crate) fn own_name() -> &'static str {
    "victim"
}

/// A name as short as an attacker can make it.
pub(crate) fn short_name(mut n: u32) -> String {
    const DIGITS: &[u8] = b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
    let mut name = String::new();
    loop {
        name.push(DIGITS[n as usize % DIGITS.len()] as char);
        n /= DIGITS.len() as u32;
        if n == 0 {
            return name;
        }
    }
}

pub(crate) fn address(n: u32) -> SocketAddr {
    let [a, b, c, d] = n.to_be_bytes();
    SocketAddr::from(([10 + a, b, c, d], 7946))
}

/// The headers of IP and UDP, in bytes; those of IP and TCP are longer.
const PACKET_HEADER: usize = 28;

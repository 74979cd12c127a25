//! Inputs that the search tries: structured, so that most of them are acceptable, and changed at
//! random.

use crate::victim::{Format, Input, Victim, address, own_name, short_name};
use crate::{SimRng, common};
use common::forge;
#[cfg(feature = "memberlist")]
use common::memberlist;
use common::single_node::GENERATION;
use std::fmt;
use std::net::SocketAddr;

/// A candidate: what an attacker sends, described so that it can be sent again and does the same,
/// with other names.
#[derive(Clone, Debug)]
pub(crate) struct Genome {
    pub(crate) steps: Vec<Step>,
}

#[derive(Clone, Debug)]
pub(crate) enum Step {
    Datagram { from: From, messages: Vec<Message>, compressed: bool },
    Stream { from: From, frames: Vec<Frame>, piece: usize, compressed: bool },
}

/// The address from which something comes.
#[derive(Clone, Copy, Debug)]
pub(crate) enum From {
    /// No member's, and a different one in each round.
    Stranger,
    /// That of a member picked at random.
    Member,
    /// One that messages can name; see [`At::Shared`].
    Shared,
}

/// Messages of a datagram, or records of a frame.
#[derive(Clone)]
pub(crate) struct Message {
    pub(crate) kind: Kind,
    pub(crate) who: Who,
    pub(crate) incarnation: Age,
    pub(crate) at: At,
    /// Length of data or metadata, in bytes.
    pub(crate) len: usize,
    /// How many such messages there are.
    pub(crate) count: usize,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Kind {
    Alive,
    Suspect,
    Failed,
    Left,
    Ping,
    PingRequest,
    Ack,
    Nack,
    User,
    Broadcast,
    Unknown,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Who {
    /// The node that is attacked.
    Victim,
    /// A member, picked at random.
    Known,
    /// The member of the message before.
    Same,
    /// A name that nobody had.
    New,
    /// A name that nobody had, of 255 bytes.
    Long,
}

/// The incarnation in a claim, compared to the known one.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Age {
    Earlier,
    Equal,
    Next,
    NextGeneration,
    Far,
}

/// The address in a claim.
#[derive(Clone, Copy, Debug)]
pub(crate) enum At {
    /// Its own, by its name.
    Own,
    /// One that many claims have.
    Shared,
    /// That of the node that is attacked.
    Victim,
    /// One that nobody had.
    New,
}

#[derive(Clone, Debug)]
pub(crate) enum Frame {
    Sync {
        introduced: bool,
        state: usize,
        parts: Vec<Part>,
    },
    Compare {
        parts: Vec<Part>,
    },
    Updates {
        records: Vec<Message>,
    },
    Packet {
        messages: Vec<Message>,
    },
    Message {
        len: usize,
    },
    Ping,
    /// A struct with so many fields that no message has.
    Fields {
        count: usize,
    },
}

/// Parts of a sync about ranges of one depth.
#[derive(Clone, Debug)]
pub(crate) struct Part {
    kind: u8,
    depth: u8,
    first: u64,
    stride: u64,
    count: usize,
    records: Vec<Message>,
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, who, incarnation, at, len, count } = self;
        write!(f, "{count} {kind:?} {who:?} {incarnation:?} {at:?} {len}")
    }
}

impl Genome {
    pub(crate) fn random(rng: &mut SimRng) -> Self {
        let steps = (0..1 + rng.below(3)).map(|_| Step::random(rng)).collect();
        Self { steps }
    }

    /// The inputs that cost most so far, by name. The search begins with them.
    pub(crate) fn found() -> Vec<(&'static str, Self)> {
        use Kind::{Ack, Alive, Failed, Left, Ping, PingRequest, Suspect};
        let one = |kind, who, incarnation, at, count| Message {
            kind,
            who,
            incarnation,
            at,
            len: 0,
            count,
        };
        let ping = one(Ping, Who::Victim, Age::Next, At::Own, 1);
        let datagram = |from, messages| Step::Datagram { from, messages, compressed: false };
        let stream =
            |frames, piece| Step::Stream { from: From::Stranger, frames, piece, compressed: false };
        let part =
            |kind, depth, count, records| Part { kind, depth, first: 0, stride: 1, count, records };
        let sync = |parts| Frame::Sync { introduced: true, state: 0, parts };
        let claimed = one(Alive, Who::New, Age::Next, At::Shared, 1);
        let suspect = one(Suspect, Who::New, Age::Next, At::Shared, 300);
        let request = one(PingRequest, Who::Known, Age::Equal, At::Own, 1);
        let stale = one(Suspect, Who::Known, Age::Earlier, At::Own, 1);
        let changes = [(Failed, Age::Equal), (Alive, Age::Next), (Suspect, Age::Equal)];
        let changes = changes.map(|(kind, age)| one(kind, Who::Known, age, At::Own, 300));
        let all = [
            (
                "a ping from an address that claims named before",
                vec![
                    datagram(From::Shared, vec![claimed]),
                    datagram(From::Shared, vec![ping.clone()]),
                    datagram(From::Shared, vec![ping.clone()]),
                ],
            ),
            (
                "a ping, a ping request and a stale claim in one datagram",
                vec![datagram(
                    From::Member,
                    vec![one(Ack, Who::Known, Age::Equal, At::Own, 3), ping, request, stale],
                )],
            ),
            (
                "suspicions by hearsay about made-up members at one address, in a sync",
                vec![stream(vec![sync(vec![part(2, 0, 1, vec![suspect.clone()])])], usize::MAX)],
            ),
            (
                "suspicions about made-up members at one address, as updates",
                vec![stream(vec![Frame::Updates { records: vec![suspect] }], usize::MAX)],
            ),
            (
                "many members that left",
                vec![datagram(
                    From::Stranger,
                    vec![one(Left, Who::Known, Age::Far, At::Own, 1000)],
                )],
            ),
            (
                "many members that failed, are alive and are suspected",
                changes.map(|change| datagram(From::Stranger, vec![change])).into(),
            ),
            (
                "a question about the members in each of many ranges",
                vec![stream(vec![sync(vec![part(3, 2, 256, vec![])])], usize::MAX)],
            ),
            (
                "a question about the digests of many ranges",
                vec![stream(vec![sync(vec![part(1, 3, 4096, vec![])])], usize::MAX)],
            ),
            (
                "a header of many fields, byte by byte",
                vec![stream(vec![Frame::Fields { count: 300 }], 1)],
            ),
        ];
        all.into_iter().map(|(name, steps)| (name, Self { steps })).collect()
    }

    /// The same with a few changes, some of them taken over from another one.
    pub(crate) fn mutated(&self, other: &Self, rng: &mut SimRng) -> Self {
        let mut steps = self.steps.clone();
        for _ in 0..1 + rng.below(3) {
            let at = rng.below(steps.len());
            match rng.below(10) {
                0 if steps.len() < MAX_STEPS => steps.insert(at, Step::random(rng)),
                1 if steps.len() < MAX_STEPS => {
                    steps.insert(at, other.steps[rng.below(other.steps.len())].clone());
                }
                2 if steps.len() < MAX_STEPS => steps.insert(at, steps[at].clone()),
                3 if steps.len() > 1 => drop(steps.remove(at)),
                _ => steps[at].mutate(rng),
            }
        }
        Self { steps }
    }

    /// Genomes with one thing less.
    pub(crate) fn simpler(&self) -> Vec<Self> {
        let mut all = Vec::new();
        for at in 0..self.steps.len() {
            if self.steps.len() > 1 {
                all.push(self.clone());
                all.last_mut().expect("it was added").steps.remove(at);
            }
            let step = &self.steps[at];
            let simpler: Vec<_> = match step {
                Step::Datagram { from, messages, compressed } => without_one(messages)
                    .map(|messages| Step::Datagram {
                        from: *from,
                        messages,
                        compressed: *compressed,
                    })
                    .collect(),
                Step::Stream { from, frames, piece, compressed } => {
                    let parts = (0..frames.len()).filter_map(|n| {
                        let (Frame::Sync { parts, .. } | Frame::Compare { parts }) = &frames[n]
                        else {
                            return None;
                        };
                        Some((n, parts))
                    });
                    let fewer_parts = parts.flat_map(|(n, parts)| {
                        without_one(parts).map(move |fewer| {
                            let mut frames = frames.clone();
                            if let Frame::Sync { parts, .. } | Frame::Compare { parts } =
                                &mut frames[n]
                            {
                                *parts = fewer;
                            }
                            frames
                        })
                    });
                    let simpler = without_one(frames).chain(fewer_parts);
                    simpler
                        .map(|frames| Step::Stream {
                            from: *from,
                            frames,
                            piece: *piece,
                            compressed: *compressed,
                        })
                        .collect()
                }
            };
            for step in simpler {
                all.push(self.clone());
                all.last_mut().expect("it was added").steps[at] = step;
            }
        }
        all
    }
}

/// The lists without one of the items each, if there are several.
fn without_one<T: Clone>(items: &[T]) -> impl Iterator<Item = Vec<T>> {
    let several = if items.len() > 1 { items.len() } else { 0 };
    (0..several).map(move |at| {
        let mut items = items.to_vec();
        items.remove(at);
        items
    })
}

impl Step {
    fn random(rng: &mut SimRng) -> Self {
        if rng.below(3) > 0 {
            let messages = Message::some(rng);
            Self::Datagram { from: From::random(rng), messages, compressed: rng.below(8) == 0 }
        } else {
            let frames = (0..1 + rng.below(3)).map(|_| Frame::random(rng)).collect();
            let piece = [usize::MAX, usize::MAX, 1, 7, 100][rng.below(5)];
            Self::Stream { from: From::random(rng), frames, piece, compressed: rng.below(8) == 0 }
        }
    }

    fn mutate(&mut self, rng: &mut SimRng) {
        match self {
            Self::Datagram { from, messages, compressed } => match rng.below(8) {
                0 => *from = From::random(rng),
                1 => *compressed = !*compressed,
                _ => mutate_messages(messages, rng),
            },
            Self::Stream { from, frames, piece, compressed } => {
                let at = rng.below(frames.len());
                match rng.below(8) {
                    0 => *from = From::random(rng),
                    1 if rng.below(4) == 0 => *compressed = !*compressed,
                    1 => *piece = [usize::MAX, 1, 2, 7, 100][rng.below(5)],
                    2 if frames.len() < 6 => frames.insert(at, Frame::random(rng)),
                    3 if frames.len() < 6 => frames.insert(at, frames[at].clone()),
                    4 if frames.len() > 1 => drop(frames.remove(at)),
                    _ => frames[at].mutate(rng),
                }
            }
        }
    }

    /// Makes the input of this step, for a node in its present state.
    pub(crate) fn input(&self, victim: &mut Victim) -> Input {
        match self {
            Self::Datagram { from, messages, compressed } => {
                let from = from.addr(victim);
                let plain = datagram(victim, from, messages);
                let expanded = plain.len();
                let data = if *compressed { victim.compress(plain) } else { plain };
                Input::Datagram { from, data, expanded }
            }
            Self::Stream { from, frames, piece, compressed } => {
                let from = from.addr(victim);
                let frames: Vec<_> = frames.iter().map(|frame| frame.bytes(victim, from)).collect();
                let expanded = frames.iter().map(Vec::len).sum();
                let frames = frames.into_iter().map(|frame| match *compressed {
                    true => victim.compress(frame),
                    false => frame,
                });
                Input::Stream { from, frames: frames.collect(), piece: *piece, expanded }
            }
        }
    }
}

impl From {
    fn random(rng: &mut SimRng) -> Self {
        [Self::Stranger, Self::Member, Self::Shared][rng.below(3)]
    }

    fn addr(self, victim: &mut Victim) -> SocketAddr {
        match self {
            Self::Stranger => victim.stranger(),
            Self::Member => victim.some_member().1,
            Self::Shared => SHARED,
        }
    }
}

impl Message {
    fn random(rng: &mut SimRng) -> Self {
        use Kind::{
            Ack, Alive, Broadcast, Failed, Left, Nack, Ping, PingRequest, Suspect, Unknown, User,
        };
        let kinds = [
            Alive,
            Alive,
            Alive,
            Suspect,
            Suspect,
            Failed,
            Failed,
            Left,
            Ping,
            PingRequest,
            Ack,
            Nack,
            User,
            Broadcast,
            Unknown,
        ];
        Self {
            kind: kinds[rng.below(kinds.len())],
            who: [Who::Known, Who::Known, Who::Same, Who::New, Who::Victim, Who::Long]
                [rng.below(6)],
            incarnation: Age::random(rng),
            at: [At::Own, At::Own, At::Shared, At::Victim, At::New][rng.below(5)],
            len: [0, 0, 0, 1, 30, 500][rng.below(6)],
            count: [1, 1, 1, 2, 3, 10, 30, 100, 1000][rng.below(9)],
        }
    }

    fn some(rng: &mut SimRng) -> Vec<Self> {
        (0..1 + rng.below(4)).map(|_| Self::random(rng)).collect()
    }

    fn mutate(&mut self, rng: &mut SimRng) {
        let random = Self::random(rng);
        match rng.below(6) {
            0 => self.kind = random.kind,
            1 => self.who = random.who,
            2 => self.incarnation = random.incarnation,
            3 => self.at = random.at,
            4 => self.len = [random.len, self.len + 1, self.len / 2][rng.below(3)],
            _ => {
                let count = [random.count, self.count + 1, self.count * 2, self.count / 2];
                self.count = count[rng.below(4)].clamp(1, 20_000);
            }
        }
    }

    /// The name, address and incarnation that the message is about.
    fn subject(&self, victim: &mut Victim) -> (String, SocketAddr, u64, u64) {
        let name = match self.who {
            Who::Victim => own_name().into(),
            Who::Known => victim.some_member().0,
            Who::Same => victim.last.clone(),
            Who::New => short_name(victim.fresh()),
            Who::Long => format!("{:x>255}", victim.fresh()),
        };
        victim.last.clone_from(&name);
        let known = victim.known(&name);
        let (generation, number) = known.map_or((GENERATION, 0), |(incarnation, _)| incarnation);
        let (generation, number) = match self.incarnation {
            Age::Earlier => (generation, number.saturating_sub(1)),
            Age::Equal => (generation, number),
            Age::Next => (generation, number + 1),
            Age::NextGeneration => (generation + 1, 0),
            Age::Far => (generation, number + (1 << 20)),
        };
        let at = match self.at {
            At::Own => known.map_or_else(|| address(victim.fresh()), |(_, addr)| addr),
            At::Shared => SHARED,
            At::Victim => address(0),
            At::New => address(victim.fresh()),
        };
        (name, at, generation, number)
    }

    fn push_datagram_message(&self, victim: &mut Victim, from: SocketAddr, all: &mut Vec<Vec<u8>>) {
        let (name, at, generation, number) = self.subject(victim);
        let token = victim.fresh();
        let data = vec![7; self.len];
        let meta = &data[..self.len.min(500)];
        let at = at.to_string();
        let bytes = match victim.format {
            Format::Tidings => match self.kind {
                Kind::Alive => forge::alive(&name, &at, generation, number, meta),
                Kind::Suspect => forge::suspect(token, &name, generation, number),
                Kind::Failed => forge::failed(&name, generation, number),
                Kind::Left => forge::left(&name, generation, number),
                Kind::Ping => forge::ping_by(token, &name, victim.tag_of(from)),
                Kind::PingRequest => forge::ping_request(token, 100, &name),
                Kind::Ack => forge::ack(victim.token(), 0),
                Kind::Nack => forge::nack(victim.token()),
                Kind::User => forge::user_message(&name, &data),
                Kind::Broadcast => {
                    forge::broadcast(&name, generation, token.into(), &data[..self.len % 2], &data)
                }
                Kind::Unknown => {
                    [&[200, self.len.min(127) as u8], &data[..self.len.min(127)]].concat()
                }
            },
            #[cfg(feature = "memberlist")]
            Format::Memberlist => {
                let (number, accuser) = (number as u32, format!("a{token}"));
                match self.kind {
                    Kind::Alive => memberlist::alive(number, &name, &at, meta),
                    Kind::Suspect => memberlist::suspect(number, &name, &accuser),
                    Kind::Failed => memberlist::dead(number, &name, "a"),
                    Kind::Left => memberlist::dead(number, &name, &name),
                    Kind::Ping if self.len % 2 == 0 => memberlist::ping(token, &name),
                    Kind::Ping => match from {
                        SocketAddr::V4(from) => {
                            let port = from.port() + (self.len % 3) as u16;
                            memberlist::ping_from(token, &name, &from.ip().octets(), port)
                        }
                        SocketAddr::V6(_) => memberlist::ping(token, &name),
                    },
                    Kind::PingRequest => {
                        memberlist::indirect_ping(token, &name, &at, self.len % 2 == 0)
                    }
                    Kind::Ack => memberlist::ack(victim.token()),
                    Kind::Nack => memberlist::nack(victim.token()),
                    Kind::User | Kind::Broadcast => memberlist::user(&data),
                    Kind::Unknown => [&[99][..], &data].concat(),
                }
            }
        };
        let _ = from;
        all.push(bytes);
    }

    fn push_record(&self, victim: &mut Victim, all: &mut Vec<u8>) {
        let (name, at, generation, number) = self.subject(victim);
        let meta = vec![7; self.len.min(500)];
        let at = at.to_string();
        let state = match self.kind {
            Kind::Suspect => 1,
            Kind::Failed => 2,
            Kind::Left => 3,
            _ => 0,
        };
        all.extend(match victim.format {
            Format::Tidings => {
                // Kind and number of an alive message are replaced by those of a record.
                let alive = forge::alive(&name, &at, generation, number, &meta);
                [&[state][..], &alive[1..]].concat()
            }
            #[cfg(feature = "memberlist")]
            Format::Memberlist => memberlist::record(state, number as u32, &name, &at, &meta),
        });
    }
}

impl Age {
    fn random(rng: &mut SimRng) -> Self {
        [Self::Equal, Self::Next, Self::Next, Self::Earlier, Self::NextGeneration, Self::Far]
            [rng.below(6)]
    }
}

fn mutate_messages(messages: &mut Vec<Message>, rng: &mut SimRng) {
    let at = rng.below(messages.len() + 1);
    match rng.below(6) {
        0 if messages.len() < 20 => messages.insert(at, Message::random(rng)),
        1 if messages.len() > 1 && at < messages.len() => drop(messages.remove(at)),
        2 if at < messages.len() && messages.len() < 20 => {
            messages.insert(at, messages[at].clone());
        }
        _ if at < messages.len() => messages[at].mutate(rng),
        _ => messages.push(Message::random(rng)),
    }
}

/// A datagram of as many of the messages as it can have.
fn datagram(victim: &mut Victim, from: SocketAddr, messages: &[Message]) -> Vec<u8> {
    let all = encoded(victim, from, messages, MAX_DATAGRAM - 200);
    match victim.format {
        Format::Tidings => forge::plain_datagram(forge::CLUSTER, &all),
        #[cfg(feature = "memberlist")]
        Format::Memberlist => {
            let parts: Vec<_> = all.chunks(255).map(memberlist::compound).collect();
            match &parts[..] {
                [only] if all.len() == 1 => only[4..].to_vec(),
                [only] => only.clone(),
                several => memberlist::compound(several),
            }
        }
    }
}

/// As many of the messages as `max` bytes have room for.
fn encoded(
    victim: &mut Victim,
    from: SocketAddr,
    messages: &[Message],
    max: usize,
) -> Vec<Vec<u8>> {
    let (mut all, mut len) = (Vec::new(), 0);
    for message in messages {
        for _ in 0..message.count {
            message.push_datagram_message(victim, from, &mut all);
            // Two bytes for the length in a compound.
            len += all.last().map_or(0, |last| last.len() + 2);
            if len > max {
                all.pop();
                return all;
            }
        }
    }
    all
}

fn records(victim: &mut Victim, messages: &[Message], max: usize) -> (Vec<u8>, usize) {
    let (mut all, mut count) = (Vec::new(), 0);
    for message in messages {
        for _ in 0..message.count {
            let before = all.len();
            message.push_record(victim, &mut all);
            if all.len() > max {
                all.truncate(before);
                return (all, count);
            }
            count += 1;
        }
    }
    (all, count)
}

impl Frame {
    fn random(rng: &mut SimRng) -> Self {
        match rng.below(10) {
            0..=3 => Self::Sync {
                introduced: rng.below(2) == 0,
                state: [0, 0, 1000][rng.below(3)],
                parts: Part::some(rng),
            },
            4 | 5 => Self::Compare { parts: Part::some(rng) },
            6 => Self::Updates { records: Message::some(rng) },
            7 => Self::Packet { messages: Message::some(rng) },
            8 => [Self::Ping, Self::Message { len: rng.below(2000) }][rng.below(2)].clone(),
            _ => Self::Fields { count: rng.below(200) },
        }
    }

    fn mutate(&mut self, rng: &mut SimRng) {
        match self {
            _ if rng.below(16) == 0 => *self = Self::random(rng),
            Self::Sync { introduced, state, parts } => match rng.below(6) {
                0 => *introduced = !*introduced,
                1 => *state = [0, 1, 1000, 60_000][rng.below(4)],
                _ => Part::mutate_some(parts, rng),
            },
            Self::Compare { parts } => Part::mutate_some(parts, rng),
            Self::Updates { records: messages } | Self::Packet { messages } => {
                mutate_messages(messages, rng);
            }
            Self::Message { len } => *len = rng.below(100_000),
            Self::Fields { count } => *count = (*count * 2).min(4000) + rng.below(10),
            Self::Ping => *self = Self::random(rng),
        }
    }

    fn bytes(&self, victim: &mut Victim, from: SocketAddr) -> Vec<u8> {
        match victim.format {
            Format::Tidings => self.tidings(victim, from),
            #[cfg(feature = "memberlist")]
            Format::Memberlist => self.memberlist(victim, from),
        }
    }

    fn tidings(&self, victim: &mut Victim, from: SocketAddr) -> Vec<u8> {
        const SYNC: u8 = 0;
        const UPDATES: u8 = 2;
        const COMPARE: u8 = 5;
        const MESSAGE: u8 = 6;
        const PING: u8 = 7;
        const PACKET: u8 = 9;
        let text = |name: &str| [&[name.len() as u8], name.as_bytes()].concat();
        let (kind, body) = match self {
            Self::Sync { introduced, state, parts } => {
                let name = short_name(victim.fresh());
                let hello = if *introduced {
                    forge::member(0, &name, &from.to_string(), GENERATION, b"")
                } else {
                    [&[0x20], &text(&name)[..]].concat()
                };
                let state = [varint(*state), vec![7; *state]].concat();
                (SYNC, [vec![0], hello, state, part_bytes(victim, parts)].concat())
            }
            Self::Compare { parts } => (COMPARE, part_bytes(victim, parts)),
            Self::Updates { records: messages } => {
                (UPDATES, [vec![0], records(victim, messages, MAX_FRAME).0].concat())
            }
            Self::Packet { messages } => {
                let (name, _) = victim.some_member();
                let messages = encoded(victim, from, messages, MAX_FRAME).concat();
                (PACKET, [vec![0], text(&name), messages].concat())
            }
            Self::Message { len } => {
                (MESSAGE, [text(own_name()), text("x"), vec![7; *len]].concat())
            }
            Self::Ping => (PING, text(own_name())),
            Self::Fields { count } => (200, vec![7; *count]),
        };
        forge::plain_frame(forge::CLUSTER, kind, &body)
    }

    #[cfg(feature = "memberlist")]
    fn memberlist(&self, victim: &mut Victim, from: SocketAddr) -> Vec<u8> {
        match self {
            Self::Sync { introduced: join, state, parts } => {
                let messages: Vec<_> =
                    parts.iter().flat_map(|part| part.records.iter().cloned()).collect();
                push_pull(victim, *join, &messages, *state)
            }
            Self::Updates { records } => push_pull(victim, false, records, 0),
            Self::Compare { parts } => {
                let messages: Vec<_> =
                    parts.iter().flat_map(|part| part.records.iter().cloned()).collect();
                push_pull(victim, true, &messages, 0)
            }
            Self::Packet { messages } => {
                let parts = encoded(victim, from, messages, MAX_FRAME);
                memberlist::compound(&parts[..parts.len().min(255)])
            }
            Self::Message { len } => memberlist::reliable(&vec![7; *len]),
            Self::Ping => memberlist::ping(7, own_name()),
            Self::Fields { count } => {
                // A push/pull's header with fields that it has not.
                let mut bytes = vec![6, 0xde];
                bytes.extend_from_slice(&(*count as u16).to_be_bytes());
                bytes.extend([0xa1, b'x', 0xc0].repeat(*count));
                bytes
            }
        }
    }
}

#[cfg(feature = "memberlist")]
fn push_pull(victim: &mut Victim, join: bool, messages: &[Message], state: usize) -> Vec<u8> {
    let (all, count) = records(victim, messages, MAX_FRAME);
    let header = memberlist::push_pull_header(join, count as u64, state as u64);
    [header, all, vec![7; state]].concat()
}

impl Part {
    fn random(rng: &mut SimRng) -> Self {
        let depth = rng.below(6) as u8;
        Self {
            kind: rng.below(4) as u8,
            depth,
            first: rng.below(16) as u64,
            stride: [1, 1, 2, 7, 16][rng.below(5)],
            count: [1, 1, 16, 256, 4096][rng.below(5)],
            records: if rng.below(2) == 0 { Message::some(rng) } else { Vec::new() },
        }
    }

    fn some(rng: &mut SimRng) -> Vec<Self> {
        (0..1 + rng.below(3)).map(|_| Self::random(rng)).collect()
    }

    fn mutate_some(parts: &mut Vec<Self>, rng: &mut SimRng) {
        let at = rng.below(parts.len() + 1);
        match rng.below(6) {
            0 if parts.len() < 8 => parts.insert(at, Self::random(rng)),
            1 if parts.len() > 1 && at < parts.len() => drop(parts.remove(at)),
            _ if at < parts.len() => parts[at].mutate(rng),
            _ => parts.push(Self::random(rng)),
        }
    }

    fn mutate(&mut self, rng: &mut SimRng) {
        let random = Self::random(rng);
        match rng.below(7) {
            0 => self.kind = random.kind,
            1 => self.depth = random.depth,
            2 => self.first = random.first,
            3 => self.stride = random.stride,
            4 => self.count = [random.count, self.count * 2, self.count / 2][rng.below(3)].max(1),
            _ => mutate_messages(&mut self.records, rng),
        }
    }
}

/// The parts of a frame: those whose ranges are in order and do not overlap.
fn part_bytes(victim: &mut Victim, parts: &[Part]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut next = Some(0_u64);
    for part in parts {
        let width = 64 - 4 * u32::from(part.depth);
        for n in 0..part.count as u64 {
            let place = part.first + n * part.stride;
            if part.depth < 16 && place >= 1 << (4 * part.depth) || bytes.len() > MAX_FRAME {
                break;
            }
            let start = if width == 64 { 0 } else { place << width };
            if next.is_none_or(|next| start < next) {
                continue;
            }
            next = if width == 64 { None } else { start.checked_add(1 << width) };
            bytes.push(part.kind | (part.depth << 2));
            bytes.extend_from_slice(&start.to_be_bytes()[..usize::from(part.depth.div_ceil(2))]);
            match part.kind {
                0 => bytes.extend([7; 8]),
                1 if n % 2 == 0 => bytes.extend([0; 2]),
                1 => bytes.extend([&[0xff; 2][..], &[7; 16 * 8]].concat()),
                _ => {
                    let records = records(victim, &part.records, MAX_FRAME / 2).0;
                    bytes.extend(records);
                    bytes.push(0xff);
                }
            }
        }
    }
    bytes
}

fn varint(mut n: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    while n >= 0x80 {
        bytes.push(n as u8 | 0x80);
        n >>= 7;
    }
    bytes.push(n as u8);
    bytes
}

/// The address that many claims have, and from which an attacker sends.
pub(crate) const SHARED: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::new(198, 51, 100, 1)), 7946);

/// Largest number of inputs of a candidate.
const MAX_STEPS: usize = 6;
/// The default of `max_datagram`, in bytes.
const MAX_DATAGRAM: usize = 9000;
/// The longest records or parts in a frame, in bytes.
const MAX_FRAME: usize = 30_000;

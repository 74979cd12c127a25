//! The format, to the byte: vectors, round trips, and any bytes at all.

use super::datagram::{self, Ack, Message, Nack, Ping, PingRequest, Writer};
use super::frame::{self, Frame, Progress};
use super::{Binding, UPDATE_OVERHEAD};
use crate::member::{ClusterName, Incarnation, Member, Meta, NodeId, State};
use crate::stats::Reject;
use crate::stream::Refusal;
use alloc::vec::Vec;
use core::net::{IpAddr, SocketAddr};
use proptest::prelude::*;

const MAX_META: usize = 512;
const LIMIT: usize = 1400;

fn binding() -> Binding {
    Binding::new(&ClusterName::new("test").unwrap())
}

fn write(fill: impl FnOnce(&mut Writer<'_>)) -> Vec<u8> {
    let mut buf = Vec::new();
    let mut writer = Writer::begin(&mut buf, LIMIT);
    fill(&mut writer);
    writer.finish(&binding());
    buf
}

fn read(datagram: &[u8]) -> Result<Vec<Message>, Reject> {
    datagram::open(datagram, &binding(), MAX_META)?.collect()
}

fn member(state: State) -> Member {
    let incarnation = Incarnation { generation: 60_000_000, number: 2 };
    let addr = "10.0.0.7:7946".parse().unwrap();
    let mut member = Member::new(NodeId::new("db-7").unwrap(), addr, incarnation, Meta::from("m"));
    member.state = state;
    member
}

fn hex(bytes: &[u8]) -> alloc::string::String {
    bytes.iter().map(|byte| alloc::format!("{byte:02x}")).collect()
}

/// These are the vectors of WIRE.md.
#[test]
fn messages_have_the_bytes_that_the_description_says() {
    let header = hex(&write(|_| {}));
    assert_eq!(header, "d10c7e7fd80c7e7fd8", "version, tag, checksum of nothing");
    let body =
        |fill: &dyn Fn(&mut Writer<'_>)| hex(&write(|writer| fill(writer))[datagram::HEADER..]);
    let target = NodeId::new("db-7").unwrap();
    let short = target.short();
    assert_eq!(hex(&short.to_le_bytes()), "e65fc446", "the short name of db-7");
    let token = 0x0403_0201;
    assert_eq!(body(&|w| w.ping(Ping { token, target: short })), "0001020304e65fc446");
    let request = PingRequest { token, within_ms: 500, target };
    assert_eq!(body(&|w| w.ping_request(&request)), "0101020304f4030464622d37");
    assert_eq!(body(&|w| w.ack(Ack { token })), "0201020304");
    assert_eq!(body(&|w| w.nack(Nack { token })), "0301020304");
    let update = |state, accuser| body(&|w| assert!(w.update(&member(state), accuser)));
    assert_eq!(update(State::Alive, 0), "080a0000070a1f0464622d37808ece1c02016d");
    assert_eq!(update(State::Suspect, token), "0a010203040464622d37808ece1c02");
    assert_eq!(update(State::Failed, 0), "0b0464622d37808ece1c02");
    assert_eq!(update(State::Left, 0), "0c0464622d37808ece1c02");
}

#[test]
fn frames_have_the_bytes_that_the_description_says() {
    let taken = hex(&frame::taken(&binding()));
    assert_eq!(taken, "d1030c7e7fd819aac592050000000474657374");
    let refused = hex(&frame::refused(&binding(), Refusal::Full));
    assert_eq!(&refused[28..], "047465737401");
    let members = [member(State::Alive), member(State::Left)];
    let sync = hex(&frame::sync(&binding(), 1000, members.iter()).frame);
    let profile = "0a0000070a1f0464622d37808ece1c02016d";
    assert_eq!(&sync[28..], alloc::format!("047465737400{profile}03{profile}"));
}

#[test]
fn quiet_messages_are_as_small_as_they_were_meant_to_be() {
    assert!(write(|w| w.ping(Ping { token: u32::MAX, target: u32::MAX })).len() <= 9 + 24);
    assert!(write(|w| w.ack(Ack { token: u32::MAX })).len() <= 9 + 16);
}

#[test]
fn the_longest_update_takes_what_the_size_model_says() {
    let id = NodeId::new(&"x".repeat(255)).unwrap();
    let incarnation = Incarnation { generation: u64::MAX, number: u64::MAX };
    let meta = Meta::new(&[7; MAX_META]);
    let addr = "[2001:db8::1]:65535".parse().unwrap();
    let member = Member::new(id, addr, incarnation, meta);
    let datagram = write(|w| assert!(w.update(&member, 0)));
    assert!(datagram.len() <= UPDATE_OVERHEAD + MAX_META, "{} bytes", datagram.len());
}

#[test]
fn what_does_not_fit_is_taken_back_whole() {
    let mut buf = Vec::new();
    let mut writer = Writer::begin(&mut buf, 57);
    assert!(writer.update(&member(State::Alive), 0));
    assert!(writer.update(&member(State::Left), 0));
    assert!(!writer.update(&member(State::Alive), 0));
    assert!(writer.update(&member(State::Left), 0));
    writer.finish(&binding());
    assert_eq!(buf.len(), 9 + 19 + 11 + 11);
    assert_eq!(read(&buf).unwrap().len(), 3);
}

#[test]
fn unknown_kinds_are_skipped_by_their_length_and_unknown_fixed_ones_are_not_guessed() {
    let mut datagram = write(|w| w.ack(Ack { token: 1 }));
    datagram.splice(9..9, [200, 3, 1, 2, 3]);
    let read_again = |mut datagram: Vec<u8>| {
        let checksum = binding().checksum(&datagram[9..]).to_le_bytes();
        datagram[5..9].copy_from_slice(&checksum);
        read(&datagram)
    };
    let messages = read_again(datagram.clone()).unwrap();
    assert!(matches!(messages[..], [Message::Unknown, Message::Ack(Ack { token: 1 })]));
    datagram[9] = 63;
    assert_eq!(read_again(datagram).err(), Some(Reject::Malformed));
}

#[test]
fn members_at_addresses_that_no_node_has_are_not_taken() {
    for addr in
        ["0.0.0.0:1", "224.0.0.1:1", "255.255.255.255:1", "10.0.0.1:0", "[::]:1", "[ff02::1]:1"]
    {
        let mut member = member(State::Alive);
        member.set_addr(addr.parse().unwrap());
        let datagram = write(|w| assert!(w.update(&member, 0)));
        assert!(matches!(read(&datagram).unwrap()[..], [Message::Refused]), "{addr}");
    }
}

fn members() -> impl Strategy<Value = Member> {
    let ip = prop_oneof![
        any::<[u8; 4]>().prop_map(IpAddr::from),
        any::<[u8; 16]>().prop_map(IpAddr::from),
    ];
    let usable = |ip: &IpAddr| {
        let broadcast = *ip == IpAddr::from([255; 4]);
        !ip.is_unspecified() && !ip.is_multicast() && !broadcast && ip.to_canonical() == *ip
    };
    let state = prop_oneof![
        Just(State::Alive),
        Just(State::Suspect),
        Just(State::Failed),
        Just(State::Left)
    ];
    let meta = prop::collection::vec(any::<u8>(), 0..=MAX_META);
    let addr = (ip.prop_filter("usable", usable), 1..=u16::MAX).prop_map(SocketAddr::from);
    ("[^\\p{Cc}]{1,60}", addr, any::<(u64, u64)>(), meta, state).prop_map(
        |(id, addr, (generation, number), meta, state)| {
            let incarnation = Incarnation { generation, number };
            let id = NodeId::new(&id).unwrap();
            let mut member = Member::new(id, addr, incarnation, Meta::new(&meta));
            member.state = state;
            member
        },
    )
}

proptest! {
    #[test]
    fn an_update_comes_back_as_it_was(member in members(), accuser: u32) {
        let datagram = write(|writer| assert!(writer.update(&member, accuser)));
        let messages = read(&datagram).unwrap();
        let [Message::Update(update)] = &messages[..] else { panic!("{messages:?}") };
        prop_assert_eq!(&update.claim.id, &member.id);
        prop_assert_eq!(update.claim.incarnation, member.incarnation);
        prop_assert_eq!(update.claim.state, member.state);
        prop_assert_eq!(update.accuser, if member.state == State::Suspect { accuser } else { 0 });
        let profile = update.claim.profile.as_ref().map(|profile| (profile.addr, profile.meta.clone()));
        let said = (member.state == State::Alive).then(|| (member.addr(), member.meta.clone()));
        prop_assert_eq!(profile, said);
    }

    #[test]
    fn a_frame_comes_back_as_it_was_however_it_is_cut(
        members in prop::collection::vec(members(), 0..20),
        cut in any::<prop::sample::Index>(),
    ) {
        let encoded = frame::synced(&binding(), 1 << 20, members.iter());
        prop_assert_eq!(encoded.left_out, 0);
        let parse = |bytes: &[u8]| frame::parse(bytes, &binding(), 1 << 20, MAX_META);
        let cut = cut.index(encoded.frame.len());
        prop_assert!(matches!(parse(&encoded.frame[..cut]), Ok(Progress::Incomplete)));
        let Ok(Progress::Complete(Frame::Synced { members: read })) = parse(&encoded.frame) else {
            panic!("it is whole");
        };
        prop_assert_eq!(read.refused, 0);
        for (claim, member) in read.claims.iter().zip(&members) {
            prop_assert_eq!(&claim.id, &member.id);
            prop_assert_eq!((claim.incarnation, claim.state), (member.incarnation, member.state));
            prop_assert_eq!(claim.profile.as_ref().unwrap().addr, member.addr());
            prop_assert_eq!(&claim.profile.as_ref().unwrap().meta, &member.meta);
        }
        prop_assert_eq!(read.claims.len(), members.len());
    }

    #[test]
    fn a_frame_with_a_flipped_bit_is_never_taken(
        members in prop::collection::vec(members(), 0..4),
        at in any::<prop::sample::Index>(),
        bit in 0..8u8,
    ) {
        let mut bytes = frame::synced(&binding(), 1 << 20, members.iter()).frame.to_vec();
        // The kind is not under the checksum, but each kind is a frame of its own.
        let at = at.index(bytes.len());
        prop_assume!(at != 1);
        bytes[at] ^= 1 << bit;
        let parsed = frame::parse(&bytes, &binding(), 1 << 20, MAX_META);
        prop_assert!(matches!(parsed, Err(_) | Ok(Progress::Incomplete)), "{:?}", parsed);
    }

    #[test]
    fn a_frame_never_exceeds_its_limit(members in prop::collection::vec(members(), 0..20)) {
        let encoded = frame::synced(&binding(), 2000, members.iter());
        prop_assert!(encoded.frame.len() <= 2000 + frame::HEADER);
        let Ok(Progress::Complete(Frame::Synced { members: read })) =
            frame::parse(&encoded.frame, &binding(), 2000, MAX_META)
        else {
            panic!("it is whole");
        };
        prop_assert_eq!(read.claims.len() + encoded.left_out, members.len());
    }

    #[test]
    fn no_bytes_make_a_decoder_panic(mut bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        drop(read(&bytes));
        drop(frame::parse(&bytes, &binding(), 1 << 20, MAX_META));
        // With headers that are right, so that the messages are reached.
        if bytes.len() >= datagram::HEADER {
            let checksum = binding().checksum(&bytes[datagram::HEADER..]);
            bytes[0] = super::VERSION;
            bytes[1..5].copy_from_slice(&binding().tag.to_le_bytes());
            bytes[5..9].copy_from_slice(&checksum.to_le_bytes());
            drop(read(&bytes));
        }
        if bytes.len() >= frame::HEADER {
            let length = (bytes.len() - frame::HEADER) as u32;
            let checksum = binding().checksum(&bytes[frame::HEADER..]);
            bytes[2..6].copy_from_slice(&binding().tag.to_le_bytes());
            bytes[6..10].copy_from_slice(&checksum.to_le_bytes());
            bytes[10..14].copy_from_slice(&length.to_le_bytes());
            drop(frame::parse(&bytes, &binding(), 1 << 20, MAX_META));
        }
    }
}

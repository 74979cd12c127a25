//! Tests of Tidings' format: exact bytes, round trips, limits, and arbitrary bytes.

use super::compare;
use super::{Envelope, Writer, frame, messages};
use crate::config::limits::UPDATE_OVERHEAD;
use crate::error::Refusal;
use crate::incarnation::Incarnation;
use crate::member::{ClusterName, Member, Meta, NodeId, State};
use crate::membership::index::record_len;
use crate::membership::range::Range;
use crate::stats::Reject;
use crate::wire::StreamBinding;
use crate::wire::frame::{DecodeLimits, Frame, Introduction, PeerIdentity, SyncPart};
use crate::wire::message::Accuser;
use crate::wire::message::{Message, PeerStatus, PingSender, sender_tag, target_tag};
use alloc::vec::Vec;
use core::net::{IpAddr, SocketAddr};
use core::time::Duration;
use proptest::prelude::*;

const MAX_META: usize = 512;
const LIMIT: usize = 1400;
const MAX_FRAME: usize = 1 << 20;
const SYNC_CHUNK: usize = 64 << 10;

fn envelope() -> Envelope {
    Envelope::new(&ClusterName::new("test").unwrap())
}

fn write(fill: impl FnOnce(&mut Writer<'_>)) -> Vec<u8> {
    let mut buf = Vec::new();
    let mut writer = Writer::begin(&envelope(), &mut buf, LIMIT);
    fill(&mut writer);
    envelope().finish(&mut buf);
    buf
}

/// Completes a frame.
fn close(frame: Vec<u8>) -> Vec<u8> {
    envelope().finish_frame(frame, &mut StreamBinding::default()).to_vec()
}

fn parse(bytes: &[u8]) -> Result<Option<Frame>, Reject> {
    let limits = DecodeLimits::new(MAX_META, MAX_FRAME, SYNC_CHUNK);
    frame::parse(bytes, &mut envelope(), MAX_FRAME, &mut StreamBinding::default(), limits)
}

fn read(datagram: &[u8]) -> Result<Vec<Message>, Reject> {
    let mut scratch = Vec::new();
    messages(envelope().open(datagram, &mut scratch)?, MAX_META).collect()
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

/// Expected bytes for the layouts in `docs/WIRE.md`, which has no test vectors itself.
#[test]
fn messages_have_the_bytes_that_wire_md_describes() {
    let header = hex(&write(|_| {}));
    assert_eq!(header, "d10c7e7fd80c7e7fd8", "version, tag, checksum of no messages");
    let body = |fill: &dyn Fn(&mut Writer<'_>)| hex(&write(|writer| fill(writer))[9..]);
    let target = NodeId::new("db-7").unwrap();
    let short = target.short();
    assert_eq!(hex(&short.to_le_bytes()), "e65fc446", "the short name of db-7");
    let token = 0x0403_0201;
    let incarnation = Incarnation { generation: 60_000_000, number: 2 };
    let digest = 0x0807_0605;
    let status = PeerStatus { incarnation, digest };
    let tag = sender_tag(short, incarnation.generation);
    assert_eq!(hex(&tag.to_le_bytes()), "e6d85745", "db-7 in generation 60,000,000");
    let sender = PingSender { tag, number: 2, digest };
    assert_eq!(body(&|w| w.ping(token, &target, sender)), "0001020304e6b07657e6d857450205060708");
    let within = Duration::from_millis(500);
    let request = body(&|w| w.ping_request(token, tag, &target, within, false));
    assert_eq!(request, "0101020304e6d85745f4030464622d37");
    assert_eq!(body(&|w| w.ack(token, status)), "0201020304808ece1c0205060708");
    assert_eq!(body(&|w| w.nack(token, false)), "0301020304");
    let request = body(&|w| w.ping_request(token, tag, &target, within, true));
    assert_eq!(request, "0701020304e6d85745f4030464622d37", "its connection was refused");
    assert_eq!(body(&|w| w.nack(token, true)), "0601020304");
    let update_of = |state, accuser, refused| {
        body(&|w| assert!(w.update(&member(state), &Accuser::from(accuser), refused)))
    };
    let update = |state, accuser| update_of(state, accuser, false);
    let refused = update_of(State::Suspect, token, true);
    assert_eq!(refused, "0d010203040464622d37808ece1c02");
    assert_eq!(update(State::Alive, 0), "080a0000070a1f0464622d37808ece1c02016d");
    assert_eq!(update(State::Suspect, token), "0a010203040464622d37808ece1c02");
    assert_eq!(update(State::Failed, 0), "0b0464622d37808ece1c02");
    assert_eq!(update(State::Left, 0), "0c0464622d37808ece1c02");
}

#[test]
fn whoever_knows_the_name_of_a_member_finds_no_second_one_for_which_it_answers() {
    let [first, second] = ["n17y72fdg", "ms5baagc9"].map(|name| NodeId::new(name).unwrap());
    assert_eq!(first.short(), second.short(), "their CRC-32 is the same");
    let shared = (0..1 << 20)
        .filter(|&token| target_tag(token, first.hash()) == target_tag(token, second.hash()));
    assert_eq!(shared.count(), 0);
}

#[test]
fn frames_have_the_bytes_that_wire_md_describes() {
    let receipt = hex(&close(frame::receipt(&envelope())));
    assert_eq!(&receipt[..10], "d10c7e7fd8", "version and tag");
    assert_eq!(&receipt[10..18], "06000000", "length");
    assert_eq!(&receipt[26..], "047465737403", "the cluster's name, kind");
    let body = |frame: Vec<u8>| hex(&close(frame)[18..]);
    assert_eq!(body(frame::refusal(&envelope(), Refusal::Full)), "0401");
    let profile = "0a0000070a1f0464622d37808ece1c02016d";
    assert_eq!(
        body(frame::updates(&envelope(), None, &member(State::Left))),
        alloc::format!("020003{profile}")
    );
    let name = NodeId::new("n1").unwrap();
    assert_eq!(
        body(frame::updates(&envelope(), Some(&name), &member(State::Left))),
        alloc::format!("02026e3103{profile}")
    );
    let packet = frame::packet(&envelope(), Some(&name), &name, &[3, 1, 2, 3, 4]);
    assert_eq!(body(packet), "09026e31026e310301020304");
    let message = frame::message(&envelope(), &name, &name, b"hi");
    assert_eq!(body(message), "06026e31026e316869");
    assert_eq!(body(frame::ping(&envelope(), &name)), "07026e31");
    let incarnation = Incarnation { generation: 1, number: 2 };
    let pong = frame::pong(&envelope(), PeerStatus { incarnation, digest: 3 });
    assert_eq!(body(pong), "08010203000000");

    let local = member(State::Alive);
    let hello = |to: Option<&NodeId>, introduction| {
        body(frame::sync(&envelope(), to, &local, introduction, b"s"))
    };
    assert_eq!(hello(None, Introduction::Record), alloc::format!("000000{profile}0173"));
    assert_eq!(hello(None, Introduction::Newcomer), alloc::format!("0a0000{profile}0173"));
    assert_eq!(hello(Some(&name), Introduction::Name), "00026e31200464622d370173");
    let reply = frame::sync_reply(&envelope(), &local, false, b"s");
    assert_eq!(body(reply), "01200464622d370173");
    let mut parts = Vec::new();
    compare::encode_digest(&mut parts, Range::ALL, 1);
    assert_eq!(hex(&parts), "000100000000000000");
    parts.clear();
    let range = Range::ALL.child(0xa).and_then(|range| range.child(0xb)).unwrap();
    let range = range.child(0xc).unwrap();
    let mut digests = [0; 16];
    digests[1] = 7;
    compare::encode_split(&mut parts, range, &digests);
    assert_eq!(hex(&parts), "0dabc002000700000000000000");
    parts.clear();
    for (told, head) in [(false, "03"), (true, "43")] {
        parts.clear();
        compare::encode_members(
            &mut parts,
            range,
            true,
            [(&member(State::Left), told)].into_iter(),
        );
        assert_eq!(hex(&parts), alloc::format!("0fabc0{head}{profile}ff"));
    }
}

#[test]
fn a_frame_asks_for_no_range_twice() {
    let child = |n| Range::ALL.child(n).unwrap();
    let reads = |ranges: &[Range]| {
        let mut parts = Vec::new();
        ranges.iter().for_each(|&range| compare::encode_digest(&mut parts, range, 1));
        compare::decode_parts(&parts, &mut { DecodeLimits::NONE }).is_ok()
    };
    assert!(reads(&[child(0), child(1).child(0).unwrap(), child(1).child(1).unwrap(), child(2)]));
    for twice in [
        [Range::ALL, Range::ALL],
        [Range::ALL, child(3)],
        [child(3), Range::ALL],
        [child(3), child(3).child(5).unwrap()],
        [child(3), child(2)],
    ] {
        assert!(!reads(&twice), "{twice:?}");
    }
}

#[test]
fn what_a_frame_is_decoded_to_is_bounded() {
    // The shortest parts: members of a range of four nibbles, of which there are none.
    let mut parts = Vec::new();
    for start in 0..65_536_u64 {
        let range = Range::new(start << 48, 4).unwrap();
        compare::encode_members(&mut parts, range, true, [].into_iter());
    }
    let frame = |parts: &[u8]| {
        let mut frame = frame::compare(&envelope());
        frame.extend(parts);
        parse(&close(frame)).map(|_| ())
    };
    assert_eq!(frame(&parts[..2 * SYNC_CHUNK]), Ok(()), "as long as an honest frame may be");
    let decoded = size_of::<SyncPart>() * 65_536;
    assert!(decoded <= 16 * parts.len(), "{decoded} bytes");
    let mut limits = DecodeLimits::new(MAX_META, 0, SYNC_CHUNK);
    let refused = compare::decode_parts(&parts, &mut limits).map(|_| ());
    assert_eq!(refused, Err(Reject::Oversized));
}

#[test]
fn the_index_of_members_knows_how_long_their_records_are() {
    let (v4, v6) = ("10.0.0.7:7946", "[2001:db8::1]:7946");
    for (name, addr, generation, number, meta) in [
        (1, v4, 0, 127, 0),
        (127, v6, 128, 16_383, 127),
        (128, v4, 16_384, 1 << 49, 128),
        (255, v6, u64::MAX, u64::MAX, 512),
    ] {
        let id = NodeId::new(&"n".repeat(name)).unwrap();
        let incarnation = Incarnation { generation, number };
        let meta = Meta::new(&[7; MAX_META][..meta]);
        let member = Member::new(id, addr.parse().unwrap(), incarnation, meta);
        let mut record = Vec::new();
        compare::encode_member(&mut record, &member, false);
        assert_eq!(record_len(&member) as usize, record.len());
    }
}

#[test]
fn pings_and_acks_stay_within_their_size_targets() {
    let (token, target) = (u32::MAX, NodeId::new("db-7").unwrap());
    let incarnation = Incarnation { generation: 250_000_000, number: 127 };
    let status = PeerStatus { incarnation, digest: u32::MAX };
    let sender = PingSender { tag: u32::MAX, number: 127, digest: u32::MAX };
    let ping = write(|w| w.ping(token, &target, sender));
    let ack = write(|w| w.ack(token, status));
    // The targets do not count cluster tag and checksum.
    assert!(ping.len() - 8 <= 24 && ack.len() - 8 <= 16);
    assert!(ping.len() + ack.len() <= 50, "one probe round without updates");
    assert_eq!(write(|w| w.nack(token, false)).len(), 9 + 5);
}

#[test]
fn the_longest_update_stays_within_update_overhead_and_max_meta() {
    let id = NodeId::new(&"x".repeat(255)).unwrap();
    let incarnation = Incarnation { generation: u64::MAX, number: u64::MAX };
    let meta = Meta::new(&[7; MAX_META]);
    let addr = "[2001:db8::1]:65535".parse().unwrap();
    let member = Member::new(id, addr, incarnation, meta);
    let datagram = write(|w| assert!(w.update(&member, &Accuser::Unknown, false)));
    assert!(datagram.len() <= UPDATE_OVERHEAD + MAX_META, "{} bytes", datagram.len());
}

#[test]
fn an_update_that_does_not_fit_is_removed_whole() {
    let mut buf = Vec::new();
    let mut writer = Writer::begin(&envelope(), &mut buf, 57);
    assert!(writer.update(&member(State::Alive), &Accuser::Unknown, false));
    assert!(writer.update(&member(State::Left), &Accuser::Unknown, false));
    assert!(!writer.update(&member(State::Alive), &Accuser::Unknown, false));
    assert!(writer.update(&member(State::Left), &Accuser::Unknown, false));
    envelope().finish(&mut buf);
    assert_eq!(buf.len(), 9 + 19 + 11 + 11);
    assert_eq!(read(&buf).unwrap().len(), 3);
}

#[test]
fn unknown_kinds_from_64_are_skipped_and_unknown_kinds_below_are_malformed() {
    let mut datagram = write(|w| w.nack(1, false));
    datagram.splice(9..9, [200, 3, 1, 2, 3]);
    let read_again = |mut datagram: Vec<u8>| {
        envelope().finish(&mut datagram);
        read(&datagram)
    };
    let messages = read_again(datagram.clone()).unwrap();
    assert!(matches!(messages[..], [Message::Unknown, Message::Nack { token: 1, refused: false }]));
    datagram[9] = 63;
    assert_eq!(read_again(datagram).err(), Some(Reject::Malformed));
}

#[test]
fn members_at_unreachable_addresses_are_not_accepted() {
    for addr in
        ["0.0.0.0:1", "224.0.0.1:1", "255.255.255.255:1", "10.0.0.1:0", "[::]:1", "[ff02::1]:1"]
    {
        let mut member = member(State::Alive);
        member.set_addr(addr.parse().unwrap());
        let datagram = write(|w| assert!(w.update(&member, &Accuser::Unknown, false)));
        assert!(matches!(read(&datagram).unwrap()[..], [Message::RefusedMember]), "{addr}");
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
    let id = "[^\\p{Cc}\\p{Cf}\\p{Z}]{1,60}".prop_filter_map("valid", |id| NodeId::new(&id).ok());
    (id, addr, any::<(u64, u64)>(), meta, state).prop_map(
        |(id, addr, (generation, number), meta, state)| {
            let incarnation = Incarnation { generation, number };
            let mut member = Member::new(id, addr, incarnation, Meta::new(&meta));
            member.state = state;
            member
        },
    )
}

proptest! {
    #[test]
    fn an_update_is_decoded_as_it_was_encoded(member in members(), accuser: u32) {
        let named = Accuser::from(accuser);
        let datagram = write(|writer| assert!(writer.update(&member, &named, false)));
        let messages = read(&datagram).unwrap();
        let [Message::Update(update)] = &messages[..] else { panic!("{messages:?}") };
        prop_assert_eq!(&update.claim.id, &member.id);
        prop_assert_eq!(update.claim.incarnation, member.incarnation);
        prop_assert_eq!(update.claim.state, member.state);
        let expected = if member.state == State::Suspect { accuser } else { 0 };
        prop_assert_eq!(update.accuser.short(), expected);
        let profile = update.claim.profile.as_ref();
        let profile = profile.map(|profile| (profile.addr, profile.meta.clone()));
        let expected = (member.state == State::Alive).then(|| (member.addr(), member.meta.clone()));
        prop_assert_eq!(profile, expected);
    }

    #[test]
    fn a_frame_is_decoded_as_it_was_encoded_and_a_prefix_is_incomplete(
        members in prop::collection::vec(members(), 1..20),
        state in prop::collection::vec(any::<u8>(), 0..50),
        cut in any::<prop::sample::Index>(),
    ) {
        let frame = hello(&members, &state);
        let cut = cut.index(frame.len());
        prop_assert!(matches!(parse(&frame[..cut]), Ok(None)));
        let Ok(Some(Frame::Sync(read))) = parse(&frame) else { panic!("the frame is complete") };
        let PeerIdentity::Member(claim) = &read.who else { panic!("{:?}", read.who) };
        prop_assert!(claim.is_all_of(&members[0]));
        prop_assert_eq!(&read.state[..], &state);
        let [SyncPart::Members { range: Range::ALL, claims, ask: true }] = &read.parts[..] else {
            panic!("{:?}", read.parts);
        };
        prop_assert_eq!(claims.refused, 0);
        prop_assert_eq!(claims.claims.len(), members.len());
        for (claim, member) in claims.claims.iter().zip(&members) {
            prop_assert!(claim.id == member.id && claim.is_all_of(member));
        }
    }

    #[test]
    fn a_frame_with_a_flipped_bit_is_never_accepted(
        members in prop::collection::vec(members(), 1..4),
        at in any::<prop::sample::Index>(),
        bit in 0..8u8,
    ) {
        let mut bytes = hello(&members, b"");
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << bit;
        let parsed = parse(&bytes);
        prop_assert!(matches!(parsed, Err(_) | Ok(None)), "{:?}", parsed);
    }

    #[test]
    fn members_are_decoded_as_they_were_encoded_and_their_length_is_known_before(
        members in prop::collection::vec((members(), any::<bool>()), 0..20),
    ) {
        let mut buf = Vec::new();
        let each = members.iter().map(|(member, told)| (member, *told));
        compare::encode_members(&mut buf, Range::ALL, false, each);
        let records: usize = members.iter().map(|(member, _)| record_len(member) as usize).sum();
        prop_assert_eq!(buf.len(), compare::members_len(Range::ALL) + records);
        let parts = compare::decode_parts(&buf, &mut { DecodeLimits::NONE }).unwrap();
        let [SyncPart::Members { claims, ask: false, .. }] = &parts[..] else {
            panic!("{parts:?}")
        };
        prop_assert_eq!(claims.claims.len(), members.len());
        for (claim, (member, told)) in claims.claims.iter().zip(&members) {
            prop_assert!(claim.is_all_of(member));
            prop_assert_eq!(claim.profile.as_ref().map(|profile| profile.told), Some(*told));
        }
    }

    #[test]
    fn no_bytes_make_a_decoder_panic(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        drop(read(&bytes));
        drop(parse(&bytes));
        drop(envelope().of_foreign_frame(&bytes));
        // In a valid envelope, so that the bytes reach the message decoders.
        let mut datagram = Vec::new();
        envelope().begin(&mut datagram);
        datagram.extend(&bytes);
        envelope().finish(&mut datagram);
        drop(read(&datagram));
        if let Some((kind, body)) = bytes.split_first() {
            let mut frame = envelope().begin_frame(kind % 10);
            frame.extend(body);
            drop(parse(&close(frame)));
        }
    }
}

/// A sync by the first of these members, with the records of all of them.
fn hello(members: &[Member], state: &[u8]) -> Vec<u8> {
    let mut buf = frame::sync(&envelope(), None, &members[0], Introduction::Record, state);
    compare::encode_members(
        &mut buf,
        Range::ALL,
        true,
        members.iter().map(|member| (member, false)),
    );
    close(buf)
}

//! Tests of memberlist's format: bytes as real memberlist nodes send them, limits, and arbitrary
//! bytes.

use super::leaf::{self, Accusation, Ack, Alive, IndirectPing, Leaf, Ping, Source};
use super::packet::{self, MAX_PARTS};
use super::stream::{self, Message, Record, Unit};
use super::{Envelope, Writer};
use crate::config::Memberlist;
use crate::member::NodeId;
use crate::stats::Reject;
use crate::wire::ParseProgress;
use alloc::vec;
use alloc::vec::Vec;
use data_encoding::HEXLOWER;
use proptest::prelude::*;

const LIMIT: usize = 65_536;

fn bytes(hex: &str) -> Vec<u8> {
    let hex: Vec<u8> = hex.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
    HEXLOWER.decode(&hex).unwrap()
}

fn encoded(leaf: &Leaf<'_>) -> Vec<u8> {
    let mut buf = Vec::new();
    leaf.encode(&mut buf);
    buf
}

fn expanded(datagram: &[u8]) -> Result<Vec<Vec<u8>>, Reject> {
    let mut buf = Vec::new();
    packet::expand(datagram, LIMIT, &mut buf)?;
    Ok(packet::leaves(&buf).map(<[u8]>::to_vec).collect())
}

fn source() -> Source<'static> {
    Source { addr: (&[10, 0, 0, 1][..]).into(), port: 7946, node: b"node-a".into() }
}

const VSN: &[u8] = &[1, 5, 2, 0, 0, 0];
const ALIVE: &str = "0486a441646472a40a000001ab496e6361726e6174696f6e01a44d657461c0a44e6f6465a66e6f64652d61\
                     a4506f7274cd1f0aa356736ea6010502000000";

fn alive() -> Alive<'static> {
    Alive {
        incarnation: 1,
        node: b"node-a".into(),
        addr: (&[10, 0, 0, 1][..]).into(),
        port: 7946,
        meta: (&[][..]).into(),
        vsn: VSN.into(),
    }
}

#[test]
fn leaves_have_the_bytes_that_real_nodes_send() {
    let mapped = bytes("00000000000000000000ffff0a000001");
    let long = [b'x'; 40];
    for (leaf, hex) in [
        (
            Leaf::Ping(Ping { seq: 42, node: b"node-b".into(), source: Source::default() }),
            "0082a44e6f6465a66e6f64652d62a55365714e6f2a",
        ),
        (
            Leaf::Ping(Ping { seq: 42, node: b"node-b".into(), source: source() }),
            "0085a44e6f6465a66e6f64652d62a55365714e6f2aaa536f7572636541646472a40a000001aa536f75726365\
             4e6f6465a66e6f64652d61aa536f75726365506f7274cd1f0a",
        ),
        (
            Leaf::IndirectPing(IndirectPing {
                seq: 42,
                target: (&[10, 0, 0, 1][..]).into(),
                port: 7946,
                node: b"node-b".into(),
                nack: true,
                source: source(),
            }),
            "0188a44e61636bc3a44e6f6465a66e6f64652d62a4506f7274cd1f0aa55365714e6f2aaa536f757263654164\
             6472a40a000001aa536f757263654e6f6465a66e6f64652d61aa536f75726365506f7274cd1f0aa654617267\
             6574a40a000001",
        ),
        (Leaf::Ack(Ack { seq: 42 }), "0282a75061796c6f6164c0a55365714e6f2a"),
        (Leaf::Nack { seq: 70_000 }, "0b81a55365714e6fce00011170"),
        (
            Leaf::Suspect(Accusation {
                incarnation: 7,
                node: b"node-b".into(),
                from: b"node-a".into(),
            }),
            "0383a446726f6da66e6f64652d61ab496e6361726e6174696f6e07a44e6f6465a66e6f64652d62",
        ),
        (
            Leaf::Dead(Accusation {
                incarnation: 7,
                node: b"node-b".into(),
                from: b"node-a".into(),
            }),
            "0583a446726f6da66e6f64652d61ab496e6361726e6174696f6e07a44e6f6465a66e6f64652d62",
        ),
        (
            Leaf::Dead(Accusation {
                incarnation: 7,
                node: b"node-b".into(),
                from: b"node-b".into(),
            }),
            "0583a446726f6da66e6f64652d62ab496e6361726e6174696f6e07a44e6f6465a66e6f64652d62",
        ),
        (Leaf::Alive(alive()), ALIVE),
        (
            Leaf::Alive(Alive {
                incarnation: 200,
                addr: (&mapped[..]).into(),
                meta: b"m".into(),
                vsn: (&[1, 5, 2, 2, 5, 4][..]).into(),
                ..alive()
            }),
            "0486a441646472b000000000000000000000ffff0a000001ab496e6361726e6174696f6eccc8a44d657461a1\
             6da44e6f6465a66e6f64652d61a4506f7274cd1f0aa356736ea6010502020504",
        ),
        (
            Leaf::Alive(Alive {
                incarnation: 70_000,
                port: 80,
                meta: (&long[..]).into(),
                ..alive()
            }),
            "0486a441646472a40a000001ab496e6361726e6174696f6ece00011170a44d657461da0028\
             78787878787878787878787878787878787878787878787878787878787878787878787878787878\
             a44e6f6465a66e6f64652d61a4506f727450a356736ea6010502000000",
        ),
        (Leaf::User(b"hi"), "086869"),
    ] {
        let expected = bytes(hex);
        assert_eq!(HEXLOWER.encode(&encoded(&leaf)), HEXLOWER.encode(&expected));
        assert_eq!(leaf::read(&expected), Ok(leaf));
    }
    let with_payload = bytes("0282a75061796c6f6164a26869a55365714e6fcd012c");
    assert_eq!(leaf::read(&with_payload), Ok(Leaf::Ack(Ack { seq: 300 })));
}

#[test]
fn bytes_after_a_leaf_are_ignored_and_lower_case_keys_are_unknown() {
    let trailing = [&bytes(ALIVE)[..], b"trailing"].concat();
    assert_eq!(leaf::read(&trailing), Ok(Leaf::Alive(alive())));
    let lower = b"\x0b\x81\xa5seqno\x07";
    assert_eq!(leaf::read(lower), Ok(Leaf::Nack { seq: 0 }));
    for unexpected in [6, 7, 9, 10, 12, 13, 14, 244] {
        assert_eq!(leaf::read(&[unexpected, 0x80]), Err(Reject::Unexpected), "{unexpected}");
    }
}

#[test]
fn compounds_have_the_bytes_that_real_nodes_send() {
    let mut buf = bytes(ALIVE);
    buf.extend_from_slice(b"\x08hi");
    packet::wrap_compound(&mut buf, 0, &[62, 3]);
    assert_eq!(HEXLOWER.encode(&buf[..6]), "0702003e0003");
    assert_eq!(expanded(&buf), Ok(vec![bytes(ALIVE), b"\x08hi".to_vec()]));
}

#[test]
fn checksums_and_compression_have_the_bytes_that_real_nodes_send() {
    let crc = |data: &[u8], compress| {
        let mut buf = [&[0; 5][..], data].concat();
        if compress {
            packet::compress(&mut buf, 5, true);
        }
        packet::encode_crc(&mut buf, 0);
        HEXLOWER.encode(&buf)
    };
    let user = [b"\x08", &[b'a'; 64][..]].concat();
    assert_eq!(crc(b"\x08hi", true), "0c6818b0f9086869", "not compressed, because that is longer");
    let compressed = "0c5f312fe30982a4416c676f00a3427566b00011841948b0a0c18308132a5ca83020";
    assert_eq!(crc(&user, true), compressed);
    assert_eq!(expanded(&bytes(compressed)), Ok(vec![user]));
    let mut buf = vec![b'a'; 64];
    packet::compress(&mut buf, 0, true);
    let expected = "0982a4416c676f00a3427566af00c3081c48b0a0c18308132a4c1810";
    assert_eq!(HEXLOWER.encode(&buf), expected);
    assert_eq!(expanded(&bytes(expected)), Ok(vec![vec![b'a'; 64]]));
}

#[test]
fn captured_gossip_and_a_captured_probe_of_a_suspect_are_decoded() {
    let gossip = bytes(
        "0cffe9e99b0702003e003c0486a441646472a47f000001ab496e6361726e6174696f6e01a44d657461a2676d\
         a44e6f6465a4676f2d61a4506f7274cd461aa356736ea60105020000000486a441646472a47f000001ab496e\
         6361726e6174696f6e01a44d657461c0a44e6f6465a470792d62a4506f7274cd461ba356736ea60105020000\
         00",
    );
    let leaves = expanded(&gossip).unwrap();
    let read: Vec<_> = leaves.iter().map(|leaf| leaf::read(leaf).unwrap()).collect();
    let [Leaf::Alive(one), Leaf::Alive(two)] = &read[..] else { panic!("{read:?}") };
    assert_eq!((&one.node[..], &one.meta[..], one.port), (&b"go-a"[..], &b"gm"[..], 17_946));
    assert_eq!((&two.node[..], &two.meta[..], two.port), (&b"py-b"[..], &b""[..], 17_947));
    let mut damaged = gossip;
    damaged[20] ^= 1;
    assert_eq!(expanded(&damaged), Err(Reject::Checksum));

    let probe = bytes(
        "0cd5a0ec840702004100230085a44e6f6465a470792d62a55365714e6f03aa536f7572636541646472a47f00\
         0001aa536f757263654e6f6465a4676f2d61aa536f75726365506f7274cd461a0383a446726f6da4676f2d61\
         ab496e6361726e6174696f6e01a44e6f6465a470792d62",
    );
    let leaves = expanded(&probe).unwrap();
    let read: Vec<_> = leaves.iter().map(|leaf| leaf::read(leaf).unwrap()).collect();
    let [Leaf::Ping(ping), Leaf::Suspect(suspect)] = &read[..] else { panic!("{read:?}") };
    assert_eq!((ping.seq, &ping.node[..], &ping.source.node[..]), (3, &b"py-b"[..], &b"go-a"[..]));
    assert_eq!((suspect.incarnation, &suspect.from[..]), (1, &b"go-a"[..]));
}

#[test]
fn a_truncated_compound_loses_only_the_parts_that_are_cut() {
    let whole = b"\x07\x03\x00\x02\x00\x02\x00\x02\x08a\x08b\x08c";
    let parts = |end: usize| expanded(&whole[..end]);
    let (a, b, none) = (b"\x08a".to_vec(), b"\x08b".to_vec(), vec![]);
    assert_eq!(parts(14), Ok(vec![a.clone(), b.clone(), b"\x08c".to_vec()]));
    assert_eq!(parts(13), Ok(vec![a.clone(), b, none.clone()]));
    assert_eq!(parts(10), Ok(vec![a, none.clone()]));
    assert_eq!(parts(7), Err(Reject::Malformed));
    assert_eq!(expanded(b"\x07\x00"), Ok(vec![]));
    let with_empty_part = b"\x07\x02\x00\x00\x00\x02\x08a";
    assert_eq!(expanded(with_empty_part), Ok(vec![none.clone(), b"\x08a".to_vec()]));
    let with_malformed_part = b"\x07\x02\x00\x02\x00\x02\x09x\x08a";
    assert_eq!(expanded(with_malformed_part), Ok(vec![none, b"\x08a".to_vec()]));
}

#[test]
fn layers_may_be_nested_eight_deep() {
    let mut nested = b"\x08hi".to_vec();
    for depth in 1..=20 {
        let length = nested.len() as u16;
        packet::wrap_compound(&mut nested, 0, &[length]);
        let expected = if depth <= 8 { Ok(vec![b"\x08hi".to_vec()]) } else { Ok(vec![vec![]]) };
        assert_eq!(expanded(&nested), expected, "{depth}");
    }
    let mut twice = vec![7; 3000];
    twice[0] = 8;
    packet::compress(&mut twice, 0, true);
    packet::compress(&mut twice, 0, false);
    assert_eq!(expanded(&twice).unwrap()[0].len(), 3000);
}

#[test]
fn the_expanded_size_of_a_datagram_is_bounded_with_any_nesting() {
    let mut bomb = vec![0; LIMIT - 100];
    bomb[0] = 8;
    packet::compress(&mut bomb, 0, true);
    assert_eq!(expanded(&bomb).unwrap()[0].len(), LIMIT - 100);
    let length = bomb.len() as u16;
    let mut two = [&bomb[..], &bomb].concat();
    packet::wrap_compound(&mut two, 0, &[length, length]);
    let leaves = expanded(&two).unwrap();
    assert_eq!(
        (leaves[0].len(), leaves[1].len()),
        (LIMIT - 100, 0),
        "the second part exceeds the limit"
    );
    let mut large = vec![0; LIMIT + 1];
    large[0] = 8;
    packet::compress(&mut large, 0, true);
    assert_eq!(expanded(&large), Err(Reject::Oversized));
}

// ---- streams ----

/// A message with its records, in leaked memory.
#[derive(Debug, PartialEq)]
enum Owned {
    PushPull { join: bool, records: Vec<Record<'static>>, state: &'static [u8] },
    Ping(Ping<'static>),
    Ack(Ack),
    User(&'static [u8]),
    Error,
}

fn read(plain: &[u8], whole: bool) -> Result<Option<Owned>, Reject> {
    let (mut progress, mut scratch) = (ParseProgress::default(), Vec::new());
    let message = stream::read(plain, whole, LIMIT, &mut progress, &mut scratch)?;
    Ok(message.map(into_owned))
}

fn into_owned(message: Message<'_>) -> Owned {
    let owned = |bytes: &[u8]| -> &'static [u8] { bytes.to_vec().leak() };
    match message {
        Message::PushPull { join, records, state } => {
            let record = |record: Record<'_>| Record {
                name: owned(&record.name).into(),
                addr: owned(&record.addr).into(),
                meta: owned(&record.meta).into(),
                vsn: owned(&record.vsn).into(),
                ..record
            };
            let records = records.map(record).collect();
            Owned::PushPull { join, records, state: owned(state) }
        }
        Message::Ping(Ping { seq, node, source }) => Owned::Ping(Ping {
            seq,
            node: owned(&node).into(),
            source: Source {
                addr: owned(&source.addr).into(),
                port: source.port,
                node: owned(&source.node).into(),
            },
        }),
        Message::Ack(ack) => Owned::Ack(ack),
        Message::User(data) => Owned::User(owned(data)),
        Message::Error(_) => Owned::Error,
    }
}

fn record(name: &'static str, port: u16, meta: &'static str) -> Record<'static> {
    Record {
        name: name.as_bytes().into(),
        addr: (&[127, 0, 0, 1][..]).into(),
        port,
        meta: meta.as_bytes().into(),
        incarnation: 1,
        state: 0,
        vsn: VSN.into(),
    }
}

const REQUEST: &str = "0683a44a6f696ec3a54e6f64657301ac5573657253746174654c656e0487a441646472a47f000001ab49\
    6e6361726e6174696f6e01a44d657461c0a44e616d65a470792d62a4506f7274cd461ba5537461746500a356736ea6010502\
    00000070797374";

fn push_pull(join: bool, records: &[Record<'_>], state: &[u8]) -> Vec<u8> {
    let mut buf = Vec::new();
    stream::encode_push_pull(&mut buf, join, records.len() as u32, state.len() as u32);
    records.iter().for_each(|record| stream::encode_record(&mut buf, record));
    buf.extend_from_slice(state);
    buf
}

#[test]
fn a_push_pull_has_the_bytes_that_real_nodes_send() {
    let reply = "0683a44a6f696ec3a54e6f64657301ac5573657253746174654c656e0187a441646472a47f000001ab496e63\
        61726e6174696f6e01a44d657461a2676da44e616d65a4676f2d61a4506f7274cd461aa5537461746500a356736ea601\
        050200000053";
    for (hex, record, state) in
        [(REQUEST, record("py-b", 17_947, ""), "pyst"), (reply, record("go-a", 17_946, "gm"), "S")]
    {
        let (records, state) = (vec![record], state.as_bytes());
        assert_eq!(
            HEXLOWER.encode(&push_pull(true, &records, state)),
            HEXLOWER.encode(&bytes(hex))
        );
        let expected = Owned::PushPull { join: true, records, state };
        assert_eq!(read(&bytes(hex), false), Ok(Some(expected)));
    }
}

#[test]
fn a_compressed_push_pull_of_a_real_node_is_decoded() {
    let captured = bytes(
        "0982a4416c676f00a3427566da006a000d0c22a5e44d1a37c34a397943a6cc9c00acaacc2923670a9d3074ca\
         3029e326c0215241c8909143ea0f00000156257133268c1c3718d3bce948aa49998ba2ceb421e5244c9b32a4\
         cebc69118614943772e83433a2a194458c65008cb232c78da90005049c04302520",
    );
    let Ok(Some(Owned::PushPull { join: true, records, state: b"S" })) = read(&captured, false)
    else {
        panic!("{:?}", read(&captured, false))
    };
    assert_eq!(records, [record("go-a", 17_946, "gm")]);
    for cut in 0..captured.len() {
        assert_eq!(read(&captured[..cut], false), Ok(None), "{cut}");
    }
}

/// memberlist 0.5.1 and later encode these as signed numbers.
#[test]
fn numbers_of_either_msgpack_library_are_decoded() {
    let records = vec![record("n", 1, ""); 128];
    let state = [7; 200];
    let old = push_pull(false, &records, &state);
    let header = "0683a44a6f696ec2a54e6f646573cc80ac5573657253746174654c656eccc8";
    assert_eq!(HEXLOWER.encode(&old[..header.len() / 2]), header);
    let new = bytes("0683a44a6f696ec2a54e6f646573d10080ac5573657253746174654c656ed100c8");
    let new = [&new[..], &old[header.len() / 2..]].concat();
    for message in [&old, &new] {
        let expected = Owned::PushPull { join: false, records: records.clone(), state: &[7; 200] };
        assert_eq!(read(message, false), Ok(Some(expected)));
    }
    for header in [
        "0683a44a6f696ec2a54e6f646573cd012cac5573657253746174654c656ecd9c40",
        "0683a44a6f696ec2a54e6f646573d1012cac5573657253746174654c656ed200009c40",
    ] {
        assert_eq!(read(&bytes(header), false), Ok(None), "300 nodes, 40,000 bytes");
    }
}

#[test]
fn reliable_messages_pings_acks_and_errors_have_the_bytes_that_real_nodes_send() {
    let mut user = Vec::new();
    stream::encode_user(&mut user, b"hello-reliable");
    let expected = "0881aa557365724d73674c656e0e68656c6c6f2d72656c6961626c65";
    assert_eq!(HEXLOWER.encode(&user), expected);
    assert_eq!(read(&user, false), Ok(Some(Owned::User(b"hello-reliable"))));

    let ping = bytes(
        "0982a4416c676f00a3427566da004100011422e5e40d9932a4e0e46921a6d49432710a0a5035e54d1d39\
         63ca042143460ea93f000004a0681163998207499d79d3220cc98b19a1bc9143a799110d0101",
    );
    let source = Source { addr: (&[127, 0, 0, 1][..]).into(), port: 17_946, node: b"go-a".into() };
    let expected = Ping { seq: 2, node: b"py-b".into(), source };
    assert_eq!(read(&ping, false), Ok(Some(Owned::Ping(expected.clone()))));
    let inner = "0085a44e6f6465a470792d62a55365714e6f02aa536f7572636541646472a47f000001aa536f75726365\
        4e6f6465a4676f2d61aa536f75726365506f7274cd461a";
    let mut plain = Vec::new();
    expected.encode(&mut plain);
    assert_eq!(HEXLOWER.encode(&plain), inner.replace(' ', ""));
    packet::compress(&mut plain, 0, false);
    assert_eq!(HEXLOWER.encode(&plain), HEXLOWER.encode(&ping));

    let mut ack = Vec::new();
    Ack { seq: 30 }.encode(&mut ack);
    assert_eq!(HEXLOWER.encode(&ack), "0282a75061796c6f6164c0a55365714e6f1e");
    assert_eq!(read(&ack, false), Ok(Some(Owned::Ack(Ack { seq: 30 }))));

    for (error, hex) in [
        ("remote error", "0d81a54572726f72ac72656d6f7465206572726f72"),
        (
            "decompressed message is empty",
            "0d81a54572726f72bd6465636f6d70726573736564206d65737361676520697320656d707479",
        ),
    ] {
        let mut buf = Vec::new();
        stream::encode_error(&mut buf, error);
        assert_eq!(HEXLOWER.encode(&buf), hex);
        assert_eq!(read(&buf, false), Ok(Some(Owned::Error)));
    }
}

#[test]
fn a_claimed_length_beyond_the_limit_is_rejected_at_once() {
    let header = |nodes: &str, len: &str| {
        bytes(&["0683a44a6f696ec2a54e6f646573", nodes, "ac5573657253746174654c656e", len].concat())
    };
    for (nodes, len) in [("ce7fffffff", "00"), ("01", "ce00010000"), ("d3ffffffffffffffff", "00")] {
        let rejected = read(&header(nodes, len), false);
        assert!(matches!(rejected, Err(Reject::Oversized | Reject::Malformed)), "{rejected:?}");
    }
    assert!(read(b"\x08\x81\xaaUserMsgLen\xce\xff\xff\xff\xff", false).is_err());
    assert!(read(b"\x08\x81\xaaUserMsgLen\xff", false).is_err(), "a negative length");
    assert_eq!(stream::unit(b"\x0a\x00\x01\x00\x01", LIMIT), Err(Reject::Oversized));
    assert_eq!(stream::unit(b"\x0a\x00\x00\x00\x02a", LIMIT), Ok(None));
    assert_eq!(stream::unit(b"\x0a\x00\x00\x00\x02abc", LIMIT), Ok(Some(Unit::Sealed(b"ab"))));
    for other in [1, 3, 4, 5, 7, 11, 12, 14, 244] {
        assert_eq!(read(&[other, 0x80], false), Err(Reject::Unexpected), "{other}");
    }
    assert_eq!(read(&bytes(REQUEST)[..40], true), Err(Reject::Malformed), "no more will arrive");
}

#[test]
fn the_longest_question_is_a_ping_with_the_longest_names_and_address() {
    let name = |letter: &str| NodeId::new(&letter.repeat(NodeId::MAX_LEN)).unwrap();
    let addr = "[2001:db8:1:2:3:4:5:6]:65535".parse().unwrap();
    let envelope = Envelope::new(&Memberlist::new(), name("a"), addr, true);
    let mut buf = Vec::new();
    let mut writer = Writer::begin(&envelope, &mut buf, 1400);
    writer.ping(u32::MAX, &name("b"));
    assert_eq!(writer.len(), envelope.longest_question());
}

/// Each chunk costs time for its own bytes, not for those before it.
#[test]
fn a_push_pull_in_many_chunks_is_scanned_once() {
    let records = vec![record("node", 7946, "meta"); 500];
    let message = push_pull(false, &records, b"state");
    let (mut progress, mut scratch) = (ParseProgress::default(), Vec::new());
    for end in 0..message.len() {
        let read = stream::read(&message[..end], false, LIMIT, &mut progress, &mut scratch);
        assert_eq!(read, Ok(None));
        assert!(end - progress.at < 200, "{} of {end}", progress.at);
    }
    let read = stream::read(&message, false, LIMIT, &mut progress, &mut scratch).unwrap().unwrap();
    let expected = Owned::PushPull { join: false, records, state: b"state" };
    assert_eq!(into_owned(read), expected);
}

/// A message that is decoded anew for each byte would take the square of its length.
#[test]
fn a_message_that_arrives_byte_by_byte_is_decoded_a_few_times() {
    let field = |value: &[u8], count: u16| {
        let [high, low] = count.to_be_bytes();
        [&[0x82, 0xa1, b'Z', 0xdc, high, low][..], &value.repeat(count.into())].concat()
    };
    let bytes = [&[0xc4, 250][..], &[7; 250]].concat();
    let nested = [0x92, 0x91, 0x00, 0x01];
    for (value, count) in [(&[1][..], 4000), (&[0xcc, 7], 4000), (&bytes, 2000), (&nested, 900)] {
        for kind in [0, 2, 6, 8, 13] {
            let message = [&[kind][..], &field(value, count), b"\xa1Y"].concat();
            let (mut progress, mut scratch) = (ParseProgress::default(), Vec::new());
            let (mut decoded, mut needed) = (0, 0);
            for end in 0..message.len() {
                let read =
                    stream::read(&message[..end], false, 1 << 20, &mut progress, &mut scratch);
                assert_eq!(read, Ok(None));
                if progress.needed != needed {
                    (decoded, needed) = (decoded + 1, progress.needed);
                }
            }
            // Each time takes at most 4,000 values, of some 5 ns.
            assert!(decoded < 50 + message.len() / 80, "{decoded} times for {}", message.len());
        }
    }
}

proptest! {
    #[test]
    fn an_update_is_decoded_as_it_was_encoded(
        node in "[ -~]{1,255}",
        meta in prop::collection::vec(any::<u8>(), 0..600),
        incarnation: u32,
        port: u16,
        v6: bool,
    ) {
        let addr = if v6 { vec![7; 16] } else { vec![7; 4] };
        let leaf = Leaf::Alive(Alive {
            incarnation,
            node: node.as_bytes().into(),
            addr: (&addr[..]).into(),
            port,
            meta: (&meta[..]).into(),
            vsn: VSN.into(),
        });
        let bytes = encoded(&leaf);
        prop_assert_eq!(leaf::read(&bytes), Ok(leaf));
    }

    #[test]
    fn up_to_127_parts_of_a_compound_keep_their_order(
        parts in prop::collection::vec(prop::collection::vec(14..200u8, 1..40), 1..=MAX_PARTS),
        checked: bool,
    ) {
        let mut buf = vec![0; 5];
        parts.iter().for_each(|part| buf.extend_from_slice(part));
        let lengths: Vec<_> = parts.iter().map(|part| part.len() as u16).collect();
        packet::wrap_compound(&mut buf, 5, &lengths);
        packet::encode_crc(&mut buf, 0);
        prop_assert_eq!(expanded(&buf[if checked { 0 } else { 5 }..]), Ok(parts));
    }

    #[test]
    fn no_bytes_make_a_decoder_panic_or_exceed_its_limit(
        bytes in prop::collection::vec(any::<u8>(), 0..600),
        kind in 0..15u8,
        limit in 0..2000usize,
    ) {
        let mut leaves = Vec::new();
        for bytes in [&bytes[..], &[&[kind][..], &bytes].concat()] {
            leaves.clear();
            let _ = packet::expand(bytes, limit, &mut leaves);
            prop_assert!(leaves.len() <= 3 * (limit + bytes.len()) + 8);
            packet::leaves(&leaves).for_each(|leaf| drop(leaf::read(leaf)));
            drop(leaf::read(bytes));
            drop(read(bytes, false));
            drop(read(bytes, true));
            let _ = stream::unit(bytes, limit);
            let _ = super::label::strip(bytes, b"label");
        }
    }
}

//! A hostile or broken network: what it sends is counted, and changes nothing else.

use super::*;

/// Feeds a datagram; returns the number of datagrams that the node sends at once, and their bytes.
fn answers(net: &mut Net, from: SocketAddr, datagram: &[u8]) -> (usize, usize) {
    let before = net.datagrams.len();
    net.inject(0, from, datagram);
    let sent = &net.datagrams[before..];
    (sent.len(), sent.iter().map(|(_, _, data)| data.len()).sum())
}

fn rejected(net: &Net) -> Rejected {
    net.nodes[0].node.stats().rejected_datagrams.clone()
}

// With encryption the reasons are others: see `encryption.rs`.
#[cfg(not(feature = "encryption"))]
#[test]
fn datagrams_that_are_not_ours_are_counted_by_reason_and_not_answered() {
    let mut net = pair();
    let good = forge::datagram(&[forge::ping(7, "n0")]);
    let mut broken = good.clone();
    *broken.last_mut().unwrap() ^= 1;
    let mut other_version = good.clone();
    other_version[0] = 0xd2;
    for (datagram, reason) in [
        (vec![], "format"),
        (b"GET / HTTP/1.1".to_vec(), "format"),
        (good[..8].to_vec(), "format"),
        (other_version, "format"),
        (forge::plain_datagram("other", &[forge::ping(7, "n0")]), "foreign_cluster"),
        (broken, "checksum"),
        (good[..good.len() - 1].to_vec(), "checksum"),
        (forge::datagram(&[forge::ping(7, "n0")[..5].to_vec()]), "malformed"),
        (forge::datagram(&[vec![63]]), "malformed"),
        (forge::datagram(&[vec![11, 200]]), "malformed"),
        (forge::datagram(&[vec![64; 10_000]]), "oversized"),
    ] {
        let before = rejected(&net);
        assert_eq!(answers(&mut net, addr(1), &datagram), (0, 0), "{reason}");
        let after = rejected(&net);
        let counted = match reason {
            "format" => after.format - before.format,
            "foreign_cluster" => after.foreign_cluster - before.foreign_cluster,
            "checksum" => after.checksum - before.checksum,
            "malformed" => after.malformed - before.malformed,
            _ => after.oversized - before.oversized,
        };
        assert_eq!((counted, after.total() - before.total()), (1, 1), "{reason}");
    }
    assert_eq!(answers(&mut net, addr(1), &good).0, 1, "and what is ours is answered");
}

#[test]
fn messages_of_a_later_version_are_skipped() {
    let mut net = pair();
    let datagram = forge::datagram(&[vec![99, 3, 1, 2, 3], forge::ping(7, "n0")]);
    assert_eq!(answers(&mut net, addr(1), &datagram).0, 1);
    assert_eq!(net.nodes[0].node.stats().unknown_messages, 1);
}

#[test]
fn a_ping_for_another_node_at_our_address_is_not_answered() {
    let mut net = pair();
    let datagram = forge::datagram(&[forge::ping(7, "someone")]);
    assert_eq!(answers(&mut net, addr(1), &datagram), (0, 0));
    assert_eq!(net.nodes[0].node.stats().misdirected_pings, 1);
}

#[test]
fn a_stranger_gets_a_bare_ack_no_larger_than_its_ping() {
    let mut net = trio();
    net.set_meta(0, "secret news");
    // A ping as node 1 would send it, from an address that no member has.
    let mut ping = net.datagrams.iter().rev().find(|(_, to, data)| *to == addr(0) && data[0] == 0);
    while ping.is_none() {
        net.step(net.now + SECOND);
        ping = net.datagrams.iter().rev().find(|(_, to, data)| *to == addr(0) && data[0] == 0);
    }
    let ping = forge::datagram(&[ping.unwrap().2.clone()]);
    let before = net.datagrams.len();
    net.inject(0, "192.0.2.9:999".parse().unwrap(), &ping);
    let answers: Vec<_> = net.datagrams[before..]
        .iter()
        .filter(|(_, to, _)| to.ip().to_string() == "192.0.2.9")
        .collect();
    assert_eq!(answers.len(), 1);
    assert!(answers[0].2.len() <= 15 && answers[0].2.len() <= ping.len());
}

/// Three nodes, and the latest ping from node 1 to node 0, as it was sent, after node 1 has raised
/// its incarnation twice.
fn with_recorded_ping() -> (Net, Vec<u8>) {
    let mut net = trio();
    net.set_meta(1, "first");
    net.set_meta(1, "second");
    net.recorded = Some(Vec::new());
    net.run_for(10 * SECOND);
    let recorded = net.recorded.take().unwrap();
    let is_ping = |(from, to, data): &&(SocketAddr, SocketAddr, Vec<u8>)| {
        (*from, *to) == (addr(1), addr(0)) && forge::open(data)[0] == 0
    };
    let (_, _, ping) = recorded.iter().rev().find(is_ping).expect("node 1 probes node 0");
    (net, ping.clone())
}

#[test]
fn a_ping_replayed_from_another_members_address_does_not_revive_that_member() {
    let (mut net, ping) = with_recorded_ping();
    net.kill(2);
    net.run_until(|net| net.state(0, 2) == Some(State::Suspect));
    for _ in 0..3 {
        net.inject(0, addr(2), &ping);
        assert_eq!(net.state(0, 2), Some(State::Suspect));
        assert_eq!(net.member(0, 2).unwrap().incarnation().number, 0);
    }
    net.run_until(|net| net.state(0, 2) == Some(State::Failed));
    net.inject(0, addr(2), &ping);
    assert_eq!(net.state(0, 2), Some(State::Failed));
}

#[test]
fn a_ping_replayed_from_another_members_address_gets_a_bare_ack_and_starts_no_sync() {
    let (mut net, ping) = with_recorded_ping();
    // Everybody's digest differs from that in the ping.
    net.set_meta(0, "third");
    net.run_for(SECOND);
    let syncs = net.nodes[0].node.stats().syncs_by_digest;
    for _ in 0..20 {
        let before = net.datagrams.len();
        net.nodes[0].node.set_meta(net.now, Meta::from(format!("{:?}", net.now).as_str())).unwrap();
        net.inject(0, addr(2), &ping);
        let acks =
            net.datagrams[before..].iter().filter(|(_, to, data)| *to == addr(2) && data[0] == 2);
        let acks: Vec<_> = acks.collect();
        assert!(acks.len() == 1 && acks[0].2.len() <= 11, "an ack without gossip: {acks:?}");
        net.run_for(SECOND);
    }
    assert_eq!(net.nodes[0].node.stats().syncs_by_digest, syncs);
}

#[test]
fn a_ping_request_replayed_from_another_members_address_is_not_relayed() {
    let mut net = trio();
    let request = forge::datagram(&[forge::ping_request(7, 100, "n2")]);
    let before = net.datagrams.len();
    net.inject(0, addr(2), &request);
    assert_eq!(net.datagrams.len(), before);
    assert_eq!(net.nodes[0].node.stats().indirect_pings_refused, 1);
    net.inject(0, addr(1), &request);
    assert!(net.datagrams[before..].iter().any(|(_, to, _)| *to == addr(2)));
}

#[test]
fn a_ping_of_an_earlier_generation_says_nothing_about_the_member_that_it_was() {
    let mut net = pair();
    net.cut(1, 0);
    net.run_until(|net| net.state(0, 1) == Some(State::Suspect));
    let ping = |generation| forge::datagram(&[forge::ping_numbered("n1", generation, 9, "n0")]);
    for generation in [0, 2, 1 << 32 | 1] {
        net.inject(0, addr(1), &ping(generation));
        assert_eq!(net.state(0, 1), Some(State::Suspect));
    }
    net.inject(0, addr(1), &ping(1));
    assert_eq!(net.state(0, 1), Some(State::Alive));
}

#[test]
fn a_datagram_is_answered_once_however_often_it_asks() {
    let mut net = trio();
    let accuse = |n: u64| forge::suspect(1, "n0", 1, 1000 + n);
    let floods: [Vec<Vec<u8>>; 3] = [
        (0..900).map(|n| forge::ping(n, "n0")).collect(),
        (0..500).map(|n| forge::ping_request(n, 100, "n1")).collect(),
        (0..300).map(accuse).collect(),
    ];
    for flood in floods {
        let datagram = forge::datagram(&flood);
        let (count, bytes) = answers(&mut net, addr(2), &datagram);
        assert!(count <= 1 && bytes <= flood.concat().len(), "{count} datagrams, {bytes} bytes");
        let (count, bytes) = answers(&mut net, stranger(), &datagram);
        assert!(count <= 1 && bytes <= 15, "{count} datagrams, {bytes} bytes");
    }
}

#[test]
fn strangers_get_no_updates_and_no_relay() {
    let mut net = trio();
    net.nodes[0].node.set_meta(net.now, Meta::from("news")).unwrap();
    let ping = forge::datagram(&[forge::ping(7, "n0")]);
    // The metadata's gossip does not go to the stranger.
    net.inject(0, stranger(), &ping);
    let to_stranger: Vec<_> = net.datagrams.iter().filter(|(_, to, _)| *to == stranger()).collect();
    assert_eq!(to_stranger.len(), 1);
    assert_eq!(to_stranger[0].2[..5], forge::ack(7, 0)[..5]);
    assert!(to_stranger[0].2.len() <= 11);

    let request = forge::datagram(&[forge::ping_request(7, 100, "n1")]);
    assert_eq!(answers(&mut net, stranger(), &request), (0, 0));
    let unknown = forge::datagram(&[forge::ping_request(7, 100, "nobody")]);
    assert_eq!(answers(&mut net, stranger(), &unknown), (0, 0));
    assert_eq!(answers(&mut net, addr(1), &unknown), (1, 5), "a member gets a bare nack");
    assert_eq!(net.nodes[0].node.stats().indirect_pings_refused, 3);
}

#[test]
fn a_stranger_gets_no_more_than_it_sent_whatever_it_sends() {
    // A node with long updates about itself, and a long gossip queue.
    let generation = 1 << 47;
    let config = config(0, addr(0)).with_generation(generation);
    let mut net = Net::of([config]);
    net.join(0, &[addr(0)]);
    for n in 0..200 {
        net.set_meta(0, &"x".repeat(300 + n));
    }
    let other = "10.0.0.9:1";
    for message in [
        forge::ping(7, "n0"),
        forge::ping_request(7, 100, "n0"),
        forge::ack(7, 0),
        forge::nack(7),
        forge::user_message("n9", b"hello"),
        forge::broadcast("n9", 1, 0, b"", b"hello"),
        forge::suspect(1, "n0", generation, 1000),
        forge::failed("n0", generation, 1000),
        forge::left("n0", generation, 1000),
        forge::alive("n0", other, generation, 1, b""),
        forge::alive("n0", other, generation + 9, 0, b""),
        forge::alive("n0", "10.0.0.1:7946", generation, 0, b""),
        forge::suspect(1, "nobody", 1, 0),
        vec![99, 3, 1, 2, 3],
    ] {
        let kind = message[0];
        let datagram = forge::datagram(&[message]);
        let before = net.datagram_bytes;
        let (count, _) = answers(&mut net, stranger(), &datagram);
        let bytes = net.datagram_bytes - before;
        assert!(
            count <= usize::from(kind == 0) && bytes <= datagram.len(),
            "{kind}: {bytes} bytes"
        );
    }
}

#[test]
fn a_datagram_that_claims_its_own_sender_makes_it_no_member_for_its_requests() {
    let claim = forge::alive("x", &stranger().to_string(), 1, 0, b"");
    for request in [forge::ping(7, "n0"), forge::ping_request(7, 100, "n1")] {
        let mut net = trio();
        net.nodes[0].node.set_meta(net.now, Meta::new(&[7; 500])).unwrap();
        let datagram = forge::datagram(&[request, claim.clone()]);
        let (count, bytes) = (net.datagrams.len(), net.datagram_bytes);
        net.inject(0, stranger(), &datagram);
        let bytes = net.datagram_bytes - bytes;
        assert!(net.datagrams.len() - count <= 1, "an ack, or the question whether it is there");
        assert!(net.datagrams[count..].iter().all(|(_, to, _)| *to == stranger()));
        assert!(bytes <= datagram.len(), "{bytes} bytes for {}", datagram.len());
    }
}

#[test]
fn an_ack_that_answers_nothing_does_nothing() {
    let mut net = pair();
    net.cut(1, 0);
    let end = net.now + 20 * SECOND;
    let mut token = 0;
    while net.step(end) {
        // An attacker that does not see the ping guesses its token with a probability of 2^-32.
        token += 1;
        net.inject(0, addr(1), &forge::datagram(&[forge::ack(token, 0)]));
    }
    assert_eq!(net.state(0, 1), Some(State::Failed));
    assert!(net.nodes[0].node.stats().stray_acks > 20);
}

#[test]
fn members_with_impossible_addresses_or_too_much_metadata_are_skipped() {
    let mut net = pair();
    let good = forge::alive("good", "10.0.0.50:1", 1, 0, b"");
    let datagram = forge::datagram(&[
        forge::alive("group", "224.0.0.1:1", 1, 0, b""),
        forge::alive("portless", "10.0.0.51:0", 1, 0, b""),
        forge::alive("verbose", "10.0.0.52:1", 1, 0, &[0; 513]),
        good,
    ]);
    net.inject(0, addr(1), &datagram);
    assert_eq!(net.nodes[0].node.stats().members_refused, 3);
    assert_eq!(net.nodes[0].node.present_count(), 3);
    assert_eq!(rejected(&net).total(), 0);
}

#[test]
fn members_that_come_and_go_at_one_instant_neither_hang_a_node_nor_grow_it() {
    let mut net = Net::new(1);
    let mut story = Vec::new();
    for number in 0..20 {
        for name in ["x", "y"] {
            story.push(forge::alive(name, "10.1.0.1:1", 1, number, b""));
            story.push(forge::failed(name, 1, number));
        }
    }
    net.inject(0, addr(0), &forge::datagram(&story));
    net.run_for(10 * SECOND);
    assert_eq!(net.nodes[0].node.all_members().count(), 3);
}

#[test]
fn the_last_instant_is_accepted_as_a_time() {
    let mut net = pair();
    net.nodes[0].node.handle_timeout(Instant::MAX);
    net.drain(0);
    assert!(net.nodes[0].node.poll_timeout().unwrap() > Instant::ZERO);
}

#[test]
fn a_node_that_starts_at_the_last_instant_has_timers_that_end() {
    let mut node = Node::new(config(0, addr(0)).with_generation(1), [1; 32], Instant::MAX);
    node.handle_timeout(Instant::MAX);
    assert!(node.poll_timeout().is_some_and(|next| next > node.now()));
}

fn node() -> Node {
    Node::new(config(0, addr(0)).with_generation(1), [1; 32], Instant::ZERO)
}

/// Feeds bytes to a stream, in pieces; returns the node's actions on it.
fn stream(node: &mut Node, bytes: &[u8], piece: usize) -> Vec<StreamAction> {
    let now = Instant::ZERO + SECOND;
    let id = node.accept_stream(now, "10.0.0.9:999".parse().unwrap()).expect("there is room");
    for piece in bytes.chunks(piece.max(1)) {
        node.handle_stream(now, id, StreamInput::Data(piece));
    }
    let actions = stream_actions(node, id);
    node.handle_stream(now, id, StreamInput::Closed);
    actions
}

#[cfg(not(feature = "encryption"))]
#[test]
fn streams_that_are_not_ours_are_counted_by_reason_and_not_answered() {
    let greeting = forge::sync_hello(&[forge::member(0, "x", "10.0.0.9:1", 1, b"")]);
    let good = forge::frame(0, &greeting);
    let mut broken = good.clone();
    *broken.last_mut().unwrap() ^= 1;
    let mut endless = good;
    endless[5..9].copy_from_slice(&u32::MAX.to_le_bytes());
    // The tag is right, and the full name is not.
    let mut misnamed = forge::frame(0, &[]);
    misnamed[14] ^= 1;
    let checksum = crc32fast::hash(&[b"test", &misnamed[13..]].concat());
    misnamed[9..13].copy_from_slice(&checksum.to_le_bytes());
    for (bytes, reason) in [
        (b"GET / HTTP/1.1\r\n\r\n".to_vec(), "format"),
        (misnamed, "foreign_cluster"),
        (broken, "checksum"),
        (endless, "oversized"),
        (forge::frame(0, &[99]), "malformed"),
        (forge::frame(0, &greeting[..9]), "malformed"),
        (forge::frame(77, &[]), "unexpected"),
        (forge::frame(3, &[]), "unexpected"),
        (forge::frame(5, &[]), "unexpected"),
    ] {
        let mut node = node();
        assert_eq!(stream(&mut node, &bytes, 7), [StreamAction::Reset], "{reason}");
        let counts = node.stats().rejected_streams.clone();
        let counted = match reason {
            "format" => counts.format,
            "foreign_cluster" => counts.foreign_cluster,
            "checksum" => counts.checksum,
            "malformed" => counts.malformed,
            "oversized" => counts.oversized,
            _ => counts.unexpected,
        };
        assert_eq!((counted, counts.total()), (1, 1), "{reason}: {counts:?}");
        assert_eq!(node.present_count(), 1);
    }
}

#[test]
fn a_request_is_decoded_however_it_is_split() {
    let member = forge::member(0, "x", "10.0.0.9:1", 1, b"hello");
    let bytes = forge::frame(0, &forge::sync_hello(&[member]));
    for piece in 1..=bytes.len() {
        let mut node = node();
        let actions = stream(&mut node, &bytes, piece);
        assert!(matches!(actions[..], [StreamAction::Write(_)]));
        assert_eq!(node.present_count(), 2);
    }
}

#[test]
fn a_refused_member_does_not_spoil_the_rest_of_a_sync() {
    let mut node = node();
    let members = [
        forge::member(0, "x", "10.0.0.9:1", 1, b""),
        forge::member(0, "verbose", "10.0.0.10:1", 1, &[0; 600]),
        forge::member(0, "y", "10.0.0.11:1", 1, b""),
    ];
    stream(&mut node, &forge::frame(0, &forge::sync_hello(&members)), 1000);
    assert_eq!(node.present_count(), 3);
    assert_eq!(node.stats().members_refused, 1);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn no_datagram_harms_a_node(datagrams in prop::collection::vec(
        prop::collection::vec(any::<u8>(), 0..200), 0..20,
    )) {
        let mut net = pair();
        for body in &datagrams {
            net.inject(0, stranger(), body);
            net.inject(0, addr(1), &forge::datagram(std::slice::from_ref(body)));
        }
        net.run_for(3 * SECOND);
        prop_assert_eq!(net.nodes[0].node.stats().datagrams_in > 0, true);
    }

    #[test]
    fn no_stream_harms_a_node(
        kind: u8,
        body in prop::collection::vec(any::<u8>(), 0..300),
        piece in 1..50usize,
    ) {
        let mut node = node();
        stream(&mut node, &body, piece);
        stream(&mut node, &forge::frame(kind % 10, &body), piece);
    }
}

#[test]
fn suspects_that_come_and_go_do_not_move_the_deadlines_of_all_others() {
    // The node's own budget of members looked at for each input is what fails here.
    let mut net = Net::of([config_at(0, addr(0), &Options::lan()).with_generation(1)]);
    net.add_fictional_members(0, 3000);
    let suspects: Vec<_> =
        (0..3000).map(|n| forge::suspect(9, &format!("x{n:08}"), 1, 0)).collect();
    for some in suspects.chunks(300) {
        net.inject(0, addr(0), &forge::datagram(some));
    }
    let present = net.nodes[0].node.members();
    assert_eq!(present.filter(|member| member.state() == State::Suspect).count(), 3000);
    for number in 1..200 {
        // All but one are suspects, and all, by turns.
        let toggle = [
            forge::alive("x00000000", "10.1.0.0:7946", 1, number, b""),
            forge::alive("x00000001", "10.1.0.1:7946", 1, number, b""),
            forge::suspect(9, "x00000001", 1, number),
            forge::suspect(9, "x00000000", 1, number),
        ];
        net.inject(0, addr(0), &forge::datagram(&toggle));
    }
    assert_eq!(
        net.nodes[0].node.member(&"x00000000".parse().unwrap()).unwrap().state(),
        State::Suspect
    );
}

#[test]
fn a_name_that_nobody_can_see_is_no_members() {
    let mut net = pair();
    for name in ["a\u{200b}", "\u{202e}a", " a", "a ", "\u{feff}"] {
        net.inject(0, addr(1), &forge::datagram(&[forge::alive(name, "10.9.0.1:1", 1, 0, b"")]));
        let hello = forge::sync_hello(&[forge::member(0, name, "10.0.0.9:1", 1, b"")]);
        let stream = net.inject_stream(0, stranger(), &forge::frame(0, &hello));
        assert_eq!(net.injected_stream_actions(0, stream), [StreamAction::Reset]);
    }
    let stats = net.nodes[0].node.stats();
    assert_eq!((stats.rejected_datagrams.malformed, stats.rejected_streams.malformed), (5, 5));
    assert_eq!(net.nodes[0].node.present_count(), 2);
}

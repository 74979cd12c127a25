//! Syncs (push/pull of differences): what they cost, what they bring, and when one begins.

use super::*;

/// Options under which nodes exchange updates in syncs only, and sync on request only.
fn silent() -> Options {
    let mut options = Options::lan();
    options.digest_checks = false;
    options.sync_interval = 24 * 3600 * SECOND;
    options.probe_interval = 3600 * SECOND;
    options.probe_timeout = 1800 * SECOND;
    options.gossip_interval = 3600 * SECOND;
    options
}

/// Syncs node 1 with node 0 by a join; returns the bytes that each wrote.
fn sync(net: &mut Net) -> [usize; 2] {
    net.writes.clear();
    let ticket = net.join(1, &[addr(0)]);
    net.run_until(|net| net.result(1, ticket).is_some());
    assert!(net.result(1, ticket).unwrap().is_ok());
    let bytes =
        |who| net.writes.iter().filter(|(by, _)| *by == who).map(|(_, data)| data.len()).sum();
    [bytes(0), bytes(1)]
}

fn known(node: &Node) -> Vec<(String, State)> {
    let mut known: Vec<_> =
        node.all_members().map(|member| (member.id().to_string(), member.state())).collect();
    known.sort_by(|a, b| a.0.cmp(&b.0));
    known
}

#[test]
fn sync_brings_what_gossip_lost() {
    let mut net = trio();
    net.cut_both(0, 2);
    net.cut_both(1, 2);
    net.set_meta(0, "missed");
    net.run_for(SECOND);
    net.heal();
    net.run_until(|net| net.member(2, 0).unwrap().meta() == &Meta::from("missed"));
}

#[test]
fn the_digest_of_a_view_shows_whether_nodes_see_the_same_members() {
    fn digests(net: &Net) -> [u64; 3] {
        [0, 1, 2].map(|n| net.nodes[n].node.digest())
    }
    fn agree(net: &Net) -> bool {
        let [a, b, c] = digests(net);
        a == b && b == c
    }

    let mut net = trio();
    net.run_until(agree);
    let [before, ..] = digests(&net);
    net.cut_both(0, 2);
    net.cut_both(1, 2);
    net.set_meta(0, "missed");
    net.run_for(SECOND);
    let [a, b, c] = digests(&net);
    assert_eq!((a == b, a == before, c == before), (true, false, true));
    net.heal();
    net.run_until(agree);
}

#[test]
fn nodes_with_equal_tables_find_that_out_in_a_hundred_bytes_each_at_any_size() {
    for members in [0, 10, 30, 10_000] {
        let mut net = Net::with_options(2, &silent());
        net.add_fictional_members(0, members);
        net.add_fictional_members(1, members);
        sync(&mut net);
        let [a, b] = sync(&mut net);
        assert!(a <= 110 && b <= 110, "{members} members: {a} and {b} bytes");
    }
}

#[test]
fn one_difference_among_ten_thousand_costs_less_than_four_kilobytes_in_all() {
    let mut net = Net::with_options(2, &silent());
    net.add_fictional_members(0, 10_000);
    net.add_fictional_members(1, 10_000);
    sync(&mut net);
    let more = [forge::alive("one more", "10.200.0.1:1", 1, 0, b"")];
    net.inject(0, addr(0), &forge::datagram(&more));
    let [a, b] = sync(&mut net);
    assert_eq!(net.nodes[1].node.present_count(), 10_003);
    assert!(a + b <= 4000, "{a} + {b} bytes");
}

#[test]
fn a_newcomers_first_sync_comes_in_bounded_chunks() {
    let mut net = Net::with_options(2, &silent());
    net.add_fictional_members(0, 10_000);
    let [a, b] = sync(&mut net);
    assert_eq!(net.nodes[1].node.present_count(), 10_002);
    let chunk = Options::lan().sync_chunk;
    let longest = net.writes.iter().map(|(_, data)| data.len()).max().unwrap();
    assert!(longest <= chunk + 1000 && net.writes.len() > 6, "{longest} bytes");
    assert!(a <= 300_000 && b <= 10_000, "{a} and {b} bytes");
}

#[test]
fn a_thousand_members_come_with_one_answer_and_with_the_second_if_encrypted() {
    let mut net = Net::with_options(2, &silent());
    net.add_fictional_members(0, 1000);
    let start = net.now;
    sync(&mut net);
    assert_eq!(net.nodes[1].node.present_count(), 1002);
    // Connect, and ask; encrypted, the first answer waits for a sign of life.
    let round_trips = if forge::ENCRYPTED { 3 } else { 2 };
    assert_eq!(net.now.since(start), round_trips * 2 * LATENCY);
}

#[test]
fn applications_exchange_state_at_every_sync() {
    let mut net = Net::with_options(3, &silent());
    net.nodes[0].node.set_sync_state(net.now, "from zero".into()).unwrap();
    net.nodes[1].node.set_sync_state(net.now, "from one".into()).unwrap();
    sync(&mut net);
    let sync_states = |net: &Net, here: usize| -> Vec<_> {
        let state = |event: &Event| match event {
            Event::SyncState { from, data, join } => Some((from.clone()?, data.clone(), *join)),
            _ => None,
        };
        net.nodes[here].events.iter().filter_map(|(_, event)| state(event)).collect()
    };
    assert_eq!(sync_states(&net, 0), [(id(1), "from one".into(), true)]);
    assert_eq!(sync_states(&net, 1), [(id(0), "from zero".into(), true)]);
    net.join(2, &[addr(0)]);
    net.run_for(SECOND);
    assert_eq!(sync_states(&net, 0).len(), 1, "no sync state, no event");
    let error = net.nodes[0].node.set_sync_state(net.now, vec![0; 70_000].into()).unwrap_err();
    assert_eq!(error.to_string(), "the sync state has 70000 bytes; max_sync_state allows 65536");
}

#[test]
fn a_probe_finds_out_that_something_was_missed_and_a_sync_brings_it() {
    for (digest_checks, within) in [(true, 4 * SECOND), (false, 600 * SECOND)] {
        let mut options = Options::local();
        options.digest_checks = digest_checks;
        options.sync_interval = 300 * SECOND;
        let mut net = Net::with_options(3, &options);
        for n in [1, 2] {
            net.join(n, &[addr(0)]);
        }
        net.run_for(5 * SECOND);
        net.cut_both(0, 2);
        net.cut_both(1, 2);
        net.set_meta(0, "missed");
        net.run_for(SECOND / 4);
        net.heal();
        let repaired = |net: &Net| net.member(2, 0).unwrap().meta() == &Meta::from("missed");
        let took = net.run_until(repaired);
        assert!(took <= within && (digest_checks || took > 10 * SECOND), "it took {took:?}");
        let begun: u64 = net.nodes.iter().map(|host| host.node.stats().syncs_by_digest).sum();
        assert_eq!(begun > 0, digest_checks);
    }
}

#[test]
fn a_difference_that_stays_does_not_keep_nodes_busy() {
    let mut options = Options::local();
    options.max_members = 3;
    let mut small = Net::with_options(1, &options);
    // The second node knows a member for which the first one has no room.
    let big = config(1, addr(1)).with_generation(1);
    let big = small.start(big);
    let net = &mut small;
    net.inject(0, addr(50), &forge::datagram(&[forge::alive("x", "10.9.0.1:1", 1, 0, b"")]));
    net.join(big, &[addr(0)]);
    net.run_for(SECOND);
    net.inject(big, addr(51), &forge::datagram(&[forge::alive("y", "10.9.0.2:1", 1, 0, b"")]));
    net.run_for(10 * SECOND);
    let syncs = net.nodes[0].node.stats().syncs;
    net.run_for(300 * SECOND);
    let more = net.nodes[0].node.stats().syncs - syncs;
    assert!(more <= 90, "{more} syncs in 300 seconds");
}

#[test]
fn nobody_keeps_syncing_while_all_know_the_same() {
    let mut net = trio();
    net.run_for(30 * SECOND);
    let begun =
        |net: &Net| -> u64 { net.nodes.iter().map(|host| host.node.stats().syncs_by_digest).sum() };
    let before = begun(&net);
    net.run_for(300 * SECOND);
    assert_eq!(begun(&net), before);
}

#[test]
fn a_comparison_that_never_ends_is_ended() {
    let mut net = trio();
    let greeting = [&[0], &forge::member(0, "x", "10.0.0.9:1", 1, b"")[..], &[0]].concat();
    let stream = net.inject_stream(0, stranger(), &forge::frame(0, &greeting));
    // A digest of all members that never agrees.
    let digest = [&[0][..], &[7; 8]].concat();
    let mut rounds = 0;
    while net.injected_stream_actions(0, stream).last() != Some(&StreamAction::Reset) {
        rounds += 1;
        assert!(rounds <= 1024 && net.nodes[0].node.stats().rejected_streams.total() == 0);
        let answer = written(&net, stream);
        let frame = forge::later_frame(&answer, 2 * rounds, 5, &digest);
        net.feed_stream(0, stream, StreamInput::Data(&frame));
    }
    assert_eq!(rounds, 1024);
    assert_eq!(net.nodes[0].node.stats().rejected_streams.unexpected, 1);
}

/// The latest frame that node 0 wrote to a stream.
fn written(net: &Net, stream: StreamId) -> Vec<u8> {
    let written = net.injected_stream_actions(0, stream).iter().rev();
    let mut written = written.filter_map(|action| match action {
        StreamAction::Write(bytes) => Some(bytes.to_vec()),
        _ => None,
    });
    written.next().expect("it wrote a frame")
}

#[test]
fn a_stream_has_one_greeting() {
    let mut net = trio();
    let greeting = [&[0], &forge::member(0, "x", "10.0.0.9:1", 1, b"")[..], &[0]].concat();
    let stream = net.inject_stream(0, stranger(), &forge::frame(0, &greeting));
    assert!(matches!(net.injected_stream_actions(0, stream), [StreamAction::Write(_)]));
    let again = forge::later_frame(&written(&net, stream), 2, 0, &greeting);
    net.feed_stream(0, stream, StreamInput::Data(&again));
    let actions = net.injected_stream_actions(0, stream);
    assert_eq!(actions.last(), Some(&StreamAction::Reset));
    assert_eq!(net.nodes[0].node.stats().rejected_streams.unexpected, 1);
}

/// Without keys, because a frame that replies is bound to the request's nonce.
#[test]
#[cfg(not(feature = "encryption"))]
fn a_seed_that_greets_again_does_not_keep_a_join_waiting() {
    let mut node = Node::new(config(0, addr(0)), [7; 32], Instant::ZERO);
    node.join(Instant::ZERO, &[addr(1)]).unwrap();
    let mut buf = Vec::new();
    let mut opened = None;
    while let Some(output) = node.poll_output(&mut buf) {
        if let Output::Stream { id, action: StreamAction::Open { .. } } = output {
            opened = Some(id);
        }
    }
    let stream = opened.unwrap();
    node.handle_stream(Instant::ZERO, stream, StreamInput::Opened);
    // A digest that never agrees.
    let seed = forge::member(0, "n1", &addr(1).to_string(), 1, b"");
    let greeting = [&seed[..], &[0], &[0][..], &[7; 8]].concat();
    for (before, expected) in [(1, false), (3, true)] {
        let frame = forge::later_frame(&[], before, 1, &greeting);
        node.handle_stream(Instant::ZERO, stream, StreamInput::Data(&frame));
        let reset = stream_actions(&mut node, stream).last() == Some(&StreamAction::Reset);
        assert_eq!(reset, expected);
    }
    assert_eq!(node.stats().rejected_streams.unexpected, 1);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn after_a_sync_both_know_what_either_knew(
        [a, b] in [prop::collection::vec((0..400u16, 0..3u8), 0..300),
                   prop::collection::vec((0..400u16, 0..3u8), 0..300)],
        chunk in 7400..20_000usize,
    ) {
        let mut options = silent();
        options.max_meta = 100;
        options.sync_chunk = chunk;
        let mut net = Net::with_options(2, &options);
        let mut joined = BTreeMap::new();
        for (here, members) in [&a, &b].into_iter().enumerate() {
            for (n, number) in members {
                let addr = format!("10.7.{}.{}:7946", n / 250, n % 250);
                let alive = forge::alive(&format!("x{n}"), &addr, 1, (*number).into(), b"meta");
                net.inject(here, self::addr(here), &forge::datagram(&[alive]));
                let highest = joined.entry(format!("x{n}")).or_insert(*number);
                *highest = (*highest).max(*number);
            }
        }
        sync(&mut net);
        prop_assert_eq!(known(&net.nodes[0].node), known(&net.nodes[1].node));
        prop_assert_eq!(net.nodes[0].node.present_count(), joined.len() + 2);
        for (name, number) in &joined {
            for host in &net.nodes {
                let member = host.node.member(&name.parse().unwrap()).unwrap();
                prop_assert_eq!(member.incarnation().number, u64::from(*number));
            }
        }
        let [again, back] = sync(&mut net);
        prop_assert!(again <= 120 && back <= 120, "{} and {} bytes", again, back);
    }
}

//! Encryption: who is kept out, what an old message can do, and how keys and clusters change.

use super::*;
use common::forge::encrypted;
use tidings::{Cipher, Key, Keyring, Plaintext, Ticket};

fn key(n: u8) -> Key {
    Key::new(Cipher::Aes256Gcm, [n; 32])
}

fn keyed(n: usize, keyring: Keyring, plaintext: Plaintext) -> Config {
    let config = Config::local(ClusterName::new("test").unwrap(), id(n), addr(n)).to_builder();
    config.generation(1).encryption(keyring, plaintext).build().unwrap()
}

fn rejected(net: &Net, here: usize) -> Rejected {
    net.nodes[here].node.stats().rejected_datagrams.clone()
}

/// A node's table, sorted by name.
fn known(node: &Node) -> Vec<(NodeId, State, Incarnation, Meta)> {
    let all = |m: &Member| (m.id().clone(), m.state(), m.incarnation(), m.meta().clone());
    let mut known: Vec<_> = node.all_members().map(all).collect();
    known.sort_by(|a, b| a.0.cmp(&b.0));
    known
}

#[test]
fn plaintext_and_altered_datagrams_are_dropped() {
    let mut net = pair();
    let good = forge::datagram(&[forge::alive("x", "10.9.0.1:1", 1, 0, b"")]);
    for at in 0..good.len() {
        let mut bad = good.clone();
        bad[at] ^= 1;
        net.inject(0, addr(1), &bad);
    }
    for cut in 0..good.len() {
        net.inject(0, addr(1), &good[..cut]);
    }
    let plain = forge::plain_datagram("test", &[forge::alive("x", "10.9.0.1:1", 1, 0, b"")]);
    net.inject(0, addr(1), &plain);
    assert_eq!(net.nodes[0].node.present_count(), 2);
    let counts = rejected(&net, 0);
    assert_eq!(counts.plaintext, 1);
    assert_eq!(counts.total() as usize, 2 * good.len() + 1);
    net.inject(0, addr(1), &good);
    assert_eq!(net.nodes[0].node.present_count(), 3);
}

#[test]
fn a_node_with_another_key_or_none_is_not_let_in() {
    let other = keyed(1, Keyring::new(key(2)), Plaintext::Refused);
    let none = Config::local(ClusterName::new("test").unwrap(), id(2), addr(2));
    let mut net = Net::of([keyed(0, Keyring::new(key(1)), Plaintext::Refused), other, none]);
    for n in [1, 2] {
        let ticket = net.join(n, &[addr(0)]);
        net.run_until(|net| net.result(n, ticket).is_some());
        let Some(Err(Failure::NoSeed(failures))) = net.result(n, ticket) else { panic!() };
        assert_eq!(failures[0].error, ExchangeError::ConnectionReset);
        assert_eq!(net.nodes[0].node.present_count(), 1);
        assert_eq!(net.nodes[n].node.present_count(), 1);
    }
    assert!(net.nodes[0].node.stats().rejected_streams.key > 0);
    assert!(net.nodes[0].node.stats().rejected_streams.plaintext > 0);
}

#[test]
fn nothing_is_answered_to_a_sender_without_the_key() {
    let mut net = pair();
    let ping = forge::datagram(&[forge::ping(7, "n0")]);
    let mut altered = ping.clone();
    *altered.last_mut().unwrap() ^= 1;
    let question = [forge::ping(7, "n0"), forge::ping_request(8, 100, "n1")];
    let unreadable = [altered, vec![7; 100], forge::plain_datagram("test", &question)];
    let before = net.datagrams.len();
    for (datagram, from) in unreadable.iter().flat_map(|one| [(one, addr(1)), (one, stranger())]) {
        net.inject(0, from, datagram);
    }
    assert_eq!(net.datagrams.len(), before);
    net.inject(0, stranger(), &ping);
    assert_eq!(net.datagrams.len(), before + 1, "the same question with the key is answered");

    let hello = forge::sync_hello(&[forge::member(0, "x", "10.0.0.9:1", 1, b"")]);
    let mut altered = forge::frame(0, &hello);
    *altered.last_mut().unwrap() ^= 1;
    for frame in [altered, forge::plain_frame("test", 0, &hello)] {
        let id = net.inject_stream(0, stranger(), &frame);
        assert_eq!(net.injected_stream_actions(0, id), [StreamAction::Reset]);
    }
}

#[test]
fn the_same_key_under_another_clusters_name_opens_nothing() {
    let mut net = pair();
    let other = Config::local(ClusterName::new("other").unwrap(), id(9), addr(9));
    let other = forge::with_keys(other.with_generation(1));
    let mut node = Node::new(other, [3; 32], Instant::ZERO);
    node.handle_timeout(Instant::ZERO + 10 * SECOND);
    node.join(Instant::ZERO, &[addr(0)]).unwrap();
    let mut buf = Vec::new();
    // Its request, with the tag of our cluster instead of its own.
    let mut request = Vec::new();
    while let Some(output) = node.poll_output(&mut buf) {
        match output {
            Output::Stream { id, action: StreamAction::Open { .. } } => {
                node.handle_stream(Instant::ZERO, id, StreamInput::Opened);
            }
            Output::Stream { action: StreamAction::Write(bytes), .. } => request = bytes.to_vec(),
            _ => {}
        }
    }
    request[1..5].copy_from_slice(&crc32fast::hash(b"test").to_le_bytes());
    let now = net.now;
    let stream = net.nodes[0].node.accept_stream(now, addr(9)).unwrap();
    net.nodes[0].node.handle_stream(now, stream, StreamInput::Data(&request));
    assert_eq!(net.nodes[0].node.stats().rejected_streams.key, 1);
}

#[test]
fn keys_are_replaced_while_the_cluster_runs() {
    let keyring = || Keyring::new(key(1));
    let mut net = Net::of((0..4).map(|n| keyed(n, keyring(), Plaintext::Refused)));
    for n in 1..4 {
        net.join(n, &[addr(0)]);
    }
    net.run_for(10 * SECOND);
    let mut change = |change: fn(&mut Keyring)| {
        for here in 0..4 {
            net.command(here, |node, _| change(node.keyring_mut().unwrap()));
            net.run_for(5 * SECOND);
        }
    };
    change(|keyring| keyring.add(key(2)).unwrap());
    change(|keyring| keyring.use_key(&key(2)).unwrap());
    change(|keyring| keyring.remove(&key(1)).unwrap());
    for here in 0..4 {
        assert_eq!(net.nodes[here].node.keyring().unwrap().keys().len(), 1);
        assert_eq!(net.nodes[here].node.present_count(), 4);
        assert!(!net.saw(here, |event| matches!(event, Event::Suspected(_))));
        assert_eq!(rejected(&net, here).total(), 0, "nothing was lost on the way");
    }
    // A node that has only the old key cannot join any more.
    let late = net.start(keyed(7, keyring(), Plaintext::Refused));
    let ticket = net.join(late, &[addr(0)]);
    net.run_until(|net| net.result(late, ticket).is_some());
    assert!(net.result(late, ticket).unwrap().is_err());
}

#[test]
fn a_cluster_goes_over_to_encryption_by_three_rounds_of_restarts() {
    let plain = |n| Config::local(ClusterName::new("test").unwrap(), id(n), addr(n));
    let mut net = Net::of((0..3).map(|n| plain(n).with_generation(1)));
    for n in 1..3 {
        net.join(n, &[addr(0)]);
    }
    net.run_for(10 * SECOND);
    let rounds = [Plaintext::Sent, Plaintext::Accepted, Plaintext::Refused];
    for (generation, plaintext) in (2..).zip(rounds) {
        for here in 0..3 {
            let config = keyed(here, Keyring::new(key(1)), plaintext).with_generation(generation);
            net.restart(here, config);
            net.join(here, &[addr((here + 1) % 3)]);
            net.run_for(10 * SECOND);
            for here in 0..3 {
                assert_eq!(net.nodes[here].node.present_count(), 3, "{plaintext:?}");
            }
        }
    }
    for here in 0..3 {
        assert!(!net.saw(here, |event| matches!(event, Event::Failed(_))));
    }
}

#[test]
fn no_old_message_in_any_order_changes_the_membership() {
    let mut net = joined(5);
    net.recorded = Some(Vec::new());
    net.set_meta(1, "first");
    net.run_for(5 * SECOND);
    net.set_meta(1, "second");
    net.cut_both(2, 3);
    net.run_for(20 * SECOND);
    net.heal();
    net.leave(3);
    net.run_for(5 * SECOND);
    net.kill(4);
    net.run_for(30 * SECOND);
    let recorded = net.recorded.take().unwrap();
    assert!(recorded.len() > 500);
    for here in 0..3 {
        let before = known(&net.nodes[here].node);
        assert_eq!(net.state(here, 3), Some(State::Left));
        assert_eq!(net.state(here, 4), Some(State::Failed));
        // All datagrams that were ever sent to any node, latest first; then every third one again.
        let backwards = recorded.iter().rev();
        for (from, _, data) in backwards.chain(recorded.iter().step_by(3)) {
            net.inject(here, *from, data);
            assert_eq!(known(&net.nodes[here].node), before);
        }
    }
}

#[test]
fn a_message_older_than_the_tombstone_timeout_is_dropped() {
    let mut options = Options::local();
    options.tombstone_timeout = 400 * SECOND;
    let mut net = Net::with_options(3, &options);
    for n in [1, 2] {
        net.join(n, &[addr(0)]);
    }
    net.recorded = Some(Vec::new());
    net.set_meta(2, "alive");
    net.run_for(5 * SECOND);
    let recorded = net.recorded.take().unwrap();
    net.kill(2);
    net.run_until(|net| [0, 1].iter().all(|&here| net.member(here, 2).is_none()));
    net.run_for(60 * SECOND);
    for (from, _, data) in &recorded {
        net.inject(0, *from, data);
    }
    assert!(net.member(0, 2).is_none(), "it is not brought back");
    assert_eq!(rejected(&net, 0).stale as usize, recorded.len());
}

#[test]
fn a_join_between_clocks_far_apart_fails_with_that_reason() {
    let mut net = Net::of([
        forge::with_keys(config(0, addr(0))).with_generation(1_000_000),
        forge::with_keys(config(1, addr(1))).with_generation(1_000_000 + 24 * 3600),
    ]);
    let ticket = net.join(1, &[addr(0)]);
    net.run_until(|net| net.result(1, ticket).is_some());
    let Some(Err(Failure::NoSeed(failures))) = net.result(1, ticket) else { panic!() };
    let said = "10.0.0.1:7946: its answer was not accepted: \
                it is too old, or the clocks are too far apart";
    assert_eq!(failures[0].to_string(), said, "the answer comes from another time");
    assert_eq!(net.nodes[0].node.stats().rejected_streams.stale, 1);
}

#[test]
fn an_answer_is_bound_to_its_question() {
    let mut net = trio();
    // Node 0's receipt for node 1's message, replayed to node 2 as the receipt for its own.
    let send = |net: &mut Net, from: usize, data: &'static str| {
        let id = id(0);
        net.command(from, |node, now| node.send_reliable(now, &id, data.into())).unwrap()
    };
    net.writes.clear();
    let first = send(&mut net, 1, "one");
    net.run_until(|net| net.result(1, first).is_some());
    let receipt = net.writes.iter().find(|(by, _)| *by == 0).unwrap().1.clone();
    net.cut(0, 2);
    let now = net.now;
    let mut buf = Vec::new();
    let node = &mut net.nodes[2].node;
    let second = node.send_reliable(now, &id(0), "two".into()).unwrap();
    let mut ended = None;
    let mut stream = None;
    for _ in 0..3 {
        while let Some(output) = node.poll_output(&mut buf) {
            match output {
                Output::Stream { id, action: StreamAction::Open { .. } } => {
                    node.handle_stream(now, id, StreamInput::Opened);
                    stream = Some(id);
                }
                Output::Event(Event::Completed { ticket, result }) if ticket == second => {
                    ended = Some(result);
                }
                _ => {}
            }
        }
        if let Some(id) = stream.take() {
            node.handle_stream(now, id, StreamInput::Data(&receipt));
        }
    }
    let bad = ExchangeError::BadAnswer(tidings::Reject::Key);
    assert_eq!(ended, Some(Err(Failure::Undelivered(bad))));
}

#[test]
fn encrypted_traffic_contains_no_plaintext() {
    let mut net = pair();
    net.recorded = Some(Vec::new());
    net.set_meta(0, "a secret in the metadata");
    net.run_for(5 * SECOND);
    net.command(0, |node, now| node.send(now, &id(1), "a secret message".into())).unwrap();
    net.run_for(5 * SECOND);
    let secret = |bytes: &[u8]| bytes.windows(8).any(|window| window == b"a secret");
    let recorded = net.recorded.take().unwrap();
    assert!(recorded.len() > 10 && !recorded.iter().any(|(_, _, data)| secret(data)));
    assert!(!net.writes.iter().any(|(_, data)| secret(data)));
    assert!(net.messages(1)[0].1 == b"a secret message");
}

#[test]
fn no_nonce_is_used_twice() {
    let mut net = joined(4);
    net.recorded = Some(Vec::new());
    net.run_for(60 * SECOND);
    let mut nonces: Vec<_> =
        net.recorded.take().unwrap().into_iter().map(|(_, _, data)| data[5..29].to_vec()).collect();
    let count = nonces.len();
    nonces.sort();
    nonces.dedup();
    assert!(count > 400 && nonces.len() == count);
}

#[test]
fn forged_times_are_not_believed() {
    let mut net = pair();
    let alive = forge::alive("x", "10.9.0.1:1", 1, 0, b"");
    let day = 24 * 3600;
    for time in [day, u64::MAX] {
        net.inject(0, addr(1), &encrypted::datagram_at(time, &alive));
    }
    assert_eq!(rejected(&net, 0).stale, 2);
    net.inject(0, addr(1), &encrypted::datagram_at(day / 3, &alive));
    assert_eq!(net.nodes[0].node.present_count(), 3);
}

#[test]
fn a_stream_connected_back_to_its_origin_is_refused() {
    for echo in [false, true] {
        let mut net = Net::of([0, 1].map(|n| keyed(n, Keyring::new(key(1)), Plaintext::Refused)));
        net.join(1, &[addr(0)]);
        net.run_for(5 * SECOND);
        let now = net.now;
        // A join of a new node, and a message, a sync and a leave of a member.
        let alone = keyed(2, Keyring::new(key(1)), Plaintext::Refused);
        let mut alone = Node::new(alone, [5; 32], now);
        let join = alone.join(now, &[addr(0)]).unwrap();
        let events = common::connect_back(&mut alone, now, echo);
        assert!(matches!(ended(&events, join), Err(Failure::NoSeed(_))), "{events:?}");
        assert_eq!(alone.stats().syncs, 0);

        let member = &mut net.nodes[1].node;
        let message = member.send_reliable(now, &id(0), "to another".into()).unwrap();
        let events = common::connect_back(member, now, echo);
        assert!(ended(&events, message).is_err(), "{events:?}");

        let member = &mut net.nodes[0].node;
        let leave = member.leave(now);
        let syncs = member.stats().syncs;
        let events = common::connect_back(member, now, echo);
        assert_eq!(*ended(&events, leave), Err(Failure::Unconfirmed));
        assert_eq!(member.stats().syncs, syncs);
    }
}

/// The result of a command.
fn ended(events: &[Event], of: Ticket) -> &Result<Done, Failure> {
    let result = events.iter().find_map(|event| match event {
        Event::Completed { ticket, result } if *ticket == of => Some(result),
        _ => None,
    });
    result.expect("each command ends")
}

/// Runs node 0 for a while, as somebody who connects each of its streams to another member than the
/// one that it is for, and drops its datagrams. Returns the number of streams, and the events.
fn redirect(
    net: &mut Net,
    during: Duration,
    begin: impl FnOnce(&mut Node, Instant),
) -> (usize, Vec<Event>) {
    let end = net.now + during;
    let (mut streams, mut events, mut buf) = (BTreeMap::new(), Vec::new(), Vec::new());
    let now = net.now;
    begin(&mut net.nodes[0].node, now);
    while net.now < end {
        let now = net.now;
        while let Some(output) = net.nodes[0].node.poll_output(&mut buf) {
            match output {
                Output::Stream { id, action: StreamAction::Open { to, .. } } => {
                    streams.insert(id, if to == addr(1) { 2 } else { 1 });
                    net.nodes[0].node.handle_stream(now, id, StreamInput::Opened);
                }
                Output::Stream { id, action: StreamAction::Write(request) } => {
                    let other = streams[&id];
                    let theirs = net.inject_stream(other, addr(0), &request);
                    for action in net.injected_stream_actions(other, theirs).to_vec() {
                        let input = match &action {
                            StreamAction::Write(answer) => StreamInput::Data(answer),
                            StreamAction::Close => StreamInput::Closed,
                            _ => StreamInput::Failed(StreamError::Reset),
                        };
                        net.nodes[0].node.handle_stream(now, id, input);
                    }
                }
                Output::Event(event) => events.push(event),
                _ => {}
            }
        }
        net.now = net.nodes[0].node.poll_timeout().unwrap_or(end).min(end);
        let now = net.now;
        net.nodes[0].node.handle_timeout(now);
    }
    (streams.len(), events)
}

#[test]
fn a_sync_redirected_to_another_member_is_refused() {
    let mut options = Options::local();
    options.stream_probes = false;
    options.sync_interval = SECOND;
    let mut net = joined_with(3, &options);
    let syncs = |net: &Net| [0, 1, 2].map(|here| net.nodes[here].node.stats().syncs);
    let before = syncs(&net);
    let (streams, _) = redirect(&mut net, 3 * SECOND, |_, _| {});
    assert!(streams > 0, "it begins syncs");
    assert_eq!(syncs(&net), before);
}

#[test]
fn a_reliable_message_redirected_to_another_member_is_refused() {
    let mut net = trio();
    let mut message = None;
    let (_, events) = redirect(&mut net, SECOND, |node, now| {
        message = Some(node.send_reliable(now, &id(1), "hello".into()).unwrap());
    });
    let refused = Failure::Undelivered(ExchangeError::Refused(Refusal::NotMe));
    assert_eq!(*ended(&events, message.unwrap()), Err(refused));
    assert!((1..3).all(|here| net.messages(here).is_empty()));
}

#[test]
fn a_stream_ping_redirected_to_another_member_is_refused() {
    let mut net = trio();
    let (streams, events) = redirect(&mut net, 5 * SECOND, |_, _| {});
    assert!(streams > 0);
    assert!(events.iter().any(|event| matches!(event, Event::Suspected(_))));
    assert!(!events.iter().any(|event| matches!(event, Event::Degraded(_))), "no pong counts");
}

#[test]
fn a_leave_redirected_to_another_member_is_not_confirmed() {
    let mut net = trio();
    let mut leave = None;
    let (streams, events) = redirect(&mut net, 5 * SECOND, |node, now| {
        leave = Some(node.leave(now));
    });
    assert_eq!(streams, 2);
    assert_eq!(*ended(&events, leave.unwrap()), Err(Failure::Unconfirmed));
    assert!((1..3).all(|here| net.state(here, 0) == Some(State::Alive)));
}

/// Runs nodes 0 and 1, which are members; returns all frames that they wrote since they joined,
/// with the writers: those of syncs, of stream pings, and of a reliable message each.
fn recorded_frames(net: &mut Net) -> Vec<(usize, Vec<u8>)> {
    for (from, to) in [(0, id(1)), (1, id(0))] {
        net.command(from, |node, now| node.send_reliable(now, &to, "once".into())).unwrap();
    }
    net.run_for(60 * SECOND);
    net.cut_datagrams(0, 1);
    net.run_for(5 * SECOND);
    net.heal();
    net.run_for(5 * SECOND);
    std::mem::take(&mut net.writes)
}

/// What a replay may change: the table, the number of syncs and of messages.
fn changes(net: &Net, here: usize) -> String {
    let (node, messages) = (&net.nodes[here].node, net.messages(here).len());
    format!("{:?}, {} syncs, {messages} messages", known(node), node.stats().syncs)
}

#[test]
fn a_recorded_frame_is_refused_by_the_node_that_it_was_for() {
    let mut net = pair();
    let frames = recorded_frames(&mut net);
    assert!(net.nodes.iter().all(|host| host.node.stats().probes_by_stream > 0));
    assert!(net.nodes.iter().all(|host| host.node.stats().syncs > 2));
    for (from, frame) in frames {
        let to = 1 - from;
        let before = changes(&net, to);
        for source in [addr(from), stranger()] {
            let stream = net.inject_stream(to, source, &frame);
            assert_eq!(net.injected_stream_actions(to, stream), [StreamAction::Reset]);
            assert_eq!(changes(&net, to), before);
        }
    }
    assert_eq!(net.messages(0).len() + net.messages(1).len(), 2);
}

#[test]
fn a_recorded_leave_is_refused_by_the_node_that_it_was_for() {
    let mut net = pair();
    net.writes.clear();
    net.leave(1);
    net.run_for(SECOND);
    let leave = net.writes.iter().find(|(by, _)| *by == 1).unwrap().1.clone();
    net.run_for(SECOND);
    let stream = net.inject_stream(0, addr(1), &leave);
    assert_eq!(net.injected_stream_actions(0, stream), [StreamAction::Reset]);
}

#[test]
fn a_recorded_frame_is_refused_by_another_member() {
    let mut net = pair();
    net.run_for(SECOND);
    net.writes.clear();
    let mut frames = recorded_frames(&mut net);
    net.leave(1);
    net.run_for(SECOND);
    frames.append(&mut net.writes);
    // A member that was not there: it knows both, and node 1 as alive.
    let mut late = joined(3);
    late.now = net.now;
    late.command(2, |node, now| node.handle_timeout(now));
    let before = changes(&late, 2);
    let mut refusals = 0;
    for (from, frame) in frames {
        let stream = late.inject_stream(2, addr(from), &frame);
        match late.injected_stream_actions(2, stream) {
            [StreamAction::Reset] => {}
            [StreamAction::Write(refusal), StreamAction::Close] => {
                assert!(refusal.len() <= 64, "{} bytes", refusal.len());
                refusals += 1;
            }
            actions => panic!("{actions:?}"),
        }
        assert_eq!(changes(&late, 2), before);
        late.feed_stream(2, stream, StreamInput::Closed);
    }
    assert!(refusals >= 6, "of syncs, messages, stream pings and the leave");
}

/// Node 2 joins through node 0, which knows so many members, as node 1 does; returns all frames,
/// with the writers, and how long the join took.
fn recorded_join(members: usize) -> (Net, Vec<(usize, Vec<u8>)>, Duration) {
    let mut net = Net::of((0..3).map(|n| config(n, addr(n)).with_generation(1)));
    net.add_fictional_members(0, members);
    net.add_fictional_members(1, members);
    let join = net.join(2, &[addr(0)]);
    let took = net.run_until(|net| net.result(2, join).is_some());
    assert!(net.result(2, join).unwrap().is_ok());
    assert_eq!(net.nodes[2].node.present_count(), members + 2);
    let writes = std::mem::take(&mut net.writes);
    (net, writes, took)
}

#[test]
fn a_recorded_join_is_answered_once_and_briefly_until_the_peer_is_live() {
    let (mut net, writes, _) = recorded_join(1000);
    let frames: Vec<_> = writes.iter().filter(|(by, _)| *by == 2).collect();
    let answered: usize = writes.iter().filter(|(by, _)| *by == 0).map(|(_, w)| w.len()).sum();
    let join = &frames[0].1;
    assert!(answered > 100 * join.len(), "a live node gets {answered} bytes");
    let stream = net.inject_stream(1, stranger(), join);
    let [StreamAction::Write(answer)] = net.injected_stream_actions(1, stream) else {
        panic!("the recorded join has no receiver, and node 1 did not get it yet");
    };
    assert!(answer.len() <= 3 * join.len(), "{} to {} bytes", answer.len(), join.len());
    // What the live node went on with is bound to the answer that it got.
    net.feed_stream(1, stream, StreamInput::Data(&frames[1].1));
    assert_eq!(net.injected_stream_actions(1, stream)[1..], [StreamAction::Reset]);
    for here in [0, 1] {
        let stream = net.inject_stream(here, stranger(), join);
        assert_eq!(net.injected_stream_actions(here, stream), [StreamAction::Reset]);
    }
}

#[test]
fn the_first_answer_to_a_sync_is_short_at_any_number_of_members() {
    for members in [1, 20, 40, 60, 300, 3000] {
        let (mut net, writes, _) = recorded_join(members);
        let stream = net.inject_stream(1, stranger(), &writes[0].1);
        let [StreamAction::Write(answer)] = net.injected_stream_actions(1, stream) else {
            panic!()
        };
        assert!(answer.len() <= 1200, "{} bytes with {members} members", answer.len());
    }
}

#[test]
fn a_join_takes_two_round_trips_in_a_small_cluster_and_three_in_a_large_one() {
    let round_trip = 2 * LATENCY;
    for (members, round_trips) in [(1, 2), (30, 2), (100, 3), (1000, 3)] {
        let (_, _, took) = recorded_join(members);
        assert_eq!(took, round_trips * round_trip, "{members} members");
    }
}

#[test]
fn a_frame_counts_in_its_direction_only() {
    const REQUEST: u8 = 1;
    const ANSWER: u8 = 2;
    for direction in [ANSWER, REQUEST] {
        let mut net = pair();
        let now = net.now;
        let node = &mut net.nodes[0].node;
        let message = node.send_reliable(now, &id(1), "hello".into()).unwrap();
        let (mut buf, mut result) = (Vec::new(), None);
        while let Some(output) = node.poll_output(&mut buf) {
            match output {
                Output::Stream { id, action: StreamAction::Open { .. } } => {
                    node.handle_stream(now, id, StreamInput::Opened);
                }
                Output::Stream { id, action: StreamAction::Write(request) } => {
                    let first = request[9..33].try_into().unwrap();
                    // A refusal: has left.
                    let answer = encrypted::bound_frame(direction, 1, first, &[4, 0]);
                    node.handle_stream(now, id, StreamInput::Data(&answer));
                }
                Output::Event(Event::Completed { ticket, result: ended }) if ticket == message => {
                    result = Some(ended);
                }
                _ => {}
            }
        }
        assert_eq!(node.stats().rejected_streams.key, u64::from(direction == REQUEST));
        assert!(matches!(result, Some(Err(_))), "{result:?}");
    }
}

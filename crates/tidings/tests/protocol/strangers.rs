//! Strangers: what they say through a seed, of members, at a member's IP, and with much memory.

use super::*;

const VICTIM: &str = "192.0.2.77:7946";

fn joined_and_settled(count: usize) -> Net {
    let mut net = joined(count);
    net.run_for(30 * SECOND);
    net
}

#[test]
fn a_newcomer_does_not_believe_its_seed_what_that_was_only_told() {
    let mut net = joined_and_settled(4);
    let lies = [
        forge::alive("x", VICTIM, 1, 0, b""),
        // The newcomer's own name, in a later life.
        forge::alive("n4", VICTIM, 1 << 40, 0, b""),
    ];
    net.inject(0, addr(1), &forge::datagram(&lies));
    let newcomer = net.start(config(4, addr(4)));
    let ticket = net.join(newcomer, &[addr(0)]);
    net.run_until(|net| net.result(newcomer, ticket).is_some());
    assert!(matches!(net.result(newcomer, ticket), Some(Ok(Done::Joined { .. }))));
    let node = &net.nodes[newcomer].node;
    assert!(node.member(&"x".parse().unwrap()).is_some());
    assert!(!node.is_validated(&"x".parse().unwrap()), "nobody has answered there");
    assert!((0..4).all(|n| node.is_validated(&id(n))), "the others have");
    let took = net.run_until(|net| {
        (0..4).all(|here| net.member(here, 4).is_some_and(|member| member.addr() == addr(4)))
    });
    assert!(took <= 5 * SECOND, "it took {took:?}");
}

#[test]
fn strangers_that_accuse_a_node_again_and_again_are_refuted_ever_more_rarely() {
    let mut net = joined_and_settled(4);
    let before = net.nodes[0].node.stats().refutations;
    for n in 0..300 {
        let lie = forge::suspect(0, "n0", 1 << 40, n);
        net.inject(0, stranger(), &forge::datagram(&[lie]));
        net.run_for(SECOND / 5);
    }
    let refuted = net.nodes[0].node.stats().refutations - before;
    assert!((1..=7).contains(&refuted), "{refuted} in a minute");
    let restarts = |event: &Event| matches!(event, Event::Restarted { .. });
    let told = net.nodes[1].events.iter().filter(|(_, event)| restarts(event)).count();
    assert!(told <= 7, "{told}");
}

#[test]
fn strangers_that_name_a_node_at_ever_new_addresses_are_reported_ever_more_rarely() {
    let mut net = joined_and_settled(4);
    net.set_meta(0, "our later incarnation");
    let conflict = |event: &Event| matches!(event, Event::Conflict { .. });
    for n in 0..300 {
        let elsewhere = format!("192.0.2.{}:{}", n % 250, 1000 + n);
        let lie = forge::alive("n0", &elsewhere, 1, 0, b"");
        net.inject(0, stranger(), &forge::datagram(&[lie]));
        net.run_for(SECOND / 5);
    }
    let events = net.nodes[0].events.iter().filter(|(_, event)| conflict(event)).count();
    assert!((1..=7).contains(&events), "{events} in a minute");
    // One that answers is reported at once, whatever strangers say.
    let before = net.nodes[0].events.len();
    let twin = config(0, addr(9)).to_builder().generation(2).on_name_taken(OnNameTaken::Contest);
    let twin = net.start(twin.build().unwrap());
    net.join(twin, &[addr(1)]);
    let reported = |net: &Net| net.nodes[0].events[before..].iter().any(|(_, one)| conflict(one));
    let took = net.run_until(reported);
    assert!(took <= 10 * SECOND, "{took:?}");
}

#[test]
fn a_strangers_table_accuses_nobody() {
    let mut net = joined_and_settled(4);
    let accuse = |n: usize| forge::member(1, &format!("n{n}"), &addr(n).to_string(), 9, b"");
    let rows: Vec<_> = (0..4).map(accuse).collect();
    let liar = [forge::member(0, "liar", VICTIM, 1, b"")];
    let table = forge::sync_hello(&[&liar, &rows[..]].concat());
    net.inject_stream(0, stranger(), &forge::frame(0, &table));
    // In the name of a member, from elsewhere; and without a sync.
    const MEMBERS: u8 = 2;
    let as_n1 = [&[0, 0x20, 2][..], b"n1", &[0, MEMBERS], &rows.concat(), &[0xff]].concat();
    net.inject_stream(0, stranger(), &forge::frame(0, &as_n1));
    const UPDATES: u8 = 2;
    net.inject_stream(0, stranger(), &forge::frame(UPDATES, &[&[0][..], &rows.concat()].concat()));
    net.run_for(5 * SECOND);
    let suspected = |event: &Event| matches!(event, Event::Suspected(_));
    assert!((0..4).all(|here| !net.saw(here, suspected)));
    assert_eq!(net.nodes[0].node.stats().refutations, 0);
}

#[test]
fn a_stranger_that_joins_as_a_member_gives_it_neither_metadata_nor_a_life() {
    let mut net = joined_and_settled(4);
    let known = net.member(0, 1).unwrap().incarnation().generation;
    let later = forge::member(0, "n1", &addr(1).to_string(), known + 1, b"evil");
    net.inject_stream(
        0,
        stranger(),
        &forge::frame(0, &forge::sync_hello(std::slice::from_ref(&later))),
    );
    let by_name = [&[0, 0x20, 2][..], b"n1", &[0, 2], &later, &[0xff]].concat();
    net.inject_stream(0, stranger(), &forge::frame(0, &by_name));
    net.run_for(5 * SECOND);
    let restarted = |event: &Event| matches!(event, Event::Restarted { .. } | Event::Updated(_));
    assert!(!net.saw(0, restarted) && !net.saw(2, restarted));
}

#[test]
fn who_joins_from_a_members_ip_does_not_take_its_place() {
    let mut net = joined_and_settled(4);
    let local_user = SocketAddr::new(addr(2).ip(), 40_000);
    let evil = [forge::member(0, "evil", &addr(2).to_string(), 1, b"")];
    net.inject_stream(0, local_user, &forge::frame(0, &forge::sync_hello(&evil)));
    assert!(net.nodes[0].node.member(&"evil".parse().unwrap()).is_none(), "it has not answered");
    let ask = forge::ping_request_of(forge::sender_tag(b"n2", 1), 7, 500, "n3");
    net.inject(0, addr(2), &forge::datagram(&[ask]));
    assert_eq!(net.nodes[0].node.stats().indirect_pings_refused, 0, "n2 is known by its address");
    // Also by its name, once others have told of it.
    let told = forge::alive("evil", &addr(2).to_string(), 1, 0, b"");
    net.inject(0, addr(1), &forge::datagram(&[told]));
    let by_name = [&[0, 0x20, 4][..], b"evil", &[0, 0], &[7; 8]].concat();
    net.inject_stream(0, local_user, &forge::frame(0, &by_name));
    let ask = forge::ping_request_of(forge::sender_tag(b"n2", 1), 8, 500, "n3");
    net.inject(0, addr(2), &forge::datagram(&[ask]));
    assert_eq!(net.nodes[0].node.stats().indirect_pings_refused, 0);
}

#[test]
fn one_source_does_not_take_the_memory_of_all_streams() {
    let mut net = joined_and_settled(3);
    let megabyte = 1 << 20;
    let mut begun = forge::plain_frame(forge::CLUSTER, 6, &vec![0; megabyte - 64]);
    begun.pop();
    for port in 1..=64 {
        let from: SocketAddr = ([192, 0, 2, 1], port).into();
        let stream = net.nodes[0].node.accept_stream(net.now, from).expect("a place");
        net.nodes[0].node.handle_stream(net.now, stream, StreamInput::Data(&begun));
    }
    net.drain(0);
    let rejected = net.nodes[0].node.stats().rejected_streams.oversized;
    assert!((32..40).contains(&rejected), "half of them: {rejected}");
    let to = id(1);
    let sent = net.command(0, |node, now| node.send_reliable(now, &to, vec![1].into())).unwrap();
    let newcomer = net.start(config(3, addr(3)));
    let joined = net.join(newcomer, &[addr(0)]);
    net.run_for(SECOND);
    assert!(matches!(net.result(0, sent), Some(Ok(Done::Delivered))));
    assert!(matches!(net.result(newcomer, joined), Some(Ok(Done::Joined { .. }))));
}

#[test]
fn a_stranger_that_gives_the_holders_generation_does_not_free_its_name() {
    let mut net = joined_and_settled(3);
    const SYNC_OF_NEWCOMER: u8 = 10;
    let own = net.nodes[2].node.local().incarnation().generation;
    let row = forge::member(0, "n2", &addr(9).to_string(), own, b"");
    let hello = [&[0][..], &row, &[0]].concat();
    net.inject_stream(0, stranger(), &forge::frame(SYNC_OF_NEWCOMER, &hello));
    net.run_for(SECOND / 2);
    let twin = net.start(config(2, addr(9)).with_generation(own + 1));
    let ticket = net.join(twin, &[addr(0)]);
    net.run_for(15 * SECOND);
    assert!(matches!(net.result(twin, ticket), Some(Err(Failure::NameTaken { .. }))));
    assert!((0..2).all(|here| net.member(here, 2).unwrap().addr() == addr(2)));
}

#[test]
fn a_seed_whose_table_never_agrees_keeps_no_join_waiting() {
    let options = Options::lan();
    let mut node = Node::new(config_at(0, addr(0), &options), [7; 32], Instant::ZERO);
    let (mut now, mut buf, mut stream, mut ended) = (Instant::ZERO, Vec::new(), None, None);
    let ticket = node.join(now, &[addr(1)]).unwrap();
    let differs = [&[0][..], &[7; 8]].concat();
    // As late as it may answer, each time.
    let late = options.stream_timeout - SECOND;
    let (mut answer_at, mut answers) = (None, 0);
    while ended.is_none() {
        while let Some(output) = node.poll_output(&mut buf) {
            match output {
                Output::Stream { id, action: StreamAction::Open { .. } } if stream.is_none() => {
                    stream = Some(id);
                    node.handle_stream(now, id, StreamInput::Opened);
                }
                Output::Stream { id, action: StreamAction::Write(_) } if stream == Some(id) => {
                    answer_at = Some(now + late);
                }
                Output::Event(Event::Completed { ticket: of, .. }) if of == ticket => {
                    ended = Some(now);
                }
                _ => {}
            }
        }
        let due = node.poll_timeout().unwrap_or(Instant::MAX);
        let answers_now = answer_at.take_if(|at| *at < due);
        now = answers_now.unwrap_or(due).max(now);
        node.handle_timeout(now);
        if answers_now.is_some() {
            let seed = forge::member(0, "n1", &addr(1).to_string(), 1, b"");
            let greeting = [&seed[..], &[0], &differs].concat();
            let frame = match answers {
                0 => forge::plain_frame(forge::CLUSTER, 1, &greeting),
                _ => forge::plain_frame(forge::CLUSTER, 5, &differs),
            };
            answers += 1;
            let stream = stream.expect("it tries the seed");
            node.handle_stream(now, stream, StreamInput::Data(&frame));
        }
    }
    let took = ended.unwrap().since(Instant::ZERO);
    assert!(took > 2 * options.stream_timeout, "its frames came: {took:?}");
    assert!(took <= 3 * options.stream_timeout, "it took {took:?}");
}

//! Address validation: without keys, what others only told of does not count as what has answered.

use super::*;

const VICTIM: &str = "192.0.2.77:7946";

fn victim() -> SocketAddr {
    VICTIM.parse().unwrap()
}

fn to_victim(net: &Net) -> Vec<&Vec<u8>> {
    net.datagrams.iter().filter(|(_, to, _)| *to == victim()).map(|(_, _, data)| data).collect()
}

/// Length of a datagram on the wire, in bytes, with this content.
fn wire_len(content: &[u8]) -> usize {
    content.len() + 9
}

#[test]
fn a_strangers_claim_counts_once_the_address_in_it_has_answered() {
    let mut net = joined(3);
    // Node 3 runs, and nobody knows it.
    let newcomer = net.start(config(3, addr(3)));
    let own = net.nodes[newcomer].node.local().incarnation();
    let alive = forge::alive("n3", &addr(3).to_string(), own.generation, own.number, b"role=db");
    let absent = forge::alive("x", VICTIM, 1, 0, b"role=db");
    net.inject(0, stranger(), &forge::datagram(&[alive]));
    net.inject(0, stranger(), &forge::datagram(&[absent]));
    assert_eq!(net.nodes[0].node.present_count(), 3, "neither has answered");
    net.run_until(|net| (0..3).all(|here| net.state(here, 3) == Some(State::Alive)));
    assert!(net.nodes[0].node.is_validated(&id(3)));
    net.run_for(60 * SECOND);
    assert_eq!(net.nodes[0].node.member(&"x".parse().unwrap()).map(Member::state), None);
    assert_eq!(to_victim(&net).len(), 1, "it was asked once");
    assert_eq!(net.nodes[0].node.stats().claims_by_strangers, 2);
}

#[test]
fn a_stranger_that_claims_much_in_a_datagram_makes_a_node_ask_one_address() {
    let mut net = joined(3);
    let absent =
        |n: usize| forge::alive(&format!("x{n}"), &format!("192.0.2.77:{}", n + 1), 1, 0, b"");
    let before = net.datagrams.len();
    let datagram = forge::datagram(&(0..60).map(absent).collect::<Vec<_>>());
    net.inject(0, stranger(), &datagram);
    let sent = &net.datagrams[before..];
    assert_eq!(sent.len(), 1);
    assert!(wire_len(&sent[0].2) <= 28);
    // Nor does it say anything about members.
    let lie = [forge::failed("n1", 1, 9), forge::suspect(1, "n2", 1, 9)];
    net.inject(0, stranger(), &forge::datagram(&lie));
    assert_eq!([1, 2].map(|n| net.state(0, n)), [Some(State::Alive); 2]);
}

#[test]
fn an_address_that_a_member_claims_gets_a_few_pings_and_nothing_else() {
    let mut net = joined_lan(20, |_| {});
    net.run_for(30 * SECOND);
    let lie = forge::datagram(&[forge::alive("x", VICTIM, 1, 0, b"")]);
    net.inject(0, addr(1), &lie);
    // News that all others get.
    net.set_meta(5, "new");
    net.run_for(300 * SECOND);
    let gone = |here: usize| net.nodes[here].node.member(&"x".parse().unwrap()).unwrap().state();
    assert!((0..20).all(|here| gone(here) == State::Failed));
    let sent = to_victim(&net);
    assert!(sent.iter().all(|data| data[0] == 0), "pings");
    assert!(sent.len() <= 60, "each asks once, and probes it until it fails: {}", sent.len());
    let partition = |event: &Event| matches!(event, Event::PartitionSuspected { .. });
    assert!((0..20).all(|here| !net.saw(here, partition)));
}

#[test]
fn invented_members_hardly_delay_the_detection_of_a_crash_and_age_out() {
    let time = |invented: usize| {
        let mut net = joined_lan(10, |_| {});
        net.run_for(30 * SECOND);
        for n in 0..invented {
            let alive =
                forge::alive(&format!("x{n:03}"), &format!("10.9.9.9:{}", n + 1), 1, 0, b"");
            net.inject(0, addr(1), &forge::datagram(&[alive]));
        }
        net.run_for(2 * SECOND);
        net.kill(9);
        let known = |net: &Net| (0..9).all(|here| net.state(here, 9) == Some(State::Failed));
        let took = net.run_until(known);
        net.run_for(120 * SECOND);
        assert!((0..9).all(|here| net.nodes[here].node.present_count() == 9));
        took
    };
    let honest = time(0);
    for invented in [50, 200] {
        let took = time(invented);
        assert!(took < honest * 5 / 2 + 2 * SECOND, "{took:?} with {invented}, else {honest:?}");
    }
}

#[test]
fn a_full_table_of_invented_members_gives_way_to_those_that_answer() {
    let mut options = Options::lan();
    options.max_members = 8;
    let mut net = Net::with_options(6, &options);
    net.join(1, &[addr(0)]);
    net.run_for(2 * SECOND);
    for n in 0..20 {
        let alive = forge::alive(&format!("x{n}"), &format!("10.9.9.9:{}", n + 1), 1, 0, b"");
        net.inject(0, addr(1), &forge::datagram(&[alive]));
    }
    assert_eq!(net.nodes[0].node.present_count(), 8);
    for newcomer in 2..6 {
        let ticket = net.join(newcomer, &[addr(0)]);
        net.run_until(|net| net.result(newcomer, ticket).is_some());
        assert!(matches!(net.result(newcomer, ticket), Some(Ok(Done::Joined { .. }))));
        assert_eq!(net.state(0, newcomer), Some(State::Alive));
    }
}

#[test]
fn a_frame_of_invented_suspects_makes_a_node_send_nothing_to_their_address() {
    let mut net = joined(3);
    let suspects = (0..2000).map(|n| forge::member(1, &format!("x{n}"), VICTIM, 1, b""));
    let mut table = vec![forge::member(0, "liar", "192.0.2.1:7946", 1, b"")];
    table.extend(suspects);
    net.inject_stream(0, stranger(), &forge::frame(0, &forge::sync_hello(&table)));
    net.drain(0);
    assert_eq!(to_victim(&net).len(), 0);
    net.run_for(SECOND);
    assert!(to_victim(&net).len() <= 20, "{}", to_victim(&net).len());
}

#[test]
fn a_node_that_joins_from_another_address_is_asked_at_its_own_before_others_hear_of_it() {
    let mut net = joined(3);
    let joiner = forge::member(0, "x", VICTIM, 1, b"");
    net.inject_stream(0, stranger(), &forge::frame(0, &forge::sync_hello(&[joiner])));
    net.run_for(5 * SECOND);
    let known = |here: usize| net.nodes[here].node.member(&"x".parse().unwrap()).is_some();
    assert!(!known(1) && !known(2));
    assert!(to_victim(&net).iter().all(|data| data[0] == 0), "pings");
}

#[test]
fn a_member_that_answers_is_not_moved_by_what_others_tell_of_it_and_follows_itself() {
    let mut net = joined(3);
    net.run_for(30 * SECOND);
    let known = net.member(0, 2).unwrap().incarnation();
    let lie = forge::alive("n2", VICTIM, known.generation, known.number + 1, b"role=db");
    net.inject(0, addr(1), &forge::datagram(&[lie]));
    assert_eq!(net.member(0, 2).unwrap().addr(), addr(2));
    net.run_for(60 * SECOND);
    assert_eq!(to_victim(&net).len(), 1, "is it there?");
    let failed = |event: &Event| matches!(event, Event::Failed(_) | Event::Suspected(_));
    assert!((0..3).all(|here| !net.saw(here, failed)));
    // It comes back at another address, and tells one member.
    net.restart(2, config_at(2, addr(7), &Options::lan()).with_generation(known.generation + 1));
    net.join(2, &[addr(1)]);
    net.run_until(|net| (0..2).all(|here| net.member(here, 2).unwrap().addr() == addr(7)));
    assert!(net.nodes[0].node.is_validated(&id(2)));
}

#[test]
fn a_claim_to_a_nodes_name_does_not_keep_it_from_refuting() {
    let mut net = joined(3);
    net.run_for(10 * SECOND);
    let own = net.nodes[0].node.local().incarnation();
    let claim = forge::alive("n0", VICTIM, own.generation + 1, 0, b"role=db");
    net.inject(0, addr(1), &forge::datagram(&[claim]));
    assert_eq!(to_victim(&net).len(), 1, "is somebody of that name there?");
    let suspicion = forge::suspect(1, "n0", own.generation + 1, 0);
    net.inject(0, addr(1), &forge::datagram(&[suspicion]));
    assert!(net.nodes[0].node.local().incarnation().generation > own.generation, "it refutes");
    assert!(!net.saw(0, |event| matches!(event, Event::Conflict { .. })), "nobody was there");
}

#[test]
fn what_a_stream_says_of_members_elsewhere_does_not_count() {
    let mut net = joined(3);
    net.run_for(10 * SECOND);
    for state in [2, 3] {
        let later = net.member(0, 2).unwrap().incarnation().generation + 1;
        let record = forge::member(state, "n2", &addr(2).to_string(), later, b"");
        net.inject_stream(0, stranger(), &forge::frame(2, &[vec![0], record].concat()));
        net.drain(0);
        assert_eq!(net.state(0, 2), Some(State::Alive));
    }
    // From its own address it is what it says.
    let generation = net.member(0, 2).unwrap().incarnation().generation;
    let gone = forge::member(3, "n2", &addr(2).to_string(), generation + 1, b"");
    net.kill(2);
    net.inject_stream(0, addr(2), &forge::frame(2, &[vec![0], gone].concat()));
    net.drain(0);
    assert_eq!(net.state(0, 2), Some(State::Left));
}

#[test]
fn all_that_a_frame_says_makes_a_node_send_no_metadata_to_the_address_in_it() {
    let mut net = joined(3);
    net.set_meta(0, &"m".repeat(500));
    let own = net.nodes[0].node.local().incarnation();
    let liar = forge::member(0, "liar", VICTIM, 1, b"");
    for state in [1, 2] {
        let at = addr(0).to_string();
        let accusation = forge::member(state, "n0", &at, own.generation + u64::from(state), b"");
        let table = forge::sync_hello(&[liar.clone(), accusation]);
        net.inject_stream(0, stranger(), &forge::frame(0, &table));
        net.drain(0);
    }
    assert_eq!(net.nodes[0].node.local().incarnation(), own, "a stranger's word");
    assert!(to_victim(&net).iter().all(|data| data.len() < 64), "{:?}", to_victim(&net));
}

#[test]
fn a_strangers_broadcast_is_not_passed_on() {
    let mut net = joined(4);
    net.run_for(10 * SECOND);
    let forged = forge::broadcast("n1", 1, 7, b"", b"forged");
    net.inject(0, stranger(), &forge::datagram(&[forged]));
    net.run_for(5 * SECOND);
    assert!((0..4).all(|here| net.messages(here).is_empty()));
    assert_eq!(net.nodes[0].node.stats().broadcasts_unknown_origin, 1);
}

#[test]
fn whoever_answers_at_a_lost_members_address_is_no_seed() {
    let mut options = Options::lan();
    options.reconnect_interval = SECOND;
    let mut net = joined_with(3, &options);
    net.run_for(10 * SECOND);
    // Kept from the network: what it sends goes nowhere.
    net.kill(1);
    net.kill(2);
    let node = &mut net.nodes[0].node;
    let (mut now, mut buf, mut opened) = (node.now(), Vec::new(), None);
    while opened.is_none() {
        now = now.max(node.poll_timeout().expect("it looks for what it lost"));
        node.handle_timeout(now);
        while let Some(output) = node.poll_output(&mut buf) {
            if let Output::Stream { id, action: StreamAction::Open { to, .. } } = output {
                let lost = node.members().count() == 1 && to == addr(2);
                match lost {
                    true => opened = Some(id),
                    false => node.handle_stream(now, id, StreamInput::Failed(StreamError::Refused)),
                }
            }
        }
    }
    let table = forge::join_answer(&[forge::member(0, "x", VICTIM, 1, b"")]);
    for input in [StreamInput::Opened, StreamInput::Data(&table), StreamInput::Closed] {
        node.handle_stream(now, opened.unwrap(), input);
        while node.poll_output(&mut buf).is_some() {}
    }
    let invented = "x".parse().unwrap();
    assert!(node.member(&invented).is_some_and(|member| member.state() == State::Alive));
    assert!(!node.is_validated(&invented));
}

#[test]
fn whoever_answers_where_a_hint_says_is_no_seed_and_at_a_seed_is_one() {
    let invented = "x".parse().unwrap();
    let believed = |hint: bool| {
        let mut node = Node::new(config(0, addr(0)).with_generation(1), [1; 32], Instant::ZERO);
        let (mut now, mut buf, mut opened) = (Instant::ZERO, Vec::new(), None);
        let there = [addr(1)];
        let set = if hint { Node::set_hints } else { Node::set_seeds };
        set(&mut node, now, &there).unwrap();
        while opened.is_none() {
            now = now.max(node.poll_timeout().expect("it tries the address"));
            node.handle_timeout(now);
            while let Some(output) = node.poll_output(&mut buf) {
                if let Output::Stream { id, action: StreamAction::Open { .. } } = output {
                    opened = Some(id);
                }
            }
        }
        let table = forge::join_answer(&[forge::member(0, "x", VICTIM, 1, b"")]);
        for input in [StreamInput::Opened, StreamInput::Data(&table), StreamInput::Closed] {
            node.handle_stream(now, opened.unwrap(), input);
            while node.poll_output(&mut buf).is_some() {}
        }
        assert!(node.member(&invented).is_some_and(|member| member.state() == State::Alive));
        node.is_validated(&invented)
    };
    assert!(!believed(true));
    assert!(believed(false));
}

/// The sync of a stranger, with a table of these members.
fn strangers_table(members: &[Vec<u8>]) -> Vec<u8> {
    let liar = forge::member(0, "liar", "192.0.2.1:7946", 1, b"");
    forge::frame(0, &forge::sync_hello(&[vec![liar], members.to_vec()].concat()))
}

#[test]
fn an_invented_member_at_a_members_address_does_not_take_its_place() {
    let mut net = joined(4);
    net.run_for(10 * SECOND);
    for n in 0..10 {
        let invented = forge::member(0, &format!("x{n}"), &addr(2).to_string(), 1, b"");
        net.inject_stream(0, stranger(), &strangers_table(&[invented]));
        net.drain(0);
    }
    for part in 0..3_u8 {
        net.command(2, |node, now| node.broadcast(now, vec![part].into())).unwrap();
        net.run_for(40 * SECOND);
    }
    assert_eq!(net.messages(0).len(), 3, "of the one that answers there");
    assert_eq!(net.nodes[0].node.present_count(), 4);
    assert!(net.nodes.iter().all(|node| node.node.health() == 0));
}

#[test]
fn what_is_asked_in_the_name_of_an_invented_member_is_not_answered() {
    let mut net = joined(4);
    net.run_for(10 * SECOND);
    let alive = forge::alive("x", VICTIM, 1, 0, b"");
    net.inject(0, addr(1), &forge::datagram(&[alive]));
    net.set_meta(3, "news, to be piggybacked");
    let tag = forge::sender_tag(b"x", 1);
    for token in 0..20 {
        let request = forge::ping_request_of(tag, token, 500, "n2");
        net.inject(0, victim(), &forge::datagram(&[request]));
        let ping = forge::ping_by(token, "n0", tag);
        net.inject(0, victim(), &forge::datagram(&[ping]));
        net.run_for(SECOND);
    }
    let acks = to_victim(&net).iter().filter(|data| data[0] != 0).count();
    assert_eq!(acks, 20, "a bare ack for each ping");
    assert!(to_victim(&net).iter().all(|data| wire_len(data) <= 28));
    assert!(net.nodes[0].node.stats().indirect_pings_refused >= 20);
}

/// Asserts that node 2 is no more than suspected at node 0, where it is, until it refutes.
#[track_caller]
fn assert_is_accused_and_refutes(net: &mut Net) {
    net.drain(0);
    assert_eq!(net.state(0, 2), Some(State::Suspect), "an accusation");
    assert_eq!(net.member(0, 2).unwrap().addr(), addr(2));
    net.run_until(|net| all_believe(net, [0, 1].into_iter(), 2));
    assert!(!net.saw(0, |event| matches!(event, Event::Left(_) | Event::Failed(_))));
}

#[test]
fn a_strangers_table_neither_moves_a_member_nor_says_that_it_left() {
    let mut net = joined(3);
    net.run_for(10 * SECOND);
    for (state, at) in [(1, VICTIM), (2, VICTIM), (3, VICTIM), (3, &*addr(2).to_string())] {
        let later = net.member(0, 2).unwrap().incarnation().generation + 1;
        let row = forge::member(state, "n2", at, later, b"");
        net.inject_stream(0, stranger(), &strangers_table(&[row]));
        assert_is_accused_and_refutes(&mut net);
    }
}

#[test]
fn the_answer_to_a_sync_introduces_nobody() {
    let mut net = joined(3);
    net.run_for(10 * SECOND);
    let node = &mut net.nodes[0].node;
    let (mut now, mut buf, mut opened) = (node.now(), Vec::new(), None);
    while opened.is_none() {
        now = now.max(node.poll_timeout().unwrap());
        node.handle_timeout(now);
        while let Some(output) = node.poll_output(&mut buf) {
            if let Output::Stream { id, action: StreamAction::Open { .. } } = output {
                opened = Some(id);
                node.handle_stream(now, id, StreamInput::Opened);
                break;
            }
        }
        let written = opened.map(|id| stream_actions(node, id));
        // A probe of a member that is silent by now is no sync.
        let is_sync = |actions: &Vec<StreamAction>| {
            actions.iter().any(|action| {
                matches!(action, StreamAction::Write(frame) if forge::kind(frame) == Some(0))
            })
        };
        opened = opened.filter(|_| written.as_ref().is_some_and(is_sync));
    }
    let x = forge::member(0, "x", VICTIM, 1, b"");
    let reply = forge::plain_frame(forge::CLUSTER, 1, &[&x[..], &[0, 2, 0xff]].concat());
    node.handle_stream(now, opened.unwrap(), StreamInput::Data(&reply));
    let actions = stream_actions(node, opened.unwrap());
    assert!(actions.contains(&StreamAction::Reset), "{actions:?}");
    assert!(node.member(&"x".parse().unwrap()).is_none());
}

#[test]
fn who_calls_itself_a_member_at_another_address_neither_ends_nor_moves_it() {
    let mut net = joined(3);
    net.run_for(10 * SECOND);
    let known = net.member(0, 2).unwrap().incarnation();
    assert_eq!(known.number, 0, "the rows below are about that one, and the next");
    let low = "9.0.0.1:1";
    let rows = [
        forge::member(3, "n2", low, known.generation, b""),
        forge::member(0, "n2", low, known.generation + 1, b""),
    ];
    let hello = [&[0, 0x20, 2][..], b"n2", &[0, 2], &rows.concat(), &[0xff]].concat();
    net.inject_stream(0, low.parse().unwrap(), &forge::frame(0, &hello));
    assert_is_accused_and_refutes(&mut net);
}

#[test]
fn a_member_said_to_have_left_is_not_moved_either() {
    let mut net = joined(3);
    net.run_for(10 * SECOND);
    let known = net.member(0, 2).unwrap().incarnation();
    let left = forge::left("n2", known.generation, known.number);
    let elsewhere = forge::alive("n2", VICTIM, known.generation, known.number + 1, b"role=db");
    net.inject(0, addr(1), &forge::datagram(&[left, elsewhere]));
    assert_eq!(net.member(0, 2).unwrap().addr(), addr(2));
    let took = net.run_until(|net| all_believe(net, [0, 1].into_iter(), 2));
    assert!(took <= 2 * SECOND, "it refutes: {took:?}");
}

#[test]
fn what_anybody_can_say_of_a_node_does_not_worsen_its_health() {
    let mut net = joined(3);
    net.run_for(10 * SECOND);
    for _ in 0..7 {
        // Longer than strangers have to wait for a refutation.
        net.run_for(65 * SECOND);
        let later = net.nodes[0].node.local().incarnation().generation + 1;
        let accusation = forge::suspect(0, "n0", later, 0);
        net.inject(0, stranger(), &forge::datagram(&[accusation]));
        assert!(net.nodes[0].node.local().incarnation().generation > later - 1, "it refutes");
    }
    assert_eq!(net.nodes[0].node.health(), 0);
}

#[test]
fn a_frame_of_many_parts_makes_a_node_send_one_answer_to_the_address_in_it() {
    let mut net = joined(3);
    let liar = forge::member(0, "liar", VICTIM, 1, b"");
    let own = net.nodes[0].node.local().incarnation().generation;
    // Each part has the members of a sixteenth of all ranges, and accuses the node.
    let part = |n: u8| {
        let at = addr(0).to_string();
        let accusation = forge::member(1, "n0", &at, own + 1 + u64::from(n), b"");
        const MEMBERS_AT_DEPTH_1: u8 = 2 | 1 << 2;
        [&[MEMBERS_AT_DEPTH_1, n << 4][..], &accusation, &[0xff]].concat()
    };
    let parts: Vec<_> = (0..16).flat_map(part).collect();
    let hello = [&[0][..], &liar, &[0], &parts].concat();
    net.inject_stream(0, stranger(), &forge::frame(0, &hello));
    net.drain(0);
    let raised = net.nodes[0].node.local().incarnation().generation;
    assert_eq!(raised, own, "what a stranger says of others counts for nothing");
    assert!(to_victim(&net).len() <= 2, "a question and an answer: {}", to_victim(&net).len());
}

#[test]
fn a_lost_member_is_looked_for_although_somebody_says_that_it_left() {
    let mut net = joined(6);
    net.run_for(20 * SECOND);
    for a in 0..3 {
        (3..6).for_each(|b| net.cut_both(a, b));
    }
    let apart: Vec<_> = (0..3).flat_map(|a| (3..6).flat_map(move |b| [(a, b), (b, a)])).collect();
    let gone = |net: &Net, (a, b)| net.state(a, b) == Some(State::Failed);
    net.run_until(|net| apart.iter().all(|&pair| gone(net, pair)));
    for &(here, other) in &apart {
        let known = net.member(here, other).unwrap().incarnation();
        let (name, next) = (format!("n{other}"), known.number + 1);
        let back = forge::suspect(1, &name, known.generation, next);
        let lie = [back, forge::left(&name, known.generation, next)];
        let liar = (0..6).find(|&n| n != here && (n < 3) == (here < 3)).unwrap();
        net.inject(here, addr(liar), &forge::datagram(&lie));
    }
    net.run_for(5 * SECOND);
    net.heal();
    net.run_until(|net| (0..6).all(|here| net.nodes[here].node.present_count() == 6));
}

#[test]
fn however_many_accuse_a_node_at_once_its_health_worsens_once() {
    let mut net = joined(3);
    net.run_for(10 * SECOND);
    let own = net.nodes[0].node.local().incarnation();
    let accuse = |n| forge::suspect(1, "n0", own.generation, own.number + n);
    net.inject(0, addr(1), &forge::datagram(&(0..7).map(accuse).collect::<Vec<_>>()));
    assert!(net.nodes[0].node.local().incarnation().number >= own.number + 7, "it refutes");
    assert_eq!(net.nodes[0].node.health(), 1);
}

/// Makes members believe in others that do not exist.
fn invent(net: &mut Net, at: &[usize], count: usize) {
    for n in 0..count {
        let absent = format!("192.0.2.{}:{}", n % 250, 1000 + n / 250);
        let alive = forge::datagram(&[forge::alive(&format!("x{n}"), &absent, 1, 0, b"")]);
        for &here in at {
            // As gossip of a member.
            let from = net.nodes[here].node.members().nth(1).unwrap().addr();
            net.inject(here, from, &alive);
        }
    }
}

#[test]
fn invented_members_do_not_keep_the_last_survivor_from_a_verdict() {
    let time = |invented: usize| {
        let mut net = joined_lan(2, |_| {});
        net.run_for(30 * SECOND);
        invent(&mut net, &[0], invented);
        net.kill(1);
        net.run_until(|net| net.state(0, 1) == Some(State::Failed))
    };
    let (plain, crowded) = (time(0), time(100));

    assert!(crowded <= 5 * plain + 5 * SECOND, "{crowded:?} instead of {plain:?}");
}

#[test]
fn invented_members_do_not_delay_the_end_of_a_partition() {
    let time = |invented: usize| {
        let mut net = joined_lan(4, |_| {});
        net.run_for(30 * SECOND);
        invent(&mut net, &[0, 1, 2, 3], invented);
        for (one, other) in [(0, 2), (0, 3), (1, 2), (1, 3)] {
            net.cut_both(one, other);
        }
        net.run_until(|net| {
            let failed = |here, other| net.state(here, other) == Some(State::Failed);
            failed(0, 2) && failed(1, 3) && failed(2, 0) && failed(3, 1)
        });
        // Gossip to the dead ends, so that only attempts to reconnect are left.
        net.run_for(120 * SECOND);
        net.heal();
        net.run_until(|net| {
            (0..4).all(|here| (0..4).all(|other| net.state(here, other) == Some(State::Alive)))
        })
    };
    let (plain, crowded) = (time(0), time(500));

    assert!(crowded <= 4 * plain + 60 * SECOND, "{crowded:?} instead of {plain:?}");
}

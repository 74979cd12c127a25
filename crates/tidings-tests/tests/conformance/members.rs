//! Membership: joins, failures, leaves, restarts, metadata.

use std::thread;
use std::time::Duration;
use tidings_driver::prelude::{Bytes, Event, Meta, Phase, State};
use tidings_tests::conformance::{Adapter, LIMIT, Node, id, patient, quick, wait};

tests! {
    sealed too: [
        nodes_notice_who_fails_and_who_leaves,
        metadata_travels,
        what_an_application_tells_at_every_sync_is_told_at_a_join,
        who_restarts_at_another_address_is_taken_at_once_and_without_a_conflict,
    ]
    plain only: [
        twenty_nodes_come_to_know_each_other_and_notice_that_one_fails,
        who_has_left_may_join_again,
        so_many_members_as_are_wanted_are_waited_for,
    ]
}

fn nodes_notice_who_fails_and_who_leaves(adapter: &Adapter) {
    let [a, b, c] = adapter.cluster(quick, ["a", "b", "c"]);
    for name in ["b", "c"] {
        a.wait_until(Event::Joined, name);
    }
    drop(b);
    a.wait_until(Event::Failed, "b");
    wait(|| c.state("b") == Some(State::Failed));
    assert_eq!(c.leave(), Ok(1));
    assert_eq!(c.phase(), Phase::Left);
    drop(c);
    a.wait_until(Event::Left, "c");
    assert_eq!(a.state("c"), Some(State::Left));
    assert_eq!((a.members().len(), a.all_members().len()), (1, 3));
}

fn so_many_members_as_are_wanted_are_waited_for(adapter: &Adapter) {
    let [a, b, c] = adapter.nodes(patient, ["a", "b", "c"]);
    assert_eq!(a.wait_for_members(1, LIMIT), Some(1));
    assert_eq!(a.wait_for_members(2, Duration::from_millis(50)), None);
    thread::scope(|scope| {
        let waiting = [2, 3].map(|count| {
            let a = &a;
            scope.spawn(move || a.wait_for_members(count, LIMIT))
        });
        assert_eq!(b.join([a.addr()]).unwrap(), 2);
        assert_eq!(c.join([a.addr()]).unwrap(), 3);
        for (waiting, count) in waiting.into_iter().zip([2, 3]) {
            assert!(waiting.join().unwrap() >= Some(count));
        }
    });
}

fn metadata_travels(adapter: &Adapter) {
    let config =
        |name: &str| patient(name).to_builder().meta(Meta::from("role=web")).build().unwrap();
    let [a, b] = adapter.cluster(config, ["a", "b"]);
    assert_eq!(a.wait_until(Event::Joined, "b").meta(), &Meta::from("role=web"));
    b.set_meta(Meta::from("role=db")).unwrap();
    assert_eq!(a.wait_until(Event::Updated, "b").meta(), &Meta::from("role=db"));
    assert_eq!(b.set_meta(Meta::from(&[0; 513][..])).unwrap_err().max, 512);
}

fn what_an_application_tells_at_every_sync_is_told_at_a_join(adapter: &Adapter) {
    let [a, b] = adapter.nodes(patient, ["a", "b"]);
    a.set_sync_state("a's").unwrap();
    b.set_sync_state(vec![b'b'; 60_000]).unwrap();
    b.join([a.addr()]).unwrap();
    for (node, from, data) in
        [(&a, "b", Bytes::from(vec![b'b'; 60_000])), (&b, "a", Bytes::from("a's"))]
    {
        let told = node.wait_for(|event| matches!(event, Event::SyncState { .. }));
        assert_eq!(told, Event::SyncState { from: Some(id(from)), data, join: true });
    }
    assert_eq!(a.set_sync_state(vec![0; 70_000]).unwrap_err().max, 65_536);
}

fn who_restarts_at_another_address_is_taken_at_once_and_without_a_conflict(adapter: &Adapter) {
    // Without keys, gossip about a shorter name is shorter than the question at the new address,
    // so that a sync has to bring it.
    let [a, b, c] = adapter.cluster(patient, ["db-1", "db-2", "db-3"]);
    let before = b.addr();
    b.stop();
    // Another process may have its port by now; a restart never gets the same one here.
    let b = loop {
        let b = adapter.start(patient("db-2"));
        if b.addr() != before {
            break b;
        }
    };
    b.join([a.addr()]).unwrap();
    for node in [&a, &c] {
        wait(|| node.member(&id("db-2")).is_some_and(|member| member.addr() == b.addr()));
        assert_eq!(node.state("db-2"), Some(State::Alive));
        node.ping(&id("db-2")).unwrap();
    }
    c.send_reliable(&id("db-2"), "welcome back").unwrap();
    assert_eq!(b.message().1, "welcome back");
    for node in [a, b, c] {
        let conflict = |event: &Event| matches!(event, Event::Conflict { .. });
        assert!(!node.stop().iter().any(conflict));
    }
}

fn twenty_nodes_come_to_know_each_other_and_notice_that_one_fails(adapter: &Adapter) {
    let names: [_; 20] = std::array::from_fn(|n| format!("n{n}"));
    let nodes = adapter.cluster(quick, names.each_ref().map(|name| &**name));
    let [first, rest @ .., last] = nodes;
    drop(last);
    first.wait_until(Event::Failed, "n19");
    for node in &rest {
        wait(|| node.state("n19") == Some(State::Failed));
    }
    let all_are_there = |node: &Node| node.members().len() == 19;
    wait(|| all_are_there(&first) && rest.iter().all(all_are_there));
}

fn who_has_left_may_join_again(adapter: &Adapter) {
    let [a, b] = adapter.cluster(patient, ["a", "b"]);
    assert_eq!(b.leave(), Ok(1));
    wait(|| a.state("b") == Some(State::Left));
    assert_eq!(b.join([a.addr()]).unwrap(), 2);
    wait(|| a.state("b") == Some(State::Alive));
    assert_eq!(b.phase(), Phase::Running);
    b.ping(&id("a")).unwrap();
}

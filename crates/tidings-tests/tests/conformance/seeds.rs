//! Sources of seeds, readiness, and snapshots.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};
use tidings_driver::prelude::{DriverConfig, Event, Notice};
use tidings_tests::conformance::{Adapter, LIMIT, Node, id, loopback, patient, quick, wait};

tests! {
    sealed too: [
        a_seed_that_comes_up_later_than_the_others_is_found,
        a_node_with_seeds_is_ready_once_it_has_joined,
        a_node_comes_back_to_the_members_of_its_snapshot,
    ]
    plain only: [
        a_node_without_seeds_is_ready_at_once,
        a_restart_is_seen,
        lives_that_follow_each_other_at_once_are_told_apart_and_their_broadcasts_arrive,
        a_member_is_waited_for_by_name,
        seeds_are_followed_as_their_file_changes,
        sources_are_replaced_while_a_node_runs,
        text_that_is_no_source_does_not_start_a_node,
        a_source_that_fails_is_told_once_and_disturbs_no_node,
        a_node_stops_while_a_command_of_a_source_runs,
        a_node_that_left_does_not_come_back_by_itself_unless_it_is_told_to,
        a_damaged_snapshot_is_set_aside_and_the_node_starts,
        a_node_that_meets_nobody_keeps_the_members_of_its_snapshot,
        a_node_has_a_later_generation_than_its_snapshot,
        nodes_whose_seeds_are_each_other_form_one_cluster,
    ]
}

fn start(adapter: &Adapter, listen: SocketAddr, name: &str, driver: DriverConfig) -> Node {
    adapter.bind_with(listen, patient(name).with_addr(listen), driver).unwrap()
}

fn seeded<const N: usize>(adapter: &Adapter, name: &str, seeds: [SocketAddr; N]) -> Node {
    start(adapter, loopback(), name, DriverConfig::new().seeds(seeds))
}

/// A port that was free a moment ago.
fn free(adapter: &Adapter) -> SocketAddr {
    let node = adapter.start(patient("free"));
    let addr = node.addr();
    node.stop();
    addr
}

fn temporary(adapter: &Adapter, name: &str) -> PathBuf {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let unique = format!("{}-{count}-{}-{name}", std::process::id(), adapter.name());
    let path = std::env::temp_dir().join(format!("tidings-seeds-{unique}"));
    drop(fs::remove_file(&path));
    path
}

fn a_seed_that_comes_up_later_than_the_others_is_found(adapter: &Adapter) {
    let addr = free(adapter);
    let (b, c) = (seeded(adapter, "b", [addr]), seeded(adapter, "c", [addr]));
    b.wait_for(|event| matches!(event, Event::SeedFailed { seed, .. } if *seed == addr));
    assert_eq!((b.members().len(), c.members().len()), (1, 1));
    let a = start(adapter, addr, "a", DriverConfig::new());
    for node in [&a, &b, &c] {
        assert_eq!(node.wait_for_members(3, LIMIT), Some(3));
    }
}

fn nodes_whose_seeds_are_each_other_form_one_cluster(adapter: &Adapter) {
    let addrs = [free(adapter), free(adapter), free(adapter)];
    let start = |at: usize, name| start(adapter, addrs[at], name, DriverConfig::new().seeds(addrs));
    let nodes = [start(0, "a"), start(1, "b"), start(2, "c")];
    for node in &nodes {
        assert_eq!(node.wait_for_members(3, LIMIT), Some(3));
        assert!(node.ready(LIMIT));
    }
}

fn a_node_with_seeds_is_ready_once_it_has_joined(adapter: &Adapter) {
    let addr = free(adapter);
    let b = seeded(adapter, "b", [addr]);
    assert!(!b.is_ready() && !b.ready(Duration::ZERO));
    let a = start(adapter, addr, "a", DriverConfig::new());
    assert!(b.ready(LIMIT) && b.is_ready());
    assert_eq!(b.members().len(), 2);
    b.wait_for(|event| matches!(event, Event::Ready { members: 2 }));
    drop(a);
}

fn a_node_without_seeds_is_ready_at_once(adapter: &Adapter) {
    let a = adapter.start(patient("a"));
    assert!(a.is_ready() && a.ready(LIMIT));
}

fn a_restart_is_seen(adapter: &Adapter) {
    let [a, b] = adapter.cluster(patient, ["a", "b"]);
    let addr = b.addr();
    let earlier = a.member(&id("b")).unwrap().incarnation();
    b.stop();
    let _b = start(adapter, addr, "b", DriverConfig::new().seeds([a.addr()]));
    let event = a.wait_for(|event| matches!(event, Event::Restarted { .. }));
    let Event::Restarted { member, earlier: known } = event else { unreachable!() };
    assert_eq!((member.id(), known), (&id("b"), earlier));
    assert!(member.incarnation() > earlier, "{member:?}");
}

fn lives_that_follow_each_other_at_once_are_told_apart_and_their_broadcasts_arrive(
    adapter: &Adapter,
) {
    let a = adapter.start(patient("a"));
    let addr = free(adapter);
    for life in 0..4 {
        let b = start(adapter, addr, "b", DriverConfig::new());
        b.join([a.addr()]).unwrap();
        let text = format!("in life {life}");
        b.broadcast(text.clone()).unwrap();
        a.wait_for(|event| matches!(event, Event::Message { data, .. } if data == text.as_bytes()));
        // As if it was killed: nobody is told.
        b.stop();
    }
}

fn a_member_is_waited_for_by_name(adapter: &Adapter) {
    let [a, b] = adapter.nodes(patient, ["a", "b"]);
    assert_eq!(a.wait_for_member(&id("b"), Duration::ZERO), None);
    b.join([a.addr()]).unwrap();
    let seen = a.wait_for_member(&id("b"), LIMIT).unwrap();
    assert_eq!(seen.addr(), b.addr());
    assert!(a.wait_for_member(&id("a"), LIMIT).is_some(), "a node is a member of its own");
}

fn seeds_are_followed_as_their_file_changes(adapter: &Adapter) {
    let path = temporary(adapter, "file");
    fs::write(&path, "# none yet\n").unwrap();
    let a = adapter.start(patient("a"));
    let driver = DriverConfig::new().seeds([format!("file:{}", path.display())]);
    let b = start(adapter, loopback(), "b", driver);
    fs::write(&path, format!("# the first\n{}\n", a.addr())).unwrap();
    assert_eq!(b.wait_for_members(2, LIMIT), Some(2));
    fs::remove_file(path).unwrap();
}

fn sources_are_replaced_while_a_node_runs(adapter: &Adapter) {
    let [a, b] = adapter.nodes(patient, ["a", "b"]);
    let error = b.set_seeds(vec!["file:".to_owned()]).unwrap_err().to_string();
    assert!(error.starts_with("\"file:\" is not a source of seeds"), "{error}");
    b.set_seeds(vec![a.addr().to_string()]).unwrap();
    assert_eq!(b.wait_for_members(2, LIMIT), Some(2));
    b.set_seeds(Vec::new()).unwrap();
}

fn text_that_is_no_source_does_not_start_a_node(adapter: &Adapter) {
    let driver = DriverConfig::new().seeds(["db-1", "dns:"]);
    let error = adapter.bind_with(loopback(), patient("a"), driver).unwrap_err().to_string();
    assert!(error.starts_with("`seeds`: \"dns:\" is not a source of seeds"), "{error}");
}

fn a_source_that_fails_is_told_once_and_disturbs_no_node(adapter: &Adapter) {
    let a = adapter.start(patient("a"));
    let missing = temporary(adapter, "missing");
    let (sender, notices) = channel();
    let driver = DriverConfig::new()
        .seeds([format!("file:{}", missing.display()), a.addr().to_string()])
        .on_notice(move |notice| drop(sender.send(notice)));
    let b = start(adapter, loopback(), "b", driver);
    assert_eq!(b.wait_for_members(2, LIMIT), Some(2));
    let notice = notices.recv_timeout(LIMIT).unwrap();
    assert!(matches!(&notice, Notice::SourceFailed { .. }), "{notice}");
    assert!(notice.to_string().contains("missing: cannot read it: "), "{notice}");
    assert!(notices.try_recv().is_err(), "nothing else is told");
}

fn a_node_stops_while_a_command_of_a_source_runs(adapter: &Adapter) {
    let path = temporary(adapter, "command");
    let driver = DriverConfig::new().seeds([format!("exec:touch {}; sleep 300", path.display())]);
    let a = start(adapter, loopback(), "a", driver);
    wait(|| path.exists());
    let start = Instant::now();
    a.stop();
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    fs::remove_file(path).unwrap();
}

fn a_node_comes_back_to_the_members_of_its_snapshot(adapter: &Adapter) {
    let path = temporary(adapter, "snapshot");
    let remembers = || DriverConfig::new().snapshot(&path);
    let a = adapter.start(patient("a"));
    let b = start(adapter, loopback(), "b", remembers());
    b.join([a.addr()]).unwrap();
    b.stop();
    // No seed is needed any more.
    let b = start(adapter, loopback(), "b", remembers());
    assert_eq!(b.wait_for_members(2, LIMIT), Some(2));
    assert!(b.ready(LIMIT));
    b.stop();
    fs::remove_file(path).unwrap();
}

fn a_node_that_meets_nobody_keeps_the_members_of_its_snapshot(adapter: &Adapter) {
    let path = temporary(adapter, "alone");
    let remembers = || DriverConfig::new().snapshot(&path);
    let a = adapter.start(patient("a"));
    let addr = a.addr();
    let b = start(adapter, loopback(), "b", remembers());
    b.join([addr]).unwrap();
    b.stop();
    a.stop();
    for _ in 0..2 {
        start(adapter, loopback(), "b", remembers()).stop();
    }
    let _a = start(adapter, addr, "a", DriverConfig::new());
    let b = start(adapter, loopback(), "b", remembers());
    assert_eq!(b.wait_for_members(2, LIMIT), Some(2));
    b.stop();
    fs::remove_file(path).unwrap();
}

fn a_node_that_left_does_not_come_back_by_itself_unless_it_is_told_to(adapter: &Adapter) {
    let path = temporary(adapter, "left");
    let a = adapter.start(patient("a"));
    let b = start(adapter, loopback(), "b", DriverConfig::new().snapshot(&path));
    b.join([a.addr()]).unwrap();
    b.leave().unwrap();
    b.stop();
    let b = start(adapter, loopback(), "b", DriverConfig::new().snapshot(&path));
    assert!(b.is_ready(), "it has no seeds");
    assert_eq!(b.members().len(), 1);
    b.join([a.addr()]).unwrap();
    b.leave().unwrap();
    b.stop();
    let driver = DriverConfig::new().snapshot(&path).rejoin_after_leave(true);
    let b = start(adapter, loopback(), "b", driver);
    assert_eq!(b.wait_for_members(2, LIMIT), Some(2));
    b.stop();
    fs::remove_file(path).unwrap();
}

fn a_damaged_snapshot_is_set_aside_and_the_node_starts(adapter: &Adapter) {
    let path = temporary(adapter, "damaged");
    fs::write(&path, "nonsense").unwrap();
    let (sender, notices) = channel();
    let driver = DriverConfig::new().snapshot(&path).on_notice(move |it| drop(sender.send(it)));
    let a = start(adapter, loopback(), "a", driver);
    let notice = notices.try_recv().expect("it is told before the node starts");
    let Notice::SnapshotSetAside { set_aside, .. } = &notice else { panic!("{notice}") };
    assert_eq!(fs::read(set_aside).unwrap(), b"nonsense");
    a.stop();
    assert!(fs::read(&path).unwrap().starts_with(b"tidings"), "it has a new one");
    fs::remove_file(set_aside).unwrap();
    fs::remove_file(path).unwrap();
}

fn a_node_has_a_later_generation_than_its_snapshot(adapter: &Adapter) {
    let path = temporary(adapter, "generation");
    let remembers = || DriverConfig::new().snapshot(&path);
    // A clock that was a year ahead.
    let ahead = tidings::Clock::generation(0) + (1 << 40);
    let config = quick("a").with_generation(ahead);
    adapter.bind_with(loopback(), config, remembers()).unwrap().stop();
    for life in 1..4 {
        let a = adapter.bind_with(loopback(), quick("a"), remembers()).unwrap();
        assert_eq!(a.local().incarnation().generation, ahead + life);
        a.stop();
    }
    fs::remove_file(path).unwrap();
}

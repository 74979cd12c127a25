//! Metadata, user messages, user state and pings.

use crate::failures::three;
use crate::with_both;
use serde_json::Value;
use std::time::Duration;
use tidings_tests::runner::Scenario;
use tidings_tests::{Kind, Mark, Peer, Scene, hex};

pub(crate) const ALL: &[Scenario] = &[
    with_both("metadata", "all members see metadata and its changes", metadata),
    with_both("best-effort", "messages in datagrams arrive, both ways", best_effort),
    with_both("reliable", "messages over streams arrive, both ways, also of 100 kB", reliable),
    with_both("broadcast", "a broadcast reaches all, both ways", broadcast),
    with_both("state", "push/pulls carry user state, both ways", state),
    with_both("ping", "pings are answered, both ways", ping),
];

fn metadata(scene: &Scene, theirs: Kind) {
    let b = scene.peer(theirs, "b", 2).meta("role=db").start(scene);
    let c = scene.peer(theirs, "c", 3).join(&b).start(scene);
    let a = scene.ours("a", 1).meta("hex:00ff").join(&b).start(scene);
    assert_eq!(a.sees("b", "alive")["meta"], hex(b"role=db"));
    assert_eq!(b.sees("a", "alive")["meta"], "00ff");
    assert_eq!(c.sees("a", "alive")["meta"], "00ff");

    let longest = "m".repeat(512);
    for meta in ["role=cache", &longest] {
        a.ask(&format!("update-meta {meta}"));
        updated(&b, "a", meta);
        updated(&c, "a", meta);
        b.ask(&format!("update-meta {meta}"));
        updated(&a, "b", meta);
        updated(&c, "b", meta);
    }
    scene.assert_no_suspicion();
}

/// Waits until a peer sees this metadata of a member.
pub(crate) fn updated(peer: &Peer, member: &str, meta: &str) {
    updated_since(peer, Mark::default(), member, meta);
}

fn updated_since(peer: &Peer, mark: Mark, member: &str, meta: &str) {
    let hex = hex(meta.as_bytes());
    peer.event_since(mark, &format!("hears of {member}'s metadata"), |event| {
        event["ev"] == "update" && event["node"]["name"] == member && event["node"]["meta"] == *hex
    });
}

fn best_effort(scene: &Scene, theirs: Kind) {
    let [a, b, _c] = three(scene, theirs);
    // memberlist's datagrams have at most 1,400 bytes, piggybacked gossip included.
    let longest = "x".repeat(1000);
    for text in ["a few words", &longest] {
        b.ask(&format!("send-user a {text} best-effort"));
        a.receives(text.as_bytes());
        let reply = format!("re: {text}");
        a.ask(&format!("send-user b {reply} best-effort"));
        b.receives(reply.as_bytes());
    }
}

fn reliable(scene: &Scene, theirs: Kind) {
    let [a, b, _c] = three(scene, theirs);
    // Half of it hardly compresses, the other half does.
    let mut large: Vec<u8> = noise().take(50_000).collect();
    large.resize(100_000, b'z');
    for data in [b"a few words".to_vec(), large] {
        b.ask(&format!("send-user a hex:{} reliable", hex(&data)));
        a.receives(&data);
        let reply: Vec<u8> = data.iter().rev().copied().collect();
        a.ask(&format!("send-user b hex:{} reliable", hex(&reply)));
        b.receives(&reply);
    }
    scene.assert_no_suspicion();
}

/// Pseudo-random bytes, which do not compress.
pub(crate) fn noise() -> impl Iterator<Item = u8> {
    let mut state: u32 = 1;
    std::iter::repeat_with(move || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state.to_be_bytes()[0]
    })
}

fn broadcast(scene: &Scene, theirs: Kind) {
    let [a, b, c] = three(scene, theirs);
    a.ask("broadcast from a");
    b.receives(b"from a");
    c.receives(b"from a");
    b.ask("broadcast from b");
    a.receives(b"from b");
    c.ask("broadcast hex:00ff");
    a.receives(&[0x00, 0xff]);
    b.receives(&[0x00, 0xff]);
}

fn state(scene: &Scene, theirs: Kind) {
    let often = Duration::from_secs(2);
    let b = scene.peer(theirs, "b", 2).state("state of b").pushpull(often).start(scene);
    let a = scene.ours("a", 1).state("state of a").pushpull(often).join(&b).start(scene);
    told(&a, b"state of b", true);
    told(&b, b"state of a", true);
    let large: Vec<u8> = noise().take(10_000).collect();
    b.ask("set-state other state of b");
    told(&a, b"other state of b", false);
    a.ask(&format!("set-state hex:{}", hex(&large)));
    told(&b, &large, false);
}

fn told(peer: &Peer, state: &[u8], join: bool) {
    let hex = hex(state);
    peer.event("is told the other's state", |event| {
        event["ev"] == "remote-state" && event["data"] == *hex && event["join"] == join
    });
}

fn ping(scene: &Scene, theirs: Kind) {
    let [a, b, _c] = three(scene, theirs);
    for (peer, other) in [(&a, "b"), (&b, "a")] {
        let result: Value = peer.ask(&format!("ping {other}"));
        let rtt = result["rtt"].as_f64().expect("it took its time");
        // memberlist reads the clock only after sending, so an answer may precede it.
        assert!(rtt.abs() < 0.5 && (peer.kind() != Kind::Tidings || rtt > 0.0), "{rtt} s");
    }
}

//! Partitions, blocked UDP, and the two forms of IPv4 addresses.

use crate::BOTH;
use crate::known::{NO_CONNECTION, RETURNED, STREAMS_ALONE};
use crate::messages::updated;
use serde_json::Value;
use std::time::Duration;
use tidings_tests::runner::{Place, Scenario};
use tidings_tests::{Kind, Mark, Peer, Scene, Settings};

pub(crate) const ALL: &[Scenario] = &[
    bridged("partition", "partitioned nodes fail, and come back afterwards", partition),
    bridged("udp-cut", "a node that is reachable by streams only stays a member", udp_cut),
    bridged(
        "address-forms",
        "an IPv4 address in 16 bytes equals the one in 4, whichever node relays it",
        address_forms,
    ),
];

const fn bridged(name: &'static str, claim: &'static str, play: fn(&Scene, Kind)) -> Scenario {
    Scenario { name, claim, against: BOTH, place: Place::Bridge, play }
}

fn partition(scene: &Scene, theirs: Kind) {
    scene.expects(&NO_CONNECTION);
    scene.expects(&RETURNED);
    let all = [
        scene.ours("a", 1).start(scene),
        scene.peer(theirs, "b", 2).join_at(scene.network().addr(1)).start(scene),
        scene.ours("c", 3).join_at(scene.network().addr(1)).start(scene),
        scene.peer(theirs, "d", 4).join_at(scene.network().addr(1)).start(scene),
    ];
    for peer in &all {
        peer.lists(&["a", "b", "c", "d"]);
    }
    scene.network().cut(&[1, 2], &[3, 4], false);
    let [a, b, c, d] = &all;
    for peer in [a, b] {
        peer.sees("c", "dead");
        peer.sees("d", "dead");
    }
    for peer in [c, d] {
        peer.sees("a", "dead");
        peer.sees("b", "dead");
    }
    scene.network().heal();
    for peer in &all {
        peer.lists(&["a", "b", "c", "d"]);
    }
}

fn udp_cut(scene: &Scene, theirs: Kind) {
    scene.expects(&STREAMS_ALONE);
    let b = scene.peer(theirs, "b", 2).start(scene);
    let c = scene.peer(theirs, "c", 3).join(&b).start(scene);
    let a = scene.ours("a", 1).join(&b).start(scene);
    for peer in [&a, &c] {
        peer.lists(&["a", "b", "c"]);
    }
    scene.network().cut(&[1], &[2, 3], true);
    // Longer than the detection of a failure takes.
    let (time, fails) = (Duration::from_secs(15), "sees a member fail");
    let failed = |event: &Value| event["ev"] == "leave";
    a.never(a.mark(), time, fails, failed);
    // A push/pull brings the updates that gossip missed meanwhile.
    a.ask("update-meta new");
    updated(&b, "a", "new");
    c.ask("update-meta newer");
    updated(&a, "c", "newer");
    c.ask("send-user a over a stream reliable");
    a.receives(b"over a stream");
    a.ask("send-user c over another stream reliable");
    c.receives(b"over another stream");
    for peer in [&a, &b, &c] {
        peer.never(Mark::default(), Duration::ZERO, fails, failed);
    }
    scene.network().heal();
    a.ask("send-user c in a datagram best-effort");
    c.receives(b"in a datagram");
}

/// A Go peer that listens on all addresses advertises its address in 16 bytes, one that was given
/// an address in 4. A node that relays it has to keep the form, or others see another address.
fn address_forms(scene: &Scene, theirs: Kind) {
    let often = Duration::from_secs(2);
    let start = |settings: Settings| settings.pushpull(often).start(scene);
    let relay = start(scene.peer(theirs, "relay", 9));
    let long = start(scene.peer(theirs, "long", 2).everywhere().join(&relay));
    let short = start(scene.peer(theirs, "short", 3).join(&relay));
    let a = start(scene.ours("a", 1).join(&relay));
    // A node that joins through the Tidings node hears of both from it first.
    let late = start(scene.peer(theirs, "late", 4).join(&a));
    let all_there = start(scene.ours("everywhere", 5).everywhere().join(&late));
    let all = [relay, long, short, a, late, all_there];
    let names = all.each_ref().map(|peer| peer.name().to_owned());
    for peer in &all {
        peer.lists(&names.each_ref().map(|name| &**name));
    }
    for round in ["first", "second"] {
        for changed in 0..all.len() {
            let meta = format!("{round} of {}", all[changed].name());
            all[changed].ask(&format!("update-meta {meta}"));
            for peer in &all {
                if peer.name() != all[changed].name() {
                    updated(peer, all[changed].name(), &meta);
                }
            }
        }
    }
    // Several push/pulls of each node.
    all[0].never(all[0].mark(), 3 * often, "sees a member leave", |event| event["ev"] == "leave");
    for peer in &all {
        assert_no_conflict(peer);
    }
    scene.assert_no_suspicion();
}

fn assert_no_conflict(peer: &Peer) {
    let conflict = |event: &Value| event["ev"] == "conflict";
    peer.never(Mark::default(), Duration::ZERO, "sees a conflict", conflict);
}

//! Larger clusters, name conflicts, incompatible protocols.

use crate::known::{CONFLICT, NO_CONNECTION, OTHER_PROTOCOL};
use crate::with_both;
use std::time::Duration;
use tidings_tests::Kind::{Go022, Go050};
use tidings_tests::runner::{Place, Scenario};
use tidings_tests::{Kind, Peer, Scene};

pub(crate) const ALL: &[Scenario] = &[
    Scenario {
        name: "twenty",
        claim: "twenty mixed nodes agree, also after one of each program is killed",
        against: &[Go050],
        place: Place::Loopback,
        play: twenty,
    },
    with_both(
        "conflict",
        "a second node of a name is reported as a conflict, and changes nothing",
        conflict,
    ),
    with_both(
        "protocol",
        "a node with an incompatible delegate protocol is refused",
        other_protocol,
    ),
];

fn twenty(scene: &Scene, _: Kind) {
    scene.expects(&NO_CONNECTION);
    let mut all: Vec<Peer> = Vec::new();
    for number in 1..=20 {
        let name = format!("n{number:02}");
        let peer = match number % 4 {
            0 => scene.peer(Go022, &name, number),
            2 => scene.peer(Go050, &name, number),
            _ => scene.ours(&name, number),
        };
        // Each joins through the one before it, so the first ones hear of most by gossip.
        let peer = match all.last() {
            Some(last) => peer.join(last),
            None => peer,
        };
        all.push(peer.start(scene));
    }
    agree(&all);
    let mut killed = Vec::new();
    for _ in 0..3 {
        let peer = all.remove(7);
        peer.kill();
        killed.push(peer);
    }
    for peer in &all {
        for dead in &killed {
            peer.sees(dead.name(), "dead");
        }
    }
    agree(&all);
}

fn agree(all: &[Peer]) {
    let names: Vec<_> = all.iter().map(|peer| peer.name().to_owned()).collect();
    let names: Vec<_> = names.iter().map(|name| &**name).collect();
    for peer in all {
        peer.lists(&names);
    }
}

fn conflict(scene: &Scene, theirs: Kind) {
    scene.expects(&[CONFLICT]);
    let [a, b, c] = crate::failures::three(scene, theirs);
    let intruders = [
        scene.peer(theirs, "b", 12).join(&a).start(scene),
        scene.ours("c", 13).join(&b).start(scene),
        scene.peer(theirs, "a", 11).join(&c).start(scene),
    ];
    for (peer, contested) in [(&a, "b"), (&b, "c"), (&c, "a")] {
        peer.event(&format!("reports a second {contested}"), |event| {
            event["ev"] == "conflict" && event["node"]["name"] == contested
        });
    }
    for intruder in intruders {
        intruder.kill();
    }
    a.never(a.mark(), Duration::from_secs(3), "sees a member leave", |event| {
        event["ev"] == "leave"
    });
    let addrs = [&a, &b, &c].map(|peer| (peer.name().to_owned(), peer.addr()));
    for peer in [&a, &b, &c] {
        peer.lists(&["a", "b", "c"]);
        for (name, addr) in &addrs {
            let seen = peer.member(name).expect("it is listed");
            assert_eq!(seen["addr"], addr.ip().to_string(), "{name}, as {} sees it", peer.name());
        }
    }
    scene.assert_no_suspicion();
}

fn other_protocol(scene: &Scene, theirs: Kind) {
    scene.expects(&[OTHER_PROTOCOL]);
    let b = scene.peer(theirs, "b", 2).delegate("2,5,5").start(scene);
    let a = scene.ours("a", 1).delegate("2,5,5").join(&b).start(scene);
    a.lists(&["a", "b"]);
    let short = Duration::from_secs(1);
    let outsiders = [
        scene.ours("a1", 11).retry_join(short).join(&b).start(scene),
        scene.ours("a2", 12).delegate("0,5,1").retry_join(short).join(&b).start(scene),
        scene.peer(theirs, "b1", 21).retry_join(short).join(&a).start(scene),
    ];
    for outsider in &outsiders {
        let join = outsider.start_join();
        assert_eq!(join["ok"], false, "{} joined: {join}", outsider.name());
    }
    a.lists(&["a", "b"]);
    b.lists(&["a", "b"]);
}

//! Joins in both directions.

use crate::with_both;
use tidings_tests::runner::Scenario;
use tidings_tests::{Kind, Scene};

pub(crate) const ALL: &[Scenario] = &[
    with_both("join", "a Tidings node joins a cluster, and all see each other", we_join_them),
    with_both("joined", "others join a Tidings node, and all see each other", they_join_us),
    with_both("both-join", "two Tidings nodes and two others are one cluster", two_of_each),
];

fn we_join_them(scene: &Scene, theirs: Kind) {
    let b = scene.peer(theirs, "b", 2).start(scene);
    let c = scene.peer(theirs, "c", 3).join(&b).start(scene);
    let a = scene.ours("a", 1).join(&b).start(scene);
    assert_eq!(a.start_join()["joined"], 1);
    for peer in [&a, &b, &c] {
        peer.lists(&["a", "b", "c"]);
    }
    for peer in [&b, &c] {
        let seen = peer.sees("a", "alive");
        assert_eq!(seen["addr"], a.addr().ip().to_string());
        assert_eq!(seen["port"], a.addr().port());
        assert_eq!(a.sees(peer.name(), "alive")["addr"], peer.addr().ip().to_string());
    }
}

fn they_join_us(scene: &Scene, theirs: Kind) {
    let a = scene.ours("a", 1).start(scene);
    let b = scene.peer(theirs, "b", 2).join(&a).start(scene);
    let c = scene.peer(theirs, "c", 3).join(&a).start(scene);
    assert_eq!(b.start_join()["joined"], 1);
    for peer in [&a, &b, &c] {
        peer.lists(&["a", "b", "c"]);
    }
    scene.assert_no_suspicion();
}

fn two_of_each(scene: &Scene, theirs: Kind) {
    let a = scene.ours("a", 1).start(scene);
    let b = scene.peer(theirs, "b", 2).join(&a).start(scene);
    let c = scene.ours("c", 3).join(&b).start(scene);
    let d = scene.peer(theirs, "d", 4).join(&c).start(scene);
    for peer in [&a, &b, &c, &d] {
        peer.lists(&["a", "b", "c", "d"]);
    }
}

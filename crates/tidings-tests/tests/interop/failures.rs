//! Crashes, leaves and restarts.

use crate::known::{NO_CONNECTION, RETURNED, STOPPED};
use crate::with_both;
use tidings_tests::runner::Scenario;
use tidings_tests::{Kind, Peer, Scene, Settings};

pub(crate) const ALL: &[Scenario] = &[
    with_both("kill-ours", "a Tidings node is killed, and the others see it fail", we_are_killed),
    with_both("kill-theirs", "another node is killed, and Tidings sees it fail", one_is_killed),
    with_both("leave-ours", "a Tidings node leaves, and the others see that it left", we_leave),
    with_both("leave-theirs", "another node leaves, and Tidings sees that it left", one_leaves),
    with_both("terminate", "a node that gets SIGTERM leaves", who_is_told_to_stop_leaves),
    with_both("restart", "a killed node comes back at its address", killed_ones_come_back),
    with_both(
        "restart-at-once",
        "a node that restarts before it is suspected stays a member",
        restart_unnoticed,
    ),
    with_both("move", "a node that left comes back at another address", who_left_may_move),
];

/// A Tidings node, `a`, and two others, `b` and `c`, which see each other.
pub(crate) fn three(scene: &Scene, theirs: Kind) -> [Peer; 3] {
    three_of(scene, theirs, |peer| peer)
}

/// A Tidings node and two others, with changed settings.
pub(crate) fn three_of(
    scene: &Scene,
    theirs: Kind,
    change: impl Fn(Settings) -> Settings,
) -> [Peer; 3] {
    let b = change(scene.peer(theirs, "b", 2)).start(scene);
    let c = change(scene.peer(theirs, "c", 3)).join(&b).start(scene);
    let a = change(scene.ours("a", 1)).join(&b).start(scene);
    let all = [a, b, c];
    for peer in &all {
        peer.lists(&["a", "b", "c"]);
    }
    all
}

fn we_are_killed(scene: &Scene, theirs: Kind) {
    scene.expects(&NO_CONNECTION);
    let [a, b, c] = three(scene, theirs);
    a.kill();
    for peer in [&b, &c] {
        peer.sees("a", "dead");
        peer.lists(&["b", "c"]);
    }
}

fn one_is_killed(scene: &Scene, theirs: Kind) {
    scene.expects(&NO_CONNECTION);
    let [a, b, c] = three(scene, theirs);
    c.kill();
    a.sees("c", "dead");
    b.sees("c", "dead");
    a.lists(&["a", "b"]);
}

fn we_leave(scene: &Scene, theirs: Kind) {
    let [a, b, c] = three(scene, theirs);
    a.leave();
    b.sees("a", "left");
    c.sees("a", "left");
    a.kill();
    scene.assert_no_suspicion();
}

fn one_leaves(scene: &Scene, theirs: Kind) {
    let [a, b, c] = three(scene, theirs);
    c.leave();
    a.sees("c", "left");
    b.sees("c", "left");
    a.lists(&["a", "b"]);
    scene.assert_no_suspicion();
}

fn who_is_told_to_stop_leaves(scene: &Scene, theirs: Kind) {
    scene.expects(&STOPPED);
    let [a, b, c] = three(scene, theirs);
    c.terminate();
    a.sees("c", "left");
    a.terminate();
    b.sees("a", "left");
}

fn killed_ones_come_back(scene: &Scene, theirs: Kind) {
    scene.expects(&RETURNED);
    scene.expects(&NO_CONNECTION);
    let [mut a, b, mut c] = three(scene, theirs);
    a.kill();
    b.sees("a", "dead");
    c.sees("a", "dead");
    let (from_b, from_c) = (b.mark(), c.mark());
    a.restart(scene, |same| same);
    b.sees_since(from_b, "a", "alive");
    c.sees_since(from_c, "a", "alive");

    c.kill();
    a.sees("c", "dead");
    b.sees("c", "dead");
    let (from_a, from_b) = (a.mark(), b.mark());
    c.restart(scene, |same| same);
    a.sees_since(from_a, "c", "alive");
    b.sees_since(from_b, "c", "alive");
    for peer in [a, b, c] {
        peer.lists(&["a", "b", "c"]);
    }
}

/// A restarted node starts at the first incarnation again, and has to go above the one that others
/// remember: its later updates are accepted.
fn restart_unnoticed(scene: &Scene, theirs: Kind) {
    scene.expects(&RETURNED);
    let [mut a, b, mut c] = three(scene, theirs);
    a.restart(scene, |same| same);
    a.lists(&["a", "b", "c"]);
    a.ask("update-meta again");
    let again = |event: &serde_json::Value| {
        event["ev"] == "update" && event["node"]["meta"] == "616761696e"
    };
    b.event("hears of a's metadata", again);
    c.restart(scene, |same| same);
    c.lists(&["a", "b", "c"]);
    c.ask("update-meta again");
    a.event("hears of c's metadata", again);
    b.lists(&["a", "b", "c"]);
}

fn who_left_may_move(scene: &Scene, theirs: Kind) {
    scene.expects(&RETURNED);
    let [mut a, b, mut c] = three(scene, theirs);
    a.leave();
    b.sees("a", "left");
    c.sees("a", "left");
    a.restart(scene, |same| same.moved_to(11, scene));
    for peer in [&b, &c] {
        peer.lists(&["a", "b", "c"]);
        assert_eq!(peer.member("a").unwrap()["addr"], a.addr().ip().to_string());
    }
    c.leave();
    a.sees("c", "left");
    b.sees("c", "left");
    c.restart(scene, |same| same.moved_to(13, scene));
    for peer in [&a, &b] {
        peer.lists(&["a", "b", "c"]);
        assert_eq!(peer.member("c").unwrap()["addr"], c.addr().ip().to_string());
    }
}

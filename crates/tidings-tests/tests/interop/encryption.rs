//! Keys, labels and compression.

use crate::failures::three_of;
use crate::known::{LABEL_MISMATCH, NOT_FOR_US};
use crate::messages::noise;
use crate::with_both;
use std::time::Duration;
use tidings_tests::Kind::Go050;
use tidings_tests::runner::{Place, Scenario};
use tidings_tests::{Kind, Peer, Scene, Settings, hex};

pub(crate) const ALL: &[Scenario] = &[
    with_both("aes-128", "nodes with a key of 16 bytes are one cluster", |scene, theirs| {
        same_key(scene, theirs, KEY_16);
    }),
    with_both("aes-192", "nodes with a key of 24 bytes are one cluster", |scene, theirs| {
        same_key(scene, theirs, KEY_24);
    }),
    with_both("aes-256", "nodes with a key of 32 bytes are one cluster", |scene, theirs| {
        same_key(scene, theirs, KEY_32);
    }),
    with_both("rotate", "keys are rotated, and no member is suspected", rotate),
    with_both("wrong-key", "a node with another key or none is refused", wrong_key),
    Scenario {
        name: "label",
        claim: "only nodes with the same label can join",
        against: &[Go050],
        place: Place::Loopback,
        play: labels,
    },
    with_both(
        "compress",
        "both sides understand compressed and uncompressed messages",
        compression,
    ),
];

pub(crate) const KEY_16: &str = "AAECAwQFBgcICQoLDA0ODw==";
const KEY_24: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYX";
pub(crate) const KEY_32: &str = "gIGCg4SFhoeIiYqLjI2Oj5CRkpOUlZaXmJmam5ydnp8=";

/// Longer than two failed probes take.
pub(crate) const WATCH_TIME: Duration = Duration::from_secs(3);

fn same_key(scene: &Scene, theirs: Kind, key: &str) {
    let [a, b, c] = three_of(scene, theirs, |peer| peer.keys(&[key]));
    talk(&a, &b, key);
    c.ask("update-meta new");
    a.event("hears of c's metadata", |event| event["node"]["meta"] == hex(b"new"));
    watch(scene, &a);
}

/// Each sends the other messages, in datagrams and over streams.
fn talk(a: &Peer, b: &Peer, about: &str) {
    let large = hex(&noise().take(20_000).collect::<Vec<_>>());
    let (x, y) = (a.name().to_owned(), b.name().to_owned());
    for (from, to, name) in [(a, b, &y), (b, a, &x)] {
        let text = format!("{about}, said to {name}");
        from.ask(&format!("send-user {name} {text} best-effort"));
        to.receives(text.as_bytes());
        let data = format!("{}{large}", hex(text.as_bytes()));
        from.ask(&format!("send-user {name} hex:{data} reliable"));
        to.event("hears it", |event| event["ev"] == "msg" && event["data"] == *data);
    }
}

/// Asserts that for a while no member is suspected.
pub(crate) fn watch(scene: &Scene, peer: &Peer) {
    peer.never(peer.mark(), WATCH_TIME, "suspects a member", |event| event["ev"] == "suspect");
    scene.assert_no_suspicion();
}

fn rotate(scene: &Scene, theirs: Kind) {
    scene.expects(&NOT_FOR_US);
    let all = three_of(scene, theirs, |peer| peer.keys(&[KEY_16]));
    for command in ["add", "use", "remove"] {
        let key = if command == "remove" { KEY_16 } else { KEY_32 };
        for number in 0..3 {
            all[number].ask(&format!("keyring {command} {key}"));
            let [a, b, c] = &all;
            talk(a, b, &format!("{command} {number}"));
            talk(c, a, &format!("{command} {number}"));
        }
        watch(scene, &all[0]);
    }
    for peer in &all {
        assert_eq!(peer.ask("keyring list")["keys"], serde_json::json!([KEY_32]));
    }
    let d = scene.peer(theirs, "d", 4).keys(&[KEY_32]).join(&all[0]).start(scene);
    d.lists(&["a", "b", "c", "d"]);
    all[0].lists(&["a", "b", "c", "d"]);
    let outsiders = [
        scene.peer(theirs, "old1", 11).keys(&[KEY_16]).join(&all[0]),
        scene.ours("old2", 12).keys(&[KEY_16]).join(&all[1]),
    ];
    assert_refused(scene, outsiders);
    all[0].lists(&["a", "b", "c", "d"]);
    scene.assert_no_suspicion();
}

fn wrong_key(scene: &Scene, theirs: Kind) {
    scene.expects(&NOT_FOR_US);
    let b = scene.peer(theirs, "b", 2).keys(&[KEY_16]).start(scene);
    let c = scene.ours("c", 3).keys(&[KEY_16]).join(&b).start(scene);
    b.lists(&["b", "c"]);
    let outsiders = [
        scene.ours("a1", 11).keys(&[KEY_32]).join(&b),
        scene.ours("a2", 12).join(&b),
        scene.peer(theirs, "b1", 21).keys(&[KEY_32]).join(&c),
        scene.peer(theirs, "b2", 22).join(&c),
    ];
    assert_refused(scene, outsiders);
    b.lists(&["b", "c"]);
    c.lists(&["b", "c"]);
    scene.assert_no_suspicion();
}

/// Asserts that each of them fails to join, and stays alone.
fn assert_refused(scene: &Scene, outsiders: impl IntoIterator<Item = Settings>) {
    let start = |outsider: Settings| outsider.retry_join(Duration::from_secs(1)).start(scene);
    let outsiders: Vec<_> = outsiders.into_iter().map(start).collect();
    for outsider in &outsiders {
        let join = outsider.start_join();
        assert_eq!(join["ok"], false, "{} joined: {join}", outsider.name());
        assert_eq!(outsider.members(), [outsider.name()]);
    }
}

fn labels(scene: &Scene, theirs: Kind) {
    if Kind::ours() == Kind::Go022 {
        return; // memberlist 0.2.2, in the place of Tidings, has no labels.
    }
    scene.expects(&LABEL_MISMATCH);
    let [a, b, c] = three_of(scene, theirs, |peer| peer.label("one"));
    talk(&a, &b, "labelled");
    let outsiders = [
        scene.ours("a1", 11).label("two").join(&b),
        scene.ours("a2", 12).join(&b),
        scene.peer(theirs, "b1", 21).label("two").join(&a),
        scene.peer(theirs, "b2", 22).join(&a),
    ];
    assert_refused(scene, outsiders);
    for peer in [&a, &b, &c] {
        peer.lists(&["a", "b", "c"]);
    }
    watch(scene, &a);

    let keyed = |peer: Settings| peer.label("one").keys(&[KEY_16]);
    let d = keyed(scene.peer(theirs, "d", 31)).start(scene);
    let e = keyed(scene.ours("e", 32)).join(&d).start(scene);
    d.lists(&["d", "e"]);
    e.lists(&["d", "e"]);
    talk(&d, &e, "labelled and encrypted");
}

fn compression(scene: &Scene, theirs: Kind) {
    for (number, (we, they)) in
        [(false, false), (false, true), (true, false), (true, true)].into_iter().enumerate()
    {
        let number = u8::try_from(10 * number).expect("it is small");
        let b = scene.peer(theirs, "b", number + 2).compress(they).start(scene);
        let a = scene.ours("a", number + 1).compress(we).join(&b).start(scene);
        a.lists(&["a", "b"]);
        b.lists(&["a", "b"]);
        talk(&a, &b, &"it repeats itself ".repeat(40));
        a.ask("update-meta mmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmm");
        b.event("hears of a's metadata", |event| event["ev"] == "update");
    }
}

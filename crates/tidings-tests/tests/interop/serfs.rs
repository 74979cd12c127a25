//! Tidings among Serf agents.

use crate::encryption::{KEY_16, KEY_32, watch};
use crate::known::{COMMANDS_END, NO_CONNECTION, OTHER_PROTOCOL, RETURNED, STOPPED};
use crate::with_both;
use serde_json::Value;
use std::time::Duration;
use tidings_tests::runner::Scenario;
use tidings_tests::{Kind, Peer, Scene, Serf, SerfSettings, Settings, hex};

pub(crate) const ALL: &[Scenario] = &[
    with_both("serf-join", "Serf agents and a Tidings node see each other, with tags", joined),
    with_both("serf-kill", "a killed node fails for Serf and for Tidings, and comes back", kill),
    with_both("serf-leave", "a node that leaves has left for Serf and for Tidings", leave),
    with_both(
        "serf-events",
        "Serf's events and queries reach Tidings, and events from Tidings reach Serf",
        events,
    ),
    with_both("serf-keys", "keys are rotated at Serf agents and at a Tidings node", keys),
    with_both(
        "serf-protocol",
        "Serf refuses a node with an incompatible delegate protocol",
        protocol,
    ),
];

/// Three Serf agents, `s1` to `s3`, which see each other.
fn three(scene: &Scene, theirs: Kind, change: impl Fn(SerfSettings) -> SerfSettings) -> [Serf; 3] {
    let start = |number: u8| {
        let serf = SerfSettings::new(theirs, &format!("s{number}"), number + 1);
        let serf = if number > 1 { serf.join_at(scene.network().addr(2)) } else { serf };
        change(serf).start(scene)
    };
    let all = [start(1), start(2), start(3)];
    for serf in &all {
        for other in ["s1", "s2", "s3"] {
            serf.sees(other, "alive");
        }
    }
    all
}

/// Settings of a Tidings node, `a`, for a Serf cluster.
fn ours(scene: &Scene) -> Settings {
    scene.ours("a", 1).delegate("2,5,5").meta(&tags("web"))
}

/// Makes a Tidings node join them; returns once all see each other.
fn join(scene: &Scene, serfs: &[Serf; 3], ours: Settings) -> Peer {
    let a = ours.join_at(serfs[0].addr()).start(scene);
    a.lists(&["a", "s1", "s2", "s3"]);
    for serf in serfs {
        serf.sees("a", "alive");
    }
    a
}

/// Serf's encoding of one tag, `role`, as metadata.
fn tags(role: &str) -> String {
    format!("hex:ff81{}{}", hex(&packed("role")), hex(&packed(role)))
}

/// The msgpack encoding of a short text.
fn packed(text: &str) -> Vec<u8> {
    let length = u8::try_from(text.len()).expect("it is short");
    [&[0xa0 | length], text.as_bytes()].concat()
}

fn joined(scene: &Scene, theirs: Kind) {
    let serfs = three(scene, theirs, |serf| serf.with("-tag=role=db"));
    let a = join(scene, &serfs, ours(scene));
    for serf in &serfs {
        let seen = serf.sees("a", "alive");
        assert_eq!(seen["tags"]["role"], "web");
        assert_eq!(seen["addr"], a.addr().to_string());
        let meta = a.sees(serf.name(), "alive")["meta"].clone();
        assert_eq!(meta, tags("db").trim_start_matches("hex:"));
    }
    a.ask(&format!("update-meta {}", tags("cache")));
    for serf in &serfs {
        serf.waits("sees a's new tag", |members| {
            members.iter().find(|node| node["tags"]["role"] == "cache").map(|_| ())
        });
    }
    serfs[1].tag("role=proxy");
    sees_role(&a, "proxy");
    watch(scene, &a);
}

/// Waits until a peer sees a member's new tag.
fn sees_role(a: &Peer, role: &str) {
    let meta = tags(role);
    a.event(&format!("sees the new tag {role}"), |event| {
        event["ev"] == "update" && event["node"]["meta"] == meta.trim_start_matches("hex:")
    });
}

fn kill(scene: &Scene, theirs: Kind) {
    scene.expects(&NO_CONNECTION);
    scene.expects(&RETURNED);
    let mut serfs = three(scene, theirs, |serf| serf);
    let mut a = join(scene, &serfs, ours(scene));
    a.kill();
    for serf in &serfs {
        serf.sees("a", "failed");
    }
    a.restart(scene, |same| same);
    for serf in &serfs {
        serf.sees("a", "alive");
    }
    a.lists(&["a", "s1", "s2", "s3"]);

    serfs[2].kill();
    a.sees("s3", "dead");
    serfs[0].sees("s3", "failed");
    let mark = a.mark();
    serfs[2].restart(scene, |same| same);
    a.sees_since(mark, "s3", "alive");
    serfs[0].sees("s3", "alive");
    serfs[2].sees("a", "alive");
}

/// Serf reports a leave as a failure, unless a leave intent came before.
fn leave(scene: &Scene, theirs: Kind) {
    scene.expects(&STOPPED);
    scene.expects(&RETURNED);
    let serfs = three(scene, theirs, |serf| serf);
    let mut a = join(scene, &serfs, ours(scene));
    a.leave();
    for serf in &serfs {
        serf.sees("a", "failed");
    }
    a.restart(scene, |same| same);
    for serf in &serfs {
        serf.sees("a", "alive");
    }
    a.ask(&format!("broadcast hex:{}", hex(&intent("a"))));
    for serf in &serfs {
        serf.sees("a", "leaving");
    }
    a.leave();
    for serf in &serfs {
        serf.sees("a", "left");
    }
    a.restart(scene, |same| same);
    a.lists(&["a", "s1", "s2", "s3"]);
    serfs[2].leave();
    a.sees("s3", "left");
    a.lists(&["a", "s1", "s2"]);
    scene.assert_no_suspicion();
}

/// Serf's leave intent.
fn intent(name: &str) -> Vec<u8> {
    [&[0x00, 0x82], &*packed("LTime"), &[LAMPORT_TIME], &*packed("Node"), &*packed(name)].concat()
}

/// Serf's user event message.
fn event(name: &str, payload: &str) -> Vec<u8> {
    let mut bytes = vec![0x03, 0x84];
    bytes.extend([packed("CC"), vec![0xc2], packed("LTime"), vec![LAMPORT_TIME]].concat());
    bytes.extend([packed("Name"), packed(name), packed("Payload"), packed(payload)].concat());
    bytes
}

/// A Lamport time above Serf's current one: Serf drops older messages.
const LAMPORT_TIME: u8 = 100;

fn events(scene: &Scene, theirs: Kind) {
    scene.expects(&[COMMANDS_END]);
    let serfs = three(scene, theirs, |serf| serf);
    let a = join(scene, &serfs, ours(scene));
    serfs[1].event("deploy", "version 7");
    let (name, payload) = (hex(b"deploy"), hex(b"version 7"));
    a.event("hears of the event", |event| {
        let data = event["data"].as_str().unwrap_or_default();
        event["ev"] == "msg"
            && data.starts_with("03")
            && data.contains(&*name)
            && data.contains(&*payload)
    });
    a.ask(&format!("broadcast hex:{}", hex(&event("from-us", "payload"))));
    for serf in &serfs {
        serf.logs("messageUserEventType: from-us");
    }
    let answers = serfs[0].query("uptime");
    assert!(answers.contains("Total Acks: 3"), "{answers}");
    let name = hex(b"uptime");
    a.event("hears of the query", |event: &Value| {
        let data = event["data"].as_str().unwrap_or_default();
        event["ev"] == "msg" && data.starts_with("04") && data.contains(&*name)
    });
    watch(scene, &a);
}

fn keys(scene: &Scene, theirs: Kind) {
    let serfs = three(scene, theirs, |serf| serf.with(&format!("-encrypt={KEY_16}")));
    let a = join(scene, &serfs, ours(scene).keys(&[KEY_16]));
    for (command, at_serf, key) in
        [("add", "install", KEY_32), ("use", "use", KEY_32), ("remove", "remove", KEY_16)]
    {
        let said = serfs[0].keys(&format!("-{at_serf}={key}"));
        assert!(said.contains("3/4"), "{said}");
        a.ask(&format!("keyring {command} {key}"));
        watch(scene, &a);
    }
    a.ask(&format!("update-meta {}", tags("rotated")));
    for serf in &serfs {
        serf.waits("sees a's new tag", |members| {
            members.iter().find(|node| node["tags"]["role"] == "rotated").map(|_| ())
        });
    }
    serfs[2].tag("role=rotated");
    sees_role(&a, "rotated");
    scene.assert_no_suspicion();
}

fn protocol(scene: &Scene, theirs: Kind) {
    scene.expects(&[OTHER_PROTOCOL]);
    let serfs = three(scene, theirs, |serf| serf);
    let outsider = scene.ours("a1", 11).retry_join(Duration::from_secs(1)).join_at(serfs[0].addr());
    let outsider = outsider.start(scene);
    let join_result = outsider.start_join();
    assert_eq!(join_result["ok"], false, "it joined: {join_result}");
    join(scene, &serfs, ours(scene));
    for serf in &serfs {
        assert_eq!(serf.members().len(), 4);
    }
}

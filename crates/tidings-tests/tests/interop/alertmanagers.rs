//! Tidings among Alertmanagers.

use serde_json::Value;
use std::time::Duration;
use tidings_tests::Kind::Go050;
use tidings_tests::runner::{Place, Scenario};
use tidings_tests::{Alertmanager, Kind, Scene};

pub(crate) const ALL: &[Scenario] = &[Scenario {
    name: "alertmanager",
    claim: "a Tidings node joins an Alertmanager, another joins it, and all stay members",
    against: &[Go050],
    place: Place::Loopback,
    play: alertmanagers,
}];

fn alertmanagers(scene: &Scene, _: Kind) {
    let m1 = Alertmanager::start(scene, 2, &[]);
    m1.lists(&[m1.addr()]);
    let a = scene.ours("a", 1).join_at(m1.addr()).start(scene);
    assert_eq!(a.start_join()["joined"], 1);
    let m2 = Alertmanager::start(scene, 3, &[a.addr()]);
    let all = [a.addr(), m1.addr(), m2.addr()];
    for manager in [&m1, &m2] {
        manager.lists(&all);
    }
    let listed = |event: &Value| event["ev"] == "join" && event["node"]["port"] == 9094;
    a.event("sees an Alertmanager", listed);
    // Long enough for each to be probed and declared failed.
    a.never(a.mark(), Duration::from_secs(12), "sees a member leave", |event| {
        event["ev"] == "leave"
    });
    for manager in [m1, m2] {
        assert!(manager.runs());
        manager.lists(&all);
    }
    assert_eq!(a.members().len(), 3);
    scene.assert_no_suspicion();
}

//! Recordings of running nodes.

use tidings::replay::Replay;
use tidings_record::{Limits, Recording};
use tidings_tests::conformance::{Adapter, id, patient};

tests! {
    sealed too: [
        a_recorded_node_replays_and_its_recording_is_whole_once_the_node_has_stopped,
    ]
}

fn a_recorded_node_replays_and_its_recording_is_whole_once_the_node_has_stopped(adapter: &Adapter) {
    let [a, b] = adapter.nodes(patient, ["a", "b"]);
    // The node's port is unique, so the file is too.
    let name = format!("tidings-{}-{}.rec", std::process::id(), a.addr().port());
    let path = std::env::temp_dir().join(name);
    a.record(&path, Limits::default()).unwrap();
    assert!(a.is_recording() && !b.is_recording());
    b.join([a.addr()]).unwrap();
    a.send_reliable(&id("b"), "hello").unwrap();
    a.ping(&id("b")).unwrap();
    let sent = a.stats().datagrams_out;
    a.stop();

    let recording = Recording::open(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    assert_eq!(recording.damage(), []);
    let mut present = 0;
    for segment in recording.segments() {
        let mut replay = Replay::new(&segment.checkpoint, &segment.journal).unwrap();
        while let Some(step) = replay.step().unwrap() {
            assert_eq!(step.difference, None);
        }
        present = replay.node().present_count();
        assert!(replay.node().stats().datagrams_out >= sent);
    }
    assert_eq!(present, 2);
}

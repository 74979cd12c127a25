//! Recordings of nodes on loopback.

mod common;

use common::patient;
use std::time::Duration;
use tidings::replay::Replay;
use tidings_record::Recording;
use tidings_std::{Limits, Tidings};

#[test]
fn a_recorded_node_replays_and_its_recording_is_whole_when_the_handle_is_dropped() {
    let path = std::env::temp_dir().join(format!("tidings-std-{}.rec", std::process::id()));
    let (a, _events) = Tidings::bind(patient("a")).unwrap();
    let (b, _others) = Tidings::bind(patient("b")).unwrap();
    a.record(&path, Limits::default()).unwrap();
    assert!(a.is_recording() && !b.is_recording());
    b.join([a.addr()]).unwrap();
    a.send_reliable(b.local().id(), "hello").unwrap();
    a.ping(b.local().id()).unwrap_or(Duration::ZERO);
    let sent = a.stats().datagrams_out;
    drop(a);

    let recording = Recording::open(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    assert_eq!(recording.damage(), []);
    let mut present = 0;
    for segment in recording.segments() {
        let mut replay = Replay::new(&segment.checkpoint, &segment.journal).unwrap();
        while let Some(step) = replay.step().unwrap() {
            assert_eq!(step.difference, None);
        }
        present = replay.node().present();
        assert!(replay.node().stats().datagrams_out >= sent);
    }
    assert_eq!(present, 2);
}

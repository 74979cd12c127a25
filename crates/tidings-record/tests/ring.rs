//! Recordings: the ring, its limits, and how damage is reported.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tidings::replay::Replay;
use tidings::{ClusterName, Config, Instant, Node, NodeId};
use tidings_record::{Limits, OpenError, RecordError, Recorder, Recording};

const KIB: u64 = 1 << 10;

/// The path of a test's file, which is removed with it.
struct Place(PathBuf);

impl Place {
    fn new(name: &str) -> Self {
        let name = format!("tidings-{name}-{}.rec", std::process::id());
        Self(std::env::temp_dir().join(name))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        drop(fs::remove_file(&self.0));
        drop(fs::remove_file(self.0.with_extension("rec.old")));
    }
}

fn node() -> Node {
    let at = "10.0.0.1:7946".parse().unwrap();
    let config = Config::local(ClusterName::new("test").unwrap(), NodeId::new("n1").unwrap(), at);
    Node::new(config, [7; 32], Instant::ZERO)
}

/// Records a node in a file.
fn live(path: &Path, limits: Limits, seconds: u64) -> Result<(), RecordError> {
    let recorder = Recorder::create(path, limits, Instant::ZERO)?;
    let (mut node, recorder) = run(recorder, seconds);
    recorder.finish(&mut node).wait()
}

/// Runs a node whose seed does not answer; each second it gets a datagram and tries to join.
fn run(mut recorder: Recorder, seconds: u64) -> (Node, Recorder) {
    let mut node = node();
    let mut buf = Vec::new();
    for second in 0..seconds {
        let now = Instant::ZERO + Duration::from_secs(second);
        let from = "10.0.0.2:7946".parse().unwrap();
        node.handle_datagram(now, from, &[second as u8; 100]);
        let _ = node.join(now, &[from]);
        node.handle_timeout(now);
        while node.poll_output(&mut buf).is_some() {}
        recorder.record(&mut node);
    }
    (node, recorder)
}

fn limits(kib: u64) -> Limits {
    Limits { bytes: kib * KIB, time: None }
}

/// Replays all segments; returns the number of inputs.
fn replay(recording: &Recording) -> usize {
    let mut inputs = 0;
    let mut end = None;
    for segment in recording.segments() {
        if let Some(end) = end.take() {
            assert!(end == segment.checkpoint, "a segment continues where the last one ended");
        }
        let mut replay = Replay::new(&segment.checkpoint, &segment.journal).unwrap();
        while let Some(step) = replay.step().unwrap() {
            assert_eq!(step.difference, None);
            inputs += 1;
        }
        assert_eq!(replay.now(), segment.until);
        if segment.continued {
            end = Some(Vec::new());
            replay.node().checkpoint(end.as_mut().unwrap());
        }
    }
    inputs
}

#[test]
fn a_short_recording_has_all_of_it() {
    let place = Place::new("short");
    live(&place.0, limits(64), 20).unwrap();
    let recording = Recording::open(&place.0).unwrap();
    assert_eq!((recording.segments().len(), recording.damage().len()), (1, 0));
    assert_eq!(recording.version(), env!("CARGO_PKG_VERSION"));
    // The recording begins after the first three inputs.
    assert_eq!(replay(&recording), 3 * 19);
    let at = Instant::ZERO + Duration::from_millis(1234);
    assert_eq!(recording.instant(recording.wall(at)), at);
}

#[test]
fn a_long_one_has_the_latest_and_keeps_its_bound() {
    let place = Place::new("long");
    live(&place.0, limits(128), 5000).unwrap();
    assert!(fs::metadata(&place.0).unwrap().len() <= 128 * KIB);
    let recording = Recording::open(&place.0).unwrap();
    assert_eq!((recording.segments().len(), recording.damage()), (4, &[][..]));
    assert!(recording.segments()[0].number > 4);
    assert!(recording.segments()[..3].iter().all(|segment| segment.continued));
    let bytes: usize = recording.segments().iter().map(|segment| segment.journal.len()).sum();
    assert!(bytes as u64 > 128 * KIB / 2, "{bytes}");
    assert_eq!(recording.segments()[3].until, Instant::ZERO + Duration::from_secs(4999));
    assert!(replay(&recording) > 500);
}

#[test]
fn a_recording_in_memory_is_read_while_it_goes_on_and_keeps_its_bound() {
    let recorder = Recorder::in_memory(limits(64), Instant::ZERO).unwrap();
    let (mut node, mut recorder) = run(recorder, 400);
    let recent = recorder.recent(&mut node).unwrap();
    assert!(recent.len() as u64 <= 64 * KIB && recent.len() as u64 >= 48 * KIB);
    let recording = Recording::read(&recent).unwrap();
    assert_eq!((recording.segments().len(), recording.damage().len()), (4, 0));
    assert!(replay(&recording) > 300);
    // The newest input is in it.
    assert_eq!(recording.segments().last().unwrap().until, node.now());
    let again = recorder.recent(&mut node).unwrap();
    assert_eq!(recent, again, "a copy changes nothing");
    assert!(recorder.finish(&mut node).wait().is_ok());
    let file = Place::new("no-copy");
    let mut recorder = Recorder::create(&file.0, limits(64), Instant::ZERO).unwrap();
    assert_eq!(recorder.recent(&mut node), None, "a file is read instead");
    assert!(Recorder::in_memory(limits(63), Instant::ZERO).is_err());
}

#[test]
fn a_recording_may_be_bounded_by_time() {
    let place = Place::new("time");
    let time = Some(Duration::from_secs(60));
    live(&place.0, Limits { bytes: 16 << 20, time }, 1000).unwrap();
    let recording = Recording::open(&place.0).unwrap();
    let [first, .., last] = recording.segments() else { panic!("{recording:?}") };
    let kept = last.until.since(first.from).as_secs();
    assert!((60..=81).contains(&kept), "{kept}");
    replay(&recording);
}

#[test]
#[cfg(unix)]
fn only_the_owner_reads_it_and_an_earlier_one_is_kept() {
    use std::os::unix::fs::PermissionsExt;
    let place = Place::new("owner");
    live(&place.0, limits(64), 3).unwrap();
    live(&place.0, limits(64), 9).unwrap();
    assert_eq!(fs::metadata(&place.0).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(replay(&Recording::open(&place.0).unwrap()), 3 * 8);
    assert_eq!(replay(&Recording::open(&place.0.with_extension("rec.old")).unwrap()), 3 * 2);
}

#[test]
fn what_cannot_be_recorded_is_told_and_the_node_goes_on() {
    let place = Place::new("cannot");
    assert!(matches!(live(&place.0, limits(1), 1), Err(RecordError::SizeOutOfRange(1024))));
    fs::write(&place.0, "a letter").unwrap();
    assert!(matches!(live(&place.0, limits(64), 1), Err(RecordError::NotARecording(_))));
    assert_eq!(fs::read(&place.0).unwrap(), b"a letter");
    fs::remove_file(&place.0).unwrap();

    let mut node = node();
    node.set_sync_state(Instant::ZERO, vec![7; 60_000].into()).unwrap();
    let mut recorder = Recorder::create(&place.0, limits(64), Instant::ZERO).unwrap();
    recorder.record(&mut node);
    let error = recorder.error().unwrap().to_string();
    assert!(
        error.starts_with("a checkpoint of the node does not fit a recording of 65536 bytes; ")
    );
    assert!(error.ends_with(" bytes"), "{error}");
    assert_eq!(node.journal_len(), None);
    let Err(RecordError::TooSmall { needed, .. }) = recorder.finish(&mut node).wait() else {
        panic!()
    };
    let limits = Limits { bytes: needed, time: None };
    let mut recorder = Recorder::create(&place.0, limits, Instant::ZERO).unwrap();
    recorder.record(&mut node);
    recorder.finish(&mut node).wait().unwrap();
}

#[test]
fn what_is_no_recording_is_not_read() {
    assert!(matches!(Recording::read(b""), Err(OpenError::NotARecording)));
    assert!(matches!(Recording::read(&[7; 100]), Err(OpenError::NotARecording)));
    assert!(matches!(Recording::read(b"TIDINGSR"), Err(OpenError::Header)));
}

#[test]
fn a_bit_flipped_anywhere_is_told() {
    let place = Place::new("flip");
    live(&place.0, limits(64), 12).unwrap();
    let mut file = fs::read(&place.0).unwrap();
    for at in 0..file.len() {
        file[at] ^= 1 << (at % 8);
        if let Ok(recording) = Recording::read(&file) {
            assert!(!recording.damage().is_empty(), "byte {at}");
            replay(&recording);
        }
        file[at] ^= 1 << (at % 8);
    }
}

#[test]
fn of_a_ring_all_is_read_but_what_is_broken() {
    let place = Place::new("broken");
    live(&place.0, limits(64), 2000).unwrap();
    let mut file = fs::read(&place.0).unwrap();
    let whole = replay(&Recording::read(&file).unwrap());
    let (mut told, mut tries) = (0, 0);
    for at in (0..file.len()).step_by(501) {
        file[at] ^= 0x10;
        if let Ok(recording) = Recording::read(&file) {
            let inputs = replay(&recording);
            assert!(inputs > whole / 2 && recording.segments().len() >= 3);
            // Bytes behind the end of a segment do not count.
            let unharmed = inputs == whole && recording.segments().len() == 4;
            assert!(unharmed || !recording.damage().is_empty(), "byte {at}");
            told += usize::from(!recording.damage().is_empty());
            tries += 1;
        }
        file[at] ^= 0x10;
    }
    assert!(told > tries / 2, "{told} of {tries}");
}

#[test]
fn a_recording_that_was_cut_has_what_is_left() {
    let place = Place::new("cut");
    live(&place.0, limits(64), 2000).unwrap();
    let file = fs::read(&place.0).unwrap();
    for len in (64..file.len()).step_by(997) {
        let recording = Recording::read(&file[..len]).unwrap();
        replay(&recording);
        let complete = recording.segments().len() == 4;
        assert!(complete || recording.segments().is_empty() || !recording.damage().is_empty());
    }
}

#[test]
fn errors_name_the_value_and_the_limit() {
    let place = Place::new("errors");
    let error = live(&place.0, limits(1), 1).unwrap_err().to_string();
    assert_eq!(
        error,
        "a recording cannot have 1024 bytes; 65536 (64 KiB) to 17179869184 (16 GiB) are allowed"
    );
    fs::write(&place.0, "a letter").unwrap();
    let error = live(&place.0, limits(64), 1).unwrap_err().to_string();
    let path = place.0.display();
    assert_eq!(error, format!("{path} exists and is not a recording; it is not overwritten"));
    let error = Recording::open(&place.0).unwrap_err().to_string();
    assert_eq!(error, "not a Tidings recording");

    let short = Place::new("version");
    live(&short.0, limits(64), 1).unwrap();
    let mut file = fs::read(&short.0).unwrap();
    file[20] ^= 1;
    let error = Recording::read(&file).unwrap_err().to_string();
    assert_eq!(error, "the header of the recording is damaged");
}

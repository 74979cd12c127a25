//! A quiet round allocates nothing, and what is only announced takes no memory.

mod common;

use common::forge;
use common::solo::{STRANGER, Solo};
use tidings::StreamInput;

#[test]
fn a_quiet_round_of_a_warm_node_allocates_nothing() {
    for members in [2, 11, 301] {
        let mut solo = Solo::warm(members);
        for _ in 0..100 {
            solo.round();
        }
        let before = solo.node.stats().clone();
        let counted = allocation_counter::measure(|| {
            for _ in 0..1000 {
                solo.round();
            }
        });
        assert_eq!(counted.count_total, 0, "with {members} members");
        let after = solo.node.stats();
        assert!(after.probes >= before.probes + 999, "it did probe");
        assert_eq!(after.probes_indirect, before.probes_indirect, "and was answered at once");
        assert_eq!(after.datagrams_in - before.datagrams_in, after.probes - before.probes + 1000);
        assert_eq!(after.stray_acks + after.rejected_datagrams.total(), 0, "by what it took");
        assert_eq!(after.syncs_by_digest, 0, "and all know the same");
    }
}

#[cfg(feature = "record")]
#[test]
fn a_quiet_round_that_is_noted_allocates_nothing_beyond_the_buffer() {
    let mut solo = Solo::warm(11);
    solo.node.start_journal(&mut Vec::new());
    let mut journal = Vec::with_capacity(1 << 20);
    for _ in 0..100 {
        solo.round();
        solo.node.take_journal(&mut journal);
    }
    journal.clear();
    let counted = allocation_counter::measure(|| {
        for _ in 0..1000 {
            solo.round();
            solo.node.take_journal(&mut journal);
        }
    });
    assert_eq!(counted.count_total, 0);
    println!("{} bytes in a quiet second", journal.len() / 1000);
    assert!(journal.len() / 1000 < 250, "{} bytes in a quiet second", journal.len() / 1000);
}

#[test]
fn what_is_announced_and_does_not_come_takes_no_memory() {
    let mut solo = Solo::new(2);
    // Each a frame of a megabyte, of which all but the beginning is still to come.
    let length = (1_u32 << 20) - 100;
    let mut frame = forge::plain_frame(forge::CLUSTER, 6, &[1, b'n', 1, b'n']);
    frame[5..9].copy_from_slice(&length.to_le_bytes());
    let counted = allocation_counter::measure(|| {
        for _ in 0..100 {
            let stream = solo.node.accept_stream(solo.now, STRANGER).unwrap();
            solo.node.handle_stream(solo.now, stream, StreamInput::Data(&frame));
        }
    });
    assert!(counted.bytes_max < 100 * 1000, "{} bytes", counted.bytes_max);
    // And a datagram that says that it holds more than it does.
    let long_name = [&[11][..], &[0xff, 0xff, 0xff, 0xff, 0x0f], b"x"].concat();
    let datagram = forge::plain_datagram(forge::CLUSTER, &[long_name]);
    let counted = allocation_counter::measure(|| {
        solo.node.handle_datagram(solo.now, STRANGER, &datagram);
    });
    assert_eq!((counted.count_total, solo.node.stats().rejected_datagrams.malformed), (0, 1));
}

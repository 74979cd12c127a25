//! A quiet round allocates nothing, and announced bytes that did not arrive take no memory.

mod common;

use common::forge;
use common::single_node::{STRANGER, SingleNode, address};
use tidings::StreamInput;

#[test]
fn a_quiet_round_of_a_warm_node_allocates_nothing() {
    for members in [2, 11, 301] {
        let mut single = SingleNode::warm(members);
        for _ in 0..100 {
            single.round();
        }
        let before = single.node.stats().clone();
        let counted = allocation_counter::measure(|| {
            for _ in 0..1000 {
                single.round();
            }
        });
        assert_eq!(counted.count_total, 0, "with {members} members");
        let after = single.node.stats();
        assert!(after.probes >= before.probes + 999, "it did probe");
        assert_eq!(after.probes_indirect, before.probes_indirect, "and was answered at once");
        assert_eq!(after.datagrams_in - before.datagrams_in, after.probes - before.probes + 1000);
        assert_eq!(after.stray_acks + after.rejected_datagrams.total(), 0, "by what it took");
        assert_eq!(after.syncs_by_digest, 0, "and all know the same");
    }
}

#[cfg(feature = "record")]
#[test]
fn a_quiet_round_with_a_journal_allocates_nothing_beyond_the_buffer() {
    let mut single = SingleNode::warm(11);
    single.node.start_journal(&mut Vec::new());
    let mut journal = Vec::with_capacity(1 << 20);
    for _ in 0..100 {
        single.round();
        single.node.take_journal(&mut journal);
    }
    journal.clear();
    let counted = allocation_counter::measure(|| {
        for _ in 0..1000 {
            single.round();
            single.node.take_journal(&mut journal);
        }
    });
    assert_eq!(counted.count_total, 0);
    println!("{} bytes in a quiet second", journal.len() / 1000);
    assert!(journal.len() / 1000 < 250, "{} bytes in a quiet second", journal.len() / 1000);
}

#[test]
fn announced_bytes_that_do_not_arrive_take_no_memory() {
    let mut single = SingleNode::new(2);
    // Each the beginning of a frame of a megabyte.
    let length = (1_u32 << 20) - 100;
    let mut frame = forge::plain_frame(forge::CLUSTER, 6, &[1, b'n', 1, b'n']);
    frame[5..9].copy_from_slice(&length.to_le_bytes());
    let counted = allocation_counter::measure(|| {
        for n in 0..100 {
            let stream = single.node.accept_stream(single.now, address(n)).unwrap();
            single.node.handle_stream(single.now, stream, StreamInput::Data(&frame));
        }
    });
    assert!(counted.bytes_max < 100 * 1000, "{} bytes", counted.bytes_max);
    // And a datagram with a length field beyond its end.
    let long_name = [&[11][..], &[0xff, 0xff, 0xff, 0xff, 0x0f], b"x"].concat();
    let datagram = forge::plain_datagram(forge::CLUSTER, &[long_name]);
    let counted = allocation_counter::measure(|| {
        single.node.handle_datagram(single.now, STRANGER, &datagram);
    });
    assert_eq!((counted.count_total, single.node.stats().rejected_datagrams.malformed), (0, 1));
}

#[cfg(feature = "encryption")]
mod encryption {
    use super::forge;
    use crate::common::{self, addr, id};
    use std::time::Duration;
    use tidings::{Instant, Node, Options, Output};

    const SECOND: Duration = Duration::from_secs(1);

    /// Two nodes that know each other, without latency between them.
    struct Twins {
        nodes: [Node; 2],
        buf: Vec<u8>,
        sent: u64,
    }

    impl Twins {
        fn new() -> Self {
            let mut options = Options::lan();
            // Syncs are streams, which are not quiet.
            options.sync_interval = 24 * 3600 * SECOND;
            let node = |n| {
                let config = common::config_with(n, &options).with_generation(1);
                let mut node = Node::new(config, [n as u8; 32], Instant::ZERO);
                let other = 1 - n;
                let name = id(other).to_string();
                let alive = forge::alive(&name, &addr(other).to_string(), 1, 0, b"");
                node.handle_datagram(Instant::ZERO, addr(other), &forge::datagram(&[alive]));
                node
            };
            Self { nodes: [node(0), node(1)], buf: Vec::with_capacity(2000), sent: 0 }
        }

        fn run_until(&mut self, end: Instant) {
            loop {
                let at = self.nodes.iter().filter_map(Node::poll_timeout).min();
                let Some(at) = at.filter(|&at| at <= end) else { return };
                for here in [0, 1] {
                    self.nodes[here].handle_timeout(at);
                    while let Some(output) = self.nodes[here].poll_output(&mut self.buf) {
                        if let Output::Datagram { data, .. } = output {
                            self.sent += 1;
                            self.nodes[1 - here].handle_datagram(at, addr(here), data);
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn a_quiet_round_allocates_nothing_with_encryption_either() {
        let mut twins = Twins::new();
        let minute = 60 * SECOND;
        twins.run_until(Instant::ZERO + 2 * minute);
        let sent = twins.sent;
        let counted = allocation_counter::measure(|| twins.run_until(Instant::ZERO + 10 * minute));
        assert!(twins.sent >= sent + 2 * 2 * 8 * 60 - 4, "{} datagrams", twins.sent - sent);
        assert_eq!(counted.count_total, 0);
        assert_eq!(twins.nodes[0].stats().probes_failed, 0);
    }
}

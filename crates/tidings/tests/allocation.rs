//! A quiet round allocates nothing.

mod common;

use common::solo::Solo;

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

//! Partitions, in one direction and in both.

use super::*;

#[test]
fn a_member_cut_off_in_one_direction_does_not_bring_down_the_others() {
    let mut net = Net::new(1);
    for n in 1..5 {
        net.start(config(n, addr(n)).with_generation(1));
        net.join(n, &[addr(0)]);
    }
    net.run_until(|net| (0..5).all(|here| net.nodes[here].node.present_count() == 5));
    // Nothing reaches node 4 any more: it accuses all others, and all refute.
    for other in 0..4 {
        net.cut(other, 4);
    }
    net.run_for(60 * SECOND);
    for here in 0..4 {
        for other in (0..4).filter(|&other| other != here) {
            assert_eq!(net.state(here, other), Some(State::Alive));
        }
    }
}

#[test]
fn a_node_started_in_a_partition_finds_the_seeds_on_the_other_side() {
    let mut net = Net::new(4);
    net.join(1, &[addr(0)]);
    net.run_for(SECOND);
    for (here, there) in [(0, 2), (0, 3), (1, 2), (1, 3)] {
        net.cut_both(here, there);
    }
    let ticket = net.join(3, &[addr(0), addr(2)]);
    net.run_until(|net| net.result(3, ticket).is_some_and(|result| result.is_ok()));
    net.run_for(300 * SECOND);
    assert_eq!([0, 1, 2, 3].map(|here| net.nodes[here].node.present_count()), [2; 4]);
    net.heal();
    let took = net.run_until(|net| (0..4).all(|here| net.nodes[here].node.present_count() == 4));
    // Two nodes share the attempts, each at up to 1.5 times the longest interval.
    assert!(took <= 180 * SECOND, "{took:?}");
}

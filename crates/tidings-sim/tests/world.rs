//! Tests of worlds: determinism, failure detection and measurements.

use std::time::Duration;
use tidings::Options;
use tidings_sim::{Cut, EventKind, Jitter, Link, Settings, World};

const SECOND: Duration = Duration::from_secs(1);

fn turbulent(seed: u64, encryption: bool) -> World {
    let link = Link {
        delay: Duration::from_millis(1),
        jitter: Jitter::Exponential(Duration::from_millis(2)),
        loss: 0.05,
        duplicate: 0.05,
        reorder: 0.1,
        ..Link::default()
    };
    let mut world = World::new(Settings { link, encryption, ..Settings::default() }, seed);
    for node in 0..12 {
        world.add();
        world.set_clock(node, SECOND * (node as u32 * 1000), node as i32 * 20 - 100, 0);
        world.start(node);
        if node > 0 {
            world.join(node, &[0]);
        }
    }
    world.run_for(10 * SECOND);
    world.cut(&[0, 1, 2], &[3, 4, 5], Cut::All);
    world.crash(6);
    world.pause(7);
    world.stall(8);
    world.set_meta(9, "new");
    world.leave(10);
    world.broadcast(11, "hello");
    world.run_for(40 * SECOND);
    world.mend();
    world.resume(7);
    world.resume(8);
    world.start_elsewhere(6);
    world.join(6, &[0, 1]);
    world.start(10);
    world.join(10, &[0, 1]);
    world.run_for(120 * SECOND);
    world
}

mod failure_detection {
    use super::*;

    #[test]
    fn a_crash_in_a_formed_cluster_is_known_to_all_in_time() {
        let mut world = World::formed(100, Settings::default(), 7);
        world.run_for(10 * SECOND);
        assert_eq!(world.log(), [], "a formed cluster has nothing to tell");
        world.crash(42);
        let all_know = |world: &World| (0..100).all(|node| node == 42 || world.present(node) == 99);
        let took = world.run_until(60 * SECOND, all_know).expect("a crash is found");
        assert!((8 * SECOND..20 * SECOND).contains(&took), "{took:?}");
        assert_eq!(world.violations(), [""; 0]);
        let failed = world.log().iter().filter(|event| event.kind == EventKind::Failed);
        assert!(failed.clone().all(|event| event.subject == Some(42)));
        assert_eq!(failed.count(), 99);
    }
}

mod determinism {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_history() {
        for encryption in [false, true] {
            let (once, again) = (turbulent(3, encryption), turbulent(3, encryption));
            assert_eq!(once.trace().hash(), again.trace().hash());
            assert_eq!(once.tally(), again.tally());
            assert_ne!(once.trace().hash(), turbulent(4, encryption).trace().hash());
            assert_eq!(once.violations(), [""; 0]);
            println!("{:?} {:?}", once.tally(), once.trace());
        }
    }
}

mod metrics {
    use super::*;

    #[test]
    fn what_is_watched_adds_up() {
        let mut world = World::formed(10, Settings { probes: true, ..Settings::default() }, 5);
        world.run_for(20 * SECOND);
        let begun: u64 =
            (0..10).filter_map(|node| world.node(node)).map(|node| node.stats().probes).sum();
        assert_eq!(world.probes().len() as u64, begun);
        assert!(world.probes().iter().all(|probe| probe.prober != probe.target));
        let times = |by, of| {
            let probes =
                world.probes().iter().filter(move |probe| (probe.prober, probe.target) == (by, of));
            probes.count()
        };
        assert!(
            (1..10).all(|of| (1..=3).contains(&times(0, of))),
            "round-robin: 20 rounds among 9"
        );

        assert_eq!(world.tracked_datagrams(), 0);
        world.track_payload(b"<news>");
        world.set_meta(3, "<news>");
        world.run_for(5 * SECOND);
        let followed = world.tracked_datagrams();
        assert!(
            (9 * 6..9 * 12).contains(&followed),
            "{followed}: each tells it 8 times at most, and some ride"
        );
        let traffic: Vec<_> = (0..10).map(|node| *world.traffic(node)).collect();
        let tally = world.tally();
        assert_eq!(
            traffic.iter().map(|traffic| traffic.datagrams_out).sum::<u64>(),
            tally.datagrams
        );
        let sent: u64 = traffic.iter().map(|traffic| traffic.bytes_out).sum();
        assert_eq!(sent, tally.datagram_bytes + tally.stream_bytes);
        assert!(traffic.iter().map(|traffic| traffic.bytes_in).sum::<u64>() <= sent);
    }
}

#[test]
fn a_dead_process_refuses_and_a_dead_machine_a_taken_port_and_a_firewall_before_some_do_not() {
    /// Verdicts by refusal in four seconds after a change, and how many hold node 7 as present.
    fn four_seconds_after(change: fn(&mut World)) -> (u64, usize) {
        let mut options = Options::lan();
        options.refusal_evidence = true;
        let settings = Settings { options, ..Settings::default() };
        let mut world = World::formed(20, settings, 3);
        world.run_for(30 * SECOND);
        change(&mut world);
        world.run_for(4 * SECOND);
        let others = || (0..20).filter(|&node| node != 7);
        let verdicts = others()
            .map(|node| world.node(node).map_or(0, |node| node.stats().verdicts_by_refusal));
        let verdicts = verdicts.sum();
        assert!(world.violations().is_empty());
        (verdicts, others().filter(|&node| world.present(node) == 20).count())
    }
    let some: fn(&mut World) = |world| {
        let half: Vec<_> = (8..18).collect();
        world.reject(&half, &[7], Cut::All);
        world.reject(&[7], &half, Cut::All);
    };
    assert_eq!(four_seconds_after(|world| world.crash(7)), (1, 0));
    assert_eq!(four_seconds_after(|world| world.power_off(7)), (0, 19));
    assert_eq!(four_seconds_after(|world| world.take_port(7)), (0, 19));
    assert_eq!(four_seconds_after(some), (0, 19));
    assert_eq!(four_seconds_after(|world| world.reject(&[0], &[7], Cut::All)), (0, 19));
}

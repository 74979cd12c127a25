//! Experiments with slow members, with quick effort: results that must hold in any case.

use std::time::Duration;
use tidings_sim::experiment::Experiment;
use tidings_sim::report::{Section, Table};
use tidings_sim::{Effort, EventKind, Harness, HostState, Settings, World};

const SECOND: Duration = Duration::from_secs(1);

fn section(name: &str) -> Section {
    let section =
        Experiment::named(name).expect("it is registered").run(&Harness::new(2, Effort::Quick, 1));
    assert_eq!(section.name, name);
    let violated = section.notes.iter().find(|note| note.starts_with("Invariant violations"));
    assert_eq!(violated, None);
    section
}

/// The number at the beginning of a cell.
fn number(table: &Table, row: &str, column: usize) -> f64 {
    let row = table.rows.iter().find(|cells| cells[0] == row).expect("the table has that row");
    let digits: String = row[column]
        .chars()
        .filter(|c| *c != ',')
        .take_while(|c| c.is_ascii_digit() || *c == '.')
        .collect();
    digits.parse().expect("it begins with a number")
}

mod local_health {
    use super::*;

    #[test]
    fn each_of_lifeguards_steps_makes_false_failures_rarer() {
        let section = section("lifeguard-false-positives");
        let wrong = |row| number(&section.tables[0], row, 1);
        assert!(wrong("SWIM") > 50.0, "{}", wrong("SWIM"));
        assert!(wrong("SWIM") > 10.0 * wrong("LHA-Suspicion"));
        assert!(wrong("LHA-Suspicion") >= wrong("Lifeguard"));
        assert_eq!(wrong("Tidings, α = 5"), 0.0);
        // A node that reads its socket before it handles timers causes no false positives.
        assert_eq!(number(&section.tables[1], "SWIM", 3), 0.0);
    }

    #[test]
    fn confirmations_cost_messages_and_local_health_saves_them() {
        let section = section("lifeguard-load");
        let datagrams = |row| number(&section.tables[0], row, 1);
        assert!(datagrams("LHA-Suspicion") > datagrams("SWIM"));
        assert!(datagrams("LHA-Probe") < 1.05 * datagrams("SWIM"));
    }
}

mod suspicion {
    use super::*;

    #[test]
    fn slow_members_are_found_as_soon_as_in_the_paper_and_sooner_with_a_lower_alpha() {
        let section = section("lifeguard-latency");
        let median = |row| number(&section.tables[0], row, 2);
        assert!((11.5..13.5).contains(&median("SWIM")), "{}", median("SWIM"));
        assert!((median("Lifeguard") - median("SWIM")).abs() < 0.5);
        assert!(median("Tidings, α = 2") < 0.6 * median("SWIM"));
    }

    #[test]
    fn the_tuning_has_a_row_for_each_setting() {
        let section = section("lifeguard-tuning");
        assert_eq!(section.tables[0].rows.len(), 3);
        assert_eq!(number(&section.tables[0], "Tidings", 4), 0.0);
    }
}

mod gray_failures {
    use super::*;

    #[test]
    fn gray_failures_are_told_of_and_the_well_are_not() {
        let section = section("gray");
        let of_tidings = section.tables[0].rows.iter().filter(|row| row[1] == "Tidings");
        assert!(of_tidings.clone().count() == 3 && of_tidings.clone().all(|row| row[6] == "0"));
    }
}

mod ablation {
    use super::*;

    #[test]
    fn without_any_switch_more_goes_wrong() {
        let section = section("switches");
        let wrong = |row| number(&section.tables[0], row, 1);
        assert!(wrong("none of them") > 2.0 * wrong("defaults"));
    }
}

mod anomalies {
    use super::*;

    #[test]
    fn what_waits_keeps_its_order_when_a_node_stops_again_while_it_reads() {
        let mut world = World::formed(20, Settings::default(), 3);
        world.run_for(2 * SECOND);
        world.pause(5);
        world.broadcast(1, "first");
        world.run_for(5 * SECOND);
        world.broadcast(1, "second");
        world.run_for(5 * SECOND);
        // It reads one datagram in 15 µs, and is paused again after a few.
        for _ in 0..20 {
            world.resume(5);
            world.run_for(Duration::from_micros(40));
            world.pause(5);
            world.run_for(SECOND / 10);
        }
        world.resume(5);
        world.run_for(60 * SECOND);
        assert_eq!(world.host_state(5), HostState::Up);
        assert_eq!(world.violations(), [""; 0]);
        assert!(
            world.log().iter().any(|event| event.observer == 5 && event.kind == EventKind::Message)
        );
        assert!((0..20).all(|node| world.present(node) == 20));
    }

    #[test]
    fn a_blocked_node_reaches_its_verdicts_before_it_reads_what_speaks_against_them() {
        let mut options = tidings::Options::lan();
        options.require_recent_ack = false;
        options.suspicion_max_mult = 1;
        let failed = |blocks: bool| {
            let settings = Settings { options: options.clone(), ..Settings::default() };
            let mut world = World::formed(20, settings, 3);
            world.run_for(2 * SECOND);
            for _ in 0..6 {
                if blocks {
                    world.block(5)
                } else {
                    world.pause(5)
                }
                world.run_for(12 * SECOND);
                world.resume(5);
                world.run_for(SECOND / 2000);
            }
            let by = |event: &&tidings_sim::LoggedEvent| {
                event.kind == EventKind::Failed && event.observer == 5 && event.subject != Some(5)
            };
            world.log().iter().filter(by).count()
        };
        assert!(failed(true) > 0);
        assert_eq!(failed(false), 0);
    }
}

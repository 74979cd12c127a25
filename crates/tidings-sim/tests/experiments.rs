//! Experiments with quick effort: results that must hold in any case.

use tidings_sim::experiment::{Experiment, report};
use tidings_sim::report::{Section, Table};
use tidings_sim::{Effort, Harness};

fn done(name: &str) -> Section {
    let harness = Harness::new(2, Effort::Quick, 1);
    let section = Experiment::named(name).expect("there is one of that name").run(&harness);
    let tables = &section.tables;
    assert!(tables.iter().flat_map(|table| &table.rows).all(|row| row.len() > 1));
    let charts = &section.charts;
    assert!(charts.iter().all(|chart| chart.series.iter().all(|line| !line.points.is_empty())));
    println!("{}", report(vec![section.clone()]).markdown(""));
    section
}

/// The cells of a column, one for each row.
fn cells<'a>(table: &'a Table, head: &'a str) -> impl Iterator<Item = &'a str> {
    let column =
        table.columns.iter().position(|column| column == head).expect("there is such a head");
    table.rows.iter().map(move |row| row[column].as_str())
}

/// The numbers at the beginning of those cells.
fn numbers<'a>(table: &'a Table, head: &'a str) -> impl Iterator<Item = f64> {
    cells(table, head).map(|cell| {
        let cell = cell.replace(',', "");
        let end = cell.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(cell.len());
        cell[..end].parse().unwrap_or_else(|_| panic!("{cell} begins with a number"))
    })
}

mod failure_detection {
    use super::*;

    #[test]
    fn a_crash_is_noticed_as_soon_as_theory_says() {
        let section = done("first-detection");
        let table = &section.tables[0];
        // The last rows have few crashes.
        for (mean, theory) in numbers(table, "mean").zip(numbers(table, "theory")).take(4) {
            assert!((mean / theory - 1.0).abs() < 0.1, "{mean} periods; theory: {theory}");
        }
    }

    #[test]
    fn loss_makes_nobody_fail_and_crashes_are_found_under_it() {
        let section = done("loss");
        let table = &section.tables[0];
        let rows = cells(table, "options").zip(numbers(table, "false positives"));
        assert!(
            rows.filter(|(options, _)| *options != "SWIM only")
                .all(|(_, failures)| failures == 0.0)
        );
        assert!(cells(table, "crash: detected by all").all(|time| !time.starts_with('>')));
    }
}

mod mass_failure {
    use super::*;

    #[test]
    fn survivors_know_of_all_within_twice_the_time_of_one_crash_and_never_doubt_themselves() {
        let section = done("mass-failure");
        let table = &section.tables[0];
        assert!(numbers(table, "slowest by one crash").all(|times| times < 2.1));
        assert!(cells(table, "survivors suspected").all(|suspected| suspected == "0"));
    }

    #[test]
    fn a_member_that_reaches_two_others_makes_no_healthy_one_declare_another_failed() {
        let section = done("half-attached");
        let table = &section.tables[0];
        let rows = cells(table, "").zip(cells(table, "runs with any"));
        assert!(rows.filter(|(name, _)| *name == "defaults").all(|(_, runs)| runs == "0"));
    }
}

mod probe {
    use super::*;

    #[test]
    fn everybody_is_probed_by_everybody_within_the_bound() {
        let section = done("completeness");
        let table = &section.tables[0];
        assert!(numbers(table, "bound violations").all(|late| late == 0.0));
        let (longest, bound) =
            (numbers(table, "longest gap (own periods)"), numbers(table, "bound"));
        assert!(longest.zip(bound).all(|(longest, bound)| longest <= bound));
    }

    #[test]
    fn probes_fail_as_often_as_the_formula_says_and_by_default_far_less_often() {
        let section = done("false-positives-formula");
        let swim = &section.tables[0];
        let shares = numbers(swim, "failure rate").zip(numbers(swim, "theory"));
        for ((share, theory), failed) in shares.zip(numbers(swim, "failed")) {
            let off = 4.0 / failed.max(1.0).sqrt();
            assert!(
                failed < 50.0 || (share / theory - 1.0).abs() < off,
                "{share}; theory: {theory}"
            );
        }
        let ours = &section.tables[1];
        let expected = numbers(ours, "probes").zip(numbers(ours, "SWIM, theory"));
        let expected: f64 = expected.map(|(probes, theory)| probes * theory).sum();
        let failed: f64 = numbers(ours, "failed").sum();
        assert!(failed < 0.3 * expected, "{failed}; SWIM by theory: {expected}");
    }
}

mod message_load {
    use super::*;

    #[test]
    fn a_quiet_member_sends_two_datagrams_a_period_at_any_size() {
        let section = done("load");
        let table = &section.tables[0];
        assert!(numbers(table, "datagrams").all(|sent| (1.9..2.1).contains(&sent)));
        assert!(numbers(table, "B/s in datagrams").all(|bytes| bytes < 60.0));
    }
}

mod gossip {
    use super::*;

    #[test]
    fn news_reaches_all_sooner_than_in_the_model_of_memberlist() {
        let section = done("dissemination");
        let table = &section.tables[0];
        assert!(numbers(table, "missed").all(|missed| missed == 0.0));
        let model = numbers(table, "memberlist model");
        assert!(numbers(table, "rounds to all").zip(model).all(|(ours, model)| ours < model));
        assert!(numbers(table, "copies").all(|copies| copies < 20.0));
    }
}

mod join {
    use super::*;

    #[test]
    fn all_who_start_at_once_are_there_soon() {
        let section = done("join-storm");
        assert!(numbers(&section.tables[0], "convergence time").all(|seconds| seconds < 5.0));
    }
}

mod partition {
    use super::*;

    #[test]
    fn two_halves_find_each_other_and_nobody_who_restarts_is_lost() {
        let section = done("partition");
        assert!(cells(&section.tables[0], "result").all(|result| result.starts_with("healed")));
        let section = done("mass-restart");
        assert!(cells(&section.tables[0], "result").all(|result| result == "correct"));
    }
}

mod registry {
    use super::*;

    #[test]
    fn names_are_found_and_told_apart() {
        for experiment in Experiment::all() {
            let found = Experiment::named(experiment.name).expect("it is there");
            assert_eq!(found.about, experiment.about, "{} is there once", experiment.name);
        }
        assert!(Experiment::named("nothing").is_none());
    }
}

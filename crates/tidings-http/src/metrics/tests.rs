//! Each counter of a node is a metric.

use super::*;
use crate::log::EventLog;
use serde_json::Value;
use tidings::Stats;

/// Numbers all counters from 1001 on, in the order of their names.
fn number(value: &mut Value, next: &mut u64) {
    match value {
        Value::Object(fields) => fields.values_mut().for_each(|field| number(field, next)),
        count => {
            *next += 1;
            *count = (*next).into();
        }
    }
}

fn view(stats: Stats) -> View {
    let node = tidings_std::builder("test").name("a\"b").bind("127.0.0.1:0").start().unwrap().0;
    let mut view = View::take(&node.observer(), &EventLog::default(), 10).unwrap();
    view.stats = stats;
    view
}

fn has(text: &str, series: &str, value: u64) -> bool {
    text.lines().any(|line| line == format!("{series} {value}"))
}

#[test]
fn every_counter_of_a_node_is_a_metric() {
    let (mut counters, mut last) = (serde_json::to_value(Stats::default()).unwrap(), 1000);
    number(&mut counters, &mut last);
    let stats: Stats = serde_json::from_value(counters.clone()).unwrap();
    let text = encode(&view(stats), &Answered::default(), Format::Prometheus);

    let of_probes = |name: &str| name == "probes" || name.starts_with("probes_");
    let values = |counters: &Value| -> Vec<(String, u64)> {
        let fields = counters.as_object().unwrap().iter();
        fields.filter_map(|(name, count)| Some((name.clone(), count.as_u64()?))).collect()
    };
    let mut checked = 0;
    let by_reason = ["rejected_datagrams", "rejected_streams", "datagrams_unsent"];
    let by_reason = by_reason.map(|name| &counters[name]);
    for (name, count) in [&counters].into_iter().chain(by_reason).flat_map(values) {
        let in_text = text.lines().any(|line| line.ends_with(&format!(" {count}")));
        assert!(in_text || of_probes(&name), "{name} is no metric");
        checked += 1;
    }
    assert_eq!(checked, last - 1000, "all were looked at");
    let held = counters["verdicts_deferred"].as_u64().unwrap();
    assert!(has(&text, "tidings_verdicts_held_total", held));
    let stream = &counters["rejected_streams"];
    for (reason, count) in values(stream) {
        let series = format!("tidings_rejected_total{{channel=\"stream\",reason=\"{reason}\"}}");
        assert!(has(&text, &series, count), "{series}");
    }
    let name = "tidings_node_info{cluster=\"test\",name=\"a\\\"b\",wire=\"tidings\"}";
    assert!(has(&text, name, 1), "{text}");
}

#[test]
fn probes_are_counted_by_outcome_and_no_counter_goes_down() {
    let answered = Answered::default();
    let outcomes = |probes, probes_indirect, by_stream, failed| {
        let mut stats = Stats::default();
        (stats.probes, stats.probes_indirect) = (probes, probes_indirect);
        (stats.probes_by_stream, stats.probes_failed) = (by_stream, failed);
        let text = encode(&view(stats), &answered, Format::Prometheus);
        ["direct", "indirect", "stream", "failed"].map(|outcome| {
            let series = format!("tidings_probes_total{{outcome=\"{outcome}\"}} ");
            let value = text.lines().find_map(|line| line.strip_prefix(&series)).unwrap();
            value.parse::<u64>().unwrap()
        })
    };
    assert_eq!(outcomes(10, 3, 1, 1), [7, 1, 1, 1]);
    // The eleventh is under way, and goes on to the next way each time.
    assert_eq!(outcomes(11, 3, 1, 1), [8, 1, 1, 1]);
    assert_eq!(outcomes(11, 4, 1, 1), [8, 2, 1, 1]);
    assert_eq!(outcomes(11, 4, 1, 2), [8, 2, 1, 2]);
    // The next ones make up for it.
    assert_eq!(outcomes(13, 5, 1, 2), [8, 2, 1, 2]);
}

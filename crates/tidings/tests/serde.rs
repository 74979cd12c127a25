//! Public types that implement serde round-trip, and refuse invalid values.

use serde_json::{Value, json};
use std::time::Duration;
use tidings::{ClusterName, Event, Incarnation, Member, Meta, NodeId, Options, State, Stats};
use tidings::{Config, Instant, Node, Output};

fn refused<T: serde::de::DeserializeOwned + std::fmt::Debug>(value: Value) -> String {
    serde_json::from_value::<T>(value).unwrap_err().to_string()
}

/// A node that has joined itself, with the resulting events.
fn node() -> (Node, Vec<Event>) {
    let config = Config::builder(
        ClusterName::new("test").unwrap(),
        NodeId::new("db-7").unwrap(),
        "10.0.0.7:7946".parse().unwrap(),
    );
    let config = config.meta(Meta::new(b"\0role=db\xff")).generation(5).build().unwrap();
    let mut node = Node::new(config, [7; 32], Instant::ZERO);
    node.join(Instant::ZERO, &[node.local().addr()]).unwrap();
    let (mut buf, mut events) = (Vec::new(), Vec::new());
    while let Some(output) = node.poll_output(&mut buf) {
        if let Output::Event(event) = output {
            events.push(event);
        }
    }
    (node, events)
}

#[test]
fn a_member_comes_back_as_it_was_in_json_and_in_postcard() {
    let member = node().0.local().clone();
    let json = serde_json::to_string(&member).unwrap();
    assert_eq!(serde_json::from_str::<Member>(&json).unwrap(), member);
    assert_eq!(serde_json::from_reader::<_, Member>(json.as_bytes()).unwrap(), member);
    let bytes = postcard::to_allocvec(&member).unwrap();
    assert_eq!(postcard::from_bytes::<Member>(&bytes).unwrap(), member);
}

#[test]
fn a_member_that_no_node_could_hold_is_refused() {
    let member = serde_json::to_value(node().0.local()).unwrap();
    let changed = |field: &str, value: Value| {
        let mut member = member.clone();
        member[field] = value;
        member
    };
    assert_eq!(
        refused::<Member>(changed("ip", json!("::ffff:10.0.0.7"))),
        "member db-7 has the IPv4 address ::ffff:10.0.0.7 in IPv6's form; write 10.0.0.7"
    );
    let mut gone = changed("state", json!("Failed"));
    assert_eq!(serde_json::from_value::<Member>(gone.clone()).unwrap().state(), State::Failed);
    gone["condition"] = json!("Degraded");
    assert_eq!(
        refused::<Member>(gone),
        "member db-7 is failed and degraded; only one that is alive or suspect can be"
    );
    assert_eq!(refused::<Member>(changed("id", json!(""))), "a name must not be empty");
    assert!(refused::<Member>(changed("id", json!("a\u{1b}[2J"))).contains("control character"));
}

#[test]
fn names_are_checked_on_the_way_in() {
    assert_eq!(serde_json::from_str::<NodeId>(r#""db\u002d7""#).unwrap().as_str(), "db-7");
    assert_eq!(serde_json::to_value(NodeId::new("db-7").unwrap()).unwrap(), json!("db-7"));
    assert_eq!(refused::<NodeId>(json!("")), "a name must not be empty");
    assert_eq!(refused::<ClusterName>(json!("")), "a name must not be empty");
    assert!(refused::<ClusterName>(json!("x".repeat(256))).contains("256 bytes"));
}

#[test]
fn metadata_is_read_from_bytes_from_a_list_and_from_text() {
    let meta = Meta::from("role=db");
    let json = serde_json::to_value(&meta).unwrap();
    assert_eq!(serde_json::from_value::<Meta>(json).unwrap(), meta);
    assert_eq!(serde_json::from_value::<Meta>(json!("role=db")).unwrap(), meta);
    let bytes = postcard::to_allocvec(&meta).unwrap();
    assert_eq!(postcard::from_bytes::<Meta>(&bytes).unwrap(), meta);
}

#[test]
fn options_outside_their_range_are_refused_with_the_reason() {
    for options in [Options::lan(), Options::wan(), Options::local()] {
        let json = serde_json::to_value(&options).unwrap();
        assert_eq!(serde_json::from_value::<Options>(json).unwrap(), options);
        let bytes = postcard::to_allocvec(&options).unwrap();
        assert_eq!(postcard::from_bytes::<Options>(&bytes).unwrap(), options);
    }
    let error = refused::<Options>(json!({ "awareness_max": 0 }));
    assert_eq!(error, "awareness_max is 0; it must be 1 to 64");
    let mut options = Options::lan();
    options.awareness_max = 0;
    let bytes = postcard::to_allocvec(&options).unwrap();
    assert!(postcard::from_bytes::<Options>(&bytes).is_err());
}

#[test]
fn options_that_are_missing_are_those_of_a_local_network() {
    let options = json!({ "probe_interval": { "secs": 2, "nanos": 0 } });
    let options: Options = serde_json::from_value(options).unwrap();
    assert_eq!(options.probe_interval, Duration::from_secs(2));
    assert_eq!(options.gossip_nodes, Options::lan().gossip_nodes);
}

#[test]
fn options_so_large_that_sums_of_them_overflow_are_refused_and_no_panic() {
    for option in ["max_meta", "sync_chunk", "max_sync_state", "max_frame", "datagram_size"] {
        let error = refused::<Options>(json!({ option: usize::MAX }));
        assert!(error.contains(" is "), "{option}: {error}");
    }
}

#[test]
fn events_and_counters_come_back_as_they_were() {
    let (node, events) = node();
    let member = node.local().clone();
    let more = [
        Event::Joined(member.clone()),
        Event::Conflict { id: member.id().clone(), addr: member.addr(), other: member.addr() },
        Event::Message {
            from: Some(member.id().clone()),
            data: "hello".into(),
            via: tidings::Via::Broadcast,
        },
    ];
    assert!(!events.is_empty());
    for event in events.into_iter().chain(more) {
        let json = serde_json::to_string(&event).unwrap();
        assert_eq!(serde_json::from_str::<Event>(&json).unwrap(), event);
        let bytes = postcard::to_allocvec(&event).unwrap();
        assert_eq!(postcard::from_bytes::<Event>(&bytes).unwrap(), event);
    }
    let stats = node.stats();
    let json = serde_json::to_string(stats).unwrap();
    assert_eq!(&serde_json::from_str::<Stats>(&json).unwrap(), stats);
    let incarnation = Incarnation { generation: 5, number: 7 };
    let json = serde_json::to_value(incarnation).unwrap();
    assert_eq!(json, json!({ "generation": 5, "number": 7 }));
    assert_eq!(serde_json::from_value::<Incarnation>(json).unwrap(), incarnation);
}

//! What a subscriber is told of the events of real nodes.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tidings_std::{Event, NodeId, Options, Via};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Level, Metadata, Subscriber, subscriber};

/// The level and the fields of an event.
type Told = (Level, BTreeMap<String, String>);

/// Keeps the events of a level and above.
#[derive(Clone)]
struct Keeps {
    least: Level,
    told: Arc<Mutex<Vec<Told>>>,
}

impl Keeps {
    fn new(least: Level) -> Self {
        Self { least, told: Arc::default() }
    }

    /// What is told while `run` runs.
    fn while_running(&self, run: impl FnOnce()) -> Vec<Told> {
        subscriber::with_default(self.clone(), run);
        self.told.lock().unwrap().clone()
    }
}

#[derive(Default)]
struct Fields(BTreeMap<String, String>);

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0.insert(field.name().into(), format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name().into(), value.into());
    }
}

impl Subscriber for Keeps {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == tidings_tracing::TARGET && *metadata.level() <= self.least
    }

    fn event(&self, event: &tracing::Event<'_>) {
        let mut fields = Fields::default();
        event.record(&mut fields);
        self.told.lock().unwrap().push((*event.metadata().level(), fields.0));
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

fn name(name: &str) -> NodeId {
    NodeId::new(name).unwrap()
}

#[test]
fn a_member_that_joins_and_fails_is_told_with_its_fields_and_levels() {
    let start = |name| {
        let node = tidings_std::builder("test").name(name).options(Options::local());
        node.bind("127.0.0.1:0").start().unwrap()
    };
    let ((a, events), (b, _)) = (start("a"), start("b"));
    a.join([b.addr().to_string().as_str()]).unwrap();
    let told = Keeps::new(Level::INFO).while_running(|| {
        let next = || events.recv_timeout(Duration::from_secs(20)).expect("an event");
        loop {
            let event = next();
            tidings_tracing::event(&name("a"), &event);
            if matches!(event, Event::Joined(_)) {
                break;
            }
        }
        let addr = b.addr();
        drop(b);
        loop {
            let event = next();
            tidings_tracing::event(&name("a"), &event);
            match event {
                Event::Failed(member) => break assert_eq!(member.addr(), addr),
                Event::Left(_) => panic!("it was dropped without a leave"),
                _ => {}
            }
        }
    });
    let of = |kind: &str| told.iter().find(|(_, fields)| fields["kind"] == kind).unwrap();
    let (level, joined) = of("joined");
    assert_eq!(
        (*level, joined["node"].as_str(), joined["member"].as_str()),
        (Level::INFO, "a", "b")
    );
    assert!(joined["message"].ends_with(" joined"), "{joined:?}");
    assert!(joined.contains_key("generation") && joined.contains_key("incarnation"));
    assert!(!joined.contains_key("lost"), "only fields that the event has: {joined:?}");
    let (level, failed) = of("failed");
    assert_eq!(*level, Level::WARN);
    assert_eq!(failed["addr"], joined["addr"]);
    assert!(failed["message"].contains("did not refute"), "{failed:?}");
}

#[test]
fn contents_of_messages_are_not_told_and_levels_are_those_that_are_wanted() {
    let (from, data) = (Some(name("b")), "secret".into());
    let events = [
        Event::Message { from, data, via: Via::Reliable },
        Event::Ready { members: 3 },
        Event::PartitionSuspected { lost: 4, present: 2 },
    ];
    let all = || events.iter().for_each(|event| tidings_tracing::event(&name("a"), event));
    let told = Keeps::new(Level::TRACE).while_running(all);
    let levels: Vec<_> = told.iter().map(|(level, _)| *level).collect();
    assert_eq!(levels, [Level::TRACE, Level::INFO, Level::WARN]);
    assert_eq!((told[0].1["member"].as_str(), told[0].1["bytes"].as_str()), ("b", "6"));
    assert!(!format!("{told:?}").contains("secret"));
    assert_eq!((told[2].1["lost"].as_str(), told[2].1["members"].as_str()), ("4", "2"));
    let told = Keeps::new(Level::WARN).while_running(all);
    assert_eq!(told.len(), 1);
}

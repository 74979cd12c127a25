//! How a node stood.

use super::names::Names;
use super::{rfc3339, time_of_day};
use crate::report::write_line;
use serde_json::{Value, json};
use tidings::replay::{Replay, Suspected};
use tidings::{Instant, Timer};
use tidings_record::Recording;

/// Shows members, suspicions, health, and what the node waits for first.
pub(super) fn show(replay: &Replay<'_>, names: &Names, recording: &Recording, json: bool) {
    if json {
        return write_line(&to_json(replay, names, recording).to_string());
    }
    let node = replay.node();
    let at = |at: Instant| time_of_day(recording.wall(at));
    write_line(&format!("{} at {}", node.local().id(), rfc3339(recording.wall(replay.now()))));
    let suspected = replay.suspected();
    for member in node.all_members() {
        let (id, addr, incarnation) = (member.id(), member.addr(), member.incarnation());
        let mut line = format!("    {id:20} {:7} at {addr}, in {incarnation}", member.state());
        if let Some(rtt) = node.rtt(id) {
            line += &format!(", answers in {rtt:.1?}");
        }
        if let Some(Suspected { since, until, accusers, .. }) =
            suspected.iter().find(|suspected| suspected.member.id() == id)
        {
            let accusers = accusers_of(accusers, names);
            line += &format!(", since {} until {}, by {accusers}", at(*since), at(*until));
        }
        write_line(&line);
    }
    let evidence = if replay.lease_until() >= replay.now() { "until" } else { "none since" };
    let evidence = format!("{evidence} {}", at(replay.lease_until()));
    let (health, phase) = (node.health(), node.phase());
    write_line(&format!(
        "    {phase:?}; health {health} (0 is best); evidence of hearing {evidence}"
    ));
    for (due, timer) in replay.timers().into_iter().take(TIMERS) {
        write_line(&format!("    {}  {}", at(due), timer_words(&timer)));
    }
}

fn to_json(replay: &Replay<'_>, names: &Names, recording: &Recording) -> Value {
    let at = |at: Instant| rfc3339(recording.wall(at));
    let node = replay.node();
    let members = node.all_members().map(|member| {
        json!({
            "name": member.id().as_str(),
            "addr": member.addr(),
            "state": member.state().to_string(),
            "incarnation": member.incarnation().to_string(),
        })
    });
    let suspected = replay.suspected();
    let suspected = suspected.iter().map(|suspected| {
        json!({
            "name": suspected.member.id().as_str(),
            "since": at(suspected.since),
            "until": at(suspected.until),
            "accusers": accusers_of(&suspected.accusers, names),
        })
    });
    let timers = replay.timers();
    let timers = timers.iter().take(TIMERS);
    let timers = timers.map(|(due, timer)| json!({"at": at(*due), "what": timer_words(timer)}));
    json!({
        "ev": "state",
        "at": at(replay.now()),
        "members": members.collect::<Vec<_>>(),
        "suspected": suspected.collect::<Vec<_>>(),
        "health": node.health(),
        "lease_until": at(replay.lease_until()),
        "timers": timers.collect::<Vec<_>>(),
    })
}

pub(super) fn accusers_of(
    accusers: &[Option<tidings::replay::ShortName>],
    names: &Names,
) -> String {
    let name = |accuser: &Option<_>| match accuser {
        Some(accuser) => names.short(*accuser),
        None => "somebody".into(),
    };
    accusers.iter().map(name).collect::<Vec<_>>().join(", ")
}

fn timer_words(timer: &Timer) -> String {
    match timer {
        Timer::Probe => "the probe round ends".into(),
        Timer::ProbeTimeout => "others are asked to ping".into(),
        Timer::Gossip => "gossip".into(),
        Timer::Sync => "sync".into(),
        Timer::Reap => "those who are gone are forgotten".into(),
        Timer::Suspicion(id) => format!("the suspicion of {id} runs out"),
        Timer::Stream(_) => "a stream has taken too long".into(),
        Timer::IndirectPing => "a ping for another is unanswered".into(),
        Timer::Ping => "a ping of the application's is unanswered".into(),
        Timer::Retry => "a seed is asked again".into(),
        Timer::Reconnect => "those who were lost are looked for".into(),
        other => format!("{other:?}"),
    }
}

/// How many timers are shown.
const TIMERS: usize = 8;

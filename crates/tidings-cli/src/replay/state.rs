//! The state of the replayed node.

use super::names::Names;
use super::{incarnation_text, rfc3339, time_near, time_of_day};
use serde_json::{Value, json};
use tidings::replay::{Replay, Suspect};
use tidings::{Instant, Timer};
use tidings_record::Recording;

/// Shows the members, the suspicions, the local health, and the next timers.
pub(super) fn show(replay: &Replay<'_>, names: &Names, recording: &Recording, json: bool) {
    if json {
        return println!("{}", to_json(replay, names, recording));
    }
    let node = replay.node();
    let at = |at: Instant| time_of_day(recording.wall(at));
    println!("{} at {}", node.local().id(), rfc3339(recording.wall(replay.now())));
    let suspected = replay.suspects();
    for member in node.all_members() {
        let (id, addr) = (member.id(), member.addr());
        let incarnation = incarnation_text(member.incarnation());
        let mut line = format!("    {id:20} {:7} at {addr}, {incarnation}", member.state());
        if let Some(rtt) = node.rtt(id) {
            line += &format!(", round trip {rtt:.1?}");
        }
        if let Some(Suspect { since, deadline, accusers, .. }) =
            suspected.iter().find(|suspected| suspected.member.id() == id)
        {
            let accusers = accusers_of(accusers, names);
            line += &format!(
                ", suspected by {accusers} since {}, timeout at {}",
                at(*since),
                at(*deadline)
            );
        }
        println!("{line}");
    }
    let (health, phase) = (node.health(), format!("{:?}", node.phase()).to_lowercase());
    let lease = lease_text(replay, recording);
    println!("    this node: {phase}, local health {health} (0 is best), {lease}");
    println!("    next timers:");
    for (due, timer) in replay.timers().into_iter().take(MAX_TIMERS) {
        let due = recording.wall(due);
        println!("    {}  {}", time_near(due, recording.wall(replay.now())), timer_text(&timer));
    }
}

/// Whether the node may declare failures: only while its own probes are acked.
pub(super) fn lease_text(replay: &Replay<'_>, recording: &Recording) -> String {
    let until = time_of_day(recording.wall(replay.lease_until()));
    if replay.lease_until() >= replay.now() {
        format!("may declare failures until {until} because of recent acks")
    } else {
        format!("may not declare failures: no recent ack since {until}")
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
    let suspected = replay.suspects();
    let suspected = suspected.iter().map(|suspected| {
        json!({
            "name": suspected.member.id().as_str(),
            "since": at(suspected.since),
            "until": at(suspected.deadline),
            "accusers": accusers_of(&suspected.accusers, names),
        })
    });
    let timers = replay.timers();
    let timers = timers.iter().take(MAX_TIMERS);
    let timers = timers.map(|(due, timer)| json!({"at": at(*due), "what": timer_text(timer)}));
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

/// The names of the members that suspect a member.
pub(super) fn accusers_of(
    accusers: &[Option<tidings::replay::ShortName>],
    names: &Names,
) -> String {
    let name = |accuser: &Option<_>| match accuser {
        Some(accuser) => names.short(*accuser),
        None => "an unknown member".into(),
    };
    accusers.iter().map(name).collect::<Vec<_>>().join(", ")
}

fn timer_text(timer: &Timer) -> String {
    match timer {
        Timer::Probe => "end of the probe round".into(),
        Timer::ProbeTimeout => "probe timeout: indirect probes start".into(),
        Timer::Gossip => "gossip".into(),
        Timer::Sync => "anti-entropy sync".into(),
        Timer::Reap => "expired tombstones are removed".into(),
        Timer::Suspicion(id) => format!("suspicion timeout of {id}"),
        Timer::Stream(_) => "stream timeout".into(),
        Timer::IndirectPing => "timeout of an indirect ping for another member".into(),
        Timer::Ping => "timeout of a ping by the application".into(),
        Timer::Retry => "retry of a seed".into(),
        Timer::Reconnect => "reconnect to failed members".into(),
        Timer::Refusal => "check of a member that refuses connections".into(),
        other => format!("{other:?}"),
    }
}

/// The number of timers that are shown.
const MAX_TIMERS: usize = 8;

//! The status as JSON.

use crate::metrics::rejected;
use crate::view::{Shown, View};
use data_encoding::HEXLOWER;
use serde_json::{Map, Value, json};
use std::time::SystemTime;
use tidings::{Meta, Phase};

pub(crate) fn status(view: &View) -> Value {
    json!({
        "version": VERSION,
        "at": time(view.at),
        "node": {
            "name": view.name.as_str(),
            "cluster": view.cluster.as_str(),
            "addr": view.addr.ip(),
            "port": view.addr.port(),
            "wire": view.wire,
            "phase": phase(view.phase),
            "ready": view.unready().is_none(),
            "health": view.health,
            "health_limit": view.health_limit,
            "probe_loss": view.probe_loss,
            "digest": digest(view.digest),
        },
        "counts": {
            "alive": view.counts.alive,
            "suspect": view.counts.suspect,
            "failed": view.counts.failed,
            "left": view.counts.left,
            "suppressed": view.counts.suppressed,
            "degraded": view.counts.degraded,
        },
        "members": view.members.iter().map(member).collect::<Vec<_>>(),
        "members_left_out": view.left_out,
        "events": view.recent.iter().map(|entry| {
            json!({"at": time(entry.at), "kind": entry.kind.as_str(), "text": entry.text})
        }).collect::<Vec<_>>(),
        "rejected": {
            "datagrams": reasons(rejected(&view.stats.rejected_datagrams)),
            "streams": reasons(rejected(&view.stats.rejected_streams)),
        },
    })
}

fn member(shown: &Shown) -> Value {
    let member = &shown.member;
    json!({
        "name": member.id().as_str(),
        "addr": member.addr().ip(),
        "port": member.addr().port(),
        "state": shown.state(),
        "degraded": member.is_degraded(),
        "local": shown.is_local,
        "generation": member.incarnation().generation,
        "incarnation": member.incarnation().number,
        "meta": HEXLOWER.encode(member.meta()),
        "meta_text": member.meta().as_str(),
        "rtt": shown.rtt.map(|rtt| rtt.as_secs_f64()),
        "last_change": shown.change.map(|change| {
            json!({"at": time(change.at), "kind": change.kind.as_str()})
        }),
    })
}

fn reasons(counts: [(&'static str, u64); 10]) -> Map<String, Value> {
    counts.into_iter().map(|(reason, count)| (reason.into(), count.into())).collect()
}

/// A digest as people compare it: 16 hex digits.
pub(crate) fn digest(digest: u64) -> String {
    format!("{digest:016x}")
}

/// The time in UTC, as in RFC 3339, to the millisecond.
pub(crate) fn time(at: SystemTime) -> String {
    humantime::format_rfc3339_millis(at).to_string()
}

pub(crate) fn phase(phase: Phase) -> &'static str {
    match phase {
        Phase::Running => "running",
        Phase::Leaving => "leaving",
        Phase::Left => "left",
    }
}

/// Metadata as text for people: itself if it is UTF-8, otherwise hex digits after `hex:`.
pub(crate) fn meta_text(meta: &Meta) -> String {
    match meta.as_str() {
        Some(text) => text.into(),
        None => format!("hex:{}", HEXLOWER.encode(meta)),
    }
}

/// The version of the JSON; another one may have other fields in place of these.
const VERSION: u32 = 1;

//! The metrics of a node, under the names that docs/OPERATIONS.md lists.

mod encoder;

pub(crate) use encoder::Format;

use crate::view::View;
use encoder::{Encoder, Kind, Sample};
use std::sync::atomic::{AtomicU64, Ordering};
use tidings::{Rejected, Stats, Unsent};

/// The probes that were answered in each way, as far as they were told so far.
///
/// A node counts a probe when it starts and when it goes on to the next way. What lies between is
/// answered or under way, so the difference of two counts can shrink by one, and a counter must
/// not.
#[derive(Debug, Default)]
pub(crate) struct Answered {
    directly: AtomicU64,
    indirectly: AtomicU64,
}

impl Answered {
    fn update(counter: &AtomicU64, count: u64) -> u64 {
        counter.fetch_max(count, Ordering::Relaxed).max(count)
    }
}

pub(crate) fn encode(view: &View, answered: &Answered, format: Format) -> String {
    let mut encoder = Encoder::new(format);
    node(&mut encoder, view);
    members(&mut encoder, view);
    probes(&mut encoder, view, answered);
    traffic(&mut encoder, &view.stats);
    for (name, help, value) in counters(&view.stats) {
        encoder.family(Kind::Counter, name, help, [(&[][..], value as f64)]);
    }
    encoder.finish()
}

fn node(encoder: &mut Encoder, view: &View) {
    let one = |value: f64| [(&[][..], value)];
    let version = [("version", env!("CARGO_PKG_VERSION"))];
    encoder.family(Kind::Info, "build", "The version of Tidings.", [(&version[..], 1.0)]);
    let labels =
        [("cluster", view.cluster.as_str()), ("name", view.name.as_str()), ("wire", view.wire)];
    encoder.family(Kind::Info, "node", "This node.", [(&labels[..], 1.0)]);
    let ready = f64::from(u8::from(view.unready().is_none()));
    encoder.family(Kind::Gauge, "ready", "Whether this node is ready, as /readyz.", one(ready));
    encoder.family(
        Kind::Gauge,
        "health_score",
        "Lifeguard's local health score: 0 is healthy.",
        one(view.health.into()),
    );
    encoder.family(
        Kind::Gauge,
        "timers_overdue_seconds",
        "By how much the driver is late with the node's timers.",
        one(view.overdue.as_secs_f64()),
    );
    encoder.family(
        Kind::Gauge,
        "membership_digest",
        "The upper 32 bits of the view's digest: equal on nodes that see the same members.",
        one((view.digest >> 32) as f64),
    );
}

fn members(encoder: &mut Encoder, view: &View) {
    let counts = &view.counts;
    let states = [
        ("alive", counts.alive),
        ("suspect", counts.suspect),
        ("failed", counts.failed),
        ("left", counts.left),
        ("suppressed", counts.suppressed),
    ];
    labelled(
        encoder,
        Kind::Gauge,
        "members",
        "Members by state, this node included.",
        "state",
        states.map(|(state, count)| (state, count as u64)),
    );
    encoder.family(
        Kind::Gauge,
        "members_degraded",
        "Members that are present and answer streams only.",
        [(&[][..], counts.degraded as f64)],
    );
    let events = view.events.iter().map(|(kind, count)| (kind.as_str(), *count));
    labelled(
        encoder,
        Kind::Counter,
        "events",
        "Events by kind, as the program recorded them.",
        "kind",
        events,
    );
}

fn probes(encoder: &mut Encoder, view: &View, answered: &Answered) {
    let Stats { probes, probes_indirect, probes_by_stream, probes_failed, .. } = view.stats;
    let directly = Answered::update(&answered.directly, probes.saturating_sub(probes_indirect));
    let indirectly = probes_indirect.saturating_sub(probes_by_stream + probes_failed);
    let indirectly = Answered::update(&answered.indirectly, indirectly);
    let outcomes = [
        ("direct", directly),
        ("indirect", indirectly),
        ("stream", probes_by_stream),
        ("failed", probes_failed),
    ];
    labelled(
        encoder,
        Kind::Counter,
        "probes",
        "Probes by outcome; the one under way counts for the way in which it is tried.",
        "outcome",
        outcomes,
    );
    encoder.family(
        Kind::Gauge,
        "probe_loss_ratio",
        "The share of the last probes without an ack although the members live.",
        [(&[][..], view.probe_loss.into())],
    );
    let quantiles = [("0.5", 0.5), ("0.9", 0.9), ("1", 1.0)];
    let labels = quantiles.map(|(label, _)| [("quantile", label)]);
    let samples = quantiles.iter().zip(&labels).filter_map(|((_, share), labels)| {
        Some((&labels[..], view.rtt_quantile(*share)?.as_secs_f64()))
    });
    encoder.family(
        Kind::Summary,
        "probe_rtt_seconds",
        "Quantiles over the members of their smoothed round-trip times.",
        samples,
    );
}

fn traffic(encoder: &mut Encoder, stats: &Stats) {
    let mut directions = |name: &str, help: &str, received, sent| {
        let values = [("in", received), ("out", sent)];
        labelled(encoder, Kind::Counter, name, help, "direction", values);
    };
    directions("datagrams", "Datagrams by direction.", stats.datagrams_in, stats.datagrams_out);
    directions("datagram_bytes", "Their bytes.", stats.bytes_in, stats.bytes_out);
    directions("streams", "Streams opened, by direction.", stats.streams_in, stats.streams_out);
    let channels = [("datagram", &stats.rejected_datagrams), ("stream", &stats.rejected_streams)];
    let rejected = channels.map(|(channel, counts)| {
        rejected(counts).map(|(reason, count)| ([("channel", channel), ("reason", reason)], count))
    });
    let samples = rejected.iter().flatten().map(|(labels, count)| (&labels[..], *count as f64));
    encoder.family(Kind::Counter, "rejected", "Input rejected, by channel and reason.", samples);
    let help = "Datagrams that the system did not send, by reason.";
    let reasons = unsent(&stats.datagrams_unsent);
    labelled(encoder, Kind::Counter, "datagrams_unsent", help, "reason", reasons);
}

/// Writes a family with one label.
fn labelled(
    encoder: &mut Encoder,
    kind: Kind,
    name: &str,
    help: &str,
    label: &'static str,
    values: impl IntoIterator<Item = (&'static str, u64)>,
) {
    let values: Vec<_> =
        values.into_iter().map(|(value, count)| ([(label, value)], count as f64)).collect();
    let samples = values.iter().map(|(labels, value)| -> Sample<'_> { (&labels[..], *value) });
    encoder.family(kind, name, help, samples);
}

/// Counts of datagrams that the system did not send, each with the name of its reason.
fn unsent(counts: &Unsent) -> [(&'static str, u64); 5] {
    [
        ("no_room", counts.no_room),
        ("too_long", counts.too_long),
        ("unreachable", counts.unreachable),
        ("denied", counts.denied),
        ("other", counts.other),
    ]
}

/// Counts of rejected input, each with the name of its reason.
pub(crate) fn rejected(counts: &Rejected) -> [(&'static str, u64); 10] {
    [
        ("format", counts.format),
        ("foreign_cluster", counts.foreign_cluster),
        ("checksum", counts.checksum),
        ("malformed", counts.malformed),
        ("oversized", counts.oversized),
        ("unexpected", counts.unexpected),
        ("plaintext", counts.plaintext),
        ("key", counts.key),
        ("stale", counts.stale),
        ("address_not_allowed", counts.address_not_allowed),
    ]
}

/// The counters without labels: name, help, value.
fn counters(stats: &Stats) -> [(&'static str, &'static str, u64); 24] {
    [
        (
            "datagrams_dropped",
            "Datagrams not sent because too many were queued.",
            stats.datagrams_dropped,
        ),
        ("unknown_messages", "Messages of a kind that is not known.", stats.unknown_messages),
        ("misdirected_pings", "Pings for another member.", stats.misdirected_pings),
        ("stray_acks", "Acks and nacks for no ping under way.", stats.stray_acks),
        ("indirect_pings_refused", "Ping requests not served.", stats.indirect_pings_refused),
        (
            "verdicts_held",
            "Suspicions extended because this node had no recent ack.",
            stats.verdicts_deferred,
        ),
        (
            "verdicts_by_refusal",
            "Members declared failed because they refused connections.",
            stats.verdicts_by_refusal,
        ),
        (
            "suppressions",
            "Times that a member was suppressed because it flaps.",
            stats.members_suppressed,
        ),
        (
            "reconnect_attempts",
            "Attempts to reconnect to members that failed.",
            stats.reconnect_attempts,
        ),
        ("confirmations", "Confirmations of suspicions by further members.", stats.confirmations),
        ("refutations", "Claims about itself that this node refuted.", stats.refutations),
        ("members_refused", "Claims about members not accepted.", stats.members_refused),
        (
            "addresses_refused",
            "Claims with addresses in no allowed network.",
            stats.addresses_refused,
        ),
        ("messages", "Messages delivered to the program.", stats.messages_in),
        ("broadcasts_duplicate", "Broadcasts received again.", stats.broadcasts_duplicate),
        (
            "broadcasts_unknown_origin",
            "Broadcasts whose origin is not known.",
            stats.broadcasts_unknown_origin,
        ),
        ("broadcasts_dropped", "Broadcasts of others not forwarded.", stats.broadcasts_dropped),
        (
            "implausible_claims",
            "Claims with an incarnation beyond the limit.",
            stats.implausible_claims,
        ),
        (
            "claims_by_strangers",
            "Datagrams with claims from where no member is.",
            stats.claims_by_strangers,
        ),
        ("streams_refused", "Streams not accepted.", stats.streams_refused),
        ("streams_timed_out", "Streams ended by their deadline.", stats.streams_timed_out),
        ("syncs", "Syncs completed.", stats.syncs),
        ("syncs_by_digest", "Syncs started by a differing digest.", stats.syncs_by_digest),
        ("sync_left_out", "Members omitted from a sync.", stats.sync_left_out),
    ]
}

#[cfg(test)]
mod tests;

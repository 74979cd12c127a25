//! Counters: what a node sent, took, and turned away.

use core::fmt;
use serde::{Deserialize, Serialize};

/// What a node has counted since its start.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Stats {
    /// Datagrams handed to the node.
    pub datagrams_in: u64,
    /// Their bytes.
    pub bytes_in: u64,
    /// Datagrams handed to the driver.
    pub datagrams_out: u64,
    /// Their bytes.
    pub bytes_out: u64,
    /// Datagrams not made, since [`max_queued_datagrams`](crate::Options::max_queued_datagrams)
    /// waited already.
    pub datagrams_dropped: u64,
    /// Messages of a kind that this version does not know, skipped.
    pub unknown_messages: u64,
    /// Pings for another member than this one: somebody holds an old address.
    pub misdirected_pings: u64,
    /// Acks and nacks that answer no ping of ours, or come too late.
    pub stray_acks: u64,
    /// Indirect pings that were not made: for strangers, for unknown members, one too many, or since
    /// this node has left.
    pub indirect_pings_refused: u64,
    /// Probe rounds begun.
    pub probes: u64,
    /// Probe rounds in which the direct ping was not answered in time.
    pub probes_indirect: u64,
    /// Probe rounds that only a stream answered.
    pub probes_by_stream: u64,
    /// Probe rounds that nobody answered.
    pub probes_failed: u64,
    /// Verdicts not pronounced yet, since this node had no evidence that it hears anybody.
    pub verdicts_deferred: u64,
    /// Attempts to find members that were lost.
    pub reconnect_attempts: u64,
    /// Suspicions that another member's own probe confirmed.
    pub confirmations: u64,
    /// Times that this node contradicted what was said about it.
    pub refutations: u64,
    /// News about members that were not taken: since
    /// [`max_members`](crate::Options::max_members) are held already, since they have more than
    /// [`max_meta`](crate::Options::max_meta), or since nobody can send to their address.
    pub members_refused: u64,
    /// Messages delivered to the application, broadcasts among them.
    pub messages_in: u64,
    /// Broadcasts that came once more; each comes several times.
    pub broadcasts_duplicate: u64,
    /// Broadcasts not taken, since their origin is not known in that life.
    pub broadcasts_unknown_origin: u64,
    /// Broadcasts of others that were not passed on any further, for want of room.
    pub broadcasts_dropped: u64,
    /// Claims not taken, since they name an incarnation that their member cannot have come to.
    pub implausible_claims: u64,
    /// Streams opened by this node.
    pub streams_out: u64,
    /// Streams taken from others.
    pub streams_in: u64,
    /// Streams not taken, since [`max_streams_in`](crate::Options::max_streams_in) were open.
    pub streams_refused: u64,
    /// Streams that took too long.
    pub streams_timed_out: u64,
    /// Comparisons of the whole membership that were completed, on either side.
    pub syncs: u64,
    /// Those of them that this node began since somebody's digest was not its own.
    pub syncs_by_digest: u64,
    /// Members that were left out of a sync, since too many of them could not be told apart.
    pub sync_left_out: u64,
    /// Datagrams turned away, by reason.
    pub rejected_datagrams: Rejected,
    /// Streams turned away, by reason.
    pub rejected_streams: Rejected,
}

/// Input that was turned away, by reason.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Rejected {
    /// It is not in Tidings' format, or in a version that this one does not know.
    pub format: u64,
    /// It is bound to another cluster's name.
    pub foreign_cluster: u64,
    /// Its checksum does not fit.
    pub checksum: u64,
    /// It ends too early, or holds a value that is not allowed.
    pub malformed: u64,
    /// It is longer than the limit.
    pub oversized: u64,
    /// It is a message that has no place here.
    pub unexpected: u64,
    /// It is not encrypted, and this node requires that it is.
    pub plaintext: u64,
    /// It is encrypted, and none of this node's keys opens it.
    pub key: u64,
    /// It is encrypted, and was made too long ago, or by a node whose clock is too far from ours.
    pub stale: u64,
}

impl Rejected {
    /// All of them.
    pub fn total(&self) -> u64 {
        let Self { format, foreign_cluster, checksum, malformed, .. } = self;
        let Self { oversized, unexpected, plaintext, key, stale, .. } = self;
        let of_this_cluster = checksum + malformed + oversized + unexpected;
        format + foreign_cluster + of_this_cluster + plaintext + key + stale
    }

    pub(crate) fn count(&mut self, reject: Reject) {
        *match reject {
            Reject::Format => &mut self.format,
            Reject::ForeignCluster => &mut self.foreign_cluster,
            Reject::Checksum => &mut self.checksum,
            Reject::Malformed => &mut self.malformed,
            Reject::Oversized => &mut self.oversized,
            Reject::Unexpected => &mut self.unexpected,
            Reject::Plaintext => &mut self.plaintext,
            Reject::Key => &mut self.key,
            Reject::Stale => &mut self.stale,
        } += 1;
    }
}

/// Why input was turned away.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub enum Reject {
    /// It is not in Tidings' format, or in a version that this one does not know.
    Format,
    /// It is bound to another cluster's name.
    ForeignCluster,
    /// Its checksum does not fit.
    Checksum,
    /// It ends too early, or holds a value that is not allowed.
    Malformed,
    /// It is longer than the limit.
    Oversized,
    /// It is a message that has no place here.
    Unexpected,
    /// It is not encrypted, and this node requires that it is.
    Plaintext,
    /// It is encrypted, and none of this node's keys opens it.
    Key,
    /// It is encrypted, and was made too long ago, or by a node whose clock is too far from ours.
    Stale,
}

impl fmt::Display for Reject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Format => "it is not in Tidings' format, or in an unknown version",
            Self::ForeignCluster => "it is bound to another cluster's name",
            Self::Checksum => "its checksum does not fit",
            Self::Malformed => "it is malformed",
            Self::Oversized => "it is longer than the limit",
            Self::Unexpected => "it has no place here",
            Self::Plaintext => "it is not encrypted",
            Self::Key => "it is encrypted with a key that is not known here",
            Self::Stale => "it is too old, or the clocks are too far apart",
        })
    }
}

//! Counters of a node's traffic, probes, syncs and dropped input.

use core::fmt;

/// The counters of a node, since its start.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize, serde::Serialize))]
#[non_exhaustive]
pub struct Stats {
    /// Datagrams received.
    pub datagrams_in: u64,
    /// Bytes of the datagrams received.
    pub bytes_in: u64,
    /// Datagrams handed to the driver for sending.
    pub datagrams_out: u64,
    /// Bytes of the datagrams handed to the driver.
    pub bytes_out: u64,
    /// Datagrams not sent, because
    /// [`max_queued_datagrams`](crate::Options::max_queued_datagrams) were queued.
    pub datagrams_dropped: u64,
    /// Datagrams that the driver could not send, by reason.
    pub datagrams_unsent: Unsent,
    /// Messages skipped, because this version does not know their kind.
    pub unknown_messages: u64,
    /// Pings for another member: the sender has an outdated address.
    pub misdirected_pings: u64,
    /// Acks and nacks whose token belongs to no ping under way: late, duplicate or forged.
    pub stray_acks: u64,
    /// Ping requests not served: from nodes that are not members, for unknown targets, beyond
    /// [`max_relays`](crate::Options::max_relays), or because this node has left.
    pub indirect_pings_refused: u64,
    /// Probes started.
    pub probes: u64,
    /// Probes without an ack within the probe timeout.
    pub probes_indirect: u64,
    /// Probes that were answered over a stream only.
    pub probes_by_stream: u64,
    /// Probes without any answer.
    pub probes_failed: u64,
    /// Suspicions extended at their timeout, because this node had no recent ack
    /// ([`require_recent_ack`](crate::Options::require_recent_ack)).
    pub verdicts_deferred: u64,
    /// Members declared failed because they refused connections
    /// ([`refusal_evidence`](crate::Options::refusal_evidence)).
    pub verdicts_by_refusal: u64,
    /// Times that a member was suppressed, because it flaps
    /// ([`flap_suppress`](crate::Options::flap_suppress)).
    pub members_suppressed: u64,
    /// Attempts to reconnect to members that failed.
    pub reconnect_attempts: u64,
    /// Confirmations of suspicions by further members.
    pub confirmations: u64,
    /// Claims about itself that this node refuted.
    pub refutations: u64,
    /// Claims about members that were not accepted: the table has
    /// [`max_members`](crate::Options::max_members), the metadata is longer than
    /// [`max_meta`](crate::Options::max_meta), the address cannot be sent to, or the application
    /// does not admit the member.
    pub members_refused: u64,
    /// Claims about members that were not accepted, because their addresses are in none of the
    /// [`allowed_networks`](crate::ConfigBuilder::allowed_networks).
    pub addresses_refused: u64,
    /// Messages delivered to the application, broadcasts included.
    pub messages_in: u64,
    /// Broadcasts received again and dropped; gossip delivers each several times.
    pub broadcasts_duplicate: u64,
    /// Broadcasts dropped, because their origin is not known in that generation.
    pub broadcasts_unknown_origin: u64,
    /// Broadcasts of others that this node stopped forwarding, because the queue was full or they
    /// do not fit its datagrams.
    pub broadcasts_dropped: u64,
    /// Claims dropped, because their incarnation is beyond the limit ([`Incarnation`]).
    ///
    /// [`Incarnation`]: crate::Incarnation
    pub implausible_claims: u64,
    /// Datagrams with claims from an address where no member is: at most one such claim is taken,
    /// once the address in it has answered.
    pub claims_by_strangers: u64,
    /// Streams opened by this node.
    pub streams_out: u64,
    /// Streams accepted from others.
    pub streams_in: u64,
    /// Streams not accepted, because [`max_streams_in`](crate::Options::max_streams_in) were open,
    /// or half of them by one source, and none was idle.
    pub streams_refused: u64,
    /// Streams ended by [`stream_timeout`](crate::Options::stream_timeout), or before it because
    /// they were idle and gave way to others.
    pub streams_timed_out: u64,
    /// Syncs completed, on either side.
    pub syncs: u64,
    /// Syncs that this node started because a received digest differed from its own.
    pub syncs_by_digest: u64,
    /// Members omitted from a sync, because the members of one indivisible range did not fit a
    /// frame.
    pub sync_left_out: u64,
    /// Datagrams rejected, by reason.
    pub rejected_datagrams: Rejected,
    /// Streams rejected, by reason.
    pub rejected_streams: Rejected,
}

/// The highest count in a checkpoint; no node comes that far. A forged checkpoint must not bring a
/// count to its end, because counts number things too.
#[cfg(feature = "record")]
pub(crate) const MAX_COUNT: u64 = 1 << 62;

/// Counts of datagrams that the driver could not send, by reason.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize, serde::Serialize))]
#[non_exhaustive]
pub struct Unsent {
    /// The socket had no room.
    pub no_room: u64,
    /// Longer than the socket or the path takes.
    pub too_long: u64,
    /// No route to the address, or the network is down.
    pub unreachable: u64,
    /// Not permitted, by a firewall of this machine for example.
    pub denied: u64,
    /// Another reason, which only the driver knows.
    pub other: u64,
}

impl Unsent {
    /// The sum over all reasons.
    pub fn total(&self) -> u64 {
        let Self { no_room, too_long, unreachable, denied, other } = self;
        no_room + too_long + unreachable + denied + other
    }

    pub(crate) fn count(&mut self, error: DatagramError) {
        *match error {
            DatagramError::NoRoom => &mut self.no_room,
            DatagramError::TooLong => &mut self.too_long,
            DatagramError::Unreachable => &mut self.unreachable,
            DatagramError::Denied => &mut self.denied,
            DatagramError::Other => &mut self.other,
        } += 1;
    }
}

/// The reason why the driver could not send a datagram.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize, serde::Serialize))]
#[non_exhaustive]
pub enum DatagramError {
    /// The socket had no room.
    NoRoom,
    /// It is longer than the socket or the path takes.
    TooLong,
    /// There is no route to the address, or the network is down.
    Unreachable,
    /// It is not permitted, by a firewall of this machine for example.
    Denied,
    /// Another reason, which only the driver knows.
    Other,
}

/// Counts of rejected input, by reason.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize, serde::Serialize))]
#[non_exhaustive]
pub struct Rejected {
    /// Not in the wire format, or in a version that this one does not know.
    pub format: u64,
    /// Bound to another cluster's name.
    pub foreign_cluster: u64,
    /// The checksum does not match.
    pub checksum: u64,
    /// Truncated, or with a value that is not allowed.
    pub malformed: u64,
    /// Longer than the limit.
    pub oversized: u64,
    /// A message that is not expected at this point.
    pub unexpected: u64,
    /// Not encrypted, and this node requires encryption.
    pub plaintext: u64,
    /// Encrypted, and none of this node's keys decrypts it.
    pub key: u64,
    /// Encrypted too long ago, or by a node whose clock is too far from this node's.
    pub stale: u64,
    /// From an address in none of the
    /// [`allowed_networks`](crate::ConfigBuilder::allowed_networks).
    pub address_not_allowed: u64,
}

impl Rejected {
    /// The sum over all reasons.
    pub fn total(&self) -> u64 {
        let Self { format, foreign_cluster, checksum, malformed, .. } = self;
        let Self { oversized, unexpected, plaintext, key, stale, .. } = self;
        let Self { address_not_allowed: elsewhere, .. } = self;
        let of_content = checksum + malformed + oversized + unexpected;
        format + foreign_cluster + of_content + plaintext + key + stale + elsewhere
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
            Reject::AddressNotAllowed => &mut self.address_not_allowed,
        } += 1;
    }
}

/// The reason why input was rejected.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize, serde::Serialize))]
#[non_exhaustive]
pub enum Reject {
    /// Not in the wire format, or in a version that this one does not know.
    Format,
    /// Bound to another cluster's name.
    ForeignCluster,
    /// The checksum does not match.
    Checksum,
    /// Truncated, or with a value that is not allowed.
    Malformed,
    /// Longer than the limit.
    Oversized,
    /// A message that is not expected at this point.
    Unexpected,
    /// Not encrypted, and this node requires encryption.
    Plaintext,
    /// Encrypted, and none of this node's keys decrypts it.
    Key,
    /// Encrypted too long ago, or by a node whose clock is too far from this node's.
    Stale,
    /// From an address in none of the
    /// [`allowed_networks`](crate::ConfigBuilder::allowed_networks).
    AddressNotAllowed,
}

impl fmt::Display for Reject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Format => "it is not in Tidings' format, or in an unknown version",
            Self::ForeignCluster => "it is bound to another cluster's name",
            Self::Checksum => "its checksum does not match",
            Self::Malformed => "it is malformed",
            Self::Oversized => "it is longer than the limit",
            Self::Unexpected => "its message is not expected here",
            Self::Plaintext => "it is not encrypted",
            Self::Key => "none of this node's keys decrypts it",
            Self::Stale => "it is too old, or the clocks are too far apart",
            Self::AddressNotAllowed => "its sender's address is in no allowed network",
        })
    }
}

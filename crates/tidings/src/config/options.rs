//! Options: a node's timing and limits, with their presets and ranges.

use crate::config::limits;
use crate::config::network::IpNetwork;
use crate::member::TooLong;
use alloc::vec::Vec;
use core::fmt;
use core::net::SocketAddr;
use core::time::Duration;
#[cfg(feature = "serde")]
use serde::{Deserialize, Deserializer};

/// Declares `Options`, and `Unchecked` with the same fields, for deserialization before the check.
macro_rules! options {
    (
        $(#[$about:meta])*
        pub struct Options { $($(#[$doc:meta])* pub $name:ident: $type:ty,)* }
    ) => {
        $(#[$about])*
        pub struct Options { $($(#[$doc])* pub $name: $type,)* }

        #[cfg(feature = "serde")]
        #[derive(serde::Deserialize)]
        #[serde(remote = "Options", default = "Options::lan")]
        struct Unchecked { $($name: $type,)* }
    };
}

options! {
    /// A node's timing and limits: plain values, which are checked when a [`Config`](crate::Config)
    /// is built.
    ///
    /// All nodes of a cluster should have the same options. Start from a preset, and set single
    /// fields, because later versions may have more options:
    ///
    /// ```
    /// use core::time::Duration;
    /// use tidings::Options;
    ///
    /// let mut options = Options::lan();
    /// options.probe_interval = Duration::from_millis(500);
    /// options.probe_timeout = Duration::from_millis(200);
    /// ```
    ///
    /// `Options` can be serialized. Deserialization checks them: it fails for an option outside its
    /// range, with the text of the [`ConfigError`]. An option that is missing has the value of
    /// [`lan`](Self::lan).
    #[derive(Clone, Debug, Eq, PartialEq)]
    #[cfg_attr(feature = "serde", derive(serde::Serialize))]
    #[non_exhaustive]
    pub struct Options {
        /// Time between two probes: SWIM's protocol period. 2 ms to 1 h.
        ///
        /// A shorter interval detects failures sooner and sends more: on average each node sends
        /// one ping and one ack per interval.
        pub probe_interval: Duration,
        /// Longest wait for a direct ack, before the indirect probe starts. 1 ms to less than
        /// `probe_interval`.
        ///
        /// Relays have the rest of the interval. So the timeout should be above the 99th percentile
        /// of the round trip, and leave time for two more round trips.
        pub probe_timeout: Duration,
        /// Shortest wait for a direct ack. 1 ms to 1 h.
        ///
        /// The wait follows the measured round trips to the member: the smoothed time plus four
        /// times its variation, as in TCP (RFC 6298), at least this and at most `probe_timeout`. If
        /// both options are equal, the wait is fixed.
        pub probe_timeout_min: Duration,
        /// Number of relays in an indirect probe: SWIM's k. 0 to 16.
        pub indirect_probes: usize,
        /// Minimum suspicion timeout, in `probe_interval × max(1, log10 n)`; reached after
        /// `suspicion_mult - 2` confirmations. 1 to 64.
        pub suspicion_mult: u32,
        /// Suspicion timeout without confirmations, as a multiple of the minimum: Lifeguard's
        /// LHA-Suspicion. 1 to 64; 1 switches it off.
        pub suspicion_max_mult: u32,
        /// Longest probe interval of a node with a bad health score, as a multiple of
        /// `probe_interval`: Lifeguard's local health. 1 to 64; 1 switches it off.
        pub awareness_max: u32,
        /// Whether a relay that gets no ack sends a nack, so that the prober can tell a failed
        /// target from its own failure: Lifeguard's nacks.
        pub nacks: bool,
        /// Whether a ping to a suspect carries the suspicion, so that the suspect can refute it at
        /// once: Lifeguard's buddy system.
        pub buddy: bool,
        /// Whether a ping or an ack with a higher incarnation clears a suspicion at once, before
        /// the refutation itself arrives.
        pub prompt_refutation: bool,
        /// Whether each probe also compares digests of the membership tables; a node whose digest
        /// differs from all that it receives starts a sync.
        pub digest_checks: bool,
        /// Whether a node declares others failed only while its own probes are being answered.
        /// Without a recent ack, suspicion timers stand still.
        pub require_recent_ack: bool,
        /// Whether relays are members that answered lately, and the silence of one that may be gone
        /// as well counts in the local health only once it answers a further ping, or nobody does.
        pub recent_relays: bool,
        /// Whether a node that is well probes several members at once, up to 32, while most are
        /// silent or suspected.
        pub wide_probes: bool,
        /// Whether half of the gossip goes to members that answered lately, while most are silent
        /// or suspected.
        pub recent_gossip: bool,
        /// Whether a suspicion waits for no more confirmations than there are members that are not
        /// suspected themselves.
        pub limit_confirmations: bool,
        /// Whether a gossiped failure of a member whose suspicion this node has not heard counts as
        /// a suspicion, which ends after the minimum timeout.
        pub suspect_on_verdict: bool,
        /// Whether a node that loses acks of members that live, or is not healthy, probes a silent
        /// member again before it suspects it: as often as makes its silence improbable, at most
        /// eight times. Off by default.
        pub repeat_probes: bool,
        /// The penalty at which a member that flaps is suppressed: 0 to 1,000,000; 0, the default,
        /// switches flap damping off (RFC 2439). 1,500 is a good value.
        ///
        /// A member that fails and returns has a penalty of 1,000 more, unless it was restarted;
        /// one that refutes a suspicion 250 more, which suppress it only if it does not answer
        /// this node's pings either.
        pub flap_suppress: u32,
        /// The penalty at which a suppressed member is present again, if it answers a series of
        /// pings. 1 to `flap_suppress`.
        pub flap_reuse: u32,
        /// The time in which a penalty halves. 1 s to 24 h.
        pub flap_half_life: Duration,
        /// Whether a probe without a direct ack also pings the target over a stream, to tell a
        /// failed member from one that datagrams do not reach: memberlist's TCP fallback ping.
        pub stream_probes: bool,
        /// Whether a member that refuses connections is declared failed in about a second, because
        /// its process died on a machine that lives. Needs `stream_probes` and `nacks`; without
        /// effect in memberlist's format.
        ///
        /// Up to twelve other members have to be refused too, twice, and nobody may reach the
        /// member. A firewall before a process that lives, which refuses everything from all
        /// others, cannot be told from its death.
        pub refusal_evidence: bool,
        /// Whether each datagram's content is sent over a stream of its own: for networks that
        /// carry no datagrams. It costs one connection for each. All nodes need the same setting.
        pub stream_only: bool,
        /// Retransmit limit of an update: the number of datagrams in which each node sends it, in
        /// `ceil(log10(n + 1))`; at least `2 × gossip_nodes`. 1 to 64.
        pub retransmit_mult: u32,
        /// Time between two gossip rounds; without updates there are none. 1 ms to 1 h.
        pub gossip_interval: Duration,
        /// Gossip fan-out: members that get a datagram in each gossip round. 1 to 64.
        pub gossip_nodes: usize,
        /// How long a failed member still gets gossip, so that it can refute if it is alive. 0 to
        /// 24 h.
        pub gossip_to_the_dead: Duration,
        /// Time between two syncs with a random member (anti-entropy, memberlist's push/pull). 10
        /// ms to 24 h.
        ///
        /// A sync of equal tables takes a few dozen bytes. In clusters of more than 32 members the
        /// interval is longer, as in memberlist.
        pub sync_interval: Duration,
        /// Longest time from a stream's opening to its reply. 10 ms to 10 min.
        ///
        /// A stream that a peer opened has a quarter of that, and at least a second, for its first
        /// byte.
        pub stream_timeout: Duration,
        /// How long a member that failed or left is remembered, so that stale updates cannot bring
        /// it back. 1 s to 30 days.
        pub tombstone_timeout: Duration,
        /// Mean wait before the first attempt to reconnect to a failed member; each failed attempt
        /// doubles it. 10 ms to 24 h.
        ///
        /// If many nodes lost few members, each node waits longer, so that all nodes together try
        /// each lost member about once in that time.
        pub reconnect_interval: Duration,
        /// Longest mean wait between two attempts to reconnect. `reconnect_interval` to 24 h.
        pub reconnect_interval_max: Duration,
        /// Mean wait before the second attempt at a seed, for a node that knows nobody; each failed
        /// attempt doubles it. 10 ms to 24 h.
        pub seed_retry: Duration,
        /// Longest mean wait between two attempts at a seed. `seed_retry` to 24 h.
        ///
        /// A node that knows others tries the seeds that are no members once in this time, in
        /// clusters of more than 16 members more rarely: an eighth of the number of members times
        /// as long.
        pub seed_retry_max: Duration,
        /// How long nothing in the cluster has changed when a node that was given seeds is
        /// [ready](crate::Node::is_ready). 10 ms to 1 h.
        pub ready_quiet: Duration,
        /// How long after it was given seeds a node is [ready](crate::Node::is_ready), whatever it
        /// has found. `ready_quiet` to 24 h.
        pub ready_timeout: Duration,
        /// Members to which a leaving node announces its leave over streams; half of them must
        /// confirm it. 1 to 16.
        pub leave_peers: usize,

        /// Largest datagram sent, in bytes, headers of UDP and IP not included. `max_meta` + 360 to
        /// 65,507.
        ///
        /// The network should carry it without fragmentation.
        pub datagram_size: usize,
        /// Largest datagram accepted, in bytes. `datagram_size` to 65,507.
        pub max_datagram: usize,
        /// Largest metadata of a member, in bytes. 0 to `datagram_size` - 360, so that an update
        /// with the longest name fits a datagram.
        ///
        /// A member with more is not accepted: raise the limit at all nodes before one uses it.
        pub max_meta: usize,
        /// Largest number of members in the table, tombstones included. 2 to 1,000,000.
        ///
        /// At the limit, a new member replaces the one that has been gone longest; if all are
        /// present, it is not accepted, and counted.
        pub max_members: usize,
        /// Bytes of member records in one frame of a sync. 16 × (`max_meta` + 360) to 32 MiB.
        ///
        /// At most half of the remainder of 64 MiB after `max_sync_state`.
        pub sync_chunk: usize,
        /// Largest data that the application can attach to each sync, in bytes. 0 to 32 MiB.
        pub max_sync_state: usize,
        /// Largest frame on a stream, in bytes. `max_sync_state` + twice `sync_chunk` to 64 MiB.
        pub max_frame: usize,
        /// Memory for incomplete frames, and for answers that peers have not read, on all streams
        /// together, in bytes. `max_frame` + 1 KiB to 1 GiB.
        ///
        /// At the limit, a stream that needs more is reset, and counted. The requests of this node
        /// do not count: `max_streams_out` bounds them.
        pub max_stream_memory: usize,
        /// Largest number of streams that peers have open to this node. 1 to 65,536.
        ///
        /// Half of them, rounded up, may come from one source: an IPv4 address, or the IPv6
        /// addresses with the same first 64 bits. If all are open, or all of a source, the one that
        /// is idle for longest gives way to a new one: that is a stream without a complete frame
        /// for a fortieth of `stream_timeout`, and at least 100 ms. If none is idle, the new one is
        /// not accepted.
        pub max_streams_in: usize,
        /// Largest number of streams that this node has open to peers. 1 to 65,536.
        ///
        /// A join opens one to each seed, as many at once as this allows. A node that leaves may
        /// open `leave_peers` more.
        pub max_streams_out: usize,
        /// Largest number of indirect pings under way on behalf of others. 0 to 65,536.
        pub max_relays: usize,
        /// Largest number of the application's pings under way. 0 to 65,536.
        pub max_pings: usize,
        /// Largest number of failed members that the node tries to reconnect to, and of seeds in
        /// addition. 0 to 65,536; 0 switches reconnect off.
        ///
        /// At the limit, the members that were lost first are given up.
        pub max_reconnect: usize,
        /// Largest number of queued broadcasts. 2 to 1,048,576.
        ///
        /// Those of others get at most half; at the limit the most-sent ones are dropped, and
        /// counted. If the node's own fill the queue, the next one is an error to the application.
        pub max_broadcasts: usize,
        /// Memory for queued broadcasts in bytes, counting 512 bytes of overhead each.
        /// `datagram_size` + 1 KiB to 1 GiB.
        pub max_broadcast_bytes: usize,
        /// Largest number of datagrams queued for a driver that does not poll. 64 to 1,048,576.
        ///
        /// At the limit, further ones are dropped, and counted.
        pub max_queued_datagrams: usize,
    }
}

#[cfg(feature = "serde")]
impl<'de> Deserialize<'de> for Options {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let options = Unchecked::deserialize(deserializer)?;
        options.check().map_err(serde::de::Error::custom)?;
        Ok(options)
    }
}

impl Options {
    /// The preset for one local network: memberlist's `DefaultLANConfig`.
    pub fn lan() -> Self {
        Self {
            probe_interval: Duration::from_secs(1),
            probe_timeout: Duration::from_millis(500),
            probe_timeout_min: Duration::from_millis(100),
            indirect_probes: 3,
            suspicion_mult: 4,
            suspicion_max_mult: 6,
            awareness_max: 8,
            nacks: true,
            buddy: true,
            prompt_refutation: true,
            digest_checks: true,
            require_recent_ack: true,
            recent_relays: true,
            wide_probes: true,
            recent_gossip: true,
            limit_confirmations: true,
            suspect_on_verdict: true,
            repeat_probes: false,
            flap_suppress: 0,
            flap_reuse: 500,
            flap_half_life: Duration::from_secs(60),
            stream_probes: true,
            refusal_evidence: false,
            stream_only: false,
            retransmit_mult: 4,
            gossip_interval: Duration::from_millis(200),
            gossip_nodes: 3,
            gossip_to_the_dead: Duration::from_secs(30),
            sync_interval: Duration::from_secs(30),
            stream_timeout: Duration::from_secs(10),
            tombstone_timeout: Duration::from_secs(24 * 3600),
            reconnect_interval: Duration::from_secs(10),
            reconnect_interval_max: Duration::from_secs(120),
            seed_retry: Duration::from_secs(1),
            seed_retry_max: Duration::from_secs(30),
            ready_quiet: Duration::from_secs(1),
            ready_timeout: Duration::from_secs(30),
            leave_peers: 3,
            datagram_size: 1400,
            max_datagram: 9000,
            max_meta: 512,
            max_members: 100_000,
            sync_chunk: 64 << 10,
            max_sync_state: 64 << 10,
            max_frame: 1 << 20,
            max_stream_memory: 64 << 20,
            max_streams_in: 128,
            max_streams_out: 64,
            max_relays: 256,
            max_pings: 256,
            max_reconnect: 64,
            max_broadcasts: 4096,
            max_broadcast_bytes: 4 << 20,
            max_queued_datagrams: 4096,
        }
    }

    /// The preset for members in distant places: memberlist's `DefaultWANConfig`.
    pub fn wan() -> Self {
        Self {
            probe_interval: Duration::from_secs(5),
            probe_timeout: Duration::from_secs(3),
            probe_timeout_min: Duration::from_millis(500),
            suspicion_mult: 6,
            gossip_interval: Duration::from_millis(500),
            gossip_nodes: 4,
            gossip_to_the_dead: Duration::from_secs(60),
            sync_interval: Duration::from_secs(60),
            stream_timeout: Duration::from_secs(30),
            reconnect_interval: Duration::from_secs(30),
            reconnect_interval_max: Duration::from_secs(300),
            seed_retry: Duration::from_secs(2),
            seed_retry_max: Duration::from_secs(60),
            ready_quiet: Duration::from_secs(3),
            ready_timeout: Duration::from_secs(60),
            ..Self::lan()
        }
    }

    /// The preset for members on one machine: memberlist's `DefaultLocalConfig`.
    pub fn local() -> Self {
        Self {
            probe_timeout: Duration::from_millis(200),
            probe_timeout_min: Duration::from_millis(50),
            indirect_probes: 1,
            suspicion_mult: 3,
            retransmit_mult: 2,
            gossip_interval: Duration::from_millis(100),
            gossip_to_the_dead: Duration::from_secs(15),
            sync_interval: Duration::from_secs(15),
            stream_timeout: Duration::from_secs(1),
            reconnect_interval: Duration::from_secs(5),
            reconnect_interval_max: Duration::from_secs(60),
            seed_retry: Duration::from_millis(500),
            seed_retry_max: Duration::from_secs(15),
            ready_quiet: Duration::from_millis(500),
            ready_timeout: Duration::from_secs(10),
            ..Self::lan()
        }
    }

    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        let just_under = |duration: Duration| duration.saturating_sub(Duration::from_nanos(1));
        // `given` names the options on which the range depends.
        for (option, value, min, max, given) in [
            ("probe_interval", self.probe_interval, 2 * MILLI, HOUR, &[][..]),
            (
                "probe_timeout",
                self.probe_timeout,
                MILLI,
                just_under(self.probe_interval),
                &["probe_interval"],
            ),
            ("probe_timeout_min", self.probe_timeout_min, MILLI, HOUR, &[]),
            ("gossip_interval", self.gossip_interval, MILLI, HOUR, &[]),
            ("gossip_to_the_dead", self.gossip_to_the_dead, Duration::ZERO, 24 * HOUR, &[]),
            ("sync_interval", self.sync_interval, 10 * MILLI, 24 * HOUR, &[]),
            ("stream_timeout", self.stream_timeout, 10 * MILLI, HOUR / 6, &[]),
            ("reconnect_interval", self.reconnect_interval, 10 * MILLI, 24 * HOUR, &[]),
            (
                "reconnect_interval_max",
                self.reconnect_interval_max,
                self.reconnect_interval,
                24 * HOUR,
                &["reconnect_interval"],
            ),
            ("seed_retry", self.seed_retry, 10 * MILLI, 24 * HOUR, &[]),
            ("seed_retry_max", self.seed_retry_max, self.seed_retry, 24 * HOUR, &["seed_retry"]),
            ("ready_quiet", self.ready_quiet, 10 * MILLI, HOUR, &[]),
            ("ready_timeout", self.ready_timeout, self.ready_quiet, 24 * HOUR, &["ready_quiet"]),
            ("flap_half_life", self.flap_half_life, 1000 * MILLI, 24 * HOUR, &[]),
            ("tombstone_timeout", self.tombstone_timeout, 1000 * MILLI, 30 * 24 * HOUR, &[]),
        ] {
            if value < min || value > max {
                return Err(ConfigError::Duration { option, value, min, max, given });
            }
        }
        let max_meta = self.datagram_size.saturating_sub(limits::UPDATE_OVERHEAD);
        let min_chunk = self.max_meta.saturating_add(limits::UPDATE_OVERHEAD).saturating_mul(16);
        // So that a valid `max_frame` exists for it.
        let max_chunk = MAX_CHUNK.min(MAX_FRAME.saturating_sub(self.max_sync_state) / 2);
        let min_frame = self.sync_chunk.saturating_mul(2).saturating_add(self.max_sync_state);
        let max_reuse = if self.flap_suppress == 0 { MAX_PENALTY } else { self.flap_suppress };
        let min_memory = self.max_frame.saturating_add(KIB);
        let min_broadcast_bytes = self.datagram_size.saturating_add(KIB);
        for (option, value, min, max, given) in [
            ("indirect_probes", self.indirect_probes, 0, 16, &[][..]),
            ("suspicion_mult", self.suspicion_mult as usize, 1, 64, &[]),
            ("suspicion_max_mult", self.suspicion_max_mult as usize, 1, 64, &[]),
            ("flap_suppress", self.flap_suppress as usize, 0, MAX_PENALTY as usize, &[]),
            ("flap_reuse", self.flap_reuse as usize, 1, max_reuse as usize, &["flap_suppress"]),
            ("awareness_max", self.awareness_max as usize, 1, 64, &[]),
            ("retransmit_mult", self.retransmit_mult as usize, 1, 64, &[]),
            ("gossip_nodes", self.gossip_nodes, 1, 64, &[]),
            ("leave_peers", self.leave_peers, 1, 16, &[]),
            ("datagram_size", self.datagram_size, limits::UPDATE_OVERHEAD, UDP_MAX, &[]),
            ("max_datagram", self.max_datagram, self.datagram_size, UDP_MAX, &["datagram_size"]),
            ("max_meta", self.max_meta, 0, max_meta, &["datagram_size"]),
            ("max_members", self.max_members, 2, 1_000_000, &[]),
            ("max_sync_state", self.max_sync_state, 0, 32 << 20, &[]),
            ("sync_chunk", self.sync_chunk, min_chunk, max_chunk, &["max_meta", "max_sync_state"]),
            ("max_frame", self.max_frame, min_frame, MAX_FRAME, &["sync_chunk", "max_sync_state"]),
            ("max_stream_memory", self.max_stream_memory, min_memory, 1 << 30, &["max_frame"]),
            ("max_streams_in", self.max_streams_in, 1, 1 << 16, &[]),
            ("max_streams_out", self.max_streams_out, 1, 1 << 16, &[]),
            ("max_relays", self.max_relays, 0, 1 << 16, &[]),
            ("max_pings", self.max_pings, 0, 1 << 16, &[]),
            ("max_reconnect", self.max_reconnect, 0, 1 << 16, &[]),
            ("max_broadcasts", self.max_broadcasts, 2, 1 << 20, &[]),
            (
                "max_broadcast_bytes",
                self.max_broadcast_bytes,
                min_broadcast_bytes,
                1 << 30,
                &["datagram_size"],
            ),
            ("max_queued_datagrams", self.max_queued_datagrams, 64, 1 << 20, &[]),
        ] {
            if value < min || value > max {
                return Err(ConfigError::Count { option, value, min, max, given });
            }
        }
        Ok(())
    }
}

/// The preset [`lan`](Self::lan).
impl Default for Options {
    fn default() -> Self {
        Self::lan()
    }
}

const KIB: usize = 1 << 10;
const MILLI: Duration = Duration::from_millis(1);
const HOUR: Duration = Duration::from_secs(3600);
/// The upper bound of `flap_suppress`.
const MAX_PENALTY: u32 = 1_000_000;
/// The upper bound of `max_frame`, in bytes.
const MAX_FRAME: usize = 64 << 20;
/// The upper bound of `sync_chunk`, in bytes.
const MAX_CHUNK: usize = 32 << 20;
/// The largest payload of a UDP datagram over IPv4, in bytes.
pub(crate) const UDP_MAX: usize = 65_507;

/// The reason why a [`Config`](crate::Config) was not built: an option is out of range, or two
/// conflict.
///
/// `Display` names the option, its value and the range.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum ConfigError {
    /// A duration is out of range.
    Duration {
        /// The option's name.
        option: &'static str,
        /// The value of the option.
        value: Duration,
        /// The lowest value allowed.
        min: Duration,
        /// The highest value allowed.
        max: Duration,
        /// The other options on which the range depends.
        given: &'static [&'static str],
    },
    /// A number, or a size in bytes, is out of range.
    Count {
        /// The option's name.
        option: &'static str,
        /// The value of the option.
        value: usize,
        /// The lowest value allowed.
        min: usize,
        /// The highest value allowed.
        max: usize,
        /// The other options on which the range depends.
        given: &'static [&'static str],
    },
    /// The delegate protocol that is spoken is not among the versions that are understood.
    #[cfg(feature = "memberlist")]
    DelegateProtocol {
        /// The lowest version that is understood.
        min: u8,
        /// The highest version that is understood.
        max: u8,
        /// The version that is spoken.
        current: u8,
    },
    /// The metadata is longer than [`max_meta`](Options::max_meta).
    Meta(TooLong),
    /// The wire format does not support an option.
    NotInFormat {
        /// The option's name.
        option: &'static str,
    },
    /// The node's own address is in none of its
    /// [`allowed_networks`](crate::ConfigBuilder::allowed_networks).
    AddressNotAllowed {
        /// The address.
        addr: SocketAddr,
        /// The networks.
        networks: Vec<IpNetwork>,
    },
    /// The keys are for another wire format.
    #[cfg(feature = "encryption")]
    KeyFormat,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Duration { option, value, min, max, given } => {
                write!(f, "{option} is {value:?}; {}it must be {min:?} to {max:?}", Given(given))
            }
            Self::Count { option, value, min, max, given } => {
                write!(f, "{option} is {value}; {}it must be {min} to {max}", Given(given))
            }
            #[cfg(feature = "memberlist")]
            Self::DelegateProtocol { min, max, current } => write!(
                f,
                "the delegate protocol is {current}; with the versions that are understood it must \
                 be {min} to {max}"
            ),
            Self::Meta(too_long) => too_long.fmt(f),
            Self::NotInFormat { option } => {
                write!(f, "{option} is set; memberlist's wire format does not have it, unset it")
            }
            Self::AddressNotAllowed { networks, .. } if networks.is_empty() => f.write_str(
                "allowed_networks is an empty list, which allows no address, not even this node's \
                 own; name its network, or do not set it",
            ),
            Self::AddressNotAllowed { addr, networks } => {
                f.write_str("allowed_networks (")?;
                for (n, network) in networks.iter().enumerate() {
                    write!(f, "{}{network}", if n == 0 { "" } else { ", " })?;
                }
                write!(
                    f,
                    ") do not have this node's own address, {}; advertise an address in one of \
                     them, or allow its network too",
                    addr.ip()
                )
            }
            #[cfg(feature = "encryption")]
            Self::KeyFormat => f.write_str(
                "the keys are for another wire format; Key::memberlist makes those for \
                 memberlist's, and Key::new those for Tidings' own",
            ),
        }
    }
}

impl core::error::Error for ConfigError {}

/// The start of a sentence about a range that depends on other options.
struct Given(&'static [&'static str]);

impl fmt::Display for Given {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, option) in self.0.iter().enumerate() {
            write!(f, "{}{option}", if n == 0 { "with this " } else { " and " })?;
        }
        f.write_str(if self.0.is_empty() { "" } else { " " })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn the_presets_are_valid() {
        for options in [Options::lan(), Options::wan(), Options::local()] {
            assert_eq!(options.check(), Ok(()));
        }
    }

    #[test]
    fn an_error_names_the_option_its_value_and_the_range() {
        let options = Options { gossip_nodes: 0, ..Options::lan() };
        let text = options.check().unwrap_err().to_string();
        assert_eq!(text, "gossip_nodes is 0; it must be 1 to 64");
        let options = Options { probe_timeout: Duration::from_secs(1), ..Options::lan() };
        let text = options.check().unwrap_err().to_string();
        assert_eq!(
            text,
            "probe_timeout is 1s; with this probe_interval it must be 1ms to 999.999999ms"
        );
        let options = Options { datagram_size: 500, ..Options::lan() };
        let text = options.check().unwrap_err().to_string();
        assert_eq!(text, "max_meta is 512; with this datagram_size it must be 0 to 140");
    }

    #[test]
    fn the_range_in_an_error_is_never_empty() {
        let milli = |n| Duration::from_millis(n);
        let text = |options: Options| options.check().unwrap_err().to_string();
        let options = Options { probe_interval: milli(1), ..Options::lan() };
        assert_eq!(text(options), "probe_interval is 1ms; it must be 2ms to 3600s");
        let options = Options { probe_interval: milli(2), ..Options::lan() };
        assert_eq!(
            text(options),
            "probe_timeout is 500ms; with this probe_interval it must be 1ms to 1.999999ms"
        );
        let options = Options { sync_chunk: 32 << 20, ..Options::lan() };
        assert_eq!(
            text(options),
            "sync_chunk is 33554432; with this max_meta and max_sync_state it must be 13952 to \
             33521664"
        );
        let options = Options { max_frame: 1, ..Options::lan() };
        assert_eq!(
            text(options),
            "max_frame is 1; with this sync_chunk and max_sync_state it must be 196608 to 67108864"
        );
    }
}

//! Options: a node's timing, and every limit.

use crate::config::limits;
use crate::member::TooLong;
use core::fmt;
use core::time::Duration;
use serde::{Deserialize, Deserializer, Serialize};

/// Declares the options, and the same fields once more as they are before they are checked.
macro_rules! options {
    (
        $(#[$about:meta])*
        pub struct Options { $($(#[$doc:meta])* pub $name:ident: $type:ty,)* }
    ) => {
        $(#[$about])*
        pub struct Options { $($(#[$doc])* pub $name: $type,)* }

        #[derive(Deserialize)]
        #[serde(remote = "Options", default = "Options::lan")]
        struct Unchecked { $($name: $type,)* }
    };
}

options! {
    /// A node's timing and limits: plain values, checked when they become a
    /// [`Config`](crate::Config).
    ///
    /// All nodes of a cluster should have the same. Start from a preset and change what you must:
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
    /// Later versions may have more options: start from a preset, and set fields one by one.
    ///
    /// `Options` can be serialized. When they are deserialized they are checked: an option outside
    /// its range is refused with the text of the [`ConfigError`], and one that is missing has the
    /// value of [`lan`](Self::lan).
    #[derive(Clone, Debug, Eq, PartialEq, Serialize)]
    #[non_exhaustive]
    pub struct Options {
        /// How often one member is probed: SWIM's protocol period. 2 ms to 1 h.
        ///
        /// Shorter finds failures sooner and sends more: each node sends one ping and one ack in
        /// each.
        pub probe_interval: Duration,
        /// How long a direct ping may remain unanswered before others are asked to ping too.
        ///
        /// 1 ms to less than `probe_interval`. The others have the rest of the interval to answer,
        /// so it should be above the 99th percentile of the round trip and leave room for two more.
        pub probe_timeout: Duration,
        /// How short that wait may become for a member that answers quickly.
        ///
        /// 1 ms to 1 h. The round trips to each member are measured, and the wait for it is their
        /// smoothed time and four times its variation, as in TCP (RFC 6298), but never less than
        /// this, nor more than `probe_timeout`; as long as that, it switches this off.
        pub probe_timeout_min: Duration,
        /// How many others are asked to ping a member that did not answer: SWIM's k. 0 to 16.
        pub indirect_probes: usize,
        /// How long a suspect may take to contradict, in probe intervals times log10 of the number
        /// of members, once that many members less two have confirmed the suspicion. 1 to 64.
        pub suspicion_mult: u32,
        /// How much longer a suspect may take while nobody has confirmed the suspicion, as a
        /// multiple: Lifeguard's suspicion. 1 to 64; 1 switches it off.
        pub suspicion_max_mult: u32,
        /// How far a node that has doubts about its own health stretches its probe interval, as a
        /// multiple: Lifeguard's local health. 1 to 64; 1 switches it off.
        pub awareness_max: u32,
        /// Whether a member that is asked to ping another one says so when there is no answer, by
        /// which the asker can tell who is at fault: Lifeguard's nacks.
        pub nacks: bool,
        /// Whether a suspect is told so when it is pinged, so that it can contradict at once:
        /// Lifeguard's buddy system.
        pub buddy: bool,
        /// Whether a suspect is believed to live as soon as it is heard of in a later incarnation,
        /// by a ping or an ack, before what it says in that incarnation has come.
        pub prompt_refutation: bool,
        /// Whether pings and acks make sure that both know the same members, and start a sync with
        /// whoever does not.
        pub digest_checks: bool,
        /// Whether a suspect is pronounced failed only by a node whose own probes are answered:
        /// time in which they are not does not count against a suspect.
        pub require_recent_ack: bool,
        /// Whether a member that does not answer a ping is tried over a stream too, by which one
        /// that is down is told from one to which datagrams do not get through.
        pub stream_probes: bool,
        /// Whether nothing is sent in datagrams, and what would be travels over streams: for
        /// networks that carry no datagrams. It costs a connection for each. All members have to
        /// have the same.
        pub stream_only: bool,
        /// How often a piece of news is sent by each member, times log10 of the number of members.
        /// 1 to 64.
        pub retransmit_mult: u32,
        /// How often news is gossiped, while there is any. 1 ms to 1 h.
        pub gossip_interval: Duration,
        /// To how many members news is gossiped at each of those times. 1 to 64.
        pub gossip_nodes: usize,
        /// For how long a member that failed is still told the news, so that it can contradict if
        /// it lives after all. 0 to 24 h.
        pub gossip_to_the_dead: Duration,
        /// How often the membership is compared with one other member's, over a stream. 10 ms to 24
        /// h.
        ///
        /// It costs a few dozen bytes where both know the same.
        /// In clusters of more than 32 members it is done less often, as memberlist does.
        pub sync_interval: Duration,
        /// How long a stream may take from its opening to its reply. 10 ms to 10 min.
        pub stream_timeout: Duration,
        /// For how long a member that failed or left is remembered, so that old news cannot bring
        /// it back. 1 s to 30 days.
        pub tombstone_timeout: Duration,
        /// How soon a member that failed is tried again: at first, on average; each failed attempt
        /// doubles it. 10 ms to 24 h.
        ///
        /// Where few are lost to many, each waits longer, so that all together try each of them
        /// that often.
        pub reconnect_interval: Duration,
        /// The longest that becomes. `reconnect_interval` to 24 h.
        pub reconnect_interval_max: Duration,
        /// To how many members a leaving node says so over a stream, of which half must confirm it.
        /// 1 to 16.
        pub leave_peers: usize,

        /// The size of the largest datagram sent, in bytes, with everything of ours in it.
        ///
        /// From what one update with `max_meta` takes (see there) to 65,507. The network should
        /// carry it in one piece.
        pub datagram_size: usize,
        /// The size of the largest datagram taken, in bytes; `datagram_size` to 65,507.
        pub max_datagram: usize,
        /// The most metadata a member may have, in bytes.
        ///
        /// At most `datagram_size` - 360, so that an update with the longest name fits a datagram.
        /// A member that has more is not taken: raise it at all members before one makes use of it.
        pub max_meta: usize,
        /// How many members are held, with those that failed or left not long ago. 2 to 1,000,000.
        ///
        /// At the limit, news of unknown members is dropped, and counted.
        pub max_members: usize,
        /// How many bytes of members a sync sends at a time. 16 × (`max_meta` + 360) to 32 MiB.
        ///
        /// At most half of what `max_sync_state` leaves of 64 MiB.
        pub sync_chunk: usize,
        /// The most that the application may have told at every sync, in bytes. 0 to 32 MiB.
        pub max_sync_state: usize,
        /// The size of the largest message on a stream, in bytes. `max_sync_state` + twice
        /// `sync_chunk` to 64 MiB.
        pub max_frame: usize,
        /// How many bytes may wait in all streams together for their messages to become complete.
        /// `max_frame` + 1 KiB to 1 GiB.
        pub max_stream_memory: usize,
        /// How many streams others may have open to us. 1 to 65,536.
        pub max_streams_in: usize,
        /// How many streams we may have open to others. 1 to 65,536.
        ///
        /// A join opens one to each of its seeds, at once as far as there are so many. A node that
        /// leaves may open `leave_peers` more.
        pub max_streams_out: usize,
        /// How many pings we make for others at a time. 0 to 65,536.
        pub max_relays: usize,
        /// How many pings of the application's may be under way. 0 to 65,536.
        pub max_pings: usize,
        /// How many members that failed are looked for, and as many seeds. 0 to 65,536; 0 switches
        /// that off.
        ///
        /// At the limit those that were lost first are given up.
        pub max_reconnect: usize,
        /// How many broadcasts wait to be told. 2 to 1,048,576.
        ///
        /// Those of others take half of it at most; at the limit the ones that were told most often
        /// are dropped, and counted. If this node's own fill it, the next one is an error to the
        /// application.
        pub max_broadcasts: usize,
        /// How many bytes they may take, each with 512 for itself. `datagram_size` + 1 KiB to 1
        /// GiB.
        pub max_broadcast_bytes: usize,
        /// How many datagrams may wait for a driver that does not poll. 64 to 1,048,576.
        ///
        /// At the limit further ones are dropped, and counted.
        pub max_queued_datagrams: usize,
    }
}

impl<'de> Deserialize<'de> for Options {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let options = Unchecked::deserialize(deserializer)?;
        options.check().map_err(serde::de::Error::custom)?;
        Ok(options)
    }
}

impl Options {
    /// For one local network: memberlist's `DefaultLANConfig`.
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
            stream_probes: true,
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

    /// For members at far places: memberlist's `DefaultWANConfig`.
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
            ..Self::lan()
        }
    }

    /// For members on the same machine: memberlist's `DefaultLocalConfig`.
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
            ..Self::lan()
        }
    }

    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        let just_under = |duration: Duration| duration.saturating_sub(Duration::from_nanos(1));
        // With the options on which the range depends.
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
            ("tombstone_timeout", self.tombstone_timeout, 1000 * MILLI, 30 * 24 * HOUR, &[]),
        ] {
            if value < min || value > max {
                return Err(ConfigError::Duration { option, value, min, max, given });
            }
        }
        let max_meta = self.datagram_size.saturating_sub(limits::UPDATE_OVERHEAD);
        let min_chunk = self.max_meta.saturating_add(limits::UPDATE_OVERHEAD).saturating_mul(16);
        // So that there is a `max_frame` for it.
        let max_chunk = MAX_CHUNK.min(MAX_FRAME.saturating_sub(self.max_sync_state) / 2);
        let min_frame = self.sync_chunk.saturating_mul(2).saturating_add(self.max_sync_state);
        let min_memory = self.max_frame.saturating_add(KIB);
        let min_broadcast_bytes = self.datagram_size.saturating_add(KIB);
        for (option, value, min, max, given) in [
            ("indirect_probes", self.indirect_probes, 0, 16, &[][..]),
            ("suspicion_mult", self.suspicion_mult as usize, 1, 64, &[]),
            ("suspicion_max_mult", self.suspicion_max_mult as usize, 1, 64, &[]),
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

/// memberlist's values for one local network.
impl Default for Options {
    fn default() -> Self {
        Self::lan()
    }
}

const KIB: usize = 1 << 10;
const MILLI: Duration = Duration::from_millis(1);
const HOUR: Duration = Duration::from_secs(3600);
/// The longest message on a stream that may be allowed, in bytes.
const MAX_FRAME: usize = 64 << 20;
/// The most of the membership that a sync may send at a time, in bytes.
const MAX_CHUNK: usize = 32 << 20;
/// The most that UDP over IPv4 carries.
pub(crate) const UDP_MAX: usize = 65_507;

/// Why a [`Config`](crate::Config) was not built: an option is out of range, or two conflict.
///
/// `Display` names the option, its value and the range.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum ConfigError {
    /// A length of time.
    Duration {
        /// The option's name.
        option: &'static str,
        /// What it was set to.
        value: Duration,
        /// The least that is allowed.
        min: Duration,
        /// The most that is allowed.
        max: Duration,
        /// The other options on which the range depends.
        given: &'static [&'static str],
    },
    /// A number, or a size in bytes.
    Count {
        /// The option's name.
        option: &'static str,
        /// What it was set to.
        value: usize,
        /// The least that is allowed.
        min: usize,
        /// The most that is allowed.
        max: usize,
        /// The other options on which the range depends.
        given: &'static [&'static str],
    },
    /// The protocol of the application, which is not in its own range.
    #[cfg(feature = "memberlist")]
    DelegateProtocol {
        /// The least version that is understood.
        min: u8,
        /// The greatest one.
        max: u8,
        /// The one that is spoken.
        current: u8,
    },
    /// The metadata is longer than [`max_meta`](Options::max_meta).
    Meta(TooLong),
    /// An option that the wire format has not.
    NotInFormat {
        /// The option's name.
        option: &'static str,
    },
    /// Keys for another wire format.
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
            #[cfg(feature = "encryption")]
            Self::KeyFormat => f.write_str(
                "the keys are for another wire format; Key::memberlist makes those for \
                 memberlist's, and Key::new those for Tidings' own",
            ),
        }
    }
}

impl core::error::Error for ConfigError {}

/// The beginning of a sentence about a range that depends on other options.
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
    fn an_option_outside_its_range_is_named_with_the_range() {
        let options = Options { gossip_nodes: 0, ..Options::lan() };
        let said = options.check().unwrap_err().to_string();
        assert_eq!(said, "gossip_nodes is 0; it must be 1 to 64");
        let options = Options { probe_timeout: Duration::from_secs(1), ..Options::lan() };
        let said = options.check().unwrap_err().to_string();
        assert_eq!(
            said,
            "probe_timeout is 1s; with this probe_interval it must be 1ms to 999.999999ms"
        );
        let options = Options { datagram_size: 500, ..Options::lan() };
        let said = options.check().unwrap_err().to_string();
        assert_eq!(said, "max_meta is 512; with this datagram_size it must be 0 to 140");
    }

    #[test]
    fn no_range_that_an_error_names_is_empty() {
        let milli = |n| Duration::from_millis(n);
        let said = |options: Options| options.check().unwrap_err().to_string();
        let options = Options { probe_interval: milli(1), ..Options::lan() };
        assert_eq!(said(options), "probe_interval is 1ms; it must be 2ms to 3600s");
        let options = Options { probe_interval: milli(2), ..Options::lan() };
        assert_eq!(
            said(options),
            "probe_timeout is 500ms; with this probe_interval it must be 1ms to 1.999999ms"
        );
        let options = Options { sync_chunk: 32 << 20, ..Options::lan() };
        assert_eq!(
            said(options),
            "sync_chunk is 33554432; with this max_meta and max_sync_state it must be 13952 to \
             33521664"
        );
        let options = Options { max_frame: 1, ..Options::lan() };
        assert_eq!(
            said(options),
            "max_frame is 1; with this sync_chunk and max_sync_state it must be 196608 to 67108864"
        );
    }
}

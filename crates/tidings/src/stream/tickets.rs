//! What an application asks for, and how it learns what came of it.

use crate::addr::Dialled;
use crate::member::{State, TooLong, write_bytes};
use crate::stats::Reject;
use crate::stream::{Refusal, StreamError};
use crate::time::Instant;
use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::fmt;
use core::net::SocketAddr;
use core::time::Duration;
use serde::{Deserialize, Serialize};

/// The number of a command, until [`Event::Completed`](crate::Event::Completed) ends it, exactly
/// once.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
pub struct Ticket(u64);

/// Its number: tickets of a node are numbered from 0.
impl fmt::Display for Ticket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The outcome of a command that succeeded.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub enum Done {
    /// A join: a seed accepted the node, which now knows its members.
    Joined {
        /// The seed that answered first; our own address if there was no other.
        #[serde(with = "crate::addr")]
        seed: SocketAddr,
        /// The number of members now, this node included.
        members: usize,
    },
    /// A leave: other members know of it.
    Left {
        /// The number of members that confirmed it; 0 only if there was no other member.
        told: usize,
    },
    /// A reliable message: the member's node has received it.
    Delivered,
    /// A reliable message in memberlist's format, which has no receipts: it was written, and the
    /// stream was closed without an error. Whether the member has received it is not known.
    Written,
    /// A ping: the member answered.
    Pong {
        /// The round-trip time.
        rtt: Duration,
    },
}

impl fmt::Display for Done {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Joined { seed, members: 1 } => {
                write!(f, "joined through {seed}; 1 member is present")
            }
            Self::Joined { seed, members } => {
                write!(f, "joined through {seed}; {members} members are present")
            }
            Self::Left { told: 1 } => f.write_str("left; 1 member confirmed it"),
            Self::Left { told } => write!(f, "left; {told} members confirmed it"),
            Self::Delivered => f.write_str("delivered"),
            Self::Written => f.write_str("written; the format has no receipts"),
            Self::Pong { rtt } => write!(f, "answered in {rtt:?}"),
        }
    }
}

/// The reason why a command did not succeed.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub enum Failure {
    /// A join: no seed accepted the node; each seed with its reason.
    NoSeed(Vec<SeedFailure>),
    /// A leave: none of the members that were asked confirmed it within
    /// [`stream_timeout`](crate::Options::stream_timeout).
    ///
    /// The node has left all the same, and gossip about that may have reached them.
    Unconfirmed,
    /// A join: the node was told to leave before any seed had answered.
    Left,
    /// A reliable message: no receipt came. The member may have received it all the same.
    Undelivered(ExchangeError),
    /// A ping: no answer came within [`probe_interval`](crate::Options::probe_interval).
    PingTimedOut,
    /// The application cancelled the command.
    Cancelled,
    /// The driver has stopped, so the outcome stays unknown. A node itself never says this.
    Stopped,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoSeed(failures) => {
                f.write_str("no seed answered")?;
                failures.iter().enumerate().try_for_each(|(n, failure)| {
                    f.write_str(if n == 0 { ": " } else { "; " })?;
                    failure.fmt(f)
                })
            }
            Self::Unconfirmed => f.write_str("no member confirmed the leave within stream_timeout"),
            Self::Left => f.write_str("the node was told to leave before a seed had answered"),
            Self::Undelivered(error) => write!(f, "no receipt came: {error}"),
            Self::PingTimedOut => f.write_str("no answer came within probe_interval"),
            Self::Cancelled => f.write_str("the command was cancelled"),
            Self::Stopped => f.write_str("the node has stopped"),
        }
    }
}

impl core::error::Error for Failure {}

/// One seed of a join that did not accept the node, with the reason.
///
/// Exhaustive on purpose: a seed and its reason is all there is.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct SeedFailure {
    /// The seed.
    #[serde(with = "crate::addr")]
    pub seed: SocketAddr,
    /// Why.
    pub error: ExchangeError,
}

impl fmt::Display for SeedFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.seed, self.error)
    }
}

/// The reason why an exchange with a peer over a stream failed.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub enum ExchangeError {
    /// Nobody listens at the peer's address.
    ConnectionRefused,
    /// The peer's address cannot be reached.
    Unreachable,
    /// The peer broke the connection.
    ConnectionReset,
    /// The peer did not answer within [`stream_timeout`](crate::Options::stream_timeout).
    TimedOut,
    /// The connection failed for another reason, which the driver knows.
    ConnectionFailed,
    /// The peer closed the stream without an answer: its cluster name, keys or protocol version
    /// differ, or it accepts no more streams.
    NoAnswer,
    /// The peer's answer is not a message that this node accepts.
    BadAnswer(Reject),
    /// The peer refused.
    Refused(Refusal),
    /// This node does not accept the peer as a member, for the reason for which it would refuse it.
    NotTaken(Refusal),
}

impl ExchangeError {
    /// Whether nothing was heard of the peer: it may be there all the same, behind a cut.
    pub(crate) fn is_silence(self) -> bool {
        match self {
            Self::ConnectionRefused
            | Self::Unreachable
            | Self::ConnectionReset
            | Self::TimedOut
            | Self::ConnectionFailed
            | Self::NoAnswer => true,
            Self::BadAnswer(_) | Self::Refused(_) | Self::NotTaken(_) => false,
        }
    }
}

impl From<StreamError> for ExchangeError {
    fn from(error: StreamError) -> Self {
        match error {
            StreamError::Refused => Self::ConnectionRefused,
            StreamError::Unreachable => Self::Unreachable,
            StreamError::Reset => Self::ConnectionReset,
            StreamError::TimedOut => Self::TimedOut,
            StreamError::Other => Self::ConnectionFailed,
        }
    }
}

impl fmt::Display for ExchangeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ConnectionRefused => {
                f.write_str("nobody listens there (is the node running, and the port right?)")
            }
            Self::Unreachable => f.write_str("the address cannot be reached (is the network up?)"),
            Self::ConnectionReset => f.write_str("the connection was broken"),
            Self::TimedOut => f.write_str("there was no answer within stream_timeout"),
            Self::ConnectionFailed => f.write_str("the connection failed"),
            Self::NoAnswer => f.write_str(
                "it closed the connection without an answer (are cluster name and keys the same?)",
            ),
            Self::BadAnswer(reject) => write!(f, "its answer was not accepted: {reject}"),
            Self::Refused(refusal) => write!(f, "it refused: {refusal}"),
            Self::NotTaken(Refusal::Full) => {
                f.write_str("this node holds as many members as max_members allows")
            }
            Self::NotTaken(Refusal::NotAdmitted) => {
                f.write_str("this node's application does not admit it")
            }
            Self::NotTaken(Refusal::Versions) => f.write_str(
                "its members speak another version (is the delegate protocol that of the cluster?)",
            ),
            Self::NotTaken(_) => f.write_str(
                "this node does not accept its address, or its metadata is longer than max_meta",
            ),
        }
    }
}

/// The reason why a join was not started.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum JoinError {
    /// There is no seed.
    NoSeeds,
    /// There are more seeds than one join may have.
    TooManySeeds {
        /// The number of seeds.
        seeds: usize,
        /// The limit.
        max: usize,
    },
    /// The node is leaving; it can join again when the leave has completed.
    Leaving,
    /// As many streams are open as [`max_streams_out`](crate::Options::max_streams_out) allows.
    Busy {
        /// The limit.
        max: usize,
    },
}

impl fmt::Display for JoinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoSeeds => f.write_str("there is no seed; name at least one member to join"),
            Self::TooManySeeds { seeds, max } => {
                write!(f, "there are {seeds} seeds; one join allows {max}")
            }
            Self::Leaving => f.write_str("the node is leaving; join again after the leave"),
            Self::Busy { max } => write!(
                f,
                "all {max} streams that max_streams_out allows are open; join again later"
            ),
        }
    }
}

impl core::error::Error for JoinError {}

/// Why a message or a ping was not sent.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum SendError {
    /// The node has left its cluster, or is leaving.
    Left,
    /// Nobody of that name is known.
    Unknown,
    /// The member is not there.
    Absent(State),
    /// The message is too long: for a datagram, or for a stream.
    TooLong(TooLong),
    /// Too many streams, pings or datagrams are under way already; try again when some have ended.
    Busy,
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Left => f.write_str("the node has left its cluster; join first"),
            Self::Unknown => f.write_str("no member of that name is known"),
            Self::Absent(state) => {
                write!(f, "the member is {state}; only one that is alive or suspect is reached")
            }
            Self::TooLong(too_long) => too_long.fmt(f),
            Self::Busy => f.write_str(
                "as many streams, pings or datagrams are open or queued as max_streams_out, \
                 max_pings or max_queued_datagrams allows; try again when some have ended",
            ),
        }
    }
}

impl core::error::Error for SendError {}

/// Why a broadcast was not begun.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum BroadcastError {
    /// The node has left its cluster, or is leaving.
    Left,
    /// The message is too long for a datagram, together with its key.
    Message(TooLong),
    /// Too many of this node's broadcasts wait to be told; try again when some have been.
    Full,
}

impl fmt::Display for BroadcastError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Left => f.write_str("the node has left its cluster; join first"),
            Self::Message(too_long) => too_long.fmt(f),
            Self::Full => f.write_str(
                "as many broadcasts of this node are queued as max_broadcasts or \
                 max_broadcast_bytes allows; try again when some have been sent",
            ),
        }
    }
}

impl core::error::Error for BroadcastError {}

/// The key of a broadcast, 1 to 255 bytes: a later broadcast replaces a queued one with the same key.
///
/// ```
/// use tidings::BroadcastKey;
///
/// let key = BroadcastKey::new("load")?;
/// assert_eq!(key.as_bytes(), b"load");
/// # Ok::<(), tidings::InvalidBroadcastKey>(())
/// ```
#[derive(Clone, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct BroadcastKey(Box<[u8]>);

impl BroadcastKey {
    /// The longest key, in bytes.
    pub const MAX_LEN: usize = 255;

    /// Checks and copies a key.
    ///
    /// # Errors
    ///
    /// If it is empty, or longer than [`MAX_LEN`](Self::MAX_LEN).
    pub fn new(key: impl AsRef<[u8]>) -> Result<Self, InvalidBroadcastKey> {
        let key = key.as_ref();
        let (len, max) = (key.len(), Self::MAX_LEN);
        match len {
            0 => Err(InvalidBroadcastKey::Empty),
            _ => {
                let checked = TooLong::check("the broadcast key", len, max, None);
                checked.map_err(InvalidBroadcastKey::TooLong)?;
                Ok(Self(key.into()))
            }
        }
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl TryFrom<&str> for BroadcastKey {
    type Error = InvalidBroadcastKey;

    fn try_from(key: &str) -> Result<Self, InvalidBroadcastKey> {
        Self::new(key)
    }
}

impl TryFrom<&[u8]> for BroadcastKey {
    type Error = InvalidBroadcastKey;

    fn try_from(key: &[u8]) -> Result<Self, InvalidBroadcastKey> {
        Self::new(key)
    }
}

/// As text where it is text.
impl fmt::Debug for BroadcastKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_bytes(&self.0, f)
    }
}

/// Why bytes were not taken as a [`BroadcastKey`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum InvalidBroadcastKey {
    /// The key has no bytes; [`Node::broadcast`](crate::Node::broadcast) needs none.
    Empty,
    /// The key has too many bytes.
    TooLong(TooLong),
}

impl fmt::Display for InvalidBroadcastKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str(
                "the broadcast key is empty; give it 1 to 255 bytes, or broadcast without a key",
            ),
            Self::TooLong(too_long) => too_long.fmt(f),
        }
    }
}

impl core::error::Error for InvalidBroadcastKey {}

/// How many seeds a join may have.
pub(crate) const MAX_SEEDS: usize = 1024;
/// How often a seed that breaks off is asked again.
const MAX_RETRIES: usize = 4;

/// The commands that have not ended.
#[derive(Debug, Default, Deserialize, Serialize)]
pub(crate) struct Tickets {
    next: u64,
    joins: BTreeMap<Ticket, Join>,
    retries: BTreeMap<u64, Retry>,
    next_retry: u64,
    leave: Option<Leave>,
}

/// A seed that is to be asked again.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
pub(crate) struct Retry {
    pub(crate) ticket: Ticket,
    #[serde(with = "crate::addr")]
    pub(crate) seed: SocketAddr,
    /// How it broke off.
    pub(crate) error: ExchangeError,
}

/// A join whose seeds have not all been heard of.
#[derive(Debug, Deserialize, Serialize)]
struct Join {
    /// When it ends at the latest, if no more seeds are asked.
    deadline: Instant,
    /// The seeds that were not asked yet, the next one last.
    waiting: Vec<Dialled>,
    /// How many more times seeds that are overloaded may be asked.
    retries: usize,
    /// How many seeds may still take us in, those that wait included.
    open: usize,
    /// The seeds that broke off, and how.
    broken_off: BTreeMap<Dialled, ExchangeError>,
    failures: Vec<SeedFailure>,
}

/// A leave that not enough members have confirmed.
#[derive(Debug, Deserialize, Serialize)]
struct Leave {
    open: usize,
    needed: usize,
    told: usize,
    /// Whether any of those asked is known to be a member.
    members: bool,
    /// All who wait for it.
    tickets: Vec<Ticket>,
}

impl Tickets {
    pub(crate) fn issue(&mut self) -> Ticket {
        let ticket = Ticket(self.next);
        self.next += 1;
        ticket
    }

    /// Begins a join of at least one seed, of which [`next_seed`](Self::next_seed) tells one after
    /// the other.
    pub(crate) fn begin_join(&mut self, ticket: Ticket, seeds: &[SocketAddr]) {
        let waiting: Vec<_> = seeds.iter().rev().copied().map(Dialled).collect();
        let (retries, open, broken_off) = (MAX_RETRIES * seeds.len(), seeds.len(), BTreeMap::new());
        let (deadline, failures) = (Instant::ZERO, Vec::new());
        self.joins.insert(ticket, Join { deadline, waiting, retries, open, broken_off, failures });
    }

    /// The next seed to be asked, if there is one, for an answer until `deadline`.
    pub(crate) fn next_seed(&mut self, deadline: Instant) -> Option<(Ticket, SocketAddr)> {
        self.joins.iter_mut().find_map(|(&ticket, join)| {
            let Dialled(seed) = join.waiting.pop()?;
            join.deadline = deadline;
            Some((ticket, seed))
        })
    }

    /// When a join ends at the latest; `None` if it has ended.
    pub(crate) fn join_deadline(&self, ticket: Ticket) -> Option<Instant> {
        self.joins.get(&ticket).map(|join| join.deadline)
    }

    /// A seed broke off, as one does that is asked by too many; returns the number under which it
    /// is to be asked again at `due`, if that is in time and was not done too often.
    pub(crate) fn retry(&mut self, retry: Retry, due: Instant) -> Option<u64> {
        let join = self.joins.get_mut(&retry.ticket)?;
        if join.retries == 0 || due >= join.deadline {
            return None;
        }
        join.retries -= 1;
        join.broken_off.insert(Dialled(retry.seed), retry.error);
        let number = self.next_retry;
        self.next_retry += 1;
        self.retries.insert(number, retry);
        Some(number)
    }

    /// Takes out whom to ask again; `None` if the join has ended.
    pub(crate) fn remove_retry(&mut self, number: u64) -> Option<Retry> {
        let retry = self.retries.remove(&number)?;
        self.joins.contains_key(&retry.ticket).then_some(retry)
    }

    /// A seed took us in; if that ends the join, returns those that have not answered so far.
    pub(crate) fn joined(&mut self, ticket: Ticket) -> Option<Vec<SocketAddr>> {
        let Join { failures, broken_off, .. } = self.joins.remove(&ticket)?;
        let silent = failures.iter().filter(|failure| failure.error.is_silence());
        let broken_off = broken_off.into_keys().map(|Dialled(seed)| seed);
        Some(silent.map(|failure| failure.seed).chain(broken_off).collect())
    }

    /// Whether a join has not ended.
    pub(crate) fn is_joining(&self, ticket: Ticket) -> bool {
        self.joins.contains_key(&ticket)
    }

    /// A seed did not take us in; returns the failure if it was the last one.
    ///
    /// For one that broke off, and then had no time to do it again, the reason is how it broke off.
    pub(crate) fn seed_failed(&mut self, ticket: Ticket, failure: SeedFailure) -> Option<Failure> {
        let join = self.joins.get_mut(&ticket)?;
        let SeedFailure { seed, error } = failure;
        let earlier =
            join.broken_off.get(&Dialled(seed)).filter(|_| error == ExchangeError::TimedOut);
        join.failures.push(SeedFailure { seed, error: *earlier.unwrap_or(&error) });
        join.open -= 1;
        if join.open > 0 {
            return None;
        }
        self.joins.remove(&ticket).map(|join| Failure::NoSeed(join.failures))
    }

    /// Ends all joins; returns them.
    pub(crate) fn abandon_joins(&mut self) -> Vec<Ticket> {
        core::mem::take(&mut self.joins).into_keys().collect()
    }

    /// Begins to leave by asking some peers to confirm, `members` of whom are known to be members;
    /// as many confirmations as half of those are enough.
    pub(crate) fn begin_leave(&mut self, ticket: Ticket, peers: usize, members: usize) {
        let needed = members.div_ceil(2).max(1);
        let (tickets, members) = ([ticket].into(), members > 0);
        self.leave = Some(Leave { open: peers, needed, told: 0, members, tickets });
    }

    pub(crate) fn is_leaving(&self) -> bool {
        self.leave.is_some()
    }

    /// Has one more ticket wait for the leave that runs; `false` if none does.
    pub(crate) fn await_leave(&mut self, ticket: Ticket) -> bool {
        self.leave.as_mut().map(|leave| leave.tickets.push(ticket)).is_some()
    }

    /// A member confirmed that we leave, or will not; returns who waits, and for what, if that
    /// settles it.
    ///
    /// `ticket` began the leave that this is about; an earlier one's streams may still be open.
    pub(crate) fn on_leave_confirmed(
        &mut self,
        ticket: Ticket,
        confirmed: bool,
    ) -> Option<(Vec<Ticket>, Result<Done, Failure>)> {
        let leave = self.leave.as_mut().filter(|leave| leave.tickets.first() == Some(&ticket))?;
        leave.open -= 1;
        leave.told += usize::from(confirmed);
        if leave.told < leave.needed && leave.open > 0 {
            return None;
        }
        let Leave { told, tickets, members, .. } = self.leave.take()?;
        let unconfirmed = members && told == 0;
        let result = if unconfirmed { Err(Failure::Unconfirmed) } else { Ok(Done::Left { told }) };
        Some((tickets, result))
    }
}

/// Whether a node takes part in its cluster.
///
/// Exhaustive on purpose: there is nothing between and nothing after.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Phase {
    /// It does.
    Running,
    /// It has said that it leaves, and waits until others have confirmed that.
    Leaving,
    /// It has left. Whoever takes it for present is told, and a join brings it back.
    Left,
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn errors_of_messages_name_the_value_the_limit_and_the_option() {
        let too_long = |what, option| TooLong { what, len: 5000, max: 1363, option };
        let message = too_long("the message", Some("datagram_size"));
        let said = "the message has 5000 bytes; datagram_size allows 1363";
        assert_eq!(SendError::TooLong(message).to_string(), said);
        assert_eq!(BroadcastError::Message(message).to_string(), said);
        let key = InvalidBroadcastKey::TooLong(too_long("the broadcast key", None));
        let said = "the broadcast key has 5000 bytes; at most 1363 are allowed";
        assert_eq!(key.to_string(), said);
        for option in ["max_streams_out", "max_pings", "max_queued_datagrams"] {
            assert!(SendError::Busy.to_string().contains(option));
        }
        for option in ["max_broadcasts", "max_broadcast_bytes"] {
            assert!(BroadcastError::Full.to_string().contains(option));
        }
        let absent = SendError::Absent(State::Failed).to_string();
        assert_eq!(absent, "the member is failed; only one that is alive or suspect is reached");
    }

    #[test]
    fn what_a_command_achieved_is_told_with_plurals_that_agree() {
        let seed = "10.0.0.1:7946".parse().unwrap();
        for (done, said) in [
            (
                Done::Joined { seed, members: 1 },
                "joined through 10.0.0.1:7946; 1 member is present",
            ),
            (
                Done::Joined { seed, members: 2 },
                "joined through 10.0.0.1:7946; 2 members are present",
            ),
            (Done::Left { told: 0 }, "left; 0 members confirmed it"),
            (Done::Left { told: 1 }, "left; 1 member confirmed it"),
            (Done::Delivered, "delivered"),
            (Done::Written, "written; the format has no receipts"),
            (Done::Pong { rtt: Duration::from_millis(3) }, "answered in 3ms"),
        ] {
            assert_eq!(done.to_string(), said);
        }
    }

    #[test]
    fn a_seed_that_broke_off_failed_by_that_also_if_asking_again_takes_too_long() {
        let (mut tickets, seed) = (Tickets::default(), "10.0.0.1:1".parse().unwrap());
        let end = Instant::from_nanos(2);
        for (broke_off, said) in [(false, ExchangeError::TimedOut), (true, ExchangeError::NoAnswer)]
        {
            let ticket = tickets.issue();
            tickets.begin_join(ticket, &[seed]);
            assert_eq!(tickets.next_seed(end), Some((ticket, seed)));
            if broke_off {
                let retry = Retry { ticket, seed, error: ExchangeError::NoAnswer };
                assert!(tickets.retry(retry, Instant::from_nanos(1)).is_some());
            }
            let late = SeedFailure { seed, error: ExchangeError::TimedOut };
            let failure = tickets.seed_failed(ticket, late);
            assert_eq!(failure, Some(Failure::NoSeed([SeedFailure { seed, error: said }].into())));
        }
    }
}

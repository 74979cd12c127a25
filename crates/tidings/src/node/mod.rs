//! The node: its parts, its doors, and nothing else.

#[cfg(feature = "record")]
mod checkpoint;
mod command;
mod datagram;
mod input;
#[cfg(debug_assertions)]
mod invariants;
mod message;
mod probe;
#[cfg(feature = "memberlist")]
mod push_pull;
mod stream;
mod sync;
mod transmit;
mod update;

use crate::addr::canonical;
#[cfg(feature = "memberlist")]
use crate::config::Memberlist;
use crate::config::variant::ProtocolVariant;
use crate::config::{Config, Wire};
use crate::detector::health::LocalHealth;
use crate::detector::indirect::IndirectPings;
use crate::detector::lease::VerdictLease;
use crate::detector::probe::Probe;
use crate::detector::suspicion::Suspicions;
use crate::detector::user_pings::UserPings;
use crate::gossip::broadcast::Broadcasts;
use crate::gossip::dedup::BroadcastDedup;
use crate::gossip::queue::GossipQueue;
use crate::member::{Member, NodeId};
use crate::membership::Members;
use crate::membership::refute::Refute;
use crate::membership::table::MemberKey;
use crate::output::{Event, Output, OutputQueue};
use crate::record::journal::{Input, Journal};
use crate::rng::{Rng, RngStream};
use crate::stats::Stats;
use crate::stream::exchange::{Exchanges, Limits};
use crate::stream::tickets::{Phase, Tickets};
use crate::stream::{StreamId, StreamInput};
use crate::sync::index::DigestIndex;
use crate::sync::reconnect::Reconnect;
use crate::sync::trigger::SyncTrigger;
use crate::time::Instant;
use crate::timers::{FixedTimer, Timer, TimerKey, Timers};
use crate::wire::Format;
#[cfg(feature = "encryption")]
use crate::wire::crypto_state::CryptoState;
#[cfg(feature = "memberlist")]
use crate::wire::memberlist;
use crate::wire::tidings::Envelope;
#[cfg(feature = "encryption")]
use crate::wire::tidings::sealed::Sealing;
use alloc::boxed::Box;
use alloc::vec::Vec;
use bytes::Bytes;
use core::fmt;
use core::net::SocketAddr;
use core::time::Duration;

/// One member of a cluster, as a state machine that does no I/O.
///
/// Four doors let the world in: [`handle_datagram`](Self::handle_datagram),
/// [`accept_stream`](Self::accept_stream), [`handle_stream`](Self::handle_stream) and
/// [`handle_timeout`](Self::handle_timeout). The application asks with plain verbs:
/// [`join`](Self::join), [`leave`](Self::leave), [`set_meta`](Self::set_meta),
/// [`send`](Self::send), [`broadcast`](Self::broadcast), [`ping`](Self::ping). One ordered queue
/// brings out all that is to be done: [`poll_output`](Self::poll_output). The rest is for looking.
///
/// # The contract
///
/// Whoever drives a node keeps to these nine rules. Breaking one of the first eight makes the node
/// slow or deaf, never wrong.
///
/// 1. `now` may repeat; a `now` earlier than the latest one seen counts as the latest.
/// 2. After any call that takes `&mut self`, drain [`poll_output`](Self::poll_output) until it
///    returns `None`. Several inputs may be fed before one drain, or in the midst of it: then the queue grows
///    longer, in which datagrams have a [limit](crate::Options::max_queued_datagrams), and events and
///    streams' actions have none but what was fed.
/// 3. Carry outputs out in order. Within a stream, order is meaning.
/// 4. A datagram may be dropped at will, for a full socket buffer included.
/// 5. Answer each [`Open`](crate::StreamAction::Open) once. After `Closed`, `Failed` or `Reset` an
///    id is dead, and stray inputs for it are ignored.
/// 6. The node writes to a stream only in answer to `Opened` or `Data`, so that a driver with
///    nothing to write may block in a read. Read nothing from a stream while anything is unsent: then a peer that
///    asks and does not read the answers has to wait, and what is unsent is the answer to one read.
/// 7. Deadlines, caps, retries and framing are the node's. A driver has no policy.
/// 8. [`poll_timeout`](Self::poll_timeout) is due at once while output waits. Early and late calls
///    of `handle_timeout` are harmless; input that is there already should be fed before a timeout.
/// 9. A seed comes from the operating system in production, and is never used twice.
///
/// What comes from the network never makes a node return an error: it is taken, or counted in
/// [`stats`](Self::stats) and dropped.
pub struct Node {
    config: Config,
    variant: ProtocolVariant,
    wire: Format,
    started: Instant,
    /// The latest time seen.
    now: Instant,
    members: Members,
    probe: Probe,
    health: LocalHealth,
    indirect_pings: IndirectPings,
    user_pings: UserPings,
    verdict_lease: VerdictLease,
    suspicions: Suspicions,
    refute: Refute,
    gossip_queue: GossipQueue,
    broadcasts: Broadcasts,
    dedup: BroadcastDedup,
    next_broadcast: u64,
    reconnect: Reconnect,
    /// How many datagrams were made: says whose turn it is in the next one.
    datagrams_built: u64,
    /// Before this there is no gossip: the interval since the last one has not passed.
    next_gossip_at: Instant,
    exchanges: Exchanges,
    sync_trigger: SyncTrigger,
    digest_index: DigestIndex,
    sync_state: Bytes,
    tickets: Tickets,
    timers: Timers,
    outputs: OutputQueue,
    stats: Stats,
    /// What is noted of all that comes and goes, if it is.
    journal: Option<Box<Journal>>,
    probe_rng: Rng,
    gossip_rng: Rng,
    ping_rng: Rng,
    sync_rng: Rng,
    reconnect_rng: Rng,
    /// Scratch: what was in a datagram that was sealed.
    opened: Vec<u8>,
    /// Scratch: members that were picked at random.
    picked: Vec<MemberKey>,
    /// Scratch: members that failed of late.
    recent: Vec<MemberKey>,
}

impl Node {
    /// A node that is alone in its cluster and has begun to run.
    ///
    /// All its random choices come from `seed`: the same seed and the same calls give the same
    /// outputs, on any machine.
    pub fn new(config: Config, seed: [u8; 32], now: Instant) -> Self {
        let variant = config.variant();
        let (addr, incarnation) = (canonical(config.addr), variant.first(config.generation));
        let mut local = Member::new(config.id.clone(), addr, incarnation, config.meta.clone());
        local.versions = config.wire.versions();
        let options = &config.options;
        let limits = Limits {
            max_in: options.max_streams_in,
            max_out: options.max_streams_out,
            max_leave: options.leave_peers,
            max_frame: options.max_frame,
            max_memory: options.max_stream_memory,
            max_meta: options.max_meta,
        };
        let mut node = Self {
            variant,
            wire: format(&config, seed),
            started: now,
            now,
            members: Members::new(
                &config.cluster,
                local,
                variant,
                options.max_members,
                Rng::new(seed, RngStream::Members),
            ),
            probe: Probe::default(),
            health: LocalHealth::new(options.awareness_max),
            indirect_pings: IndirectPings::new(options.max_relays),
            user_pings: UserPings::new(options.max_pings),
            verdict_lease: VerdictLease::new(now),
            suspicions: Suspicions::default(),
            refute: Refute::default(),
            gossip_queue: GossipQueue::default(),
            broadcasts: Broadcasts::new(options.max_broadcasts, options.max_broadcast_bytes),
            dedup: BroadcastDedup::new(options.max_members),
            next_broadcast: 0,
            reconnect: Reconnect::new(options.max_reconnect),
            datagrams_built: 0,
            next_gossip_at: now,
            exchanges: Exchanges::new(limits),
            sync_trigger: SyncTrigger::default(),
            digest_index: DigestIndex::default(),
            sync_state: Bytes::new(),
            tickets: Tickets::default(),
            timers: Timers::default(),
            outputs: OutputQueue::new(options.max_queued_datagrams),
            stats: Stats::default(),
            journal: None,
            probe_rng: Rng::new(seed, RngStream::Probe),
            gossip_rng: Rng::new(seed, RngStream::Gossip),
            ping_rng: Rng::new(seed, RngStream::Ping),
            sync_rng: Rng::new(seed, RngStream::Sync),
            reconnect_rng: Rng::new(seed, RngStream::Reconnect),
            opened: Vec::new(),
            picked: Vec::new(),
            recent: Vec::new(),
            config,
        };
        node.advance(now);
        node.start_rounds();
        node
    }

    // ---- the world speaks ----

    /// A datagram came from a peer.
    pub fn handle_datagram(&mut self, now: Instant, from: SocketAddr, data: &[u8]) {
        let from = canonical(from);
        let input = |node: &Self| {
            if node.wire.is_sealed_for_us(data) && data.len() <= MAX_DATAGRAM {
                Input::Sealed { from, len: data.len() }
            } else {
                Input::Datagram { from, data }
            }
        };
        self.input(now, input, |node| node.process_datagram(from, data));
    }

    /// A peer opened a stream; returns its name, or `None` if it must be dropped, since there are
    /// too many.
    pub fn accept_stream(&mut self, now: Instant, from: SocketAddr) -> Option<StreamId> {
        let from = canonical(from);
        self.input(now, |_| Input::Accept { from }, |node| node.process_accept(from))
    }

    /// Something happened on a stream.
    pub fn handle_stream(&mut self, now: Instant, id: StreamId, input: StreamInput<'_>) {
        self.input(now, |_| Input::of_stream(id, input), |node| node.process_stream(id, input));
    }

    /// The time that [`poll_timeout`](Self::poll_timeout) told has come.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.input(now, |_| Input::Timeout, Self::take_timeouts);
    }

    fn take_timeouts(&mut self) {
        while let Some(slot) = self.timers.pop(self.now) {
            match slot {
                TimerKey::Fixed(FixedTimer::Probe) => self.start_probe_round(),
                TimerKey::Fixed(FixedTimer::ProbeTimeout) => self.probe_indirectly(),
                TimerKey::Fixed(FixedTimer::Gossip) => self.gossip(),
                TimerKey::Fixed(FixedTimer::Sync) => self.sync(),
                TimerKey::Fixed(FixedTimer::Reap) => self.reap(),
                TimerKey::Fixed(FixedTimer::Reconnect) => self.try_reconnect(),
                TimerKey::UserPing(token) => self.on_user_ping_timeout(token),
                TimerKey::Retry(number) => self.retry_seed(number),
                TimerKey::Suspicion(key) => self.suspicion_expired(key),
                TimerKey::Stream(id) => self.on_stream_timeout(id),
                TimerKey::IndirectPing(token) => self.on_indirect_ping_timeout(token),
            }
        }
    }

    // ---- the node answers ----

    /// The next thing to carry out; `None` when there is nothing more for now.
    ///
    /// A datagram is built now, with the freshest news, in `buf`, whose contents are replaced. It
    /// borrows the buffer and not the node.
    #[must_use]
    pub fn poll_output<'b>(&mut self, buf: &'b mut Vec<u8>) -> Option<Output<'b>> {
        if self.outputs.is_empty() {
            self.outputs.rest();
            return None;
        }
        let output = self.next_output(buf);
        if let Some(journal) = &mut self.journal {
            journal.polled(&self.wire, output.as_ref());
        }
        output
    }

    /// When to call [`handle_timeout`](Self::handle_timeout) next; at once while output waits.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.next_timer().map(|(at, _)| at)
    }

    // ---- just look ----

    /// The node itself, as it tells others.
    pub fn local(&self) -> &Member {
        self.members.local()
    }

    /// What is known of a member, be it present, failed or left; `None` if nothing is.
    pub fn member(&self, id: &NodeId) -> Option<&Member> {
        self.members.find(id).map(|key| &self.members[key])
    }

    /// The members that are present, alive or suspect: this node first unless it left, the others
    /// in no order.
    pub fn members(&self) -> impl Iterator<Item = &Member> {
        self.all_members().filter(|member| member.state().is_present())
    }

    /// All members that are known: this node first, the others in no order.
    ///
    /// Beside those that are present these are the ones that failed or left, for
    /// [`tombstone_timeout`](crate::Options::tombstone_timeout).
    pub fn all_members(&self) -> impl Iterator<Item = &Member> {
        self.members.iter()
    }

    /// How many members are present, alive or suspect, the node itself included unless it left.
    pub fn present_count(&self) -> usize {
        self.members.present_count()
    }

    /// Whether the node takes part in its cluster.
    pub fn phase(&self) -> Phase {
        if self.local().state().is_present() {
            Phase::Running
        } else if self.tickets.is_leaving() {
            Phase::Leaving
        } else {
            Phase::Left
        }
    }

    /// How the node holds its own health: 0 is well, and the higher, the more it doubts what it
    /// does not hear; less than [`awareness_max`](crate::Options::awareness_max).
    ///
    /// Lifeguard's local health multiplier: the probe interval is one more than this times as long.
    pub fn health(&self) -> u32 {
        self.health.score()
    }

    /// How long a member takes to answer, smoothed over the probes of it as TCP does (RFC 6298), with
    /// a resolution of 32 µs; `None` if it has not answered one, or is unknown.
    pub fn rtt(&self, id: &NodeId) -> Option<Duration> {
        self.members.find(id).and_then(|key| self.members.rtt(key).smoothed())
    }

    /// What the node has counted.
    pub fn stats(&self) -> &Stats {
        &self.stats
    }

    /// What the node was told at its start.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// What time it is for the node: the latest that it was told.
    pub fn now(&self) -> Instant {
        self.now
    }

    /// What the node waits for first, and when that is due.
    pub fn next_timer(&self) -> Option<(Instant, Timer)> {
        if !self.outputs.is_empty() {
            return Some((self.now, Timer::Output));
        }
        let (at, slot) = self.timers.next()?;
        Some((at, self.timer(slot)))
    }

    fn timer(&self, slot: TimerKey) -> Timer {
        match slot {
            TimerKey::Fixed(FixedTimer::Probe) => Timer::Probe,
            TimerKey::Fixed(FixedTimer::ProbeTimeout) => Timer::ProbeTimeout,
            TimerKey::Fixed(FixedTimer::Gossip) => Timer::Gossip,
            TimerKey::Fixed(FixedTimer::Sync) => Timer::Sync,
            TimerKey::Fixed(FixedTimer::Reap) => Timer::Reap,
            TimerKey::Fixed(FixedTimer::Reconnect) => Timer::Reconnect,
            TimerKey::UserPing(_) => Timer::Ping,
            TimerKey::Retry(_) => Timer::Retry,
            TimerKey::Suspicion(key) => Timer::Suspicion(self.members[key].id().clone()),
            TimerKey::Stream(id) => Timer::Stream(id),
            TimerKey::IndirectPing(_) => Timer::IndirectPing,
        }
    }

    fn advance(&mut self, now: Instant) {
        self.now = self.now.max(now.min(END_OF_TIME));
        let running_for = self.now.since(self.started).as_secs();
        self.wire.set_time(self.config.generation.saturating_add(running_for));
    }

    fn event(&mut self, event: fn(Member) -> Event, key: MemberKey) {
        self.outputs.event(event(self.members[key].clone()));
    }

    /// Asserts, in debug builds, what must hold between any two inputs.
    fn check(&self) {
        #[cfg(debug_assertions)]
        invariants::check(self);
    }
}

/// Name, address, phase and health: the whole state is long, and foretells the random choices.
impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("Node");
        debug.field("id", self.local().id()).field("addr", &self.local().addr());
        debug.field("phase", &self.phase()).field("health", &self.health());
        debug.field("present", &self.members.present_count()).field("now", &self.now);
        debug.finish_non_exhaustive()
    }
}

/// The format in which a node speaks.
fn format(config: &Config, seed: [u8; 32]) -> Format {
    #[cfg(feature = "encryption")]
    if let Some((keyring, plaintext)) = &config.encryption {
        let nonces = Rng::new(seed, RngStream::Nonces);
        return sealed(config, CryptoState::new(Some(keyring.clone()), *plaintext, nonces));
    }
    let _ = seed;
    match &config.wire {
        Wire::Tidings => Format::Tidings(Envelope::new(&config.cluster)),
        #[cfg(feature = "memberlist")]
        Wire::Memberlist(memberlist) => Format::Memberlist(memberlists(config, memberlist)),
    }
}

#[cfg(feature = "memberlist")]
fn memberlists(config: &Config, memberlist: &Memberlist) -> memberlist::Envelope {
    let (name, addr) = (config.id.clone(), canonical(config.addr));
    memberlist::Envelope::new(memberlist, name, addr, config.options.nacks)
}

#[cfg(feature = "encryption")]
fn sealed(config: &Config, crypto: CryptoState) -> Format {
    match &config.wire {
        Wire::Tidings => {
            // Half of the time for which the dead are remembered: nothing that old brings them back.
            let tolerance = (config.options.tombstone_timeout.as_secs() / 2).max(60);
            let sealing = Sealing::new(&config.cluster, crypto, tolerance);
            Format::Tidings(Envelope::sealed(&config.cluster, sealing))
        }
        #[cfg(feature = "memberlist")]
        Wire::Memberlist(memberlist) => {
            Format::Memberlist(memberlists(config, memberlist).with_locks(crypto))
        }
    }
}

/// Later times count as this one, after 292 years, so that deadlines always lie in the future.
const END_OF_TIME: Instant = Instant::from_nanos(u64::MAX / 2);

/// The longest datagram that there is, in bytes.
const MAX_DATAGRAM: usize = 65_535;

#[cfg(debug_assertions)]
impl Node {
    pub(crate) fn more_parts(&self) -> (&Broadcasts, &BroadcastDedup, &Reconnect, &UserPings) {
        (&self.broadcasts, &self.dedup, &self.reconnect, &self.user_pings)
    }

    pub(crate) fn parts(&self) -> (&Members, &Suspicions, &Exchanges, &Timers, &GossipQueue) {
        (&self.members, &self.suspicions, &self.exchanges, &self.timers, &self.gossip_queue)
    }

    /// How often the table of members was looked into, for the test of what that costs.
    #[doc(hidden)]
    pub fn visits(&self) -> usize {
        self.members.visits().load(core::sync::atomic::Ordering::Relaxed)
    }
}

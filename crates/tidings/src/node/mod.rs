//! The node: its parts, its inputs and outputs, and nothing else.

#[cfg(debug_assertions)]
mod budget;
#[cfg(feature = "record")]
mod checkpoint;
mod command;
mod damping;
mod datagram;
mod input;
mod introduction;
#[cfg(debug_assertions)]
mod invariants;
mod message;
mod networks;
mod paths;
mod probe;
#[cfg(feature = "memberlist")]
mod push_pull;
mod refused;
mod seeds;
mod stream;
mod surroundings;
mod sync;
mod transmit;
mod update;
mod validate;

use self::surroundings::Reach;
use crate::addr::canonical;
#[cfg(feature = "memberlist")]
use crate::config::Memberlist;
use crate::config::variant::ProtocolVariant;
use crate::config::{Config, Wire};
use crate::detector::Detector;
use crate::event::{Event, Phase};
use crate::gossip::Gossip;
use crate::member::{Member, NodeId};
use crate::membership::Members;
use crate::membership::damping::Damping;
use crate::membership::refute::Refute;
use crate::membership::table::MemberKey;
use crate::output::{Output, OutputQueue};
use crate::record::journal::{Input, Journal};
use crate::rng::{Rng, RngStream};
use crate::stats::Stats;
use crate::stream::{StreamId, StreamInput, Streams};
use crate::sync::Sync;
use crate::time::{Instant, WallClock};
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
use core::fmt;
use core::net::SocketAddr;
use core::time::Duration;

/// One member of a cluster, as a state machine that does no I/O.
///
/// Five methods take the inputs: [`handle_datagram`](Self::handle_datagram),
/// [`accept_stream`](Self::accept_stream), [`handle_stream`](Self::handle_stream),
/// [`handle_timeout`](Self::handle_timeout) and [`set_wall_clock`](Self::set_wall_clock). Commands
/// of the application are verbs: [`set_seeds`](Self::set_seeds), [`join`](Self::join),
/// [`leave`](Self::leave), [`set_meta`](Self::set_meta), [`send`](Self::send),
/// [`broadcast`](Self::broadcast), [`ping`](Self::ping). One ordered queue has all outputs:
/// [`poll_output`](Self::poll_output). All other methods are queries.
///
/// # The contract
///
/// A driver keeps these ten rules. Breaking one of the first nine makes the node slow or deaf,
/// never wrong.
///
/// 1. `now` may repeat; a `now` earlier than the latest one counts as the latest.
/// 2. After any call that takes `&mut self`, drain [`poll_output`](Self::poll_output) until it
///    returns `None`. Several inputs may come before one drain, or during it: then the queue grows
///    longer. Its datagrams have a [limit](crate::Options::max_queued_datagrams); its events and
///    stream actions are bounded only by the inputs.
/// 3. Carry outputs out in order. Within a stream, order is meaning.
/// 4. A datagram may be dropped at will, for a full socket buffer too.
/// 5. Answer each [`Open`](crate::StreamAction::Open) once. After `Closed`, `Failed` or `Reset` an
///    id is dead, and stray inputs for it are ignored.
/// 6. The node writes to a stream only in answer to `Opened` or `Data`, so a driver with nothing to
///    write may block in a read. Read nothing from a stream while anything is unsent: then a peer
///    that sends requests and does not read the replies has to wait, and the unsent bytes are the
///    reply to one read. Until the next read, the node counts them against
///    [`max_stream_memory`](crate::Options::max_stream_memory).
/// 7. Deadlines, limits, retries and framing are the node's. A driver has no policy.
/// 8. [`poll_timeout`](Self::poll_timeout) is due at once while output waits. Early and late calls
///    of `handle_timeout` are harmless; feed input that is there already before a timeout.
/// 9. Set the [wall clock](Self::set_wall_clock) when it is no longer as the node
///    [knows it](Self::wall_clock), because somebody set it or the machine slept; to within seconds
///    is enough.
/// 10. A seed comes from the operating system in production, and is never used twice.
///
/// Input from the network never makes a node return an error: it is accepted, or counted in
/// [`stats`](Self::stats) and dropped.
pub struct Node {
    config: Config,
    variant: ProtocolVariant,
    wire: Format,
    /// The short name of the local member.
    short_name: u32,
    /// The hash of its name.
    name_hash: u64,
    wall_clock: WallClock,
    /// The latest time that an input had.
    now: Instant,
    members: Members,
    refute: Refute,
    reach: Reach,
    /// The length of the shortest datagram that was too long for a path.
    too_long: usize,
    detector: Detector,
    damping: Damping,
    gossip: Gossip,
    sync: Sync,
    streams: Streams,
    timers: Timers,
    outputs: OutputQueue,
    stats: Stats,
    /// The inputs and outputs since it was taken last, if the node is recorded.
    journal: Option<Box<Journal>>,
    scratch: Scratch,
}

/// Buffers that are kept, so that a quiet round allocates nothing.
#[derive(Default)]
struct Scratch {
    /// The messages of an encrypted datagram.
    opened: Vec<u8>,
    /// Members picked at random.
    picked: Vec<MemberKey>,
    /// Members that failed recently.
    recent: Vec<MemberKey>,
}

impl Node {
    /// Makes a node, alone in its cluster, that starts to probe.
    ///
    /// All its random choices come from `seed`: the same seed and the same calls give the same
    /// outputs, on any machine.
    pub fn new(mut config: Config, seed: [u8; 32], now: Instant) -> Self {
        let now = now.min(END_OF_TIME);
        let variant = config.variant();
        let (addr, incarnation) = (canonical(config.addr), variant.first(config.generation));
        let mut local = Member::new(config.id.clone(), addr, incarnation, config.meta.clone());
        local.versions = config.wire.versions();
        let wire = format(&mut config, seed);
        let options = &config.options;
        let mut node = Self {
            variant,
            wire,
            short_name: local.id().short(),
            name_hash: local.id().hash(),
            wall_clock: WallClock::new(now, config.wall_clock.unwrap_or(config.generation)),
            now,
            members: Members::new(
                &config.cluster,
                local,
                variant,
                options.max_members,
                Rng::new(seed, RngStream::Members),
            ),
            refute: Refute::default(),
            reach: Reach::new(now),
            too_long: usize::MAX,
            detector: Detector::new(seed, options, now),
            damping: Damping::default(),
            gossip: Gossip::new(seed, options, now),
            sync: Sync::new(seed, options),
            streams: Streams::new(options),
            timers: Timers::default(),
            outputs: OutputQueue::new(options.max_queued_datagrams),
            stats: Stats::default(),
            journal: None,
            scratch: Scratch::default(),
            config,
        };
        node.advance(now);
        node.start_rounds();
        node
    }

    // ---- inputs ----

    /// Handles a datagram from a peer.
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

    /// Accepts a stream that a peer opened; returns its id, or `None` if the driver must drop it,
    /// because [`max_streams_in`](crate::Options::max_streams_in) are open. A stream that is idle
    /// may be reset for it.
    pub fn accept_stream(&mut self, now: Instant, from: SocketAddr) -> Option<StreamId> {
        let from = canonical(from);
        self.input(now, |_| Input::Accept { from }, |node| node.process_accept(from))
    }

    /// Handles an input of a stream.
    pub fn handle_stream(&mut self, now: Instant, id: StreamId, input: StreamInput<'_>) {
        self.input(now, |_| Input::of_stream(id, input), |node| node.process_stream(id, input));
    }

    /// Handles all timers that are due.
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
                TimerKey::Fixed(FixedTimer::Refusal) => self.on_refusal_timeout(),
                TimerKey::Fixed(FixedTimer::Damping) => self.on_damping_timeout(),
                TimerKey::Fixed(FixedTimer::Seeds) => self.try_seeds(),
                TimerKey::Fixed(FixedTimer::Ready) => self.check_ready(),
                TimerKey::UserPing(token) => self.on_user_ping_timeout(token),
                TimerKey::Retry(number) => self.retry_seed(number),
                TimerKey::Suspicion(key) => self.on_suspicion_timeout(key),
                TimerKey::Stream(id) => self.on_stream_timeout(id),
                TimerKey::IndirectPing(token) => self.on_indirect_ping_timeout(token),
            }
        }
    }

    // ---- outputs ----

    /// The next output to carry out; `None` when there is none for now.
    ///
    /// A datagram is built now, with the newest updates, in `buf`, whose contents are replaced. It
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

    // ---- queries ----

    /// The node itself, as its peers see it.
    pub fn local(&self) -> &Member {
        self.members.local()
    }

    /// A member that is present, failed or left; `None` if it is not known.
    pub fn member(&self, id: &NodeId) -> Option<&Member> {
        self.members.find(id).map(|key| &self.members[key])
    }

    /// The members that are present, alive or suspect, and not
    /// [suppressed](Member::is_suppressed): this node first unless it left, the others in no order.
    pub fn members(&self) -> impl Iterator<Item = &Member> {
        self.all_members().filter(|member| member.is_present())
    }

    /// All known members: this node first, the others in no order.
    ///
    /// Besides the present ones these are the members that failed or left, for
    /// [`tombstone_timeout`](crate::Options::tombstone_timeout).
    pub fn all_members(&self) -> impl Iterator<Item = &Member> {
        self.members.iter()
    }

    /// The number of [`members`](Self::members), the node itself included unless it left.
    pub fn present_count(&self) -> usize {
        self.members.present_count() - self.members.suppressed_count()
    }

    /// Whether the node takes part in its cluster.
    pub fn phase(&self) -> Phase {
        if self.local().state().is_present() {
            Phase::Running
        } else if self.streams.tickets.is_leaving() {
            Phase::Leaving
        } else {
            Phase::Left
        }
    }

    /// The digest of the members that are present, as syncs compare it: equal on two nodes if their
    /// views agree in the members' names, addresses, incarnations and metadata.
    ///
    /// Suspicions are not in it, and suppressed members are. It is the same on every platform; it
    /// differs from node to node for as long as an update is on its way.
    pub fn digest(&self) -> u64 {
        self.members.digest()
    }

    /// The local health score: 0 is healthy, less than
    /// [`awareness_max`](crate::Options::awareness_max).
    ///
    /// Lifeguard's local health multiplier: the probe interval is multiplied by one more than this.
    pub fn health(&self) -> u32 {
        self.detector.health()
    }

    /// The share of this node's probes that have no ack although the members live, over the last
    /// probes: 0 to 1.
    ///
    /// The worse it is, the more often in a row a member has to be silent until this node suspects
    /// it ([`repeat_probes`](crate::Options::repeat_probes)).
    pub fn probe_loss(&self) -> f32 {
        self.detector.loss() as f32 / 1024.0
    }

    /// A member's penalty for flaps (RFC 2439), which
    /// [`flap_suppress`](crate::Options::flap_suppress) explains; 0 for most.
    pub fn penalty(&self, id: &NodeId) -> u32 {
        self.damping.penalty(self.now, &self.config.options, id)
    }

    /// The smoothed round-trip time to a member, from the acks of probes (RFC 6298), with a
    /// resolution of 32 µs; `None` if there is no measurement, or no such member.
    pub fn rtt(&self, id: &NodeId) -> Option<Duration> {
        self.members.find(id).and_then(|key| self.members.rtt(key).smoothed())
    }

    /// The node's counters.
    pub fn stats(&self) -> &Stats {
        &self.stats
    }

    /// The node's configuration, without its keys: these are in its keyring alone.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The node's time: the latest that an input had.
    pub fn now(&self) -> Instant {
        self.now
    }

    /// The timer that is due first, and when.
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
            TimerKey::Fixed(FixedTimer::Refusal) => Timer::Refusal,
            TimerKey::Fixed(FixedTimer::Damping) => Timer::Damping,
            TimerKey::Fixed(FixedTimer::Seeds) => Timer::Seed,
            TimerKey::Fixed(FixedTimer::Ready) => Timer::Ready,
            TimerKey::UserPing(_) => Timer::Ping,
            TimerKey::Retry(_) => Timer::Retry,
            TimerKey::Suspicion(key) => Timer::Suspicion(self.members[key].id().clone()),
            TimerKey::Stream(id) => Timer::Stream(id),
            TimerKey::IndirectPing(_) => Timer::IndirectPing,
        }
    }

    fn advance(&mut self, now: Instant) {
        self.now = self.now.max(now.min(END_OF_TIME));
        #[cfg(feature = "encryption")]
        if self.wire.crypto().is_some() {
            self.wire.set_time(self.wall_clock());
        }
    }

    /// Reports an event about a member, unless the member is suppressed.
    fn event(&mut self, event: fn(Member) -> Event, key: MemberKey) {
        if self.members[key].is_suppressed() {
            return;
        }
        self.outputs.event(event(self.members[key].clone()));
    }

    /// Asserts the invariants, in debug builds.
    fn check(&self) {
        #[cfg(debug_assertions)]
        invariants::check(self);
    }
}

/// Name, address, phase and health only: the whole state is long, and predicts the random choices.
impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("Node");
        debug.field("id", self.local().id()).field("addr", &self.local().addr());
        debug.field("phase", &self.phase()).field("health", &self.health());
        debug.field("present", &self.present_count()).field("now", &self.now);
        debug.finish_non_exhaustive()
    }
}

/// The wire format of a node.
///
/// The keys move from the configuration to it: a copy would stay after they are removed from the
/// keyring.
#[cfg_attr(not(feature = "encryption"), expect(clippy::needless_pass_by_ref_mut))]
fn format(config: &mut Config, seed: [u8; 32]) -> Format {
    #[cfg(feature = "encryption")]
    if let Some((keyring, plaintext)) = config.encryption.take() {
        let nonces = Rng::new(seed, RngStream::Nonces);
        return sealed(config, CryptoState::new(Some(keyring), plaintext, nonces));
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
            // Half of the tombstones' lifetime: no older message can bring a failed member back.
            let tolerance = (config.options.tombstone_timeout.as_secs() / 2).max(60);
            let sealing = Sealing::new(&config.cluster, crypto, tolerance);
            Format::Tidings(Envelope::sealed(&config.cluster, sealing))
        }
        #[cfg(feature = "memberlist")]
        Wire::Memberlist(memberlist) => {
            Format::Memberlist(memberlists(config, memberlist).with_crypto(crypto))
        }
    }
}

/// The latest time, after 292 years: later ones count as this, so that deadlines always lie in the
/// future.
const END_OF_TIME: Instant = Instant::from_nanos(u64::MAX / 2);

/// The longest possible datagram, in bytes.
const MAX_DATAGRAM: usize = 65_535;

#[cfg(debug_assertions)]
impl Node {
    /// The number of lookups in the table of members and its index, for the test of their cost.
    #[doc(hidden)]
    pub fn visits(&self) -> usize {
        let lookups = self.members.visits().load(core::sync::atomic::Ordering::Relaxed);
        lookups + self.members.index_visits()
    }
}

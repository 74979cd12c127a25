//! Syncs: the comparison of two memberships over a stream, and attempts to reconnect.

use super::Node;
use super::update::{FollowUp, Proof, UpdateSource};
use crate::addr::canonical;
use crate::error::ExchangeError;
use crate::error::Refusal;
use crate::event::Event;
use crate::member::{NodeId, State};
use crate::membership::index::claim_len;
use crate::membership::table::MemberKey;
use crate::stats::Reject;
use crate::stream::StreamId;
use crate::stream::exchange::{Comparison, Purpose};
use crate::sync::diff::{self, Answer};
use crate::sync::trigger;
use crate::time::Instant;
use crate::timers::{FixedTimer, TimerKey};
use crate::wire::QUESTION;
use crate::wire::frame::{Claims, Introduction, PeerIdentity, SyncHello, SyncPart};
use crate::wire::message::Accuser;
use crate::wire::tidings::frame;
use alloc::vec::Vec;
use bytes::Bytes;
use core::net::SocketAddr;

impl Node {
    /// Starts a sync with a member picked at random.
    pub(super) fn sync(&mut self) {
        let interval =
            trigger::interval(self.config.options.sync_interval, self.members.present_count());
        self.timers.set(TimerKey::Fixed(FixedTimer::Sync), self.now + interval);
        self.members.release_index();
        if self.streams.exchanges.any(Purpose::Sync) {
            return;
        }
        let mut picked = core::mem::take(&mut self.scratch.picked);
        self.members.pick(&mut self.sync.rng, 1, None, &mut picked);
        if picked.is_empty() {
            self.members.pick_suspect(&mut self.sync.rng, &mut picked);
        }
        if let Some(&key) = picked.first() {
            self.open(self.members[key].addr(), Purpose::Sync, None);
        }
        self.scratch.picked = picked;
    }

    /// Sends the first frame of a sync; a joining node introduces itself in it.
    pub(super) fn begin_sync(&mut self, id: StreamId, introduction: Introduction) {
        let introduce = introduction != Introduction::Name;
        #[cfg(feature = "memberlist")]
        if let Some(all) = self.push_pull(introduce) {
            self.write(id, all);
            return;
        }
        let Some(envelope) = self.wire.tidings() else { return };
        // A seed, or a node that took the place of a lost one, may have any name.
        let peer = self.streams.exchanges.get(id).filter(|_| !introduce).map(|one| one.peer);
        let to = peer.and_then(|peer| self.members.find_addr(peer));
        let to = to.map(|key| self.members[key].id());
        let mut buf = frame::sync(envelope, to, self.local(), introduction, &self.sync.state);
        diff::begin(&self.members, &mut buf);
        self.write(id, buf);
    }

    /// Answers the first frame of a sync.
    pub(super) fn serve_sync(&mut self, id: StreamId, hello: SyncHello) {
        let SyncHello { who, newcomer, state, parts, .. } = hello;
        if !self.local().state().is_present() {
            return self.refuse(id, Refusal::NotRunning);
        }
        if let PeerIdentity::Member(claim) = &who {
            if let Err(refusal) = self.receive(claim, newcomer) {
                self.sync.met_itself |= refusal == Refusal::SameNode;
                return self.refuse(id, refusal);
            }
        }
        let introduced = matches!(who, PeerIdentity::Member(_));
        let Some(peer) = self.streams.exchanges.get(id).map(|exchange| exchange.peer) else {
            return;
        };
        let comparison = match self.admit_peer(who, Purpose::Inbound, peer, true) {
            Ok(comparison) => comparison,
            Err(refusal) => return self.refuse(id, refusal),
        };
        self.stats.syncs += 1;
        self.emit_sync_state(&comparison, state, introduced);
        let Some(envelope) = self.wire.tidings() else { return };
        let local = self.members.local();
        let buf = frame::sync_reply(envelope, local, introduced, &self.sync.state);
        self.streams.exchanges.continue_comparison(id, comparison);
        self.answer(id, buf, &parts);
    }

    /// Handles the peer's reply to our first frame.
    pub(super) fn handle_sync_reply(&mut self, id: StreamId, purpose: Purpose, hello: SyncHello) {
        let Some(peer) = self.streams.exchanges.get(id).map(|exchange| exchange.peer) else {
            return;
        };
        let SyncHello { who, state, parts, .. } = hello;
        let name = match &who {
            PeerIdentity::Member(claim) => Some(claim.id.clone()),
            _ => None,
        };
        let joins = name.is_some();
        if joins && purpose == Purpose::Sync {
            // It was not introduced to us, and does not introduce itself.
            return self.reject(id, Reject::Unexpected);
        }
        // A node that knew no other member has no receiver for gossip.
        let disseminate = self.members.present_count() > 1;
        match self.admit_peer(who, purpose, peer, disseminate) {
            Ok(comparison) => {
                self.validate_at(&comparison.with, canonical(peer));
                self.stats.syncs += 1;
                self.emit_sync_state(&comparison, state, joins);
                let addr = comparison.addr.or_else(|| Some(canonical(peer)));
                self.streams.exchanges.continue_comparison(id, Comparison { addr, ..comparison });
                self.compare(id, &parts);
            }
            Err(refusal) => {
                if let (true, Some(peer)) = (refusal != Refusal::Full, name) {
                    self.withdraw(id, &peer);
                }
                self.resolve(id, Err(ExchangeError::NotAccepted(refusal)));
            }
        }
    }

    /// Withdraws our introduction: the peer, which made us a member, learns that we left.
    ///
    /// Our claims to others use a later incarnation.
    fn withdraw(&mut self, id: StreamId, peer: &NodeId) {
        let mut local = self.local().clone();
        local.state = State::Left;
        let news = self.wire.updates(Some(peer), &local);
        self.write(id, news);
        let variant = self.variant;
        self.members.update_local(|local| {
            local.incarnation = variant.above(local.incarnation, local.incarnation);
        });
        if self.members.present_count() > 1 {
            self.disseminate(MemberKey::LOCAL);
        }
    }

    /// Answers a further frame of a sync, until nothing differs.
    pub(super) fn compare(&mut self, id: StreamId, parts: &[SyncPart]) {
        let Some(envelope) = self.wire.tidings() else { return };
        let buf = frame::compare(envelope);
        self.answer(id, buf, parts);
    }

    /// Applies the peer's members, and sends the answer in the frame that was begun. The node that
    /// opened the stream closes it when it has nothing to answer.
    fn answer(&mut self, id: StreamId, mut buf: Vec<u8>, parts: &[SyncPart]) {
        let Some(exchange) = self.streams.exchanges.get(id) else { return };
        let purpose = exchange.purpose;
        let Some(mut comparison) = exchange.comparison.clone() else {
            return self.reject(id, Reject::Unexpected);
        };
        comparison.rounds += 1;
        if comparison.rounds > MAX_ROUNDS || self.now > comparison.ends {
            return self.reject(id, Reject::Unexpected);
        }
        let peer = canonical(exchange.peer);
        let proof = self.said_by(purpose, exchange.peer);
        // A member that goes on after our answer is live, and knows this node.
        let with = self.members.find(&comparison.with);
        let goes_on = comparison.rounds > 1;
        let answers = with.is_some_and(|key| self.members.is_validated(key));
        self.sync.is_member |= goes_on && comparison.proven && answers;
        // The packet of a further frame alone is longer than one question.
        let credit = if goes_on { QUESTION } else { STREAM_CREDIT };
        let mut follow_ups = FollowUps { credit, ..FollowUps::default() };
        for part in parts {
            if let SyncPart::Members { claims, .. } = part {
                self.merge(&comparison, claims, (peer, proof), &mut follow_ups);
            }
        }
        if let Some(last) = follow_ups.last {
            self.follow_up(last, STREAM_CREDIT);
        }
        let begun = buf.len();
        let mut chunk = self.config.options.sync_chunk;
        if purpose == Purpose::Inbound && comparison.rounds == 1 && self.wire.seals() {
            // Somebody without a key may have recorded the request: only a peer that answers this
            // frame is live.
            chunk = chunk.min(FIRST_ANSWER);
        }
        let room = self.streams.exchanges.room_for_answers(id);
        let written =
            Answer::write(&mut self.members, &comparison.with, &mut buf, (chunk, room), parts);
        let Some(left_out) = written else { return self.reject(id, Reject::Oversized) };
        self.stats.sync_left_out += left_out;
        if purpose != Purpose::Inbound && buf.len() == begun {
            return self.resolve(id, Ok(()));
        }
        if self.write(id, buf) {
            self.streams.exchanges.continue_comparison(id, comparison);
            self.extend(id);
        }
    }

    /// How sure it is that members are where the peer of a stream says.
    ///
    /// Seeds are trusted: without them a newcomer knows nobody. A lost member, which is tried too,
    /// is none.
    pub(super) fn said_by(&self, purpose: Purpose, peer: SocketAddr) -> Proof {
        let is_seed = match purpose {
            Purpose::Join(_) => true,
            Purpose::Seed => self.sync.seeds.is_trusted(peer),
            Purpose::Reconnect => self.sync.reconnect.is_seed(peer),
            _ => false,
        };
        if is_seed { Proof::Answered } else { self.told() }
    }

    /// Validates the address of a member that named itself over a stream to it.
    pub(super) fn validate_at(&mut self, id: &NodeId, addr: SocketAddr) {
        let key = self.members.find(id).filter(|&key| self.members[key].addr() == addr);
        if let Some(key) = key {
            self.members.validate(key);
        }
    }

    /// Checks the peer's identity, and makes a joining node a member; the error is the refusal.
    ///
    /// A stream from a peer proves its IP address, one to it its address. A node that joins with
    /// another one is asked there before others hear of it.
    fn admit_peer(
        &mut self,
        who: PeerIdentity,
        purpose: Purpose,
        peer: SocketAddr,
        disseminate: bool,
    ) -> Result<Comparison, Refusal> {
        let ends = self.now + self.config.options.stream_timeout * MAX_TIMEOUTS;
        let claim = match who {
            PeerIdentity::Name(with) => {
                let key = self.members.find(&with);
                let known = key.map(|key| self.members[key].addr());
                let there = |addr: &SocketAddr| addr.ip() == canonical(peer).ip();
                let is_there = known.is_some_and(|addr| there(&addr) && self.is_free(addr, &with));
                if let Some(key) = key.filter(|_| is_there) {
                    // As by a join from there.
                    self.members.validate(key);
                }
                let keys = self.wire.is_authenticated();
                let proven = is_there || purpose != Purpose::Inbound || keys;
                let (addr, disseminate) = (known.filter(|_| proven), disseminate && proven);
                return Ok(Comparison { with, addr, proven, disseminate, rounds: 0, ends });
            }
            PeerIdentity::Unacceptable => {
                self.stats.members_refused += 1;
                return Err(Refusal::Unacceptable);
            }
            PeerIdentity::Member(claim) => claim,
        };
        if !self.is_allowed(&claim) {
            return Err(Refusal::AddressNotAllowed);
        }
        if !self.is_admitted(&claim) {
            self.stats.members_refused += 1;
            return Err(Refusal::NotAdmitted);
        }
        let with = claim.id.clone();
        let addr = claim.addr();
        let peer = canonical(peer);
        // Whoever is at an IP does not take the place of a member there without an answer.
        let is_free = addr.is_some_and(|addr| self.is_free(addr, &with));
        let proof = match purpose {
            Purpose::Inbound if is_free && addr.map(|addr| addr.ip()) == Some(peer.ip()) => {
                Proof::Ip
            }
            Purpose::Inbound => Proof::Told,
            _ if addr == Some(peer) => Proof::Answered,
            _ => self.said_by(purpose, peer),
        };
        let proof = proof.max(self.told());
        if proof == Proof::Told {
            self.validate_claim(claim.into(), usize::MAX);
            // Nothing that it says is answered there.
            let (addr, proven, disseminate) = (None, purpose != Purpose::Inbound, false);
            return Ok(Comparison { with, addr, proven, disseminate, rounds: 0, ends });
        }
        let accuser = Accuser::Unknown;
        let source = UpdateSource { from: addr, accuser, disseminate, hearsay: true, proof };
        if let Some(follow_up) = self.handle_update(source, claim) {
            self.follow_up(follow_up, STREAM_CREDIT);
        }
        if let (true, Some(addr)) = (proof > Proof::Told, addr) {
            self.validate_at(&with, addr);
        }
        if self.members.find(&with).is_none() {
            return Err(Refusal::Full);
        }
        Ok(Comparison { with, addr, proven: true, disseminate, rounds: 0, ends })
    }

    fn emit_sync_state(&mut self, comparison: &Comparison, data: Bytes, join: bool) {
        if !data.is_empty() {
            let from = Some(comparison.with.clone());
            self.outputs.event(Event::SyncState { from, data, join });
        }
    }

    fn merge(
        &mut self,
        comparison: &Comparison,
        Claims { claims, refused }: &Claims,
        (peer, said): (SocketAddr, Proof),
        follow_ups: &mut FollowUps,
    ) {
        self.stats.members_refused += *refused as u64;
        let &Comparison { addr: from, disseminate, .. } = comparison;
        for claim in claims {
            follow_ups.credit += claim_len(claim) as usize;
            let by_peer = claim.id == comparison.with;
            let addr = claim.addr();
            // What a seed was only told is not trusted either.
            let told = claim.profile.as_ref().is_some_and(|profile| profile.told);
            let said = if told { self.told() } else { said };
            let at_ip = |addr: SocketAddr| addr.ip() == peer.ip() && self.is_free(addr, &claim.id);
            let proven = by_peer && addr.is_some_and(at_ip);
            let proof = if proven { said.max(Proof::Ip) } else { said };
            if by_peer && proof == Proof::Told && self.members.find(&claim.id).is_none() {
                // A newcomer that is elsewhere than it claims has to answer there first.
                if !core::mem::replace(&mut follow_ups.newcomer, true) {
                    self.validate_claim(claim.clone().into(), usize::MAX);
                }
                continue;
            }
            if !comparison.proven && !proven {
                // Of what a stranger says nothing counts.
                continue;
            }
            let accuser = Accuser::Unknown;
            let source = UpdateSource { from, accuser, disseminate, hearsay: true, proof };
            match self.handle_update(source, claim.clone()) {
                Some(FollowUp::Validate(moved)) => {
                    if let Some(left) = follow_ups.credit.checked_sub(QUESTION) {
                        follow_ups.credit = left;
                        self.validate_claim(moved, STREAM_CREDIT);
                    }
                }
                Some(other) => follow_ups.last = Some(other),
                None => {}
            }
            if let (true, Some(addr)) = (proof > Proof::Told, addr) {
                self.validate_at(&claim.id, addr);
            }
        }
    }

    /// Applies updates that came over a stream, which the sender chose because datagrams can be
    /// lost: a node sends its leave so.
    ///
    /// The stream proves its peer's IP. What it says of members elsewhere does not count, but that
    /// one is alive, which is asked there.
    pub(super) fn handle_updates(&mut self, peer: SocketAddr, Claims { claims, refused }: Claims) {
        self.stats.members_refused += refused as u64;
        let mut follow_up = None;
        let proof = self.told();
        for claim in claims {
            let is_there = |key| self.members[key].addr().ip() == canonical(peer).ip();
            let keys = proof == Proof::Answered;
            let proven = keys || self.members.find(&claim.id).is_some_and(is_there);
            if !self.is_allowed(&claim) {
                continue;
            }
            if !proven {
                self.stats.claims_by_strangers += 1;
                if claim.state == State::Alive {
                    follow_up = Some(FollowUp::Validate(claim.into()));
                }
                continue;
            }
            let source = UpdateSource {
                from: None,
                accuser: Accuser::Unknown,
                disseminate: true,
                hearsay: false,
                proof,
            };
            follow_up = self.handle_update(source, claim).or(follow_up);
        }
        if let Some(follow_up) = follow_up {
            self.follow_up(follow_up, STREAM_CREDIT);
        }
    }

    /// Tries to reconnect to one failed member or seed, picked at random.
    pub(super) fn try_reconnect(&mut self) {
        let present = |addr| self.members.is_present_at(addr);
        let Some(addr) = self.sync.reconnect.pick(&mut self.sync.reconnect_rng, present) else {
            return;
        };
        if !self.streams.exchanges.any(Purpose::Reconnect) {
            self.stats.reconnect_attempts += 1;
            self.open(addr, Purpose::Reconnect, None);
        }
        self.arm_reconnect();
    }

    /// Sets the timer for the next attempt to reconnect: the more members are lost, the sooner.
    pub(super) fn arm_reconnect(&mut self) {
        let options = &self.config.options;
        let running = self.local().state().is_present();
        if running && self.sync.reconnect.has_candidates() {
            // Members that somebody invented try nobody.
            let present = self.members.validated_others() + 1;
            let (first, longest) = (options.reconnect_interval, options.reconnect_interval_max);
            let wait =
                self.sync.reconnect.wait(&mut self.sync.reconnect_rng, present, first, longest);
            let slot = TimerKey::Fixed(FixedTimer::Reconnect);
            let due = self.timers.at(slot).unwrap_or(Instant::MAX);
            self.timers.set(slot, due.min(self.now + wait));
        }
    }
}

/// What the claims in all parts of a frame ask for besides their effect.
#[derive(Debug, Default)]
struct FollowUps {
    /// The newcomer that sent the frame was asked where it says it is.
    newcomer: bool,
    /// Bytes that may go to members that are said to have moved: as many as came in records, and a
    /// few.
    credit: usize,
    /// Anything else: one.
    last: Option<FollowUp>,
}

/// Target length of the parts in the first answer to an encrypted sync, in bytes: the members of a
/// small cluster, or the digests with which the peer asks for those of a larger one.
const FIRST_ANSWER: usize = 1024;
/// Bytes that a frame may cause to go to an address from which nobody answered: fewer than the
/// packets with which a stream begins.
pub(super) const STREAM_CREDIT: usize = 128;
/// Limit of frames in one sync: enough for 60 MiB of members in chunks of the default size.
const MAX_ROUNDS: u32 = 1024;
/// Limit of the duration of a sync, in `stream_timeout`s: what is left then is for the next one.
/// Nobody keeps a join waiting for longer.
const MAX_TIMEOUTS: u32 = 2;

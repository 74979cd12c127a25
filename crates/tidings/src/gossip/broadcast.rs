//! Broadcasts: small messages that the application wants all members to get.

use crate::gossip::queue::{GossipQueue, Offer};
use crate::member::NodeId;
use crate::membership::table::MemberKey;
use crate::wire::message::{Broadcast, BroadcastId};
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// The broadcasts that a node still spreads: its own, and those of others that it passes on.
///
/// Our own were accepted and are never given up. Those of others are told by others too: they take
/// at most half of the room, and go when there is too little.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Broadcasts {
    queue: GossipQueue<u64>,
    /// By when they were put in, as a count.
    queued: BTreeMap<u64, Queued>,
    #[serde(skip)]
    by_subject: BTreeMap<Subject, u64>,
    next: u64,
    #[serde(skip)]
    own: Load,
    #[serde(skip)]
    passed_on: Load,
    max: Load,
}

/// Our own broadcasts take all the room that there is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Full;

impl Broadcasts {
    /// A queue of at most `max_count` broadcasts that take at most `max_bytes` of memory, counted
    /// as payload, key, the origin's name and [`OVERHEAD`].
    pub(crate) fn new(max_count: usize, max_bytes: usize) -> Self {
        Self {
            queue: GossipQueue::default(),
            queued: BTreeMap::new(),
            by_subject: BTreeMap::new(),
            next: 0,
            own: Load::default(),
            passed_on: Load::default(),
            max: Load { count: max_count, bytes: max_bytes },
        }
    }

    /// Makes what was left out of a checkpoint; `None` if the rest cannot be that of a node.
    pub(crate) fn restore(&mut self) -> Option<()> {
        self.queue.restore()?;
        for (&number, queued) in &self.queued {
            self.by_subject.insert(queued.broadcast.subject(), number);
            let total = if queued.own { &mut self.own } else { &mut self.passed_on };
            *total = total.plus(queued.broadcast.load());
        }
        let mut told: Vec<_> = self.queue.keys().collect();
        told.sort_unstable();
        (self.by_subject.len() == self.queued.len()
            && self.queued.keys().copied().eq(told)
            && self.own.plus(self.passed_on).fits(self.max)
            && self.passed_on.fits(self.max.half()))
        .then_some(())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.queued.is_empty()
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.queued.len()
    }

    /// The one that is offered first.
    pub(crate) fn first(&self) -> Option<&Broadcast> {
        Some(&self.queued[&self.queue.first()?].broadcast)
    }

    /// Spreads one of our own, in place of an earlier one with its key; returns how many that were
    /// passed on made room for it.
    ///
    /// # Errors
    ///
    /// If our own would be too many; all is as it was then.
    pub(crate) fn push_own(&mut self, broadcast: Broadcast) -> Result<u64, Full> {
        let subject = broadcast.subject();
        let replaced = self.about(&subject).filter(|queued| queued.own);
        let replaced = replaced.map(|queued| queued.broadcast.load()).unwrap_or_default();
        if !self.own.minus(replaced).plus(broadcast.load()).fits(self.max) {
            return Err(Full);
        }
        self.drop_about(&subject);
        self.put(subject, Queued::new(broadcast, true));
        Ok(self.make_room(Load::default()))
    }

    /// Passes on one of another member's, in place of an earlier one with its key; returns how many
    /// were dropped since there is too little room: this one, or others to make room for it.
    ///
    /// It is passed over if it is queued already, or a later one with its key is.
    pub(crate) fn pass_on(&mut self, broadcast: Broadcast) -> u64 {
        let subject = broadcast.subject();
        // Whoever forges a later one of our own does not take ours away.
        let stays = |queued: &Queued| queued.own || queued.broadcast.id >= broadcast.id;
        if self.about(&subject).is_some_and(stays) {
            return 0;
        }
        // It is outdated, even where the later one does not fit.
        self.drop_about(&subject);
        let load = broadcast.load();
        if !load.fits(self.room_to_pass_on()) {
            return 1;
        }
        let dropped = self.make_room(load);
        self.put(subject, Queued::new(broadcast, false));
        dropped
    }

    /// About how many bytes all of them take in datagrams.
    pub(crate) fn bytes(&self) -> usize {
        const MESSAGE: usize = 24;
        let Load { count, bytes } = self.own.plus(self.passed_on);
        bytes - count * (OVERHEAD - MESSAGE)
    }

    /// Fills a datagram of gossip to a member, one of so many `others`, as [`GossipQueue::tell`] does.
    ///
    /// A broadcast goes to each of the others once before it goes to one again. Both the queue and those
    /// who are told have their turns: without this, where the one is as long as a few rounds of the
    /// other, each broadcast would meet the same members again and again.
    pub(crate) fn transmit(
        &mut self,
        limit: u32,
        receiver: Option<MemberKey>,
        others: usize,
        mut offer: impl FnMut(&Broadcast) -> Offer,
    ) {
        let mut queue = core::mem::take(&mut self.queue);
        let queued = &mut self.queued;
        let mut passed_over = 0;
        let done = queue.transmit(limit, |number| {
            let queued = queued.get_mut(&number).expect("what is told is queued");
            if queued.was_told_to(receiver) && passed_over < MAX_PASSED_OVER {
                passed_over += 1;
                return Offer::Later;
            }
            let offer = offer(&queued.broadcast);
            if offer == Offer::Added {
                queued.tell_to(receiver, others);
            }
            offer
        });
        for number in done {
            self.forget(number);
        }
        self.queue = queue;
    }

    /// Drops all.
    pub(crate) fn clear(&mut self) {
        *self = Self::new(self.max.count, self.max.bytes);
    }

    #[cfg(debug_assertions)]
    pub(crate) fn check(&self) {
        let load = |own| {
            let those = self.queued.values().filter(|queued| queued.own == own);
            those.fold(Load::default(), |sum, queued| sum.plus(queued.broadcast.load()))
        };
        assert_eq!((load(true), load(false)), (self.own, self.passed_on));
        assert!(self.own.plus(self.passed_on).fits(self.max));
        assert!(self.passed_on.fits(self.max.half()));
        assert_eq!(self.queue.len(), self.queued.len(), "each is to be told");
        assert_eq!(self.by_subject.len(), self.queued.len(), "one about each subject");
        for (number, queued) in &self.queued {
            assert_eq!(self.by_subject[&queued.broadcast.subject()], *number);
        }
    }

    fn about(&self, subject: &Subject) -> Option<&Queued> {
        Some(&self.queued[self.by_subject.get(subject)?])
    }

    fn drop_about(&mut self, subject: &Subject) {
        if let Some(&number) = self.by_subject.get(subject) {
            self.queue.stop(number);
            self.forget(number);
        }
    }

    /// Drops those that are passed on, the most told first, until so much more fits; returns how
    /// many.
    fn make_room(&mut self, load: Load) -> u64 {
        let mut dropped = 0;
        while !self.passed_on.plus(load).fits(self.room_to_pass_on()) {
            let most_transmitted = self.queue.most_transmitted(|number| !self.queued[&number].own);
            let number = most_transmitted.expect("none at all take no room");
            self.queue.stop(number);
            self.forget(number);
            dropped += 1;
        }
        dropped
    }

    /// How much of others' there may be: half, and no more than our own leave.
    fn room_to_pass_on(&self) -> Load {
        let (half, left) = (self.max.half(), self.max.minus(self.own));
        Load { count: half.count.min(left.count), bytes: half.bytes.min(left.bytes) }
    }

    fn put(&mut self, subject: Subject, queued: Queued) {
        let number = self.next;
        self.next += 1;
        let total = if queued.own { &mut self.own } else { &mut self.passed_on };
        *total = total.plus(queued.broadcast.load());
        self.by_subject.insert(subject, number);
        self.queued.insert(number, queued);
        self.queue.push(number);
    }

    /// Lets go of one that is no longer to be told.
    fn forget(&mut self, number: u64) {
        let queued = self.queued.remove(&number).expect("what was to be told is queued");
        let total = if queued.own { &mut self.own } else { &mut self.passed_on };
        *total = total.minus(queued.broadcast.load());
        self.by_subject.remove(&queued.broadcast.subject());
    }
}

impl Broadcast {
    fn subject(&self) -> Subject {
        if self.key.is_empty() {
            return Subject::Itself(self.id.clone());
        }
        Subject::Keyed { origin: self.id.origin.clone(), key: self.key.clone() }
    }

    fn load(&self) -> Load {
        let bytes = self.payload.len() + self.key.len() + self.id.origin.as_str().len();
        Load { count: 1, bytes: bytes + OVERHEAD }
    }
}

#[derive(Debug, Deserialize, Serialize)]
struct Queued {
    broadcast: Broadcast,
    own: bool,
    /// To whom it went since it last had gone to all.
    told: Vec<MemberKey>,
}

impl Queued {
    fn new(broadcast: Broadcast, own: bool) -> Self {
        Self { broadcast, own, told: Vec::new() }
    }

    fn was_told_to(&self, receiver: Option<MemberKey>) -> bool {
        receiver.is_some_and(|key| self.told.contains(&key))
    }

    fn tell_to(&mut self, receiver: Option<MemberKey>, others: usize) {
        // Its origin is not told.
        let to_be_told = others - usize::from(!self.own && others > 0);
        self.told.extend(receiver);
        if self.told.len() >= to_be_told {
            self.told.clear();
        }
    }
}

/// What a broadcast is about: one about each is queued, the latest.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Subject {
    Itself(BroadcastId),
    Keyed { origin: NodeId, key: Bytes },
}

/// How much broadcasts take, or may take.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
struct Load {
    count: usize,
    bytes: usize,
}

impl Load {
    fn plus(self, other: Self) -> Self {
        Self { count: self.count + other.count, bytes: self.bytes + other.bytes }
    }

    fn minus(self, other: Self) -> Self {
        Self { count: self.count - other.count, bytes: self.bytes - other.bytes }
    }

    fn half(self) -> Self {
        Self { count: self.count / 2, bytes: self.bytes / 2 }
    }

    fn fits(self, max: Self) -> bool {
        self.count <= max.count && self.bytes <= max.bytes
    }
}

/// What a queued broadcast takes besides its bytes: the entries in the queue and its indexes.
///
/// About what is measured with 64-bit pointers, and the same everywhere, so that the same are
/// dropped everywhere.
const OVERHEAD: usize = 512;

/// So many that the receiver was told already are passed over in one datagram.
const MAX_PASSED_OVER: usize = 256;

#[cfg(test)]
mod tests;

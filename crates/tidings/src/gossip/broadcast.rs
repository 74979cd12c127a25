//! The queue of application broadcasts: the node's own, and those of others that it forwards.

use crate::gossip::queue::{GossipQueue, Offer};
use crate::member::NodeId;
use crate::membership::table::MemberKey;
#[cfg(feature = "record")]
use crate::stats::MAX_COUNT;
use crate::wire::message::{Broadcast, BroadcastId};
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use bytes::Bytes;

/// The broadcasts that a node still gossips: its own, and those of others that it forwards.
///
/// Own broadcasts are never dropped. Other members forward the same broadcasts too, so forwarded
/// ones get at most half of the queue and are evicted when own ones need the room.
#[derive(Debug)]
#[cfg_attr(feature = "record", derive(serde::Deserialize, serde::Serialize))]
pub(crate) struct Broadcasts {
    queue: GossipQueue<u64>,
    /// By their number in the order of insertion.
    queued: BTreeMap<u64, Queued>,
    #[cfg_attr(feature = "record", serde(skip))]
    by_subject: BTreeMap<Subject, u64>,
    next: u64,
    #[cfg_attr(feature = "record", serde(skip))]
    own: QueueSize,
    #[cfg_attr(feature = "record", serde(skip))]
    forwarded: QueueSize,
    max: QueueSize,
}

/// Error: own broadcasts fill the whole queue.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Full;

impl Broadcasts {
    /// An empty queue for at most `max_count` broadcasts and `max_bytes` bytes of memory. Each
    /// broadcast counts as payload, key, the origin's name and [`OVERHEAD`].
    pub(crate) fn new(max_count: usize, max_bytes: usize) -> Self {
        Self {
            queue: GossipQueue::default(),
            queued: BTreeMap::new(),
            by_subject: BTreeMap::new(),
            next: 0,
            own: QueueSize::default(),
            forwarded: QueueSize::default(),
            max: QueueSize { count: max_count, bytes: max_bytes },
        }
    }

    /// Rebuilds the fields that a checkpoint omits; `None` if the others are inconsistent.
    #[cfg(feature = "record")]
    pub(crate) fn restore(&mut self) -> Option<()> {
        self.queue.restore()?;
        for (&number, queued) in &self.queued {
            self.by_subject.insert(queued.broadcast.subject(), number);
            let total = if queued.own { &mut self.own } else { &mut self.forwarded };
            *total = total.plus(queued.broadcast.size());
        }
        let mut numbers: Vec<_> = self.queue.keys().collect();
        numbers.sort_unstable();
        (self.next <= MAX_COUNT
            && self.by_subject.len() == self.queued.len()
            && self.queued.keys().copied().eq(numbers)
            && self.own.plus(self.forwarded).fits(self.max)
            && self.forwarded.fits(self.max.half()))
        .then_some(())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.queued.is_empty()
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.queued.len()
    }

    /// The broadcast that [`transmit`](Self::transmit) offers first.
    pub(crate) fn first(&self) -> Option<&Broadcast> {
        Some(&self.queued[&self.queue.first()?].broadcast)
    }

    /// Queues an own broadcast, in place of an earlier one with the same key; returns the number of
    /// forwarded broadcasts that were evicted for it.
    ///
    /// # Errors
    ///
    /// If own broadcasts would exceed the limits; then the queue is unchanged.
    pub(crate) fn push_own(&mut self, broadcast: Broadcast) -> Result<u64, Full> {
        let subject = broadcast.subject();
        let replaced = self.queued_for(&subject).filter(|queued| queued.own);
        let replaced = replaced.map(|queued| queued.broadcast.size()).unwrap_or_default();
        if !self.own.minus(replaced).plus(broadcast.size()).fits(self.max) {
            return Err(Full);
        }
        self.remove_subject(&subject);
        self.insert(subject, Queued::new(broadcast, true));
        let (dropped, _) = self.make_room(QueueSize::default(), usize::MAX);
        Ok(dropped)
    }

    /// Queues another member's broadcast, in place of an earlier one with the same key; returns the
    /// number of broadcasts dropped for lack of room: this one, or others evicted for it.
    ///
    /// Does nothing if this broadcast, or a later one with its key, is queued already.
    pub(crate) fn pass_on(&mut self, broadcast: Broadcast) -> u64 {
        let subject = broadcast.subject();
        // A forged later broadcast under our name must not replace our own.
        let stays = |queued: &Queued| queued.own || queued.broadcast.id >= broadcast.id;
        if self.queued_for(&subject).is_some_and(stays) {
            return 0;
        }
        // The earlier one is outdated, even if the later one does not fit.
        self.remove_subject(&subject);
        let size = broadcast.size();
        if !size.fits(self.room_for_forwarded()) {
            return 1;
        }
        let (dropped, has_room) = self.make_room(size, MAX_LOOKS);
        if !has_room {
            return dropped + 1;
        }
        self.insert(subject, Queued::new(broadcast, false));
        dropped
    }

    /// Approximate size of all queued broadcasts in datagrams, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        const MESSAGE: usize = 24;
        let QueueSize { count, bytes } = self.own.plus(self.forwarded);
        bytes - count * (OVERHEAD - MESSAGE)
    }

    /// Fills a gossip datagram to `receiver`, one of `others` members, as
    /// [`GossipQueue::transmit`] does.
    ///
    /// A broadcast goes to each of the others once before it goes to one again. Queue and gossip
    /// targets both rotate: if the queue's length were a multiple of the targets' rotation, each
    /// broadcast would otherwise go to the same members again and again.
    pub(crate) fn transmit(
        &mut self,
        limit: u32,
        receiver: Option<MemberKey>,
        others: usize,
        mut offer: impl FnMut(&Broadcast) -> Offer,
    ) {
        let mut queue = core::mem::take(&mut self.queue);
        let queued = &mut self.queued;
        let mut postponed = 0;
        let done = queue.transmit(limit, |number| {
            let queued = queued.get_mut(&number).expect("the two queues hold the same numbers");
            if queued.was_sent_to(receiver) && postponed < MAX_POSTPONED {
                postponed += 1;
                return Offer::Later;
            }
            let offer = offer(&queued.broadcast);
            if offer == Offer::Added {
                queued.mark_sent_to(receiver, others);
            }
            offer
        });
        for number in done {
            self.remove(number);
        }
        self.queue = queue;
    }

    /// Drops all broadcasts.
    pub(crate) fn clear(&mut self) {
        *self = Self::new(self.max.count, self.max.bytes);
    }

    #[cfg(debug_assertions)]
    pub(crate) fn check(&self) {
        let size = |own| {
            let selected = self.queued.values().filter(|queued| queued.own == own);
            selected.fold(QueueSize::default(), |sum, queued| sum.plus(queued.broadcast.size()))
        };
        assert_eq!((size(true), size(false)), (self.own, self.forwarded));
        assert!(self.own.plus(self.forwarded).fits(self.max));
        assert!(self.forwarded.fits(self.max.half()));
        assert_eq!(self.queue.len(), self.queued.len(), "each broadcast is in the gossip queue");
        assert_eq!(self.by_subject.len(), self.queued.len(), "one broadcast for each subject");
        for (number, queued) in &self.queued {
            assert_eq!(self.by_subject[&queued.broadcast.subject()], *number);
        }
    }

    fn queued_for(&self, subject: &Subject) -> Option<&Queued> {
        Some(&self.queued[self.by_subject.get(subject)?])
    }

    fn remove_subject(&mut self, subject: &Subject) {
        if let Some(&number) = self.by_subject.get(subject) {
            self.queue.remove(number);
            self.remove(number);
        }
    }

    /// Evicts forwarded broadcasts, the most-sent first, until `size` more fits, or `looks` find
    /// none; returns the number evicted, and whether it fits.
    fn make_room(&mut self, size: QueueSize, looks: usize) -> (u64, bool) {
        let mut dropped = 0;
        while !self.forwarded.plus(size).fits(self.room_for_forwarded()) {
            let forwarded = |number| !self.queued[&number].own;
            let Some(number) = self.queue.most_transmitted(looks, forwarded) else {
                return (dropped, false);
            };
            self.queue.remove(number);
            self.remove(number);
            dropped += 1;
        }
        (dropped, true)
    }

    /// Limit for forwarded broadcasts: half of the queue, and no more than own ones leave.
    fn room_for_forwarded(&self) -> QueueSize {
        let (half, left) = (self.max.half(), self.max.minus(self.own));
        QueueSize { count: half.count.min(left.count), bytes: half.bytes.min(left.bytes) }
    }

    fn insert(&mut self, subject: Subject, queued: Queued) {
        let number = self.next;
        self.next += 1;
        let total = if queued.own { &mut self.own } else { &mut self.forwarded };
        *total = total.plus(queued.broadcast.size());
        self.by_subject.insert(subject, number);
        self.queued.insert(number, queued);
        self.queue.push(number);
    }

    /// Removes a broadcast that is no longer in the gossip queue.
    fn remove(&mut self, number: u64) {
        let queued = self.queued.remove(&number).expect("the two queues hold the same numbers");
        let total = if queued.own { &mut self.own } else { &mut self.forwarded };
        *total = total.minus(queued.broadcast.size());
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

    fn size(&self) -> QueueSize {
        let bytes = self.payload.len() + self.key.len() + self.id.origin.as_str().len();
        QueueSize { count: 1, bytes: bytes + OVERHEAD }
    }
}

#[derive(Debug)]
#[cfg_attr(feature = "record", derive(serde::Deserialize, serde::Serialize))]
struct Queued {
    broadcast: Broadcast,
    own: bool,
    /// Receivers in the current round, which ends when all others have got the broadcast.
    sent_to: Vec<MemberKey>,
}

impl Queued {
    fn new(broadcast: Broadcast, own: bool) -> Self {
        Self { broadcast, own, sent_to: Vec::new() }
    }

    fn was_sent_to(&self, receiver: Option<MemberKey>) -> bool {
        receiver.is_some_and(|key| self.sent_to.contains(&key))
    }

    fn mark_sent_to(&mut self, receiver: Option<MemberKey>, others: usize) {
        // The origin of a forwarded broadcast does not get it.
        let receivers = others - usize::from(!self.own && others > 0);
        self.sent_to.extend(receiver);
        if self.sent_to.len() >= receivers {
            self.sent_to.clear();
        }
    }
}

/// Identity of a broadcast in the queue: only the latest one of each subject is queued.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Subject {
    Itself(BroadcastId),
    Keyed { origin: NodeId, key: Bytes },
}

/// Number and memory of queued broadcasts, or the limits for them.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[cfg_attr(feature = "record", derive(serde::Deserialize, serde::Serialize))]
struct QueueSize {
    count: usize,
    bytes: usize,
}

impl QueueSize {
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

/// Memory of a queued broadcast besides its bytes, in bytes: the entries in the queue and indexes.
///
/// About the value measured with 64-bit pointers. It is the same on all platforms, so that all
/// nodes drop the same broadcasts.
const OVERHEAD: usize = 512;

/// Maximum number of broadcasts skipped in one datagram because its receiver already got them.
const MAX_POSTPONED: usize = 256;

/// Number of queued broadcasts that are looked at for one to be evicted for another member's: a
/// member's broadcasts do not cost a look at all of the node's own.
const MAX_LOOKS: usize = 16;

#[cfg(test)]
mod tests;

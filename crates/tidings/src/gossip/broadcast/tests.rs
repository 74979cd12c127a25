//! Tests of the queue of broadcasts.

use super::*;
use alloc::collections::BTreeSet;
use alloc::format;
use alloc::vec;
use alloc::vec::Vec;
use proptest::prelude::*;

const OWN: u8 = 0;

fn broadcast(origin: u8, number: u64, key: &'static str, len: usize) -> Broadcast {
    let origin = NodeId::new(&format!("n{origin}")).unwrap();
    let id = BroadcastId { origin, generation: 1, number };
    Broadcast { id, key: Bytes::from(key), payload: vec![7; len].into() }
}

fn own(number: u64) -> Broadcast {
    broadcast(OWN, number, "", 10)
}

fn others(number: u64) -> Broadcast {
    broadcast(1, number, "", 10)
}

/// A queue that only `max_count` limits.
fn queue(max_count: usize) -> Broadcasts {
    Broadcasts::new(max_count, 1 << 20)
}

/// The numbers in a datagram with room for `room` broadcasts, with a retransmit limit of 2.
fn sent(broadcasts: &mut Broadcasts, room: usize) -> Vec<u64> {
    let mut sent = vec![];
    broadcasts.transmit(2, None, 9, |broadcast| {
        if sent.len() == room {
            return Offer::NoRoom;
        }
        sent.push(broadcast.id.number);
        Offer::Added
    });
    sent
}

fn ids(broadcasts: &Broadcasts) -> BTreeSet<BroadcastId> {
    broadcasts.queued.values().map(|queued| queued.broadcast.id.clone()).collect()
}

#[test]
fn the_least_sent_broadcast_comes_first_and_each_is_sent_up_to_the_limit() {
    let mut broadcasts = queue(8);
    broadcasts.push_own(own(1)).unwrap();
    assert_eq!(broadcasts.pass_on(others(2)), 0);
    broadcasts.push_own(own(3)).unwrap();
    assert_eq!(sent(&mut broadcasts, 2), [1, 2]);
    assert_eq!(broadcasts.first().map(|first| first.id.number), Some(3));
    assert_eq!(sent(&mut broadcasts, 2), [3, 1]);
    assert_eq!(broadcasts.len(), 2);
    assert_eq!(sent(&mut broadcasts, 2), [2, 3]);
    assert!(broadcasts.is_empty());
    assert_eq!(broadcasts.first(), None);
}

#[test]
fn a_skipped_broadcast_counts_as_sent_and_one_that_does_not_fit_does_not() {
    let mut broadcasts = queue(8);
    broadcasts.push_own(own(1)).unwrap();
    broadcasts.transmit(1, None, 9, |_| Offer::NoRoom);
    assert_eq!(broadcasts.len(), 1);
    broadcasts.transmit(1, None, 9, |_| Offer::Skip);
    assert!(broadcasts.is_empty());
}

#[test]
fn a_later_broadcast_with_the_same_key_replaces_the_earlier_one() {
    let mut broadcasts = queue(8);
    for origin in [OWN, 1] {
        for number in [1, 2] {
            let keyed = broadcast(origin, number, "leader", 10);
            if origin == OWN {
                broadcasts.push_own(keyed).unwrap();
            } else {
                assert_eq!(broadcasts.pass_on(keyed), 0);
            }
            assert_eq!(sent(&mut broadcasts, 1), [number], "its transmissions count from zero");
        }
    }
    assert_eq!(broadcasts.len(), 2, "another origin's key is another key");
    broadcasts.check();
}

#[test]
fn an_earlier_broadcast_that_arrives_late_does_not_replace_the_later_one() {
    let mut broadcasts = queue(8);
    for number in [2, 1, 2] {
        assert_eq!(broadcasts.pass_on(broadcast(1, number, "leader", 10)), 0);
    }
    assert_eq!(sent(&mut broadcasts, 8), [2]);

    let mut next_generation = broadcast(1, 0, "leader", 10);
    next_generation.id.generation = 2;
    assert_eq!(broadcasts.pass_on(next_generation), 0);
    assert_eq!(sent(&mut broadcasts, 8), [0]);
}

#[test]
fn broadcasts_without_a_key_replace_none_and_each_is_queued_once() {
    let mut broadcasts = queue(8);
    broadcasts.push_own(own(1)).unwrap();
    broadcasts.push_own(own(2)).unwrap();
    for number in [1, 2, 2] {
        assert_eq!(broadcasts.pass_on(others(number)), 0);
    }
    assert_eq!(sent(&mut broadcasts, 8), [1, 2, 1, 2]);
}

#[test]
fn own_broadcasts_are_never_dropped_and_a_full_queue_is_an_error() {
    let mut broadcasts = queue(2);
    broadcasts.push_own(broadcast(OWN, 1, "leader", 10)).unwrap();
    broadcasts.push_own(own(2)).unwrap();
    assert_eq!(broadcasts.push_own(own(3)), Err(Full));
    assert_eq!(broadcasts.pass_on(others(4)), 1, "others do not evict own ones");
    assert_eq!(broadcasts.push_own(broadcast(OWN, 5, "leader", 1 << 20)), Err(Full));
    assert_eq!(broadcasts.push_own(broadcast(OWN, 6, "leader", 10)), Ok(0), "it replaces number 1");
    assert_eq!(sent(&mut broadcasts, 8), [2, 6]);
    broadcasts.check();
}

#[test]
fn a_received_broadcast_does_not_replace_an_own_one() {
    let mut broadcasts = queue(8);
    broadcasts.push_own(broadcast(OWN, 1, "leader", 10)).unwrap();
    assert_eq!(broadcasts.pass_on(broadcast(OWN, u64::MAX, "leader", 10)), 0);
    assert_eq!(sent(&mut broadcasts, 8), [1]);

    assert_eq!(broadcasts.pass_on(own(2)), 0, "forged, or from an earlier run");
    broadcasts.push_own(own(2)).unwrap();
    broadcasts.check();
    assert_eq!(broadcasts.own.count, 2);
}

#[test]
fn forwarded_broadcasts_are_evicted_for_own_ones() {
    let mut broadcasts = queue(4);
    for number in [1, 2] {
        assert_eq!(broadcasts.pass_on(others(number)), 0);
    }
    let dropped = [3, 4, 5, 6].map(|number| broadcasts.push_own(own(number)));
    assert_eq!(dropped, [Ok(0), Ok(0), Ok(1), Ok(1)]);
    assert_eq!(sent(&mut broadcasts, 8), [3, 4, 5, 6]);
}

#[test]
fn forwarded_broadcasts_get_half_of_the_queue_and_the_most_sent_then_oldest_is_evicted() {
    let mut broadcasts = queue(6);
    broadcasts.push_own(own(0)).unwrap();
    for number in [1, 2, 3] {
        assert_eq!(broadcasts.pass_on(others(number)), 0);
    }
    assert_eq!(sent(&mut broadcasts, 3), [0, 1, 2]);
    for number in [4, 5, 6] {
        assert_eq!(broadcasts.pass_on(others(number)), 1);
        broadcasts.check();
    }
    assert_eq!(sent(&mut broadcasts, 8), [4, 5, 6, 0], "1, 2 and 3 were evicted, in this order");
}

#[test]
fn bytes_are_limited_like_the_count() {
    let each = others(1).size().bytes;
    let mut broadcasts = Broadcasts::new(100, 4 * each + 1);
    assert_eq!([1, 2, 3].map(|number| broadcasts.pass_on(others(number))), [0, 0, 1]);
    assert_eq!([4, 5, 6].map(|number| broadcasts.push_own(own(number))), [Ok(0), Ok(0), Ok(1)]);
    assert_eq!(
        broadcasts.push_own(broadcast(OWN, 7, "", 11)),
        Ok(1),
        "it fills the queue to the last byte"
    );
    assert_eq!(broadcasts.push_own(own(8)), Err(Full));
}

#[test]
fn a_broadcast_that_never_fits_is_dropped_alone() {
    let mut broadcasts = Broadcasts::new(8, 4096);
    assert_eq!(broadcasts.pass_on(others(1)), 0);
    assert_eq!(broadcasts.pass_on(broadcast(1, 2, "", 2048)), 1);
    assert_eq!(sent(&mut broadcasts, 8), [1]);

    assert_eq!(Broadcasts::new(1, 4096).pass_on(others(1)), 1, "half of a queue of one is zero");
}

#[test]
fn a_cleared_queue_sends_nothing() {
    let mut broadcasts = queue(2);
    broadcasts.push_own(own(1)).unwrap();
    broadcasts.clear();
    broadcasts.check();
    assert!(sent(&mut broadcasts, 8).is_empty());
    assert_eq!(broadcasts.push_own(own(2)), Ok(0));
}

#[test]
fn sending_a_few_broadcasts_allocates_nothing_once_warm() {
    // As many as one B-tree node holds: with more, nodes are allocated and freed.
    let mut broadcasts = queue(11);
    let mut allocations = 0;
    for _cold_then_warm in 0..2 {
        for number in 0..11 {
            broadcasts.push_own(own(number)).unwrap();
        }
        let counted = allocation_counter::measure(|| {
            while !broadcasts.is_empty() {
                broadcasts.transmit(3, None, 9, |broadcast| {
                    if broadcast.id.number % 2 == 0 { Offer::Added } else { Offer::Skip }
                });
            }
        });
        allocations = counted.count_total;
    }
    assert_eq!(allocations, 0);
}

#[derive(Clone, Debug)]
enum Step {
    Own(Broadcast),
    Forward(Broadcast),
    /// The outcome of each offer.
    Transmit(Vec<Offer>),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let broadcasts = |origins| {
        (origins, 0..20u64, 0..400usize).prop_map(|(origin, number, len)| {
            let key = ["", "", "a", "b"][number as usize % 4];
            broadcast(origin, number, key, len)
        })
    };
    let offers = prop::sample::select(&[Offer::Added, Offer::Skip, Offer::NoRoom][..]);
    let step = prop_oneof![
        broadcasts(1..4u8).prop_map(Step::Forward),
        broadcasts(OWN..1).prop_map(Step::Own),
        prop::collection::vec(offers, 0..8).prop_map(Step::Transmit),
    ];
    prop::collection::vec(step, 0..100)
}

#[test]
fn each_broadcast_goes_to_all_others_before_it_goes_to_one_again() {
    for (count, others) in [(1, 3), (3, 3), (6, 3), (4, 5)] {
        let mut broadcasts = queue(100);
        for number in 0..count {
            broadcasts.push_own(own(number)).unwrap();
        }
        let mut sent = vec![vec![]; count as usize];
        // One in each datagram, to the others in turn.
        for turn in 0..100 * count as u32 {
            let mut room = 1;
            let receiver = MemberKey::for_test(turn % others + 1);
            broadcasts.transmit(1000, Some(receiver), others as usize, |broadcast| {
                if room == 0 {
                    return Offer::NoRoom;
                }
                room = 0;
                sent[broadcast.id.number as usize].push(receiver);
                Offer::Added
            });
        }
        for sent in sent {
            for round in sent.chunks_exact(others as usize) {
                let mut round = round.to_vec();
                round.sort();
                round.dedup();
                assert_eq!(round.len(), others as usize, "{count} broadcasts, {others} others");
            }
        }
    }
}

proptest! {
    #[test]
    fn each_broadcast_is_sent_in_turn_up_to_the_limit_and_no_own_one_is_evicted(steps in steps()) {
        const LIMIT: u32 = 3;
        let mut broadcasts = Broadcasts::new(8, 4096);
        // For each broadcast: the number of transmissions, and when it was queued.
        let mut sent = BTreeMap::<BroadcastId, (u32, usize)>::new();
        for (now, step) in steps.into_iter().enumerate() {
            let before = ids(&broadcasts);
            match step {
                Step::Own(mut broadcast) => {
                    broadcast.id.number = now as u64;
                    let id = broadcast.id.clone();
                    let replaced = same_subject(&broadcasts, &broadcast);
                    let pushed = broadcasts.push_own(broadcast);
                    let after = ids(&broadcasts);
                    let Ok(dropped) = pushed else {
                        prop_assert_eq!(before, after);
                        continue;
                    };
                    prop_assert!(after.contains(&id));
                    prop_assert_eq!(evicted(&before, &after, replaced), dropped);
                    sent.insert(id, (0, now));
                }
                Step::Forward(broadcast) => {
                    let id = broadcast.id.clone();
                    let same_subject = same_subject(&broadcasts, &broadcast);
                    let dropped = broadcasts.pass_on(broadcast);
                    let after = ids(&broadcasts);
                    if same_subject.as_ref().is_some_and(|same_subject| *same_subject >= id) {
                        prop_assert_eq!((before, 0), (after, dropped));
                        continue;
                    }
                    let dropped_itself = !after.contains(&id);
                    let dropped_others = dropped - u64::from(dropped_itself);
                    prop_assert_eq!(evicted(&before, &after, same_subject), dropped_others);
                    sent.insert(id, (0, now));
                }
                Step::Transmit(offers) => {
                    let mut offers = offers.into_iter();
                    let mut offered = vec![];
                    broadcasts.transmit(LIMIT, None, 9, |broadcast| {
                        let sent = sent.get_mut(&broadcast.id).expect("it was queued");
                        offered.push(*sent);
                        let offer = offers.next().unwrap_or(Offer::NoRoom);
                        sent.0 += u32::from(offer != Offer::NoRoom);
                        offer
                    });
                    prop_assert!(offered.is_sorted(), "least-sent, then oldest: {:?}", offered);
                    let left = before.into_iter().filter(|id| sent[id].0 < LIMIT).collect();
                    prop_assert_eq!(ids(&broadcasts), left);
                }
            }
            broadcasts.check();
        }
    }
}

/// The queued broadcast with the same subject.
fn same_subject(broadcasts: &Broadcasts, broadcast: &Broadcast) -> Option<BroadcastId> {
    Some(broadcasts.queued_for(&broadcast.subject())?.broadcast.id.clone())
}

/// The number of broadcasts evicted and not replaced; none may be an own one.
fn evicted(
    before: &BTreeSet<BroadcastId>,
    after: &BTreeSet<BroadcastId>,
    replaced: Option<BroadcastId>,
) -> u64 {
    let evicted = before.difference(after).filter(|&id| Some(id) != replaced.as_ref());
    evicted.inspect(|id| assert_ne!(id.origin.as_str(), "n0", "{id:?} is an own broadcast")).count()
        as u64
}

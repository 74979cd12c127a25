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

/// A queue with room for so many, whatever their size.
fn queue(max_count: usize) -> Broadcasts {
    Broadcasts::new(max_count, 1 << 20)
}

/// The numbers of those that a datagram with room for so many takes.
fn told(broadcasts: &mut Broadcasts, room: usize) -> Vec<u64> {
    let mut told = vec![];
    broadcasts.transmit(2, None, 9, |broadcast| {
        if told.len() == room {
            return Offer::NoRoom;
        }
        told.push(broadcast.id.number);
        Offer::Added
    });
    told
}

fn ids(broadcasts: &Broadcasts) -> BTreeSet<BroadcastId> {
    broadcasts.queued.values().map(|queued| queued.broadcast.id.clone()).collect()
}

#[test]
fn the_least_sent_comes_first_and_each_is_sent_up_to_the_limit() {
    let mut broadcasts = queue(8);
    broadcasts.push_own(own(1)).unwrap();
    assert_eq!(broadcasts.pass_on(others(2)), 0);
    broadcasts.push_own(own(3)).unwrap();
    assert_eq!(told(&mut broadcasts, 2), [1, 2]);
    assert_eq!(broadcasts.first().map(|first| first.id.number), Some(3));
    assert_eq!(told(&mut broadcasts, 2), [3, 1]);
    assert_eq!(broadcasts.len(), 2);
    assert_eq!(told(&mut broadcasts, 2), [2, 3]);
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
fn a_later_one_with_the_same_key_replaces_the_earlier_one() {
    let mut broadcasts = queue(8);
    for origin in [OWN, 1] {
        for number in [1, 2] {
            let keyed = broadcast(origin, number, "leader", 10);
            if origin == OWN {
                broadcasts.push_own(keyed).unwrap();
            } else {
                assert_eq!(broadcasts.pass_on(keyed), 0);
            }
            assert_eq!(told(&mut broadcasts, 1), [number], "it is told from the start");
        }
    }
    assert_eq!(broadcasts.len(), 2, "another origin's key is another key");
    broadcasts.check();
}

#[test]
fn an_earlier_one_that_comes_late_does_not_replace_the_later_one() {
    let mut broadcasts = queue(8);
    for number in [2, 1, 2] {
        assert_eq!(broadcasts.pass_on(broadcast(1, number, "leader", 10)), 0);
    }
    assert_eq!(told(&mut broadcasts, 8), [2]);

    let mut next_life = broadcast(1, 0, "leader", 10);
    next_life.id.generation = 2;
    assert_eq!(broadcasts.pass_on(next_life), 0);
    assert_eq!(told(&mut broadcasts, 8), [0]);
}

#[test]
fn those_without_a_key_replace_none_and_each_is_queued_once() {
    let mut broadcasts = queue(8);
    broadcasts.push_own(own(1)).unwrap();
    broadcasts.push_own(own(2)).unwrap();
    for number in [1, 2, 2] {
        assert_eq!(broadcasts.pass_on(others(number)), 0);
    }
    assert_eq!(told(&mut broadcasts, 8), [1, 2, 1, 2]);
}

#[test]
fn own_ones_are_never_dropped_and_a_full_queue_says_so() {
    let mut broadcasts = queue(2);
    broadcasts.push_own(broadcast(OWN, 1, "leader", 10)).unwrap();
    broadcasts.push_own(own(2)).unwrap();
    assert_eq!(broadcasts.push_own(own(3)), Err(Full));
    assert_eq!(broadcasts.pass_on(others(4)), 1, "nor do others push them out");
    assert_eq!(broadcasts.push_own(broadcast(OWN, 5, "leader", 1 << 20)), Err(Full));
    assert_eq!(broadcasts.push_own(broadcast(OWN, 6, "leader", 10)), Ok(0), "it has a place");
    assert_eq!(told(&mut broadcasts, 8), [2, 6]);
    broadcasts.check();
}

#[test]
fn others_do_not_replace_what_is_our_own() {
    let mut broadcasts = queue(8);
    broadcasts.push_own(broadcast(OWN, 1, "leader", 10)).unwrap();
    assert_eq!(broadcasts.pass_on(broadcast(OWN, u64::MAX, "leader", 10)), 0);
    assert_eq!(told(&mut broadcasts, 8), [1]);

    assert_eq!(broadcasts.pass_on(own(2)), 0, "forged, or from an earlier life");
    broadcasts.push_own(own(2)).unwrap();
    broadcasts.check();
    assert_eq!(broadcasts.own.count, 2);
}

#[test]
fn those_that_are_passed_on_make_room_for_our_own() {
    let mut broadcasts = queue(4);
    for number in [1, 2] {
        assert_eq!(broadcasts.pass_on(others(number)), 0);
    }
    let dropped = [3, 4, 5, 6].map(|number| broadcasts.push_own(own(number)));
    assert_eq!(dropped, [Ok(0), Ok(0), Ok(1), Ok(1)]);
    assert_eq!(told(&mut broadcasts, 8), [3, 4, 5, 6]);
}

#[test]
fn at_most_half_are_passed_on_and_the_most_sent_makes_room_then_the_oldest() {
    let mut broadcasts = queue(6);
    broadcasts.push_own(own(0)).unwrap();
    for number in [1, 2, 3] {
        assert_eq!(broadcasts.pass_on(others(number)), 0);
    }
    assert_eq!(told(&mut broadcasts, 3), [0, 1, 2]);
    for number in [4, 5, 6] {
        assert_eq!(broadcasts.pass_on(others(number)), 1);
        broadcasts.check();
    }
    assert_eq!(told(&mut broadcasts, 8), [4, 5, 6, 0], "1, 2 and 3 went, in this order");
}

#[test]
fn bytes_are_bounded_as_the_count_is() {
    let each = others(1).load().bytes;
    let mut broadcasts = Broadcasts::new(100, 4 * each + 1);
    assert_eq!([1, 2, 3].map(|number| broadcasts.pass_on(others(number))), [0, 0, 1]);
    assert_eq!([4, 5, 6].map(|number| broadcasts.push_own(own(number))), [Ok(0), Ok(0), Ok(1)]);
    assert_eq!(broadcasts.push_own(broadcast(OWN, 7, "", 11)), Ok(1), "to the last byte");
    assert_eq!(broadcasts.push_own(own(8)), Err(Full));
}

#[test]
fn one_that_never_fits_is_dropped_alone() {
    let mut broadcasts = Broadcasts::new(8, 4096);
    assert_eq!(broadcasts.pass_on(others(1)), 0);
    assert_eq!(broadcasts.pass_on(broadcast(1, 2, "", 2048)), 1);
    assert_eq!(told(&mut broadcasts, 8), [1]);

    assert_eq!(Broadcasts::new(1, 4096).pass_on(others(1)), 1, "half of one is none");
}

#[test]
fn cleared_broadcasts_are_not_sent() {
    let mut broadcasts = queue(2);
    broadcasts.push_own(own(1)).unwrap();
    broadcasts.clear();
    broadcasts.check();
    assert!(told(&mut broadcasts, 8).is_empty());
    assert_eq!(broadcasts.push_own(own(2)), Ok(0));
}

#[test]
fn sending_a_few_allocates_nothing_once_warm() {
    // As many as one node of a tree holds: of more, some change nodes, which come and go.
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
    Others(Broadcast),
    /// What comes of each offer.
    Tell(Vec<Offer>),
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
        broadcasts(1..4u8).prop_map(Step::Others),
        broadcasts(OWN..1).prop_map(Step::Own),
        prop::collection::vec(offers, 0..8).prop_map(Step::Tell),
    ];
    prop::collection::vec(step, 0..100)
}

#[test]
fn each_goes_to_all_others_before_it_goes_to_one_again() {
    for (count, others) in [(1, 3), (3, 3), (6, 3), (4, 5)] {
        let mut broadcasts = queue(100);
        for number in 0..count {
            broadcasts.push_own(own(number)).unwrap();
        }
        let mut told = vec![vec![]; count as usize];
        // One in each datagram, to those others in turn.
        for turn in 0..100 * count as u32 {
            let mut room = 1;
            let receiver = MemberKey::for_test(turn % others + 1);
            broadcasts.transmit(1000, Some(receiver), others as usize, |broadcast| {
                if room == 0 {
                    return Offer::NoRoom;
                }
                room = 0;
                told[broadcast.id.number as usize].push(receiver);
                Offer::Added
            });
        }
        for told in told {
            for round in told.chunks_exact(others as usize) {
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
    fn each_is_sent_in_turn_up_to_the_limit_and_none_of_our_own_is_lost(steps in steps()) {
        const LIMIT: u32 = 3;
        let mut broadcasts = Broadcasts::new(8, 4096);
        // How often each was told, and when it came.
        let mut told = BTreeMap::<BroadcastId, (u32, usize)>::new();
        for (now, step) in steps.into_iter().enumerate() {
            let before = ids(&broadcasts);
            match step {
                Step::Own(mut broadcast) => {
                    broadcast.id.number = now as u64;
                    let id = broadcast.id.clone();
                    let replaced = rival(&broadcasts, &broadcast);
                    let pushed = broadcasts.push_own(broadcast);
                    let after = ids(&broadcasts);
                    let Ok(dropped) = pushed else {
                        prop_assert_eq!(before, after);
                        continue;
                    };
                    prop_assert!(after.contains(&id));
                    prop_assert_eq!(lost(&before, &after, replaced), dropped);
                    told.insert(id, (0, now));
                }
                Step::Others(broadcast) => {
                    let id = broadcast.id.clone();
                    let rival = rival(&broadcasts, &broadcast);
                    let dropped = broadcasts.pass_on(broadcast);
                    let after = ids(&broadcasts);
                    if rival.as_ref().is_some_and(|rival| *rival >= id) {
                        prop_assert_eq!((before, 0), (after, dropped));
                        continue;
                    }
                    let dropped_itself = !after.contains(&id);
                    let dropped_others = dropped - u64::from(dropped_itself);
                    prop_assert_eq!(lost(&before, &after, rival), dropped_others);
                    told.insert(id, (0, now));
                }
                Step::Tell(offers) => {
                    let mut offers = offers.into_iter();
                    let mut turns = vec![];
                    broadcasts.transmit(LIMIT, None, 9, |broadcast| {
                        let told = told.get_mut(&broadcast.id).expect("it was pushed");
                        turns.push(*told);
                        let offer = offers.next().unwrap_or(Offer::NoRoom);
                        told.0 += u32::from(offer != Offer::NoRoom);
                        offer
                    });
                    prop_assert!(turns.is_sorted(), "least told, then oldest: {:?}", turns);
                    let left = before.into_iter().filter(|id| told[id].0 < LIMIT).collect();
                    prop_assert_eq!(ids(&broadcasts), left);
                }
            }
            broadcasts.check();
        }
    }
}

/// Which one about the same is queued.
fn rival(broadcasts: &Broadcasts, broadcast: &Broadcast) -> Option<BroadcastId> {
    Some(broadcasts.about(&broadcast.subject())?.broadcast.id.clone())
}

/// How many others' are gone that were not replaced; none of our own may be.
fn lost(
    before: &BTreeSet<BroadcastId>,
    after: &BTreeSet<BroadcastId>,
    replaced: Option<BroadcastId>,
) -> u64 {
    let lost = before.difference(after).filter(|&id| Some(id) != replaced.as_ref());
    lost.inspect(|id| assert_ne!(id.origin.as_str(), "n0", "{id:?} is our own")).count() as u64
}

use super::*;
use crate::incarnation::Incarnation;
use crate::member::{Meta, ProtocolVersions};
use crate::membership::claim::{Change, Claim, Profile};
use crate::rng::{Rng, RngStream};
use alloc::format;
use alloc::vec;
use proptest::prelude::*;

fn addr(n: u8) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, n], 7946))
}

fn id(n: u8) -> NodeId {
    NodeId::new(&format!("n{n}")).unwrap()
}

fn table(max: usize) -> Members {
    let local = Member::new(id(0), addr(1), Incarnation::default(), Meta::EMPTY);
    Members::new(
        &ClusterName::new("test").unwrap(),
        local,
        ProtocolVariant::Tidings,
        max,
        Rng::new([7; 32], RngStream::Members),
    )
}

fn at(number: u64) -> Incarnation {
    Incarnation { generation: 1, number }
}

fn claim(n: u8, number: u64, state: State) -> Claim {
    let profile = Some(profile(addr(n + 1), Meta::EMPTY));
    Claim { id: id(n), incarnation: at(number), state, profile }
}

fn profile(addr: SocketAddr, meta: Meta) -> Profile {
    Profile { addr, meta, versions: ProtocolVersions::default(), told: false }
}

fn bare(n: u8, number: u64, state: State) -> Claim {
    Claim { profile: None, ..claim(n, number, state) }
}

/// The members whose records a sync sends to `receiver`.
fn shared(members: &Members, receiver: Option<&NodeId>) -> Vec<NodeId> {
    let shared = members.table.iter().filter(|(key, _)| members.is_shared(*key, receiver));
    shared.map(|(_, slot)| slot.member.id.clone()).collect()
}

const NOW: Instant = Instant::ZERO;

#[test]
fn precedence_is_that_of_swim_and_a_leave_beats_a_failure() {
    use State::{Alive, Failed, Left, Suspect};
    // The known record, the claim, and whether the claim wins.
    for (known, claimed, wins) in [
        ((1, Alive), (1, Alive), false),
        ((1, Alive), (2, Alive), true),
        ((1, Alive), (1, Suspect), true),
        ((2, Alive), (1, Suspect), false),
        ((1, Suspect), (1, Alive), false),
        ((1, Suspect), (2, Alive), true),
        ((1, Suspect), (1, Failed), true),
        ((1, Failed), (1, Suspect), false),
        ((1, Failed), (2, Alive), true),
        ((1, Failed), (1, Left), true),
        ((1, Left), (1, Failed), false),
        ((2, Left), (1, Failed), false),
    ] {
        let mut members = table(10);
        members.apply(NOW, &claim(1, 1, Alive), true);
        members.apply(NOW, &claim(1, known.0, known.1), true);
        members.apply(NOW, &claim(1, claimed.0, claimed.1), true);
        let member = &members[members.find(&id(1)).unwrap()];
        let expected = if wins { claimed } else { known };
        assert_eq!((member.incarnation.number, member.state), expected, "{known:?} {claimed:?}");
        members.check();
    }
}

#[test]
fn a_full_table_forgets_tombstones_before_it_rejects_new_members() {
    let mut members = table(3);
    members.apply(NOW, &claim(1, 0, State::Alive), true);
    members.apply(NOW, &claim(2, 0, State::Alive), true);
    assert_eq!(members.apply(NOW, &claim(3, 0, State::Alive), true), Change::Full);
    members.apply(NOW, &bare(1, 0, State::Failed), true);
    assert!(matches!(members.apply(NOW, &claim(3, 0, State::Alive), true), Change::Joined(_)));
    assert_eq!(members.find(&id(1)), None);
    members.check();
}

#[test]
fn members_that_failed_at_one_instant_are_picked_for_gossip_once_each() {
    let mut members = table(10);
    for number in 0..50 {
        for n in [1, 2] {
            members.apply(NOW, &claim(n, number, State::Alive), true);
            members.apply(NOW, &bare(n, number, State::Failed), true);
        }
        members.check();
    }
    assert!(members.tombstones.len() <= 6);
    let (mut recent, mut picked) = (vec![], vec![]);
    let mut rng = Rng::new([1; 32], RngStream::Gossip);
    members.pick_for_gossip(&mut rng, 3, NOW, &mut recent, &mut picked);
    assert_eq!(picked.len(), 2);
}

#[test]
fn a_member_known_gone_by_hearsay_is_not_shared_and_so_is_forgotten_by_all() {
    let mut members = table(10);
    members.apply(NOW, &claim(1, 0, State::Failed), true);
    members.apply(NOW, &claim(2, 0, State::Alive), true);
    members.apply(NOW, &bare(2, 0, State::Failed), true);
    assert_eq!(shared(&members, None), [id(0), id(2)]);
    assert_eq!(
        shared(&members, Some(&id(1))),
        [id(0), id(1), id(2)],
        "but it is shared with its subject"
    );
    // Its tombstone still keeps stale updates from bringing the member back.
    assert!(matches!(members.apply(NOW, &claim(1, 0, State::Alive), true), Change::Stale(_)));
}

#[test]
fn a_suspicion_of_an_incarnation_that_we_missed_does_not_block_its_profile() {
    let mut members = table(10);
    members.apply(NOW, &claim(1, 0, State::Alive), true);
    members.apply(NOW, &bare(1, 2, State::Suspect), true);
    let mut moved = claim(1, 2, State::Alive);
    moved.profile = Some(profile(addr(99), Meta::from("new")));
    assert!(matches!(members.apply(NOW, &moved, true), Change::Updated(..)));
    let key = members.find(&id(1)).unwrap();
    assert_eq!((members[key].addr(), members[key].state), (addr(99), State::Suspect));
    assert_eq!(members.find_addr(addr(99)), Some(key));
    assert_eq!(members.find_addr(addr(2)), None);
}

#[test]
fn a_failed_member_takes_no_address_from_one_that_is_present() {
    let mut members = table(10);
    members.apply(NOW, &claim(1, 0, State::Alive), true);
    let mut failed = claim(2, 0, State::Failed);
    failed.profile = Some(profile(addr(2), Meta::EMPTY));
    members.apply(NOW, &failed, true);
    assert_eq!(members.find_addr(addr(2)), members.find(&id(1)));
    failed.state = State::Alive;
    failed.incarnation = at(1);
    members.apply(NOW, &failed, true);
    assert_eq!(members.find_addr(addr(2)), members.find(&id(2)));
}

#[test]
fn an_address_that_was_shared_belongs_to_the_member_that_stays() {
    let mut members = table(10);
    let moved = |n, number, at| Claim {
        profile: Some(profile(addr(at), Meta::EMPTY)),
        ..claim(n, number, State::Alive)
    };
    members.apply(NOW, &moved(1, 0, 50), true);
    members.apply(NOW, &moved(2, 0, 50), true);
    members.apply(NOW, &moved(2, 1, 51), true);
    members.apply(NOW, &moved(1, 1, 50), true);
    assert_eq!(members.find_addr(addr(50)), members.find(&id(1)));
    assert_eq!(members.find_addr(addr(51)), members.find(&id(2)));
}

#[test]
fn the_profile_of_an_earlier_incarnation_is_not_shared_with_a_later_one() {
    let mut members = table(10);
    members.apply(NOW, &claim(1, 0, State::Alive), true);
    members.apply(NOW, &bare(1, 2, State::Suspect), true);
    assert_eq!(shared(&members, None), [id(0)]);
    assert_eq!(shared(&members, Some(&id(1))), [id(0), id(1)]);
}

fn claims() -> impl Strategy<Value = Claim> {
    let state = prop_oneof![
        Just(State::Alive),
        Just(State::Suspect),
        Just(State::Failed),
        Just(State::Left)
    ];
    (1..6u8, 0..4u64, state, any::<bool>()).prop_map(|(n, number, state, with_profile)| {
        if with_profile { claim(n, number, state) } else { bare(n, number, state) }
    })
}

/// Claims with profiles, as they travel in a sync, including those that only two nodes of one name
/// can cause.
fn tables() -> impl Strategy<Value = Vec<Claim>> {
    let claim = (claims(), 0..3u8, prop_oneof![Just(""), Just("a"), Just("b")]);
    let whole = claim.prop_map(|(claim, addr, meta)| {
        let addr = self::addr(100 + addr);
        Claim { profile: Some(profile(addr, Meta::from(meta))), ..claim }
    });
    prop::collection::vec(whole, 0..20)
}

fn built(claims: &[Claim]) -> Members {
    let mut members = table(10);
    for claim in claims {
        members.apply(NOW, claim, true);
    }
    members
}

fn merged(a: &[Claim], b: &[Claim]) -> Members {
    merge(built(a), &built(b))
}

/// Applies all records of another table.
fn merge(mut members: Members, other: &Members) -> Members {
    for member in other.iter().skip(1) {
        let Member { id, incarnation, state, meta, .. } = member.clone();
        let profile = Some(profile(member.addr(), meta));
        members.apply(NOW, &Claim { id, incarnation, state, profile }, true);
    }
    members.check();
    members
}

/// All records of a table, in the order of names.
fn known(members: &Members) -> Vec<(NodeId, Incarnation, State, SocketAddr, Vec<u8>)> {
    let all = |m: &Member| (m.id.clone(), m.incarnation, m.state, m.addr(), m.meta.to_vec());
    let mut known: Vec<_> = members.iter().map(all).collect();
    known.sort();
    known
}

proptest! {
    #[test]
    fn the_table_is_consistent_after_any_claims(
        claims in prop::collection::vec(claims(), 0..200),
        probes in prop::collection::vec(any::<bool>(), 200),
    ) {
        let mut members = table(4);
        for (n, (claim, probe)) in claims.iter().zip(probes).enumerate() {
            members.apply(Instant::from_nanos(n as u64 / 3), claim, true);
            if probe {
                let target = members.next_to_probe();
                prop_assert_eq!(target.is_some(), members.present_count() > 1);
            }
            members.check();
        }
        members.reap(Instant::MAX);
        members.check();
        prop_assert_eq!(members.len(), members.present_count());
    }

    #[test]
    fn the_order_of_claims_about_known_members_does_not_matter(
        (claims, shuffled) in prop::collection::vec(claims(), 0..40)
            .prop_flat_map(|claims| (Just(claims.clone()), Just(claims).prop_shuffle())),
    ) {
        let known_after = |claims: &[Claim]| {
            let mut members = table(10);
            for n in 1..6 {
                members.apply(NOW, &claim(n, 0, State::Alive), true);
            }
            for claim in claims {
                members.apply(NOW, claim, true);
            }
            known(&members)
        };
        prop_assert_eq!(known_after(&claims), known_after(&shuffled));
    }

    #[test]
    fn a_merge_is_commutative(a in tables(), b in tables()) {
        prop_assert_eq!(known(&merged(&a, &b)), known(&merged(&b, &a)));
    }

    #[test]
    fn a_merge_is_associative(a in tables(), b in tables(), c in tables()) {
        let left = merge(merged(&a, &b), &built(&c));
        let right = merge(built(&a), &merged(&b, &c));
        prop_assert_eq!(known(&left), known(&right));
    }

    #[test]
    fn a_merge_is_idempotent(a in tables(), b in tables()) {
        let once = merged(&a, &b);
        let twice = merge(merged(&a, &b), &built(&b));
        prop_assert_eq!(known(&once), known(&twice));
        prop_assert_eq!(once.digest(), twice.digest());
    }

    #[test]
    fn a_merge_is_monotone(a in tables(), b in tables()) {
        let (before, after) = (built(&a), merged(&a, &b));
        for member in before.iter().skip(1) {
            let later = &after[after.find(&member.id).unwrap()];
            let standing = |member: &Member| {
                (member.incarnation, member.addr(), member.meta.as_bytes().to_vec())
            };
            prop_assert!(later.incarnation >= member.incarnation);
            prop_assert!(standing(later) >= standing(member));
            prop_assert!(later.incarnation > member.incarnation || later.state >= member.state);
        }
    }

    #[test]
    fn tables_with_the_same_records_have_the_same_digest(
        (claims, shuffled) in tables()
            .prop_flat_map(|claims| (Just(claims.clone()), Just(claims).prop_shuffle())),
    ) {
        let (a, b) = (built(&claims), built(&shuffled));
        prop_assert_eq!(known(&a), known(&b));
        prop_assert_eq!(a.digest(), b.digest());
    }

    #[test]
    fn each_member_is_probed_once_per_pass_after_any_joins_and_failures(
        claims in prop::collection::vec(claims(), 0..60),
        probes in 0..20usize,
    ) {
        let mut members = table(10);
        for claim in &claims {
            members.apply(NOW, claim, true);
        }
        for _ in 0..probes {
            members.next_to_probe();
        }
        let present = members.present_count() - 1;
        // Two picks of a member are at most 2n - 1 apart (SWIM §4.3).
        let picks: Vec<_> =
            (0..6 * present).map(|_| members.next_to_probe().unwrap()).collect();
        for window in picks.windows((2 * present).saturating_sub(1).max(1)) {
            let mut seen = window.to_vec();
            seen.sort();
            seen.dedup();
            prop_assert_eq!(seen.len(), present);
        }
    }
}

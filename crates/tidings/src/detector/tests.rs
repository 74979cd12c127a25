use super::*;
use crate::config::variant::ProtocolVariant;
use crate::incarnation::Incarnation;
use crate::member::Member;
use crate::member::{ClusterName, Meta, NodeId};
use crate::membership::claim::{Claim, Profile};
use alloc::vec::Vec;
use alloc::{format, vec};

/// A detector among `others` members, in virtual time.
struct Bench {
    detector: Detector,
    members: Members,
    timers: Timers,
    options: Options,
    now: Instant,
}

impl Bench {
    fn new(others: u8) -> Self {
        let options = Options::lan();
        let local = Member::new(id(0), addr(0), Incarnation::default(), Meta::EMPTY);
        let mut members = Members::new(
            &ClusterName::new("test").unwrap(),
            local,
            ProtocolVariant::Tidings,
            options.max_members,
            Rng::new([1; 32], RngStream::Members),
        );
        for n in 1..=others {
            members.apply(Instant::ZERO, &claim(n, State::Alive), true);
        }
        let detector = Detector::new([1; 32], &options, Instant::ZERO);
        Self { detector, members, timers: Timers::default(), options, now: Instant::ZERO }
    }

    fn with<R>(&mut self, call: impl FnOnce(&mut Detector, &mut Context<'_>) -> R) -> R {
        let Self { detector, members, timers, options, now } = self;
        call(detector, &mut Context { now: *now, timers, members, options })
    }

    fn key(&self, n: u8) -> MemberKey {
        self.members.find(&id(n)).unwrap()
    }

    /// Begins a probe round of member `n`; returns its token.
    fn probe(&mut self, n: u8) -> u32 {
        let target = self.key(n);
        self.with(|detector, cx| {
            detector.begin_round(cx);
            detector.begin_probe(cx, target)
        })
    }

    fn suspect(&mut self, n: u8) -> MemberKey {
        let key = self.key(n);
        self.members.apply(self.now, &claim(n, State::Suspect), true);
        self.with(|detector, cx| detector.suspect(cx, key, Accuser::Short(1)));
        key
    }

    fn timer(&self, key: TimerKey) -> Option<Duration> {
        self.timers.at(key).map(|at| at.since(self.now))
    }
}

fn id(n: u8) -> NodeId {
    NodeId::new(&format!("n{n}")).unwrap()
}

fn addr(n: u8) -> SocketAddr {
    ([10, 0, 0, n], 7946).into()
}

fn claim(n: u8, state: State) -> Claim {
    let profile =
        Profile { addr: addr(n), meta: Meta::EMPTY, versions: Default::default(), told: false };
    Claim { id: id(n), incarnation: Incarnation::default(), state, profile: Some(profile) }
}

const SECOND: Duration = Duration::from_secs(1);
const ROUND: TimerKey = TimerKey::Fixed(FixedTimer::Probe);
const ACK: TimerKey = TimerKey::Fixed(FixedTimer::ProbeTimeout);

mod probe_round {
    use super::*;

    #[test]
    fn a_round_sets_its_end_and_the_timeout_of_the_direct_ping() {
        let mut bench = Bench::new(3);
        bench.probe(1);
        assert_eq!(bench.timer(ROUND), Some(bench.options.probe_interval));
        assert_eq!(bench.timer(ACK), Some(bench.options.probe_timeout), "no round trip is known");
    }

    #[test]
    fn an_ack_ends_the_wait_for_it_and_a_second_one_is_stray() {
        let mut bench = Bench::new(3);
        let token = bench.probe(1);
        bench.now += SECOND / 10;
        let target = bench.key(1);
        let acked = bench.with(|detector, cx| detector.on_ack(cx, token));
        assert_eq!(acked, AckedPing::Probe { target, rtt: SECOND / 10 });
        assert_eq!(bench.timer(ACK), None);
        let again = bench.with(|detector, cx| detector.on_ack(cx, token));
        assert_eq!(again, AckedPing::Stray);
    }
}

mod indirect_probe {
    use super::*;

    #[test]
    fn relays_are_asked_only_without_an_ack_and_never_include_the_target() {
        let mut bench = Bench::new(6);
        let mut relays = Vec::new();
        let token = bench.probe(1);
        bench.now += bench.options.probe_timeout;
        let round = bench.with(|detector, cx| detector.on_probe_timeout(cx, &mut relays)).unwrap();
        assert_eq!((round.target, round.token), (bench.key(1), token));
        assert_eq!(relays.len(), bench.options.indirect_probes);
        assert!(!relays.contains(&round.target));

        bench.with(|detector, cx| detector.on_ack(cx, token));
        assert_eq!(bench.with(|detector, cx| detector.on_probe_timeout(cx, &mut relays)), None);
    }

    #[test]
    fn a_forwarded_ping_is_nacked_at_four_fifths_of_its_time_and_then_ends() {
        let mut bench = Bench::new(3);
        let own = bench
            .with(|detector, cx| detector.forward_ping(cx, addr(2), 70, Some(SECOND), true))
            .unwrap();
        let timer = TimerKey::IndirectPing(own);
        assert_eq!(bench.timer(timer), Some(SECOND * 4 / 5));
        let Bench { detector, timers, .. } = &mut bench;
        assert_eq!(detector.on_indirect_ping_timeout(timers, own), Some((addr(2), 70)));
        assert_eq!(bench.timer(timer), Some(SECOND), "an ack may still come");
        let Bench { detector, timers, .. } = &mut bench;
        assert_eq!(detector.on_indirect_ping_timeout(timers, own), None);
        let late = bench.with(|detector, cx| detector.on_ack(cx, own));
        assert_eq!(late, AckedPing::Stray);
    }

    #[test]
    fn the_ack_of_a_forwarded_ping_carries_the_askers_token() {
        let mut bench = Bench::new(3);
        let own =
            bench.with(|detector, cx| detector.forward_ping(cx, addr(2), 70, None, false)).unwrap();
        let acked = bench.with(|detector, cx| detector.on_ack(cx, own));
        assert_eq!(acked, AckedPing::Forwarded { asker: addr(2), token: 70 });
    }
}

mod local_health {
    use super::*;

    /// Probes member `n`, which is not acked; returns its relays and the token.
    fn begin_silent_round(bench: &mut Bench, n: u8) -> (Vec<MemberKey>, u32) {
        let token = bench.probe(n);
        bench.now += bench.options.probe_timeout;
        let mut relays = Vec::new();
        bench.with(|detector, cx| detector.on_probe_timeout(cx, &mut relays));
        (relays, token)
    }

    /// Ends the round; returns the members of the search that it begins.
    fn end_round(bench: &mut Bench) -> Vec<MemberKey> {
        bench.now += SECOND - bench.options.probe_timeout;
        let mut picked = Vec::new();
        bench.with(|detector, cx| while detector.end_probe(cx, |_| false).is_some() {});
        bench.with(|detector, cx| detector.end_round(cx, &mut picked));
        picked
    }

    #[test]
    fn rounds_without_ack_or_nacks_worsen_it_and_the_next_round_is_longer() {
        let mut bench = Bench::new(6);
        let (relays, _) = begin_silent_round(&mut bench, 1);
        let searched = end_round(&mut bench);
        assert!(relays.iter().all(|relay| searched.contains(relay)), "they are asked again");
        assert_eq!(bench.detector.health(), 0, "the relays may be gone too");
        let asked = relays.len() + begin_silent_round(&mut bench, 2).0.len();
        end_round(&mut bench);
        assert_eq!(bench.detector.health(), asked as u32, "nobody is heard");
        bench.probe(3);
        let round = bench.options.probe_interval * (asked as u32 + 1);
        assert_eq!(bench.timer(ROUND), Some(round));
    }

    #[test]
    fn without_recent_relays_each_missed_nack_counts_at_once() {
        let mut bench = Bench::new(6);
        bench.options.recent_relays = false;
        let asked = begin_silent_round(&mut bench, 1).0.len();
        assert_eq!(end_round(&mut bench), [], "there is no search");
        assert_eq!(bench.detector.health(), asked as u32);
    }

    #[test]
    fn silent_relays_do_not_count_if_those_found_instead_answer() {
        let mut bench = Bench::new(9);
        begin_silent_round(&mut bench, 1);
        let searched = end_round(&mut bench);
        let found = *searched.last().unwrap();
        let token = bench.detector.search(found, false);
        let acked = bench.with(|detector, cx| detector.on_ack(cx, token));
        assert_eq!(acked, AckedPing::Search);

        let target = (2..=9).find(|&n| bench.key(n) != found).unwrap();
        let (relays, token) = begin_silent_round(&mut bench, target);
        assert_eq!((relays[0], relays.len()), (found, 3), "who was found is the first relay");
        let addr = bench.members[found].addr();
        assert!(bench.with(|detector, cx| detector.on_nack(cx, token, addr, false)));
        assert!(bench.detector.lease.is_valid(bench.now), "the nack shows that this node hears");
        end_round(&mut bench);
        assert_eq!(bench.detector.health(), 0);
        let target = (2..=9).rev().find(|&n| bench.key(n) != found).unwrap();
        begin_silent_round(&mut bench, target);
        end_round(&mut bench);
        assert_eq!(bench.detector.health(), 1, "now its silence counts");
    }

    #[test]
    fn nacks_of_all_relays_restore_it_and_acks_improve_it() {
        let mut bench = Bench::new(6);
        let mut relays = Vec::new();
        bench.detector.on_refuted();
        assert_eq!(bench.detector.health(), 1);
        let token = bench.probe(1);
        bench.now += bench.options.probe_timeout;
        bench.with(|detector, cx| detector.on_probe_timeout(cx, &mut relays));
        for &relay in &relays {
            let addr = bench.members[relay].addr();
            assert!(bench.with(|detector, cx| detector.on_nack(cx, token, addr, false)));
        }
        bench.with(|detector, cx| detector.end_probe(cx, |_| false));
        assert_eq!(bench.detector.health(), 0, "every relay sent a nack");
        bench.detector.on_refuted();
        let token = bench.probe(2);
        bench.with(|detector, cx| detector.on_ack(cx, token));
        bench.with(|detector, cx| detector.end_probe(cx, |_| false));
        assert_eq!(bench.detector.health(), 0);
    }

    #[test]
    fn an_ack_over_a_stream_alone_leaves_it() {
        let mut bench = Bench::new(3);
        bench.detector.on_refuted();
        let token = bench.probe(1);
        assert_eq!(bench.detector.on_stream_ack(&mut bench.timers, token), Some(bench.key(1)));
        bench.with(|detector, cx| detector.end_probe(cx, |_| false));
        assert_eq!(bench.detector.health(), 1);
    }
}

mod wide_probes {
    use super::*;

    /// Ends a round with so many acks and silent targets.
    fn round(bench: &mut Bench, acked: u32, silent: u32) -> usize {
        bench.with(|detector, cx| {
            detector.round = RoundTally { begun: cx.now, acked, silent, ..RoundTally::default() };
            detector.end_round(cx, &mut Vec::new());
            detector.width(cx)
        })
    }

    #[test]
    fn the_longer_all_are_silent_the_more_are_probed_at_once_by_a_node_that_is_well() {
        let mut bench = Bench::new(6);
        let rounds = [(0, 1), (0, 1), (0, 2), (0, 4), (0, 8), (0, 16), (0, 32)];
        let widths = rounds.map(|(acked, silent)| round(&mut bench, acked, silent));
        assert_eq!(widths, [1, 2, 4, 8, 16, 32, 32]);
        bench.with(|detector, cx| {
            detector.on_refuted();
            assert_eq!(detector.width(cx), 1, "it may be the one that is slow");
        });
        let mut bench = Bench::new(6);
        for _ in 0..4 {
            round(&mut bench, 0, 1);
        }
        bench.now += SECOND;
        assert_eq!(bench.with(|detector, cx| detector.width(cx)), 1, "it has heard nobody lately");
        bench.now = Instant::ZERO;
        bench.options.wide_probes = false;
        assert_eq!(bench.with(|detector, cx| detector.width(cx)), 1, "it is switched off");
    }

    #[test]
    fn acks_halve_what_silence_doubled_unless_suspects_await_a_confirmation() {
        let mut bench = Bench::new(6);
        for _ in 0..5 {
            round(&mut bench, 0, 1);
        }
        let widths = [(3, 5), (5, 3), (2, 0), (1, 0)].map(|(a, s)| round(&mut bench, a, s));
        assert_eq!(widths, [16, 2, 1, 1]);

        for _ in 0..5 {
            round(&mut bench, 0, 1);
        }
        let width = bench.with(|detector, cx| {
            detector.round = RoundTally { acked: 5, open: true, ..RoundTally::default() };
            detector.end_round(cx, &mut Vec::new());
            detector.width(cx)
        });
        assert_eq!(width, 16);
    }

    #[test]
    fn among_many_suspects_as_many_are_probed_as_it_takes_to_meet_one_that_is_none() {
        let mut bench = Bench::new(20);
        let mut widths = Vec::new();
        for n in 1..=20 {
            bench.suspect(n);
            widths.push(bench.with(|detector, cx| detector.width(cx)));
        }
        assert_eq!(widths[..9], [1; 9]);
        assert_eq!(widths[9..], [2, 2, 2, 2, 3, 4, 5, 6, 10, 20, 20]);
    }
}

mod suspicion {
    use super::*;

    #[test]
    fn a_suspicion_without_a_recent_ack_is_deferred_and_with_one_it_expires() {
        let mut bench = Bench::new(9);
        let key = bench.suspect(1);
        let timer = TimerKey::Suspicion(key);
        bench.now += bench.timer(timer).unwrap();
        assert!(!bench.with(|detector, cx| detector.on_suspicion_timeout(cx, key)));
        let minimum = bench.timer(timer).expect("it is set again");

        bench.now += minimum;
        bench.with(|detector, cx| detector.renew_lease(cx));
        assert!(bench.timer(timer).unwrap() >= minimum, "after a stall it has its minimum anew");
        bench.now += bench.timer(timer).unwrap();
        bench.with(|detector, cx| detector.renew_lease(cx));
        assert!(bench.with(|detector, cx| detector.on_suspicion_timeout(cx, key)));
    }

    #[test]
    fn it_expires_without_an_ack_if_the_option_is_off_or_all_others_are_suspected() {
        let mut bench = Bench::new(1);
        let key = bench.suspect(1);
        let timer = TimerKey::Suspicion(key);
        let longest = bench.timer(timer).unwrap();
        bench.now += longest;
        assert!(bench.with(|detector, cx| detector.on_suspicion_timeout(cx, key)));

        let mut bench = Bench::new(9);
        bench.options.require_recent_ack = false;
        let key = bench.suspect(1);
        assert!(bench.with(|detector, cx| detector.on_suspicion_timeout(cx, key)));
    }

    #[test]
    fn it_waits_for_no_more_confirmations_than_members_are_left_that_are_no_suspects() {
        for (limit, deadline) in [(true, [24_000, 24_000, 4_000]), (false, [24_000; 3])] {
            let mut bench = Bench::new(3);
            bench.options.limit_confirmations = limit;
            let first = bench.suspect(1);
            let mut deadlines = vec![bench.timer(TimerKey::Suspicion(first))];
            for n in 2..=3 {
                bench.suspect(n);
                deadlines.push(bench.timer(TimerKey::Suspicion(first)));
            }
            assert_eq!(deadlines, deadline.map(|ms| Some(Duration::from_millis(ms))));
        }
        let mut bench = Bench::new(3);
        let key = bench.suspect(1);
        bench.suspect(2);
        let Bench { detector, timers, .. } = &mut bench;
        assert!(detector.confirm(timers, key, &Accuser::Short(2)));
        assert_eq!(bench.timer(TimerKey::Suspicion(key)), Some(SECOND * 4), "of the one left");
    }

    #[test]
    fn a_verdict_outruns_a_suspicion_that_is_younger_than_half_of_the_minimum() {
        let mut bench = Bench::new(9);
        let key = bench.suspect(1);
        bench.now += SECOND * 2 - Duration::from_nanos(1);
        assert!(bench.detector.is_outrun(bench.now, &bench.options, key));
        bench.now += Duration::from_nanos(1);
        assert!(!bench.detector.is_outrun(bench.now, &bench.options, key));
        let Bench { detector, timers, .. } = &mut bench;
        detector.on_verdict(timers, key);
        assert_eq!(bench.timer(TimerKey::Suspicion(key)), Some(SECOND * 2), "it is the minimum");
        assert!(
            bench.detector.is_outrun(bench.now, &bench.options, key),
            "a further copy does not end it"
        );
    }

    #[test]
    fn each_further_accuser_brings_the_timeout_forward_and_a_departure_ends_it() {
        let mut bench = Bench::new(9);
        let key = bench.suspect(1);
        let timer = TimerKey::Suspicion(key);
        let longest = bench.timer(timer).unwrap();
        let Bench { detector, timers, .. } = &mut bench;
        assert!(!detector.confirm(timers, key, &Accuser::Short(1)), "it is the first accuser");
        assert!(detector.confirm(timers, key, &Accuser::Short(2)));
        assert!(bench.timer(timer).unwrap() < longest);
        bench.probe(1);
        let Bench { detector, timers, .. } = &mut bench;
        detector.on_departed(timers, key);
        assert_eq!(bench.timer(timer), None);
        assert_eq!(
            bench.with(|detector, cx| detector.end_probe(cx, |_| false)),
            None,
            "its probe ended too"
        );
    }
}

mod user_ping {
    use super::*;

    #[test]
    fn a_ping_ends_by_its_ack_by_its_timeout_or_by_a_cancel() {
        let mut bench = Bench::new(1);
        let [acked, late, cancelled] = [0, 1, 2].map(Ticket);
        let token = bench.with(|detector, cx| detector.ping(cx, acked)).unwrap();
        bench.now += SECOND / 2;
        let ack = bench.with(|detector, cx| detector.on_ack(cx, token));
        assert_eq!(ack, AckedPing::User { ticket: acked, rtt: SECOND / 2 });
        assert_eq!(bench.timer(TimerKey::UserPing(token)), None);

        let token = bench.with(|detector, cx| detector.ping(cx, late)).unwrap();
        assert_eq!(bench.detector.on_user_ping_timeout(token), Some(late));
        assert_eq!(bench.detector.on_user_ping_timeout(token), None);

        let token = bench.with(|detector, cx| detector.ping(cx, cancelled)).unwrap();
        let Bench { detector, timers, .. } = &mut bench;
        assert!(detector.cancel_user_ping(timers, cancelled));
        assert!(!detector.cancel_user_ping(timers, cancelled));
        assert_eq!(bench.timer(TimerKey::UserPing(token)), None);
    }

    #[test]
    fn no_more_than_max_pings_are_pending() {
        let mut bench = Bench::new(1);
        bench.detector =
            Detector::new([1; 32], &Options { max_pings: 1, ..Options::lan() }, bench.now);
        assert!(bench.with(|detector, cx| detector.ping(cx, Ticket(0))).is_some());
        assert!(bench.with(|detector, cx| detector.ping(cx, Ticket(1))).is_none());
    }
}

//! Seeds as a standing wish, readiness, restarts, and names that are taken.

use super::*;

impl Net {
    fn set_seeds(&mut self, here: usize, seeds: &[SocketAddr]) {
        self.command(here, |node, now| node.set_seeds(now, seeds)).unwrap();
    }

    /// The seeds that a node reported as failed, with their errors, in order.
    fn failed_seeds(&self, here: usize) -> Vec<(SocketAddr, ExchangeError)> {
        let failed = |event: &Event| match event {
            Event::SeedFailed { seed, error } => Some((*seed, *error)),
            _ => None,
        };
        self.nodes[here].events.iter().filter_map(|(_, event)| failed(event)).collect()
    }

    fn was_told_of_restart(&self, here: usize, other: usize) -> usize {
        let of = |member: &Member| *member.id() == id(other);
        let restarts = |(_, event): &&(Instant, Event)| match event {
            Event::Restarted { member, .. } => of(member),
            _ => false,
        };
        self.nodes[here].events.iter().filter(restarts).count()
    }
}

fn knows_all(net: &Net, here: usize, count: usize) -> bool {
    net.nodes[here].node.present_count() == count
}

mod attempts {
    use super::*;

    #[test]
    fn a_seed_that_starts_a_minute_later_is_found_within_its_backoff() {
        let mut net = Net::new(2);
        net.kill(0);
        net.set_seeds(1, &[addr(0)]);
        net.run_for(60 * SECOND);
        let tries = net.nodes[1].node.stats().streams_out;
        assert!((3..=12).contains(&tries), "{tries} in a minute");
        assert_eq!(net.failed_seeds(1).len(), 1, "a seed that is silent is reported once");
        net.resume(0);
        let took = net.run_until(|net| knows_all(net, 0, 2) && knows_all(net, 1, 2));
        assert!(took <= 60 * SECOND, "{took:?}");
    }

    #[test]
    fn islands_that_share_a_seed_merge_although_nobody_failed() {
        let mut net = Net::new(5);
        let ticket = net.join(1, &[addr(0)]);
        net.join(3, &[addr(2)]);
        net.run_until(|net| net.result(1, ticket).is_some() && knows_all(net, 3, 2));
        // The first island has the seed, and the second one has been told of it.
        net.set_seeds(2, &[addr(4)]);
        net.set_seeds(0, &[addr(4)]);
        let took = net.run_until(|net| (0..5).all(|here| knows_all(net, here, 5)));
        assert!(took <= 60 * SECOND, "{took:?}");
    }

    #[test]
    fn a_final_refusal_is_reported_once_and_tried_rarely() {
        let mut net = Net::new(1);
        let other = ClusterName::new("other").unwrap();
        let stranger = net.start(Config::local(other, id(1), addr(1)).with_generation(1));
        net.set_seeds(stranger, &[addr(0)]);
        net.run_for(60 * SECOND);
        assert_eq!(net.failed_seeds(stranger).len(), 1, "{:?}", net.failed_seeds(stranger));
        let tries = net.nodes[stranger].node.stats().streams_out;
        assert!(tries <= 10, "{tries} in a minute");
    }

    #[test]
    fn the_first_hundred_and_thirty_seeds_do_not_keep_the_last_from_being_tried() {
        let mut net = Net::new(2);
        let mut seeds: Vec<_> = (50..180).map(addr).collect();
        seeds.push(addr(0));
        net.set_seeds(1, &seeds);
        let took = net.run_until(|net| knows_all(net, 1, 2));
        let stream_timeout = net.nodes[1].node.config().options().stream_timeout;
        assert!(took <= 5 * stream_timeout, "{took:?}");
    }

    #[test]
    fn the_silent_seeds_of_a_join_that_failed_are_tried_again() {
        let mut net = Net::new(2);
        net.cut_both(0, 1);
        let ticket = net.join(1, &[addr(0), addr(1)]);
        net.run_until(|net| net.result(1, ticket).is_some());
        assert!(matches!(net.result(1, ticket), Some(Err(Failure::NoSeed(_)))));
        net.heal();
        net.run_until(|net| knows_all(net, 0, 2) && knows_all(net, 1, 2));
    }

    #[test]
    fn a_node_that_has_left_tries_no_seed_until_it_joins_again() {
        let mut net = Net::new(2);
        net.set_seeds(1, &[addr(0)]);
        net.run_until(|net| knows_all(net, 1, 2));
        net.leave(1);
        net.run_for(5 * SECOND);
        let streams = net.nodes[1].node.stats().streams_out;
        net.set_seeds(1, &[addr(0), addr(9)]);
        net.run_for(300 * SECOND);
        assert_eq!(net.nodes[1].node.stats().streams_out, streams);
        net.join(1, &[addr(1)]);
        net.run_until(|net| knows_all(net, 1, 2));
    }

    #[test]
    fn more_seeds_than_allowed_are_an_error_and_change_nothing() {
        let mut net = Net::new(1);
        net.set_seeds(0, &[addr(7)]);
        let many = vec![addr(1); 1025];
        let error = net.command(0, |node, now| node.set_seeds(now, &many)).unwrap_err();
        assert_eq!(error, JoinError::TooManySeeds { seeds: 1025, max: 1024 });
        assert_eq!(net.nodes[0].node.seeds().collect::<Vec<_>>(), [addr(7)]);
    }
}

mod ready {
    use super::*;

    fn is_ready(net: &Net, here: usize) -> bool {
        net.saw(here, |event| matches!(event, Event::Ready { .. }))
    }

    #[test]
    fn a_node_is_ready_once_it_knows_its_cluster() {
        let mut net = Net::new(5);
        for here in 1..4 {
            net.join(here, &[addr(0)]);
        }
        net.run_for(5 * SECOND);
        assert!(net.nodes[4].node.is_ready(), "a node without seeds waits for nothing");
        net.set_seeds(4, &[addr(2)]);
        assert!(!net.nodes[4].node.is_ready());
        net.run_until(|net| is_ready(net, 4));
        assert!(net.saw(4, |event| *event == Event::Ready { members: 5 }));
        assert!(net.nodes[4].node.is_ready());
    }

    #[test]
    fn the_first_node_of_a_cluster_is_ready_at_once_or_after_the_timeout() {
        let mut net = Net::new(2);
        let options = net.nodes[0].node.config().options().clone();
        net.set_seeds(0, &[addr(0)]);
        assert_eq!(net.run_until(|net| is_ready(net, 0)), options.ready_quiet);
        net.set_seeds(1, &[addr(7)]);
        assert_eq!(net.run_until(|net| is_ready(net, 1)), options.ready_timeout);
        net.run_for(60 * SECOND);
        let ready = |(_, event): &&(Instant, Event)| matches!(event, Event::Ready { .. });
        assert_eq!(net.nodes[1].events.iter().filter(ready).count(), 1);
    }
}

mod restarts {
    use super::*;

    #[test]
    fn a_restart_that_nobody_noticed_is_told_to_all() {
        let mut net = joined(4);
        net.run_for(SECOND);
        let before = net.member(0, 1).unwrap().incarnation();
        net.restart(1, config(1, addr(1)).with_generation(2));
        net.join(1, &[addr(0)]);
        net.run_until(|net| [0, 2, 3].iter().all(|&here| net.was_told_of_restart(here, 1) == 1));
        let restarted = |event: &Event| {
            matches!(event, Event::Restarted { member, earlier }
                if member.incarnation().generation == 2 && *earlier == before)
        };
        assert!(net.saw(0, restarted));
        assert_eq!(net.event_kinds(0, 1), ["joined"], "it never failed");
        net.run_for(60 * SECOND);
        assert_eq!(net.was_told_of_restart(0, 1), 1);
    }

    #[test]
    fn a_refutation_is_no_restart_and_a_return_from_failure_is_told_as_that() {
        let mut net = trio();
        net.kill(2);
        net.run_until(|net| net.state(0, 2) == Some(State::Suspect));
        net.resume(2);
        net.run_until(|net| net.state(0, 2) == Some(State::Alive));
        net.kill(2);
        net.run_until(|net| [0, 1].iter().all(|&here| net.state(here, 2) == Some(State::Failed)));
        net.restart(2, config(2, addr(2)).with_generation(2));
        net.join(2, &[addr(0)]);
        net.run_until(|net| net.state(0, 2) == Some(State::Alive));
        net.run_for(10 * SECOND);
        assert_eq!(net.was_told_of_restart(0, 2), 0);
    }
}

mod names {
    use super::*;

    fn twin() -> Config {
        config(2, addr(9)).with_generation(2)
    }

    #[test]
    fn a_newcomer_whose_name_is_taken_fails_to_join_and_disturbs_nobody() {
        let mut net = trio();
        let events = |net: &Net| (0..3).map(|n| net.nodes[n].events.len()).sum::<usize>();
        let before = events(&net);
        let twin = net.start(twin());
        let ticket = net.join(twin, &[addr(0), addr(2)]);
        net.run_until(|net| net.result(twin, ticket).is_some());
        let result = net.result(twin, ticket);
        assert!(matches!(result, Some(Err(Failure::NameTaken { .. }))), "{result:?}");
        net.run_for(30 * SECOND);
        assert_eq!(events(&net), before);
        assert_eq!(net.nodes[twin].node.present_count(), 1);

        // So it does by its seeds.
        net.set_seeds(twin, &[addr(0)]);
        net.run_for(30 * SECOND);
        let taken = ExchangeError::Refused(Refusal::NameTaken);
        assert_eq!(net.failed_seeds(twin), [(addr(0), taken)]);
        assert_eq!(events(&net), before);
    }

    #[test]
    fn a_name_whose_holder_is_gone_is_free_within_a_probe_interval() {
        let mut net = trio();
        net.kill(2);
        let twin = net.start(twin());
        let ticket = net.join(twin, &[addr(0)]);
        let took = net.run_until(|net| net.result(twin, ticket).is_some());
        assert!(matches!(net.result(twin, ticket), Some(Ok(_))), "{:?}", net.result(twin, ticket));
        assert!(took <= 2 * SECOND, "{took:?}");
        net.run_until(|net| net.member(1, 2).unwrap().addr() == addr(9));
    }

    #[test]
    fn a_node_that_was_a_member_keeps_its_name_through_a_partition() {
        let mut net = Net::of((0..3).map(|n| config(n, addr(n)).with_generation(1)));
        net.set_seeds(1, &[addr(0)]);
        net.set_seeds(2, &[addr(0)]);
        net.run_until(|net| (0..3).all(|here| knows_all(net, here, 3)));
        net.cut_both(0, 2);
        net.cut_both(1, 2);
        net.run_until(|net| net.state(0, 2) == Some(State::Failed) && knows_all(net, 2, 1));
        net.heal();
        net.run_until(|net| (0..3).all(|here| knows_all(net, here, 3)));
        assert!(!net.saw(2, |event| matches!(event, Event::Conflict { .. })));
    }
}

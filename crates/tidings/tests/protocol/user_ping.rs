//! Pings that the application requests.

use super::*;

#[test]
fn a_ping_measures_the_round_trip() {
    let mut net = pair();
    let ticket = net.command(0, |node, now| node.ping(now, &id(1))).unwrap();
    net.run_until(|net| net.result(0, ticket).is_some());
    assert_eq!(net.result(0, ticket), Some(Ok(Done::Pong { rtt: 2 * LATENCY })));
}

#[test]
fn a_ping_that_is_not_answered_ends_at_its_deadline_and_there_are_not_too_many() {
    let mut options = Options::local();
    options.max_pings = 3;
    let mut net = Net::with_options(2, &options);
    net.join(1, &[addr(0)]);
    net.run_for(SECOND);
    net.cut_both(0, 1);
    let tickets: Vec<_> =
        (0..3).map(|_| net.command(0, |node, now| node.ping(now, &id(1))).unwrap()).collect();
    assert_eq!(net.command(0, |node, now| node.ping(now, &id(1))), Err(SendError::Busy));
    net.run_for(options.probe_interval);
    for ticket in tickets {
        assert_eq!(net.result(0, ticket), Some(Err(Failure::PingTimedOut)));
    }
    assert!(net.command(0, |node, now| node.ping(now, &id(1))).is_ok());
}

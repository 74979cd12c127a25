//! Messages to one member: in a datagram, and over a stream with a receipt.

use super::*;

#[test]
fn a_message_takes_one_datagram() {
    let mut net = pair();
    net.command(0, |node, now| node.send(now, &id(1), "hello".into())).unwrap();
    let took = net.run_until(|net| !net.messages(1).is_empty());
    assert_eq!(took, LATENCY);
    assert_eq!(net.messages(1), [(id(0), b"hello".to_vec(), Via::Datagram)]);
}

#[test]
fn a_message_may_be_as_long_as_a_datagram_holds_and_no_longer() {
    let mut net = pair();
    let too_long = net.command(0, |node, now| node.send(now, &id(1), vec![7; 5000].into()));
    let Err(SendError::TooLong(TooLong { len: 5000, max, .. })) = too_long else {
        panic!("{too_long:?}");
    };
    let before = net.datagram_bytes;
    net.command(0, |node, now| node.send(now, &id(1), vec![7; max].into())).unwrap();
    let bytes = net.datagram_bytes - before;
    // The size limit counts an encrypted datagram's time at its longest.
    let slack = if forge::ENCRYPTED { 9 } else { 0 };
    assert_eq!(bytes + slack, 1400, "it fills the datagram to the byte");
    net.run_for(SECOND);
    assert_eq!(net.messages(1)[0].1.len(), max);
    let one_more = net.command(0, |node, now| node.send(now, &id(1), vec![7; max + 1].into()));
    assert!(one_more.is_err());
}

#[test]
fn a_message_to_nobody_is_an_error_that_says_why() {
    let mut net = trio();
    net.leave(2);
    net.run_for(SECOND);
    let mut send = |to| net.command(0, |node, now| node.send(now, &id(to), "x".into()));
    assert_eq!(send(9), Err(SendError::Unknown));
    assert_eq!(send(2), Err(SendError::Absent(State::Left)));
    let left = net.command(2, |node, now| node.send(now, &id(0), "x".into()));
    assert_eq!(left, Err(SendError::Left));
}

#[test]
fn a_message_to_oneself_is_delivered() {
    let mut net = pair();
    net.command(0, |node, now| node.send(now, &id(0), "a".into())).unwrap();
    let ticket = net.command(0, |node, now| node.send_reliable(now, &id(0), "b".into())).unwrap();
    assert_eq!(net.messages(0).len(), 2);
    assert_eq!(net.result(0, ticket), Some(Ok(Done::Delivered)));
}

#[test]
fn a_reliable_message_of_half_a_megabyte_comes_with_a_receipt() {
    let mut net = pair();
    let data = vec![7; 500_000];
    let ticket = {
        let data = data.clone().into();
        net.command(0, |node, now| node.send_reliable(now, &id(1), data)).unwrap()
    };
    net.run_until(|net| net.result(0, ticket).is_some());
    assert_eq!(net.result(0, ticket), Some(Ok(Done::Delivered)));
    assert_eq!(net.messages(1), [(id(0), data, Via::Reliable)]);
}

#[test]
fn a_reliable_message_that_does_not_arrive_ends_with_the_reason() {
    let mut net = pair();
    net.kill(1);
    let ticket = net.command(0, |node, now| node.send_reliable(now, &id(1), "x".into())).unwrap();
    net.run_until(|net| net.result(0, ticket).is_some());
    let error = ExchangeError::ConnectionRefused;
    assert_eq!(net.result(0, ticket), Some(Err(Failure::Undelivered(error))));
}

#[test]
fn a_reliable_message_to_a_silent_peer_ends_at_its_deadline() {
    let mut net = pair();
    net.cut(1, 0);
    let ticket = net.command(0, |node, now| node.send_reliable(now, &id(1), "x".into())).unwrap();
    let took = net.run_until(|net| net.result(0, ticket).is_some());
    assert_eq!(took, Options::local().stream_timeout);
    let error = ExchangeError::TimedOut;
    assert_eq!(net.result(0, ticket), Some(Err(Failure::Undelivered(error))));
}

#[test]
fn a_reliable_message_is_refused_by_another_node_at_the_address() {
    let mut net = pair();
    net.restart(1, config(5, addr(1)).with_generation(3));
    let ticket = net.command(0, |node, now| node.send_reliable(now, &id(1), "x".into())).unwrap();
    net.run_until(|net| net.result(0, ticket).is_some());
    let error = ExchangeError::Refused(Refusal::NotMe);
    assert_eq!(net.result(0, ticket), Some(Err(Failure::Undelivered(error))));
    assert_eq!(net.messages(1), []);
}

#[test]
fn commands_can_be_cancelled_and_end_once() {
    let mut net = pair();
    net.cut_both(0, 1);
    let message = net.command(0, |node, now| node.send_reliable(now, &id(1), "x".into())).unwrap();
    let ping = net.command(0, |node, now| node.ping(now, &id(1))).unwrap();
    let join = net.join(0, &[addr(70), addr(71)]);
    for ticket in [message, ping, join] {
        assert!(net.command(0, |node, now| node.cancel(now, ticket)));
        assert!(!net.command(0, |node, now| node.cancel(now, ticket)));
        assert_eq!(net.result(0, ticket), Some(Err(Failure::Cancelled)));
    }
    net.run_for(30 * SECOND);
    for ticket in [message, ping, join] {
        assert_eq!(net.result(0, ticket), Some(Err(Failure::Cancelled)), "and nothing comes later");
    }
    // A join that has succeeded cannot be cancelled, although other seeds may still answer.
    net.heal();
    let join = net.join(0, &[addr(1), addr(71)]);
    net.run_until(|net| net.result(0, join).is_some());
    assert!(!net.command(0, |node, now| node.cancel(now, join)));
    assert!(net.result(0, join).unwrap().is_ok());
}

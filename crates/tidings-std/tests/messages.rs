//! Messages, pings and states between real nodes; every test waits on conditions.

mod common;

use common::{id, join_all, message, patient, start, wait, wait_for};
use std::time::Duration;
use tidings_std::{
    BroadcastError, Bytes, CommandError, Event, ExchangeError, Failure, SendError, State, Tidings,
    Via,
};

#[test]
fn a_message_goes_each_way_up_to_the_size_that_the_error_tells() {
    let ((a, events_a), (b, events_b)) = (start("a"), start("b"));
    join_all(&[&a, &b]);
    for (from, name, to, events) in [(&a, "a", "b", &events_b), (&b, "b", "a", &events_a)] {
        from.send(&id(to), "hello").unwrap();
        assert_eq!(message(events), (name.to_owned(), Bytes::from("hello"), Via::Datagram));

        let error = from.send(&id(to), vec![7; 2000]).unwrap_err();
        let SendError::TooLong(too_long) = error else { panic!("{error:?}") };
        assert!((1300..1400).contains(&too_long.max), "{too_long}");
        from.send(&id(to), vec![7; too_long.max]).unwrap();
        assert_eq!(message(events).1, vec![7; too_long.max]);
        assert!(from.send(&id(to), vec![7; too_long.max + 1]).is_err());
    }
}

#[test]
fn half_a_megabyte_arrives_with_a_receipt() {
    let [(a, events), (b, _b)] = ["a", "b"].map(|name| Tidings::bind(patient(name)).unwrap());
    join_all(&[&a, &b]);
    let long: Bytes = (0..500_000_u32).map(|n| n as u8).collect();
    b.send_reliable(&id("a"), long.clone()).unwrap();
    // With the receipt it is there: nobody has to wait for it.
    let message = std::iter::from_fn(|| events.try_recv())
        .find(|event| matches!(event, Event::Message { .. }));
    assert_eq!(message, Some(Event::Message { from: Some(id("b")), data: long, via: Via::Stream }));

    let error = b.send_reliable(&id("a"), vec![0; 2_000_000]).unwrap_err();
    assert!(matches!(error, CommandError::NotBegun(SendError::TooLong(_))), "{error:?}");
}

#[test]
fn what_cannot_be_delivered_is_an_error() {
    let [(a, _a), (b, _b), (c, _c)] =
        ["a", "b", "c"].map(|name| Tidings::bind(patient(name)).unwrap());
    join_all(&[&a, &b, &c]);
    assert_eq!(a.send(&id("nobody"), "hello"), Err(SendError::Unknown));
    assert_eq!(a.ping(&id("nobody")), Err(CommandError::NotBegun(SendError::Unknown)));
    c.leave().unwrap();
    wait(|| a.member(&id("c")).unwrap().state() == State::Left);
    assert_eq!(a.send(&id("c"), "hello"), Err(SendError::Absent(State::Left)));
    drop(b);
    let error = a.send_reliable(&id("b"), "hello").unwrap_err();
    assert!(matches!(error, CommandError::Failed(Failure::Undelivered(ExchangeError::Stream(_)))));
    assert_eq!(error.to_string(), "no receipt came: nobody listens there");
    assert_eq!(a.ping(&id("b")), Err(CommandError::Failed(Failure::NoPong)));
}

#[test]
fn a_broadcast_is_delivered_once_to_each() {
    let nodes = ["a", "b", "c", "d", "e", "f"].map(start);
    join_all(&nodes.each_ref().map(|(node, _)| node));
    let [(origin, own), others @ ..] = &nodes;
    origin.broadcast(b"", "hear, hear").unwrap();
    for (_, events) in others {
        assert_eq!(message(events), ("a".into(), Bytes::from("hear, hear"), Via::Broadcast));
    }
    // It is told several times: wait until all have been, and nobody tells it any more.
    let told = || nodes.each_ref().map(|(node, _)| node.stats().broadcasts_again);
    let probes = || nodes.each_ref().map(|(node, _)| node.stats().probes);
    let mut settled = false;
    while !settled {
        let (told_before, probed_before) = (told(), probes());
        wait(|| probes().iter().zip(probed_before).all(|(&now, before)| now > before + 1));
        settled = told() == told_before;
    }
    for (node, events) in others {
        assert_eq!(node.stats().messages_in, 1);
        assert!(!is_message_left(events));
    }
    assert!(told().iter().sum::<u64>() > 0, "nobody was told twice: this has tested nothing");
    assert!(!is_message_left(own));

    let error = origin.broadcast(b"", vec![0; 2000]).unwrap_err();
    assert!(matches!(error, BroadcastError::Message(_)), "{error:?}");
}

fn is_message_left(events: &tidings_std::Events) -> bool {
    std::iter::from_fn(|| events.try_recv()).any(|event| matches!(event, Event::Message { .. }))
}

#[test]
fn a_ping_tells_how_long_the_answer_took() {
    let [(a, _a), (b, _b)] = ["a", "b"].map(|name| Tidings::bind(patient(name)).unwrap());
    join_all(&[&a, &b]);
    let rtt = a.ping(&id("b")).unwrap();
    assert!((Duration::from_nanos(1)..Duration::from_secs(2)).contains(&rtt), "{rtt:?}");
    assert_eq!(a.ping(&id("a")), Ok(Duration::ZERO));
    // Probes find it out too.
    wait(|| a.rtt(&id("b")).is_some());
    assert_eq!(a.rtt(&id("nobody")), None);
}

#[test]
fn what_an_application_tells_at_every_sync_is_told_at_a_join() {
    let ((a, events_a), (b, events_b)) = (start("a"), start("b"));
    a.set_sync_state("a's").unwrap();
    b.set_sync_state(vec![b'b'; 60_000]).unwrap();
    b.join([a.addr()]).unwrap();
    for (events, from, data) in
        [(&events_a, "b", Bytes::from(vec![b'b'; 60_000])), (&events_b, "a", Bytes::from("a's"))]
    {
        let told = wait_for(events, |event| matches!(event, Event::SyncState { .. }));
        assert_eq!(told, Event::SyncState { from: Some(id(from)), data, join: true });
    }
    assert_eq!(a.set_sync_state(vec![0; 70_000]).unwrap_err().max, 65_536);
}

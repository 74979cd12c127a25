//! Messages to one member and to all, and pings.

use std::time::Duration;
use tidings_driver::CommandError;
use tidings_driver::prelude::{
    BroadcastError, Bytes, Event, ExchangeError, Failure, SendError, State, Via,
};
use tidings_tests::conformance::{Adapter, id, patient, quick, wait};

tests! {
    sealed too: [
        a_message_goes_each_way_up_to_the_size_that_the_error_tells,
        half_a_megabyte_arrives_with_a_receipt,
        a_broadcast_is_delivered_once_to_each,
        a_ping_tells_how_long_the_answer_took,
    ]
    plain only: [
        what_cannot_be_delivered_is_an_error,
        commands_of_many_threads_are_each_answered,
    ]
}

fn a_message_goes_each_way_up_to_the_size_that_the_error_tells(adapter: &Adapter) {
    let [a, b] = adapter.cluster(patient, ["a", "b"]);
    for (from, name, to, hears) in [(&a, "a", "b", &b), (&b, "b", "a", &a)] {
        from.send(&id(to), "hello").unwrap();
        assert_eq!(hears.message(), (name.to_owned(), Bytes::from("hello"), Via::Datagram));

        let error = from.send(&id(to), vec![7; 2000]).unwrap_err();
        let SendError::TooLong(too_long) = error else { panic!("{error:?}") };
        assert!((1300..1400).contains(&too_long.max), "{too_long}");
        from.send(&id(to), vec![7; too_long.max]).unwrap();
        assert_eq!(hears.message().1, vec![7; too_long.max]);
        assert!(from.send(&id(to), vec![7; too_long.max + 1]).is_err());
    }
}

fn half_a_megabyte_arrives_with_a_receipt(adapter: &Adapter) {
    let [a, b] = adapter.cluster(patient, ["a", "b"]);
    let long: Bytes = (0..500_000_u32).map(|n| n as u8).collect();
    for (from, name, to, hears) in [(&a, "a", "b", &b), (&b, "b", "a", &a)] {
        from.send_reliable(&id(to), long.clone()).unwrap();
        // The event precedes the receipt: no need to wait for it.
        let arrived =
            Event::Message { from: Some(id(name)), data: long.clone(), via: Via::Reliable };
        assert!(hears.waiting().contains(&arrived));

        let error = from.send_reliable(&id(to), vec![0; 2_000_000]).unwrap_err();
        assert!(matches!(error, CommandError::NotSent(SendError::TooLong(_))), "{error:?}");
    }
}

fn a_broadcast_is_delivered_once_to_each(adapter: &Adapter) {
    let nodes = adapter.cluster(quick, ["a", "b", "c", "d", "e", "f"]);
    let [origin, others @ ..] = &nodes;
    origin.broadcast("hear, hear").unwrap();
    for node in others {
        assert_eq!(node.message(), ("a".into(), Bytes::from("hear, hear"), Via::Broadcast));
    }
    // It is gossiped several times: wait until that has ended everywhere.
    let told = || nodes.each_ref().map(|node| node.stats().broadcasts_duplicate);
    let probes = || nodes.each_ref().map(|node| node.stats().probes);
    let mut settled = false;
    while !settled {
        let (told_before, probed_before) = (told(), probes());
        wait(|| probes().iter().zip(probed_before).all(|(&now, before)| now > before + 1));
        settled = told() == told_before;
    }
    let is_message = |event: &Event| matches!(event, Event::Message { .. });
    assert!(others.iter().all(|node| node.stats().messages_in == 1));
    assert!(told().iter().sum::<u64>() > 0, "no node received it twice: this tests nothing");
    assert!(!nodes.iter().any(|node| node.waiting().iter().any(is_message)));

    let error = origin.broadcast(vec![0; 2000]).unwrap_err();
    assert!(matches!(error, BroadcastError::Message(_)), "{error:?}");
}

fn a_ping_tells_how_long_the_answer_took(adapter: &Adapter) {
    let [a, b] = adapter.cluster(patient, ["a", "b"]);
    for (node, other) in [(&a, "b"), (&b, "a")] {
        let rtt = node.ping(&id(other)).unwrap();
        assert!((Duration::from_nanos(1)..Duration::from_secs(2)).contains(&rtt), "{rtt:?}");
        // Probes measure it too.
        wait(|| node.rtt(&id(other)).is_some());
    }
    assert_eq!(a.ping(&id("a")), Ok(Duration::ZERO));
    assert_eq!(a.rtt(&id("nobody")), None);
}

fn what_cannot_be_delivered_is_an_error(adapter: &Adapter) {
    let [a, b, c] = adapter.cluster(patient, ["a", "b", "c"]);
    assert_eq!(a.send(&id("nobody"), "hello"), Err(SendError::Unknown));
    assert_eq!(a.ping(&id("nobody")), Err(CommandError::NotSent(SendError::Unknown)));
    c.leave().unwrap();
    wait(|| a.state("c") == Some(State::Left));
    assert_eq!(a.send(&id("c"), "hello"), Err(SendError::Absent(State::Left)));
    assert_eq!(c.send(&id("a"), "hello"), Err(SendError::Left));
    b.stop();
    let error = a.send_reliable(&id("b"), "hello").unwrap_err();
    let refused = Failure::Undelivered(ExchangeError::ConnectionRefused);
    assert_eq!(error, CommandError::Failed(refused));
    assert_eq!(
        error.to_string(),
        "no receipt came: nobody listens there (is the node running, and the port right?)"
    );
    assert_eq!(a.ping(&id("b")), Err(CommandError::Failed(Failure::PingTimedOut)));
}

fn commands_of_many_threads_are_each_answered(adapter: &Adapter) {
    let [a, b] = adapter.cluster(patient, ["a", "b"]);
    std::thread::scope(|scope| {
        for (node, other) in [(&a, "b"), (&b, "a")].repeat(8) {
            scope.spawn(move || {
                for n in 0..10 {
                    node.ping(&id(other)).unwrap();
                    node.send_reliable(&id(other), vec![n; 1000]).unwrap();
                }
            });
        }
    });
    assert_eq!((a.stats().messages_in, b.stats().messages_in), (80, 80));
}

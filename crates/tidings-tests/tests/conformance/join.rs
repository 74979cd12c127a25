//! Joins: success, failure and its reasons.

use socket2::{Domain, Socket, Type};
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use tidings_driver::CommandError;
use tidings_driver::prelude::{
    ClusterName, Config, ExchangeError, Failure, JoinError, SeedFailure, Target,
};
use tidings_tests::conformance::{
    Adapter, Fault, FaultyPeer, LIMIT, id, loopback, patient, quick, wait,
};

tests! {
    sealed too: [
        a_join_to_a_dead_address_fails_and_says_which,
        one_seed_of_several_that_answers_is_enough,
        nodes_of_other_clusters_are_not_let_in,
        a_join_to_somebody_who_is_silent_fails_at_its_deadline,
    ]
    plain only: [
        names_are_looked_up_and_one_that_is_found_is_enough,
        a_join_to_nobody_is_not_begun,
    ]
}

fn a_join_to_a_dead_address_fails_and_says_which(adapter: &Adapter) {
    let (_taken, dead) = dead();
    let a = adapter.start(patient("a"));
    let error = a.join([dead]).unwrap_err();
    assert_eq!(error.to_string(), format!("no seed answered: {dead}: nobody listens there"));
}

fn one_seed_of_several_that_answers_is_enough(adapter: &Adapter) {
    let (_taken, dead) = dead();
    let silent = FaultyPeer::at(loopback(), Fault::Stalls);
    let [a, b] = adapter.nodes(patient, ["a", "b"]);
    let start = Instant::now();
    assert_eq!(a.join([dead, silent.addr(), b.addr()]).unwrap(), 2);
    let limit = patient("a").options().stream_timeout;
    assert!(start.elapsed() < limit, "it waited for the one who is silent");
    wait(|| b.members().len() == 2);
}

fn nodes_of_other_clusters_are_not_let_in(adapter: &Adapter) {
    let a = adapter.start(patient("a"));
    let other = ClusterName::new("other").unwrap();
    let b = adapter.start(Config::local(other, id("b"), loopback()));
    let error = b.join([a.addr()]).unwrap_err();
    assert!(matches!(error.error, CommandError::Failed(_)), "{error:?}");
    assert!(error.to_string().contains("cluster"), "{error}");
    assert_eq!((a.members().len(), b.members().len()), (1, 1));
    assert!(a.stats().rejected_streams.total() > 0);
}

fn a_join_to_somebody_who_is_silent_fails_at_its_deadline(adapter: &Adapter) {
    let silent = FaultyPeer::at(loopback(), Fault::Stalls);
    let a = adapter.start(quick("a"));
    let start = Instant::now();
    let ended = a.join([silent.addr()]).unwrap_err().error;
    let CommandError::Failed(Failure::NoSeed(failures)) = ended else { panic!("{ended:?}") };
    let [SeedFailure { seed, error: ExchangeError::Stream(error) }] = failures[..] else {
        panic!("{failures:?}");
    };
    assert_eq!((seed, &*error.to_string()), (silent.addr(), "there was no answer in time"));
    assert!((Duration::from_secs(1)..LIMIT).contains(&start.elapsed()), "{:?}", start.elapsed());
}

fn a_join_to_nobody_is_not_begun(adapter: &Adapter) {
    let a = adapter.start(patient("a"));
    let error = a.join(Vec::<Target>::new()).unwrap_err().error;
    assert_eq!(error, CommandError::NotBegun(JoinError::NoSeeds));
}

fn names_are_looked_up_and_one_that_is_found_is_enough(adapter: &Adapter) {
    let [a, b] = adapter.nodes(patient, ["a", "b"]);
    let target = |text: String| text.parse::<Target>().unwrap();
    let nowhere = target("nowhere.invalid:7946".into());
    let failed = b.join([nowhere.clone()]).unwrap_err();
    assert!(failed.to_string().contains("\"nowhere.invalid\""), "{failed}");
    assert_eq!(failed.unresolved.len(), 1);

    let here = target(format!("localhost:{}", a.addr().port()));
    assert_eq!(b.join([nowhere, here]).unwrap(), 2);
    // A target may name the node that is expected there.
    let named = target(format!("b/localhost:{}", b.addr().port()));
    assert_eq!(a.join([named]).unwrap(), 2);
}

/// A port that is reserved by the socket, and at which nothing listens.
fn dead() -> (Socket, SocketAddr) {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&loopback().into()).unwrap();
    let addr = socket.local_addr().unwrap().as_socket().unwrap();
    (socket, addr)
}

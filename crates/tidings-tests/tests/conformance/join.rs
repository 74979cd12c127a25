//! Joins: success, failure and its reasons.

use socket2::{Domain, Socket, Type};
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use tidings_driver::prelude::{
    ClusterName, Config, ExchangeError, JoinError, OnNameTaken, Refusal, Seed, SeedError, Target,
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
        a_joiner_at_an_address_that_is_not_allowed_learns_why,
        a_joiner_with_a_name_that_is_taken_learns_it_and_may_contest_it,
    ]
    plain only: [
        names_are_looked_up_and_one_that_is_found_is_enough,
        a_join_to_nobody_is_not_begun,
        a_join_error_from_main_names_each_seed_on_a_line_of_its_own,
        a_seed_is_text_an_address_or_a_target,
    ]
}

fn a_join_to_a_dead_address_fails_and_says_which(adapter: &Adapter) {
    let (_taken, dead) = dead();
    let a = adapter.start(patient("a"));
    let error = a.join([dead]).unwrap_err();
    let said = "nobody listens there (is the node running, and the port right?)";
    assert_eq!(error.to_string(), format!("no seed answered: {dead}: {said}"));
}

fn a_join_error_from_main_names_each_seed_on_a_line_of_its_own(adapter: &Adapter) {
    let (_taken, dead) = dead();
    let a = adapter.start(patient("a"));
    let named = format!("localhost:{}", dead.port());
    let error = a.join([&*named, "no/such/place:80", "nowhere.invalid"]).unwrap_err();
    let said = format!("{error:?}");
    let lines: Vec<_> = said.lines().collect();
    assert_eq!(lines[0], "no seed answered:");
    for line in ["  no/such/place:80: ", "  nowhere.invalid: cannot look it up: "] {
        assert!(lines.iter().any(|it| it.starts_with(line)), "{line:?} is not in {said}");
    }
    let tried = format!("  {named} ({dead}): nobody listens there");
    assert!(lines.iter().any(|it| it.starts_with(&tried)), "{tried:?} is not in {said}");
    assert_eq!(error.to_string(), said.replacen(":\n  ", ": ", 1).replace("\n  ", "; "));

    let mut seeds: Vec<_> = error.seeds().iter().map(SeedError::seed).collect();
    seeds.dedup();
    assert_eq!(seeds, [&*named, "no/such/place:80", "nowhere.invalid"], "in the order written");
    let invalid = error.seeds().iter().find(|seed| seed.seed() == "no/such/place:80").unwrap();
    assert_eq!((invalid.addr(), invalid.exchange()), (None, None));
    let refused = error.seeds().iter().find(|seed| seed.addr() == Some(dead)).unwrap();
    assert_eq!(refused.seed(), named);
    assert_eq!(refused.exchange(), Some(ExchangeError::ConnectionRefused));
}

fn a_seed_is_text_an_address_or_a_target(adapter: &Adapter) {
    let [a, b] = adapter.nodes(patient, ["a", "b"]);
    let text = a.addr().to_string();
    assert_eq!(b.join([text.as_str()]).unwrap(), 2);
    assert_eq!(b.join([&text]).unwrap(), 2);
    assert_eq!(b.join([a.addr()]).unwrap(), 2);
    assert_eq!(b.join([Target::from(a.addr())]).unwrap(), 2);
    assert_eq!(b.join(vec![text.clone()]).unwrap(), 2);
    assert_eq!(b.join([Seed::from(a.addr()), Seed::from(text)]).unwrap(), 2);
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
    let refused = ExchangeError::Refused(Refusal::ForeignCluster);
    let refused = adapter.is_sealed() || error.seeds()[0].exchange() == Some(refused);
    assert!(refused && error.seeds().len() == 1, "{error}");
    assert!(error.to_string().contains("cluster"), "{error}");
    assert_eq!((a.members().len(), b.members().len()), (1, 1));
    assert!(a.stats().rejected_streams.total() > 0);
}

fn a_join_to_somebody_who_is_silent_fails_at_its_deadline(adapter: &Adapter) {
    let silent = FaultyPeer::at(loopback(), Fault::Stalls);
    let a = adapter.start(quick("a"));
    let start = Instant::now();
    let error = a.join([silent.addr()]).unwrap_err();
    let [SeedError::Exchange { seed, addr, error, .. }] = error.seeds() else { panic!("{error}") };
    assert_eq!((addr, seed), (&silent.addr(), &silent.addr().to_string()));
    assert_eq!(*error, ExchangeError::TimedOut);
    assert_eq!(error.to_string(), "there was no answer within stream_timeout");
    assert!((Duration::from_secs(1)..LIMIT).contains(&start.elapsed()), "{:?}", start.elapsed());
}

fn a_joiner_at_an_address_that_is_not_allowed_learns_why(adapter: &Adapter) {
    let networks = ["127.0.0.0/8".parse().unwrap()];
    let config = patient("a").to_builder().allowed_networks(networks);
    let a = adapter.start(config.build().unwrap());
    let elsewhere = "192.0.2.7:7946".parse().unwrap();
    let b = adapter.bind_to(loopback(), patient("b").with_addr(elsewhere)).unwrap();
    let error = b.join([a.addr()]).unwrap_err();
    let refused = ExchangeError::Refused(Refusal::AddressNotAllowed);
    assert_eq!(error.seeds()[0].exchange(), Some(refused));
    assert!(error.to_string().contains("allowed_networks"), "{error}");
    assert_eq!((a.members().len(), a.stats().addresses_refused), (1, 1));
    // The other way round, the seed is not dialled.
    let error = a.join([elsewhere]).unwrap_err();
    let refused = ExchangeError::NotAccepted(Refusal::AddressNotAllowed);
    assert_eq!(error.seeds()[0].exchange(), Some(refused));
    assert_eq!(a.stats().streams_out, 0);
    // A node within joins.
    let c = adapter.start(patient("c"));
    assert_eq!(c.join([a.addr()]).unwrap(), 2);
}

fn a_joiner_with_a_name_that_is_taken_learns_it_and_may_contest_it(adapter: &Adapter) {
    let [a, b] = adapter.cluster(patient, ["a", "b"]);
    let late = adapter.start(patient("a"));
    // The seed that has the name knows it; the other one asks.
    for seed in [&a, &b] {
        let error = late.join([seed.addr().to_string()]).unwrap_err();
        let taken = JoinError::NameTaken { seed: seed.addr().to_string(), addr: seed.addr() };
        assert_eq!(error, taken);
        assert!(error.to_string().contains("has this node's name"), "{error}");
    }
    assert_eq!(b.member(&id("a")).unwrap().addr(), a.addr(), "nobody noticed");
    let contests = patient("a").to_builder().on_name_taken(OnNameTaken::Contest).build().unwrap();
    assert_eq!(adapter.start(contests).join([b.addr()]).unwrap(), 2);
}

fn a_join_to_nobody_is_not_begun(adapter: &Adapter) {
    let a = adapter.start(patient("a"));
    let error = a.join(Vec::<Target>::new()).unwrap_err();
    assert_eq!(error, JoinError::NoSeeds);
}

fn names_are_looked_up_and_one_that_is_found_is_enough(adapter: &Adapter) {
    let [a, b] = adapter.nodes(patient, ["a", "b"]);
    let target = |text: String| text.parse::<Target>().unwrap();
    let nowhere = target("nowhere.invalid:7946".into());
    let failed = b.join([nowhere.clone()]).unwrap_err();
    assert!(failed.to_string().contains("nowhere.invalid"), "{failed}");
    assert!(matches!(failed.seeds(), [SeedError::LookUp { .. }]), "{failed}");

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

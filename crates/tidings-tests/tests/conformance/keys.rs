//! Encryption: keys, key rotation, and the transition from plaintext.

use std::thread;
use tidings_driver::KeyError;
use tidings_driver::prelude::{Cipher, Config, Event, Key, Keyring, KeyringError, Plaintext};
use tidings_tests::conformance::{Adapter, Node, id, key, patient, wait};

tests! {
    plain only: [
        only_who_has_the_key_is_let_in,
        a_key_is_replaced_while_the_cluster_runs,
        keys_are_changed_only_as_their_keyring_allows,
        a_cluster_goes_over_to_encryption_in_steps_that_understand_each_other,
    ]
}

fn sealed(config: Config, number: u8) -> Config {
    sealing(config, number, Plaintext::Refused)
}

fn sealing(config: Config, number: u8, plaintext: Plaintext) -> Config {
    config.to_builder().encryption(Keyring::new(key(number)), plaintext).build().unwrap()
}

fn with_key_1(name: &str) -> Config {
    sealed(patient(name), 1)
}

fn only_who_has_the_key_is_let_in(adapter: &Adapter) {
    let [a, b] = adapter.cluster(with_key_1, ["a", "b"]);
    b.send(&id("a"), "in secret").unwrap();
    assert_eq!(a.message().1, "in secret");

    let without = adapter.start(patient("without"));
    let wrong = adapter.start(sealed(patient("wrong"), 2));
    // All at once, because each join retries several times.
    thread::scope(|scope| {
        for node in [&without, &wrong] {
            for (here, there) in [(node, &a), (&a, node)] {
                scope.spawn(move || {
                    let error = here.join([there.addr()]).unwrap_err().to_string();
                    assert!(error.contains(&there.addr().to_string()), "{error}");
                    assert!(error.contains("key"), "{error}");
                });
            }
        }
    });
    assert_eq!([&a, &without, &wrong].map(|node| node.members().len()), [2, 1, 1]);
    let rejected = a.stats().rejected_streams;
    assert!(rejected.plaintext > 0 && rejected.key > 0, "{rejected:?}");
}

fn a_key_is_replaced_while_the_cluster_runs(adapter: &Adapter) {
    let nodes = adapter.cluster(with_key_1, ["a", "b", "c"]);
    let new = Key::new(Cipher::ChaCha20Poly1305, [2; 32]);
    let steps: [&dyn Fn(&Node); 3] = [
        &|node| node.add_key(new.clone()).unwrap(),
        &|node| node.use_key(&new).unwrap(),
        &|node| node.remove_key(&key(1)).unwrap(),
    ];
    for step in steps {
        for node in &nodes {
            step(node);
            assert_all_reach_all(&nodes);
        }
    }
    for node in &nodes {
        assert!(node.keyring().unwrap().keys().eq([&new]));
        let stats = node.stats();
        assert_eq!((stats.rejected_datagrams.total(), stats.rejected_streams.total()), (0, 0));
        let is_suspicion = |event: &Event| matches!(event, Event::Suspected(_) | Event::Failed(_));
        assert!(!node.waiting().iter().any(is_suspicion));
    }
    let late = adapter.start(with_key_1("late"));
    assert!(late.join([nodes[0].addr()]).is_err(), "the old key opens nothing any more");
}

/// Asserts that each node reaches all others, over streams and by datagrams.
fn assert_all_reach_all(nodes: &[Node]) {
    for from in nodes {
        for to in from.members() {
            from.ping(to.id()).unwrap();
            from.send_reliable(to.id(), "still there?").unwrap();
        }
    }
}

fn keys_are_changed_only_as_their_keyring_allows(adapter: &Adapter) {
    let a = adapter.start(with_key_1("a"));
    let absent = KeyError::Refused(KeyringError::Absent { id: key(2).id() });
    assert_eq!(a.use_key(&key(2)), Err(absent));
    assert!(a.remove_key(&key(1)).is_err(), "it is the primary one");

    let b = adapter.start(patient("b"));
    assert!(b.keyring().is_none());
    let error = b.add_key(key(1)).unwrap_err();
    assert_eq!(error, KeyError::NoKeyring);
    assert_eq!(error.to_string(), "the node does not encrypt; start it with a key");
}

fn a_cluster_goes_over_to_encryption_in_steps_that_understand_each_other(adapter: &Adapter) {
    let with = |plaintext| move |config: Config| sealing(config, 1, plaintext);
    let steps: [&dyn Fn(Config) -> Config; 4] = [
        &|config| config,
        &with(Plaintext::Sent),
        &with(Plaintext::Accepted),
        &with(Plaintext::Refused),
    ];
    for step in steps.windows(2) {
        let before = adapter.start(step[0](patient("before")));
        let after = adapter.start(step[1](patient("after")));
        after.join([before.addr()]).unwrap();
        wait(|| before.members().len() == 2);
        assert_all_reach_all(&[before, after]);
    }
}

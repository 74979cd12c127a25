//! Nodes with keys; every test waits on conditions.
#![cfg(feature = "encryption")]

mod common;

use common::{config, id, join_all, message, patient, start};
use tidings_std::{
    Cipher, Config, Event, Events, Key, KeyError, Keyring, KeyringError, Plaintext, Tidings, Via,
};

fn key(byte: u8) -> Key {
    Key::new(Cipher::Aes256Gcm, [byte; 32])
}

fn sealed(config: Config, key: &Key) -> (Tidings, Events) {
    let config = config.with_encryption(Keyring::new(key.clone()), Plaintext::Refused).unwrap();
    Tidings::bind(config).unwrap()
}

#[test]
fn only_who_has_the_key_is_let_in() {
    let (a, events) = sealed(config("a"), &key(1));
    let (b, _b) = sealed(config("b"), &key(1));
    assert_eq!(b.join([a.addr()]).unwrap(), 2);
    b.send(&id("a"), "in secret").unwrap();
    assert_eq!(message(&events), ("b".into(), "in secret".into(), Via::Datagram));

    let (without, _c) = start("without");
    let (wrong, _d) = sealed(config("wrong"), &key(2));
    for node in [&without, &wrong] {
        for (here, there) in [(node, &a), (&a, node)] {
            let error = here.join([there.addr()]).unwrap_err().to_string();
            assert!(error.contains(&there.addr().to_string()), "{error}");
            assert!(error.contains("key"), "{error}");
        }
        assert_eq!(node.members().len(), 1);
    }
    assert_eq!(a.members().len(), 2);
    let rejected = a.stats().rejected_streams;
    assert!(rejected.plaintext > 0 && rejected.key > 0, "{rejected:?}");
}

#[test]
fn a_key_is_replaced_while_the_cluster_runs() {
    let nodes = ["a", "b", "c"].map(|name| sealed(patient(name), &key(1)));
    join_all(&nodes.each_ref().map(|(node, _)| node));
    let new = Key::new(Cipher::ChaCha20Poly1305, [2; 32]);
    let steps: [&dyn Fn(&Tidings); 3] = [
        &|node| node.add_key(new.clone()).unwrap(),
        &|node| node.use_key(&new).unwrap(),
        &|node| node.remove_key(&key(1)).unwrap(),
    ];
    for step in steps {
        for (node, _) in &nodes {
            step(node);
            all_hear_all(&nodes);
        }
    }
    for (node, events) in &nodes {
        assert!(node.keyring().unwrap().keys().eq([&new]));
        let stats = node.stats();
        assert_eq!((stats.rejected_datagrams.total(), stats.rejected_streams.total()), (0, 0));
        let suspicion = |event| matches!(event, Event::Suspected(_) | Event::Failed(_));
        assert!(!std::iter::from_fn(|| events.try_recv()).any(suspicion));
    }
    let (late, _late) = sealed(config("late"), &key(1));
    assert!(late.join([nodes[0].0.addr()]).is_err(), "the old key opens nothing any more");
}

/// Each hears all others, over streams and by datagrams.
fn all_hear_all(nodes: &[(Tidings, Events)]) {
    for (from, _) in nodes {
        for to in from.members() {
            from.ping(to.id()).unwrap();
            from.send_reliable(to.id(), "still there?").unwrap();
        }
    }
}

#[test]
fn keys_are_changed_only_as_their_keyring_allows() {
    let (a, _a) = sealed(config("a"), &key(1));
    let absent = KeyError::Refused(KeyringError::Absent { id: key(2).id() });
    assert_eq!(a.use_key(&key(2)), Err(absent));
    assert!(a.remove_key(&key(1)).is_err(), "it is the primary one");

    let (b, _b) = start("b");
    assert!(b.keyring().is_none());
    let error = b.add_key(key(1)).unwrap_err();
    assert_eq!(error, KeyError::NoKeyring);
    assert_eq!(error.to_string(), "the node does not encrypt; start it with a key");
}

#[test]
fn a_cluster_goes_over_to_encryption_in_steps_that_understand_each_other() {
    let keys = || Keyring::new(key(1));
    let steps: [&dyn Fn(Config) -> Config; 4] = [
        &|config| config,
        &|config| config.with_encryption(keys(), Plaintext::Sent).unwrap(),
        &|config| config.with_encryption(keys(), Plaintext::Accepted).unwrap(),
        &|config| config.with_encryption(keys(), Plaintext::Refused).unwrap(),
    ];
    for step in steps.windows(2) {
        let nodes = [("before", step[0]), ("after", step[1])]
            .map(|(name, step)| Tidings::bind(step(patient(name))).unwrap());
        join_all(&nodes.each_ref().map(|(node, _)| node));
        all_hear_all(&nodes);
    }
}

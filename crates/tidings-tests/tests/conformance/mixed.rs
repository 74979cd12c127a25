//! Clusters with nodes of all adapters.

use std::collections::BTreeSet;
use tidings_driver::prelude::{ConfigBuilder, Key, Keyring, Memberlist, Plaintext, State, Wire};
use tidings_tests::conformance::{ADAPTERS, id, key, quick, wait};

#[test]
fn nodes_of_all_adapters_are_one_cluster() {
    assert_one_cluster(|config| config);
}

#[test]
fn nodes_of_all_adapters_are_one_cluster_with_keys() {
    let keys = || Keyring::new(key(1));
    assert_one_cluster(|config| config.encryption(keys(), Plaintext::Refused));
}

#[test]
fn nodes_of_all_adapters_are_one_cluster_in_memberlists_format() {
    let wire = || Wire::Memberlist(Memberlist::new());
    assert_one_cluster(|config| config.wire(wire()));
}

#[test]
fn nodes_of_all_adapters_are_one_cluster_in_memberlists_format_with_keys() {
    let wire = || Wire::Memberlist(Memberlist::new());
    let keys = || Keyring::new(Key::memberlist(&[1; 32]).unwrap());
    assert_one_cluster(|config| config.wire(wire()).encryption(keys(), Plaintext::Refused));
}

/// Two nodes of each adapter join, exchange every kind of message, and see failures.
#[track_caller]
fn assert_one_cluster(configured: impl Fn(ConfigBuilder) -> ConfigBuilder) {
    let mut nodes = Vec::new();
    for adapter in ADAPTERS {
        for n in 1..=2 {
            let name = format!("{}-{n}", adapter.name());
            let node = adapter.start(configured(quick(&name).to_builder()).build().unwrap());
            nodes.push((name, node));
        }
    }
    for pair in nodes.windows(2) {
        pair[1].1.join([pair[0].1.addr()]).unwrap();
    }
    for (_, node) in &nodes {
        wait(|| node.members().len() == nodes.len());
    }

    for (from, node) in &nodes {
        for (to, _) in &nodes {
            wait(|| node.ping(&id(to)).is_ok());
            node.send(&id(to), format!("{from} in a datagram")).unwrap();
            node.send_reliable(&id(to), format!("{from} over a stream")).unwrap();
        }
        node.broadcast(format!("{from} to all")).unwrap();
    }
    for (name, node) in &nodes {
        let all = nodes.iter().flat_map(|(from, _)| {
            ["in a datagram", "over a stream", "to all"].map(|how| format!("{from} {how}"))
        });
        let mut missing: BTreeSet<_> = all.collect();
        missing.remove(&format!("{name} to all"));
        while !missing.is_empty() {
            let (_, said, _) = node.message();
            missing.remove(std::str::from_utf8(&said).unwrap());
        }
    }

    for gone in (0..nodes.len()).step_by(2).rev() {
        let (name, node) = nodes.remove(gone);
        drop(node);
        for (_, node) in &nodes {
            wait(|| node.state(&name) == Some(State::Failed));
        }
    }
    for (_, node) in &nodes {
        wait(|| node.members().len() == nodes.len());
    }
}

//! Nodes that a builder starts, with defaults and without.

use std::net::{IpAddr, TcpListener};
use tidings::Clock;
use tidings_driver::prelude::{Keyring, Meta, StartError};
use tidings_tests::conformance::{Adapter, Settings, id, key, loopback};

tests! {
    plain only: [
        a_builder_starts_a_node_that_others_join_by_text,
        a_node_is_named_after_its_host_unless_it_is_given_a_name,
        a_node_on_all_interfaces_advertises_an_address_that_others_reach_or_asks_for_one,
        the_default_port_is_7946_on_all_interfaces,
        a_builder_that_has_keys_starts_a_node_that_encrypts,
        a_setting_that_is_not_valid_is_an_error_that_names_it_and_its_value,
    ]
}

const HERE: Option<&str> = Some("127.0.0.1:0");

fn named(name: &'static str) -> Settings {
    Settings { name: Some(name), bind: HERE, ..Settings::default() }
}

fn a_builder_starts_a_node_that_others_join_by_text(adapter: &Adapter) {
    let before = Clock::generation(0);
    let a = adapter.build("shop", Settings { meta: "role=db", ..named("a") }).unwrap();
    let b = adapter.build("shop", named("b")).unwrap();
    assert_eq!(b.join([a.addr().to_string()]).unwrap(), 2);
    let seen = b.member(&id("a")).unwrap();
    assert_eq!(seen.meta(), &Meta::from("role=db"));
    assert!(seen.incarnation().generation >= before, "{seen:?}");
    // It listens at the address that it advertises.
    assert!(TcpListener::bind(a.addr()).is_err());
}

fn a_node_is_named_after_its_host_unless_it_is_given_a_name(adapter: &Adapter) {
    let started = adapter.build("shop", Settings { bind: HERE, ..Settings::default() });
    let Ok(host_name) = std::fs::read_to_string("/proc/sys/kernel/hostname") else {
        return drop(started.unwrap());
    };
    assert_eq!(started.unwrap().local().id().as_str(), host_name.trim_end());
}

fn a_node_on_all_interfaces_advertises_an_address_that_others_reach_or_asks_for_one(
    adapter: &Adapter,
) {
    let anywhere = Settings { bind: Some("0.0.0.0:0"), ..named("a") };
    match adapter.build("shop", anywhere.clone()) {
        Ok(node) => {
            let addr = node.addr();
            assert!(!addr.ip().is_loopback() && !addr.ip().is_unspecified(), "{addr}");
            assert_ne!(addr.port(), 0);
        }
        Err(error @ StartError::Advertise { .. }) => {
            assert!(error.to_string().contains("`advertise`"), "{error}");
        }
        Err(error) => panic!("{error}"),
    }
    let told = Settings { advertise: Some("127.0.0.1"), ..anywhere };
    let a = adapter.build("shop", told).unwrap();
    assert_eq!(a.addr().ip(), loopback().ip());
    let b = adapter.build("shop", named("b")).unwrap();
    assert_eq!(b.join([a.addr()]).unwrap(), 2);
}

fn the_default_port_is_7946_on_all_interfaces(adapter: &Adapter) {
    let all = Settings { bind: None, advertise: Some("127.0.0.1"), ..named("a") };
    match adapter.build("shop", all) {
        Ok(node) => assert_eq!(node.addr(), "127.0.0.1:7946".parse().unwrap()),
        // Another test has it, or a node that has nothing to do with this one.
        Err(StartError::Socket { addr, .. }) => {
            assert_eq!(addr, "0.0.0.0:7946".parse().unwrap());
        }
        Err(error) => panic!("{error}"),
    }
}

fn a_builder_that_has_keys_starts_a_node_that_encrypts(adapter: &Adapter) {
    let keyring = Some(Keyring::new(key(0)));
    let a = adapter.build("shop", Settings { keyring, ..named("a") }).unwrap();
    assert!(a.keyring().is_some());
    let b = adapter.build("shop", named("b")).unwrap();
    assert!(b.join([a.addr()]).is_err(), "a node without a key was let in");
}

fn a_setting_that_is_not_valid_is_an_error_that_names_it_and_its_value(adapter: &Adapter) {
    let said = |cluster, settings| adapter.build(cluster, settings).unwrap_err().to_string();
    let not_an_address = Settings { bind: Some("db-7:80"), ..named("a") };
    assert_eq!(
        said("shop", not_an_address),
        "`bind` is \"db-7:80\", which is not IP:PORT, as in \"10.0.0.7:7946\""
    );
    let unreachable = Settings { advertise: Some("0.0.0.0"), ..named("a") };
    let error = adapter.build("shop", unreachable).unwrap_err();
    assert!(matches!(error, StartError::Unspecified(addr) if addr.ip() == IpAddr::from([0; 4])));
    for (cluster, settings, parts) in [
        ("shop", named("a\u{7}"), ["\"a\\u{7}\" is not a node's name", "`name`"]),
        ("", named("a"), ["\"\" is not a cluster's name", "empty"]),
    ] {
        let said = said(cluster, settings);
        assert!(parts.iter().all(|part| said.contains(part)), "{said}");
    }
}

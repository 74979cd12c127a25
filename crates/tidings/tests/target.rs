//! Places to join, against what Go's resolvers and memberlist made of the same texts on a machine with
//! the hosts, zones and services that are made up here.
//!
//! `data/` has what they said, one text a line. In the last column is why we differ, if we do.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr, SocketAddrV6};
use tidings::{InvalidName, Network, Services, Target, TargetError};

#[test]
fn what_go_resolves_is_resolved_to_the_same() {
    let rows = rows::<6>(include_str!("data/go-resolve-cases.tsv"));
    assert_eq!(rows.len(), 162);
    for [function, network, text, address, error, differs] in rows {
        let resolve = match function {
            "ResolveTCPAddr" => Target::resolve_tcp,
            _ => Target::resolve_udp,
        };
        let (network, text) = (unquoted(network), unquoted(text));
        let ours = resolve(network, text, &services())
            .map_err(|error| kind(&error))
            .and_then(|target| Ok(one_as_go_does(&target, text, &look_up(&target)?)));
        let theirs = if error.is_empty() { Ok(address.to_owned()) } else { Err(gos_kind(error)) };
        compare(&format!("{function} {network} {text:?}"), &ours, &theirs, differs);
    }
}

#[test]
fn whom_memberlist_joins_is_joined() {
    let rows = rows::<6>(include_str!("data/memberlist-resolve-cases.tsv"));
    assert_eq!(rows.len(), 49);
    for [text, addresses, count, node, error, differs] in rows {
        let ours = Target::parse(unquoted(text), Target::DEFAULT_PORT, &services())
            .map_err(|error| kind(&error))
            .and_then(|target| {
                let addrs = look_up(&target)?;
                let first: Vec<_> = addrs.iter().take(5).map(ToString::to_string).collect();
                let node = target.node().map_or("", |node| node.as_str());
                Ok((first.join(" "), addrs.len(), node.to_owned()))
            });
        let theirs = match error {
            "" => Ok((addresses.to_owned(), count.parse().unwrap(), unquoted(node).to_owned())),
            _ => Err(gos_kind(error)),
        };
        compare(text, &ours, &theirs, differs);
    }
}

#[track_caller]
fn compare<T: PartialEq + std::fmt::Debug>(what: &str, ours: &T, theirs: &T, differs: &str) {
    if differs.is_empty() {
        assert_eq!(ours, theirs, "{what}");
    } else {
        assert_ne!(ours, theirs, "{what}: {differs}; so it says, and it does not");
    }
}

/// The lines of a table but the first, which names its columns.
fn rows<const COLUMNS: usize>(table: &str) -> Vec<[&str; COLUMNS]> {
    let columns = |line| str::split(line, '\t').collect::<Vec<_>>().try_into();
    table.lines().skip(1).map(|line| columns(line).expect(line)).collect()
}

fn unquoted(text: &str) -> &str {
    text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).expect("it is in quotes")
}

/// What is wrong, in as few words as Go has for it.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Network,
    Node,
    MissingPort,
    Colons,
    MissingBracket,
    Bracket,
    Port,
    Service,
    NoSuchHost,
    Unsuitable,
    Zone,
    Temporary,
}

fn gos_kind(error: &str) -> Kind {
    let kinds = [
        ("unknown network", Kind::Network),
        ("empty node name", Kind::Node),
        ("missing port", Kind::MissingPort),
        ("parsing \"\": invalid syntax", Kind::MissingPort),
        ("too many colons", Kind::Colons),
        ("missing ']'", Kind::MissingBracket),
        ("unexpected '['", Kind::Bracket),
        ("unexpected ']'", Kind::Bracket),
        ("invalid port", Kind::Port),
        ("invalid syntax", Kind::Port),
        ("value out of range", Kind::Port),
        ("unknown port", Kind::Service),
        ("no such host", Kind::NoSuchHost),
        ("no suitable address", Kind::Unsuitable),
        ("server misbehaving", Kind::Temporary),
    ];
    kinds.iter().find(|(said, _)| error.contains(said)).expect(error).1
}

fn kind(error: &TargetError) -> Kind {
    match error {
        TargetError::UnknownNetwork(_) => Kind::Network,
        TargetError::NodeName { .. } => Kind::Node,
        TargetError::MissingPort(_) => Kind::MissingPort,
        TargetError::TooManyColons(_) => Kind::Colons,
        TargetError::MissingBracket(_) => Kind::MissingBracket,
        TargetError::UnexpectedBracket(_) => Kind::Bracket,
        TargetError::InvalidPort(_) => Kind::Port,
        TargetError::UnknownService { .. } => Kind::Service,
        TargetError::NoHost(_)
        | TargetError::NotAnAddress(_)
        | TargetError::NotAHost(_)
        | TargetError::NotFound(_) => Kind::NoSuchHost,
        TargetError::Unsuitable { .. } => Kind::Unsuitable,
        TargetError::UnknownZone(_) => Kind::Zone,
        other => panic!("{other:?} is new"),
    }
}

/// What a driver does, on a machine that is made up.
fn look_up(target: &Target) -> Result<Vec<SocketAddr>, Kind> {
    let found = target.name().map_or(Ok(Vec::new()), hosts)?;
    target.addrs(&found, target.zone().and_then(zones)).map_err(|error| kind(&error))
}

/// What the resolver of such a machine says, glibc's as it is.
fn hosts(name: &str) -> Result<Vec<SocketAddr>, Kind> {
    let big = (1..=60).map(|n| format!("198.51.100.{n}")).collect::<Vec<_>>().join(" ");
    let found = match name.to_ascii_lowercase().as_str() {
        "localhost" => "::1 127.0.0.1",
        "multi.test" => "2001:db8::10 192.0.2.10 192.0.2.11",
        "four.test" => "192.0.2.20",
        "six.test" => "2001:db8::20",
        "dns.test" | "dns.test." | "cname.test" => {
            "192.0.2.31 192.0.2.32 192.0.2.33 2001:db8::31 2001:db8::32"
        }
        "dns6.test" => "2001:db8::61",
        "big.test" => &big,
        "single" => "192.0.2.99",
        "xn--bcher-kva.test" => "192.0.2.77",
        "under_score.test" => "192.0.2.78",
        // What nobody should ask it.
        "127.1" | "127.0.0.01" | "0x7f000001" | "2130706433" => "127.0.0.1",
        "servfail.test" => return Err(Kind::Temporary),
        _ => "",
    };
    let addr = |ip: &str| SocketAddr::new(ip.parse().unwrap(), 0);
    Ok(found.split_whitespace().map(addr).collect())
}

fn zones(zone: &str) -> Option<u32> {
    match zone {
        "lo" => Some(1),
        "tid0" => Some(42),
        _ => zone.parse().ok(),
    }
}

fn services() -> Services {
    Services::read(
        "# as in /etc/services\n\
         domain\t53/tcp\n\
         domain\t53/udp\n\
         tftp\t\t69/udp\n\
         https\t\t443/tcp\n\
         https\t\t443/udp # HTTP/3\n\
         nfs\t\t2049/udp",
    )
}

/// The one address that Go takes, as it writes it: an IPv4 one if there is one, or an IPv6 one if the
/// text has a bracket; and the zone as it was written.
fn one_as_go_does(target: &Target, text: &str, addrs: &[SocketAddr]) -> String {
    if target.ip().is_none() && target.name().is_none() {
        return target.to_string();
    }
    let wanted = addrs.iter().find(|addr| addr.is_ipv6() == text.contains('['));
    let addr = wanted.unwrap_or(&addrs[0]);
    match (target.zone(), addr) {
        (Some(zone), SocketAddr::V6(v6)) => {
            assert_eq!(Some(v6.scope_id()), zones(zone));
            format!("[{}%{zone}]:{}", v6.ip(), v6.port())
        }
        _ => addr.to_string(),
    }
}

#[test]
fn errors_say_what_is_wrong_and_what_to_do() {
    let said = |text: &str| text.parse::<Target>().unwrap_err().to_string();
    for (text, expected) in [
        ("/a:1", "\"/a:1\" does not start with a valid node name: a name must not be empty"),
        ("a/", "no host in \"a/\"; write [NAME/]HOST[:PORT]"),
        ("a:", "no port in \"a:\"; write HOST:PORT, or [IPV6]:PORT"),
        (
            "1.2.3.4:80:90",
            "too many colons in \"1.2.3.4:80:90\"; write an IPv6 address with a port as [IPV6]:PORT",
        ),
        ("[::1", "no ']' in \"[::1\""),
        ("[[::1]]", "unexpected bracket in \"[[::1]]\"; brackets may only enclose the whole host"),
        ("a:65536", "\"65536\" is not a port; a port is a number from 0 to 65535"),
        ("a:-1", "\"-1\" is not a port; a port is a number from 0 to 65535"),
        ("a:nosuch", "unknown port \"nosuch\"; no tcp service has that name"),
        ("127.1", "\"127.1\" is not an IP address; an IPv4 address is four decimal numbers"),
        ("a\u{1b}b", "\"a\\u{1b}b\" is neither an IP address nor a valid domain name"),
        (
            "bücher.example",
            "\"bücher.example\" is neither an IP address nor a valid domain name; \
             write it as xn--...",
        ),
    ] {
        assert_eq!(said(text), expected);
    }
    let six = Target::resolve_tcp("tcp6", "127.0.0.1:1", &Services::default());
    assert_eq!(six.unwrap_err().to_string(), "\"127.0.0.1\" has no IPv6 address");
    let empty = TargetError::NodeName { text: "/x".into(), error: InvalidName::Empty };
    assert_eq!("/x".parse::<Target>(), Err(empty));
}

#[test]
fn numbers_that_some_systems_take_for_an_address_are_never_looked_up() {
    for text in
        ["1", "127.1", "0x7f.1", "0X7F000001", "0x7f000001.", "017700000001", "1.2.3.4.5", "0x"]
    {
        assert_eq!(text.parse::<Target>(), Err(TargetError::NotAnAddress(text.into())));
    }
    for text in ["0x7g", "1.example", "x1", "1-2", "0x7f000001.example"] {
        assert_eq!(text.parse::<Target>().unwrap().name(), Some(text));
    }
}

#[test]
fn a_name_is_as_long_as_dns_allows() {
    let label = "a".repeat(63);
    let longest = [&*label, &label, &label, &label[..61]].join(".");
    assert_eq!(longest.len(), 253);
    assert!(longest.parse::<Target>().is_ok());
    assert!(format!("{longest}.").parse::<Target>().is_ok(), "the last dot does not count");
    assert!(format!("{longest}a").parse::<Target>().is_err());
    assert!("a".repeat(64).parse::<Target>().is_err());
}

#[test]
fn all_addresses_are_given_in_order_and_once_with_the_scopes_that_they_were_found_with() {
    let target: Target = "a.example:80".parse().unwrap();
    let addrs = |addrs: &[&str]| -> Vec<SocketAddr> {
        addrs.iter().map(|addr| addr.parse().unwrap()).collect()
    };
    let found = addrs(&["[fe80::1%7]:0", "[::ffff:192.0.2.1]:0", "192.0.2.1:0", "[fe80::1%8]:0"]);
    let expected = addrs(&["[fe80::1%7]:80", "192.0.2.1:80", "[fe80::1%8]:80"]);
    assert_eq!(target.addrs(&found, None), Ok(expected));
    assert_eq!(target.addrs(&[], None), Err(TargetError::NotFound("a.example".into())));
    let six = Target::resolve_udp("udp6", "a.example:80", &Services::default()).unwrap();
    let unsuitable = TargetError::Unsuitable { host: "a.example".into(), network: Network::Udp6 };
    assert_eq!(six.addrs(&found[1..3], None), Err(unsuitable));
}

#[test]
fn no_host_is_any_address_of_the_network() {
    let any = |network| {
        let target = Target::resolve_tcp(network, ":80", &Services::default()).unwrap();
        target.addrs(&[], None).unwrap().iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(any("tcp"), ["[::]:80", "0.0.0.0:80"]);
    assert_eq!(any("tcp4"), ["0.0.0.0:80"]);
    assert_eq!(any("tcp6"), ["[::]:80"]);
}

#[test]
fn a_zone_must_be_there() {
    let target: Target = "fe80::1%tid0".parse().unwrap();
    assert_eq!(target.zone(), Some("tid0"));
    assert_eq!(target.addrs(&[], None), Err(TargetError::UnknownZone("tid0".into())));
    let addr = "[fe80::1%42]:7946".parse().unwrap();
    assert_eq!(target.addrs(&[], Some(42)), Ok(vec![addr]));
    let mapped = "[::ffff:192.0.2.1%9]:80".parse::<SocketAddr>().unwrap();
    assert_eq!(Target::from(&mapped), "192.0.2.1:80".parse().unwrap(), "IPv4 has none");
    assert_eq!("[fe80::1%]:80".parse::<Target>().unwrap().zone(), None, "as in Go");
}

#[test]
fn services_are_those_of_the_file_and_a_few_more_whatever_their_case() {
    let services =
        Services::read("www 8080/TCP web Http # http3\nbad\nbad 1\nbad x/tcp\nhttp 9/tcp");
    let port = |name, network| services.port(name, network);
    assert_eq!(port("WWW", Network::Tcp4), Some(8080));
    assert_eq!(port("web", Network::Tcp), Some(8080));
    assert_eq!(port("http", Network::Tcp), Some(8080), "the first line counts");
    assert_eq!(port("http3", Network::Tcp), None);
    assert_eq!(port("www", Network::Udp), None);
    assert_eq!(port("bad", Network::Tcp), None);
    assert_eq!(port("https", Network::Tcp6), Some(443), "it is always known");
}

/// Texts that are addresses, or nearly.
const NEARLY: &str = concat!(
    "([ab]/)?",
    r"\[?(fe80::1|::ffff:1.2.3.4|::|127.0.0.1|0x7f|localhost|ü)?",
    r"(%[a0:%/ü\[\]]{0,3})?\]?",
    "(:(http|[-+]?[0-9]{0,6}))?",
);

fn addrs() -> impl Strategy<Value = SocketAddr> {
    let v6 = (any::<u128>(), any::<u16>(), 0..9u32)
        .prop_map(|(ip, port, scope)| SocketAddrV6::new(ip.into(), port, 0, scope).into());
    let v4 = (any::<[u8; 4]>(), any::<u16>()).prop_map(SocketAddr::from);
    prop_oneof![v4, v6]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]

    #[test]
    fn what_is_taken_is_written_so_that_it_is_taken_for_the_same(
        text in prop_oneof![".*", r"[-+:/%.a0x\[\] ]{0,9}", NEARLY],
    ) {
        if let Ok(target) = text.parse::<Target>() {
            prop_assert_eq!(target.to_string().parse(), Ok(target));
        }
        for network in [Network::Tcp, Network::Tcp4, Network::Tcp6, Network::Udp6] {
            if let Ok(target) = Target::resolve(network, &text, &services()) {
                let again = Target::resolve(network, &target.to_string(), &Services::default());
                prop_assert_eq!(again, Ok(target));
            }
        }
        let _ = (Services::read(&text), text.parse::<Network>());
    }

    #[test]
    fn an_address_is_a_target_that_has_it(addr in addrs()) {
        let target = Target::from(addr);
        prop_assert_eq!(target.to_string().parse(), Ok(target.clone()));
        let scope = target.zone().map(|zone| zone.parse().unwrap());
        prop_assert_eq!(target.addrs(&[], scope), Ok(vec![addr]));
    }

    #[test]
    fn what_is_found_is_given_once(found in vec(addrs(), 0..20), network in select(vec![
        Network::Tcp, Network::Udp4, Network::Tcp6,
    ])) {
        let target = Target::resolve(network, "a.example:80", &Services::default()).unwrap();
        let addrs = target.addrs(&[&found[..], &found].concat(), None).unwrap_or_default();
        let ips = |addrs: &[SocketAddr]| -> BTreeSet<IpAddr> { addrs.iter().map(SocketAddr::ip).collect() };
        let mut expected = ips(&found);
        expected.retain(|ip| network == Network::Tcp || ip.is_ipv4() == (network == Network::Udp4));
        prop_assert_eq!(ips(&addrs), expected);
        prop_assert_eq!(addrs.iter().collect::<BTreeSet<_>>().len(), addrs.len());
        prop_assert!(addrs.iter().all(|addr| addr.port() == 80));
    }
}

//! A control socket as its clients see it, over a real node.

#![cfg(unix)]

use serde_json::{Value, json};
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tidings_control::{
    BindError, Client, ClientError, Level, MAX_CONNECTIONS, NodeService, Publisher, Server,
};
use tidings_std::{ClusterName, Tidings};

/// The path of a test's socket, which is removed with it.
struct Place(PathBuf);

impl Place {
    fn new(name: &str) -> Self {
        let dir = std::env::temp_dir().join(format!("tidings-{name}-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        Self(dir.join("node.sock"))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(self.0.parent().unwrap()));
    }
}

fn node(name: &str) -> Tidings {
    tidings_std::builder("shop").name(name).bind("127.0.0.1:0").start().unwrap().0
}

fn serve(place: &Place, node: &Tidings) -> (Server, Publisher) {
    let publisher = Publisher::new();
    let service = NodeService::new(node.clone(), ClusterName::new("shop").unwrap(), "1.2.3");
    let server = Server::start(&place.0, service, publisher.clone()).unwrap();
    (server, publisher)
}

fn line(stream: &mut BufReader<UnixStream>) -> Value {
    let mut line = String::new();
    stream.read_line(&mut line).unwrap();
    serde_json::from_str(&line).unwrap()
}

fn refused<T: std::fmt::Debug>(result: Result<T, ClientError>) -> String {
    match result.unwrap_err() {
        ClientError::Refused(error) => error,
        other => panic!("{other}"),
    }
}

#[test]
fn a_client_does_to_a_node_what_its_program_can() {
    let place = Place::new("commands");
    let (a, b) = (node("a"), node("b"));
    let (server, _) = serve(&place, &a);
    let mode = fs::metadata(server.path()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let mut client = Client::connect(&place.0).unwrap();
    assert_eq!(client.node(), "a");
    let joined = client.call("join", json!({"seeds": [b.addr().to_string()]})).unwrap();
    assert_eq!(joined["members"], 2);
    let info = client.call("info", json!({})).unwrap();
    assert_eq!((&info["cluster"], &info["version"]), (&"shop".into(), &"1.2.3".into()));
    assert_eq!(info["members"], json!({"alive": 2, "suspect": 0, "failed": 0, "left": 0}));
    assert_eq!(info["view"], tidings_control::view(&b.members()));
    let tags = client.call("tags", json!({"set": ["role=db", "zone=a"]})).unwrap();
    assert_eq!(tags["tags"], json!({"role": "db", "zone": "a"}));
    client.call("tags", json!({"delete": ["zone"]})).unwrap();
    let members = client.call("members", json!({})).unwrap();
    assert_eq!(members["members"][0]["tags"], json!({"role": "db"}));
    client.call("send", json!({"to": "b", "text": "hello", "reliable": true})).unwrap();
    client.call("broadcast", json!({"data": "00ff"})).unwrap();
    assert!(client.call("ping", json!({"to": "b"})).unwrap()["rtt"].as_f64().unwrap() > 0.0);
    assert!(client.call("stats", json!({})).unwrap()["stats"]["probes"].is_u64());
    assert_eq!(client.call("leave", json!({})).unwrap()["confirmed"], 1);
    assert_eq!(client.call("info", json!({})).unwrap()["phase"], "left");
    drop(server);
    assert!(matches!(
        client.call("info", json!({})),
        Err(ClientError::Closed | ClientError::Io(_))
    ));
    assert!(matches!(Client::connect(&place.0), Err(ClientError::NotRunning(_))));
}

#[test]
fn what_is_wrong_with_a_request_is_said_and_the_connection_goes_on() {
    let place = Place::new("wrong");
    let a = node("a");
    let (_server, _) = serve(&place, &a);
    let mut client = Client::connect(&place.0).unwrap();
    for (command, arguments, error) in [
        ("dance", json!({}), "unknown command \"dance\""),
        ("join", json!({}), "the argument \"seeds\" is missing"),
        ("join", json!({"seeds": [7]}), "the argument \"seeds\" is not a list of texts"),
        ("ping", json!({"to": "nobody"}), "no member of that name is known"),
        ("ping", json!({"to": ""}), "a name must not be empty"),
        ("force-leave", json!({"to": "a"}), "the member is alive; only one that failed"),
        ("broadcast", json!({"data": "0g"}), "the argument \"data\" is not hex: "),
        ("tags", json!({"delete": ["role"]}), "there is no tag \"role\""),
        ("tags", json!({"set": ["role"]}), "\"role\" is not a tag, as in role=db"),
        ("monitor", json!({"level": "loud"}), "\"loud\" is not a level"),
    ] {
        let said = refused(client.call(command, arguments));
        assert!(said.starts_with(error), "{command}: {said}");
    }
    a.set_meta("a text").unwrap();
    let said = refused(client.call("tags", json!({"set": ["role=db"]})));
    assert!(said.contains("is not tags"), "{said}");
    let mut stream = BufReader::new(UnixStream::connect(&place.0).unwrap());
    line(&mut stream);
    stream.get_mut().write_all(b"hello\n\n{\"cmd\":\"info\",\"id\":[7]}\n").unwrap();
    assert_eq!(line(&mut stream)["ok"], false);
    let info = line(&mut stream);
    assert_eq!((&info["ok"], &info["id"]), (&true.into(), &json!([7])));
}

#[test]
fn a_client_and_a_server_of_other_versions_are_told_so() {
    let place = Place::new("version");
    let a = node("a");
    let (server, _) = serve(&place, &a);
    let mut stream = BufReader::new(UnixStream::connect(&place.0).unwrap());
    assert_eq!(line(&mut stream)["control"], 1);
    stream.get_mut().write_all(b"{\"control\":2,\"cmd\":\"info\"}\n").unwrap();
    let said = line(&mut stream);
    let expected = "speaks version 1 of the control protocol, and the client version 2; use a \
                    client of version 1.2.3";
    assert!(said["error"].as_str().unwrap().contains(expected), "{said}");
    assert_eq!(stream.read(&mut [0]).unwrap(), 0, "the connection is closed");
    drop(server);

    let listener = UnixListener::bind(&place.0).unwrap();
    let newer = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.write_all(b"{\"control\":2,\"node\":\"a\",\"version\":\"9.9.9\"}\n").unwrap();
    });
    let error = Client::connect(&place.0).unwrap_err().to_string();
    assert!(error.contains("of version 9.9.9, speaks version 2"), "{error}");
    newer.join().unwrap();
}

#[test]
fn a_dead_servers_socket_is_replaced_and_a_live_ones_is_not() {
    let place = Place::new("stale");
    drop(UnixListener::bind(&place.0).unwrap());
    assert!(place.0.exists(), "as a process that was killed leaves it");
    let a = node("a");
    let (server, _) = serve(&place, &a);
    let service = || NodeService::new(a.clone(), ClusterName::new("shop").unwrap(), "1.2.3");
    let start = |path: &Path| Server::start(path, service(), Publisher::new());
    let error = start(&place.0).unwrap_err();
    assert!(matches!(error, BindError::InUse(_)), "{error}");
    assert_eq!(Client::connect(&place.0).unwrap().node(), "a");
    drop(server);
    assert!(!place.0.exists());

    fs::write(&place.0, "precious").unwrap();
    assert!(matches!(start(&place.0), Err(BindError::NotASocket(_))));
    assert_eq!(fs::read(&place.0).unwrap(), b"precious");
    let long = place.0.with_file_name("n".repeat(120));
    assert!(matches!(start(&long), Err(BindError::TooLong(_))));
    let nowhere = place.0.with_file_name("nowhere").join("node.sock");
    assert!(matches!(start(&nowhere), Err(BindError::Failed { .. })));
}

#[test]
fn events_come_to_each_client_that_monitors_at_its_level() {
    let place = Place::new("monitor");
    let a = node("a");
    let (server, publisher) = serve(&place, &a);
    let monitor = |level| Client::connect(&place.0).unwrap().monitor(level).unwrap();
    let (mut all, mut warnings) = (monitor(Level::Debug), monitor(Level::Warn));
    publisher.publish("test", Level::Info, "first", json!({"n": 1}));
    publisher.publish("test", Level::Warn, "second", json!({"n": 2}));
    assert_eq!(all.next().unwrap().unwrap()["n"], 1);
    let second = warnings.next().unwrap().unwrap();
    assert_eq!((&second["level"], &second["text"]), (&"warn".into(), &"second".into()));
    drop(all);
    drop(server);
    assert!(warnings.next().is_none_or(|event| event.is_err()));
}

#[test]
fn a_thousand_connections_are_bounded_and_the_newest_is_served() {
    let place = Place::new("many");
    let a = node("a");
    let (_server, _) = serve(&place, &a);
    let threads = || fs::read_dir("/proc/self/task").map_or(0, Iterator::count);
    let before = threads();
    let mut open = Vec::new();
    for _ in 0..1000 {
        let stream = UnixStream::connect(&place.0).unwrap();
        // The greeting: the server has it.
        let mut stream = BufReader::new(stream);
        assert_eq!(line(&mut stream)["node"], "a");
        open.push(stream);
        // Other tests of this process have threads, too.
        assert!(threads() < before + 3 * MAX_CONNECTIONS + 200);
    }
    let mut client = Client::connect(&place.0).unwrap();
    assert_eq!(client.call("info", json!({})).unwrap()["ok"], true);
    let oldest = open.first_mut().unwrap();
    assert_eq!(oldest.read(&mut [0]).unwrap(), 0, "it was idle for longest");
    let newest = open.last_mut().unwrap();
    newest.get_mut().write_all(b"{\"cmd\":\"info\"}\n").unwrap();
    assert_eq!(line(newest)["ok"], true);

    // Those that monitor are not idle.
    drop(open);
    let monitor = || Client::connect(&place.0).and_then(|client| client.monitor(Level::Info));
    let monitors: Vec<_> = std::iter::from_fn(|| monitor().ok()).take(MAX_CONNECTIONS).collect();
    assert_eq!(monitors.len(), MAX_CONNECTIONS);
    assert!(refused(monitor()).starts_with("busy: 32 control connections"));
}

#[test]
fn a_client_that_does_not_read_or_writes_without_end_is_disconnected() {
    let place = Place::new("deaf");
    let a = node("a");
    let (_server, publisher) = serve(&place, &a);
    let mut stream = BufReader::new(UnixStream::connect(&place.0).unwrap());
    line(&mut stream);
    let long = vec![b'x'; 2 << 20];
    // The server may have closed the connection before it is all written.
    drop(stream.get_mut().write_all(&long));
    let said = line(&mut stream);
    assert!(said["error"].as_str().unwrap().contains("at most 1048576 bytes"), "{said}");

    let mut deaf = BufReader::new(UnixStream::connect(&place.0).unwrap());
    line(&mut deaf);
    deaf.get_mut().write_all(b"{\"cmd\":\"monitor\"}\n").unwrap();
    line(&mut deaf);
    let start = Instant::now();
    while publisher.is_watched() {
        let before = Instant::now();
        publisher.publish("test", Level::Info, &"x".repeat(1000), json!({}));
        assert!(before.elapsed() < Duration::from_secs(1), "nobody waits for the client");
        assert!(start.elapsed() < Duration::from_secs(30), "it is disconnected");
        std::thread::yield_now();
    }
}

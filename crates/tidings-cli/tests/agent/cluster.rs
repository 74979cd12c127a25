//! The commands that ask all agents of a cluster.

use super::{Agent, LIMIT, Place, keygen, write_secret};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::time::Instant;
use tidings_std::Event;

/// Three agents with keys of their own files, the first of which has a control socket.
fn three(name: &str, more: &[&str]) -> ([Agent; 3], [String; 3], String, Place) {
    let (place, key) = (Place::new(name), keygen(&[]));
    let file = |n| format!("{}/{name}-{n}-{}", env!("CARGO_TARGET_TMPDIR"), std::process::id());
    let files = [0, 1, 2].map(file);
    files.iter().for_each(|file| write_secret(file, &key));
    let a = Agent::start("a", &["--control", &place.0, "--key-file", &files[0]]);
    let others = [("b", &files[1], &[][..]), ("c", &files[2], more)];
    let [b, c] = others.map(|(name, file, more)| {
        Agent::start(name, &[&["--join", &a.addr, "--key-file", file], more].concat())
    });
    for agent in [&a, &b, &c] {
        agent.ask_until("members", |result| result["members"].as_array().unwrap().len() == 3);
    }
    ([a, b, c], files, key, place)
}

#[test]
fn keys_are_rotated_in_the_whole_cluster_by_one_command_a_step() {
    let ([a, b, c], files, old, place) = three("rotate", &[]);
    let new = keygen(&[]);
    let early = place.tidings(&["keys", "use", &new]);
    assert_eq!((early.0, early.1.as_str()), (Some(1), ""));
    assert!(early.2.contains("a does not have the key; install it first"), "{}", early.2);

    let installed = place.ok(&["keys", "install", &new]);
    assert!(installed.ends_with("3 of 3 agents answered\n"), "{installed}");
    assert_eq!(installed.matches("saved in ").count(), 3, "{installed}");
    let again = place.ok(&["keys", "install", &new]);
    assert_eq!(again.matches("already so").count(), 3, "{again}");
    let early = place.tidings(&["keys", "remove", &old]);
    assert!(early.2.contains("a encrypts with the key; use another one first"), "{}", early.2);
    place.ok(&["keys", "use", &new]);
    let list = place.ok(&["keys", "list"]);
    assert_eq!(list.matches("3 of 3").count(), 4, "{list}");
    assert!(list.contains("0 of 3") && !list.contains(&new), "{list}");
    place.ok(&["keys", "remove", &old]);
    for file in &files {
        assert_eq!(std::fs::read_to_string(file).unwrap(), format!("{new}\n"));
        std::fs::remove_file(file).unwrap();
    }
    for agent in [&a, &b, &c] {
        assert_eq!(agent.ask("keyring list")["keys"], serde_json::json!([new]));
        assert_eq!(agent.ask("members")["members"].as_array().unwrap().len(), 3);
        assert_eq!(agent.ask("stats")["stats"]["rejected_datagrams"]["key"], 0);
    }
}

#[test]
fn an_agent_that_does_not_answer_fails_a_change_of_keys() {
    let ([_a, _b, c], _, _, place) = three("refuses", &["--remote-commands", "look"]);
    let (status, listed, _) = place.tidings(&["keys", "list"]);
    assert_eq!(status, Some(0), "{listed}");
    let (status, table, _) = place.tidings(&["keys", "install", &keygen(&[])]);
    assert_eq!(status, Some(1));
    assert!(table.contains("c     error: its --remote-commands does not allow this"), "{table}");
    assert!(table.ends_with("2 of 3 agents answered\n"), "{table}");
    assert_eq!(c.ask("keyring list")["keys"].as_array().unwrap().len(), 1);
}

#[test]
fn keys_are_not_asked_for_in_clear() {
    let place = Place::new("clear");
    let a = Agent::start("a", &["--control", &place.0]);
    let b = Agent::start("b", &["--join", &a.addr, "--key", &keygen(&[]), "--plaintext", "sent"]);
    a.wait_for("join", "b");
    b.wait_for("join", "a");
    let key = keygen(&[]);
    for arguments in [&["keys", "list"][..], &["keys", "install", &key]] {
        let (status, _, said) = place.tidings(arguments);
        assert_eq!(status, Some(1));
        assert!(said.contains("keys of the cluster are not sent"), "{said}");
    }
}

#[test]
fn all_agents_tell_whom_they_see_and_their_applications_nothing_of_it() {
    let ([a, b, c], _, _, place) = three("views", &[]);
    let views = place.ok(&["members", "--from", "all"]);
    assert!(views.contains("a, b, c") && views.contains("see the same members"), "{views}");
    let sees = place.ok(&["reachability"]);
    assert_eq!(sees.matches(" of 2\n").count(), 3, "{sees}");
    assert!(!sees.contains("PROBLEM"), "{sees}");
    assert!(sees.ends_with("3 of 3 agents answered\n"), "{sees}");
    let rtt = place.ok(&["rtt", "b", "c"]);
    assert!(rtt.starts_with("c answered b, round trip "), "{rtt}");
    // The application of a, b and c is not told any of it.
    assert_eq!(b.ask("send-user c hello reliable")["ok"], true);
    assert_eq!(c.wait(|line| line["ev"] == "msg")["data"], "68656c6c6f");
    drop(a);
}

#[test]
fn who_does_not_reach_whom_is_told_by_each_agent_and_fails_the_command() {
    let ([a, b, c], _, _, place) = three("reach", &[]);
    drop(c);
    a.wait(|line| line["ev"] == "leave" && line["node"]["name"] == "c");
    b.wait(|line| line["ev"] == "leave" && line["node"]["name"] == "c");
    let (status, table, _) = place.tidings(&["reachability"]);
    assert_eq!(status, Some(1), "{table}");
    assert!(table.contains("\nc   failed   a, b\n"), "{table}");
    let (status, json, _) = place.tidings(&["reachability", "--format", "json"]);
    assert_eq!(status, Some(1), "{json}");
    let told: serde_json::Value = serde_json::from_str(&json).unwrap();
    for node in told["nodes"].as_array().unwrap() {
        assert_eq!(node["problems"], serde_json::json!([{"to": "c", "problem": "failed"}]));
        assert_eq!(node["left_out"], 0);
    }
}

/// Without keys an agent answers others only if it is told to.
const ASKED: &str = "--remote-commands=look";

#[test]
fn agents_that_see_other_members_are_told_apart() {
    let place = Place::new("split");
    let a = Agent::start("a", &["--control", &place.0]);
    // b does not accept members of another network.
    let b = Agent::start("b", &["--join", &a.addr, "--allow-network", "127.0.0.1/32", ASKED]);
    b.wait_for("join", "a");
    let c = Agent::start("c", &["--bind", "127.0.0.2:0", "--join", &a.addr, ASKED]);
    a.wait_for("join", "c");
    c.ask_until("members", |result| result["members"].as_array().unwrap().len() == 3);
    let start = Instant::now();
    let (status, table) = loop {
        let (status, table, _) = place.tidings(&["members", "--from", "all"]);
        if table.contains("missing: c") || start.elapsed() > LIMIT {
            break (status, table);
        }
    };
    assert_eq!(status, Some(1), "{table}");
    let row = table.lines().find(|line| line.contains("missing: c")).unwrap_or_default();
    assert_eq!(row.split_whitespace().skip(1).collect::<Vec<_>>(), ["b", "missing:", "c"]);
    assert!(table.contains("a, c") && table.ends_with("2 views of the cluster\n"), "{table}");
}

#[test]
fn a_program_that_is_no_agent_gets_a_message_and_is_told_apart() {
    let place = Place::new("stranger");
    let a = Agent::start("a", &["--control", &place.0]);
    let node = tidings_std::builder("default").name("program").bind("127.0.0.1:0");
    let (node, events) = node.start().unwrap();
    node.join([a.addr.as_str()]).unwrap();
    a.wait_for("join", "program");
    let (status, table, _) = place.tidings(&["reachability"]);
    assert_eq!(status, Some(1), "{table}");
    assert!(table.contains("? (no answer within 5s; is it an agent?)"), "{table}");
    assert!(table.ends_with("1 of 2 agents answered\n"), "{table}");
    let asked = events.into_iter().find_map(|event| match event {
        Event::Message { data, .. } => Some(data),
        _ => None,
    });
    assert!(asked.unwrap().starts_with(b"\0tidings-agent\x01{"), "as AGENT.md describes it");
    let (status, _, said) = place.tidings(&["rtt", "nobody", "a"]);
    assert_eq!(status, Some(1));
    assert!(said.contains("nobody: no member of that name is known"), "{said}");
}

/// Changes keys among three agents that record, and looks for the keys in all recordings.
#[track_caller]
fn recordings_have_no_keys(name: &str, in_files: bool) {
    let old = keygen(&[]);
    let [new, unknown] = [keygen(&[]), keygen(&[])];
    let places = ["a", "b", "c"].map(|agent| Place::new(&format!("{name}-{agent}")));
    let file = |n| format!("{}/{name}-{n}-{}", env!("CARGO_TARGET_TMPDIR"), std::process::id());
    let [keys, records] = [[0, 1, 2], [3, 4, 5]].map(|numbers| numbers.map(file));
    keys.iter().for_each(|file| write_secret(file, &old));
    let start = |n: usize, more: &[&str]| {
        let record = ["--record", records[n].as_str()];
        let record = if in_files { &record[..] } else { &[] };
        let options = ["--control", &places[n].0, "--key-file", &keys[n]];
        Agent::start(["a", "b", "c"][n], &[&options[..], record, more].concat())
    };
    let a = start(0, &[]);
    let b = start(1, &["--join", &a.addr]);
    let c = start(2, &["--join", &a.addr]);
    for agent in [&a, &b, &c] {
        agent.ask_until("members", |result| result["members"].as_array().unwrap().len() == 3);
    }

    let place = &places[0];
    let fails = |args: &[&str]| assert_ne!(place.tidings(args).0, Some(0), "{args:?}");
    fails(&["keys", "use", &unknown]);
    fails(&["keys", "use", &unknown, "--force"]);
    fails(&["keys", "remove", &old]);
    fails(&["keys", "remove", &old, "--force"]);
    fails(&["keys", "install", &unknown[..unknown.len() - 2]]);
    let installed = place.ok(&["keys", "install", &new]);
    assert_eq!(installed.matches("saved in ").count(), 3, "{installed}");
    place.ok(&["keys", "use", &new]);
    place.ok(&["keys", "remove", &old]);
    let again = place.ok(&["keys", "remove", &unknown]);
    assert_eq!(again.matches("already so").count(), 3, "{again}");
    for file in &keys {
        assert_eq!(std::fs::read_to_string(file).unwrap(), format!("{new}\n"));
    }

    let mut recordings = Vec::new();
    for place in &places {
        let end = Instant::now() + LIMIT;
        // A file has the last second a little later.
        let recording = loop {
            let recording = fetch_recording(place);
            if count(&recording, b"\"action\":\"remove\"") >= 3 {
                break recording;
            }
            assert!(Instant::now() < end, "the commands are not in the recording");
        };
        recordings.push(recording);
    }
    drop([a, b, c]);
    if in_files {
        recordings.extend(records.iter().map(|file| std::fs::read(file).unwrap()));
    }
    for recording in &recordings {
        assert!(contains(recording, b"\"action\":\"install\""));
        for key in [&old, &new, &unknown] {
            let found = encodings(key).into_iter().find(|it| contains(recording, it));
            assert_eq!(found.map(|it| String::from_utf8_lossy(&it).into_owned()), None);
        }
        std::fs::write(&records[0], recording).unwrap();
        let replayed = super::tidings(&["replay", &records[0]]).output().unwrap();
        let text = String::from_utf8_lossy(&replayed.stdout);
        assert!(replayed.status.success() && text.contains("all equal"), "{text}");
    }
    keys.iter().chain(&records).for_each(|file| drop(std::fs::remove_file(file)));
}

/// The recording of an agent, as its control socket returns it.
fn fetch_recording(place: &Place) -> Vec<u8> {
    let mut stream = UnixStream::connect(&place.0).unwrap();
    writeln!(stream, r#"{{"control":1,"id":1,"cmd":"recording"}}"#).unwrap();
    // The first line is the greeting.
    let answer = BufReader::new(stream).lines().nth(1).unwrap().unwrap();
    let answer: serde_json::Value = serde_json::from_str(&answer).unwrap();
    let text = answer["recording"].as_str().unwrap_or_else(|| panic!("{answer}"));
    data_encoding::BASE64.decode(text.as_bytes()).unwrap()
}

fn contains(all: &[u8], part: &[u8]) -> bool {
    count(all, part) > 0
}

fn count(all: &[u8], part: &[u8]) -> usize {
    all.windows(part.len()).filter(|it| *it == part).count()
}

/// A key as it could stand in a file: as bytes and as text, each raw, in hexadecimal and in base64
/// at any offset.
fn encodings(key: &str) -> Vec<Vec<u8>> {
    use data_encoding::{BASE64, BASE64URL, HEXLOWER, HEXUPPER};
    let text = key.rsplit(':').next().unwrap();
    let raw = BASE64.decode(text.as_bytes()).or_else(|_| HEXLOWER.decode(text.as_bytes()));
    let raw = raw.expect("keys are in base64 or hexadecimal");
    assert_eq!(raw.len(), 32);
    let mut all = vec![text.as_bytes().to_vec()];
    for bytes in [raw.as_slice(), text.as_bytes()] {
        all.push(bytes.to_vec());
        all.extend([HEXLOWER, HEXUPPER].map(|it| it.encode(bytes).into_bytes()));
        for bytes in (0..3).map(|offset| &bytes[offset..]) {
            let whole = &bytes[..bytes.len() / 3 * 3];
            all.extend([BASE64, BASE64URL].map(|it| it.encode(whole).into_bytes()));
        }
    }
    all
}

#[test]
fn a_recording_in_memory_has_no_key_after_any_command() {
    recordings_have_no_keys("ring", false);
}

#[test]
fn a_recording_in_a_file_has_no_key_after_any_command() {
    recordings_have_no_keys("file", true);
}

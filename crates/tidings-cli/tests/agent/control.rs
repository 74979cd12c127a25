//! The commands that ask a running agent.

use super::{Agent, LIMIT, Place, keygen, lines_of, run, tidings, write_secret};
use serde_json::Value;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::process::Stdio;
use std::time::Instant;

/// Two agents, the first of which has a control socket.
fn pair(name: &str) -> (Agent, Agent, Place) {
    let place = Place::new(name);
    let a = Agent::start("a", &["--control", &place.0, "--tag", "role=db", "--tag", "zone=eu"]);
    let b = Agent::start("b", &["--join", &a.addr, "--meta", "two words"]);
    a.wait_for("join", "b");
    b.wait_for("join", "a");
    (a, b, place)
}

#[test]
fn members_are_listed_and_filtered_by_state_name_and_tag() {
    let (a, mut b, place) = pair("members");
    let table = place.ok(&["members"]);
    let lines: Vec<_> = table.lines().map(str::trim_end).collect();
    assert_eq!(lines.len(), 4, "{table}");
    assert!(lines[0].starts_with("NAME  ADDRESS") && lines[0].ends_with("TAGS"), "{table}");
    assert!(lines[1].starts_with(&format!("a     {}", a.addr)), "{table}");
    assert!(lines[1].ends_with("role=db, zone=eu"), "{table}");
    assert!(lines[2].contains(" alive ") && lines[2].ends_with("\"two words\""), "{table}");
    assert_eq!(lines[3], "2 members of 2 known");

    let names = |args: &[&str]| {
        let members = place.json(&[&["members"], args].concat());
        let names = members["members"].as_array().unwrap().iter();
        names.map(|member| member["name"].as_str().unwrap().to_owned()).collect::<String>()
    };
    assert_eq!(names(&["--tag", "role=d.", "--tag", "zone=eu"]), "a");
    assert_eq!((names(&["--tag", "role=d"]), names(&["--name", "[b-z]"])), ("".into(), "b".into()));
    b.process.kill().unwrap();
    a.wait_for("leave", "b");
    assert_eq!((names(&[]), names(&["--all"])), ("a".into(), "ab".into()));
    assert_eq!(
        (names(&["--status", "failed"]), names(&["--status", "left,alive"])),
        ("b".into(), "a".into())
    );
    assert_eq!(place.tidings(&["members", "--name", "["]).0, Some(2));
}

#[test]
fn members_are_listed_again_when_they_change() {
    let (_a, b, place) = pair("watch");
    let mut watch = tidings(&["members", "--watch", "--format", "json", "--control", &place.0])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = lines_of(&mut watch);
    let next = || serde_json::from_str::<Value>(&lines.recv_timeout(LIMIT).unwrap()).unwrap();
    assert_eq!(next()["members"].as_array().unwrap().len(), 2);
    b.signal("-TERM");
    while next()["members"].as_array().unwrap().len() != 1 {}
    watch.kill().unwrap();
    watch.wait().unwrap();
}

#[test]
fn an_agent_is_told_what_to_do_from_another_terminal() {
    let place = Place::new("commands");
    let a = Agent::start("a", &["--control", &place.0]);
    let b = Agent::start("b", &[]);
    let joined = place.ok(&["join", &b.addr]);
    assert_eq!(joined, "joined through 1 of 1 seed; 2 members\n");
    b.wait_for("join", "a");
    assert_eq!(place.ok(&["send", "b", "two words", "--reliable"]), "delivered\n");
    let message = b.wait(|line| line["ev"] == "msg");
    assert_eq!(
        (&message["data"], &message["via"]),
        (&"74776f20776f726473".into(), &"reliable".into())
    );
    place.ok(&["send", "b", "hex:00ff"]);
    assert_eq!(b.wait(|line| line["ev"] == "msg")["data"], "00ff");
    place.ok(&["broadcast", "to all"]);
    assert_eq!(b.wait(|line| line["ev"] == "msg")["via"], "broadcast");
    let start = Instant::now();
    // Pings time out soon, and the machine may be busy.
    while place.tidings(&["rtt", "b"]).0 != Some(0) {
        assert!(start.elapsed() < LIMIT);
    }
    assert_eq!(place.ok(&["tags", "set", "role=db", "zone=eu"]), "role=db\nzone=eu\n");
    assert_eq!(b.wait_for("update", "a")["node"]["tags"]["role"], "db");
    assert_eq!(place.ok(&["tags", "delete", "zone"]), "role=db\n");
    let info = place.ok(&["info"]);
    for part in ["name:         a\n", "tags:         role=db\n", "health:       0 (good)\n"] {
        assert!(info.contains(part), "{info}");
    }
    assert!(info.contains("2 alive, 0 suspect, 0 failed, 0 left"), "{info}");
    assert!(place.ok(&["stats"]).lines().any(|line| line.starts_with("datagrams out ")));
    assert_eq!(place.json(&["stats"])["stats"]["rejected_datagrams"]["format"], 0);
    for (args, error) in [
        (&["rtt", "nobody"][..], "tidings: no member of that name is known\n"),
        (&["join", "127.0.0.1:1"], "nobody listens there"),
        (&["keys", "list", "--local"], "tidings: the node does not encrypt; start it with a key\n"),
        (&["tags", "delete", "zone"], "tidings: there is no tag \"zone\"\n"),
    ] {
        let (status, output, said) = place.tidings(args);
        assert_eq!((status, output.as_str()), (Some(1), ""), "{args:?}: {said}");
        assert!(said.contains(error), "{args:?}: {said}");
    }
    assert_eq!(place.ok(&["leave"]), "left; 1 member confirmed it\n");
    assert_eq!(b.wait_for("leave", "a")["node"]["state"], "left");
    assert_eq!(place.json(&["info"])["phase"], "left");
    drop(a);
    let (status, _, said) = place.tidings(&["info"]);
    assert_eq!(status, Some(3), "{said}");
    assert!(said.contains("nothing runs at the control socket"), "{said}");
}

#[test]
fn a_member_that_failed_is_declared_to_have_left_and_a_live_one_is_not() {
    let (a, mut b, place) = pair("force");
    let c = Agent::start("c", &["--join", &a.addr]);
    c.wait_for("join", "b");
    let (status, _, said) = place.tidings(&["force-leave", "b"]);
    assert_eq!(status, Some(1));
    assert!(said.contains("only one that failed is declared to have left"), "{said}");
    b.process.kill().unwrap();
    for agent in [&a, &c] {
        assert_eq!(agent.wait_for("leave", "b")["node"]["state"], "dead");
    }
    assert_eq!(place.ok(&["force-leave", "b"]), "b has left, for all members\n");
    for agent in [&a, &c] {
        assert_eq!(agent.wait_for("leave", "b")["node"]["state"], "left");
    }
    for _ in 0..9 {
        place.ok(&["force-leave", "b"]);
    }
    let (status, _, said) = place.tidings(&["force-leave", "b"]);
    assert_eq!(status, Some(1));
    assert!(said.contains("10 members were declared to have left within 10s"), "{said}");
}

#[test]
fn the_level_of_the_log_is_changed_while_the_agent_runs() {
    let place = Place::new("level");
    let a = Agent::start("a", &["--control", &place.0, "--log-level", "warn"]);
    let b = Agent::start("b", &["--join", &a.addr]);
    b.wait_for("join", "a");
    a.ask_until("members", |result| result["members"].as_array().unwrap().len() == 2);
    assert_eq!(place.ok(&["log-level", "info"]), "the agent prints info and above\n");
    b.tell("update-meta role=db");
    // Its join was below the level.
    let first = a.wait(|line| ["join", "update"].contains(&line["ev"].as_str().unwrap()));
    assert_eq!((&first["ev"], &first["level"]), (&"update".into(), &"info".into()));
}

#[test]
fn keys_are_changed_and_written_and_never_shown() {
    let place = Place::new("keys");
    let file = format!("{}/control-keys-{}", env!("CARGO_TARGET_TMPDIR"), std::process::id());
    let (old, new) = (keygen(&[]), keygen(&[]));
    write_secret(&file, &old);
    let _a = Agent::start("a", &["--control", &place.0, "--key-file", &file]);
    let installed = place.ok(&["keys", "install", &new, "--local"]);
    assert!(installed.contains(&format!("saved in {file}")), "{installed}");
    let listed = place.json(&["keys", "list", "--local"]);
    let id = listed["keys"][1]["id"].as_str().unwrap();
    place.ok(&["keys", "use", id, "--local"]);
    place.ok(&["keys", "remove", &old, "--local"]);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), format!("{new}\n"));
    let table = place.ok(&["keys", "list", "--local"]);
    assert!(table.contains("encrypts") && !table.contains(&new), "{table}");
    assert_eq!(table.lines().count(), 2);
    assert_eq!(place.tidings(&["keys", "remove", id, "--local"]).0, Some(1), "it encrypts with it");
    std::fs::remove_file(&file).unwrap();
}

#[test]
fn events_are_followed_from_another_terminal() {
    let (a, b, place) = pair("monitor");
    let mut monitor =
        tidings(&["monitor", "--control", &place.0]).stdout(Stdio::piped()).spawn().unwrap();
    let lines = lines_of(&mut monitor);
    // The monitor may not have subscribed yet.
    a.ask_until("update-meta role=db", |_| {
        b.tell("send-user a hello reliable");
        lines.recv_timeout(LIMIT / 100).is_ok_and(|line| line.ends_with(" from b: \"hello\""))
    });
    b.signal("-TERM");
    while !lines.recv_timeout(LIMIT).unwrap().ends_with(" INFO  b left") {}
    drop(a);
    assert_eq!(monitor.wait().unwrap().code(), Some(3));
}

#[test]
fn a_verdict_is_explained_while_the_agent_runs() {
    let (a, mut b, place) = pair("why");
    b.process.kill().unwrap();
    a.wait_for("leave", "b");
    let why = place.ok(&["why", "b"]);
    for part in ["why a declared b failed:", "ping sent to ", "a suspects b", "timeout expired"] {
        assert!(why.contains(part), "{part}: {why}");
    }
    let why = place.ok(&["why", "b", "--format", "json"]);
    let why: Value = serde_json::from_str(why.lines().next().unwrap()).unwrap();
    assert_eq!((&why["ev"], &why["verdict"]), (&"why".into(), &"failed".into()));
    assert!(why["facts"].as_array().unwrap().len() >= 3, "{why}");
    assert!(place.ok(&["why", "a"]).contains("a did not suspect a"));
    let (status, _, said) = place.tidings(&["why", "nobody"]);
    assert_eq!(status, Some(2));
    assert!(said.contains("no member named nobody in the recording"), "{said}");
}

#[test]
fn a_second_agent_of_the_name_is_refused_and_a_dead_ones_socket_replaced() {
    let place = Place::new("second");
    let mut a = Agent::start("a", &["--control", &place.0]);
    let (status, said) =
        run(&["agent", "--name", "a", "--bind", "127.0.0.1:0", "--control", &place.0]);
    assert_eq!(status, Some(2), "{said}");
    let expected = format!("--control: a running program has the control socket {}", place.0);
    assert!(said.contains(&expected) && said.contains("is named a, set another --name"), "{said}");
    a.process.kill().unwrap();
    a.process.wait().unwrap();
    assert!(std::fs::exists(&place.0).unwrap());
    let mut again = Agent::start("a", &["--control", &place.0]);
    assert_eq!(place.json(&["info"])["pid"], again.process.id());
    again.tell("quit");
    again.process.wait().unwrap();
    assert!(!std::fs::exists(&place.0).unwrap(), "it is removed");
}

#[test]
fn the_only_agent_of_a_user_is_found_by_itself() {
    let dir = std::env::temp_dir().join(format!("t{}-run", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    let variables = [("XDG_RUNTIME_DIR", dir.to_str().unwrap())];
    let ask = |args: &[&str]| {
        let output = tidings(args).envs(variables).output().unwrap();
        let text = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8(text).unwrap())
    };
    let (status, said) = ask(&["info"]);
    assert_eq!(status, Some(3), "{said}");
    assert!(said.contains("no agent of this user runs on this machine"), "{said}");
    let start = |name| {
        let mut agent = tidings(&["agent", "--json", "--name", name, "--bind", "127.0.0.1:0"])
            .envs(variables)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let ready = lines_of(&mut agent).recv_timeout(LIMIT).unwrap();
        assert!(ready.contains("\"ready\""), "{ready}");
        agent
    };
    let mut a = start("a");
    let (status, said) = ask(&["info"]);
    assert!(status == Some(0) && said.contains("name:         a\n"), "{said}");
    let mut b = start("b/2");
    let (status, said) = ask(&["info"]);
    assert_eq!(status, Some(2), "{said}");
    assert!(said.contains("several agents run on this machine; add --agent: a, b/2"), "{said}");
    assert!(ask(&["info", "--agent", "b/2"]).1.contains("name:         b/2\n"));
    for agent in [&mut a, &mut b] {
        agent.kill().unwrap();
        agent.wait().unwrap();
    }
    std::fs::remove_dir_all(dir).unwrap();
}

#[test]
fn a_node_is_not_delayed_by_clients_that_do_not_read_or_do_nothing() {
    let (a, b, place) = pair("hold");
    let mut open = Vec::new();
    for n in 0..1000 {
        let mut stream = UnixStream::connect(&place.0).unwrap();
        BufReader::new(&stream).read_line(&mut String::new()).unwrap();
        if n % 3 == 0 {
            // Results that nobody reads; the connection may have been closed to make room.
            for _ in 0..50 {
                drop(stream.write_all(b"{\"cmd\":\"members\"}\n"));
            }
        }
        open.push(stream);
    }
    for _ in 0..20 {
        assert!(b.ping("a") < 0.2);
    }
    assert_eq!(a.ask("members")["health"], 0);
    assert_eq!(b.ask("members")["members"].as_array().unwrap().len(), 2);
    assert!(place.ok(&["info"]).contains("2 alive, 0 suspect"));
    drop(open);
}

/// `tidings top` in a terminal, which `script` gives it.
struct Top {
    process: std::process::Child,
    /// What it has written, and is not looked at yet.
    shown: String,
}

impl Top {
    fn start(place: &Place) -> Self {
        let top = "echo pid=$$=; stty rows 30 cols 100; exec";
        let process = std::process::Command::new("script")
            .args(["-qec", &format!("{top} {} top", env!("CARGO_BIN_EXE_tidings")), "/dev/null"])
            .env("TIDINGS_CONTROL", &place.0)
            .env("TERM", "xterm")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        Self { process, shown: String::new() }
    }

    /// Reads until a text has come; returns what came before.
    #[track_caller]
    fn read_until(&mut self, text: &str) -> String {
        let mut buffer = [0; 4096];
        loop {
            if let Some((before, after)) = self.shown.split_once(text) {
                let (before, after) = (before.to_owned(), after.to_owned());
                self.shown = after;
                return before;
            }
            let len = self.process.stdout.as_mut().unwrap().read(&mut buffer).unwrap();
            assert!(len > 0, "{text}: {}", self.shown);
            self.shown += &String::from_utf8_lossy(&buffer[..len]);
        }
    }

    #[track_caller]
    fn ends(mut self) {
        // The end of the alternate screen.
        self.read_until("\x1b[?1049l");
        assert!(self.process.wait().unwrap().success());
    }
}

#[test]
fn the_live_view_needs_a_terminal_and_leaves_it_as_it_was() {
    let (a, _b, place) = pair("top");
    let (status, _, said) = place.tidings(&["top"]);
    assert_eq!(status, Some(2));
    assert!(said.contains("tidings top needs a terminal"), "{said}");
    let mut top = Top::start(&place);
    top.read_until(&a.addr);
    top.process.stdin.as_mut().unwrap().write_all(b"q").unwrap();
    top.ends();
    let mut top = Top::start(&place);
    top.read_until("pid=");
    let pid = top.read_until("=");
    top.read_until(&a.addr);
    let killed = std::process::Command::new("kill").args(["-TERM", &pid]).status();
    assert!(killed.unwrap().success());
    top.ends();
}

#[test]
fn the_list_and_the_live_view_say_how_long_a_suspect_has_left() {
    let (a, mut b, place) = pair("countdown");
    let mut top = Top::start(&place);
    top.read_until(&b.addr);
    b.process.kill().unwrap();
    top.read_until("suspect, ");
    let listed = place.ok(&["members", "--format", "json"]);
    let members = serde_json::from_str::<Value>(&listed).unwrap()["members"].clone();
    let of = |name: &str| members.as_array().unwrap().iter().find(|it| it["name"] == name).cloned();
    assert!(of("a").unwrap()["fails_in"].is_null());
    let b = of("b").unwrap();
    assert!(b["state"] == "dead" || b["fails_in"].as_f64().unwrap() < 60.0, "{b}");
    top.process.stdin.as_mut().unwrap().write_all(b"q").unwrap();
    top.ends();
    drop(a);
}

#[test]
fn the_live_view_explains_a_member_and_finds_an_agent_that_was_restarted() {
    let (a, b, place) = pair("top-restart");
    let mut top = Top::start(&place);
    top.read_until(&b.addr);
    // The first one in the list is a itself, the second one is b.
    top.process.stdin.as_mut().unwrap().write_all(b"jj\r").unwrap();
    // Only cells that change are written.
    top.read_until("suspect");
    drop(a);
    top.read_until("does not answer");
    let a = Agent::start("a", &["--control", &place.0]);
    top.read_until("rejected:");
    top.process.stdin.as_mut().unwrap().write_all(b"q").unwrap();
    top.ends();
    drop(a);
}

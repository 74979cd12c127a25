//! Agents that serve HTTP, as processes.

use serde_json::Value;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

/// The time limit of each wait.
pub(crate) const LIMIT: Duration = Duration::from_secs(20);

/// A running agent; it is killed on drop.
pub(crate) struct Agent {
    process: Child,
    pub(crate) addr: SocketAddr,
    pub(crate) http: SocketAddr,
}

impl Agent {
    /// Starts an agent with fast probes on free ports; without a control socket, unless the options
    /// have one.
    pub(crate) fn start(name: &str, more: &[&str]) -> Self {
        let control = if more.contains(&"--control") { "" } else { "--control=none" };
        let mut process = Command::new(tidings_tests::tidings())
            .args(["agent", "--json", "--name", name, "--bind", "127.0.0.1:0"])
            .args(["--http", "127.0.0.1:0", "--profile", "local"])
            .args(Some(control).filter(|control| !control.is_empty()))
            .args(["--probe-interval", "200ms", "--probe-timeout", "80ms"])
            .args(more)
            .env_remove("TIDINGS_SEEDS")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = lines_of(&mut process);
        let find = |ev: &str| loop {
            let line = lines.recv_timeout(LIMIT).expect("the agent starts");
            let line: Value = serde_json::from_str(&line).unwrap();
            if line["ev"] == ev {
                break line;
            }
        };
        let addr = |of: &Value| {
            format!("{}:{}", of["addr"].as_str().unwrap(), of["port"]).parse().unwrap()
        };
        let addr = [addr(&find("ready")["node"]), addr(&find("http"))];
        Self { process, addr: addr[0], http: addr[1] }
    }

    /// Agents with these names, in one cluster.
    pub(crate) fn cluster<const N: usize>(names: [&str; N], more: &[&str]) -> [Self; N] {
        let mut seed = None;
        let agents = names.map(|name| {
            let join = seed.clone().map(|seed: String| ["--join".to_owned(), seed]);
            let join: Vec<_> = join.iter().flatten().map(String::as_str).collect();
            let agent = Self::start(name, &[more, &join].concat());
            seed.get_or_insert_with(|| agent.addr.to_string());
            agent
        });
        agents.iter().for_each(|agent| {
            agent.wait("all members", |status| status["counts"]["alive"] == N);
        });
        agents
    }

    /// The body of the answer to a GET, whose status is 200.
    #[track_caller]
    pub(crate) fn get(&self, path: &str, accept: &str) -> String {
        get(self.http, path, accept).unwrap_or_else(|| panic!("{path} is not served"))
    }

    /// Waits until the status meets a condition.
    #[track_caller]
    pub(crate) fn wait(&self, what: &str, such: impl Fn(&Value) -> bool) -> Value {
        let start = Instant::now();
        loop {
            let status = serde_json::from_str(&self.get("/status", "*/*")).unwrap();
            if such(&status) {
                return status;
            }
            assert!(start.elapsed() < LIMIT, "{what}: not in {LIMIT:?}: {status}");
        }
    }

    /// Waits until it has stopped; whether with status 0.
    pub(crate) fn succeeded(&mut self) -> bool {
        self.process.wait().unwrap().success()
    }

    /// Has it leave the cluster and stop.
    pub(crate) fn terminate(&self) {
        let pid = self.process.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    }

    /// Kills it without a warning.
    pub(crate) fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

/// The body of the answer to a GET; `None` if nobody answers, or its status is not 200.
pub(crate) fn get(from: SocketAddr, path: &str, accept: &str) -> Option<String> {
    let mut stream = TcpStream::connect(from).ok()?;
    write!(stream, "GET {path} HTTP/1.0\r\nAccept: {accept}\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    (head.split(' ').nth(1) == Some("200")).then(|| body.to_owned())
}

/// The standard output of a process, line by line.
fn lines_of(process: &mut Child) -> Receiver<String> {
    let stdout = BufReader::new(process.stdout.take().unwrap());
    let (sender, lines) = channel();
    thread::spawn(move || {
        for line in stdout.lines().map_while(Result::ok) {
            drop(sender.send(line));
        }
    });
    lines
}

//! Settings of a peer.

use crate::peer::Peer;
use crate::programs::Kind;
use crate::scene::Scene;
use std::net::SocketAddr;
use std::process::Command;
use std::time::Duration;

/// Settings of a peer, the same for every program.
#[derive(Clone, Debug)]
pub struct Settings {
    pub(crate) kind: Kind,
    pub(crate) name: String,
    pub(crate) number: u8,
    bind: SocketAddr,
    join: Vec<SocketAddr>,
    retry_join: Duration,
    keys: Vec<String>,
    label: Option<String>,
    delegate: Option<String>,
    compress: Option<bool>,
    meta: Option<String>,
    state: Option<String>,
    pushpull: Duration,
}

impl Settings {
    pub(crate) fn new(kind: Kind, name: &str, number: u8, addr: SocketAddr) -> Self {
        Self {
            kind,
            name: name.into(),
            number,
            bind: addr,
            join: Vec::new(),
            retry_join: Duration::from_secs(10),
            keys: Vec::new(),
            label: None,
            delegate: None,
            compress: None,
            meta: None,
            state: None,
            pushpull: PUSH_PULL,
        }
    }

    /// Joins a peer at start.
    pub fn join(self, peer: &Peer) -> Self {
        self.join_at(peer.addr())
    }

    /// Joins the member at an address at start.
    pub fn join_at(mut self, addr: SocketAddr) -> Self {
        self.join.push(addr);
        self
    }

    /// How long to retry the join; a second where it is meant to fail.
    pub fn retry_join(mut self, time: Duration) -> Self {
        self.retry_join = time;
        self
    }

    /// Accepts these keys, in base64; the first one encrypts.
    pub fn keys(mut self, keys: &[&str]) -> Self {
        self.keys = keys.iter().map(ToString::to_string).collect();
        self
    }

    /// The memberlist label; 0.2.2 has none.
    pub fn label(mut self, label: &str) -> Self {
        self.label = Some(label.into());
        self
    }

    /// The delegate protocol versions: minimum, maximum and current.
    pub fn delegate(mut self, versions: &str) -> Self {
        self.delegate = Some(versions.into());
        self
    }

    /// Whether it compresses what it sends.
    pub fn compress(mut self, compress: bool) -> Self {
        self.compress = Some(compress);
        self
    }

    /// Its metadata: text, or `hex:` and hex digits.
    pub fn meta(mut self, text: &str) -> Self {
        self.meta = Some(text.into());
        self
    }

    /// Its user state for push/pulls: text, or `hex:` and hex digits.
    pub fn state(mut self, text: &str) -> Self {
        self.state = Some(text.into());
        self
    }

    /// The push/pull interval.
    pub fn pushpull(mut self, interval: Duration) -> Self {
        self.pushpull = interval;
        self
    }

    /// Listens on all addresses. A Go peer then advertises its address in 16 bytes instead of 4;
    /// `tidings agent` is given the address to advertise.
    pub fn everywhere(mut self) -> Self {
        self.bind = ([0, 0, 0, 0], self.bind.port()).into();
        self
    }

    /// Moves the node to address `number`.
    pub fn moved_to(self, number: u8, scene: &Scene) -> Self {
        Self { number, bind: scene.network().addr(number), ..self }
    }

    /// Starts the peer and waits until it is ready.
    #[track_caller]
    pub fn start(self, scene: &Scene) -> Peer {
        Peer::start(scene, self)
    }

    /// The command that runs it.
    pub(crate) fn command(&self, addr: SocketAddr) -> Command {
        let mut command = Command::new(self.kind.program());
        let tidings = self.kind == Kind::Tidings;
        let mut option = |name: &str, tidings_name: &str, value: &str| {
            if tidings {
                command.args([&format!("--{tidings_name}"), value]);
            } else {
                command.args([&format!("-{name}"), value]);
            }
        };
        option("name", "name", &self.name);
        option("bind", "bind", &self.bind.to_string());
        option("pushpull-interval", "pushpull-interval", &millis(self.pushpull));
        if !self.join.is_empty() {
            let seeds: Vec<_> = self.join.iter().map(ToString::to_string).collect();
            option("join", "join", &seeds.join(","));
            option("retry-join", "retry-join", &millis(self.retry_join));
        }
        if !self.keys.is_empty() {
            option("key", "key", &self.keys.join(","));
        }
        let given = [
            ("label", "label", &self.label),
            ("dproto", "delegate-protocol", &self.delegate),
            ("meta", "meta", &self.meta),
            ("state", "state", &self.state),
        ];
        for (name, tidings_name, value) in given {
            if let Some(value) = value {
                option(name, tidings_name, value);
            }
        }
        if tidings {
            if self.bind != addr {
                option("advertise", "advertise", &addr.to_string());
            }
            if self.compress == Some(true) {
                command.arg("--compress");
            }
            let mut agent = Command::new(command.get_program());
            agent.args(["agent", "--json", "--stdin", "--control", "none", "--wire", "memberlist"]);
            agent.args(command.get_args());
            return agent;
        }
        if let Some(compress) = self.compress {
            command.arg(format!("-compress={compress}"));
        }
        command.arg("-rebroadcast");
        command
    }
}

/// Shorter than memberlist's 30 seconds, so that updates that gossip misses do not delay a test.
const PUSH_PULL: Duration = Duration::from_secs(10);

fn millis(time: Duration) -> String {
    format!("{}ms", time.as_millis())
}

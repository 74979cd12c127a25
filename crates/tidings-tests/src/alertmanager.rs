//! Alertmanagers.

use crate::logs::{Log, Writer};
use crate::process::Process;
use crate::scene::Scene;
use crate::{NEWS, programs};
use serde_json::Value;
use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A running Alertmanager, whose nodes' names are chosen by itself.
#[derive(Debug)]
pub struct Alertmanager {
    addr: SocketAddr,
    process: Arc<Process>,
    log: Arc<Log>,
}

impl Alertmanager {
    /// Starts one at the address of that number, which joins these.
    #[track_caller]
    pub fn start(scene: &Scene, number: u8, join: &[SocketAddr]) -> Self {
        let addr = (scene.network().addr(number).ip(), 9094).into();
        let folder = scene.folder().join(number.to_string());
        let config = folder.join("config.yml");
        fs::create_dir_all(&folder).expect("it can be made");
        fs::write(&config, "route: {receiver: none}\nreceivers: [{name: none}]\n").expect("a file");
        let mut command = Command::new("unshare");
        command.args(["--mount", "sh", "-c", IN_ITS_PLACE, "sh"]).args(programs::alertmanager());
        command.arg(format!("--config.file={}", config.display()));
        command.arg(format!("--storage.path={}", folder.display()));
        command.arg(format!("--web.listen-address={}", web(addr)));
        command.arg(format!("--cluster.listen-address={addr}"));
        command.arg(format!("--cluster.advertise-address={addr}"));
        command.args(join.iter().map(|addr| format!("--cluster.peer={addr}")));
        command.arg("--log.level=debug");
        let log = scene.log(&format!("alertmanager{number}"), Writer::Alertmanager);
        let process = scene.run(number, command, &log);
        Self { addr, process, log }
    }

    /// Where its cluster finds it.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Whether it has not ended.
    pub fn runs(&self) -> bool {
        self.process.runs()
    }

    /// Waits until the members that it lists are at these addresses.
    #[track_caller]
    pub fn lists(&self, addrs: &[SocketAddr]) {
        let mut addrs: Vec<_> = addrs.iter().map(ToString::to_string).collect();
        addrs.sort();
        let end = Instant::now() + NEWS;
        loop {
            let known = self.log.logged.read(<[_]>::len);
            let listed = self.members();
            if listed.as_ref() == Some(&addrs) {
                return;
            }
            let late = Instant::now() > end;
            assert!(!late, "it lists {listed:?} after {NEWS:?}, not {addrs:?}");
            self.log.logged.wait_for_more(known, Duration::from_millis(250));
        }
    }

    /// The addresses of the members that it lists, in order; none before it answers.
    pub fn members(&self) -> Option<Vec<String>> {
        let status = get(web(self.addr), "/api/v2/status")?;
        let peers = status["cluster"]["peers"].as_array()?;
        let addr = |peer: &Value| Some(peer["address"].as_str()?.to_owned());
        let mut addrs: Vec<_> = peers.iter().filter_map(addr).collect();
        addrs.sort();
        Some(addrs)
    }
}

/// It reads templates below /usr/share, where it is not installed: what was unpacked takes that
/// place, for it alone.
const IN_ITS_PLACE: &str = r#"mount --bind "$1" /usr/share && shift && exec "$@""#;

fn web(addr: SocketAddr) -> SocketAddr {
    (addr.ip(), 9093).into()
}

/// What a server answers, if it is JSON.
fn get(addr: SocketAddr, path: &str) -> Option<Value> {
    let mut stream = TcpStream::connect(addr).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
    // HTTP/1.0: the answer comes in one piece, and ends with the connection.
    write!(stream, "GET {path} HTTP/1.0\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    serde_json::from_str(answer.split_once("\r\n\r\n")?.1).ok()
}

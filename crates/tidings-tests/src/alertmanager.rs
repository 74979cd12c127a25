//! Alertmanager processes.

use crate::logs::{Log, Writer};
use crate::process::Process;
use crate::scene::Scene;
use crate::{UPDATE_DEADLINE, programs};
use serde_json::Value;
use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A running Alertmanager; it chooses its own member name.
#[derive(Debug)]
pub struct Alertmanager {
    addr: SocketAddr,
    process: Arc<Process>,
    log: Arc<Log>,
}

impl Alertmanager {
    /// Starts one at address `number` of the scene's network, which joins the members at `join`.
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

    /// Its cluster address.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Whether the process is running.
    pub fn runs(&self) -> bool {
        self.process.runs()
    }

    /// Waits until its members are exactly those at these addresses.
    #[track_caller]
    pub fn lists(&self, addrs: &[SocketAddr]) {
        let mut addrs: Vec<_> = addrs.iter().map(ToString::to_string).collect();
        addrs.sort();
        let end = Instant::now() + UPDATE_DEADLINE;
        loop {
            let known = self.log.lines.read(<[_]>::len);
            let listed = self.members();
            if listed.as_ref() == Some(&addrs) {
                return;
            }
            let late = Instant::now() > end;
            assert!(!late, "it lists {listed:?} after {UPDATE_DEADLINE:?}, not {addrs:?}");
            self.log.lines.wait_for_more(known, Duration::from_millis(250));
        }
    }

    /// The addresses of its members, sorted; `None` until it answers HTTP requests.
    pub fn members(&self) -> Option<Vec<String>> {
        let status = get(web(self.addr), "/api/v2/status")?;
        let peers = status["cluster"]["peers"].as_array()?;
        let addr = |peer: &Value| Some(peer["address"].as_str()?.to_owned());
        let mut addrs: Vec<_> = peers.iter().filter_map(addr).collect();
        addrs.sort();
        Some(addrs)
    }
}

/// Shell script that mounts the unpacked files over /usr/share, in the process's own mount
/// namespace: Alertmanager reads templates there, and is not installed.
const IN_ITS_PLACE: &str = r#"mount --bind "$1" /usr/share && shift && exec "$@""#;

fn web(addr: SocketAddr) -> SocketAddr {
    (addr.ip(), 9093).into()
}

/// The JSON body of a server's answer.
fn get(addr: SocketAddr, path: &str) -> Option<Value> {
    let mut stream = TcpStream::connect(addr).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
    // HTTP/1.0: no chunks, and the end of the connection ends the answer.
    write!(stream, "GET {path} HTTP/1.0\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    serde_json::from_str(answer.split_once("\r\n\r\n")?.1).ok()
}

//! Prometheus itself reads agents, and alerts.

use crate::agents::{Agent, LIMIT, get};
use crate::deploy::{prometheus, root};
use serde_json::Value;
use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// A running Prometheus with the alerts of deploy/; it is killed on drop.
pub(crate) struct Prometheus {
    process: Child,
    addr: SocketAddr,
    folder: PathBuf,
}

impl Prometheus {
    /// Starts one that scrapes these agents at an interval, such as `1s`.
    pub(crate) fn start(program: PathBuf, agents: &[SocketAddr], interval: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("tidings-scraped-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let targets: Vec<_> = agents.iter().map(SocketAddr::to_string).collect();
        let rules = root().join("deploy/prometheus/alerts.yml").canonicalize().unwrap();
        let config = serde_json::json!({
            "global": {"scrape_interval": interval, "evaluation_interval": interval},
            "rule_files": [rules],
            "scrape_configs": [{"job_name": "shop", "static_configs": [{"targets": targets}]}],
        });
        // JSON is YAML.
        fs::write(folder.join("prometheus.yml"), config.to_string()).unwrap();
        // It takes no port 0, so it gets one that was free a moment ago.
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = free.local_addr().unwrap();
        drop(free);
        let process = Command::new(program)
            .arg(format!("--config.file={}", folder.join("prometheus.yml").display()))
            .arg(format!("--storage.tsdb.path={}", folder.join("data").display()))
            .arg(format!("--web.listen-address={addr}"))
            .stdin(Stdio::null())
            .stderr(fs::File::create(folder.join("log")).unwrap())
            .spawn()
            .unwrap();
        Self { process, addr, folder }
    }

    /// Repeats a request of its API until the answer meets a condition; returns how long it took.
    #[track_caller]
    pub(crate) fn wait(&self, path: &str, such: impl Fn(&Value) -> bool) -> Duration {
        let start = Instant::now();
        loop {
            let answer = get(self.addr, path, "*/*").unwrap_or_default();
            let answer = serde_json::from_str(&answer).unwrap_or(Value::Null);
            if such(&answer["data"]) {
                return start.elapsed();
            }
            assert!(start.elapsed() < 2 * LIMIT, "{path}: {answer}");
            // It evaluates once a second.
            thread::park_timeout(Duration::from_millis(100));
        }
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
        drop(fs::remove_dir_all(&self.folder));
    }
}

/// Whether an alert fires, in an answer of `/api/v1/alerts`.
pub(crate) fn is_firing(data: &Value, name: &str) -> bool {
    let mut alerts = data["alerts"].as_array().into_iter().flatten();
    alerts.any(|alert| alert["labels"]["alertname"] == name && alert["state"] == "firing")
}

#[test]
fn prometheus_reads_six_agents_and_alerts_within_30_seconds_when_half_of_them_are_gone() {
    let Some(program) = prometheus("prometheus") else { return };
    let mut agents = Agent::cluster(["a", "b", "c", "d", "e", "f"], &[]);
    let prometheus = Prometheus::start(program, &agents.each_ref().map(|agent| agent.http), "1s");
    // It asks for OpenMetrics, and has no complaint about what it gets.
    prometheus.wait("/api/v1/targets", |data| {
        let targets = data["activeTargets"].as_array().into_iter().flatten();
        targets.filter(|target| target["health"] == "up" && target["lastError"] == "").count() == 6
    });
    prometheus.wait("/api/v1/query?query=sum(tidings_members%7Bstate%3D%22alive%22%7D)", |data| {
        data["result"][0]["value"][1] == "36"
    });
    for agent in &mut agents[3..] {
        agent.kill();
    }
    let took =
        prometheus.wait("/api/v1/alerts", |data| is_firing(data, "TidingsPartitionSuspected"));
    println!("the alert fired after {took:?}");
    assert!(took < Duration::from_secs(30), "{took:?}");
}

//! What requests cost a node, by a driver that counts.

use std::net::UdpSocket;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant as Wall};
use tidings::{Config, Instant};
use tidings_driver::{Drive, DriverConfig, DriverState, build, start};
use tidings_http::Pages;

/// A driver that serves no timers, counts the inputs, and has the time that a test sets.
#[derive(Debug)]
struct Idle {
    state: Mutex<DriverState>,
    counts: Arc<Counts>,
    _udp: UdpSocket,
}

#[derive(Debug, Default)]
struct Counts {
    drives: AtomicUsize,
    /// The time, in nanoseconds.
    now: AtomicU64,
}

impl Drive for Idle {
    fn drive(&self, input: &mut dyn FnMut(&mut DriverState, Instant)) {
        self.counts.drives.fetch_add(1, Ordering::Relaxed);
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        input(&mut state, Instant::from_nanos(self.counts.now.load(Ordering::Relaxed)));
        while state.poll_output().is_some() {}
    }

    fn stop(&self) {
        drop(self.state.lock().unwrap_or_else(PoisonError::into_inner).stop());
    }
}

fn idle() -> (tidings_driver::blocking::Tidings, Arc<Counts>) {
    let addr = "127.0.0.1:0".parse().unwrap();
    let config = Config::lan("test".parse().unwrap(), "a".parse().unwrap(), addr);
    let (emitter, _) = build::blocking_events();
    let started = start(addr, config, DriverConfig::new(), emitter).unwrap();
    let counts = Arc::new(Counts::default());
    let (state, counted) = (Mutex::new(started.state), Arc::clone(&counts));
    let driver = Idle { state, counts: counted, _udp: started.udp };
    (build::blocking_handle(driver), counts)
}

#[test]
fn however_many_requests_come_the_node_is_looked_at_five_times_a_second() {
    let (node, counts) = idle();
    let pages = Pages::new(node.observer());
    let before = counts.drives.load(Ordering::Relaxed);
    let start = Wall::now();
    let mut requests = 0;
    while start.elapsed() < Duration::from_millis(500) {
        for path in ["/metrics", "/status", "/status.html", "/healthz", "/readyz"] {
            pages.get(path, None);
            requests += 1;
        }
    }
    // In fifths of a second, of which the first has begun.
    let most = start.elapsed().as_millis() as usize / 200 + 1;
    let looks = counts.drives.load(Ordering::Relaxed) - before;
    assert!(looks <= most, "{looks} looks for {requests} requests");
    assert!(requests > 10 * most, "{requests}");
}

#[test]
fn a_node_whose_timers_nobody_serves_is_not_healthy() {
    let (node, counts) = idle();
    let health = |seconds: u64| {
        counts.now.store(seconds * 1_000_000_000, Ordering::Relaxed);
        // Each has looked at nothing yet.
        let response = Pages::new(node.observer()).get("/healthz", None);
        (response.status, String::from_utf8(response.body).unwrap())
    };
    assert_eq!(health(0), (200, "ok\n".into()));
    assert_eq!(health(9).0, 200);
    let (status, reason) = health(60);
    assert_eq!(status, 503);
    assert!(reason.starts_with("the node's timers are 5") && reason.ends_with(" s overdue\n"));
}

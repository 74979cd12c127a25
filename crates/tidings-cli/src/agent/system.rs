//! What systemd is told, if it started the agent (`Type=notify`). Elsewhere nothing happens.

use sd_notify::NotifyState::{self, MonotonicUsec, Ready, Reloading, Status, Stopping, Watchdog};
use std::time::Duration;

pub(super) fn ready() {
    notify(&[Ready, Status("running")]);
}

pub(super) fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => notify(&[Reloading, now]),
        Err(_) => notify(&[Reloading, MonotonicUsec(0)]),
    }
}

pub(super) fn stopping() {
    notify(&[Stopping, Status("leaving the cluster")]);
}

pub(super) fn alive() {
    notify(&[Watchdog]);
}

/// How often [`alive`] has to be called; `None` without a watchdog.
pub(super) fn watchdog() -> Option<Duration> {
    sd_notify::watchdog_enabled().map(|limit| limit / 2)
}

fn notify(state: &[NotifyState<'_>]) {
    // The agent is worth more than what its manager knows of it.
    drop(sd_notify::notify(state));
}

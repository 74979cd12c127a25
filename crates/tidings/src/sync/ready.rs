//! Readiness: a node that was given seeds has settled once its view of the cluster is quiet.

use crate::time::Instant;
use core::time::Duration;

/// Whether the node has settled.
#[derive(Debug, Default)]
#[cfg_attr(feature = "record", derive(serde::Deserialize, serde::Serialize))]
pub(crate) struct Readiness {
    /// `None`: it has, or was never given seeds.
    waiting: Option<Waiting>,
    reported: bool,
}

#[derive(Debug)]
#[cfg_attr(feature = "record", derive(serde::Deserialize, serde::Serialize))]
struct Waiting {
    since: Instant,
    /// The latest change of the membership.
    changed: Instant,
}

impl Readiness {
    /// Starts to wait, unless the node has settled before; returns whether it does.
    pub(crate) fn begin(&mut self, now: Instant) -> bool {
        let begins = !self.reported && self.waiting.is_none();
        if begins {
            self.waiting = Some(Waiting { since: now, changed: now });
        }
        begins
    }

    pub(crate) fn is_ready(&self) -> bool {
        self.waiting.is_none()
    }

    pub(crate) fn on_change(&mut self, now: Instant) {
        if let Some(waiting) = &mut self.waiting {
            waiting.changed = now;
        }
    }

    /// Ends the wait if the node has settled: it knows somebody (`synced`) and nothing has changed
    /// for `quiet`, or `timeout` is over. Otherwise returns when to ask again.
    pub(crate) fn settle(
        &mut self,
        now: Instant,
        synced: bool,
        quiet: Duration,
        timeout: Duration,
    ) -> Option<Instant> {
        let Waiting { since, changed } = self.waiting.as_ref()?;
        let (end, calm) = (*since + timeout, *changed + quiet);
        if now >= end || synced && now >= calm {
            self.waiting = None;
            self.reported = true;
            return None;
        }
        let next = if now >= calm { now + quiet } else { calm };
        Some(next.min(end))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_has_settled_once_it_knows_somebody_and_nothing_changes() {
        let at = |ms| Instant::ZERO + Duration::from_millis(ms);
        let (quiet, timeout) = (Duration::from_secs(1), Duration::from_secs(30));
        let mut ready = Readiness::default();
        assert!(ready.is_ready(), "a node without seeds waits for nothing");
        assert!(ready.begin(at(0)) && !ready.begin(at(1)));
        assert_eq!(ready.settle(at(1000), false, quiet, timeout), Some(at(2000)));
        ready.on_change(at(1500));
        assert_eq!(ready.settle(at(2000), true, quiet, timeout), Some(at(2500)));
        assert!(!ready.is_ready());
        assert_eq!(ready.settle(at(2500), true, quiet, timeout), None);
        assert!(ready.is_ready() && !ready.begin(at(9000)), "once in the node's life");
    }

    #[test]
    fn a_node_that_finds_nobody_has_settled_after_the_timeout() {
        let (second, mut ready) = (Duration::from_secs(1), Readiness::default());
        ready.begin(Instant::ZERO);
        let (mut now, mut asked) = (Instant::ZERO + second, 0);
        while let Some(next) = ready.settle(now, false, second, 30 * second) {
            assert!(next > now);
            (now, asked) = (next, asked + 1);
        }
        assert_eq!((now, asked), (Instant::ZERO + 30 * second, 29));
    }
}

//! The thread that looks at a node's sources of seeds.

use super::exec::KillSwitch;
use super::read::{MAX_SEEDS, Resolver};
use super::schedule::Schedule;
use super::source::SeedSource;
use crate::link::Link;
use crate::notice::{Notice, Notices};
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// A node's sources of seeds, and the thread that looks at them, which runs once there is one.
pub(crate) struct Discovery {
    shared: Arc<Shared>,
    link: Arc<Link>,
    notices: Notices,
    refresh: Duration,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    switch: KillSwitch,
}

#[derive(Default)]
struct State {
    /// Sources that the thread has not seen yet.
    new: Option<Vec<SeedSource>>,
    runs: bool,
    stopped: bool,
}

impl Discovery {
    pub(crate) fn new(link: Arc<Link>, notices: Notices, refresh: Duration) -> Self {
        Self { shared: Arc::default(), link, notices, refresh }
    }

    /// Starts the thread, if there is anything for it.
    pub(crate) fn start(&self, sources: Vec<SeedSource>) -> io::Result<()> {
        if sources.is_empty() { Ok(()) } else { self.set_sources(sources) }
    }

    /// Replaces the sources.
    pub(crate) fn set_sources(&self, sources: Vec<SeedSource>) -> io::Result<()> {
        let mut state = self.shared.lock();
        if !state.runs && !state.stopped {
            self.spawn()?;
            state.runs = true;
        }
        state.new = Some(sources);
        drop(state);
        self.shared.changed.notify_all();
        Ok(())
    }

    /// Whether the thread runs.
    pub(crate) fn runs(&self) -> bool {
        self.shared.lock().runs
    }

    fn spawn(&self) -> io::Result<()> {
        let seeker = Seeker {
            shared: Arc::clone(&self.shared),
            link: Arc::clone(&self.link),
            notices: self.notices.clone(),
            told: None,
            too_many: false,
        };
        // Without entropy there is no jitter.
        let random = || getrandom::u32().unwrap_or(u32::MAX / 2);
        let schedule = Schedule::new(self.refresh, random);
        let run = move || seeker.run(schedule, &Resolver::system());
        thread::Builder::new().name("tidings-seeds".into()).spawn(run).map(drop)
    }

    /// Ends the thread: at once, or after a lookup of the operating system, which nothing ends.
    pub(crate) fn stop(&self) {
        self.shared.lock().stopped = true;
        self.shared.switch.turn_off();
        self.shared.changed.notify_all();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for new sources, or until a time; `None` if the node has stopped.
    fn wait(&self, until: Option<Instant>) -> Option<Option<Vec<SeedSource>>> {
        let mut state = self.lock();
        while state.new.is_none() && !state.stopped {
            let Some(until) = until else {
                state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            let waited = self.changed.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        (!state.stopped).then(|| state.new.take())
    }
}

/// What the thread has.
struct Seeker {
    shared: Arc<Shared>,
    link: Arc<Link>,
    notices: Notices,
    /// The addresses that the node has, in their own order; `None` while it was given none.
    told: Option<Vec<SocketAddr>>,
    /// Whether there were too many addresses, which the application was told then.
    too_many: bool,
}

impl Seeker {
    fn run(mut self, mut schedule: Schedule, resolver: &Resolver) {
        // Until then, a node whose sources give no address waits; afterwards it is on its own.
        let patience = self.link.with(|state, _| state.ready_timeout()).unwrap_or_default();
        let gives_up = Instant::now() + patience;
        let mut until = None;
        while let Some(new) = self.shared.wait(until) {
            match new {
                Some(sources) => schedule.set_sources(sources, Instant::now()),
                None => {
                    let failed = schedule.look(Instant::now(), resolver, &self.shared.switch);
                    if let Some((source, error)) = failed {
                        self.notices.tell(Notice::SourceFailed { source, error });
                    }
                }
            }
            let patient = Instant::now() < gives_up;
            let retry = self.publish(&schedule, patient).then(|| Instant::now() + RETRY);
            let waits = self.told.is_none().then_some(gives_up);
            until = schedule.due().into_iter().chain(retry).chain(waits).min();
        }
    }

    /// Gives the node the addresses, if they have changed; `true` if it does not take them now.
    ///
    /// While it was given none, and there are none, it is `patient`.
    fn publish(&mut self, schedule: &Schedule, patient: bool) -> bool {
        let (addrs, number) = schedule.addrs();
        if number > MAX_SEEDS && !self.too_many {
            self.notices.tell(Notice::TooManySeeds { found: number, max: MAX_SEEDS });
        }
        self.too_many = number > MAX_SEEDS;
        // Name servers return the addresses of a name in another order each time.
        let mut set = addrs.clone();
        set.sort_unstable();
        let waits = self.told.is_none() && addrs.is_empty() && patient;
        if waits || self.told.as_ref() == Some(&set) {
            return false;
        }
        let taken = self.link.with(|state, now| state.set_seeds(now, &addrs));
        match taken {
            Some(true) => self.told = Some(set),
            Some(false) => return true,
            // The node has stopped, and so does this thread.
            None => {}
        }
        false
    }
}

/// The wait before the node is given addresses again that it did not take.
const RETRY: Duration = Duration::from_secs(1);

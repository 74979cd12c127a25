//! The gateways that a program calls, shared by all of its calls.

use crate::answer::{Answer, CallError};
use crate::caller::Caller;
use crate::directory::{Directory, KnownGateway};
use crate::endpoint::Endpoint;
use crate::options::{CallOptions, InvalidOptions};
use crate::reach::Reach;
use crate::request::Request;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tidings::{Clock, Event, Instant, Member, NodeId};
#[cfg(any(feature = "async-io", feature = "tokio"))]
use tidings_driver::asynchronous;
use tidings_driver::blocking;

/// The gateways that a program calls: endpoints from its configuration, and those that members of
/// its cluster advertise. Cloning is cheap, and clones share what is known.
///
/// Without a cluster:
///
/// ```
/// use tidings_eth::{CallOptions, Gateways};
///
/// let endpoints = ["http://127.0.0.1:8545".parse()?, "/run/anvil.ipc".parse()?];
/// let gateways = Gateways::fixed(endpoints, CallOptions::default())?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// In a cluster [`of`](Self::of) follows a node. The application passes it the node's events with
/// [`handle_event`](Self::handle_event).
#[derive(Clone)]
pub struct Gateways {
    shared: Arc<Shared>,
}

struct Shared {
    directory: Mutex<Directory>,
    options: CallOptions,
    clock: Clock,
    node: Option<Box<dyn Membership>>,
}

/// A handle to a running node, of any runtime.
pub trait Membership: Send + Sync + 'static {
    /// The members that are present.
    fn members(&self) -> Vec<Member>;

    /// The smoothed round-trip time to a member.
    fn rtt(&self, id: &NodeId) -> Option<Duration>;
}

impl Gateways {
    /// Endpoints from configuration alone, asked in this order.
    ///
    /// # Errors
    ///
    /// If an option is out of its range.
    pub fn fixed(
        endpoints: impl IntoIterator<Item = Endpoint>,
        options: CallOptions,
    ) -> Result<Self, InvalidOptions> {
        Self::new(endpoints.into_iter().collect(), options, Reach::PUBLIC, None)
    }

    /// The gateways that members of a node's cluster advertise, after `local` ones from
    /// configuration: this machine's own node, if it has one. Of advertised addresses those are
    /// called that `reach` permits.
    ///
    /// Set [`CallOptions::chain`]: without it, gateways of all chains are called.
    ///
    /// This holds a handle of the node, which runs until that is dropped, too; also by a task that
    /// passes on the node's events.
    ///
    /// # Errors
    ///
    /// If an option is out of its range.
    pub fn of(
        node: impl Membership,
        local: impl IntoIterator<Item = Endpoint>,
        options: CallOptions,
        reach: Reach,
    ) -> Result<Self, InvalidOptions> {
        Self::new(local.into_iter().collect(), options, reach, Some(Box::new(node)))
    }

    fn new(
        local: Vec<Endpoint>,
        options: CallOptions,
        reach: Reach,
        node: Option<Box<dyn Membership>>,
    ) -> Result<Self, InvalidOptions> {
        options.check()?;
        let seed = getrandom::u64().unwrap_or_default();
        let directory = Directory::new(local, options.chain, reach, options.max_lag, seed);
        let (directory, clock) = (Mutex::new(directory), Clock::start());
        let gateways = Self { shared: Arc::new(Shared { directory, options, clock, node }) };
        gateways.refresh();
        Ok(gateways)
    }

    /// Takes an event of the node that [`of`](Self::of) follows.
    pub fn handle_event(&self, event: &Event) {
        self.directory().handle_event(event);
    }

    /// Looks at all members again: after events were lost, because they were taken too slowly.
    pub fn refresh(&self) {
        if let Some(node) = &self.shared.node {
            let members = node.members();
            self.directory().handle_members(&members);
        }
    }

    /// The gateways that members advertise, by name.
    pub fn list(&self) -> Vec<(NodeId, KnownGateway)> {
        let mut directory = self.directory();
        self.update_rtts(&mut directory);
        directory.gateways().map(|(id, gateway)| (id.clone(), gateway.clone())).collect()
    }

    /// The height of a chain as its gateways tell it: see [`Directory::reference`].
    pub fn reference(&self, chain: u64) -> Option<u64> {
        self.directory().reference(chain)
    }

    /// The height with which a gateway compares its node's answer.
    pub(crate) fn reference_for(
        &self,
        id: &NodeId,
        answer: &Result<Answer, CallError>,
    ) -> Option<u64> {
        let answer = answer.as_ref().ok()?;
        self.directory().reference_for(id, answer.chain, answer.height)
    }

    /// Prepares a call.
    pub(crate) fn caller(&self, request: Request) -> Caller {
        let now = self.now();
        let mut directory = self.directory();
        self.update_rtts(&mut directory);
        let candidates = directory.candidates(now);
        Caller::new(request, candidates, self.shared.options.clone(), now)
    }

    /// Learns from a call that has ended.
    pub(crate) fn handle_outcome(&self, caller: &Caller, result: &Result<Answer, CallError>) {
        let answered = result.as_ref().ok().map(|answer| &answer.from);
        self.directory().handle_outcome(caller.attempts(), answered, self.now());
    }

    /// The time of all callers and gateways that use this.
    pub(crate) fn now(&self) -> Instant {
        self.shared.clock.now()
    }

    fn update_rtts(&self, directory: &mut Directory) {
        if let Some(node) = &self.shared.node {
            directory.set_rtts(|id| node.rtt(id));
        }
    }

    fn directory(&self) -> MutexGuard<'_, Directory> {
        self.shared.directory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Membership for blocking::Tidings {
    fn members(&self) -> Vec<Member> {
        self.members()
    }

    fn rtt(&self, id: &NodeId) -> Option<Duration> {
        self.rtt(id)
    }
}

#[cfg(any(feature = "async-io", feature = "tokio"))]
impl Membership for asynchronous::Tidings {
    fn members(&self) -> Vec<Member> {
        self.members()
    }

    fn rtt(&self, id: &NodeId) -> Option<Duration> {
        self.rtt(id)
    }
}

impl fmt::Debug for Gateways {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Gateways").field(&*self.directory()).finish()
    }
}

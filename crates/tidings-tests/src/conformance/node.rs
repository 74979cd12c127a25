//! A node of any adapter, with waits for its events and state.

use super::LIMIT;
use super::adapter::{Events, Handle};
use futures_lite::future;
use std::fmt;
use std::mem::discriminant;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::mpsc::channel;
use std::sync::{Mutex, MutexGuard};
use std::thread;
use std::time::{Duration, Instant};
use tidings_driver::prelude::{
    BroadcastError, BroadcastKey, Bytes, CommandError, Event, Failure, JoinError, Key, KeyError,
    Keyring, Limits, Member, Meta, NodeId, Observer, Phase, RecordError, Seed, SendError,
    SetSeedsError, State, Stats, TooLong, Via,
};

/// A running node of any adapter, with its events; dropping it drops the adapter's handle.
pub struct Node {
    handle: Handle,
    events: Mutex<Box<dyn Events>>,
}

/// Methods that blocking and asynchronous handles have, and answer at once.
macro_rules! answered_at_once {
    ($($(#[$doc:meta])* $name:ident($($arg:ident: $of:ty),*) -> $returns:ty;)*) => {
        impl Node {
            $(
                $(#[$doc])*
                ///
                /// # Errors
                ///
                /// As the adapter's own.
                pub fn $name(&self, $($arg: $of),*) -> $returns {
                    match &self.handle {
                        Handle::Blocking(node) => node.$name($($arg),*),
                        Handle::Async(node, _) => node.$name($($arg),*),
                    }
                }
            )*
        }
    };
}

answered_at_once! {
    /// Sends a datagram.
    send(to: &NodeId, data: impl Into<Bytes>) -> Result<(), SendError>;
    /// Broadcasts.
    broadcast(data: impl Into<Bytes>) -> Result<(), BroadcastError>;
    /// Broadcasts in place of an earlier one.
    broadcast_replacing(key: BroadcastKey, data: impl Into<Bytes>) -> Result<(), BroadcastError>;
    /// Sets metadata.
    set_meta(meta: Meta) -> Result<(), TooLong>;
    /// Sets the state that syncs tell.
    set_sync_state(state: impl Into<Bytes>) -> Result<(), TooLong>;
    /// Where others reach it.
    addr() -> SocketAddr;
    /// The node itself.
    local() -> Member;
    /// A member.
    member(id: &NodeId) -> Option<Member>;
    /// Members that are present.
    members() -> Vec<Member>;
    /// All members.
    all_members() -> Vec<Member>;
    /// Round-trip time.
    rtt(id: &NodeId) -> Option<Duration>;
    /// Replaces its sources of seeds.
    set_seeds(sources: Vec<String>) -> Result<(), SetSeedsError>;
    /// Whether it is ready.
    is_ready() -> bool;
    /// Phase.
    phase() -> Phase;
    /// Local health.
    health() -> u32;
    /// Counters.
    stats() -> Stats;
    /// A look that does not keep it running.
    observer() -> Observer;
    /// Records.
    record(path: &Path, limits: Limits) -> Result<(), RecordError>;
    /// Ends the recording.
    stop_recording() -> Result<(), RecordError>;
    /// Whether it is recorded.
    is_recording() -> bool;
    /// Keys.
    keyring() -> Option<Keyring>;
    /// Accepts a key.
    add_key(key: Key) -> Result<(), KeyError>;
    /// Encrypts with a key.
    use_key(key: &Key) -> Result<(), KeyError>;
    /// Removes a key.
    remove_key(key: &Key) -> Result<(), KeyError>;
}

impl Node {
    pub(super) fn new((handle, events): (Handle, Box<dyn Events>)) -> Self {
        Self { handle, events: Mutex::new(events) }
    }

    // ---- ask ----

    /// Joins a cluster.
    ///
    /// # Errors
    ///
    /// As the adapter's own.
    pub fn join(
        &self,
        seeds: impl IntoIterator<Item = impl Into<Seed>>,
    ) -> Result<usize, JoinError> {
        match &self.handle {
            Handle::Blocking(node) => node.join(seeds),
            Handle::Async(node, waiting) => waiting.wait(node.join(seeds)),
        }
    }

    /// Leaves the cluster.
    ///
    /// # Errors
    ///
    /// As the adapter's own.
    pub fn leave(&self) -> Result<usize, Failure> {
        match &self.handle {
            Handle::Blocking(node) => node.leave(),
            Handle::Async(node, waiting) => waiting.wait(node.leave()),
        }
    }

    /// Sends a message over a stream.
    ///
    /// # Errors
    ///
    /// As the adapter's own.
    pub fn send_reliable(&self, to: &NodeId, data: impl Into<Bytes>) -> Result<(), CommandError> {
        match &self.handle {
            Handle::Blocking(node) => node.send_reliable(to, data),
            Handle::Async(node, waiting) => waiting.wait(node.send_reliable(to, data)),
        }
    }

    /// Pings a member.
    ///
    /// # Errors
    ///
    /// As the adapter's own.
    pub fn ping(&self, to: &NodeId) -> Result<Duration, CommandError> {
        match &self.handle {
            Handle::Blocking(node) => node.ping(to),
            Handle::Async(node, waiting) => waiting.wait(node.ping(to)),
        }
    }

    /// Waits until so many members are present.
    pub fn wait_for_members(&self, count: usize, timeout: Duration) -> Option<usize> {
        match &self.handle {
            Handle::Blocking(node) => node.wait_for_members(count, timeout),
            Handle::Async(node, waiting) => {
                waiting.wait(future::or(node.wait_for_members(count), none_after(timeout)))
            }
        }
    }

    /// Waits until a member is present.
    pub fn wait_for_member(&self, id: &NodeId, timeout: Duration) -> Option<Member> {
        match &self.handle {
            Handle::Blocking(node) => node.wait_for_member(id, timeout),
            Handle::Async(node, waiting) => {
                waiting.wait(future::or(node.wait_for_member(id), none_after(timeout)))
            }
        }
    }

    /// Waits until the node is ready; `false` if it takes longer.
    pub fn ready(&self, timeout: Duration) -> bool {
        match &self.handle {
            Handle::Blocking(node) => node.ready(timeout),
            Handle::Async(node, waiting) => {
                let ready = async { Some(node.ready().await) };
                waiting.wait(future::or(ready, none_after(timeout))) == Some(true)
            }
        }
    }

    /// A further handle to the node, to be dropped later.
    pub fn clone_handle(&self) -> impl Send + use<> {
        self.handle.clone()
    }

    // ---- look ----

    /// Its state of a member.
    pub fn state(&self, name: &str) -> Option<State> {
        self.member(&NodeId::new(name).ok()?).map(|member| member.state())
    }

    // ---- wait ----

    /// Waits for an event; discards others.
    #[track_caller]
    pub fn wait_for(&self, what: impl Fn(&Event) -> bool) -> Event {
        let start = Instant::now();
        while let Some(left) = LIMIT.checked_sub(start.elapsed()) {
            if let Some(event) = self.events().recv_timeout(left).filter(&what) {
                return event;
            }
        }
        panic!("the event never came");
    }

    /// Waits for an event about a member, as in `node.wait_until(Event::Failed, "b")`.
    #[track_caller]
    pub fn wait_until(&self, what: fn(Member) -> Event, name: &str) -> Member {
        let about = |event: &Event| {
            let (Event::Joined(member)
            | Event::Updated(member)
            | Event::Suspected(member)
            | Event::Recovered(member)
            | Event::Failed(member)
            | Event::Left(member)) = event
            else {
                return None;
            };
            let is_it = discriminant(&what(member.clone())) == discriminant(event);
            (is_it && member.id().as_str() == name).then(|| member.clone())
        };
        let event = self.wait_for(|event| about(event).is_some());
        about(&event).expect("it was one")
    }

    /// Waits for the next message; returns its sender's name, its bytes, and its delivery.
    #[track_caller]
    pub fn message(&self) -> (String, Bytes, Via) {
        match self.wait_for(|event| matches!(event, Event::Message { .. })) {
            Event::Message { from, data, via } => {
                (from.map(|id| id.as_str().to_owned()).unwrap_or_default(), data, via)
            }
            event => unreachable!("{event:?}"),
        }
    }

    /// The events that are queued.
    pub fn waiting(&self) -> Vec<Event> {
        let mut events = self.events();
        std::iter::from_fn(|| events.try_recv()).collect()
    }

    /// How many events were lost.
    pub fn lagged(&self) -> u64 {
        self.events().lagged()
    }

    fn events(&self) -> MutexGuard<'_, Box<dyn Events>> {
        self.events.lock().expect("a panic with the lock held ends the test")
    }

    // ---- end ----

    /// Drops the handle, waits until the sockets are closed, and returns the remaining events.
    #[track_caller]
    pub fn stop(self) -> Vec<Event> {
        self.into_rest()()
    }

    /// Drops the handle; what comes back waits for the rest of the events, which ends once the last
    /// handle was dropped and the sockets are closed.
    pub fn into_rest(self) -> impl FnOnce() -> Vec<Event> {
        drop(self.handle);
        let events = self.events.into_inner().expect("a panic here ends the test");
        || within(LIMIT, || events.rest())
    }
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Node").field(&self.handle).finish()
    }
}

async fn none_after<T>(timeout: Duration) -> Option<T> {
    async_io::Timer::after(timeout).await;
    None
}

/// Waits until the condition holds.
#[track_caller]
pub fn wait(what: impl Fn() -> bool) {
    let start = Instant::now();
    while !what() {
        assert!(start.elapsed() < LIMIT, "it never came to pass");
        // Leaves the processors to the nodes.
        thread::park_timeout(Duration::from_millis(1));
    }
}

/// Runs something in a thread, with a deadline.
#[track_caller]
pub fn within<R: Send + 'static>(limit: Duration, what: impl FnOnce() -> R + Send + 'static) -> R {
    let (sender, done) = channel();
    thread::spawn(move || sender.send(what()));
    done.recv_timeout(limit).expect("it never ended")
}

//! A node of any adapter, with waits for its events and state.

use super::LIMIT;
use super::adapter::{Commands, Events};
use std::fmt;
use std::mem::discriminant;
use std::ops::Deref;
use std::sync::mpsc::channel;
use std::sync::{Mutex, MutexGuard};
use std::thread;
use std::time::{Duration, Instant};
use tidings_driver::Handle;
use tidings_driver::prelude::{
    Bytes, CommandError, Event, Failure, JoinFailed, Member, NodeId, SendError, State, Target, Via,
};

/// A running node of any adapter, with its events; dropping it drops the adapter's handle.
pub struct Node {
    commands: Box<dyn Commands>,
    events: Mutex<Box<dyn Events>>,
}

impl Node {
    pub(super) fn new((commands, events): (Box<dyn Commands>, Box<dyn Events>)) -> Self {
        Self { commands, events: Mutex::new(events) }
    }

    // ---- ask ----

    /// Joins a cluster.
    ///
    /// # Errors
    ///
    /// As the adapter's own.
    pub fn join(
        &self,
        seeds: impl IntoIterator<Item = impl Into<Target>>,
    ) -> Result<usize, JoinFailed> {
        self.commands.join(seeds.into_iter().map(Into::into).collect())
    }

    /// Leaves the cluster.
    ///
    /// # Errors
    ///
    /// As the adapter's own.
    pub fn leave(&self) -> Result<usize, Failure> {
        self.commands.leave()
    }

    /// Sends a message over a stream.
    ///
    /// # Errors
    ///
    /// As the adapter's own.
    pub fn send_reliable(
        &self,
        to: &NodeId,
        data: impl Into<Bytes>,
    ) -> Result<(), CommandError<SendError>> {
        self.commands.send_reliable(to, data.into())
    }

    /// Pings a member.
    ///
    /// # Errors
    ///
    /// As the adapter's own.
    pub fn ping(&self, to: &NodeId) -> Result<Duration, CommandError<SendError>> {
        self.commands.ping(to)
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
        drop(self.commands);
        let events = self.events.into_inner().expect("a panic with the lock held ends the test");
        within(LIMIT, || events.rest())
    }
}

impl Deref for Node {
    type Target = Handle;

    fn deref(&self) -> &Handle {
        self.commands.handle()
    }
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Node").field(&**self).finish()
    }
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

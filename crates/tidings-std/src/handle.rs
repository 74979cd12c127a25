//! What users call.

use crate::driver::Driver;
use bytes::Bytes;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::Duration;
use tidings::{
    BroadcastError, Config, Done, Event, Failure, JoinError, Member, Meta, NodeId, Phase,
    SendError, Stats, TooLong,
};
use tidings_driver::{BindError, CommandError};
use tidings_record::{Limits, RecordError};

/// A running node; dropping it stops the node at once, without leaving.
///
/// All methods take `&self` and may be called from any thread. What one does, and when it fails, is
/// told in full by the method of [`Node`](tidings::Node) that has its name. Those that wait for
/// others block until these have answered: at the latest until
/// [`stream_timeout`](tidings::Options::stream_timeout).
#[derive(Debug)]
pub struct Tidings {
    pub(crate) driver: Driver,
}

impl Tidings {
    /// Starts a node that listens where its configuration says that others reach it.
    ///
    /// Port 0 takes a free port, the same for UDP and TCP; [`addr`](Self::addr) tells which. A
    /// generation of 0 is replaced by the wall clock's.
    ///
    /// # Errors
    ///
    /// If the port is taken, or the address is not one of this machine; if the address is
    /// unspecified (`0.0.0.0`), since others could not reach it: see [`bind_to`](Self::bind_to).
    pub fn bind(config: Config) -> Result<(Self, Events), BindError> {
        Self::bind_to(config.addr(), config)
    }

    /// Starts a node that listens at one address and tells others another one: behind a
    /// translation of addresses, or on all interfaces (`0.0.0.0`).
    ///
    /// Port 0 in the configuration stands for the port that the node listens on.
    ///
    /// # Errors
    ///
    /// As [`bind`](Self::bind).
    pub fn bind_to(listen: SocketAddr, config: Config) -> Result<(Self, Events), BindError> {
        let (sender, receiver) = sync_channel(MAX_EVENTS);
        let lagged = Arc::new(AtomicU64::new(0));
        let driver = Driver::start(listen, config, sender, Arc::clone(&lagged))?;
        Ok((Self { driver }, Events { receiver, lagged }))
    }

    // ---- ask ----

    /// Joins a cluster through any of its members, and waits until one has answered; returns how
    /// many members there are then.
    pub fn join(&self, seeds: &[SocketAddr]) -> Result<usize, CommandError<JoinError>> {
        match self.driver.command(|node, now| node.join(now, seeds))? {
            Done::Joined { members, .. } => Ok(members),
            done => unreachable!("a join ended as {done:?}"),
        }
    }

    /// Leaves the cluster, so that the others see this node as left and not as failed, and waits
    /// until some have confirmed it; returns how many. The node has left even if none has.
    ///
    /// Afterwards drop the handle, or join again.
    pub fn leave(&self) -> Result<usize, Failure> {
        match self.driver.command(|node, now| Ok::<_, Infallible>(node.leave(now))) {
            Ok(Done::Left { told }) => Ok(told),
            Ok(done) => unreachable!("a leave ended as {done:?}"),
            Err(CommandError::Failed(failure)) => Err(failure),
        }
    }

    /// Sends a message to one member in a datagram, which may be lost.
    pub fn send(&self, to: &NodeId, data: impl Into<Bytes>) -> Result<(), SendError> {
        self.driver.drive(|node, now| node.send(now, to, data.into()))
    }

    /// Sends a message to one member over a stream, and waits for the receipt; in memberlist's format,
    /// which has none, until it is written and the stream is closed.
    pub fn send_reliable(
        &self,
        to: &NodeId,
        data: impl Into<Bytes>,
    ) -> Result<(), CommandError<SendError>> {
        self.driver.command(|node, now| node.send_reliable(now, to, data.into())).map(drop)
    }

    /// Broadcasts a message to all members, by gossip; it replaces an earlier one with the same
    /// `key` that has not been told yet, unless the key is empty.
    pub fn broadcast(&self, key: &[u8], data: impl Into<Bytes>) -> Result<(), BroadcastError> {
        self.driver.drive(|node, now| node.broadcast(now, key, data.into()))
    }

    /// Pings a member, and waits for the answer; returns the round-trip time.
    pub fn ping(&self, to: &NodeId) -> Result<Duration, CommandError<SendError>> {
        match self.driver.command(|node, now| node.ping(now, to))? {
            Done::Pong { rtt } => Ok(rtt),
            done => unreachable!("a ping ended as {done:?}"),
        }
    }

    /// Sets what this node tells all others about itself.
    pub fn set_meta(&self, meta: Meta) -> Result<(), TooLong> {
        self.driver.drive(|node, now| node.set_meta(now, meta))
    }

    /// Sets what every node with which this one syncs from now on is told.
    pub fn set_sync_state(&self, state: impl Into<Bytes>) -> Result<(), TooLong> {
        self.driver.drive(|node, _| node.set_sync_state(state.into()))
    }

    // ---- record ----

    /// Records what the node hears and says from now on, to be replayed by `tidings replay`: into a
    /// file of bounded size, whose oldest part is overwritten.
    ///
    /// It is like a core dump: it has all messages in clear, and no keys. A recording that is there
    /// already is kept, by the same name with `.old` behind it. The recording ends when the handle is
    /// dropped, with [`stop_recording`](Self::stop_recording), and when the file cannot be written, which the
    /// node does not mind.
    ///
    /// # Errors
    ///
    /// If the file cannot be made, or is to be too small for the state of the node.
    pub fn record(&self, path: &Path, limits: Limits) -> Result<(), RecordError> {
        self.driver.record(path, limits)
    }

    /// Ends the recording, if there is one, once all of it is written.
    ///
    /// # Errors
    ///
    /// If the recording had ended before, since the file could not be written.
    pub fn stop_recording(&self) -> Result<(), RecordError> {
        self.driver.stop_recording()
    }

    /// Whether the node is recorded.
    pub fn is_recording(&self) -> bool {
        self.driver.is_recording()
    }

    // ---- look ----

    /// Where others reach this node.
    pub fn addr(&self) -> SocketAddr {
        self.local().addr()
    }

    /// This node, as it tells others.
    pub fn local(&self) -> Member {
        self.driver.look(|node| node.local().clone())
    }

    /// What is known of a member, be it present, failed or left.
    pub fn member(&self, id: &NodeId) -> Option<Member> {
        self.driver.look(|node| node.member(id).cloned())
    }

    /// The members that are present, alive or suspect, this node first unless it left.
    pub fn members(&self) -> Vec<Member> {
        let all = self.all_members().into_iter();
        all.filter(|member| member.state().is_present()).collect()
    }

    /// All members that are known, those that failed or left of late included.
    pub fn all_members(&self) -> Vec<Member> {
        self.driver.look(|node| node.members().cloned().collect())
    }

    /// How long a member takes to answer, smoothed; `None` if that is not known.
    pub fn rtt(&self, id: &NodeId) -> Option<Duration> {
        self.driver.look(|node| node.rtt(id))
    }

    /// Whether the node takes part in its cluster.
    pub fn phase(&self) -> Phase {
        self.driver.look(|node| node.phase())
    }

    /// How the node holds its own health: 0 is well.
    pub fn health(&self) -> u32 {
        self.driver.look(|node| node.health())
    }

    /// What the node has counted.
    pub fn stats(&self) -> Stats {
        self.driver.look(|node| node.stats().clone())
    }
}

/// What happens in the cluster, in order; ends when the node stops.
///
/// It holds 1,024 events. An application that takes them too slowly never holds up the node:
/// further ones, messages among them, are lost and counted, and the application should look at the
/// members again.
#[derive(Debug)]
pub struct Events {
    receiver: Receiver<Event>,
    lagged: Arc<AtomicU64>,
}

impl Events {
    /// Waits for the next event; `None` once the node has stopped.
    pub fn recv(&self) -> Option<Event> {
        self.receiver.recv().ok()
    }

    /// Waits for the next event, for some time; `None` if there is none in it.
    pub fn recv_timeout(&self, timeout: Duration) -> Option<Event> {
        self.receiver.recv_timeout(timeout).ok()
    }

    /// The next event, if one is there.
    pub fn try_recv(&self) -> Option<Event> {
        self.receiver.try_recv().ok()
    }

    /// How many events were lost so far, since nobody took them.
    pub fn lagged(&self) -> u64 {
        self.lagged.load(Ordering::Relaxed)
    }
}

impl Iterator for Events {
    type Item = Event;

    fn next(&mut self) -> Option<Event> {
        self.recv()
    }
}

/// How many events wait for the application.
const MAX_EVENTS: usize = 1024;

//! What users call.

use crate::driver::Driver;
use crate::error::{BindError, CommandError};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::Duration;
use tidings::{
    Config, Done, Event, Failure, JoinError, Member, Meta, NodeId, Phase, Stats, TooLong,
};

/// A running node; dropping it stops the node at once, without leaving.
///
/// All methods take `&self` and may be called from any thread.
#[derive(Debug)]
pub struct Tidings {
    driver: Driver,
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

    /// Joins a cluster through any of its members; returns how many members there are then.
    ///
    /// Blocks until one seed has answered, or all have failed: at the latest after
    /// [`stream_timeout`](tidings::Options::stream_timeout).
    ///
    /// # Errors
    ///
    /// If no seed took us in; the error says why, for each.
    pub fn join(&self, seeds: &[SocketAddr]) -> Result<usize, CommandError<JoinError>> {
        match self.driver.command(|node, now| node.join(now, seeds))? {
            Done::Joined { members, .. } => Ok(members),
            done => unreachable!("a join ended as {done:?}"),
        }
    }

    /// Leaves the cluster, so that the others see this node as left and not as failed; returns how
    /// many of them confirmed it.
    ///
    /// Blocks until enough have, at the latest until
    /// [`stream_timeout`](tidings::Options::stream_timeout). Afterwards drop the handle, or join
    /// again.
    ///
    /// # Errors
    ///
    /// If there are others, and none confirmed it. The node has left all the same.
    pub fn leave(&self) -> Result<usize, Failure> {
        match self.driver.command(|node, now| Ok::<_, Infallible>(node.leave(now))) {
            Ok(Done::Left { told }) => Ok(told),
            Ok(done) => unreachable!("a leave ended as {done:?}"),
            Err(CommandError::Failed(failure)) => Err(failure),
        }
    }

    /// Sets what this node tells all others about itself.
    ///
    /// # Errors
    ///
    /// If there are more bytes than [`max_meta`](tidings::Options::max_meta).
    pub fn set_meta(&self, meta: Meta) -> Result<(), TooLong> {
        self.driver.drive(|node, now| node.set_meta(now, meta))
    }

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
        let present = |member: &&Member| member.state().is_present();
        self.driver.look(|node| node.members().filter(present).cloned().collect())
    }

    /// All members that are known, those that failed or left of late included.
    pub fn all_members(&self) -> Vec<Member> {
        self.driver.look(|node| node.members().cloned().collect())
    }

    /// Whether the node takes part in its cluster.
    pub fn phase(&self) -> Phase {
        self.driver.look(|node| node.phase())
    }

    /// How the node holds its own health: 0 is well; see [`tidings::Node::health`].
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
/// further ones are lost and counted, and the application should look at the members again.
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

//! What an application asks of a node and is answered at once.

use crate::state::DriverState;
use bytes::Bytes;
use std::fmt;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;
use tidings::{
    BroadcastError, BroadcastKey, Instant, Member, Meta, Node, NodeId, Phase, SendError, Stats,
    TooLong,
};
use tidings_record::{Finishing, Limits, RecordError};

/// A running driver of one node.
pub trait Drive: fmt::Debug + Send + Sync {
    /// Gives the node one input, under the lock, then carries out all that it wants done.
    fn drive(&self, input: &mut dyn FnMut(&mut DriverState, Instant));

    /// Stops: no output is carried out any more. Sockets may be closed a little later.
    fn stop(&self);
}

/// A running node; dropping it stops the node at once, without leaving.
///
/// All methods take `&self`, may be called from any thread, and wait for nobody. What one does, and when it
/// fails, is told in full by the method of [`Node`] that has its name. What waits for others is
/// each adapter's.
#[derive(Debug)]
pub struct Handle {
    driver: Box<dyn Drive>,
}

impl Handle {
    /// A handle for a driver that runs; one for each.
    pub fn new(driver: impl Drive + 'static) -> Self {
        Self { driver: Box::new(driver) }
    }

    // ---- ask ----

    /// Sends a message to one member in a datagram, which may be lost.
    pub fn send(&self, to: &NodeId, data: impl Into<Bytes>) -> Result<(), SendError> {
        self.drive(|node, now| node.send(now, to, data.into()))
    }

    /// Broadcasts a message to all members, by gossip.
    pub fn broadcast(&self, data: impl Into<Bytes>) -> Result<(), BroadcastError> {
        self.drive(|node, now| node.broadcast(now, data.into()))
    }

    /// Broadcasts a message to all members, in place of earlier ones with the same key.
    pub fn broadcast_replacing(
        &self,
        key: BroadcastKey,
        data: impl Into<Bytes>,
    ) -> Result<(), BroadcastError> {
        self.drive(|node, now| node.broadcast_replacing(now, key, data.into()))
    }

    /// Sets what this node tells all others about itself.
    pub fn set_meta(&self, meta: Meta) -> Result<(), TooLong> {
        self.drive(|node, now| node.set_meta(now, meta))
    }

    /// Sets what every node with which this one syncs from now on is told.
    pub fn set_sync_state(&self, state: impl Into<Bytes>) -> Result<(), TooLong> {
        self.drive(|node, now| node.set_sync_state(now, state.into()))
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
        self.stop_recording()?;
        self.with(|state, now| state.record(path, limits, now))
    }

    /// Ends the recording, if there is one, once all of it is written.
    ///
    /// # Errors
    ///
    /// If the recording had ended before, since the file could not be written.
    pub fn stop_recording(&self) -> Result<(), RecordError> {
        // The node does not wait for the disk.
        self.with(|state, _| state.stop_recording()).map_or(Ok(()), Finishing::wait)
    }

    /// Whether the node is recorded.
    pub fn is_recording(&self) -> bool {
        self.with(|state, _| state.is_recording())
    }

    // ---- look ----

    /// Where others reach this node.
    pub fn addr(&self) -> SocketAddr {
        self.local().addr()
    }

    /// This node, as it tells others.
    pub fn local(&self) -> Member {
        self.look(|node| node.local().clone())
    }

    /// What is known of a member, be it present, failed or left.
    pub fn member(&self, id: &NodeId) -> Option<Member> {
        self.look(|node| node.member(id).cloned())
    }

    /// The members that are present, alive or suspect, this node first unless it left.
    pub fn members(&self) -> Vec<Member> {
        self.look(|node| node.members().cloned().collect())
    }

    /// All members that are known, those that failed or left of late included.
    pub fn all_members(&self) -> Vec<Member> {
        self.look(|node| node.all_members().cloned().collect())
    }

    /// How long a member takes to answer, smoothed; `None` if that is not known.
    pub fn rtt(&self, id: &NodeId) -> Option<Duration> {
        self.look(|node| node.rtt(id))
    }

    /// Whether the node takes part in its cluster.
    pub fn phase(&self) -> Phase {
        self.look(|node| node.phase())
    }

    /// How the node holds its own health: 0 is well.
    pub fn health(&self) -> u32 {
        self.look(|node| node.health())
    }

    /// What the node has counted.
    pub fn stats(&self) -> Stats {
        self.look(|node| node.stats().clone())
    }

    // ---- the lock ----

    pub(crate) fn with<R>(&self, input: impl FnOnce(&mut DriverState, Instant) -> R) -> R {
        let (mut input, mut result) = (Some(input), None);
        self.driver.drive(&mut |state, now| result = input.take().map(|input| input(state, now)));
        result.expect("a driver gives each input to its node once")
    }

    pub(crate) fn drive<R>(&self, input: impl FnOnce(&mut Node, Instant) -> R) -> R {
        self.with(|state, now| input(state.node_mut(), now))
    }

    pub(crate) fn look<R>(&self, look: impl FnOnce(&Node) -> R) -> R {
        self.with(|state, _| look(state.node()))
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.driver.stop();
    }
}

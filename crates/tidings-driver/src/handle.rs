//! The driver as every handle holds it, and the methods that are answered at once.

use crate::background::Background;
use crate::discovery::InvalidSource;
use crate::discovery::SeedSource;
use crate::error::SetSeedsError;
#[cfg(feature = "encryption")]
use crate::keys::KeyError;
use crate::observer::Observer;
use crate::state::DriverState;
use std::fmt;
use std::sync::Arc;
use tidings::{Instant, Node};
#[cfg(feature = "encryption")]
use tidings::{Keyring, KeyringError};

/// A running driver of one node.
pub trait Drive: fmt::Debug + Send + Sync {
    /// Gives the node one input, under the lock, then carries out all of its outputs.
    fn drive(&self, input: &mut dyn FnMut(&mut DriverState, Instant));

    /// Stops: no output is carried out any more. Sockets may be closed a little later.
    fn stop(&self);
}

/// A running driver, which stops when this is dropped.
#[derive(Debug)]
pub(crate) struct Handle {
    driver: Arc<dyn Drive>,
    background: Arc<Background>,
}

impl Handle {
    pub(crate) fn new(driver: impl Drive + 'static) -> Self {
        let driver: Arc<dyn Drive> = Arc::new(driver);
        let mut background = None;
        driver.drive(&mut |state, _| background = Some(state.background()));
        let background = background.expect("a driver gives each input to its node once");
        background.attach(Arc::clone(&driver));
        Self { driver, background }
    }

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

    pub(crate) fn observer(&self) -> Observer {
        Observer::new(&self.driver)
    }

    pub(crate) fn set_seeds<S>(
        &self,
        sources: impl IntoIterator<Item = S>,
    ) -> Result<(), SetSeedsError>
    where
        S: TryInto<SeedSource>,
        InvalidSource: From<S::Error>,
    {
        let sources = sources.into_iter().map(|source| source.try_into().map_err(Into::into));
        let sources = sources.collect::<Result<Vec<_>, _>>().map_err(SetSeedsError::Invalid)?;
        if !sources.is_empty() {
            self.with(|state, _| state.await_seeds());
        }
        self.background.set_sources(sources).map_err(SetSeedsError::System)
    }

    #[cfg(feature = "encryption")]
    pub(crate) fn change_keys(
        &self,
        change: impl FnOnce(&mut Keyring) -> Result<(), KeyringError>,
    ) -> Result<(), KeyError> {
        self.drive(|node, _| {
            let keyring = node.keyring_mut().ok_or(KeyError::NoKeyring)?;
            change(keyring).map_err(KeyError::Refused)
        })
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.background.end();
        self.driver.stop();
    }
}

/// The methods that wait for nobody: the same for a handle that blocks and for one that is awaited.
///
/// `$tidings` has a method `handle` that returns the [`Handle`].
macro_rules! answered_at_once {
    ($tidings:ident) => {
        /// Methods that are answered at once.
        impl $tidings {
            // ---- send ----

            /// Sends a message to one member in a datagram, which may be lost.
            ///
            /// # Errors
            ///
            /// If the member is not present, the message is longer than a datagram, or this node
            /// has left: see [`Node::send`](tidings::Node::send).
            pub fn send(&self, to: &NodeId, data: impl Into<Bytes>) -> Result<(), SendError> {
                self.handle().drive(|node, now| node.send(now, to, data.into()))
            }

            /// Broadcasts a message to all members by gossip.
            ///
            /// Delivery is probabilistic: under a long queue more broadcasts are missed, and nodes
            /// that join later get none. See [`Node::broadcast`](tidings::Node::broadcast).
            ///
            /// # Errors
            ///
            /// If the message is longer than a datagram, the queue is full, or this node has left.
            pub fn broadcast(&self, data: impl Into<Bytes>) -> Result<(), BroadcastError> {
                self.handle().drive(|node, now| node.broadcast(now, data.into()))
            }

            /// Broadcasts a message, in place of an earlier one of this node's with the same `key`
            /// that still waits to be sent; else as [`broadcast`](Self::broadcast).
            ///
            /// # Errors
            ///
            /// As [`broadcast`](Self::broadcast).
            pub fn broadcast_replacing(
                &self,
                key: BroadcastKey,
                data: impl Into<Bytes>,
            ) -> Result<(), BroadcastError> {
                self.handle().drive(|node, now| node.broadcast_replacing(now, key, data.into()))
            }

            /// Declares for all members that one that failed has left, and will not come back: see
            /// [`Node::force_leave`](tidings::Node::force_leave).
            ///
            /// # Errors
            ///
            /// If the member is not known or has not failed, or this node has left.
            pub fn force_leave(&self, id: &NodeId) -> Result<(), ForceLeaveError> {
                self.handle().drive(|node, now| node.force_leave(now, id))
            }

            /// Sets the metadata that this node publishes to all members.
            ///
            /// # Errors
            ///
            /// If it is longer than [`max_meta`](tidings::Options::max_meta).
            pub fn set_meta(&self, meta: impl Into<Meta>) -> Result<(), TooLong> {
                self.handle().drive(|node, now| node.set_meta(now, meta.into()))
            }

            /// Sets the address at which other nodes reach this one, because its machine has
            /// another one or the one that it advertised was wrong. The others follow within a
            /// round of gossip, and nobody sees the node fail.
            ///
            /// The node listens where it was bound: bind it to an unspecified address, such as
            /// `0.0.0.0:7946`, if its machine's address may change.
            ///
            /// # Errors
            ///
            /// If no node can have the address, or it is not allowed; in memberlist's format, while
            /// the node is a member: see [`Node::set_addr`](tidings::Node::set_addr).
            pub fn set_addr(&self, addr: SocketAddr) -> Result<(), SetAddrError> {
                self.handle().drive(|node, now| node.set_addr(now, addr))
            }

            /// Sets the state that every node with which this one syncs from now on is told, as
            /// [`Event::SyncState`](tidings::Event::SyncState).
            ///
            /// # Errors
            ///
            /// If it is longer than [`max_sync_state`](tidings::Options::max_sync_state).
            pub fn set_sync_state(&self, state: impl Into<Bytes>) -> Result<(), TooLong> {
                self.handle().drive(|node, now| node.set_sync_state(now, state.into()))
            }

            /// Replaces the [sources of seeds](SeedSource), those of the builder included; each is
            /// text, an address or a [`Target`](tidings::Target). The node tries the addresses of
            /// new ones at once, and goes on for as long as it runs.
            ///
            /// # Errors
            ///
            /// If text is not a source, or the operating system gives no thread.
            pub fn set_seeds<S>(
                &self,
                sources: impl IntoIterator<Item = S>,
            ) -> Result<(), SetSeedsError>
            where
                S: TryInto<SeedSource>,
                InvalidSource: From<S::Error>,
            {
                self.handle().set_seeds(sources)
            }

            // ---- look ----

            /// The address where other nodes reach this one.
            pub fn addr(&self) -> SocketAddr {
                self.local().addr()
            }

            /// This node, as other nodes see it.
            pub fn local(&self) -> Member {
                self.handle().look(|node| node.local().clone())
            }

            /// A member by its name, be it present, failed or left; `None` if it is not known.
            pub fn member(&self, id: &NodeId) -> Option<Member> {
                self.handle().look(|node| node.member(id).cloned())
            }

            /// The members that are present, alive or suspect; this node first unless it left.
            pub fn members(&self) -> Vec<Member> {
                self.handle().look(|node| node.members().cloned().collect())
            }

            /// All members that are known, those that failed or left of late included.
            pub fn all_members(&self) -> Vec<Member> {
                self.handle().look(|node| node.all_members().cloned().collect())
            }

            /// The smoothed round-trip time to a member; `None` if it is not known.
            pub fn rtt(&self, id: &NodeId) -> Option<Duration> {
                self.handle().look(|node| node.rtt(id))
            }

            /// How long it takes until this node declares a suspect failed, if that does not refute
            /// the suspicion and no other member accuses it too; `None` if it is not suspected.
            pub fn suspicion_left(&self, id: &NodeId) -> Option<Duration> {
                self.handle().with(|state, now| {
                    let deadline = state.node().suspicion_deadline(id);
                    deadline.map(|deadline| deadline.since(now))
                })
            }

            /// Whether the node takes part in its cluster.
            pub fn phase(&self) -> Phase {
                self.handle().look(|node| node.phase())
            }

            /// Whether the node is ready, as [`ready`](Self::ready) waits for.
            pub fn is_ready(&self) -> bool {
                self.handle().with(|state, _| state.is_ready())
            }

            /// Lifeguard's local health score of this node: 0 is healthy.
            pub fn health(&self) -> u32 {
                self.handle().look(|node| node.health())
            }

            /// The node's counters.
            pub fn stats(&self) -> Stats {
                self.handle().look(|node| node.stats().clone())
            }

            /// A look at the node that does not keep it running: for status pages and metrics.
            pub fn observer(&self) -> Observer {
                self.handle().observer()
            }
        }

        /// Recordings of the node.
        #[cfg(feature = "record")]
        impl $tidings {
            /// Records the node's inputs and outputs from now on, to be replayed by `tidings
            /// replay`: into a file of bounded size, whose oldest part is overwritten.
            ///
            /// It is like a core dump: it has all messages in clear, and no keys. A recording that
            /// is there already is kept, by the same name with `.old` behind it. The recording ends
            /// when the last handle is dropped, with [`stop_recording`](Self::stop_recording), and
            /// when the file cannot be written, which does not disturb the node.
            ///
            /// # Errors
            ///
            /// If the file cannot be made, or its size limit is too small for the state of the
            /// node.
            pub fn record(
                &self,
                path: impl AsRef<Path>,
                limits: Limits,
            ) -> Result<(), RecordError> {
                self.stop_recording()?;
                let path = path.as_ref();
                let begin = |now| Recorder::create(path, limits, now);
                self.handle().with(|state, now| state.record(begin(now)?))
            }

            /// Records the node in memory from now on, in place of another recording: a ring of
            /// [`Limits::bytes`], of which [`recent`](Self::recent) returns a copy.
            ///
            /// # Errors
            ///
            /// If the size limit is out of range, or too small for the state of the node.
            pub fn record_in_memory(&self, limits: Limits) -> Result<(), RecordError> {
                self.stop_recording()?;
                let begin = |now| Recorder::in_memory(limits, now);
                self.handle().with(|state, now| state.record(begin(now)?))
            }

            /// The recent past of the node, as the bytes of a recording; `None` without
            /// [`record_in_memory`](Self::record_in_memory).
            ///
            /// It has all messages in clear, and no keys.
            pub fn recent(&self) -> Option<Vec<u8>> {
                self.handle().with(|state, _| state.recent())
            }

            /// Ends the recording, if there is one, once all of it is written.
            ///
            /// # Errors
            ///
            /// If the recording had ended before, because the file could not be written.
            pub fn stop_recording(&self) -> Result<(), RecordError> {
                // The node does not wait for the disk.
                let recording = self.handle().with(|state, _| state.stop_recording());
                recording.map_or(Ok(()), Finishing::wait)
            }

            /// Whether the node is recorded.
            pub fn is_recording(&self) -> bool {
                self.handle().with(|state, _| state.is_recording())
            }
        }

        /// Keys, for a node that was started with some; [`Keyring`] tells how one is replaced.
        #[cfg(feature = "encryption")]
        impl $tidings {
            /// The keys as they are now; `None` if the node does not encrypt.
            pub fn keyring(&self) -> Option<Keyring> {
                self.handle().look(|node| node.keyring().cloned())
            }

            /// Accepts a further key.
            ///
            /// # Errors
            ///
            /// If the node was started without keys, or the keyring does not take it.
            pub fn add_key(&self, key: Key) -> Result<(), KeyError> {
                self.handle().change_keys(|keyring| keyring.add(key))
            }

            /// Encrypts with an accepted key from now on.
            ///
            /// # Errors
            ///
            /// If the node was started without keys, or the key is not in the keyring.
            pub fn use_key(&self, key: &Key) -> Result<(), KeyError> {
                self.handle().change_keys(|keyring| keyring.use_key(key))
            }

            /// Accepts a key no more.
            ///
            /// # Errors
            ///
            /// If the node was started without keys, or encrypts with that key.
            pub fn remove_key(&self, key: &Key) -> Result<(), KeyError> {
                self.handle().change_keys(|keyring| keyring.remove(key))
            }
        }
    };
}
pub(crate) use answered_at_once;

//! What a control socket needs of a node, which the handles of all adapters have.

use std::fmt;
use std::time::Duration;
#[cfg(feature = "encryption")]
use tidings_driver::prelude::{Key, KeyError, Keyring};
use tidings_driver::prelude::{Member, Meta, NodeId, Phase, Stats};

/// A handle to a running node, for [`NodeService`](crate::NodeService).
///
/// Errors are text for people. [`join`](Self::join), [`leave`](Self::leave),
/// [`send_reliable`](Self::send_reliable) and [`ping`](Self::ping) block until other nodes have
/// answered; all other methods return at once.
pub trait ControlledNode: fmt::Debug + Send + Sync + 'static {
    /// This node, as other nodes see it.
    fn local(&self) -> Member;
    /// All members that are known, those that failed or left of late included.
    fn all_members(&self) -> Vec<Member>;
    /// Whether the node takes part in its cluster.
    fn phase(&self) -> Phase;
    /// Whether the node has settled among its members.
    fn is_ready(&self) -> bool;
    /// The local health score: 0 is healthy.
    fn health(&self) -> u32;
    /// The counters.
    fn stats(&self) -> Stats;
    /// The smoothed round-trip time to a member, if it is known.
    fn rtt(&self, id: &NodeId) -> Option<Duration>;
    /// The time until this node declares a member failed, if it is a suspect.
    fn suspicion_left(&self, id: &NodeId) -> Option<Duration>;
    /// Sets the metadata.
    fn set_meta(&self, meta: Meta) -> Result<(), String>;
    /// Sends a message in a datagram, which may be lost.
    fn send(&self, to: &NodeId, data: Vec<u8>) -> Result<(), String>;
    /// Sends a message over a stream, and waits for the receipt.
    fn send_reliable(&self, to: &NodeId, data: Vec<u8>) -> Result<(), String>;
    /// Gossips a message to all members.
    fn broadcast(&self, data: Vec<u8>) -> Result<(), String>;
    /// Joins through any of these seeds, each `[NAME/]HOST[:PORT]`; returns the number of members
    /// then.
    fn join(&self, seeds: &[String]) -> Result<usize, String>;
    /// Leaves the cluster; returns the number of members that confirmed it.
    fn leave(&self) -> Result<usize, String>;
    /// Declares for all members that one that failed has left.
    fn force_leave(&self, id: &NodeId) -> Result<(), String>;
    /// Pings a member; returns the round-trip time.
    fn ping(&self, to: &NodeId) -> Result<Duration, String>;

    /// The keys; `None` if the node does not encrypt.
    #[cfg(feature = "encryption")]
    fn keyring(&self) -> Option<Keyring>;
    /// Accepts a further key.
    #[cfg(feature = "encryption")]
    fn add_key(&self, key: Key) -> Result<(), KeyError>;
    /// Encrypts with an accepted key from now on.
    #[cfg(feature = "encryption")]
    fn use_key(&self, key: &Key) -> Result<(), KeyError>;
    /// Accepts a key no more.
    #[cfg(feature = "encryption")]
    fn remove_key(&self, key: &Key) -> Result<(), KeyError>;

    /// The recent past of the node, as the bytes of a recording; `None` if there is none.
    #[cfg(feature = "record")]
    fn recent(&self) -> Option<Vec<u8>>;
}

/// Implements [`ControlledNode`] for a handle; `$wait` waits for the outcome of its methods that
/// wait for other nodes.
macro_rules! controlled_node {
    ($handle:ty, $wait:expr) => {
        impl ControlledNode for $handle {
            fn local(&self) -> Member {
                self.local()
            }

            fn all_members(&self) -> Vec<Member> {
                self.all_members()
            }

            fn phase(&self) -> Phase {
                self.phase()
            }

            fn is_ready(&self) -> bool {
                self.is_ready()
            }

            fn health(&self) -> u32 {
                self.health()
            }

            fn stats(&self) -> Stats {
                self.stats()
            }

            fn rtt(&self, id: &NodeId) -> Option<Duration> {
                self.rtt(id)
            }

            fn suspicion_left(&self, id: &NodeId) -> Option<Duration> {
                self.suspicion_left(id)
            }

            fn set_meta(&self, meta: Meta) -> Result<(), String> {
                self.set_meta(meta).map_err(text)
            }

            fn send(&self, to: &NodeId, data: Vec<u8>) -> Result<(), String> {
                self.send(to, data).map_err(text)
            }

            fn send_reliable(&self, to: &NodeId, data: Vec<u8>) -> Result<(), String> {
                $wait(self.send_reliable(to, data)).map_err(text)
            }

            fn broadcast(&self, data: Vec<u8>) -> Result<(), String> {
                self.broadcast(data).map_err(text)
            }

            fn join(&self, seeds: &[String]) -> Result<usize, String> {
                $wait(self.join(seeds.iter().map(String::as_str))).map_err(text)
            }

            fn leave(&self) -> Result<usize, String> {
                $wait(self.leave()).map_err(text)
            }

            fn force_leave(&self, id: &NodeId) -> Result<(), String> {
                self.force_leave(id).map_err(text)
            }

            fn ping(&self, to: &NodeId) -> Result<Duration, String> {
                $wait(self.ping(to)).map_err(text)
            }

            #[cfg(feature = "encryption")]
            fn keyring(&self) -> Option<Keyring> {
                self.keyring()
            }

            #[cfg(feature = "encryption")]
            fn add_key(&self, key: Key) -> Result<(), KeyError> {
                self.add_key(key)
            }

            #[cfg(feature = "encryption")]
            fn use_key(&self, key: &Key) -> Result<(), KeyError> {
                self.use_key(key)
            }

            #[cfg(feature = "encryption")]
            fn remove_key(&self, key: &Key) -> Result<(), KeyError> {
                self.remove_key(key)
            }

            #[cfg(feature = "record")]
            fn recent(&self) -> Option<Vec<u8>> {
                self.recent()
            }
        }
    };
}

controlled_node!(tidings_driver::blocking::Tidings, std::convert::identity);
#[cfg(feature = "async")]
controlled_node!(tidings_driver::asynchronous::Tidings, futures_lite::future::block_on);

fn text(error: impl ToString) -> String {
    error.to_string()
}

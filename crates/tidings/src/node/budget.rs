//! What one input of a peer may cost at most; checked after each input in debug builds.
//!
//! The bounds are in proportion to the bytes that the peer sent, so that no input costs more than
//! its share of what the network carries. docs/PROTOCOL.md, "Limits", lists them. The test `budget`
//! searches for inputs that exceed them, and measures times.

use super::Node;
use crate::event::Event;
use crate::output::PendingOutput;
use crate::record::journal::Input;
use crate::stream::StreamAction;

/// The state of a node before an input, and what the input brings.
#[derive(Debug)]
pub(super) struct Budget {
    source: Source,
    /// Number of bytes that the node takes with this input, after decompression.
    bytes: usize,
    visits: usize,
    /// Number of queued outputs.
    outputs: usize,
    tombstones: usize,
    /// Number of members for which the table has room.
    capacity: usize,
    indexed: bool,
    /// Number of commands that wait for the node's leave, which one input may end.
    leaves: usize,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Source {
    Datagram,
    /// Bytes of a stream, its beginning or its end.
    Stream,
    /// The clock, or the application: what it costs is in proportion to the timers that are due, or
    /// to the command.
    Own,
}

impl Budget {
    pub(super) fn of(node: &Node, input: &Input<'_>) -> Self {
        let options = &node.config.options;
        let (source, bytes, expanded) = match input {
            Input::Datagram { data, .. } => (Source::Datagram, data.len(), MAX_EXPANDED),
            Input::Sealed { len, .. } => (Source::Datagram, *len, MAX_EXPANDED),
            // The rest of a frame makes the node take all of it.
            Input::Data(id, data) => {
                let before = node.streams.exchanges.received(*id).len();
                (Source::Stream, before + data.len(), options.max_frame)
            }
            Input::Accept { .. } | Input::Closed(_) | Input::Failed(..) => (Source::Stream, 0, 0),
            _ => (Source::Own, 0, 0),
        };
        // Only memberlist's format has compression.
        let bytes = if node.wire.tidings().is_some() { bytes } else { bytes.max(expanded) };
        Self {
            source,
            bytes,
            visits: node.visits(),
            outputs: node.outputs.len(),
            tombstones: node.members.tombstone_count(),
            capacity: node.members.capacity(),
            indexed: node.members.index().is_some(),
            leaves: node.streams.tickets.leaves(),
        }
    }

    /// Asserts that the input cost no more than its bounds.
    ///
    /// # Panics
    ///
    /// If it did, which is a bug of the core.
    pub(super) fn check(self, node: &Node) {
        let Self { source, bytes, visits, outputs, tombstones, capacity, indexed, leaves } = self;
        if source == Source::Own {
            return;
        }
        let options = &node.config.options;
        let (mut datagrams, mut actions, mut written, mut events) = (0, 0, 0, 0);
        for output in node.outputs.after(outputs) {
            match output {
                PendingOutput::Datagram(_) | PendingOutput::Message { .. } => datagrams += 1,
                PendingOutput::Stream { action, .. } => {
                    actions += 1;
                    if let StreamAction::Write(bytes) = action {
                        written += bytes.len();
                    }
                }
                PendingOutput::Event(event) => events += memory(event),
            }
        }
        let more = if source == Source::Stream { bytes / SHORTEST_CAUSE } else { 0 };
        let max_datagrams = REPLIES + more;
        assert!(datagrams <= max_datagrams, "{datagrams} datagrams for {bytes} bytes");
        let max_events = (EVENTS + leaves) * size_of::<Event>() + EVENT_BYTES * bytes;
        assert!(events <= max_events, "events of {events} bytes for {bytes} bytes");
        let max_actions = ACTIONS + options.max_streams_out;
        assert!(actions <= max_actions, "{actions} actions on streams for one input");
        assert!(written <= options.max_stream_memory + ENVELOPES, "{written} bytes written");
        if node.wire.tidings().is_some() {
            let answer = options.max_sync_state + 2 * options.sync_chunk + ENVELOPES;
            assert!(written <= answer, "{written} bytes written for one input");
        }
        // The index for syncs is built for the first frame, and kept until no sync needed it
        // between two of this node.
        let built = !indexed && node.members.index().is_some();
        let build = if built { VISITS_TO_INDEX * node.members.len() } else { 0 };
        // Outdated tombstones are dropped when there are as many as members. Each took a claim.
        let dropped = node.members.tombstone_count() < tombstones;
        let sweep = if dropped { 2 * tombstones } else { 0 };
        // A table that is full doubles, after as many claims.
        let grown = node.members.capacity() != capacity;
        let growth = if grown { 2 * node.members.len() } else { 0 };
        let max_visits = VISITS + build + sweep + growth + VISITS_PER_BYTE * (bytes + written);
        // A new index counts anew.
        let visits = node.visits().saturating_sub(visits);
        assert!(visits <= max_visits, "{visits} members looked at for {bytes} bytes");
    }
}

/// The memory of an event, in bytes.
fn memory(event: &Event) -> usize {
    let data = match event {
        Event::Message { data, .. } | Event::SyncState { data, .. } => data.len(),
        _ => 0,
    };
    size_of::<Event>() + data
}

/// Members and entries of indexes that the node looks at for each byte taken or written. A claim of
/// seven bytes that a member failed takes some thirty looks: at the member, at its places in the
/// table, the index, the probe order and the queues, before and after.
const VISITS_PER_BYTE: usize = 8;
/// The same for an input whatever its length: the members that are drawn to be picked from, and
/// those updates that one datagram skips.
const VISITS: usize = 1000;
/// Looks at each member to build the index for syncs.
const VISITS_TO_INDEX: usize = 16;
/// Datagrams in reply to one: an ack, or a ping or nack for another member; and a correction, or a
/// ping to validate an address.
const REPLIES: usize = 2;
/// The shortest record on a stream that causes a datagram of its own, in bytes: a stale one, which
/// is corrected, or a suspicion by hearsay, which goes to the suspect at once.
const SHORTEST_CAUSE: usize = 10;
/// Events for one input whatever its length, besides the application's leaves that end with it.
const EVENTS: usize = 32;
/// Memory of events for each byte taken, in bytes: messages of four bytes, with two events at most.
const EVENT_BYTES: usize = 64;
/// Actions on streams for one input, besides the streams that are opened.
const ACTIONS: usize = 8;
/// The headers of all frames that one input leads to, and a member's record, in bytes.
const ENVELOPES: usize = 4096;
/// Number of bytes that a datagram in memberlist's format is decompressed to.
const MAX_EXPANDED: usize = 65_536;

//! The streams of a node, from its driver's side.

use std::collections::{HashMap, VecDeque};
use std::io;
use tidings::{StreamAction, StreamId, StreamInput};

/// The open streams of a node, each with the driver's own value `T` for it and its queue of
/// actions.
#[derive(Debug)]
pub struct StreamTable<T> {
    table: HashMap<StreamId, Link<T>>,
}

#[derive(Debug)]
struct Link<T> {
    held: T,
    queue: VecDeque<StreamAction>,
}

impl<T> StreamTable<T> {
    /// An empty table.
    pub fn new() -> Self {
        Self { table: HashMap::new() }
    }

    /// Adds a stream, with an empty queue.
    pub fn insert(&mut self, id: StreamId, held: T) {
        self.table.insert(id, Link { held, queue: VecDeque::new() });
    }

    /// The driver's value for a stream; `None` if the stream is not in the table.
    pub fn get_mut(&mut self, id: StreamId) -> Option<&mut T> {
        self.table.get_mut(&id).map(|link| &mut link.held)
    }

    /// Appends an action to a stream's queue.
    pub fn push(&mut self, id: StreamId, action: StreamAction) {
        if let Some(link) = self.table.get_mut(&id) {
            link.queue.push_back(action);
        }
    }

    /// Takes the next action of a stream, which comes before any read; [`StreamAction::Reset`] if
    /// the stream is not in the table.
    pub fn next_action(&mut self, id: StreamId) -> Option<StreamAction> {
        match self.table.get_mut(&id) {
            Some(link) => link.queue.pop_front(),
            None => Some(StreamAction::Reset),
        }
    }

    /// Removes a stream; returns the driver's value for it.
    pub fn remove(&mut self, id: StreamId) -> Option<T> {
        self.table.remove(&id).map(|link| link.held)
    }

    /// Removes all streams; returns the driver's values for them.
    pub fn remove_all(&mut self) -> Vec<T> {
        self.table.drain().map(|(_, link)| link.held).collect()
    }
}

impl<T> Default for StreamTable<T> {
    fn default() -> Self {
        Self::new()
    }
}

/// The input for a stream that has ended in this way.
pub fn ended(how: io::Result<()>) -> StreamInput<'static> {
    match how {
        Ok(()) => StreamInput::Closed,
        Err(error) => StreamInput::Failed(error.kind().into()),
    }
}

/// The size of the buffer for a read from a stream, in bytes.
pub const MAX_READ: usize = 16 << 10;

//! The streams of a node, as its driver knows them.

use std::collections::{HashMap, VecDeque};
use std::io;
use tidings::{StreamAction, StreamId, StreamInput};

/// The streams that a node has not forgotten, each with what it is to its driver, a `T`, and what there is
/// to do on it.
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
    /// None.
    pub fn new() -> Self {
        Self { table: HashMap::new() }
    }

    /// Remembers a stream, on which there is nothing to do yet.
    pub fn insert(&mut self, id: StreamId, held: T) {
        self.table.insert(id, Link { held, queue: VecDeque::new() });
    }

    /// What a stream is to the driver, unless it was forgotten.
    pub fn get_mut(&mut self, id: StreamId) -> Option<&mut T> {
        self.table.get_mut(&id).map(|link| &mut link.held)
    }

    /// Has something done on a stream, after all that there was to do before.
    pub fn push(&mut self, id: StreamId, action: StreamAction) {
        if let Some(link) = self.table.get_mut(&id) {
            link.queue.push_back(action);
        }
    }

    /// What to do on a stream before anything is read from it.
    pub fn next_action(&mut self, id: StreamId) -> Option<StreamAction> {
        match self.table.get_mut(&id) {
            Some(link) => link.queue.pop_front(),
            None => Some(StreamAction::Reset),
        }
    }

    /// Forgets a stream; returns what it was, unless it was forgotten before.
    pub fn remove(&mut self, id: StreamId) -> Option<T> {
        self.table.remove(&id).map(|link| link.held)
    }

    /// Forgets all streams; returns what they were.
    pub fn remove_all(&mut self) -> Vec<T> {
        self.table.drain().map(|(_, link)| link.held).collect()
    }
}

impl<T> Default for StreamTable<T> {
    fn default() -> Self {
        Self::new()
    }
}

/// What a node is told of a stream that has ended so.
pub fn ended(how: io::Result<()>) -> StreamInput<'static> {
    match how {
        Ok(()) => StreamInput::Closed,
        Err(error) => StreamInput::Failed(error.kind().into()),
    }
}

/// How much is read from a stream at a time.
pub const MAX_READ: usize = 16 << 10;

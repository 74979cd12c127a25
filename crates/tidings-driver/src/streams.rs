//! The streams of a node, from its driver's side.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::task::{Context, Poll, Waker};
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
    /// Wakes the task that waits for an action.
    waker: Option<Waker>,
}

impl<T> StreamTable<T> {
    /// An empty table.
    pub fn new() -> Self {
        Self { table: HashMap::new() }
    }

    /// Adds a stream, with an empty queue.
    pub fn insert(&mut self, id: StreamId, held: T) {
        self.table.insert(id, Link { held, queue: VecDeque::new(), waker: None });
    }

    /// The driver's value for a stream; `None` if the stream is not in the table.
    pub fn get_mut(&mut self, id: StreamId) -> Option<&mut T> {
        self.table.get_mut(&id).map(|link| &mut link.held)
    }

    /// Appends an action to a stream's queue, and wakes the task that waits for one.
    pub fn push(&mut self, id: StreamId, action: StreamAction) {
        if let Some(link) = self.table.get_mut(&id) {
            link.queue.push_back(action);
            if let Some(waker) = link.waker.take() {
                waker.wake();
            }
        }
    }

    /// Takes the next action of a stream as [`next_action`](Self::next_action) does, or has the
    /// task woken when there is one: a node may write to a stream at any time, also while its task
    /// waits for bytes to read.
    pub fn poll_action(&mut self, id: StreamId, cx: &mut Context<'_>) -> Poll<StreamAction> {
        if let Some(action) = self.next_action(id) {
            return Poll::Ready(action);
        }
        if let Some(link) = self.table.get_mut(&id) {
            link.waker = Some(cx.waker().clone());
        }
        Poll::Pending
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;
    use tidings::{ClusterName, Config, Instant, Node, NodeId};

    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// The id of a stream that a node accepts.
    fn stream() -> StreamId {
        let (cluster, id) = (ClusterName::new("shop").unwrap(), NodeId::new("a").unwrap());
        let config = Config::local(cluster, id, ([127, 0, 0, 1], 1).into());
        let mut node = Node::new(config, [0; 32], Instant::ZERO);
        node.accept_stream(Instant::ZERO, ([127, 0, 0, 1], 2).into()).unwrap()
    }

    #[test]
    fn a_task_that_waits_is_woken_by_an_action_once() {
        let count = Arc::new(Count(AtomicUsize::new(0)));
        let waker = Waker::from(Arc::clone(&count));
        let mut cx = Context::from_waker(&waker);
        let (mut table, id) = (StreamTable::new(), stream());
        assert_eq!(table.poll_action(id, &mut cx), Poll::Ready(StreamAction::Reset));
        table.insert(id, ());
        assert!(table.poll_action(id, &mut cx).is_pending());
        table.push(id, StreamAction::Write(b"a"[..].into()));
        table.push(id, StreamAction::Close);
        assert_eq!(count.0.load(Ordering::Relaxed), 1);
        let actions = [(); 2].map(|()| table.poll_action(id, &mut cx));
        let write = StreamAction::Write(b"a"[..].into());
        assert_eq!(actions, [write, StreamAction::Close].map(Poll::Ready));
    }
}

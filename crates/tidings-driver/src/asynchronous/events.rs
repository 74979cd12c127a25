//! The events of a node, for an application that waits without blocking.

use crate::state::{Emitter, EventRoom, MAX_EVENTS};
use futures_channel::mpsc;
use futures_core::Stream;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use tidings::Event;

/// The events of a node, in order: a [`Stream`] that ends once the node has stopped and its sockets
/// are closed.
///
/// It holds 1,024 events, and 64 MiB of them. An application that takes them too slowly never holds
/// up the node: further ones, messages among them, are lost and counted by
/// [`lagged`](Self::lagged), and the application should look at
/// [`members`](super::Tidings::members) again.
#[derive(Debug)]
pub struct Events {
    receiver: mpsc::Receiver<Event>,
    room: EventRoom,
    lagged: Arc<AtomicU64>,
}

impl Events {
    pub(crate) fn channel() -> (Emitter, Self) {
        // The one sender has room for one of its own.
        let (mut sender, receiver) = mpsc::channel(MAX_EVENTS - 1);
        let room = EventRoom::default();
        let emitter = Emitter::bounded(room.clone(), move |event| {
            sender.try_send(event).map_err(mpsc::TrySendError::into_inner)
        });
        let lagged = emitter.lagged();
        (emitter, Self { receiver, room, lagged })
    }

    /// Waits for the next event; `None` once the node has stopped.
    pub async fn recv(&mut self) -> Option<Event> {
        poll_fn(|cx| Pin::new(&mut *self).poll_next(cx)).await
    }

    /// The next event, if one is there.
    pub fn try_recv(&mut self) -> Option<Event> {
        let event = self.receiver.try_recv().ok();
        event.inspect(|event| self.room.release(event))
    }

    /// The number of events lost so far, because the application took them too slowly.
    pub fn lagged(&self) -> u64 {
        self.lagged.load(Ordering::Relaxed)
    }
}

impl Stream for Events {
    type Item = Event;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Event>> {
        let event = ready!(Pin::new(&mut self.receiver).poll_next(cx));
        Poll::Ready(event.inspect(|event| self.room.release(event)))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.receiver.size_hint()
    }
}

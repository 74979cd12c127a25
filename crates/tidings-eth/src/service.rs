//! A gateway on a node: what the drivers of all runtimes do alike.

use crate::answer::{Answer, CallError};
use crate::caller::Caller;
use crate::gateway::{Gateway, GatewayEvent, GatewayOptions, GatewayOutput, ServeError};
use crate::gateways::Gateways;
use std::ops::ControlFlow;
use std::time::Duration;
use tidings::{BroadcastKey, NodeId, TooLong};
#[cfg(any(feature = "async-io", feature = "tokio"))]
use tidings_driver::asynchronous;
use tidings_driver::blocking;

/// A gateway that runs on a node, until `on_event` breaks.
pub(crate) struct Service<'a, N, F> {
    node: &'a N,
    gateways: &'a Gateways,
    id: NodeId,
    gateway: Gateway,
    on_event: F,
}

/// What a driver waits for.
pub(crate) enum Step {
    /// The end of the caller, for [`Service::handle_answer`].
    Ask(Box<Caller>),
    Sleep(Duration),
    /// Nothing: the application has ended the service.
    End,
}

impl<'a, N, F> Service<'a, N, F>
where
    N: Announce,
    F: FnMut(Option<GatewayEvent>) -> ControlFlow<()>,
{
    pub(crate) fn new(
        node: &'a N,
        gateways: &'a Gateways,
        options: GatewayOptions,
        on_event: F,
    ) -> Result<Self, ServeError> {
        let id = node.id();
        let gateway = Gateway::new(options, id.clone(), gateways.now())?;
        Ok(Self { node, gateways, id, gateway, on_event })
    }

    /// Carries out what takes no time, up to something that does.
    pub(crate) fn step(&mut self) -> Result<Step, ServeError> {
        loop {
            match self.gateway.poll_output() {
                Some(GatewayOutput::Ask(caller)) => return Ok(Step::Ask(caller)),
                Some(GatewayOutput::SetMeta(meta)) => self.node.set_meta(meta)?,
                Some(GatewayOutput::Broadcast(key, data)) => self.node.broadcast(key, data),
                Some(GatewayOutput::Changed(event)) => {
                    if (self.on_event)(Some(event)).is_break() {
                        return Ok(Step::End);
                    }
                }
                None => {
                    let due = self.gateway.poll_timeout().expect("it asks nothing now");
                    let now = self.gateways.now();
                    if now < due {
                        return Ok(Step::Sleep(due.since(now)));
                    }
                    self.gateway.handle_timeout(now);
                }
            }
        }
    }

    /// Takes the result of the caller; breaks if the application ends the service.
    pub(crate) fn handle_answer(&mut self, answer: Result<Answer, CallError>) -> ControlFlow<()> {
        let reference = self.gateways.reference_for(&self.id, &answer);
        self.gateway.handle_answer(answer, reference, self.gateways.now());
        (self.on_event)(None)
    }
}

/// A handle of a node, with which a gateway tells all members something.
pub(crate) trait Announce {
    fn id(&self) -> NodeId;

    fn set_meta(&self, meta: String) -> Result<(), TooLong>;

    /// A height that does not fit into the queue is told by the next one.
    fn broadcast(&self, key: BroadcastKey, data: String);
}

macro_rules! announce {
    ($node:ty) => {
        impl Announce for $node {
            fn id(&self) -> NodeId {
                self.local().id().clone()
            }

            fn set_meta(&self, meta: String) -> Result<(), TooLong> {
                self.set_meta(meta)
            }

            fn broadcast(&self, key: BroadcastKey, data: String) {
                _ = self.broadcast_replacing(key, data.into_bytes());
            }
        }
    };
}

announce!(blocking::Tidings);
#[cfg(any(feature = "async-io", feature = "tokio"))]
announce!(asynchronous::Tidings);

//! Commands that wait for other nodes: started here, with a callback for their outcome.
//!
//! Each function starts one and passes its outcome to `then`, under the node's lock: the callback
//! may wake a thread or a task, and must not call the node. If the node stops first, `then` is
//! dropped.

use crate::handle::Handle;
use bytes::Bytes;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::time::Duration;
use tidings::{Done, Failure, Instant, JoinError, Node, NodeId, SendError, Ticket};

/// Starts to [join](Node::join) a cluster; the outcome is the number of members then.
pub(crate) fn join(
    handle: &Handle,
    seeds: &[SocketAddr],
    then: impl FnOnce(Result<usize, Failure>) + Send + 'static,
) -> Result<Ticket, JoinError> {
    let members = |done| match done {
        Done::Joined { members, .. } => members,
        Done::First => 1,
        done => unreachable!("a join ended as {done:?}"),
    };
    begin(handle, |node, now| node.join(now, seeds), move |ended| then(ended.map(members)))
}

/// Starts to [leave](Node::leave); the outcome is the number of members that confirmed it.
pub(crate) fn leave(
    handle: &Handle,
    then: impl FnOnce(Result<usize, Failure>) + Send + 'static,
) -> Ticket {
    let confirmed = |done| match done {
        Done::Left { confirmed } => confirmed,
        done => unreachable!("a leave ended as {done:?}"),
    };
    let leave = |node: &mut Node, now| Ok::<_, Infallible>(node.leave(now));
    let Ok(ticket) = begin(handle, leave, move |ended| then(ended.map(confirmed)));
    ticket
}

/// Starts to send a [reliable](Node::send_reliable) message.
pub(crate) fn send_reliable(
    handle: &Handle,
    to: &NodeId,
    data: Bytes,
    then: impl FnOnce(Result<(), Failure>) + Send + 'static,
) -> Result<Ticket, SendError> {
    let send = |node: &mut Node, now| node.send_reliable(now, to, data);
    begin(handle, send, move |ended| then(ended.map(drop)))
}

/// Starts to [ping](Node::ping) a member; the outcome is the round-trip time.
pub(crate) fn ping(
    handle: &Handle,
    to: &NodeId,
    then: impl FnOnce(Result<Duration, Failure>) + Send + 'static,
) -> Result<Ticket, SendError> {
    let rtt = |done| match done {
        Done::Pong { rtt } => rtt,
        done => unreachable!("a ping ended as {done:?}"),
    };
    begin(handle, |node, now| node.ping(now, to), move |ended| then(ended.map(rtt)))
}

fn begin<E>(
    handle: &Handle,
    command: impl FnOnce(&mut Node, Instant) -> Result<Ticket, E>,
    then: impl FnOnce(Result<Done, Failure>) + Send + 'static,
) -> Result<Ticket, E> {
    handle.with(|state, now| {
        // The outcome may be among the outputs already: the callback must be there before them.
        let ticket = command(state.node_mut(), now)?;
        state.wait(ticket, then);
        Ok(ticket)
    })
}

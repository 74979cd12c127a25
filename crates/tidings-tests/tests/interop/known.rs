//! Warnings that scenarios cause, each of which memberlist logs among its own in the same situation.

use tidings_tests::logs::Expected;

const fn expected(pattern: &'static str, because: &'static str) -> Expected {
    Expected { pattern, because }
}

/// A member was killed, or cut off.
pub(crate) const NO_CONNECTION: [Expected; 2] = [
    expected(
        "[ERR] memberlist: Push/Pull with *failed: dial tcp",
        "whoever it is the turn of for a push/pull is dialled, also while it is not known to have failed",
    ),
    expected(
        "[ERR] memberlist: Failed fallback",
        "a TCP ping's connection can be accepted, and nobody be there any more to answer it",
    ),
];

/// A member came back that others had seen leave or fail.
pub(crate) const RETURNED: [Expected; 4] = [
    expected(
        "[WARN] memberlist: Refuting an alive message for",
        "who comes back before it was missed hears of its earlier life, and goes beyond that",
    ),
    expected(
        "[WARN] memberlist: Refuting a dead message (from:",
        "who comes back hears that it left, or failed, and contradicts",
    ),
    expected(
        "[WARN] memberlist: Refuting a suspect message (from:",
        "who comes back hears by push/pull that it failed, which that calls a suspicion",
    ),
    expected(
        "[WARN] memberlist: Was able to connect to ",
        "its TCP ping was accepted by the restarted process, its UDP ping had been lost",
    ),
];

/// Peers stop.
pub(crate) const STOPPED: [Expected; 2] = [
    expected(
        "[ERR] memberlist: Failed to send * use of closed network connection",
        "who stops closes its socket while it still probes and gossips",
    ),
    expected("[WARN] agent: Serf shutdown detected, quitting", "who leaves ends, and says so"),
];

/// Serf's commands end.
pub(crate) const COMMANDS_END: Expected = expected(
    "[ERR] agent.ipc: Failed to stream query end to ",
    "the command for a query closes its connection as soon as it has the answers",
);

/// Datagrams are lost and streams are not.
pub(crate) const STREAMS_ALONE: [Expected; 1] = [expected(
    "[WARN] memberlist: Was able to connect to ",
    "that is what it says of a member that is reached by TCP alone",
)];

/// Somebody tries to join without the right key.
pub(crate) const NOT_FOR_US: [Expected; 2] = [
    expected(
        "[ERR] memberlist: failed to receive: No installed keys could decrypt the message",
        "who joins with another key is refused",
    ),
    expected(
        "[ERR] memberlist: failed to receive: Encryption is configured but remote state is not encrypted",
        "who joins without a key is refused",
    ),
];

/// Somebody tries to join without the right label.
pub(crate) const LABEL_MISMATCH: [Expected; 1] = [expected(
    "[ERR] memberlist: discarding stream with unacceptable label ",
    "who joins with another label, or none, is refused",
)];

/// Two nodes have the same name.
pub(crate) const CONFLICT: Expected = expected(
    "[ERR] memberlist: Conflicting address for ",
    "the second node of a name is reported by all that hear of it",
);

/// Somebody tries to join with another delegate protocol.
pub(crate) const OTHER_PROTOCOL: Expected = expected(
    "[ERR] memberlist: Failed push/pull merge: * delegate protocol version",
    "who has another one is refused at the push/pull",
);

/// Nodes are killed and restarted, again and again: what Serf's agents warn of among their own then,
/// as the soak's control shows.
pub(crate) fn soak() -> Vec<Expected> {
    let joins = expected(
        "[WARN] agent: error joining",
        "an agent that starts tries all others, of which one may not be there",
    );
    let join = expected("[WARN] agent: Join failed", joins.because);
    [&NO_CONNECTION[..], &RETURNED, &[join, joins]].concat()
}

//! Expected warnings: memberlist logs each of them in the same situation among its own nodes.

use tidings_tests::logs::Expected;

const fn expected(pattern: &'static str, because: &'static str) -> Expected {
    Expected { pattern, because }
}

/// A member was killed or partitioned.
pub(crate) const NO_CONNECTION: [Expected; 2] = [
    expected(
        "[ERR] memberlist: Push/Pull with *failed: dial tcp",
        "a push/pull dials a member that has failed and is not yet known to have",
    ),
    expected(
        "[ERR] memberlist: Failed fallback",
        "a TCP ping's connection can be accepted although the process is gone before it answers",
    ),
];

/// A member came back after others had seen it leave or fail.
pub(crate) const RETURNED: [Expected; 4] = [
    expected(
        "[WARN] memberlist: Refuting an alive message for",
        "a node that comes back unnoticed hears its old incarnation, and goes above it",
    ),
    expected(
        "[WARN] memberlist: Refuting a dead message (from:",
        "a node that comes back hears that it left or failed, and refutes that",
    ),
    expected(
        "[WARN] memberlist: Refuting a suspect message (from:",
        "a node that comes back hears by push/pull that it failed, as a suspicion",
    ),
    expected(
        "[WARN] memberlist: Was able to connect to ",
        "its TCP ping was accepted by the restarted process, its UDP ping had been lost",
    ),
];

/// Nodes stop.
pub(crate) const STOPPED: [Expected; 2] = [
    expected(
        "[ERR] memberlist: Failed to send * use of closed network connection",
        "a node that stops closes its socket while it still probes and gossips",
    ),
    expected(
        "[WARN] agent: Serf shutdown detected, quitting",
        "an agent that leaves logs its shutdown",
    ),
];

/// A Serf command disconnects.
pub(crate) const COMMANDS_END: Expected = expected(
    "[ERR] agent.ipc: Failed to stream query end to ",
    "the command for a query closes its connection as soon as it has the answers",
);

/// Datagrams are blocked, streams are not.
pub(crate) const STREAMS_ALONE: [Expected; 1] = [expected(
    "[WARN] memberlist: Was able to connect to ",
    "memberlist logs this for a member that it reaches by TCP only",
)];

/// A node tries to join with a wrong key or none.
pub(crate) const NOT_FOR_US: [Expected; 2] = [
    expected(
        "[ERR] memberlist: failed to receive: No installed keys could decrypt the message",
        "a node with another key is refused",
    ),
    expected(
        "[ERR] memberlist: failed to receive: Encryption is configured but remote state is not \
         encrypted",
        "a node without a key is refused",
    ),
];

/// A node tries to join with a wrong label or none.
pub(crate) const LABEL_MISMATCH: [Expected; 1] = [expected(
    "[ERR] memberlist: discarding stream with unacceptable label ",
    "a node with another label or none is refused",
)];

/// Two nodes have the same name.
pub(crate) const CONFLICT: Expected = expected(
    "[ERR] memberlist: Conflicting address for ",
    "every member that hears of a second node of a name reports it",
);

/// A node tries to join with an incompatible delegate protocol.
pub(crate) const OTHER_PROTOCOL: Expected = expected(
    "[ERR] memberlist: Failed push/pull merge: * delegate protocol version",
    "a node with an incompatible one is refused at the push/pull",
);

/// Nodes are killed and restarted again and again; Serf's agents log these among their own too, as
/// the soak's control shows.
pub(crate) fn soak() -> Vec<Expected> {
    let joins = expected(
        "[WARN] agent: error joining",
        "a starting agent tries all others, and one of them may be down",
    );
    let join = expected("[WARN] agent: Join failed", joins.because);
    [&NO_CONNECTION[..], &RETURNED, &[join, joins]].concat()
}

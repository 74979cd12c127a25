//! Warnings that scenarios cause, each of which memberlist logs among its own in the same situation.

use tidings_tests::logs::Expected;

/// A member that was killed accepts no connection.
pub(crate) const NO_CONNECTION: Expected = Expected {
    pattern: "[ERR] memberlist: Failed fallback",
    because: "who does not answer a ping is pinged by TCP, which a killed process refuses",
};

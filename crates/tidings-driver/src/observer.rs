//! A look at a node from beside its application.

use crate::handle::Drive;
use crate::state::DriverState;
use std::sync::{Arc, Weak};
use tidings::Instant;

/// A look at a running node that does not keep it running: for status pages, metrics, watchdogs.
///
/// The handles of all adapters make it. Cloning is cheap.
///
/// ```
/// use tidings_driver::Observer;
///
/// fn present(node: &Observer) -> Option<usize> {
///     node.look(|state, _| state.node().present_count())
/// }
/// ```
#[derive(Clone, Debug)]
pub struct Observer {
    driver: Weak<dyn Drive>,
}

impl Observer {
    pub(crate) fn new(driver: &Arc<dyn Drive>) -> Self {
        Self { driver: Arc::downgrade(driver) }
    }

    /// Looks at the node, at the time that is given to it; `None` once the node has stopped.
    ///
    /// The node waits meanwhile, so `look` copies what it needs, and does nothing else.
    pub fn look<R>(&self, look: impl FnOnce(&DriverState, Instant) -> R) -> Option<R> {
        let driver = self.driver.upgrade()?;
        let (mut look, mut seen) = (Some(look), None);
        driver.drive(&mut |state, now| {
            if !state.is_stopped() {
                seen = look.take().map(|look| look(state, now));
            }
        });
        seen
    }
}

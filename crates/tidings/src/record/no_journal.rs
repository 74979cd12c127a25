//! The journal of a node that can keep none: `Option<Box<Journal>>` is always `None`.
//!
//! It has the methods that a node calls, so that the node is written once. The compiler knows that
//! no value of it exists, and removes the calls.

use crate::output::Output;
use crate::wire::Format;

pub(crate) use super::input::Input;

/// A type without values.
#[derive(Debug)]
pub(crate) enum Journal {}

impl Journal {
    pub(crate) fn admitted(&mut self, _: impl FnOnce() -> bool) -> bool {
        match *self {}
    }

    pub(crate) fn built(&mut self, _: &[u8]) {
        match *self {}
    }

    pub(crate) fn polled(&mut self, _: &Format, _: Option<&Output<'_>>) {
        match *self {}
    }
}

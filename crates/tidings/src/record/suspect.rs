//! Suspects of a replayed node.

use crate::member::Member;
use crate::time::Instant;
use crate::wire::dissect::ShortName;
use alloc::vec::Vec;

/// A suspect: a member with a running suspicion, as a node sees it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Suspect<'a> {
    /// The member.
    pub member: &'a Member,
    /// Start of the suspicion.
    pub since: Instant,
    /// End of the suspicion timeout, unless the member refutes or another one confirms.
    pub deadline: Instant,
    /// The accusers, the first one first; `None` stands for an unknown member.
    pub accusers: Vec<Option<ShortName>>,
}

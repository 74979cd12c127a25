//! Inputs: the frame around each call that tells a node something.

use super::Node;
#[cfg(debug_assertions)]
use super::budget::Budget;
use crate::record::journal::Input;
use crate::time::Instant;
use core::fmt;

impl Node {
    /// Handles one input; the journal, if one is kept, notes it and what it returned.
    pub(super) fn input<'i, R: fmt::Debug>(
        &mut self,
        now: Instant,
        input: impl FnOnce(&Self) -> Input<'i>,
        take: impl FnOnce(&mut Self) -> R,
    ) -> R {
        self.advance(now);
        #[cfg(debug_assertions)]
        let (input, budget) = {
            let input = input(self);
            let budget = Budget::of(self, &input);
            (|_: &Self| input, budget)
        };
        self.note_input(input);
        let returned = take(self);
        #[cfg(debug_assertions)]
        budget.check(self);
        self.check();
        let shown: &dyn fmt::Debug = &returned;
        self.note_end((size_of::<R>() > 0).then_some(shown));
        returned
    }

    #[cfg(not(feature = "record"))]
    fn note_input<'i>(&mut self, _: impl FnOnce(&Self) -> Input<'i>) {}

    #[cfg(not(feature = "record"))]
    fn note_end(&mut self, _: Option<&dyn fmt::Debug>) {}
}

//! Reads on which several gateways have to agree.

use super::Verdict;
use crate::answer::CallError;
use crate::attempt::Fault;
use crate::endpoint::Endpoint;
use std::collections::VecDeque;

/// What several gateways answered.
#[derive(Debug, Default)]
pub(super) struct Agreement {
    /// The gateways that have been checked and not yet asked.
    pub(super) checked: VecDeque<Checked>,
    /// The candidates that were good when they were checked: the others of their gateways are not
    /// asked, because one gateway has one voice.
    pub(super) counted: Vec<usize>,
    /// The chain and the block at which all are asked, once as many as have to agree are checked.
    pub(super) block: Option<(u64, u64)>,
    pub(super) verdicts: Vec<(Verdict, Vec<Endpoint>)>,
}

/// A gateway whose chain and height are known.
#[derive(Clone, Copy, Debug)]
pub(super) struct Checked {
    pub(super) candidate: usize,
    pub(super) chain: u64,
    pub(super) height: u64,
}

impl Agreement {
    /// Chooses the block at which to ask, if there are `agree` gateways of one chain whose heights
    /// differ by at most `max_lag`: the lowest of these heights. Returns the gateways that do not
    /// have this block.
    ///
    /// A gateway that claims an old height cannot have the others asked for the past.
    pub(super) fn choose_block(&mut self, agree: usize, max_lag: u64) -> Vec<(usize, Fault)> {
        let mut sorted: Vec<_> = self.checked.iter().copied().collect();
        sorted.sort_by_key(|one| (one.chain, one.height));
        let near = |few: &&[Checked]| {
            let (lowest, highest) = (few[0], few[few.len() - 1]);
            lowest.chain == highest.chain && highest.height - lowest.height <= max_lag
        };
        let Some(&[Checked { chain, height: block, .. }, ..]) = sorted.windows(agree).rfind(near)
        else {
            return Vec::new();
        };
        self.block = Some((chain, block));
        let mut without = Vec::new();
        self.checked.retain(|one| {
            let fault = if one.chain != chain {
                Fault::WrongChain { chain: one.chain }
            } else if one.height < block {
                Fault::Behind { height: one.height, reference: block }
            } else {
                return true;
            };
            without.push((one.candidate, fault));
            false
        });
        // Those that are far ahead are asked if the others do not suffice.
        let ahead = |one: &Checked| one.height - block > max_lag;
        self.checked.make_contiguous().sort_by_key(ahead);
        without
    }

    /// Counts the verdict of a gateway; returns it once `agree` gateways have given the same.
    pub(super) fn add(
        &mut self,
        verdict: Verdict,
        from: Endpoint,
        agree: usize,
    ) -> Option<Verdict> {
        if agree <= 1 {
            return Some(verdict);
        }
        let same = |(other, _): &&mut (Verdict, _)| match (other, &verdict) {
            (Ok(one), Ok(other)) => one.result.eq_ignore_ascii_case(&other.result),
            (Err(CallError::Reverted(one)), Err(CallError::Reverted(other))) => {
                one.data == other.data
            }
            _ => false,
        };
        if let Some((verdict, gateways)) = self.verdicts.iter_mut().find(same) {
            gateways.push(from);
            return (gateways.len() >= agree).then(|| verdict.clone());
        }
        self.verdicts.push((verdict, vec![from]));
        None
    }
}

//! The caller: asks one gateway after another until one has an answer. Does no I/O.

mod agreement;
mod stage;
mod verdict;

use crate::answer::{Answer, CallError};
use crate::attempt::{Attempt, Fault};
use crate::candidates::{Candidate, Candidates};
use crate::exchange::Exchange;
use crate::options::{CallOptions, MAX_AGREE};
use crate::reach::NotReached;
use crate::request::{Kind, Request};
use crate::rpc::{self, RpcError, printable};
use agreement::{Agreement, Checked};
use alloy_primitives::B256;
use stage::Stage;
use std::collections::VecDeque;
use tidings::Instant;
use verdict::{Outcome, judge_read, judge_send, quantity, receipt_hash};

/// One request on its way: a machine that asks one gateway after another until one has an answer.
///
/// It does no I/O. Its driver takes each [`CallerOutput`] with [`poll_output`](Self::poll_output),
/// and tells it what the network does with the methods `handle_*`. There is at most one connection
/// at a time: the one of the last [`CallerOutput::Connect`], until it is closed by either side. At
/// [`poll_timeout`](Self::poll_timeout) the driver calls
/// [`handle_timeout`](Self::handle_timeout). Inputs that come too late are ignored.
///
/// Which verdict an outcome gets, [`Fault`] and [`CallError`] say: the former lead to the next
/// gateway, the latter are final.
#[derive(Debug)]
pub struct Caller {
    request: Request,
    options: CallOptions,
    candidates: Candidates,
    /// The candidate to ask after the current one.
    next: usize,
    /// When all attempts have to have ended.
    deadline: Instant,
    current: Option<Current>,
    /// A pause before a receipt is looked up again, from a candidate.
    pause: Option<(Instant, usize)>,
    agreement: Agreement,
    /// The gateway that accepted the signed transaction, with no receipt.
    accepted: Option<Answer>,
    /// The error with which the current gateway refused the signed transaction.
    refusal: Option<RpcError>,
    attempts: Vec<Attempt>,
    outputs: VecDeque<CallerOutput>,
}

/// The attempt under way.
#[derive(Debug)]
struct Current {
    candidate: usize,
    stage: Stage,
    /// The number of requests.
    count: usize,
    exchange: Exchange,
    /// The driver is connected, and sends the request.
    sent: bool,
    deadline: Instant,
}

/// What an exchange leads to.
enum Next {
    Done(Verdict),
    /// The same gateway is asked further.
    Begin(Stage),
    /// Another gateway is asked, if one is needed.
    Advance,
    /// The receipt is looked up again later.
    Pause,
}

impl Caller {
    /// Asks `candidates` in their order.
    pub fn new(
        request: Request,
        candidates: Candidates,
        options: CallOptions,
        now: Instant,
    ) -> Self {
        let options = CallOptions { agree: options.agree.clamp(1, MAX_AGREE), ..options };
        let mut caller = Self {
            deadline: now + options.timeout,
            request,
            options,
            candidates,
            next: 0,
            current: None,
            pause: None,
            agreement: Agreement::default(),
            accepted: None,
            refusal: None,
            attempts: Vec::new(),
            outputs: VecDeque::new(),
        };
        caller.advance(now);
        caller
    }

    // ---- the network speaks ----

    /// The connection is there, and the bytes of [`CallerOutput::Connect`] are being sent.
    pub fn handle_connected(&mut self) {
        if let Some(current) = &mut self.current {
            current.sent = true;
        }
    }

    /// Bytes came over the connection.
    pub fn handle_received(&mut self, bytes: &[u8], now: Instant) {
        let Some(current) = &mut self.current else { return };
        current.sent = true;
        match current.exchange.receive(bytes) {
            Ok(None) => {}
            Ok(Some(reply)) => self.handle_reply(&reply, now),
            Err(fault) => self.handle_fault(fault, now),
        }
    }

    /// The gateway closed the connection.
    pub fn handle_closed(&mut self, now: Instant) {
        let Some(current) = &mut self.current else { return };
        current.sent = true;
        match current.exchange.close() {
            Ok(reply) => self.handle_reply(&reply, now),
            Err(fault) => self.handle_fault(fault, now),
        }
    }

    /// There is no connection, or it broke; for the system's reason.
    pub fn handle_failed(&mut self, reason: &str, now: Instant) {
        self.handle_fault(Fault::Connection(printable(reason)), now);
    }

    /// All addresses of the endpoint are ones that [`Candidate::check`] refuses.
    pub fn handle_not_reached(&mut self, reason: NotReached, now: Instant) {
        self.handle_fault(Fault::NotReached(reason), now);
    }

    /// The time that [`poll_timeout`](Self::poll_timeout) returned has come.
    pub fn handle_timeout(&mut self, now: Instant) {
        match (&self.current, self.pause) {
            (Some(current), _) if current.deadline <= now => {
                let fault = if current.deadline == self.deadline {
                    Fault::OutOfTime(self.options.timeout)
                } else {
                    Fault::Timeout(self.options.attempt_timeout)
                };
                self.handle_fault(fault, now);
            }
            (None, Some((until, candidate))) if until <= now => {
                self.pause = None;
                self.begin(candidate, Stage::Receipt, now);
            }
            _ => {}
        }
    }

    // ---- the caller answers ----

    /// The next thing for the driver to do.
    pub fn poll_output(&mut self) -> Option<CallerOutput> {
        self.outputs.pop_front()
    }

    /// When [`handle_timeout`](Self::handle_timeout) is due; `None` if it is not.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let current = self.current.as_ref().map(|current| current.deadline);
        current.or_else(|| self.pause.map(|(until, _)| until))
    }

    /// The gateways that had no answer, so far.
    pub fn attempts(&self) -> &[Attempt] {
        &self.attempts
    }

    // ---- attempts ----

    /// Asks the next gateway, or ends if no further one is needed or there.
    fn advance(&mut self, now: Instant) {
        let is_read = matches!(self.request.kind(), Kind::Call { .. } | Kind::Read);
        if is_read && self.options.agree > 1 {
            self.advance_agreement(now);
        } else {
            self.ask_next(if is_read { Stage::Read } else { Stage::Check }, now);
        }
    }

    /// Asks those that have been checked once there are enough of them, or checks another one.
    fn advance_agreement(&mut self, now: Instant) {
        if self.agreement.block.is_none() {
            let CallOptions { agree, max_lag, .. } = self.options;
            for (candidate, fault) in self.agreement.choose_block(agree, max_lag) {
                self.add_attempt(candidate, fault);
            }
        }
        let Agreement { checked, block, .. } = &mut self.agreement;
        match block.and_then(|block| checked.pop_front().map(|first| (block, first))) {
            Some(((chain, height), first)) => {
                self.begin(first.candidate, Stage::Ask { chain, height }, now);
            }
            None => self.ask_next(Stage::Check, now),
        }
    }

    fn ask_next(&mut self, stage: Stage, now: Instant) {
        while self.next < self.candidates.list.len() && self.is_counted(self.next) {
            self.add_attempt(self.next, Fault::SameGateway);
            self.next += 1;
        }
        if self.next == self.candidates.list.len() {
            let agree = self.options.agree;
            return self.give_up(|| Fault::TooFew { agree });
        }
        self.next += 1;
        self.begin(self.next - 1, stage, now);
    }

    /// Whether another endpoint of a candidate's gateway counts among those that have to agree.
    fn is_counted(&self, candidate: usize) -> bool {
        let list = &self.candidates.list;
        let same = |&counted: &usize| list[counted].is_same_gateway(&list[candidate]);
        self.agreement.counted.iter().any(same)
    }

    fn add_attempt(&mut self, candidate: usize, fault: Fault) {
        let endpoint = self.candidates.list[candidate].endpoint.clone();
        self.attempts.push(Attempt { endpoint, fault });
    }

    /// Ends without asking those gateways that were only checked; for this reason.
    fn give_up(&mut self, fault: impl Fn() -> Fault) {
        for checked in std::mem::take(&mut self.agreement.checked) {
            self.add_attempt(checked.candidate, fault());
        }
        let verdicts = std::mem::take(&mut self.agreement.verdicts);
        let attempts = self.attempts.clone();
        let result = match self.accepted.take() {
            Some(accepted) => Ok(accepted),
            None if verdicts.is_empty() => Err(CallError::NoGateway(attempts)),
            None => {
                let show = |verdict: Verdict| match verdict {
                    Ok(answer) => answer.result,
                    Err(error) => error.to_string(),
                };
                let answers = verdicts.into_iter().map(|(verdict, from)| (show(verdict), from));
                Err(CallError::Disagreement { answers: answers.collect(), attempts })
            }
        };
        self.finish(result);
    }

    fn finish(&mut self, mut result: Verdict) {
        if let Ok(answer) = &mut result {
            answer.attempts.clone_from(&self.attempts);
        }
        self.outputs.push_back(CallerOutput::Done(result));
    }

    /// Opens a connection to a candidate.
    fn begin(&mut self, candidate: usize, stage: Stage, now: Instant) {
        if self.deadline <= now {
            return self.run_out_of_time(candidate);
        }
        let deadline = self.deadline.min(now + self.options.attempt_timeout);
        let requests = stage.requests(&self.request);
        let (json, count) = (rpc::batch(&requests), requests.len());
        let gateway = self.candidates.list[candidate].clone();
        match Exchange::new(&gateway.endpoint, &json, self.options.max_reply) {
            Ok((exchange, bytes)) => {
                let sent = false;
                let current = Current { candidate, stage, count, exchange, sent, deadline };
                self.current = Some(current);
                let connect = CallerOutput::Connect { candidate: gateway, bytes, deadline };
                self.outputs.push_back(connect);
            }
            Err(fault) => self.fail_over(candidate, stage, fault, now),
        }
    }

    /// Ends because there is no time to ask a candidate, nor those after it.
    fn run_out_of_time(&mut self, candidate: usize) {
        let timeout = self.options.timeout;
        let fault = || Fault::OutOfTime(timeout);
        if let Some(refusal) = self.refusal.take() {
            self.add_attempt(candidate, Fault::Rpc(refusal));
        }
        if self.accepted.is_none() {
            self.add_attempt(candidate, fault());
            for unasked in self.next..self.candidates.list.len() {
                self.add_attempt(unasked, fault());
            }
        }
        self.give_up(fault);
    }

    // ---- outcomes ----

    /// The current gateway has no answer.
    fn handle_fault(&mut self, fault: Fault, now: Instant) {
        let Some(Current { candidate, stage, sent, .. }) = self.current.take() else { return };
        self.outputs.push_back(CallerOutput::Close);
        let asked = matches!(stage, Stage::Ask { .. });
        if asked && sent && self.request.kind() == Kind::Send {
            let endpoint = self.candidates.list[candidate].endpoint.clone();
            let attempt = Box::new(Attempt { endpoint, fault });
            return self.finish(Err(CallError::Uncertain(attempt)));
        }
        self.fail_over(candidate, stage, fault, now);
    }

    /// Notes why a candidate has no answer, and asks another one.
    fn fail_over(&mut self, candidate: usize, stage: Stage, fault: Fault, now: Instant) {
        if let Some(refusal) = self.refusal.take() {
            self.add_attempt(candidate, Fault::Rpc(refusal));
        }
        if stage == Stage::Receipt && self.accepted.is_some() {
            // Gateways that have no receipt yet are asked again and again.
            let endpoint = &self.candidates.list[candidate].endpoint;
            let same = |one: &Attempt| one.endpoint == *endpoint && one.fault == fault;
            if !self.attempts.iter().any(same) {
                self.add_attempt(candidate, fault);
            }
            let other = (candidate + 1) % self.candidates.list.len();
            return self.pause(other, now);
        }
        self.agreement.counted.retain(|&counted| counted != candidate);
        self.add_attempt(candidate, fault);
        self.advance(now);
    }

    /// The current gateway's reply is complete.
    fn handle_reply(&mut self, reply: &[u8], now: Instant) {
        let Some(Current { candidate, stage, count, .. }) = self.current else { return };
        let results = match rpc::parse(reply, count) {
            Ok(results) => results,
            Err(fault) => return self.handle_fault(fault.into(), now),
        };
        let next = match self.judge(candidate, stage, results) {
            Ok(next) => next,
            Err(fault) => return self.handle_fault(fault, now),
        };
        self.current = None;
        self.outputs.push_back(CallerOutput::Close);
        match next {
            Next::Done(result) => self.finish(result),
            Next::Begin(stage) => self.begin(candidate, stage, now),
            Next::Advance => self.advance(now),
            Next::Pause => self.pause(candidate, now),
        }
    }

    fn pause(&mut self, candidate: usize, now: Instant) {
        let until = self.deadline.min(now + self.options.receipt_interval);
        self.pause = Some((until, candidate));
    }

    /// Judges the results of an exchange: what they lead to, or that the gateway has no answer.
    fn judge(
        &mut self,
        candidate: usize,
        stage: Stage,
        results: Vec<Outcome>,
    ) -> Result<Next, Fault> {
        let kind = self.request.kind();
        let mut results = results.into_iter();
        let mut result = || results.next().expect("there are as many results as requests");
        let (chain, height) = match stage {
            Stage::Ask { chain, height } => (chain, height),
            _ => self.check(result(), result())?,
        };
        let from = self.candidates.list[candidate].endpoint.clone();
        let answer = |result| {
            let attempts = Vec::new();
            Answer { from: from.clone(), chain, height, result, attempts }
        };
        match stage {
            Stage::Check if matches!(kind, Kind::Send | Kind::SendRaw { .. }) => {
                Ok(Next::Begin(Stage::Ask { chain, height }))
            }
            Stage::Check => match self.agreement.block {
                Some((other, _)) if chain != other => Err(Fault::WrongChain { chain }),
                Some((_, block)) if height < block => {
                    Err(Fault::Behind { height, reference: block })
                }
                _ => {
                    self.agreement.checked.push_back(Checked { candidate, chain, height });
                    self.agreement.counted.push(candidate);
                    Ok(Next::Advance)
                }
            },
            Stage::Receipt => self.judge_receipt(result(), result(), answer),
            Stage::Read | Stage::Ask { .. } => {
                let outcome = result();
                match kind {
                    Kind::SendRaw { hash } => self.judge_raw(hash, outcome, answer),
                    Kind::Send => Ok(Next::Done(judge_send(outcome)?.map(answer))),
                    Kind::Call { .. } | Kind::Read => {
                        let verdict = judge_read(kind, outcome, results.next())?;
                        let verdict = verdict.map(&answer);
                        let agree = self.options.agree;
                        let agreed = self.agreement.add(verdict, from.clone(), agree);
                        Ok(agreed.map_or(Next::Advance, Next::Done))
                    }
                }
            }
        }
    }

    /// Checks a node's chain and height, and returns them.
    fn check(&self, chain: Outcome, height: Outcome) -> Result<(u64, u64), Fault> {
        let chain = quantity(chain, "eth_chainId")?;
        if self.options.chain.is_some_and(|expected| expected != chain) {
            return Err(Fault::WrongChain { chain });
        }
        let height = quantity(height, "eth_blockNumber")?;
        match self.candidates.reference {
            Some(reference) if height.saturating_add(self.options.max_lag) < reference => {
                Err(Fault::Behind { height, reference })
            }
            _ => Ok((chain, height)),
        }
    }

    /// A gateway that accepted the signed transaction, or seems to have it already, is asked for
    /// the receipt. Nodes say in many ways that they have it, or had it, and some say it wrongly.
    fn judge_raw(
        &mut self,
        hash: B256,
        outcome: Outcome,
        answer: impl FnOnce(String) -> Answer,
    ) -> Result<Next, Fault> {
        match outcome {
            Ok(result) if result.eq_ignore_ascii_case(&format!("\"{hash:#x}\"")) => {
                self.accepted = Some(answer(NULL.into()));
            }
            Ok(_) => return Err(Fault::Result("eth_sendRawTransaction")),
            Err(error) => self.refusal = Some(error),
        }
        Ok(Next::Begin(Stage::Receipt))
    }

    fn judge_receipt(
        &mut self,
        receipt: Outcome,
        transaction: Outcome,
        answer: impl FnOnce(String) -> Answer,
    ) -> Result<Next, Fault> {
        let receipt = receipt.map_err(Fault::Rpc)?;
        if receipt != NULL {
            let hash = self.request.transaction_hash();
            let of_this = receipt_hash(&receipt).is_some_and(|found| Some(found) == hash);
            let wrong = Fault::Result("eth_getTransactionReceipt");
            return if of_this { Ok(Next::Done(Ok(answer(receipt)))) } else { Err(wrong) };
        }
        if transaction.is_ok_and(|transaction| transaction != NULL) {
            self.accepted.get_or_insert_with(|| answer(NULL.into()));
        }
        match self.refusal.take() {
            Some(refusal) if self.accepted.is_none() => Err(Fault::Rpc(refusal)),
            _ => Ok(Next::Pause),
        }
    }
}

/// The final outcome of a call.
type Verdict = Result<Answer, CallError>;

/// What the driver of a [`Caller`] has to do.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum CallerOutput {
    /// Connect, send the bytes, and hand everything that is received to the caller.
    Connect {
        /// Where to; each address is subject to [`Candidate::check`].
        candidate: Candidate,
        /// The bytes to send.
        bytes: Vec<u8>,
        /// When the attempt ends without an answer: a hint for drivers that block, since
        /// [`Caller::poll_timeout`] says the same.
        deadline: Instant,
    },
    /// Close the connection.
    Close,
    /// The call has ended: the last output.
    Done(Result<Answer, CallError>),
}

/// A result that is not there, as JSON.
const NULL: &str = "null";

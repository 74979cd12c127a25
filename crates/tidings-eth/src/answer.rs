//! Answers, and the errors that end a call.

use crate::attempt::Attempt;
use crate::endpoint::Endpoint;
use crate::rpc::RpcError;
use alloy_primitives::{Bytes, hex};
use alloy_sol_types::abi::AbiDecoderConfig;
use alloy_sol_types::{Panic, Revert as RevertReason, SolCall, SolError, SolInterface};
use std::fmt;

/// A gateway's answer to a request.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Answer {
    /// The gateway; the first one, if several had to agree.
    pub from: Endpoint,
    /// The chain that its node serves.
    pub chain: u64,
    /// The height of its node when it answered, or the height at which several agreed.
    pub height: u64,
    /// The result, as JSON.
    pub result: String,
    /// The gateways that were asked and had no answer.
    pub attempts: Vec<Attempt>,
}

impl Answer {
    /// The bytes that a contract returned.
    ///
    /// # Errors
    ///
    /// If the result is no string of hex digits: it is none of a call.
    pub fn bytes(&self) -> Result<Bytes, CallError> {
        let bytes = hex_bytes(&self.result);
        bytes.ok_or_else(|| CallError::Undecodable("the result is no string of hex digits".into()))
    }

    /// The values that a contract's function returned.
    ///
    /// Decoding takes memory in proportion to the answer, whatever the answer is.
    ///
    /// # Errors
    ///
    /// If the bytes are not of the function's return types.
    pub fn decode<C: SolCall>(&self) -> Result<C::Return, CallError> {
        let bytes = self.bytes()?;
        C::abi_decode_returns_with_config(&bytes, limits(bytes.len()))
            .map_err(|error| CallError::Undecodable(error.to_string()))
    }
}

/// The limits of decoding so many bytes: in a valid encoding each part stands once, so memory is
/// in proportion; a hostile one points to a part many times.
pub(crate) fn limits(len: usize) -> AbiDecoderConfig {
    AbiDecoderConfig::new().validate(true).memory_limit(MEMORY_PER_BYTE * len)
}

/// The bytes of a JSON string of hex digits with `0x`.
pub(crate) fn hex_bytes(json: &str) -> Option<Bytes> {
    let text = json.strip_prefix("\"0x")?.strip_suffix('"')?;
    hex::decode(text).ok().map(Bytes::from)
}

/// The reason why a call has no answer. No other gateway would have given one.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum CallError {
    /// The contract reverted.
    Reverted(Revert),
    /// The answer is not of the types that were expected.
    Undecodable(String),
    /// No gateway answered; what became of each.
    ///
    /// A signed transaction may have been accepted by one that failed after it was sent. To send it
    /// again does no harm.
    NoGateway(Vec<Attempt>),
    /// Fewer gateways than asked for gave the same answer; the answers, and who had none.
    Disagreement {
        /// The different answers: results as JSON, or reverts as text, with their gateways.
        answers: Vec<(String, Vec<Endpoint>)>,
        /// Gateways without an answer.
        attempts: Vec<Attempt>,
    },
    /// A transaction that the node signs was sent, and the gateway failed before it answered: the
    /// transaction was accepted or it was not. It was not sent to another gateway.
    Uncertain(Box<Attempt>),
    /// The node refused a transaction.
    Rejected(RpcError),
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Reverted(revert) => revert.fmt(f),
            Self::Undecodable(error) => write!(f, "cannot decode the answer: {error}"),
            Self::NoGateway(attempts) if attempts.is_empty() => f.write_str("no gateway is known"),
            Self::NoGateway(attempts) => write_attempts(f, "no gateway answered", attempts),
            Self::Disagreement { answers, attempts } => {
                f.write_str("the gateways do not agree")?;
                for (answer, from) in answers {
                    let from: Vec<_> = from.iter().map(ToString::to_string).collect();
                    let answer = crate::rpc::printable(answer);
                    write!(f, "; {} answered {answer}", from.join(", "))?;
                }
                write_attempts(f, "", attempts)
            }
            Self::Uncertain(attempt) => write!(
                f,
                "the transaction was sent, and whether it was accepted is not known; {attempt}"
            ),
            Self::Rejected(error) => write!(f, "the transaction was refused: {error}"),
        }
    }
}

fn write_attempts(f: &mut fmt::Formatter<'_>, first: &str, attempts: &[Attempt]) -> fmt::Result {
    f.write_str(first)?;
    attempts.iter().try_for_each(|attempt| write!(f, "; {attempt}"))
}

impl std::error::Error for CallError {}

/// A contract's revert.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Revert {
    /// The bytes with which it reverted: an encoded error. Empty without a reason.
    pub data: Bytes,
    /// The node's message.
    pub message: String,
}

impl Revert {
    /// The contract's error, of those in a binding: `CallDemo::CallDemoErrors`.
    ///
    /// ```
    /// # use tidings_eth::{Revert, sol};
    /// sol!(CallDemo, "contracts/calldemo.abi");
    /// use CallDemo::CallDemoErrors;
    ///
    /// fn is_too_small(revert: &Revert) -> bool {
    ///     matches!(revert.decode(), Some(CallDemoErrors::TooSmall(_)))
    /// }
    /// ```
    pub fn decode<E: SolInterface>(&self) -> Option<E> {
        E::abi_decode_with_config(&self.data, limits(self.data.len())).ok()
    }

    /// The reason of `require(condition, "reason")`.
    pub fn reason(&self) -> Option<String> {
        let limits = limits(self.data.len());
        RevertReason::abi_decode_with_config(&self.data, limits).ok().map(|revert| revert.reason)
    }
}

impl fmt::Display for Revert {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let panic = || Panic::abi_decode(&self.data).ok().map(|panic| panic.to_string());
        match self.reason().or_else(panic) {
            Some(reason) => write!(f, "the contract reverted: {}", crate::rpc::printable(&reason)),
            None if self.data.is_empty() => write!(f, "the contract reverted: {}", self.message),
            None => {
                let shown = &self.data[..self.data.len().min(MAX_SHOWN)];
                let more = if shown.len() < self.data.len() { "…" } else { "" };
                write!(f, "the contract reverted: {}{more}", hex::encode_prefixed(shown))
            }
        }
    }
}

/// Memory for a decoded answer: its tokens take up to 1.5 bytes for each byte of an encoding.
const MEMORY_PER_BYTE: usize = 4;
/// The number of bytes of a revert that are shown.
const MAX_SHOWN: usize = 100;

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_sol_types::{SolValue, sol};

    sol! {
        function nested() external view returns (uint256[][][] values);
        function texts() external view returns (string[] texts);
    }

    fn answer(bytes: &[u8]) -> Answer {
        let result = format!("\"{}\"", hex::encode_prefixed(bytes));
        let from = "/node.ipc".parse().unwrap();
        Answer { from, chain: 1, height: 1, result, attempts: Vec::new() }
    }

    /// An encoding of `levels` nested arrays of `len` elements, all elements of a level in one
    /// place.
    fn bomb(levels: usize, len: usize) -> Vec<u8> {
        let word = |number: usize| {
            let mut word = [0; 32];
            word[24..].copy_from_slice(&(number as u64).to_be_bytes());
            word
        };
        let mut bytes = word(32).to_vec();
        for _ in 1..levels {
            bytes.extend(word(len));
            (0..len).for_each(|_| bytes.extend(word(32 * len)));
        }
        bytes.extend(word(len));
        bytes.resize(bytes.len() + 32 * len, 0);
        bytes
    }

    #[test]
    fn an_answer_that_points_to_one_part_many_times_takes_no_more_memory_than_it_has() {
        let valid = vec![vec![vec![alloy_primitives::U256::ONE; 3]; 3]; 3].abi_encode();
        assert_eq!(answer(&valid).decode::<nestedCall>().unwrap().len(), 3);
        let bomb = answer(&bomb(3, 1000));
        assert!(matches!(bomb.decode::<nestedCall>(), Err(CallError::Undecodable(_))));
    }

    #[test]
    fn texts_of_any_form_decode() {
        let empty = vec![String::new(); 500].abi_encode();
        assert_eq!(answer(&empty).decode::<textsCall>().unwrap().len(), 500);
        assert!(answer(b"").decode::<textsCall>().is_err());
    }

    #[test]
    fn a_disagreement_shows_the_beginnings_of_the_answers() {
        let answers = vec![("\"\u{9b}2J".repeat(100_000), vec!["/node.ipc".parse().unwrap()])];
        let text = CallError::Disagreement { answers, attempts: Vec::new() }.to_string();
        assert!(text.starts_with("the gateways do not agree; /node.ipc answered \" 2J\" 2J"));
        assert!(text.len() < 1000 && !text.contains(char::is_control), "{}", text.len());
    }

    #[test]
    fn a_revert_shows_its_reason() {
        let revert = |data: &[u8]| Revert { data: data.to_vec().into(), message: "why".into() };
        let reason = RevertReason { reason: "no\nluck".into() }.abi_encode();
        assert_eq!(revert(&reason).to_string(), "the contract reverted: no luck");
        assert_eq!(revert(&[]).to_string(), "the contract reverted: why");
        assert_eq!(revert(&[1, 2, 3, 4]).to_string(), "the contract reverted: 0x01020304");
    }
}

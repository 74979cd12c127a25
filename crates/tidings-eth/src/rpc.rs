//! JSON-RPC 2.0: batches of requests, and the replies to them.

use serde::de::{Deserialize, Deserializer, Error, SeqAccess, Visitor};
use serde_json::value::RawValue;
use std::fmt;

/// The text of a batch of requests, by method and parameters; their IDs are their places in it.
pub(crate) fn batch(requests: &[(&str, String)]) -> String {
    let mut text = String::from("[");
    for (id, (method, params)) in requests.iter().enumerate() {
        let comma = if id == 0 { "" } else { "," };
        text += &format!(
            r#"{comma}{{"jsonrpc":"2.0","id":{id},"method":"{method}","params":{params}}}"#
        );
    }
    text.push(']');
    text
}

/// Parses the replies to a batch of `count` requests: the result of each as JSON, or its error.
///
/// The replies may be in any order. A batch that the node refuses as a whole is an error.
///
/// # Errors
///
/// If the text is not JSON-RPC, or not each request has one reply.
pub(crate) fn parse(text: &[u8], count: usize) -> Result<Vec<Result<String, RpcError>>, RpcFault> {
    let invalid = |error: serde_json::Error| RpcFault::Invalid(printable(&error.to_string()));
    if text.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'{') {
        let reply: Reply<'_> = serde_json::from_slice(text).map_err(invalid)?;
        return match reply.outcome() {
            Some(Err(error)) => Err(RpcFault::Refused(error)),
            _ => Err(RpcFault::WrongId),
        };
    }
    let Replies(replies) = serde_json::from_slice(text).map_err(invalid)?;
    let mut outcomes: Vec<_> = (0..count).map(|_| None).collect();
    for reply in replies {
        let place = reply.id.and_then(|id| id.get().parse::<usize>().ok());
        let place = place.and_then(|id| outcomes.get_mut(id)).ok_or(RpcFault::WrongId)?;
        let outcome = reply.outcome().ok_or(RpcFault::NoOutcome)?;
        if place.replace(outcome).is_some() {
            return Err(RpcFault::WrongId);
        }
    }
    outcomes.into_iter().collect::<Option<_>>().ok_or(RpcFault::WrongId)
}

/// A reply of which nothing is copied but the error's message.
#[derive(serde::Deserialize)]
struct Reply<'a> {
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    /// `Some` also for `null`, which is the result for a receipt that is not there.
    #[serde(borrow, default, deserialize_with = "present")]
    result: Option<&'a RawValue>,
    #[serde(borrow)]
    error: Option<ErrorObject<'a>>,
}

#[derive(serde::Deserialize)]
struct ErrorObject<'a> {
    #[serde(default)]
    code: i64,
    #[serde(default)]
    message: String,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
}

fn present<'de, D: Deserializer<'de>>(from: D) -> Result<Option<&'de RawValue>, D::Error> {
    <&RawValue>::deserialize(from).map(Some)
}

impl Reply<'_> {
    fn outcome(self) -> Option<Result<String, RpcError>> {
        match (self.error, self.result) {
            (Some(error), _) => Some(Err(RpcError {
                code: error.code,
                message: printable(&error.message),
                data: error.data.and_then(|data| revert_data(data.get(), 0)),
            })),
            (None, Some(result)) => Some(Ok(result.get().to_owned())),
            (None, None) => None,
        }
    }
}

/// An array of few replies: a longer one is refused before it takes memory.
struct Replies<'a>(Vec<Reply<'a>>);

impl<'de> Deserialize<'de> for Replies<'de> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Few;

        impl<'de> Visitor<'de> for Few {
            type Value = Replies<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an array of replies")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
                let mut replies = Vec::new();
                while let Some(reply) = seq.next_element()? {
                    if replies.len() == MAX_REPLIES {
                        return Err(A::Error::custom("too many replies"));
                    }
                    replies.push(reply);
                }
                Ok(Replies(replies))
            }
        }

        from.deserialize_seq(Few)
    }
}

/// The bytes with which a contract reverted, as nodes put them into an error's data: a string of
/// hex digits (geth, anvil, ganache), with `Reverted ` before it (Nethermind until 2025), or an
/// object with such a string as its `data` (hardhat).
fn revert_data(data: &str, depth: usize) -> Option<Vec<u8>> {
    #[derive(serde::Deserialize)]
    struct Nested<'a> {
        #[serde(borrow)]
        data: Option<&'a RawValue>,
    }

    if let Ok(text) = serde_json::from_str::<&str>(data) {
        let text = text.strip_prefix(NETHERMINDS).unwrap_or(text);
        return text.strip_prefix("0x").and_then(|hex| alloy_primitives::hex::decode(hex).ok());
    }
    let Nested { data } = serde_json::from_str(data).ok()?;
    if depth == MAX_NESTED { None } else { revert_data(data?.get(), depth + 1) }
}

/// Text of a node as it may be shown: without control characters and marks that change the
/// direction of text, and not longer than a few lines.
pub(crate) fn printable(text: &str) -> String {
    let turns = ['\u{200e}'..='\u{200f}', '\u{202a}'..='\u{202e}', '\u{2066}'..='\u{2069}'];
    let hidden = |c: char| c.is_control() || turns.iter().any(|range| range.contains(&c));
    let parts = text.split(hidden).filter(|part| !part.is_empty());
    let mut shown = String::new();
    for part in parts {
        let space = if shown.is_empty() { "" } else { " " };
        shown.extend([space, part]);
        if let Some((end, _)) = shown.char_indices().nth(MAX_MESSAGE) {
            shown.truncate(end);
            shown.push('…');
            break;
        }
    }
    shown
}

/// An error that a node returned for a request.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct RpcError {
    /// The code: −32768 to −32000 are JSON-RPC's own, 3 is a revert in geth and anvil.
    pub code: i64,
    /// The node's message: at most 400 characters, control characters replaced.
    pub message: String,
    /// The bytes with which a contract reverted, if there are any.
    pub data: Option<Vec<u8>>,
}

impl RpcError {
    /// Whether a contract reverted: the node ran the call, and another one would say the same.
    ///
    /// There is no common code. A revert has code 3 (geth, anvil), or the contract's bytes as data
    /// (hardhat, ganache), or says so (all, if the contract gave no reason). Other failures of a
    /// call may have empty data.
    pub fn is_revert(&self) -> bool {
        let message = self.message.strip_prefix("Error: ").unwrap_or(&self.message);
        let says = |text: &str| {
            let start = message.get(..text.len());
            start.is_some_and(|start| start.eq_ignore_ascii_case(text))
        };
        self.code == 3
            || self.data.as_ref().is_some_and(|data| !data.is_empty())
            || REVERTS.into_iter().any(says)
    }
}

impl fmt::Display for RpcError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error {} of the node: {}", self.code, self.message)
    }
}

impl std::error::Error for RpcError {}

/// The reason why a text is no reply to a batch.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum RpcFault {
    /// The text is not JSON, or no JSON-RPC.
    Invalid(String),
    /// A reply has neither a result nor an error.
    NoOutcome,
    /// A reply is missing, or there is one to no request, or two to one.
    WrongId,
    /// The node refused the batch as a whole.
    Refused(RpcError),
}

impl fmt::Display for RpcFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Invalid(reason) => write!(f, "the reply is no JSON-RPC: {reason}"),
            Self::NoOutcome => f.write_str("the reply has neither a result nor an error"),
            Self::WrongId => f.write_str("the IDs of the replies are not those of the requests"),
            Self::Refused(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for RpcFault {}

/// How nodes begin to say that a contract reverted: geth, anvil and Besu; ganache and hardhat;
/// hardhat without a reason.
const REVERTS: [&str; 3] = [
    "execution reverted",
    "VM Exception while processing transaction: revert",
    "transaction reverted",
];
/// What Nethermind wrote before the contract's bytes.
const NETHERMINDS: &str = "Reverted ";
/// The largest number of replies in a batch.
const MAX_REPLIES: usize = 8;
/// How deep an error's data may be in other data.
const MAX_NESTED: usize = 2;
/// The longest message of a node that is shown, in characters.
const MAX_MESSAGE: usize = 400;

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(text: &str) -> Result<Vec<Result<String, RpcError>>, RpcFault> {
        parse(text.as_bytes(), 2)
    }

    #[test]
    fn a_batch_numbers_its_requests() {
        assert_eq!(
            batch(&[("eth_chainId", "[]".into()), ("eth_call", r#"["latest"]"#.into())]),
            r#"[{"jsonrpc":"2.0","id":0,"method":"eth_chainId","params":[]},{"jsonrpc":"2.0","id":1,"method":"eth_call","params":["latest"]}]"#
        );
    }

    #[test]
    fn replies_come_in_any_order_and_null_is_a_result() {
        let text = r#"[{"id":1,"result":null},{"jsonrpc":"2.0","id":0,"result":"0x1","x":[]}]"#;
        assert_eq!(texts(text), Ok(vec![Ok("\"0x1\"".into()), Ok("null".into())]));
    }

    #[test]
    fn each_request_has_one_reply() {
        for text in [
            r#"[]"#,
            r#"[{"id":0,"result":1}]"#,
            r#"[{"id":0,"result":1},{"id":0,"result":1}]"#,
            r#"[{"id":0,"result":1},{"id":2,"result":1}]"#,
            r#"[{"id":0,"result":1},{"id":"1","result":1}]"#,
            r#"[{"id":0,"result":1},{"result":1}]"#,
            r#"{"id":0,"result":1}"#,
        ] {
            assert_eq!(texts(text), Err(RpcFault::WrongId), "{text}");
        }
        assert_eq!(texts(r#"[{"id":0},{"id":1,"result":1}]"#), Err(RpcFault::NoOutcome));
    }

    #[test]
    fn text_that_is_no_json_rpc_is_refused() {
        let nested = format!("[{}", r#"{"id":"#.repeat(500));
        for text in ["", "1", "<html>", r#"[{"id":0,"result":1}"#, "[1]", "[[]]", nested.as_str()] {
            assert!(matches!(texts(text), Err(RpcFault::Invalid(_))), "{text}");
        }
        let many = format!("[{}{{}}]", "{},".repeat(1000));
        assert!(matches!(texts(&many), Err(RpcFault::Invalid(_))));
    }

    #[test]
    fn text_of_a_node_cannot_steer_a_terminal_nor_turn_the_text_around_it() {
        assert_eq!(printable("a\u{1b}[2J\u{9b}31m\u{202e}b\r\nc\u{2066}"), "a [2J 31m b c");
        assert_eq!(printable(&"é".repeat(1000)).chars().count(), MAX_MESSAGE + 1);
    }

    #[test]
    fn a_refused_batch_is_the_nodes_error() {
        let text = r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"no\u001b[2J"}}"#;
        let error = RpcError { code: -32600, message: "no [2J".into(), data: None };
        assert_eq!(texts(text), Err(RpcFault::Refused(error)));
    }

    #[test]
    fn reverts_are_found_wherever_a_node_puts_them() {
        let error = |object: &str| {
            let text = format!(r#"[{{"id":0,"error":{object}}},{{"id":1,"result":1}}]"#);
            texts(&text).unwrap().remove(0).unwrap_err()
        };
        let bytes = Some(vec![1, 2]);
        for object in [
            r#"{"code":3,"message":"execution reverted","data":"0x0102"}"#,
            r#"{"code":-32603,"message":"","data":{"message":"","data":"0x0102"}}"#,
            r#"{"code":-32000,"message":"","data":"0x0102"}"#,
            r#"{"code":-32015,"message":"VM execution error.","data":"Reverted 0x0102"}"#,
        ] {
            assert_eq!(
                (error(object).data.clone(), error(object).is_revert()),
                (bytes.clone(), true)
            );
        }
        for object in [
            r#"{"code":-32000,"message":"execution reverted"}"#,
            r#"{"code":-32000,"message":"Execution reverted","data":"0x"}"#,
            r#"{"code":3,"message":"","data":null}"#,
            r#"{"code":-32603,"message":"Error: Transaction reverted without a reason string"}"#,
        ] {
            assert!(error(object).is_revert(), "{object}");
        }
        for object in [
            r#"{"code":-32602,"message":"bad"}"#,
            r#"{"code":-32603,"message":"invalid opcode","data":{"data":"0x"}}"#,
            r#"{"code":-32000,"message":"header not found","data":"no hex"}"#,
            r#"{"code":-32603,"message":"","data":{"data":{"data":{"data":"0x01"}}}}"#,
            r#"{}"#,
        ] {
            assert!(!error(object).is_revert(), "{object}");
        }
    }
}

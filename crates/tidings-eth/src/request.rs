//! Requests: what a program asks of whichever gateway is alive.

use alloy_primitives::{Address, B256, hex, keccak256};
use alloy_sol_types::{SolCall, SolType};
use serde_json::value::RawValue;
use std::fmt;

/// A request to a node: a call of a contract, another read, or a transaction.
///
/// Its kind decides what happens if a gateway fails under way. Reads are asked of the next one.
/// A transaction that the node signs ([`send_transaction`](Self::send_transaction)) is never sent
/// twice. A signed one ([`send_raw_transaction`](Self::send_raw_transaction)) may be, because the
/// chain takes it once.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Request {
    method: String,
    /// The parameters as JSON; of a call without the block, which comes last.
    params: String,
    kind: Kind,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Kind {
    /// `eth_call`, of a function that returns something or nothing.
    Call {
        to: Address,
        returns: bool,
    },
    Read,
    /// A transaction that the node signs.
    Send,
    /// A signed transaction with its hash.
    SendRaw {
        hash: B256,
    },
}

impl Request {
    /// Calls a contract's function without a transaction: `eth_call` at the latest block.
    pub fn call<C: SolCall>(to: Address, call: &C) -> Self {
        let returns = <C::ReturnTuple<'_> as SolType>::ENCODED_SIZE != Some(0);
        Self::call_raw(to, &call.abi_encode(), returns)
    }

    /// As [`call`](Self::call), with encoded data: a selector and its arguments.
    ///
    /// `returns` tells whether the function returns something. If so, an empty answer means that
    /// there is no contract; if not, the caller looks for the contract's code.
    pub fn call_raw(to: Address, data: &[u8], returns: bool) -> Self {
        let params = format!(r#"{{"to":"{to:#x}","data":"{}"}}"#, hex::encode_prefixed(data));
        Self { method: "eth_call".into(), params, kind: Kind::Call { to, returns } }
    }

    /// Any method that only reads, with its parameters as a JSON array.
    ///
    /// # Errors
    ///
    /// If the method is not a name, or sends something; if the parameters are no JSON array.
    pub fn read(method: &str, params: &str) -> Result<Self, InvalidRequest> {
        let name = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        if method.is_empty() || !method.bytes().all(name) {
            return Err(InvalidRequest::Method);
        }
        if method.contains("send") || method.contains("Send") {
            return Err(InvalidRequest::Sends);
        }
        let kind = Kind::Read;
        Ok(Self { method: method.into(), params: array(params)?, kind })
    }

    /// The receipt of a transaction, `null` while it is not in a block.
    pub fn receipt(hash: B256) -> Self {
        let method = "eth_getTransactionReceipt".into();
        Self { method, params: format!("[\"{hash:#x}\"]"), kind: Kind::Read }
    }

    /// Sends a transaction that the node signs with an account of its own: `eth_sendTransaction`,
    /// with the transaction's fields as a JSON object.
    ///
    /// It is sent once. If the gateway fails afterwards, nobody knows whether the transaction was
    /// accepted, and the call ends with [`CallError::Uncertain`](crate::CallError::Uncertain).
    ///
    /// # Errors
    ///
    /// If the transaction is no JSON object.
    pub fn send_transaction(transaction: &str) -> Result<Self, InvalidRequest> {
        let transaction = json(transaction, '{').ok_or(InvalidRequest::Transaction)?;
        let params = format!("[{transaction}]");
        Ok(Self { method: "eth_sendTransaction".into(), params, kind: Kind::Send })
    }

    /// Sends a signed transaction, and waits for its receipt: `eth_sendRawTransaction`.
    ///
    /// The answer's result is the receipt, or `null` if no block had the transaction in time. A
    /// gateway that knows the transaction already has accepted it.
    pub fn send_raw_transaction(signed: &[u8]) -> Self {
        let params = format!("[\"{}\"]", hex::encode_prefixed(signed));
        let kind = Kind::SendRaw { hash: keccak256(signed) };
        Self { method: "eth_sendRawTransaction".into(), params, kind }
    }

    /// The hash of a signed transaction; `None` for other requests.
    pub fn transaction_hash(&self) -> Option<B256> {
        match self.kind {
            Kind::SendRaw { hash } => Some(hash),
            _ => None,
        }
    }

    pub(crate) fn kind(&self) -> Kind {
        self.kind
    }

    pub(crate) fn method(&self) -> &str {
        &self.method
    }

    /// The parameters as a JSON array; a call is at `block`, or at the latest one.
    pub(crate) fn params(&self, block: Option<u64>) -> String {
        match (self.kind, block) {
            (Kind::Call { .. }, Some(block)) => format!(r#"[{},"{block:#x}"]"#, self.params),
            (Kind::Call { .. }, None) => format!(r#"[{},"latest"]"#, self.params),
            _ => self.params.clone(),
        }
    }
}

fn array(params: &str) -> Result<String, InvalidRequest> {
    json(params, '[').ok_or(InvalidRequest::Params)
}

/// The text if it is JSON that begins with `open`.
fn json(text: &str, open: char) -> Option<String> {
    let text = text.trim();
    let valid = text.starts_with(open) && serde_json::from_str::<&RawValue>(text).is_ok();
    valid.then(|| text.to_owned())
}

/// The reason why a [`Request`] cannot be made.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum InvalidRequest {
    /// The method is not a name of letters, digits and underscores.
    Method,
    /// The method sends something, and would be repeated.
    Sends,
    /// The parameters are no JSON array.
    Params,
    /// The transaction is no JSON object.
    Transaction,
}

impl fmt::Display for InvalidRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Method => "a method is a name of letters, digits and underscores",
            Self::Sends => "a method that sends is no read; use the requests for transactions",
            Self::Params => "the parameters are no JSON array",
            Self::Transaction => "the transaction is no JSON object",
        })
    }
}

impl std::error::Error for InvalidRequest {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_at_the_latest_block_or_at_a_given_one() {
        let request = Request::call_raw(Address::repeat_byte(0x5f), &[1, 2], true);
        let to = "0x5f5f5f5f5f5f5f5f5f5f5f5f5f5f5f5f5f5f5f5f";
        let params = |block| format!(r#"[{{"to":"{to}","data":"0x0102"}},"{block}"]"#);
        assert_eq!(request.params(None), params("latest"));
        assert_eq!(request.params(Some(255)), params("0xff"));
    }

    #[test]
    fn what_sends_is_no_read() {
        let read = |method, params| Request::read(method, params).map(|read| read.params(None));
        assert_eq!(read("eth_getBalance", " [\"0x0\"] "), Ok("[\"0x0\"]".into()));
        for method in ["eth_sendTransaction", "eth_sendRawTransaction", "personal_sendTransaction"]
        {
            assert_eq!(read(method, "[]"), Err(InvalidRequest::Sends), "{method}");
        }
        for method in ["", "eth call", "x\",\"y"] {
            assert_eq!(read(method, "[]"), Err(InvalidRequest::Method), "{method}");
        }
        for params in ["", "{}", "[", "[1],2", "[]]"] {
            assert_eq!(read("eth_syncing", params), Err(InvalidRequest::Params), "{params}");
        }
        assert_eq!(Request::send_transaction("[]"), Err(InvalidRequest::Transaction));
    }
}

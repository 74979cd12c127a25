//! Verdicts on the results of single requests.

use crate::answer::{CallError, Revert, hex_bytes};
use crate::attempt::Fault;
use crate::request::Kind;
use crate::rpc::RpcError;
use alloy_primitives::B256;

/// The result of one request, or the node's error.
pub(super) type Outcome = Result<String, RpcError>;

/// The verdict on the outcome of a read: final, or that another gateway is asked.
pub(super) fn judge_read(
    kind: Kind,
    outcome: Outcome,
    code: Option<Outcome>,
) -> Result<Result<String, CallError>, Fault> {
    let is_call = matches!(kind, Kind::Call { .. });
    let result = match outcome {
        Err(error) if is_call && error.is_revert() => return Ok(Err(reverted(error))),
        Err(error) => return Err(Fault::Rpc(error)),
        Ok(result) => result,
    };
    if is_call {
        let returned = hex_bytes(&result).ok_or(Fault::Result("eth_call"))?;
        if returned.is_empty() {
            // A function without return values, of a contract that is there.
            let code = code.ok_or(Fault::NoCode)?.map_err(Fault::Rpc)?;
            if hex_bytes(&code).ok_or(Fault::Result("eth_getCode"))?.is_empty() {
                return Err(Fault::NoCode);
            }
        }
    }
    Ok(Ok(result))
}

/// The verdict on a transaction that the node was to sign: always final.
pub(super) fn judge_send(outcome: Outcome) -> Result<Result<String, CallError>, Fault> {
    match outcome {
        Ok(hash) if hex_bytes(&hash).is_some_and(|hash| hash.len() == 32) => Ok(Ok(hash)),
        Ok(_) => Err(Fault::Result("eth_sendTransaction")),
        Err(error) if error.is_revert() => Ok(Err(reverted(error))),
        Err(error) => Ok(Err(CallError::Rejected(error))),
    }
}

fn reverted(error: RpcError) -> CallError {
    let data = error.data.unwrap_or_default().into();
    CallError::Reverted(Revert { data, message: error.message })
}

/// A number as JSON-RPC has it: a string of `0x` and hex digits.
pub(super) fn quantity(outcome: Outcome, method: &'static str) -> Result<u64, Fault> {
    let text = outcome.map_err(Fault::Rpc)?;
    let digits = text.strip_prefix("\"0x").and_then(|text| text.strip_suffix('"'));
    let digits = digits.filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()));
    let number = digits.and_then(|digits| u64::from_str_radix(digits, 16).ok());
    number.ok_or(Fault::Result(method))
}

/// The transaction that a receipt is of.
pub(super) fn receipt_hash(receipt: &str) -> Option<B256> {
    #[derive(serde::Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Receipt {
        transaction_hash: B256,
    }

    serde_json::from_str::<Receipt>(receipt).ok().map(|receipt| receipt.transaction_hash)
}

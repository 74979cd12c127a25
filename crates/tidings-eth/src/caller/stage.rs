//! The stages of a call, and the requests of each.

use crate::request::{Kind, Request};

/// The purpose of an exchange, which determines its requests.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Stage {
    /// The chain, the height, and a read.
    Read,
    /// The chain and the height: before a transaction, and before several gateways have to agree.
    Check,
    /// The request alone, at a height.
    Ask { chain: u64, height: u64 },
    /// The chain, the height, and the receipt of a signed transaction.
    Receipt,
}

impl Stage {
    /// The requests of an exchange: methods, and parameters as JSON.
    pub(super) fn requests(self, request: &Request) -> Vec<(&str, String)> {
        let chain_and_height = [("eth_chainId", "[]".into()), ("eth_blockNumber", "[]".into())];
        let (mut list, block) = match self {
            Self::Ask { height, .. } => (Vec::new(), Some(height)),
            _ => (chain_and_height.into(), None),
        };
        match self {
            Self::Check => {}
            Self::Receipt => {
                let hash = request.transaction_hash().expect("the transaction is signed");
                let params = format!("[\"{hash:#x}\"]");
                list.push(("eth_getTransactionReceipt", params.clone()));
                list.push(("eth_getTransactionByHash", params));
            }
            Self::Read | Self::Ask { .. } => {
                list.push((request.method(), request.params(block)));
                if let Kind::Call { to, returns: false } = request.kind() {
                    let block =
                        block.map_or_else(|| "latest".into(), |block| format!("{block:#x}"));
                    list.push(("eth_getCode", format!(r#"["{to:#x}","{block}"]"#)));
                }
            }
        }
        list
    }
}

//! The nodes whose replies the fixtures have, and replies composed of theirs.

use serde_json::value::RawValue;
use std::fmt;
use std::path::{Path, PathBuf};

/// A node over one transport: a folder of fixtures.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Node {
    Anvil,
    AnvilIpc,
    Hardhat,
    Ganache,
}

pub(crate) const NODES: [Node; 4] = [Node::Anvil, Node::AnvilIpc, Node::Hardhat, Node::Ganache];

impl Node {
    pub(crate) fn is_ipc(self) -> bool {
        self == Self::AnvilIpc
    }

    fn path(self, case: &str) -> PathBuf {
        let extension = if self.is_ipc() { "json" } else { "http" };
        Path::new(FIXTURES).join(self.to_string()).join(case).with_extension(extension)
    }

    /// Whether the node has a reply for the case.
    pub(crate) fn has(self, case: &str) -> bool {
        self.path(case).exists()
    }

    /// A reply, byte for byte.
    pub(crate) fn fixture(self, case: &str) -> Vec<u8> {
        let path = self.path(case);
        std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    /// The third outcome in a reply, as the members of a JSON object.
    pub(crate) fn outcome(self, case: &str) -> String {
        #[derive(serde::Deserialize)]
        struct Reply {
            result: Option<Box<RawValue>>,
            error: Option<Box<RawValue>>,
        }

        let text = String::from_utf8(self.fixture(case)).unwrap();
        let json = match (self, text.split_once("\r\n\r\n")) {
            (Self::Hardhat, Some((_, chunks))) => dechunk(chunks),
            (_, Some((_, body))) => body.into(),
            (_, None) => text,
        };
        let replies: Vec<Reply> = serde_json::from_str(&json).unwrap();
        match &replies[2] {
            Reply { error: Some(error), .. } => format!("\"error\":{error}"),
            Reply { result: Some(result), .. } => format!("\"result\":{result}"),
            Reply { .. } => result("null"),
        }
    }

    /// A reply in the node's form, with these outcomes of a batch.
    pub(crate) fn reply(self, outcomes: &[String]) -> Vec<u8> {
        let replies = outcomes.iter().enumerate();
        let replies: Vec<_> =
            replies.map(|(id, of)| format!(r#"{{"jsonrpc":"2.0","id":{id},{of}}}"#)).collect();
        self.wrap(&format!("[{}]", replies.join(",")))
    }

    /// A body in the node's form.
    pub(crate) fn wrap(self, body: &str) -> Vec<u8> {
        if self.is_ipc() {
            return format!("{body}\n").into();
        }
        let text = String::from_utf8(self.fixture("get")).unwrap();
        let (head, _) = text.split_once("\r\n\r\n").unwrap();
        let length = |name: &str| {
            let new = format!("{name}: {}", body.len());
            format!("{}\r\n\r\n{body}", head.replace(&format!("{name}: 187"), &new))
        };
        let reply = match self {
            Self::Hardhat => {
                let (first, second) = body.split_at(body.len() / 2);
                let chunk = |text: &str| format!("{:x}\r\n{text}\r\n", text.len());
                format!("{head}\r\n\r\n{}{}0\r\n\r\n", chunk(first), chunk(second))
            }
            Self::Ganache => length("Content-Length"),
            _ => length("content-length"),
        };
        reply.into()
    }

    /// The reply to the question for the chain and the height.
    pub(crate) fn height(self, height: u64) -> Vec<u8> {
        self.reply(&[chain(), quantity(height)])
    }

    /// The reply to the question for a receipt: the receipt, and the transaction.
    pub(crate) fn receipt(self, receipt: &str, transaction: &str) -> Vec<u8> {
        self.reply(&[chain(), quantity(7), receipt.into(), transaction.into()])
    }
}

impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Anvil => "anvil",
            Self::AnvilIpc => "anvil-ipc",
            Self::Hardhat => "hardhat",
            Self::Ganache => "ganache",
        })
    }
}

/// A reply of an HTTP proxy.
pub(crate) fn proxy(case: &str) -> Vec<u8> {
    std::fs::read(Path::new(FIXTURES).join("proxy").join(case).with_extension("http")).unwrap()
}

fn dechunk(mut chunks: &str) -> String {
    let mut body = String::new();
    while let Some((size, rest)) = chunks.split_once("\r\n") {
        let size = usize::from_str_radix(size, 16).unwrap();
        if size == 0 {
            break;
        }
        body += &rest[..size];
        chunks = &rest[size + 2..];
    }
    body
}

/// An outcome with a result.
pub(crate) fn result(json: &str) -> String {
    format!("\"result\":{json}")
}

pub(crate) fn quantity(number: u64) -> String {
    result(&format!("\"{number:#x}\""))
}

/// The outcome of `eth_chainId` of all fixtures.
pub(crate) fn chain() -> String {
    quantity(CHAIN)
}

/// The outcome of a call that returns one number.
pub(crate) fn number(number: u64) -> String {
    result(&format!("\"0x{number:064x}\""))
}

/// An outcome with an error.
pub(crate) fn error(code: i64, message: &str) -> String {
    format!(r#""error":{{"code":{code},"message":"{message}"}}"#)
}

/// In the package's directory, where its tests run.
const FIXTURES: &str = "tests/fixtures";
/// The chain of all fixtures.
pub(crate) const CHAIN: u64 = 31337;

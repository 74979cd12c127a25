//! Errors in ABIs and arguments.

use super::types::type_text;
use crate::rpc::printable;
use std::fmt;

/// The reason why an ABI, or a part of it, cannot be used.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum InvalidAbi {
    /// The text is no ABI in JSON, or one that cannot be used.
    Json(String),
    /// The text is no signature of a function.
    Signature {
        /// The text, shortened.
        text: String,
        /// What is wrong.
        reason: String,
    },
    /// A signature, or the values that it describes, have more bytes than are allowed.
    TooLong {
        /// Their number of bytes.
        len: usize,
        /// The limit.
        limit: usize,
    },
    /// A type is nested too deeply.
    TooDeep {
        /// The limit.
        limit: usize,
    },
    /// A type is unknown or too large.
    Type {
        /// The type.
        ty: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The name for bindings is no identifier, or a keyword.
    TypeName(String),
    /// The ABI has no such function.
    NoFunction {
        /// The name or signature.
        wanted: String,
        /// The signatures of the functions that it has.
        known: Vec<String>,
    },
    /// The ABI has several functions of that name; a signature says which.
    Overloaded {
        /// Their signatures.
        signatures: Vec<String>,
    },
}

impl InvalidAbi {
    pub(super) fn signature(text: &str, error: &dyn fmt::Display) -> Self {
        Self::Signature { text: printable(text), reason: reason(&error.to_string()) }
    }
}

impl fmt::Display for InvalidAbi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Json(error) => write!(f, "cannot use the ABI: {error}"),
            Self::Signature { text, reason } => {
                write!(f, "`{text}` is no signature like `get()(uint256)`: {reason}")
            }
            Self::TooLong { len, limit } => {
                write!(f, "the signature takes {len} bytes; {limit} are allowed")
            }
            Self::TooDeep { limit } => write!(f, "a type is nested more than {limit} deep"),
            Self::Type { ty, reason } => write!(f, "the type `{ty}` {reason}"),
            Self::TypeName(name) => write!(f, "`{name}` is no name for a type"),
            Self::NoFunction { wanted, known } if known.is_empty() => {
                write!(f, "the ABI has no function `{wanted}`, nor any other")
            }
            Self::NoFunction { wanted, known } => {
                write!(f, "the ABI has no function `{wanted}`, but {}", list(known))
            }
            Self::Overloaded { signatures } => {
                write!(f, "the ABI has several such functions; say which: {}", list(signatures))
            }
        }
    }
}

impl std::error::Error for InvalidAbi {}

/// The reason why a call cannot be encoded.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum InvalidArguments {
    /// The number of arguments is not that of the function.
    Count {
        /// The number of arguments given.
        given: usize,
        /// The function's number of parameters.
        expected: usize,
        /// The function's signature.
        signature: String,
    },
    /// An argument is not of its type.
    Value {
        /// The argument's position, from 0.
        index: usize,
        /// The parameter's name, which may be empty.
        name: String,
        /// The parameter's type.
        ty: String,
        /// The argument, shortened.
        text: String,
        /// What is wrong with it.
        reason: String,
    },
}

impl InvalidArguments {
    pub(super) fn value(
        index: usize,
        function: &alloy_json_abi::Function,
        text: &str,
        error: &alloy_dyn_abi::Error,
    ) -> Self {
        let param = &function.inputs[index];
        Self::Value {
            index,
            name: param.name.clone(),
            ty: type_text(param),
            text: printable(text),
            reason: reason(&error.to_string()),
        }
    }
}

impl fmt::Display for InvalidArguments {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Count { given, expected, signature } => {
                let plural = if *expected == 1 { "" } else { "s" };
                write!(f, "`{signature}` takes {expected} argument{plural}; {given} given")
            }
            Self::Value { index, name, ty, text, reason } => {
                write!(f, "argument {}", index + 1)?;
                if !name.is_empty() {
                    write!(f, ", `{name}`")?;
                }
                write!(f, ": `{text}` is no {ty}: {reason}")
            }
        }
    }
}

impl std::error::Error for InvalidArguments {}

/// The end of a parser's message, which repeats its input before.
fn reason(message: &str) -> String {
    let mut lines = message.lines().rev().map(str::trim).filter(|line| !line.is_empty());
    printable(lines.next().unwrap_or("syntax error"))
}

fn list(signatures: &[String]) -> String {
    let shown: Vec<_> =
        signatures.iter().take(MAX_LISTED).map(|text| format!("`{text}`")).collect();
    let more = if signatures.len() > MAX_LISTED { ", …" } else { "" };
    shown.join(", ") + more
}

/// The number of functions that an error lists.
const MAX_LISTED: usize = 20;

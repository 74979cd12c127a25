//! Values that a contract returned.

use alloy_dyn_abi::DynSolValue;
use alloy_primitives::hex;
use std::fmt;

/// A value that a contract returned.
///
/// It is printed as `cast` prints it, and as [`Function::encode`](super::Function::encode) takes
/// it: text in quotes even if it stands alone, so that it is told apart from a number and keeps to
/// its line; addresses with their checksum. `cast` adds `[1e18]` to large numbers, and we do not:
/// programs read the number. Quotes, backslashes and control characters in text are escaped, as
/// `cast` does, because a node could send control sequences for the terminal; such a text cannot be
/// given back as an argument.
#[derive(Clone, Debug, PartialEq)]
pub struct Value(pub DynSolValue);

impl Value {
    /// As JSON: numbers as decimal digits in a string, because they have up to 78; bytes as hex
    /// digits; arrays and tuples as arrays.
    pub fn to_json(&self) -> serde_json::Value {
        json(&self.0)
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write(f, &self.0)
    }
}

fn write(f: &mut fmt::Formatter<'_>, value: &DynSolValue) -> fmt::Result {
    match value {
        DynSolValue::String(text) => write!(f, "{text:?}"),
        DynSolValue::Array(values) | DynSolValue::FixedArray(values) => list(f, '[', values, ']'),
        DynSolValue::Tuple(values) => list(f, '(', values, ')'),
        scalar => f.write_str(&scalar_text(scalar)),
    }
}

fn list(
    f: &mut fmt::Formatter<'_>,
    open: char,
    values: &[DynSolValue],
    close: char,
) -> fmt::Result {
    write!(f, "{open}")?;
    for (n, value) in values.iter().enumerate() {
        f.write_str(if n > 0 { ", " } else { "" })?;
        write(f, value)?;
    }
    write!(f, "{close}")
}

fn json(value: &DynSolValue) -> serde_json::Value {
    match value {
        DynSolValue::Bool(value) => (*value).into(),
        DynSolValue::String(text) => text.as_str().into(),
        DynSolValue::Array(values)
        | DynSolValue::FixedArray(values)
        | DynSolValue::Tuple(values) => values.iter().map(json).collect(),
        scalar => scalar_text(scalar).into(),
    }
}

fn scalar_text(value: &DynSolValue) -> String {
    match value {
        DynSolValue::Bool(value) => value.to_string(),
        DynSolValue::Uint(number, _) => number.to_string(),
        DynSolValue::Int(number, _) => number.to_string(),
        DynSolValue::Address(address) => address.to_string(),
        DynSolValue::Function(function) => hex::encode_prefixed(function),
        DynSolValue::FixedBytes(word, len) => hex::encode_prefixed(&word[..*len]),
        DynSolValue::Bytes(bytes) => hex::encode_prefixed(bytes),
        // The others are no scalars.
        _ => String::new(),
    }
}

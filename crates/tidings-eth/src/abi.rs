//! ABIs that are known at run time only: of a command's user, or from a file.
//!
//! A program that knows a contract when it is compiled has bindings instead, by
//! [`sol!`](crate::sol!), which [`abigen`] writes to a file.
//!
//! ```
//! use tidings_eth::abi::Function;
//!
//! let function = Function::parse("scale((uint256,string)[],int8)(bool,address)")?;
//! let data = function.encode(&[r#"[(1, "one"), (2, "two")]"#, "-1"])?;
//! assert_eq!(data.len(), 4 + 13 * 32);
//!
//! let mut answer = [0; 64];
//! answer[31] = 1;
//! let values = function.decode(&answer)?;
//! let lines: Vec<_> = values.iter().map(ToString::to_string).collect();
//! assert_eq!(lines, ["true", "0x0000000000000000000000000000000000000000"]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod bindings;
mod decoder;
mod error;
#[cfg(test)]
mod tests;
mod types;
mod value;

pub use alloy_dyn_abi;
pub use bindings::abigen;
pub use error::{InvalidAbi, InvalidArguments};
pub use value::Value;

use crate::answer::{CallError, Revert};
use crate::request::Request;
use crate::rpc::printable;
use alloy_dyn_abi::{DynSolType, DynSolValue};
use alloy_json_abi::{ContractObject, JsonAbi, Param};
use alloy_primitives::Address;
use alloy_sol_types::{Panic, PanicKind, Revert as RevertReason, SolError};
use std::fmt;
use types::{check_text, resolve};

/// A contract's function, of an ABI that is known at run time only.
#[derive(Clone, Debug)]
pub struct Function {
    function: alloy_json_abi::Function,
    inputs: Vec<DynSolType>,
    outputs: Vec<DynSolType>,
}

impl Function {
    /// Parses a signature: `get()(uint256)`, as `cast call` takes it, with or without names, or
    /// `function get() view returns (uint256)`, as in Solidity.
    ///
    /// # Errors
    ///
    /// If the signature has a syntax error, an unknown type, or types that are nested more than 32
    /// deep or need more than 32 MiB.
    pub fn parse(signature: &str) -> Result<Self, InvalidAbi> {
        check_text(signature)?;
        let function = alloy_json_abi::Function::parse(signature.trim());
        Self::new(function.map_err(|error| InvalidAbi::signature(signature, &error))?)
    }

    fn new(function: alloy_json_abi::Function) -> Result<Self, InvalidAbi> {
        let (inputs, outputs) = (resolve(&function.inputs)?, resolve(&function.outputs)?);
        Ok(Self { function, inputs, outputs })
    }

    /// The name.
    pub fn name(&self) -> &str {
        &self.function.name
    }

    /// The name with the types of the arguments: `set(uint256)`.
    pub fn signature(&self) -> String {
        self.function.signature()
    }

    /// Whether the function returns something.
    pub fn returns(&self) -> bool {
        !self.outputs.is_empty()
    }

    /// The types of what the function returns.
    pub fn outputs(&self) -> &[DynSolType] {
        &self.outputs
    }

    /// The call's data: the selector and the arguments.
    ///
    /// Arguments are given as `cast` takes them: numbers as decimal or `0x` digits, also as `1.5
    /// ether` or `1e18`; `true` and `false`; bytes and addresses as hex digits with or without
    /// `0x`; arrays as `[1, 2]`, tuples as `(1, "text")`. Text may stand in double or single
    /// quotes, and has to if it begins with a quote or a space, or if it has a comma or a closing
    /// bracket within an array or a tuple. There are no escapes: a backslash is a backslash.
    ///
    /// # Errors
    ///
    /// If the number of arguments is another, or one is not of its type.
    pub fn encode<T: AsRef<str>>(&self, arguments: &[T]) -> Result<Vec<u8>, InvalidArguments> {
        if arguments.len() != self.inputs.len() {
            let (given, signature) = (arguments.len(), self.signature());
            return Err(InvalidArguments::Count { given, expected: self.inputs.len(), signature });
        }
        let texts = arguments.iter().map(AsRef::as_ref);
        let values = texts.zip(&self.inputs).enumerate().map(|(index, (text, ty))| {
            let value = ty.coerce_str(text);
            value.map_err(|error| InvalidArguments::value(index, &self.function, text, &error))
        });
        let values = values.collect::<Result<Vec<_>, _>>()?;
        let mut data = self.function.selector().to_vec();
        data.extend(DynSolValue::Tuple(values).abi_encode_params());
        Ok(data)
    }

    /// A request that calls the function.
    ///
    /// # Errors
    ///
    /// As [`encode`](Self::encode).
    pub fn call<T: AsRef<str>>(
        &self,
        to: Address,
        args: &[T],
    ) -> Result<Request, InvalidArguments> {
        Ok(Request::call_raw(to, &self.encode(args)?, self.returns()))
    }

    /// The values that the function returned: [`Answer::bytes`](crate::Answer::bytes).
    ///
    /// Decoding takes memory in proportion to the answer, whatever the answer is.
    ///
    /// # Errors
    ///
    /// If the bytes are not of the function's return types.
    pub fn decode(&self, data: &[u8]) -> Result<Vec<Value>, CallError> {
        let values = decoder::decode(&self.outputs, data);
        let values = values.map_err(|error| CallError::Undecodable(error.to_string()))?;
        Ok(values.into_iter().map(Value).collect())
    }
}

/// A contract's ABI, of which functions and errors are used.
#[derive(Clone, Debug, Default)]
pub struct Abi(JsonAbi);

impl Abi {
    /// Parses an ABI in JSON, as compilers write it: the array itself, or an object that has it as
    /// `abi`.
    ///
    /// # Errors
    ///
    /// If the text is not that.
    pub fn parse(json: &str) -> Result<Self, InvalidAbi> {
        let contract = ContractObject::from_json(json);
        let contract = contract.map_err(|error| InvalidAbi::Json(error.to_string()))?;
        contract.abi.map(Self).ok_or_else(|| InvalidAbi::Json("it has no `abi`".into()))
    }

    /// The function of this name, or of this signature: `set`, `set(uint256)`.
    ///
    /// # Errors
    ///
    /// If there is none, or if several functions have the name; if its types are refused as by
    /// [`Function::parse`].
    pub fn function(&self, text: &str) -> Result<Function, InvalidAbi> {
        let text = text.trim();
        let (name, selector) = if text.contains('(') {
            let function = Function::parse(text)?;
            (function.name().to_owned(), Some(function.function.selector()))
        } else {
            (text.to_owned(), None)
        };
        let all = self.0.function(&name).map_or(&[][..], Vec::as_slice);
        let found = all.iter().filter(|one| selector.is_none_or(|it| it == one.selector()));
        match found.collect::<Vec<_>>()[..] {
            [function] => Function::new(function.clone()),
            [] => Err(InvalidAbi::NoFunction {
                wanted: printable(text),
                known: self.0.functions().map(|function| function.signature()).collect(),
            }),
            ref several => Err(InvalidAbi::Overloaded {
                signatures: several.iter().map(|function| function.signature()).collect(),
            }),
        }
    }

    /// The error with which a contract reverted, if it is in the ABI or a standard one:
    /// `Error(string)`, `Panic(uint256)`.
    pub fn error(&self, revert: &Revert) -> Option<ContractError> {
        let (selector, data) = revert.data.split_first_chunk::<4>()?;
        let standard = match *selector {
            RevertReason::SELECTOR => Some(("Error", "string reason")),
            Panic::SELECTOR => Some(("Panic", "uint256 code")),
            _ => None,
        };
        if let Some((name, param)) = standard {
            let param = Param::parse(param).ok()?;
            return ContractError::decode(name, &[param], data);
        }
        let mut errors = self.0.errors().filter(|error| error.selector() == *selector);
        errors.find_map(|error| ContractError::decode(&error.name, &error.inputs, data))
    }
}

/// An error with which a contract reverts, decoded; printed as in Rust: `TooSmall { given: 0,
/// least: 1 }`.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct ContractError {
    /// The name.
    pub name: String,
    /// The values with their names, which may be empty.
    pub values: Vec<(String, Value)>,
}

impl ContractError {
    fn decode(name: &str, params: &[Param], data: &[u8]) -> Option<Self> {
        let values = decoder::decode(&resolve(params).ok()?, data).ok()?;
        let names = params.iter().map(|param| param.name.clone());
        Some(Self { name: name.into(), values: names.zip(values.into_iter().map(Value)).collect() })
    }

    /// The meaning of the compiler's own error, `Panic(uint256)`, if it is known.
    pub fn panic(&self) -> Option<&'static str> {
        let [(_, Value(DynSolValue::Uint(code, 256)))] = self.values[..] else { return None };
        let kind = u32::try_from(code).ok().and_then(PanicKind::from_number);
        (self.name == "Panic").then(|| kind.map_or("unknown code", PanicKind::as_str))
    }
}

impl fmt::Display for ContractError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let (Some(meaning), [(_, Value(DynSolValue::Uint(code, _)))]) =
            (self.panic(), &self.values[..])
        {
            return write!(f, "Panic({code:#04x}): {meaning}");
        }
        if let ("Error", [(_, Value(DynSolValue::String(reason)))]) =
            (self.name.as_str(), &self.values[..])
        {
            return f.write_str(&printable(reason));
        }
        f.write_str(&self.name)?;
        let named = !self.values.is_empty() && self.values.iter().all(|(name, _)| !name.is_empty());
        f.write_str(if named { " { " } else { "(" })?;
        for (n, (name, value)) in self.values.iter().enumerate() {
            f.write_str(if n > 0 { ", " } else { "" })?;
            match named {
                true => write!(f, "{name}: {value}")?,
                false => value.fmt(f)?,
            }
        }
        f.write_str(if named { " }" } else { ")" })
    }
}

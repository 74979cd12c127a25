//! The types of parameters, within limits: texts come from users and files, and a short text can
//! say a large type.

use super::error::InvalidAbi;
use alloy_dyn_abi::{DynSolType, Specifier};
use alloy_json_abi::Param;

/// Checks a signature before it is parsed: parsers call themselves for each parenthesis.
pub(super) fn check_text(signature: &str) -> Result<(), InvalidAbi> {
    if signature.len() > MAX_SIGNATURE {
        return Err(InvalidAbi::TooLong { len: signature.len(), limit: MAX_SIGNATURE });
    }
    let mut depth = 0_usize;
    for byte in signature.bytes() {
        match byte {
            b'(' => depth += 1,
            b')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        // One parenthesis is that of the parameters.
        if depth > MAX_DEPTH + 1 {
            return Err(InvalidAbi::TooDeep { limit: MAX_DEPTH });
        }
    }
    Ok(())
}

/// The types of parameters.
pub(super) fn resolve(params: &[Param]) -> Result<Vec<DynSolType>, InvalidAbi> {
    let types = params.iter().map(|param| {
        if depth(param) > MAX_DEPTH {
            return Err(InvalidAbi::TooDeep { limit: MAX_DEPTH });
        }
        let unnamed = Param { internal_type: None, ..param.clone() };
        let refused = |reason: String| InvalidAbi::Type { ty: type_text(param), reason };
        let ty: DynSolType = unnamed.resolve().map_err(|_| refused("is no type".into()))?;
        match least_words(&ty) {
            0 => Err(refused("has a tuple without members".into())),
            words if words > MAX_WORDS => {
                let limit = (MAX_WORDS * WORD) >> 20;
                Err(refused(format!("takes more than {limit} MiB")))
            }
            _ => Ok(ty),
        }
    });
    let types = types.collect::<Result<Vec<_>, _>>()?;
    let words = types.iter().fold(0_usize, |sum, ty| sum.saturating_add(least_words(ty)));
    match words {
        0..=MAX_WORDS => Ok(types),
        _ => Err(InvalidAbi::TooLong { len: words.saturating_mul(WORD), limit: MAX_WORDS * WORD }),
    }
}

/// The type as text, shortened: `(uint256,string)[]`.
pub(super) fn type_text(param: &Param) -> String {
    let text = param.selector_type();
    crate::rpc::printable(&text)
}

/// Whether values of the type stand behind an offset.
pub(super) fn is_dynamic(ty: &DynSolType) -> bool {
    match ty {
        DynSolType::Bytes | DynSolType::String | DynSolType::Array(_) => true,
        DynSolType::FixedArray(element, _) => is_dynamic(element),
        DynSolType::Tuple(members) => members.iter().any(is_dynamic),
        _ => false,
    }
}

/// The number of words of a value's head: its offset, or all of it.
pub(super) fn head_words(ty: &DynSolType) -> usize {
    if is_dynamic(ty) { 1 } else { least_words(ty) }
}

/// The number of words without which there is no value of the type; 0 if a tuple is empty.
fn least_words(ty: &DynSolType) -> usize {
    match ty {
        DynSolType::FixedArray(element, len) => least_words(element).saturating_mul(*len),
        DynSolType::Tuple(members) => {
            let words = members.iter().map(least_words);
            // An empty tuple anywhere makes the whole empty, so that it is found.
            words
                .reduce(
                    |sum, words| if sum.min(words) == 0 { 0 } else { sum.saturating_add(words) },
                )
                .unwrap_or(0)
        }
        DynSolType::Array(element) => least_words(element).min(1),
        _ => 1,
    }
}

/// How deep a parameter's type is nested: arrays and tuples.
fn depth(param: &Param) -> usize {
    let arrays = param.ty.bytes().filter(|&byte| byte == b'[' || byte == b'(').count();
    1 + arrays + param.components.iter().map(depth).max().unwrap_or(0)
}

/// The bytes of a word of the encoding.
pub(super) const WORD: usize = 32;
/// How deep types may be nested.
const MAX_DEPTH: usize = 32;
/// The longest signature, in bytes.
const MAX_SIGNATURE: usize = 64 << 10;
/// The most words that a value of a type may need at least: 32 MiB.
const MAX_WORDS: usize = 1 << 20;

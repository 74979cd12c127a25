//! Bindings in Rust, generated from an ABI in JSON.

use super::Abi;
use super::error::InvalidAbi;
use alloy_json_abi::ToSolConfig;

/// Generates bindings of a contract: Rust to be written to a file of a program that depends on
/// `tidings-eth`.
///
/// They are those of `sol!(TypeName, "file.abi")`, without the file, and show a reader what the
/// contract has.
///
/// # Errors
///
/// If the text is no ABI in JSON, or has names that Rust cannot have; if the type name is no
/// identifier.
///
/// ```
/// let abi = r#"[{"type": "function", "name": "get", "inputs": [], "stateMutability": "view",
///     "outputs": [{"name": "", "type": "uint256"}]}]"#;
/// let bindings = tidings_eth::abi::abigen(abi, "CallDemo")?;
/// assert!(bindings.contains("tidings_eth::sol! {"));
/// assert!(bindings.contains("function get() external view returns (uint256);"));
/// # Ok::<(), tidings_eth::abi::InvalidAbi>(())
/// ```
pub fn abigen(abi_json: &str, type_name: &str) -> Result<String, InvalidAbi> {
    if !is_identifier(type_name) || KEYWORDS.contains(&type_name) {
        return Err(InvalidAbi::TypeName(crate::rpc::printable(type_name)));
    }
    let Abi(mut abi) = Abi::parse(abi_json)?;
    abi.dedup();
    // `to_sol` replaces a dollar, and with it the selector.
    let functions = abi.functions().map(|function| &function.name);
    let names = functions.chain(abi.errors().map(|error| &error.name));
    let mut names = names.chain(abi.events().map(|event| &event.name));
    if let Some(name) = names.find(|name| name.contains('$')) {
        return Err(InvalidAbi::Json(format!("Rust has no names like `{name}`")));
    }
    let config = ToSolConfig::new().print_constructors(true).for_sol_macro(true);
    let solidity = abi.to_sol(type_name, Some(config));
    check(&solidity)?;
    let mut bindings = format!(
        "// Bindings of {type_name}, generated from its ABI by `tidings eth abigen`.\n\n\
         tidings_eth::sol! {{\n"
    );
    for line in solidity.trim_end().lines() {
        let indent = if line.is_empty() { "" } else { "    " };
        bindings.extend([indent, line, "\n"]);
    }
    bindings.push_str("}\n");
    Ok(bindings)
}

/// Checks that Solidity stays what it is between the braces of a macro: the names in an ABI may be
/// anybody's text.
fn check(solidity: &str) -> Result<(), InvalidAbi> {
    let known = |char: char| char.is_ascii_alphanumeric() || "_ \n(){}[],;.".contains(char);
    if let Some(char) = solidity.chars().find(|&char| !known(char)) {
        return Err(InvalidAbi::Json(format!("a name has {char:?}, which Rust's names have not")));
    }
    let mut depth = 0_usize;
    for char in solidity.chars() {
        match char {
            '{' => depth += 1,
            '}' if depth == 0 => return Err(InvalidAbi::Json("a name has a brace".into())),
            '}' => depth -= 1,
            _ => {}
        }
    }
    if depth == 0 { Ok(()) } else { Err(InvalidAbi::Json("a name has a brace".into())) }
}

fn is_identifier(text: &str) -> bool {
    let letters = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    letters
        && text.bytes().any(|byte| byte != b'_')
        && !text.starts_with(|c: char| c.is_ascii_digit())
}

/// Words that Rust or Solidity keep for themselves.
const KEYWORDS: &[&str] = &[
    "Self",
    "abstract",
    "address",
    "as",
    "async",
    "await",
    "become",
    "bool",
    "box",
    "break",
    "bytes",
    "const",
    "continue",
    "contract",
    "crate",
    "do",
    "dyn",
    "else",
    "enum",
    "error",
    "event",
    "extern",
    "false",
    "final",
    "fn",
    "for",
    "function",
    "gen",
    "if",
    "impl",
    "in",
    "int",
    "interface",
    "is",
    "let",
    "library",
    "loop",
    "macro",
    "mapping",
    "match",
    "memory",
    "mod",
    "move",
    "mut",
    "override",
    "priv",
    "pub",
    "public",
    "ref",
    "return",
    "returns",
    "self",
    "static",
    "string",
    "struct",
    "super",
    "trait",
    "true",
    "try",
    "type",
    "typeof",
    "uint",
    "unsafe",
    "unsized",
    "use",
    "using",
    "virtual",
    "where",
    "while",
    "yield",
];

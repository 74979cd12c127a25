//! Our encodings are those of `cast` and of ethers, which shares no code with ours.

use crate::nodes::program;
use serde_json::{Value as Json, json};
use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use tidings_eth::abi::alloy_dyn_abi::{DynSolType, DynSolValue};
use tidings_eth::abi::{Function, Value};
use tidings_eth::alloy_primitives::{U256, hex};
use tidings_sim::SimRng;

#[test]
fn encodings_equal_those_of_cast_and_ethers() {
    let (Some(cast), Some(_)) = (program("cast"), program("../node_modules/ethers/package.json"))
    else {
        return;
    };
    let batches: Vec<_> = (0..BATCHES).map(Batch::draw).collect();
    let check = |first: usize| {
        for batch in batches.iter().skip(first).step_by(2) {
            batch.check_with_cast(&cast);
        }
    };
    thread::scope(|scope| {
        scope.spawn(|| check(0));
        scope.spawn(|| check(1));
    });
    check_with_ethers(&batches);
}

#[test]
fn altered_encodings_decode_to_what_others_read_or_not_at_all() {
    let mut decoded = 0;
    for seed in 0..200 {
        let batch = Batch::draw(seed);
        let types = batch.function.outputs().to_vec();
        let types = DynSolType::Tuple(types);
        let mut draw = Draw::new(!seed);
        for _ in 0..20 {
            let mut data = batch.data.clone();
            draw.alter(&mut data);
            // Ours refuses more: what is read too often, and texts that are not UTF-8.
            let Ok(ours) = batch.function.decode(&data) else { continue };
            let ours = DynSolValue::Tuple(ours.into_iter().map(|Value(value)| value).collect());
            assert_eq!(types.abi_decode_params(&data).as_ref(), Ok(&ours), "seed {seed}");
            decoded += 1;
        }
    }
    assert!(decoded > 500, "{decoded} of 4,000");
}

/// Twenty parameters with values of a seed, checked in one run of `cast`.
struct Batch {
    seed: u64,
    function: Function,
    types: Vec<String>,
    texts: Vec<String>,
    values: Vec<Json>,
    /// Our encoding, without the selector.
    data: Vec<u8>,
}

impl Batch {
    fn draw(seed: u64) -> Self {
        let mut draw = Draw::new(seed);
        let mut batch = Self {
            seed,
            function: Function::parse("f()").unwrap(),
            types: Vec::new(),
            texts: Vec::new(),
            values: Vec::new(),
            data: Vec::new(),
        };
        for _ in 0..PARAMETERS {
            let ty = draw.parameter();
            let (mut text, value) = (String::new(), draw.value(&ty));
            write_text(&mut text, &ty, &value);
            batch.types.push(ty.to_text());
            batch.texts.push(text);
            batch.values.push(value);
        }
        let types = batch.types.join(",");
        let signature = format!("f({types})({types})");
        batch.function = Function::parse(&signature)
            .unwrap_or_else(|error| panic!("seed {seed}: {signature}: {error}"));
        let data = batch.function.encode(&batch.texts);
        let data = data.unwrap_or_else(|error| panic!("seed {seed}: {signature}: {error}"));
        batch.data = data[4..].to_vec();
        batch.check_decoded();
        batch
    }

    /// Our decoder gives back what was encoded.
    fn check_decoded(&self) {
        let decoded = self.function.decode(&self.data);
        let decoded = decoded.unwrap_or_else(|error| panic!("seed {}: {error}", self.seed));
        let decoded: Vec<_> = decoded.iter().map(Value::to_json).collect();
        let decoded = Json::from(decoded).to_string().to_lowercase();
        assert_eq!(decoded, Json::from(self.values.clone()).to_string().to_lowercase());
    }

    fn check_with_cast(&self, cast: &Path) {
        let signature = format!("f({})", self.types.join(","));
        let mut command = Command::new(cast);
        command.args(["abi-encode", &signature, "--"]).args(&self.texts);
        let output = command.output().unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "seed {}: {signature}: {error}", self.seed);
        let theirs = String::from_utf8(output.stdout).unwrap();
        let ours = hex::encode_prefixed(&self.data);
        assert_eq!(ours, theirs.trim(), "seed {}: {signature}: {:?}", self.seed, self.texts);
    }
}

/// Runs all batches through one process, which encodes our values and decodes our bytes.
fn check_with_ethers(batches: &[Batch]) {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = tests.join("../../target/eth");
    // A module finds packages beside or above its file.
    let script = folder.join("ethers.mjs");
    std::fs::copy(tests.join("eth/ethers.mjs"), &script).unwrap();
    let mut node = Command::new("node")
        .arg(&script)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = node.stdin.take().unwrap();
    let replies = BufReader::new(node.stdout.take().unwrap()).lines();
    thread::scope(|scope| {
        scope.spawn(move || {
            for batch in batches {
                let types = &batch.types;
                let data = hex::encode_prefixed(&batch.data);
                writeln!(stdin, "{}", json!({"types": types, "values": batch.values})).unwrap();
                writeln!(stdin, "{}", json!({"types": types, "data": data})).unwrap();
            }
        });
        let expected = batches.iter().flat_map(|batch| [batch, batch]);
        let mut count = 0;
        for (batch, reply) in expected.zip(replies) {
            let reply: Json = serde_json::from_str(&reply.unwrap()).unwrap();
            let ours = json!({ "data": hex::encode_prefixed(&batch.data) });
            assert_eq!(ours, reply, "seed {}: {:?} {:?}", batch.seed, batch.types, batch.texts);
            count += 1;
        }
        assert_eq!(count, 2 * batches.len());
    });
    assert!(node.wait().unwrap().success());
}

enum Type {
    Uint(usize),
    Int(usize),
    Bool,
    Address,
    FixedBytes(usize),
    Bytes,
    String,
    Array(Box<Self>),
    FixedArray(Box<Self>, usize),
    Tuple(Vec<Self>),
}

impl Type {
    fn to_text(&self) -> String {
        match self {
            Self::Uint(bits) => format!("uint{bits}"),
            Self::Int(bits) => format!("int{bits}"),
            Self::Bool => "bool".into(),
            Self::Address => "address".into(),
            Self::FixedBytes(len) => format!("bytes{len}"),
            Self::Bytes => "bytes".into(),
            Self::String => "string".into(),
            Self::Array(element) => format!("{}[]", element.to_text()),
            Self::FixedArray(element, len) => format!("{}[{len}]", element.to_text()),
            Self::Tuple(members) => {
                let members: Vec<_> = members.iter().map(Self::to_text).collect();
                format!("({})", members.join(","))
            }
        }
    }
}

/// The argument that stands for a value.
fn write_text(out: &mut String, ty: &Type, value: &Json) {
    let list = |out: &mut String, types: &mut dyn Iterator<Item = &Type>, around: [char; 2]| {
        out.push(around[0]);
        for (n, (value, ty)) in value.as_array().unwrap().iter().zip(types).enumerate() {
            out.push_str(["", ",", ", "][if n == 0 { 0 } else { 1 + n % 2 }]);
            write_text(out, ty, value);
        }
        out.push(around[1]);
    };
    match ty {
        Type::Array(element) | Type::FixedArray(element, _) => {
            list(out, &mut std::iter::repeat(&**element), ['[', ']']);
        }
        Type::Tuple(members) => list(out, &mut members.iter(), ['(', ')']),
        // No text of ours has both kinds of quotes.
        Type::String => {
            let text = value.as_str().unwrap();
            let quote = if text.contains('"') { '\'' } else { '"' };
            write!(out, "{quote}{text}{quote}").unwrap();
        }
        Type::Bool => write!(out, "{value}").unwrap(),
        _ => out.push_str(value.as_str().unwrap()),
    }
}

/// Draws types and values.
struct Draw(SimRng);

impl Draw {
    fn new(seed: u64) -> Self {
        Self(SimRng::new(seed, 0))
    }

    /// Sets a word, or a byte, of an encoding: most words are offsets, lengths and zeros.
    fn alter(&mut self, data: &mut Vec<u8>) {
        let word = 32 * self.below(data.len() / 32);
        let value = [0, 1, 31, 32, 33, 64, data.len() as u64, 1 << 31, u64::MAX][self.below(9)];
        match self.below(4) {
            0 => data.truncate(word),
            1 => data[word + self.below(32)] ^= 1 << self.below(8),
            2 => data[word..word + 32].fill(0xff),
            _ => data[word + 24..word + 32].copy_from_slice(&value.to_be_bytes()),
        }
    }

    fn next(&mut self) -> u64 {
        self.0.u64()
    }

    fn below(&mut self, bound: usize) -> usize {
        self.0.below(bound)
    }

    /// A parameter's type, most often a tuple.
    fn parameter(&mut self) -> Type {
        if self.below(4) == 0 { self.ty(3) } else { Type::Tuple(self.members(3)) }
    }

    fn members(&mut self, depth: usize) -> Vec<Type> {
        let len = 1 + self.below(4);
        (0..len).map(|_| self.ty(depth - 1)).collect()
    }

    fn ty(&mut self, depth: usize) -> Type {
        match self.below(if depth == 0 { 7 } else { 11 }) {
            0 => Type::Uint(8 * (1 + self.below(32))),
            1 => Type::Int(8 * (1 + self.below(32))),
            2 => Type::Bool,
            3 => Type::Address,
            4 => Type::FixedBytes(1 + self.below(32)),
            5 => Type::Bytes,
            6 => Type::String,
            7 | 8 => Type::Array(Box::new(self.ty(depth - 1))),
            9 => Type::FixedArray(Box::new(self.ty(depth - 1)), 1 + self.below(4)),
            _ => Type::Tuple(self.members(depth)),
        }
    }

    fn bytes(&mut self, len: usize) -> String {
        let bytes: Vec<_> = (0..len).map(|_| self.next().to_be_bytes()[0]).collect();
        hex::encode_prefixed(bytes)
    }

    /// A value as JSON, as both ethers and `Value::to_json` have it.
    fn value(&mut self, ty: &Type) -> Json {
        match ty {
            Type::Uint(bits) => number(false, &self.magnitude(*bits)),
            Type::Int(bits) => {
                let negative = self.below(2) == 0;
                // The least number has one more than the greatest.
                let least = negative && self.below(4) == 0;
                let magnitude = if least { power(*bits - 1) } else { self.magnitude(*bits - 1) };
                number(negative, &magnitude)
            }
            Type::Bool => (self.below(2) == 0).into(),
            Type::Address => self.bytes(20).into(),
            Type::FixedBytes(len) => self.bytes(*len).into(),
            Type::Bytes => {
                let len = [0, 1, 31, 32, 33, 100][self.below(6)];
                self.bytes(len).into()
            }
            Type::String => self.text().into(),
            Type::Array(element) => {
                let len = self.below(4);
                (0..len).map(|_| self.value(element)).collect()
            }
            Type::FixedArray(element, len) => (0..*len).map(|_| self.value(element)).collect(),
            Type::Tuple(members) => members.iter().map(|member| self.value(member)).collect(),
        }
    }

    /// A number of at most so many bits: 0, 1, the greatest, or any.
    fn magnitude(&mut self, bits: usize) -> U256 {
        let greatest = power(bits).wrapping_sub(U256::ONE);
        match self.below(5) {
            0 => U256::ZERO,
            1 => U256::ONE & greatest,
            2 => greatest,
            _ => U256::from_limbs([self.next(), self.next(), self.next(), self.next()]) & greatest,
        }
    }

    fn text(&mut self) -> String {
        let len = [0, 1, 5, 31, 32, 40][self.below(6)];
        let quote = ["\"", "'"][self.below(2)];
        let pieces = [
            "a", "Z", "0", " ", ",", ", ", "(", ")", "[", "]", "\\", "\\n", "\n", "\t", "0x", "ß",
            "é", "漢", "🦀", "\u{301}", "-", "{", "true", quote,
        ];
        (0..len).map(|_| pieces[self.below(pieces.len())]).collect()
    }
}

/// Two to the power of `bits`; 0 for 256.
fn power(bits: usize) -> U256 {
    U256::ONE.checked_shl(bits).unwrap_or_default()
}

fn number(negative: bool, magnitude: &U256) -> Json {
    let sign = if negative && !magnitude.is_zero() { "-" } else { "" };
    format!("{sign}{magnitude}").into()
}

/// 10,000 parameters together.
const BATCHES: u64 = 500;
const PARAMETERS: usize = 20;

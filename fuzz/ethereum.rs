//! Fuzz targets of `tidings-eth`: what hostile gateways and contracts send to a caller.

#![allow(unreachable_pub)]

use std::collections::VecDeque;
use std::mem::discriminant;
use std::sync::OnceLock;
use std::time::Duration;
use tidings::Instant;
use tidings_eth::abi::Function;
use tidings_eth::alloy_primitives::{Address, hex};
use tidings_eth::alloy_sol_types::{SolCall, SolError, SolInterface};
use tidings_eth::{
    Answer, CallError, CallOptions, Caller, CallerOutput, Candidates, Endpoint, Request, Revert,
    sol,
};

sol! {
    interface Contract {
        struct Leaf { string name; bytes data; uint8[] small; }
        struct Tree { Leaf[] leaves; int256[2][] pairs; bytes4[3] selectors; }

        error Texts(string[][] texts);
        error Trees(Tree[] trees);

        function words() external view returns (uint256[][][] words);
        function texts() external view returns (string[] texts, bytes[][] data);
        function trees() external view returns (Tree[] trees, bool flag, address who);
        function fixedTexts() external view returns (string[2][3][] texts, uint64 number);
    }
}

/// Fuzzes replies over HTTP: those of successive connections, with a NUL between them.
pub fn http(bytes: &[u8]) {
    converse(bytes, ["http://10.0.0.7:8545", "http://10.0.0.8:8545"]);
}

/// Fuzzes replies over a Unix socket.
pub fn ipc(bytes: &[u8]) {
    converse(bytes, ["/run/first.ipc", "/run/second.ipc"]);
}

/// Fuzzes the decoding of what a contract returned, or reverted with: the bytes as they are, and
/// with each as a small number in a word of its own. Text is also parsed as a signature.
pub fn abi(bytes: &[u8]) {
    if let Ok(function) = Function::parse(&String::from_utf8_lossy(bytes)) {
        drop(function.decode(&[0; 256]));
    }
    let word = |byte: u8| {
        let mut word = [0; 32];
        let number = u16::from(byte & 0x7f) * if byte < 0x80 { 32 } else { 1 };
        word[30..].copy_from_slice(&number.to_be_bytes());
        word
    };
    static FUNCTIONS: OnceLock<[Function; 4]> = OnceLock::new();
    let [words, texts, trees, fixed_texts] = FUNCTIONS.get_or_init(|| {
        let texts = "texts()(string[],bytes[][])";
        let signatures =
            ["words()(uint256[][][])", texts, TREES, "fixedTexts()(string[2][3][],uint64)"];
        signatures.map(|signature| Function::parse(signature).expect("a good signature"))
    });
    for data in [bytes.to_vec(), bytes.iter().flat_map(|&byte| word(byte)).collect()] {
        let answer = answer(&data);
        decode::<Contract::wordsCall>(words, &answer, &data);
        decode::<Contract::textsCall>(texts, &answer, &data);
        decode::<Contract::treesCall>(trees, &answer, &data);
        decode::<Contract::fixedTextsCall>(fixed_texts, &answer, &data);
        let selectors = [Contract::Texts::SELECTOR, Contract::Trees::SELECTOR];
        // `Error(string)` and `Panic(uint256)`.
        for selector in
            [[0x08, 0xc3, 0x79, 0xa0], [0x4e, 0x48, 0x7b, 0x71]].iter().chain(&selectors)
        {
            decode_revert(&[selector, &data[..]].concat());
        }
    }
}

/// Feeds replies to a caller with two gateways, in pieces and as a whole, with the same outcome.
fn converse(bytes: &[u8], gateways: [&str; 2]) {
    let [kind, piece, replies @ ..] = bytes else { return };
    let mut outcomes = Vec::new();
    for piece in [usize::from(*piece) + 1, usize::MAX] {
        let used =
            allocation_counter::measure(|| outcomes.push(run(*kind, piece, replies, gateways)));
        let most = MEMORY_PER_BYTE * bytes.len() + MEMORY_OF_A_CALL;
        assert!(used.bytes_max <= most as u64, "{} bytes for {}", used.bytes_max, bytes.len());
    }
    match &outcomes[..] {
        [Ok(one), Ok(other)] => assert_eq!(one, other),
        [Err(one), Err(other)] => assert_eq!(discriminant(one), discriminant(other)),
        differ => panic!("the pieces decide: {differ:?}"),
    }
}

/// Runs a call to its end, and checks what a caller promises.
fn run(kind: u8, piece: usize, replies: &[u8], gateways: [&str; 2]) -> Result<Answer, CallError> {
    let mut replies: VecDeque<_> = replies.split(|&byte| byte == 0).collect();
    let endpoints = gateways.map(|text| text.parse::<Endpoint>().expect("a good endpoint"));
    let mut options = CallOptions::default();
    options.max_reply = 4096;
    options.chain = (kind & 0x10 != 0).then_some(31337);
    options.agree = 1 + usize::from(kind & 0x20 != 0);
    let mut now = Instant::ZERO;
    let candidates = Candidates::from(endpoints.to_vec());
    let mut caller = Caller::new(request(kind % 5), candidates, options, now);
    let (mut connections, mut sent) = (0, 0);
    let mut open: Option<VecDeque<&[u8]>> = None;
    loop {
        while let Some(output) = caller.poll_output() {
            match output {
                CallerOutput::Connect { bytes, .. } => {
                    assert!(open.is_none(), "at most one connection is open");
                    connections += 1;
                    assert!(connections < 100, "a call ends");
                    sent += usize::from(text(&bytes).contains("eth_sendTransaction"));
                    open = Some(replies.pop_front().unwrap_or_default().chunks(piece).collect());
                    caller.handle_connected();
                }
                CallerOutput::Close => assert!(open.take().is_some(), "a connection is open"),
                CallerOutput::Done(result) => {
                    assert!(open.is_none() && caller.poll_output().is_none(), "the end is the end");
                    assert!(sent <= 1, "a node signs one transaction");
                    return result;
                }
            }
        }
        match open.as_mut().map(VecDeque::pop_front) {
            Some(Some(bytes)) => caller.handle_received(bytes, now),
            // Without further replies the gateways are silent.
            Some(None) if !replies.is_empty() => caller.handle_closed(now),
            _ => {
                now = caller.poll_timeout().expect("without a result it waits for something");
                caller.handle_timeout(now);
            }
        }
    }
}

fn request(kind: u8) -> Request {
    match kind {
        0 => Request::call_raw(Address::ZERO, &[1, 2, 3, 4], true),
        1 => Request::call_raw(Address::ZERO, &[1, 2, 3, 4], false),
        2 => Request::read("eth_syncing", "[]").expect("a read"),
        3 => Request::send_transaction("{}").expect("a transaction"),
        _ => Request::send_raw_transaction(b"signed"),
    }
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("requests are text")
}

/// The outcome of a call for which a node has this outcome.
fn outcome(request: Request, outcome: &str) -> Result<Answer, CallError> {
    let endpoints = vec!["/node.ipc".parse().expect("a good endpoint")];
    let now = Instant::ZERO + Duration::from_secs(1);
    let mut caller = Caller::new(request, endpoints.into(), CallOptions::default(), now);
    let number = r#""result":"0x1""#;
    let reply = format!(r#"[{{"id":0,{number}}},{{"id":1,{number}}},{{"id":2,{outcome}}}]"#);
    caller.handle_connected();
    caller.handle_received(reply.as_bytes(), now);
    while let Some(output) = caller.poll_output() {
        if let CallerOutput::Done(result) = output {
            return result;
        }
    }
    panic!("a reply ends the call")
}

fn answer(data: &[u8]) -> Answer {
    let result = format!(r#""result":"{}""#, hex::encode_prefixed(data));
    outcome(request(2), &result).expect("an answer")
}

/// Decodes in bounded memory, by the binding and by the signature of a function; values that were
/// decoded once are encoded and decoded again.
fn decode<C: SolCall>(function: &Function, answer_of_data: &Answer, data: &[u8]) {
    let signature = function.signature();
    assert_eq!(signature, C::SIGNATURE);
    let (mut decoded, mut values) = (None, None);
    bounded(data, || decoded = answer_of_data.decode::<C>().ok());
    bounded(data, || values = function.decode(data).ok());
    let Some(decoded) = decoded else {
        return assert!(values.is_none(), "{signature} decodes {}", hex::encode(data));
    };
    let encoded = C::abi_encode_returns(&decoded);
    let again = answer(&encoded).decode::<C>().expect("an encoding decodes");
    assert_eq!(C::abi_encode_returns(&again), encoded);
    let again = function.decode(&encoded).expect("an encoding decodes by the signature");
    // One of them may refuse data that point to a part many times.
    if encoded.len() <= data.len() {
        assert_eq!(values, Some(again), "{signature}: {}", hex::encode(data));
    }
}

fn decode_revert(data: &[u8]) {
    let error = format!(r#""error":{{"code":3,"data":"{}"}}"#, hex::encode_prefixed(data));
    let Err(CallError::Reverted(revert)) = outcome(request(0), &error) else {
        panic!("a revert is final")
    };
    let again = |revert: &Revert| revert.decode::<Contract::ContractErrors>();
    bounded(data, || drop(again(&revert)));
    bounded(data, || assert!(revert.to_string().len() < 3000, "a revert is shown in few lines"));
    if let Some(error) = again(&revert) {
        assert_eq!(error.abi_encode()[..4], data[..4]);
    }
}

fn bounded(data: &[u8], work: impl FnOnce()) {
    let used = allocation_counter::measure(work).bytes_max;
    let most = MEMORY_PER_BYTE * data.len() + MEMORY_OF_A_CALL;
    assert!(used <= most as u64, "{used} bytes for {}", data.len());
}

/// The signature of the binding `trees`.
const TREES: &str = "trees()(((string,bytes,uint8[])[],int256[2][],bytes4[3])[],bool,address)";
/// Memory for each byte that a peer sent.
const MEMORY_PER_BYTE: usize = 16;
/// Memory that a call takes whatever a peer sends.
const MEMORY_OF_A_CALL: usize = 128 << 10;

//! Final answers: reverts, decoded through the contract's ABI, and answers that do not decode.

use crate::CallDemo::CallDemoErrors;
use crate::nodes::{NODES, Node, chain, error, quantity, result};
use crate::script::{Gateway, Run, Script};
use crate::{CONTRACT, CallDemo, call, get};
use tidings_eth::alloy_primitives::U256;
use tidings_eth::alloy_sol_types::{Panic, SolError};
use tidings_eth::{CallError, Request, Revert};

fn set_zero() -> CallDemo::setCall {
    CallDemo::setCall { given: U256::ZERO }
}

/// The revert with which a call ended; nobody else was asked.
fn revert(run: Run) -> Revert {
    assert_eq!((&run.connected[..], &run.attempts[..]), (&[0][..], &[][..]), "{run:?}");
    match run.result {
        Err(CallError::Reverted(revert)) => revert,
        other => panic!("{other:?}"),
    }
}

/// The revert of each node, from its fixture.
fn reverts(case: &str, request: &Request) -> impl Iterator<Item = (Node, Revert)> {
    NODES.into_iter().map(move |node| {
        let gateways = [Gateway::replies(node, [node.fixture(case)]), Gateway::unused()];
        (node, revert(Script::new(request.clone(), gateways).run()))
    })
}

#[test]
fn a_custom_error_is_final_and_decoded() {
    for (node, revert) in reverts("revert_custom", &call(&set_zero())) {
        match revert.decode() {
            Some(CallDemoErrors::TooSmall(error)) => {
                assert_eq!((error.given, error.least), (U256::ZERO, U256::ONE), "{node}");
            }
            None => panic!("{node}: {revert}"),
        }
        assert_eq!(revert.reason(), None, "{node}");
        assert!(revert.to_string().starts_with("the contract reverted: 0xe94fe3af0000"), "{node}");
    }
}

#[test]
fn a_reason_is_final_and_decoded() {
    for (node, revert) in reverts("revert_string", &call(&CallDemo::failCall {})) {
        assert_eq!(revert.reason().as_deref(), Some("no luck"), "{node}");
        assert_eq!(revert.to_string(), "the contract reverted: no luck", "{node}");
        assert!(revert.decode::<CallDemoErrors>().is_none(), "{node}");
    }
}

#[test]
fn a_panic_is_final_and_shows_what_it_means() {
    let divide = CallDemo::divideCall { dividend: U256::ONE, divisor: U256::ZERO };
    for (node, revert) in reverts("revert_panic", &Request::call(CONTRACT, &divide)) {
        assert_eq!(Panic::abi_decode(&revert.data).unwrap().code.to::<u64>(), 0x12, "{node}");
        let shown = revert.to_string();
        let meant = "the contract reverted: panic: division or modulo by zero (0x12)";
        assert_eq!(shown, meant, "{node}");
    }
}

#[test]
fn a_revert_without_a_reason_is_final() {
    for (node, revert) in reverts("revert_empty", &Request::call_raw(CONTRACT, &[0; 4], true)) {
        assert!(revert.data.is_empty(), "{node}");
        assert!(revert.to_string().starts_with("the contract reverted: "), "{node}: {revert}");
    }
}

#[test]
fn a_revert_of_a_function_without_results_is_final() {
    for node in NODES {
        let outcomes = [chain(), quantity(1), node.outcome("revert_custom"), result("\"0x6080\"")];
        let gateways = [Gateway::replies(node, [node.reply(&outcomes)]), Gateway::unused()];
        let request = Request::call(CONTRACT, &set_zero());
        let revert = revert(Script::new(request, gateways).run());
        assert!(revert.decode::<CallDemoErrors>().is_some(), "{node}");
    }
}

#[test]
fn reverts_in_the_words_of_nodes_that_were_not_at_hand_are_final() {
    let with_data = |code: i64, message: &str, data: &str| {
        format!(r#"{},"data":{data}}}"#, error(code, message).trim_end_matches('}'))
    };
    for outcome in [
        // geth until 1.9.14, which has no data.
        error(-32000, "execution reverted"),
        // Besu.
        with_data(-32000, "Execution reverted", "\"0x\""),
        // Nethermind until 2025 (cowprotocol/watch-tower#11), and OpenEthereum.
        with_data(-32015, "VM execution error.", "\"Reverted 0x7a933234\""),
    ] {
        let reply = Node::Anvil.reply(&[chain(), quantity(1), outcome.clone()]);
        let gateways = [Gateway::replies(Node::Anvil, [reply]), Gateway::unused()];
        let revert = revert(Script::new(get(), gateways).run());
        assert_eq!(!revert.data.is_empty(), outcome.contains("7a933234"), "{outcome}");
    }
}

#[test]
fn only_a_call_reverts() {
    // Another read with a revert's error, for instance of a tracer, may succeed elsewhere.
    for node in NODES {
        let read = Request::read("debug_traceCall", "[]").unwrap();
        let first = Gateway::replies(node, [node.fixture("revert_custom")]);
        let second = Gateway::replies(node, [node.fixture("get")]);
        let run = Script::new(read, [first, second]).run();
        assert_eq!((&run.connected[..], run.result.is_ok()), (&[0, 1][..], true), "{node}");
    }
}

#[test]
fn an_answer_that_does_not_decode_is_final() {
    for node in NODES {
        // A number where a text is expected.
        let gateways = [Gateway::replies(node, [node.fixture("get")]), Gateway::unused()];
        let run = Script::new(Request::call(CONTRACT, &CallDemo::nameCall {}), gateways).run();
        assert_eq!(run.connected, [0], "{node}");
        let decoded = run.result.unwrap().decode::<CallDemo::nameCall>();
        assert!(matches!(decoded, Err(CallError::Undecodable(_))), "{node}: {decoded:?}");
    }
}

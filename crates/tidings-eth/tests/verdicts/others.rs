//! Faults that other clients have, or had: each is a test here.

use crate::nodes::{CHAIN, NODES, Node, chain, number as returns, proxy, quantity, result};
use crate::script::{Act, Gateway, Script};
use crate::{get, number, signed};
use tidings_eth::Fault;

/// A receipt of the signed transaction, which is all that a caller looks at.
fn receipt(status: u8) -> String {
    let hash = signed::request().transaction_hash().unwrap();
    result(&format!(r#"{{"transactionHash":"{hash:#x}","status":"{status:#x}"}}"#))
}

fn found(node: Node) -> Act {
    Act::Reply(node.receipt(&receipt(1), &result("{}")))
}

/// alloy#3186 and alloy#3211: the fallback layer returned "already known" from the second node.
#[test]
fn a_transaction_that_the_second_gateway_knows_already_returns_its_receipt() {
    for node in NODES {
        let first = Gateway::replies(node, [node.height(4)]).then(Act::Silent);
        let known = node.reply(&[node.outcome("raw_known")]);
        let second = Gateway::replies(node, [node.height(4), known]).then(found(node));
        let run = Script::new(signed::request(), [first, second]).run();
        assert_eq!(result(&run.result.unwrap().result), receipt(1), "{node}");
    }
}

/// ethers#3366: a provider that answers 401 ends the call.
#[test]
fn a_gateway_that_wants_a_password_is_not_the_end_of_the_call() {
    for node in NODES {
        let first = Gateway::replies(Node::Anvil, [proxy("unauthorized")]);
        let run = Script::new(get(), [first, Gateway::replies(node, [node.fixture("get")])]).run();
        assert_eq!(
            (number(&run.result), run.faults()),
            (2020, vec![&Fault::Status(401)]),
            "{node}"
        );
    }
}

/// ethers#4766: both endpoints are called at once. That at most one connection is ever open, the
/// driver of all these tests checks.
#[test]
fn a_second_gateway_is_left_alone_while_the_first_one_answers() {
    for node in NODES {
        let first = Gateway::replies(node, [node.fixture("get")]);
        let run = Script::new(get(), [first, Gateway::unused(), Gateway::unused()]).run();
        assert_eq!((number(&run.result), &run.connected[..]), (2020, &[0][..]), "{node}");
    }
}

/// ethers#4186: a transaction that succeeded is reported as an error.
#[test]
fn a_transaction_that_succeeded_is_a_success_though_its_nonce_is_used_when_it_is_sent_again() {
    for node in NODES {
        let first = Gateway::replies(node, [node.height(4)]).then(Act::Close(Vec::new()));
        let used = node.reply(&[node.outcome("raw_nonce_too_low")]);
        let second = Gateway::replies(node, [node.height(5), used]).then(found(node));
        let run = Script::new(signed::request(), [first, second]).run();
        assert_eq!(result(&run.result.unwrap().result), receipt(1), "{node}");
    }
}

/// ethers#1115: no quorum, because the providers are a block apart.
#[test]
fn gateways_whose_heights_differ_by_one_agree() {
    for node in NODES {
        for heights in [[9, 10, 9], [10, 9, 10], [9, 10, 11], [11, 10, 9]] {
            let gateways = heights.map(|height| {
                Gateway::replies(node, [node.height(height), node.reply(&[returns(2020)])])
            });
            let run = Script::new(get(), gateways).options(|to| to.agree = 3).run();
            assert_eq!((number(&run.result), run.attempts.len()), (2020, 0), "{node} {heights:?}");
        }
    }
}

/// hyperlane#2189: nothing checks whether a node has stalled.
#[test]
fn a_stalled_node_does_not_answer_with_an_old_number() {
    for node in NODES {
        let at = |height, value| node.reply(&[chain(), quantity(height), returns(value)]);
        let stalled = Gateway::replies(node, [at(100, 1999)]);
        let live = Gateway::replies(node, [at(1000, 2020)]);
        let script = Script::new(get(), [stalled, live]).reference(1000);
        let run = script.options(|to| to.chain = Some(CHAIN)).run();
        assert_eq!(number(&run.result), 2020, "{node}");
    }
}

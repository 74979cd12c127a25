//! `eth_sendRawTransaction`: a signed transaction may be sent again, and its receipt is the answer.

use crate::nodes::{CHAIN, NODES, Node, error, quantity, result};
use crate::script::{Act, Gateway, Run, Script};
use std::time::Duration;
use tidings_eth::alloy_primitives::{B256, hex};
use tidings_eth::{CallError, Fault, Request};

const SEND: &str = "eth_sendRawTransaction";

/// The transaction of the fixtures.
const SIGNED: &str = "02f891827a6904843b9aca008502540be400830186a0945fbdb2315678afecb367f032d93f64\
    2f64180aa380a460fe47b100000000000000000000000000000000000000000000000000000000000007e6c0809f\
    efb04edc6af8e0a43ddfdfcad3c33dfe50ad1dde9aab2258dedc0405857944a053937de0d7492b817a33b6641f8e\
    56266e9170584120e0260b7ebe90fa07a48b";

pub(crate) fn request() -> Request {
    Request::send_raw_transaction(&hex::decode(SIGNED).unwrap())
}

fn send(gateways: impl IntoIterator<Item = Gateway>) -> Run {
    Script::new(request(), gateways).options(|to| to.chain = Some(CHAIN)).run()
}

/// A gateway of a node, which is checked and then takes the transaction like this.
fn takes(node: Node, outcome: &str) -> Gateway {
    Gateway::replies(node, [node.height(4), node.reply(&[outcome.into()])])
}

/// The node's receipt of another transaction, as that of this one.
fn mined(node: Node, case: &str) -> String {
    #[derive(serde::Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Receipt {
        transaction_hash: String,
    }

    let receipt = node.outcome(case);
    let json = receipt.strip_prefix("\"result\":").unwrap();
    let other = serde_json::from_str::<Receipt>(json).unwrap().transaction_hash;
    receipt.replace(&other, &format!("{:#x}", request().transaction_hash().unwrap()))
}

fn found(node: Node) -> Act {
    Act::Reply(node.receipt(&mined(node, "receipt_found"), &known()))
}

/// The node has the transaction, but no block does.
fn pending(node: Node) -> Act {
    Act::Reply(node.receipt(&node.outcome("receipt_null"), &known()))
}

/// The node has no such transaction.
fn unknown(node: Node) -> Act {
    Act::Reply(node.receipt(&node.outcome("receipt_null"), &result("null")))
}

/// The outcome of `eth_getTransactionByHash`.
fn known() -> String {
    result(&format!(r#"{{"hash":"{:#x}"}}"#, request().transaction_hash().unwrap()))
}

/// The result is the receipt of a node.
fn is_receipt(run: &Run, node: Node) {
    let answer = run.result.as_ref().unwrap_or_else(|error| panic!("{node}: {error}"));
    assert_eq!(result(&answer.result), mined(node, "receipt_found"), "{node}");
}

#[test]
fn a_transactions_hash_is_known_before_it_is_sent() {
    let hash = "0x48d173e960a918a88e62a3f1bf1ae7ddde13d2d52bc9a9ae4e93ca04fa680c62";
    assert_eq!(request().transaction_hash(), hash.parse().ok());
    for node in NODES {
        assert_eq!(node.outcome("raw_pending"), result(&format!("\"{hash}\"")), "{node}");
    }
}

#[test]
fn the_receipt_of_a_transaction_is_its_answer() {
    for node in NODES {
        let run = send([takes(node, &node.outcome("raw_pending")).then(found(node))]);
        is_receipt(&run, node);
        assert_eq!((run.connected.len(), run.sent_to(SEND)), (3, vec![0]), "{node}");
        assert!(!run.sent[0].1.contains(SEND), "{node}: the chain is checked before");
    }
}

#[test]
fn a_receipt_is_asked_for_until_it_is_there() {
    for node in NODES {
        let gateway = takes(node, &node.outcome("raw_pending"));
        let gateway = gateway.then(pending(node)).then(unknown(node)).then(pending(node));
        let run = send([gateway.then(found(node)), Gateway::unused()]);
        is_receipt(&run, node);
        assert_eq!(run.sent_to("eth_getTransactionReceipt").len(), 4, "{node}");
        assert_eq!(run.took.as_millis() / 100, 15, "{node}: three pauses of 500 ms");
    }
}

#[test]
fn a_transaction_without_a_receipt_in_time_has_the_answer_null() {
    for node in NODES {
        let gateway = takes(node, &node.outcome("raw_pending")).then_always(pending(node));
        let run = send([gateway, Gateway::unused()]);
        assert_eq!(run.result.as_ref().unwrap().result, "null", "{node}");
        assert_eq!(run.took, Duration::from_secs(15), "{node}");
    }
}

#[test]
fn a_transaction_is_sent_again_after_a_timeout() {
    for node in NODES {
        for act in [Act::Silent, Act::Close(Vec::new()), Act::Reset] {
            let first = Gateway::replies(node, [node.height(4)]).then(act);
            let second = takes(node, &node.outcome("raw_pending")).then(found(node));
            let run = send([first, second]);
            is_receipt(&run, node);
            assert_eq!((run.sent_to(SEND), run.attempts.len()), (vec![0, 1], 1), "{node}");
        }
    }
}

#[test]
fn a_transaction_that_reverts_has_a_receipt_that_says_so() {
    // hardhat says so with an error for the transaction, too, and has mined it.
    for node in NODES {
        let reverted = mined(node, "receipt_reverted");
        let hash = result(&format!("\"{:#x}\"", request().transaction_hash().unwrap()));
        let outcome = match node {
            Node::Hardhat => node.outcome("raw_reverts"),
            _ => hash,
        };
        let gateway = takes(node, &outcome).then(Act::Reply(node.receipt(&reverted, &known())));
        let run = send([gateway, Gateway::unused()]);
        let receipt = run.result.unwrap().result;
        assert!(receipt.contains("\"status\":\"0x0\""), "{node}: {receipt}");
    }
}

#[test]
fn a_node_that_knows_the_transaction_has_accepted_it() {
    // "already imported", "Known transaction", and on ganache "transaction underpriced".
    for node in NODES {
        let gateway = takes(node, &node.outcome("raw_known"));
        let run = send([gateway.then(pending(node)).then(found(node)), Gateway::unused()]);
        is_receipt(&run, node);
        assert_eq!(run.attempts, [], "{node}");
        let gateway = takes(node, &node.outcome("raw_known")).then_always(pending(node));
        let run = send([gateway, Gateway::unused()]);
        assert_eq!(run.result.unwrap().result, "null", "{node}");
    }
}

#[test]
fn a_nonce_that_this_transaction_used_is_a_success() {
    for node in NODES {
        let gateway = takes(node, &node.outcome("raw_nonce_too_low")).then(found(node));
        let run = send([gateway, Gateway::unused()]);
        is_receipt(&run, node);
        assert_eq!(run.attempts, [], "{node}");
    }
}

#[test]
fn a_nonce_that_another_transaction_used_leads_to_the_next_gateway_and_is_the_reason() {
    for node in NODES {
        let used = || takes(node, &node.outcome("raw_nonce_too_low")).then(unknown(node));
        let run = send([used(), used()]);
        assert_eq!(run.sent_to(SEND), [0, 1], "{node}");
        let Err(error @ CallError::NoGateway(_)) = &run.result else { panic!("{node}: {run:?}") };
        assert!(error.to_string().contains("once"), "{node}: {error}");
        assert!(run.faults().iter().all(|fault| matches!(fault, Fault::Rpc(_))), "{node}");
        // The next gateway has mined it.
        let second = takes(node, &node.outcome("raw_nonce_too_low")).then(found(node));
        is_receipt(&send([used(), second]), node);
    }
}

#[test]
fn an_underpriced_transaction_that_nobody_knows_is_not_accepted() {
    for node in NODES {
        let outcome = error(-32003, "transaction underpriced");
        let run = send([takes(node, &outcome).then(unknown(node))]);
        assert!(matches!(run.faults()[..], [Fault::Rpc(error)] if error.code == -32003), "{node}");
        assert!(matches!(run.result, Err(CallError::NoGateway(_))), "{node}");
    }
}

#[test]
fn the_reason_of_a_refusal_stays_if_the_lookup_of_the_receipt_fails() {
    for node in NODES {
        let used = takes(node, &node.outcome("raw_nonce_too_low"));
        let run = send([used.then(Act::Silent)]);
        assert!(matches!(run.faults()[..], [Fault::Rpc(_), Fault::Timeout(_)]), "{node}: {run:?}");
    }
}

#[test]
fn a_transaction_is_never_sent_to_a_wrong_chain() {
    for node in NODES {
        let other = Gateway::replies(node, [node.reply(&[quantity(1), quantity(4)])]);
        let right = takes(node, &node.outcome("raw_pending")).then(found(node));
        let run = send([other, right]);
        is_receipt(&run, node);
        assert_eq!(run.sent_to(SEND), [1], "{node}");
    }
}

#[test]
fn the_lookup_survives_the_death_of_the_gateway_that_accepted() {
    for node in NODES {
        for death in [Act::Refuse, Act::Silent, Act::Reset, Act::Close(Vec::new())] {
            let first = takes(node, &node.outcome("raw_pending")).then_always(death);
            let second = Gateway::new(node, [unknown(node), found(node)]);
            let run = send([first, second]);
            is_receipt(&run, node);
            assert_eq!(
                (&run.connected[2..], run.sent_to(SEND)),
                (&[0, 1, 1][..], vec![0]),
                "{node}"
            );
        }
    }
}

#[test]
fn a_transaction_that_was_accepted_is_no_error_though_all_gateways_die() {
    for node in NODES {
        let first = takes(node, &node.outcome("raw_pending")).then_always(Act::Refuse);
        let run = send([first, Gateway::new(node, []).then_always(Act::Refuse)]);
        assert_eq!(run.result.as_ref().unwrap().result, "null", "{node}");
        assert_eq!((run.attempts.len(), run.took.as_secs()), (2, 15), "{node}: each is noted once");
    }
}

#[test]
fn the_lookup_returns_to_the_gateway_that_accepted_if_no_other_can_be_asked() {
    for node in NODES {
        let first = takes(node, &node.outcome("raw_pending")).then(Act::Silent).then(found(node));
        let tls = Gateway::unused().at("https://10.0.0.8");
        let run = send([first, tls]);
        is_receipt(&run, node);
        assert_eq!(run.sent_to(SEND), [0], "{node}");
    }
}

#[test]
fn a_receipt_of_another_transaction_is_no_receipt() {
    for node in NODES {
        let other = Act::Reply(node.receipt(&node.outcome("receipt_found"), &known()));
        let first = takes(node, &node.outcome("raw_pending")).then(other);
        let run = send([first, Gateway::new(node, [found(node)])]);
        is_receipt(&run, node);
        let wrong = Fault::Result("eth_getTransactionReceipt");
        assert_eq!(run.faults(), [&wrong], "{node}");
    }
}

#[test]
fn another_hash_than_the_transactions_is_no_acceptance() {
    for node in NODES {
        let other = result(&format!("\"{:#x}\"", B256::repeat_byte(7)));
        let run = send([takes(node, &other)]);
        assert_eq!(run.faults(), [&Fault::Result(SEND)], "{node}");
    }
}

#[test]
fn a_transaction_is_sent_to_each_gateway_once() {
    let dead = || Gateway::replies(Node::Anvil, [Node::Anvil.height(4)]).then(Act::Silent);
    let run = send([dead(), dead(), Gateway::new(Node::Anvil, [Act::Refuse])]);
    let Err(CallError::NoGateway(attempts)) = &run.result else { panic!("{run:?}") };
    assert_eq!((attempts.len(), run.sent_to(SEND)), (3, vec![0, 1]));
}

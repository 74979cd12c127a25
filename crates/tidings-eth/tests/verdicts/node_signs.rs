//! `eth_sendTransaction`, which the node signs: sent once, whatever happens.

use crate::nodes::{CHAIN, NODES, Node, error, proxy, quantity, result};
use crate::script::{Act, Gateway, Run, Script};
use tidings_eth::{CallError, Fault, HttpError, Request, RpcFault};

const SEND: &str = "eth_sendTransaction";

fn request() -> Request {
    let from = "0xf39fd6e51aad88f6f4ce6ab8827279cfffb92266";
    Request::send_transaction(&format!(r#"{{"from":"{from}","data":"0x00"}}"#)).unwrap()
}

fn send(gateways: impl IntoIterator<Item = Gateway>) -> Run {
    let run = Script::new(request(), gateways).options(|to| to.chain = Some(CHAIN)).run();
    assert!(run.sent_to(SEND).len() <= 1, "it is sent at most once: {run:?}");
    run
}

/// A gateway of a node whose chain and height are right.
fn checked(node: Node) -> Gateway {
    Gateway::replies(node, [node.height(1)])
}

/// The reply to the transaction alone.
fn outcome(node: Node, case: &str) -> Act {
    Act::Reply(node.reply(&[node.outcome(case)]))
}

#[test]
fn a_transaction_is_sent_once_the_chain_is_checked() {
    for node in NODES {
        let run = send([checked(node).then(outcome(node, "send_transaction")), Gateway::unused()]);
        let hash = &run.result.as_ref().unwrap().result;
        assert_eq!(result(hash), node.outcome("send_transaction"), "{node}");
        assert_eq!((&run.connected[..], run.sent_to(SEND)), (&[0, 0][..], vec![0]), "{node}");
        let check = &run.sent[0].1;
        assert!(check.contains("eth_chainId") && !check.contains(SEND), "{node}: {check}");
    }
}

#[test]
fn a_transaction_is_never_sent_to_a_wrong_chain_or_a_stalled_node() {
    for node in NODES {
        let other = Gateway::replies(node, [node.reply(&[quantity(1), quantity(100)])]);
        let stalled = Gateway::replies(node, [node.height(96)]);
        let right = Gateway::replies(node, [node.height(97)]);
        let right = right.then(outcome(node, "send_transaction"));
        let script = Script::new(request(), [other, stalled, right]).reference(100);
        let run = script.options(|to| to.chain = Some(CHAIN)).run();
        assert!(run.result.is_ok(), "{node}");
        assert_eq!((&run.connected[..], run.sent_to(SEND)), (&[0, 1, 2, 2][..], vec![2]), "{node}");
    }
}

#[test]
fn faults_before_the_transaction_is_sent_lead_to_the_next_gateway() {
    let refuse_later = |node| checked(node).then(Act::Refuse);
    let drop_later = |node| checked(node).then(Act::Drop);
    let refuse = |node| Gateway::new(node, [Act::Refuse]);
    let silent = |node| Gateway::new(node, [Act::Silent]);
    let garbage = |node: Node| Gateway::replies(node, [node.wrap("[}")]);
    let unauthorized = |_| Gateway::replies(Node::Anvil, [proxy("unauthorized")]);
    let firsts: [fn(Node) -> Gateway; 6] =
        [refuse_later, drop_later, refuse, silent, garbage, unauthorized];
    for node in NODES {
        for first in firsts {
            let second = checked(node).then(outcome(node, "send_transaction"));
            let run = send([first(node), second]);
            assert!(run.result.is_ok(), "{node}: {run:?}");
            assert_eq!((run.sent_to(SEND), run.attempts.len()), (vec![1], 1), "{node}: {run:?}");
        }
    }
}

#[test]
fn faults_after_the_transaction_was_sent_leave_it_uncertain_and_nobody_else_is_asked() {
    for node in NODES {
        let cut = node.reply(&[node.outcome("send_transaction")]);
        let cut = cut[..cut.len() / 2].to_vec();
        let acts = [
            Act::Silent,
            Act::Close(Vec::new()),
            Act::Close(cut.clone()),
            Act::Reply(cut),
            Act::Reset,
            Act::Reply(node.wrap("[}")),
            Act::Reply(node.reply(&[result("\"0x12\"")])),
            Act::Reply(node.reply(&[result("null")])),
            // The replies to requests that are no batches.
            Act::Reply(node.fixture("send_transaction_single")),
            Act::Reply(node.fixture("invalid_json")),
        ];
        for act in acts {
            let run = send([checked(node).then(act), Gateway::unused()]);
            assert!(matches!(run.result, Err(CallError::Uncertain(_))), "{node}: {run:?}");
            assert_eq!((&run.connected[..], run.sent_to(SEND)), (&[0, 0][..], vec![0]), "{node}");
        }
    }
    for case in ["unauthorized", "too_many"] {
        let act = Act::Reply(proxy(case));
        let run = send([checked(Node::Anvil).then(act), Gateway::unused()]);
        let Err(CallError::Uncertain(attempt)) = run.result else { panic!("{run:?}") };
        assert!(matches!(attempt.fault, Fault::Status(401 | 429)));
    }
}

#[test]
fn an_uncertain_transaction_says_what_happened_to_it() {
    let run = send([checked(Node::Anvil).then(Act::Silent)]);
    assert_eq!(
        run.result.unwrap_err().to_string(),
        "the transaction was sent, and whether it was accepted is not known; \
         http://10.0.0.7:8540: no answer within 2s; attempt_timeout allows no more"
    );
    let run = send([checked(Node::Anvil).then(Act::Close(b"x\r\n\r\n".into()))]);
    let Err(CallError::Uncertain(attempt)) = run.result else { panic!("{run:?}") };
    assert!(matches!(attempt.fault, Fault::Http(HttpError::Invalid(_))));
    let run = send([checked(Node::Anvil).then(Act::Reply(Node::Anvil.wrap("[]")))]);
    let Err(CallError::Uncertain(attempt)) = run.result else { panic!("{run:?}") };
    assert_eq!(attempt.fault, Fault::Reply(RpcFault::WrongId));
}

#[test]
fn a_revert_of_a_transaction_is_final() {
    let case = "send_transaction_reverts";
    for node in NODES {
        let run = send([checked(node).then(outcome(node, case)), Gateway::unused()]);
        assert_eq!(run.connected, [0, 0], "{node}");
        match (node, run.result) {
            (Node::Hardhat, Err(CallError::Reverted(revert))) => {
                assert!(revert.decode::<crate::CallDemo::CallDemoErrors>().is_some());
            }
            // The others mine it: its receipt says that it reverted.
            (_, Ok(answer)) => assert_eq!(result(&answer.result), node.outcome(case), "{node}"),
            (_, other) => panic!("{node}: {other:?}"),
        }
    }
}

#[test]
fn a_transaction_that_a_node_refuses_is_not_sent_to_another_one() {
    for node in NODES {
        let refused = error(-32000, "insufficient funds for gas * price + value");
        let act = Act::Reply(node.reply(&[refused]));
        let run = send([checked(node).then(act), Gateway::unused()]);
        let Err(CallError::Rejected(error)) = run.result else { panic!("{node}: {run:?}") };
        assert_eq!(error.code, -32000, "{node}");
    }
}

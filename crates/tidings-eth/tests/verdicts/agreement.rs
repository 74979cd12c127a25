//! Several gateways that have to give the same answer.

use crate::nodes::{CHAIN, NODES, Node, number as returns, quantity};
use crate::script::{Act, Gateway, Run, Script};
use crate::{CallDemo, call, get, number};
use std::time::Duration;
use tidings_eth::alloy_primitives::U256;
use tidings_eth::{CallError, Fault};

/// A gateway of a node at a height, which answers with a number.
fn says(node: Node, height: u64, value: u64) -> Gateway {
    Gateway::replies(node, [node.height(height), node.reply(&[returns(value)])])
}

/// A gateway that is checked, and then not asked.
fn checked(node: Node, height: u64) -> Gateway {
    Gateway::replies(node, [node.height(height)])
}

fn agree(agree: usize, gateways: impl IntoIterator<Item = Gateway>) -> Run {
    Script::new(get(), gateways).options(|to| to.agree = agree).run()
}

#[test]
fn gateways_that_agree_are_asked_at_the_lowest_of_their_heights() {
    for node in NODES {
        for (count, lowest) in [(2, 8), (3, 7)] {
            let gateways = [says(node, 9, 2020), says(node, 8, 2020), says(node, 7, 2020)];
            let run = agree(count, gateways.into_iter().take(count));
            assert_eq!((number(&run.result), run.attempts.len()), (2020, 0), "{node}");
            assert_eq!(run.result.as_ref().unwrap().height, lowest, "{node}");
            let block = format!("\"{lowest:#x}\"]");
            assert_eq!(run.sent_to(&block).len(), count, "{node}: {:?}", run.sent);
            assert!(run.sent_to("latest").is_empty(), "{node}");
        }
    }
}

#[test]
fn no_more_gateways_are_asked_than_have_to_agree() {
    for node in NODES {
        let run = agree(2, [says(node, 9, 2020), says(node, 9, 2020), Gateway::unused()]);
        assert_eq!(run.connected, [0, 1, 0, 1], "{node}");
    }
}

#[test]
fn a_gateway_has_one_voice_however_many_endpoints_it_advertises() {
    let at = |endpoint: &str, value| says(Node::Anvil, 9, value).at(endpoint);
    let unused = |endpoint: &str| Gateway::unused().at(endpoint);
    let honest = || [at("http://b:1", 2020), at("http://c:1", 2020)];
    let liar = [at("http://liar:1", 666), unused("http://liar:2"), unused("http://liar:1")];
    let run = agree(2, liar.into_iter().chain(honest()));
    assert_eq!(number(&run.result), 2020);
    assert_eq!(run.faults(), [&Fault::SameGateway, &Fault::SameGateway]);

    let run = agree(2, [checked(Node::Anvil, 9).at("http://a:1"), unused("http://a:1")]);
    assert!(matches!(run.result, Err(CallError::NoGateway(_))));
    assert_eq!(run.faults(), [&Fault::SameGateway, &Fault::TooFew { agree: 2 }]);
}

#[test]
fn another_endpoint_of_a_gateway_is_asked_if_the_first_fails() {
    let dead = Gateway::new(Node::Anvil, [Act::Refuse]).at("http://a:1");
    let second = says(Node::Anvil, 9, 2020).at("http://a:2");
    let run = agree(2, [dead, second, says(Node::Anvil, 9, 2020).at("http://b:1")]);
    assert_eq!(number(&run.result), 2020);
}

#[test]
fn a_liar_is_outvoted() {
    for node in NODES {
        for liar in 0..3 {
            let one = |number| says(node, 9, if number == liar { 666 } else { 2020 });
            assert_eq!(number(&agree(2, [one(0), one(1), one(2)]).result), 2020, "{node} {liar}");
        }
    }
}

#[test]
fn a_disagreement_lists_the_answers_and_who_gave_them() {
    let dead = Gateway::new(Node::Anvil, [Act::Refuse]);
    let gateways = [says(Node::Anvil, 9, 1), says(Node::Hardhat, 9, 2), dead];
    let run = agree(2, gateways);
    let Err(error @ CallError::Disagreement { .. }) = run.result else { panic!("{run:?}") };
    let shown = error.to_string().replace(&"0".repeat(63), "…");
    assert_eq!(
        shown,
        "the gateways do not agree; http://10.0.0.7:8540 answered \"0x…1\"; \
         http://10.0.0.7:8541 answered \"0x…2\"; \
         http://10.0.0.7:8542: no connection: connection refused"
    );
}

#[test]
fn a_gateway_without_an_answer_is_replaced() {
    for node in NODES {
        let no_code = Act::Reply(node.reply(&[node.outcome("no_code")]));
        for act in [Act::Silent, Act::Refuse, Act::Close(Vec::new()), no_code] {
            let gateways = [checked(node, 9).then(act), says(node, 9, 2020), says(node, 9, 2020)];
            let run = agree(2, gateways);
            assert_eq!((number(&run.result), run.attempts.len()), (2020, 1), "{node}: {run:?}");
        }
    }
}

#[test]
fn a_replacement_must_have_the_block_at_which_the_others_were_asked() {
    for node in NODES {
        let silent = checked(node, 9).then(Act::Silent);
        let gateways = [silent, says(node, 9, 2020), checked(node, 8), says(node, 10, 2020)];
        let run = agree(2, gateways);
        assert_eq!(number(&run.result), 2020, "{node}");
        assert_eq!(run.faults()[1], &Fault::Behind { height: 8, reference: 9 }, "{node}");
    }
}

#[test]
fn a_gateway_that_claims_another_height_does_not_choose_the_block() {
    // A liar could otherwise have all of them answer from a block of its choice.
    for node in NODES {
        for claimed in [0, 5, 13, u64::MAX] {
            let gateways = [checked(node, claimed), says(node, 9, 2020), says(node, 9, 2020)];
            let run = agree(2, gateways);
            assert_eq!(number(&run.result), 2020, "{node}: {claimed}");
            assert_eq!(run.result.unwrap().height, 9, "{node}: {claimed}");
        }
    }
}

#[test]
fn the_highest_block_that_enough_gateways_have_is_chosen() {
    for node in NODES {
        let run = agree(2, [checked(node, 5), says(node, 9, 2020), says(node, 7, 2020)]);
        assert_eq!((number(&run.result), run.attempts.len()), (2020, 1), "{node}");
        assert_eq!(run.result.unwrap().height, 7, "{node}");
    }
}

#[test]
fn gateways_of_different_chains_never_agree() {
    for node in NODES {
        let other = Gateway::replies(node, [node.reply(&[quantity(1), quantity(9)])]);
        let run = agree(2, [other.clone(), says(node, 9, 2020), says(node, 9, 2020)]);
        assert_eq!((number(&run.result), run.attempts.len()), (2020, 1), "{node}");
        assert_eq!(run.faults(), [&Fault::WrongChain { chain: 1 }], "{node}");
        let silent = checked(node, 9).then(Act::Silent);
        let run = agree(2, [silent, says(node, 9, 2020), other.clone(), says(node, 9, 2020)]);
        assert_eq!(number(&run.result), 2020, "{node}");
        assert_eq!(run.faults()[1], &Fault::WrongChain { chain: 1 }, "{node}");
        let run = agree(2, [other, checked(node, 9)]);
        assert!(matches!(run.result, Err(CallError::NoGateway(_))), "{node}: {run:?}");
    }
}

#[test]
fn too_few_gateways_say_how_many_were_needed() {
    for node in NODES {
        let run = agree(3, [checked(node, 9), Gateway::new(node, [Act::Refuse]), checked(node, 9)]);
        let Err(error @ CallError::NoGateway(_)) = run.result else { panic!("{node}: {run:?}") };
        let shown = error.to_string();
        assert!(shown.contains("refused") && shown.contains("agree needs 3 gateways"), "{shown}");
    }
}

#[test]
fn reverts_agree_though_nodes_word_them_differently() {
    let reverts = |node: Node| checked(node, 9).then(reply(node, "revert_custom"));
    fn reply(node: Node, case: &str) -> Act {
        Act::Reply(node.reply(&[node.outcome(case)]))
    }
    let request = call(&CallDemo::setCall { given: U256::ZERO });
    let script = Script::new(request, NODES.map(reverts)).options(|to| to.agree = 4);
    let run = script.run();
    let Err(CallError::Reverted(revert)) = run.result else { panic!("{run:?}") };
    assert!(revert.decode::<CallDemo::CallDemoErrors>().is_some());
    // A revert and a number do not.
    for node in NODES {
        let run = agree(2, [reverts(node), says(node, 9, 2020)]);
        assert!(matches!(run.result, Err(CallError::Disagreement { .. })), "{node}: {run:?}");
    }
}

#[test]
fn transactions_are_sent_to_one_gateway_whatever_has_to_agree() {
    let node = Node::Anvil;
    let gateway =
        Gateway::replies(node, [node.height(9), node.reply(&[node.outcome("send_transaction")])]);
    let request = tidings_eth::Request::send_transaction("{}").unwrap();
    let run = Script::new(request, [gateway, Gateway::unused()]).options(|to| to.agree = 3).run();
    assert_eq!(run.result.unwrap().chain, CHAIN);
}

#[test]
fn gateways_that_agree_have_one_timeout_together() {
    let slow = || checked(Node::Anvil, 9).then(Act::Silent);
    let gateways = [slow(), slow(), slow(), slow()];
    let script = Script::new(get(), gateways).options(|to| to.agree = 2);
    let run = script.options(|to| to.timeout = Duration::from_secs(3)).run();
    assert_eq!((&run.connected[..], run.took), (&[0, 1, 0, 1][..], Duration::from_secs(3)));
    let all = Fault::OutOfTime(Duration::from_secs(3));
    let attempt = Fault::Timeout(Duration::from_secs(2));
    assert_eq!(run.faults(), [&attempt, &all, &all, &all]);
}

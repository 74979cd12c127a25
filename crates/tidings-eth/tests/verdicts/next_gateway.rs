//! Outcomes that say nothing about the request: the next gateway is asked.

use crate::nodes::{CHAIN, NODES, Node, chain, error, proxy, quantity, result};
use crate::script::{Act, Gateway, Run, Script};
use crate::{CONTRACT, CallDemo, call, get, number};
use std::time::Duration;
use tidings_eth::alloy_primitives::U256;
use tidings_eth::{CallError, Fault, HttpError, NotReached, Request, RpcFault};

/// A gateway of each node does this; the next one has the answer.
fn each(act: impl Fn(Node) -> Option<Act>, fault: impl Fn(Node, &Fault) -> bool) {
    for node in NODES {
        let Some(act) = act(node) else { continue };
        let run = falls_over(Gateway::new(node, [act]));
        assert!(matches!(run.faults()[..], [only] if fault(node, only)), "{node}: {run:?}");
    }
}

/// Calls `get` with a gateway in front of one that answers.
fn falls_over(first: Gateway) -> Run {
    let second = Gateway::replies(Node::Anvil, [Node::Anvil.fixture("get")]);
    let run = Script::new(get(), [first, second]).options(|to| to.chain = Some(CHAIN)).run();
    assert_eq!(run.connected, [0, 1], "{run:?}");
    assert_eq!(number(&run.result), 2020);
    run
}

/// A gateway sends a reply of the fixtures; the next one has the answer.
fn each_fixture(case: &str, fault: impl Fn(Node, &Fault) -> bool) {
    each(|node| node.has(case).then(|| Act::Reply(node.fixture(case))), fault);
}

#[test]
fn every_node_answers_2020() {
    for (node, case) in NODES.map(|node| (node, "get")).into_iter().chain([
        // Neither a length nor chunks.
        (Node::Hardhat, "until_close"),
    ]) {
        let run = Script::new(get(), [Gateway::new(node, [Act::Close(node.fixture(case))])]).run();
        assert_eq!(number(&run.result), 2020, "{node} {case}");
        let answer = run.result.unwrap();
        assert_eq!((answer.chain, answer.height), (CHAIN, 1), "{node} {case}");
        let gateway = Gateway::replies(node, [node.fixture("name")]);
        let run = Script::new(Request::call(CONTRACT, &CallDemo::nameCall {}), [gateway]).run();
        let name = run.result.unwrap().decode::<CallDemo::nameCall>().unwrap();
        assert_eq!(name, "calldemo", "{node}");
    }
}

#[test]
fn connection_refused_leads_to_the_next_gateway() {
    let refused = Fault::Connection("connection refused".into());
    each(|_| Some(Act::Refuse), |_, fault| *fault == refused);
}

#[test]
fn a_broken_connection_leads_to_the_next_gateway() {
    let reset = Fault::Connection("connection reset".into());
    each(|_| Some(Act::Reset), |_, fault| *fault == reset);
}

#[test]
fn silence_leads_to_the_next_gateway_after_the_timeout_of_an_attempt() {
    for act in [Act::Drop, Act::Silent] {
        let run = falls_over(Gateway::new(Node::Anvil, [act]));
        assert_eq!(run.faults(), [&Fault::Timeout(Duration::from_secs(2))]);
        assert!(run.took < Duration::from_millis(2100), "{:?}", run.took);
    }
    let cut = |node: Node| {
        let all = node.fixture("get");
        // Everything but the last bracket and what follows it.
        let end = all.iter().rposition(|&byte| byte == b']').unwrap();
        Some(Act::Reply(all[..end].into()))
    };
    each(cut, |_, fault| matches!(fault, Fault::Timeout(_)));
}

#[test]
fn a_reply_that_ends_early_leads_to_the_next_gateway() {
    each(|_| Some(Act::Close(Vec::new())), |_, fault| *fault == Fault::Closed);
    for divisor in [2, 3, 20] {
        let cut = |node: Node| {
            let all = node.fixture("get");
            Some(Act::Close(all[..all.len() - all.len() / divisor].into()))
        };
        each(cut, |_, fault| *fault == Fault::Closed);
    }
}

#[test]
fn http_statuses_401_and_429_lead_to_the_next_gateway() {
    for (case, status) in [("unauthorized", 401), ("too_many", 429)] {
        let run = falls_over(Gateway::replies(Node::Anvil, [proxy(case)]));
        assert_eq!(run.faults(), [&Fault::Status(status)]);
    }
}

#[test]
fn http_statuses_404_and_400_lead_to_the_next_gateway() {
    each_fixture("wrong_path", |_, fault| *fault == Fault::Status(404));
    each_fixture("invalid_json", |node, fault| match node {
        Node::Ganache => *fault == Fault::Status(400),
        _ => matches!(fault, Fault::Reply(RpcFault::Refused(_))),
    });
}

#[test]
fn other_http_statuses_lead_to_the_next_gateway_even_with_a_right_answer_in_the_body() {
    let get = String::from_utf8(Node::Anvil.fixture("get")).unwrap();
    for status in [301_u16, 403, 500, 502, 503, 504] {
        let reply = get.replacen("200 OK", &format!("{status} Reason"), 1);
        let run = falls_over(Gateway::replies(Node::Anvil, [reply.into()]));
        assert_eq!(run.faults(), [&Fault::Status(status)]);
    }
}

#[test]
fn what_is_no_http_leads_to_the_next_gateway() {
    for reply in [&b"SSH-2.0-OpenSSH_9.2\r\n\r\n"[..], b"[]\r\n\r\n", b"\0\0\x12\x04\0\0\0\0\n\n\n"]
    {
        let run = falls_over(Gateway::new(Node::Anvil, [Act::Close(reply.into())]));
        assert!(matches!(run.faults()[..], [Fault::Http(HttpError::Invalid(_))]), "{run:?}");
    }
    let run = falls_over(Gateway::replies(Node::AnvilIpc, [b"HTTP/1.1 400".into()]));
    assert!(matches!(run.faults()[..], [Fault::Frame(_)]), "{run:?}");
}

#[test]
fn bad_json_leads_to_the_next_gateway() {
    for body in ["{]", "[{},]", "[\"\u{1}\"]", "{\"id\":0}}", "[{\"id\":0,\"error\":7}]", "[[[]]]"]
    {
        each(|node| Some(Act::Reply(node.wrap(body))), |_, fault| matches!(fault, Fault::Reply(_)));
    }
    each(
        |node| (!node.is_ipc()).then(|| Act::Reply(node.wrap("<html>"))),
        |_, fault| matches!(fault, Fault::Reply(RpcFault::Invalid(_))),
    );
}

#[test]
fn a_wrong_id_leads_to_the_next_gateway() {
    // The reply to a request that is no batch; and replies to batches of two and of four.
    each_fixture("single_get", |_, fault| *fault == Fault::Reply(RpcFault::WrongId));
    each(
        |node| Some(Act::Reply(node.height(1))),
        |_, fault| *fault == Fault::Reply(RpcFault::WrongId),
    );
    let four = |node: Node| Act::Reply(node.receipt(&node.outcome("get"), &node.outcome("get")));
    each(|node| Some(four(node)), |_, fault| *fault == Fault::Reply(RpcFault::WrongId));
}

#[test]
fn errors_of_nodes_lead_to_the_next_gateway_whatever_their_code() {
    let rpc = |codes: [i64; 4]| {
        move |node: Node, fault: &Fault| {
            let place = NODES.iter().position(|other| *other == node).unwrap();
            matches!(fault, Fault::Rpc(error) if error.code == codes[place])
        }
    };
    each_fixture("unknown_method", rpc([-32601, -32602, -32004, -32700]));
    each_fixture("block_out_of_range", rpc([-32602, -32602, -32000, -32700]));
    each_fixture("bad_params", |node, fault| match node {
        Node::Ganache => *fault == Fault::NoCode,
        _ => rpc([-32602, -32602, -32602, 0])(node, fault),
    });
    for code in [-32700, -32600, -32601, -32602, -32603, -32000, -32005, -32016, 0, 429] {
        let reply = |node: Node| {
            Act::Reply(node.reply(&[chain(), quantity(1), error(code, "rate limit exceeded")]))
        };
        each(|node| Some(reply(node)), rpc([code; 4]));
    }
}

#[test]
fn an_error_instead_of_the_chain_or_the_height_leads_to_the_next_gateway() {
    for of in [[error(-32601, "no"), quantity(1)], [chain(), error(-32601, "no")]] {
        let reply = |node: Node| {
            Act::Reply(node.reply(&[of[0].clone(), of[1].clone(), node.outcome("get")]))
        };
        each(|node| Some(reply(node)), |_, fault| matches!(fault, Fault::Rpc(_)));
    }
    for chain in ["null", "31337", "\"31337\"", "\"0x\"", "\"0x1ffffffffffffffff\"", "\"0x+1\""] {
        let reply =
            |node: Node| Act::Reply(node.reply(&[result(chain), quantity(1), node.outcome("get")]));
        each(|node| Some(reply(node)), |_, fault| *fault == Fault::Result("eth_chainId"));
    }
}

#[test]
fn a_refused_batch_leads_to_the_next_gateway() {
    each_fixture(
        "wrong_content_type",
        |_, fault| matches!(fault, Fault::Reply(RpcFault::Refused(error)) if error.code == -32600),
    );
}

#[test]
fn a_result_that_is_no_hex_leads_to_the_next_gateway() {
    for wrong in ["null", "true", "2020", "\"2020\"", "\"0x7e4\"", "{}", "[\"0x07e4\"]"] {
        let reply = |node: Node| Act::Reply(node.reply(&[chain(), quantity(1), result(wrong)]));
        each(|node| Some(reply(node)), |_, fault| *fault == Fault::Result("eth_call"));
    }
}

#[test]
fn no_code_at_the_address_leads_to_the_next_gateway() {
    each_fixture("no_code", |_, fault| *fault == Fault::NoCode);
}

#[test]
fn a_function_without_results_is_told_from_no_code_by_the_code() {
    let set = || Request::call(CONTRACT, &CallDemo::setCall { given: U256::ONE });
    for node in NODES {
        let reply =
            |code: &str| node.reply(&[chain(), quantity(1), result("\"0x\""), result(code)]);
        let absent = Gateway::replies(node, [reply("\"0x\"")]);
        let present = Gateway::replies(node, [reply("\"0x6080\"")]);
        let run = Script::new(set(), [absent, present]).run();
        assert_eq!((&run.connected[..], run.faults()), (&[0, 1][..], vec![&Fault::NoCode]));
        run.result.unwrap().decode::<CallDemo::setCall>().unwrap();
        assert!(run.sent[0].1.contains("eth_getCode"), "{node}");
    }
}

#[test]
fn running_out_of_gas_and_invalid_opcodes_lead_to_the_next_gateway() {
    for case in ["out_of_gas", "invalid_opcode"] {
        each_fixture(case, |_, fault| matches!(fault, Fault::Rpc(_)));
    }
}

#[test]
fn a_node_of_another_chain_leads_to_the_next_gateway() {
    let reply = |node: Node| node.reply(&[quantity(1), quantity(1), node.outcome("get")]);
    each(|node| Some(Act::Reply(reply(node))), |_, fault| *fault == Fault::WrongChain { chain: 1 });
}

#[test]
fn a_stalled_node_leads_to_the_next_gateway() {
    for node in NODES {
        let at = |height: u64| node.reply(&[chain(), quantity(height), node.outcome("get")]);
        let gateways = [96, 97].map(|height| Gateway::replies(node, [at(height)]));
        let run = Script::new(get(), gateways).reference(100).run();
        assert_eq!(run.faults(), [&Fault::Behind { height: 96, reference: 100 }], "{node}");
        assert_eq!((number(&run.result), run.result.unwrap().height), (2020, 97), "{node}");
    }
}

#[test]
fn https_is_no_connection_and_the_next_gateway_is_asked() {
    let tls = Gateway::unused().at("https://10.0.0.8");
    let plain = Gateway::replies(Node::Anvil, [Node::Anvil.fixture("get")]);
    let run = Script::new(get(), [tls, plain]).run();
    assert_eq!((number(&run.result), &run.connected[..]), (2020, &[1][..]));
    assert_eq!(run.faults(), [&Fault::Tls]);
}

#[test]
fn a_forbidden_address_leads_to_the_next_gateway() {
    let run = falls_over(Gateway::new(Node::Anvil, [Act::Forbidden(NotReached::Loopback)]));
    assert_eq!(run.faults(), [&Fault::NotReached(NotReached::Loopback)]);
    assert_eq!(run.sent_to("eth_call"), [1], "nothing is sent to a forbidden address");
}

#[test]
fn a_reply_that_is_too_long_leads_to_the_next_gateway() {
    for node in NODES {
        let first = Gateway::replies(node, [node.fixture("revert_custom")]);
        let second = Gateway::replies(Node::Anvil, [Node::Anvil.fixture("get")]);
        let run = Script::new(get(), [first, second]).options(|to| to.max_reply = 200).run();
        assert_eq!(number(&run.result), 2020, "{node}");
        assert!(run.attempts[0].to_string().contains("max_reply allows 200"), "{node}: {run:?}");
    }
}

#[test]
fn any_read_is_asked_again() {
    let receipt = || Request::receipt([7; 32].into());
    for node in NODES {
        let dead = Gateway::new(node, [Act::Silent]);
        let alive = Gateway::replies(node, [node.fixture("receipt_null")]);
        let run = Script::new(receipt(), [dead, alive]).run();
        assert_eq!(run.result.as_ref().unwrap().result, "null", "{node}");
        assert_eq!(run.sent_to("eth_getTransactionReceipt"), [0, 1], "{node}");
        let read = Request::read("eth_syncing", "[]").unwrap();
        let run = Script::new(read, [Gateway::replies(node, [node.fixture("syncing")])]).run();
        assert_eq!(run.result.unwrap().result, "false", "{node}");
    }
}

#[test]
fn without_an_answer_the_error_names_each_gateway_and_its_reason() {
    let gateways = [
        Gateway::new(Node::Anvil, [Act::Refuse]),
        Gateway::new(Node::AnvilIpc, [Act::Silent]),
        Gateway::replies(Node::Hardhat, [Node::Hardhat.fixture("no_code")]),
        Gateway::replies(Node::Ganache, [Node::Ganache.fixture("block_out_of_range")]),
    ];
    let run = Script::new(get(), gateways).run();
    let Err(error @ CallError::NoGateway(_)) = run.result else { panic!("{run:?}") };
    assert_eq!(
        error.to_string(),
        "no gateway answered; http://10.0.0.7:8540: no connection: connection refused; \
         /run/1: no answer within 2s; attempt_timeout allows no more; \
         http://10.0.0.7:8542: no contract at that address on this node; \
         http://10.0.0.7:8543: error -32700 of the node: header not found"
    );
}

#[test]
fn no_gateway_is_asked_after_the_timeout_of_the_call() {
    let silent = || Gateway::new(Node::Anvil, [Act::Silent]);
    let gateways = [silent(), silent(), silent(), Gateway::unused()];
    let run = Script::new(get(), gateways).options(|to| to.timeout = Duration::from_secs(5)).run();
    assert_eq!((&run.connected[..], run.took), (&[0, 1, 2][..], Duration::from_secs(5)));
    let (attempt, call) = (Fault::Timeout(Duration::from_secs(2)), Fault::OutOfTime);
    let all = Duration::from_secs(5);
    assert_eq!(run.faults(), [&attempt, &attempt, &call(all), &call(all)]);
    let shown = run.result.unwrap_err().to_string();
    let unasked = "; http://10.0.0.7:8543: no answer when the call ended; timeout allows 5s";
    assert!(shown.ends_with(unasked), "{shown}");
}

#[test]
fn a_call_without_gateways_says_so() {
    let run = Script::new(call(&CallDemo::getCall {}), []).run();
    assert_eq!(run.result.unwrap_err().to_string(), "no gateway is known");
}

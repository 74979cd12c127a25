//! Any inputs in any order: a caller keeps its promises.

use crate::nodes::{CHAIN, NODES, Node, chain, number, proxy, quantity, result};
use crate::{CONTRACT, CallDemo, get, signed};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::time::Duration;
use tidings::Instant;
use tidings_eth::alloy_primitives::U256;
use tidings_eth::{
    CallError, CallOptions, Caller, CallerOutput, Candidates, Endpoint, NotReached, Request,
};

#[derive(Clone, Debug)]
enum Input {
    Connected,
    Received(Vec<u8>),
    /// A reply, mostly one to what was asked; all of it, or cut after so many thousandths.
    Reply(prop::sample::Index, usize),
    Closed,
    Failed,
    NotReached,
    /// Time passes, and perhaps something is due.
    Wait(u64),
    /// Time passes until something is due.
    Due,
    /// A timeout that is not due.
    Early,
}

fn inputs() -> impl Strategy<Value = Vec<Input>> {
    let input = prop_oneof![
        3 => Just(Input::Connected),
        1 => prop::collection::vec(any::<u8>(), 0..40).prop_map(Input::Received),
        8 => (any::<prop::sample::Index>(), 0..3000_usize)
            .prop_map(|(reply, cut)| Input::Reply(reply, cut)),
        1 => Just(Input::Closed),
        1 => Just(Input::Failed),
        1 => Just(Input::NotReached),
        1 => (0..4000_u64).prop_map(Input::Wait),
        1 => Just(Input::Due),
        1 => Just(Input::Early),
    ];
    prop::collection::vec(input, 0..60)
}

/// All replies of the fixtures, and some that are composed, so that each stage is reached.
fn replies() -> Vec<Reply> {
    let mut replies = Vec::new();
    let mut add = |node: Node, count, bytes| replies.push(Reply { node, count, bytes });
    add(Node::Anvil, 0, proxy("unauthorized"));
    let hash = format!("{:#x}", signed::request().transaction_hash().unwrap());
    let cases = ["get", "no_code", "revert_custom", "raw_known", "raw_pending", "send_transaction"];
    for node in NODES {
        let (code, null, empty) = (result("\"0x60\""), result("null"), result("\"0x\""));
        for case in cases {
            add(node, 3, node.fixture(case));
            add(node, 1, node.reply(&[node.outcome(case)]));
        }
        for height in [8, 9, 10] {
            add(node, 2, node.height(height));
        }
        add(node, 2, node.reply(&[quantity(1), quantity(9)]));
        add(node, 4, node.reply(&[chain(), quantity(9), empty.clone(), code.clone()]));
        add(node, 2, node.reply(&[empty, code.clone()]));
        add(node, 1, node.reply(&[number(1999)]));
        let receipt = result(&format!(r#"{{"transactionHash":"{hash}"}}"#));
        add(node, 4, node.receipt(&receipt, &code));
        add(node, 4, node.receipt(&null, &code));
        add(node, 4, node.receipt(&null, &null));
    }
    replies
}

struct Reply {
    node: Node,
    /// The number of requests that it is a reply to.
    count: usize,
    bytes: Vec<u8>,
}

fn request() -> impl Strategy<Value = Request> {
    prop_oneof![
        Just(get()),
        Just(Request::call(CONTRACT, &CallDemo::setCall { given: U256::ONE })),
        Just(Request::read("eth_syncing", "[]").unwrap()),
        Just(Request::send_transaction("{}").unwrap()),
        Just(signed::request()),
    ]
}

fn options() -> impl Strategy<Value = CallOptions> {
    let durations = (0..4_u64, 0..20_u64, 0..2_u64);
    (durations, 0..5_usize, any::<bool>(), 0..4_u64).prop_map(
        |((attempt, all, interval), agree, chain, lag)| {
            let mut options = CallOptions::default();
            options.attempt_timeout = Duration::from_secs(attempt);
            options.timeout = Duration::from_secs(all);
            options.receipt_interval = Duration::from_secs(interval);
            options.agree = agree;
            options.chain = chain.then_some(CHAIN);
            options.max_lag = lag;
            options
        },
    )
}

/// An open connection.
struct Open {
    endpoint: Endpoint,
    bytes: String,
    connected: bool,
}

/// A caller, and what it promised.
struct Watched {
    caller: Caller,
    now: Instant,
    request: Request,
    agree: usize,
    open: Option<Open>,
    /// How often each gateway was asked, by endpoint and method.
    asked: BTreeMap<(Endpoint, &'static str), usize>,
    result: Option<Result<tidings_eth::Answer, CallError>>,
}

impl Watched {
    fn drain(&mut self) {
        while let Some(output) = self.caller.poll_output() {
            assert!(self.result.is_none(), "nothing follows the end: {output:?}");
            match output {
                CallerOutput::Connect { candidate, bytes, .. } => {
                    assert!(self.open.is_none(), "one connection is open");
                    let bytes = String::from_utf8(bytes).unwrap();
                    self.open =
                        Some(Open { endpoint: candidate.endpoint, bytes, connected: false });
                }
                CallerOutput::Close => {
                    assert!(self.open.take().is_some(), "a connection is open");
                }
                CallerOutput::Done(result) => {
                    assert!(self.open.is_none(), "no connection is left");
                    assert_eq!(self.caller.poll_timeout(), None);
                    self.result = Some(result);
                }
            }
        }
        let waits = self.caller.poll_timeout().is_some();
        assert_eq!(waits, self.result.is_none(), "it waits for something until it has ended");
    }

    fn input(&mut self, input: &Input, replies: &[Reply]) {
        if matches!(input, Input::Reply(..)) {
            self.input(&Input::Connected, replies);
        }
        // A driver hands over what comes over an open connection.
        let connected = self.open.as_ref().filter(|open| open.connected);
        match input {
            Input::Connected => {
                if let Some(open) = self.open.as_mut().filter(|open| !open.connected) {
                    open.connected = true;
                    let methods = METHODS.into_iter().filter(|&one| open.bytes.contains(one));
                    for method in methods {
                        *self.asked.entry((open.endpoint.clone(), method)).or_insert(0) += 1;
                    }
                }
                self.caller.handle_connected();
            }
            Input::Received(bytes) => {
                if connected.is_some() {
                    self.caller.handle_received(bytes, self.now);
                }
            }
            Input::Reply(index, cut) => {
                let Some(open) = connected else { return };
                let count = open.bytes.matches("jsonrpc").count();
                let fits = |reply: &&Reply| {
                    let same_transport = reply.node.is_ipc() == open.endpoint.as_ipc().is_some();
                    same_transport && (reply.count == count || cut % 8 == 0)
                };
                let fitting: Vec<_> = replies.iter().filter(fits).collect();
                let bytes = &index.get(&fitting).bytes;
                let cut = (bytes.len() * cut / 1000).min(bytes.len());
                self.caller.handle_received(&bytes[..cut], self.now);
            }
            Input::Closed => self.caller.handle_closed(self.now),
            Input::Failed => self.caller.handle_failed("reset\n", self.now),
            Input::NotReached => {
                self.caller.handle_not_reached(NotReached::Loopback, self.now);
            }
            Input::Wait(millis) => {
                self.now += Duration::from_millis(*millis);
                self.caller.handle_timeout(self.now);
            }
            Input::Due => {
                if let Some(due) = self.caller.poll_timeout() {
                    self.now = self.now.max(due);
                    self.caller.handle_timeout(self.now);
                }
            }
            Input::Early => self.caller.handle_timeout(self.now),
        }
        self.drain();
    }

    /// Lets time pass until the caller ends, and checks what it promised.
    fn end(mut self) {
        // Also with a `receipt_interval` of nothing: 25 s, and the longest call has 20.
        for _ in 0..100 {
            self.input(&Input::Due, &[]);
            self.input(&Input::Wait(250), &[]);
        }
        assert!(self.result.is_some(), "the call has ended");
        let total = |method| {
            let of = self.asked.iter().filter(|((_, other), _)| *other == method);
            of.map(|(_, count)| count).sum::<usize>()
        };
        assert!(total("eth_sendTransaction") <= 1, "a node signs one transaction");
        for ((endpoint, method), &count) in &self.asked {
            // Before several agree, each is checked.
            let checks = 1 + usize::from(self.agree > 1);
            let most = match *method {
                "eth_call" | "eth_syncing" | "eth_sendRawTransaction" => 1,
                "eth_chainId" if self.request.transaction_hash().is_none() => checks,
                _ => usize::MAX,
            };
            assert!(count <= most, "{endpoint} was asked {count} times for {method}");
        }
    }
}

const METHODS: [&str; 6] = [
    "eth_call",
    "eth_syncing",
    "eth_chainId",
    "eth_sendTransaction",
    "eth_sendRawTransaction",
    "eth_getTransactionReceipt",
];

proptest! {
    #[test]
    fn any_inputs_keep_the_promises_of_a_caller(
        request in request(),
        options in options(),
        count in 0..5_usize,
        reference in prop::option::of(0..14_u64),
        inputs in inputs(),
    ) {
        let names = ["http://10.0.0.1:80", "/node.ipc", "https://a:1", "http://b:2", "/other.ipc"];
        let endpoints: Vec<Endpoint> =
            names.into_iter().take(count).map(|name| name.parse().unwrap()).collect();
        let mut candidates = Candidates::from(endpoints);
        candidates.reference = reference;
        let (now, agree) = (Instant::ZERO, options.agree);
        let mut watched = Watched {
            caller: Caller::new(request.clone(), candidates, options, now),
            now,
            request,
            agree,
            open: None,
            asked: BTreeMap::new(),
            result: None,
        };
        watched.drain();
        let replies = replies();
        inputs.iter().for_each(|input| watched.input(input, &replies));
        watched.end();
    }
}

//! A driver of a caller in virtual time, and gateways that follow a script.

use std::collections::VecDeque;
use std::time::Duration;
use tidings::{Instant, NodeId};
use tidings_eth::{
    Answer, Attempt, CallError, CallOptions, Caller, CallerOutput, Candidate, Candidates, Endpoint,
    Fault, Host, NotReached, Reach, Request,
};

use crate::nodes::Node;

/// What a gateway does with one connection.
#[derive(Clone, Debug)]
pub(crate) enum Act {
    /// Refuses it.
    Refuse,
    /// Leaves it without an answer to the first packet.
    Drop,
    /// Has only addresses to which the driver may not connect.
    Forbidden(NotReached),
    /// Accepts it, and says nothing.
    Silent,
    /// Replies, and keeps it open.
    Reply(Vec<u8>),
    /// Sends these bytes, perhaps none, and closes it.
    Close(Vec<u8>),
    /// Accepts it, and dies.
    Reset,
}

/// A gateway, by what it does with each connection to it.
#[derive(Clone, Debug)]
pub(crate) struct Gateway {
    node: Node,
    acts: VecDeque<Act>,
    /// What it does with further connections; without it there are none.
    always: Option<Act>,
    endpoint: Option<Endpoint>,
}

impl Gateway {
    pub(crate) fn new(node: Node, acts: impl IntoIterator<Item = Act>) -> Self {
        Self { node, acts: acts.into_iter().collect(), always: None, endpoint: None }
    }

    /// A gateway that sends these replies.
    pub(crate) fn replies(node: Node, replies: impl IntoIterator<Item = Vec<u8>>) -> Self {
        Self::new(node, replies.into_iter().map(Act::Reply))
    }

    /// A gateway to which nobody connects.
    pub(crate) fn unused() -> Self {
        Self::new(Node::Anvil, [])
    }

    pub(crate) fn then(mut self, act: Act) -> Self {
        self.acts.push_back(act);
        self
    }

    pub(crate) fn then_always(mut self, act: Act) -> Self {
        self.always = Some(act);
        self
    }

    pub(crate) fn at(mut self, endpoint: &str) -> Self {
        self.endpoint = Some(endpoint.parse().unwrap());
        self
    }

    fn endpoint(&self, number: usize) -> Endpoint {
        let transport = if self.node.is_ipc() { "/run/" } else { "http://10.0.0.7:854" };
        self.endpoint.clone().unwrap_or_else(|| format!("{transport}{number}").parse().unwrap())
    }
}

/// What happens on a connection.
enum Event {
    Connected,
    Received(Vec<u8>),
    Closed,
    Failed(&'static str),
    NotReached(NotReached),
}

impl Act {
    fn events(self, size: usize) -> VecDeque<Event> {
        let connected = || [Event::Connected].into_iter();
        let pieces = |bytes: Vec<u8>| {
            bytes.chunks(size).map(|b| Event::Received(b.into())).collect::<Vec<_>>()
        };
        match self {
            Self::Refuse => [Event::Failed("connection refused")].into(),
            Self::Drop => VecDeque::new(),
            Self::Forbidden(reason) => [Event::NotReached(reason)].into(),
            Self::Silent => connected().collect(),
            Self::Reply(bytes) => connected().chain(pieces(bytes)).collect(),
            Self::Close(bytes) => connected().chain(pieces(bytes)).chain([Event::Closed]).collect(),
            Self::Reset => connected().chain([Event::Failed("connection reset")]).collect(),
        }
    }
}

/// What a caller did.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Run {
    pub(crate) result: Result<Answer, CallError>,
    /// The gateways to which it connected, in order.
    pub(crate) connected: Vec<usize>,
    /// The gateways that took its bytes, with these as text.
    pub(crate) sent: Vec<(usize, String)>,
    pub(crate) attempts: Vec<Attempt>,
    pub(crate) took: Duration,
}

impl Run {
    /// The reasons why gateways had no answer.
    pub(crate) fn faults(&self) -> Vec<&Fault> {
        self.attempts.iter().map(|attempt| &attempt.fault).collect()
    }

    /// The gateways that were sent a request with `text` in it.
    pub(crate) fn sent_to(&self, text: &str) -> Vec<usize> {
        let with = self.sent.iter().filter(|(_, bytes)| bytes.contains(text));
        with.map(|(gateway, _)| *gateway).collect()
    }
}

/// A call, and the gateways that it has.
#[derive(Clone, Debug)]
pub(crate) struct Script {
    pub(crate) request: Request,
    pub(crate) options: CallOptions,
    pub(crate) reference: Option<u64>,
    pub(crate) gateways: Vec<Gateway>,
}

impl Script {
    pub(crate) fn new(request: Request, gateways: impl IntoIterator<Item = Gateway>) -> Self {
        let gateways = gateways.into_iter().collect();
        Self { request, options: CallOptions::default(), reference: None, gateways }
    }

    pub(crate) fn options(mut self, set: impl FnOnce(&mut CallOptions)) -> Self {
        set(&mut self.options);
        self
    }

    pub(crate) fn reference(mut self, height: u64) -> Self {
        self.reference = Some(height);
        self
    }

    /// Runs the call with replies in one piece, in pieces of 7 bytes and byte by byte: the caller
    /// does the same each time.
    pub(crate) fn run(&self) -> Run {
        let run = self.run_in_pieces(usize::MAX);
        for size in [7, 1] {
            assert_eq!(self.run_in_pieces(size), run, "in pieces of {size}");
        }
        run
    }

    fn run_in_pieces(&self, size: usize) -> Run {
        let mut gateways = self.gateways.clone();
        let endpoints: Vec<_> =
            gateways.iter().enumerate().map(|(number, one)| one.endpoint(number)).collect();
        let mut candidates = Candidates::default();
        candidates.list = endpoints.iter().cloned().map(candidate).collect();
        candidates.reference = self.reference;
        let start = Instant::ZERO + Duration::from_secs(1);
        let mut now = start;
        let mut caller = Caller::new(self.request.clone(), candidates, self.options.clone(), now);
        let (mut connected, mut sent) = (Vec::new(), Vec::new());
        let mut open: Option<(Vec<u8>, VecDeque<Event>)> = None;
        loop {
            while let Some(output) = caller.poll_output() {
                match output {
                    CallerOutput::Connect { candidate, bytes, deadline } => {
                        assert!(open.is_none(), "at most one connection is open");
                        assert_eq!(Some(deadline), caller.poll_timeout());
                        let number = endpoints.iter().position(|one| *one == candidate.endpoint);
                        let number = number.expect("the caller connects to its candidates only");
                        let gateway = &mut gateways[number];
                        connected.push(number);
                        let act = gateway.acts.pop_front().or_else(|| gateway.always.clone());
                        let act = act.unwrap_or_else(|| {
                            panic!("no connection to gateway {number} is expected: {connected:?}")
                        });
                        open = Some((bytes, act.events(size)));
                        assert!(connected.len() < 1000, "the caller does not end: {connected:?}");
                    }
                    CallerOutput::Close => assert!(open.take().is_some(), "a connection is open"),
                    CallerOutput::Done(result) => {
                        assert!(open.is_none(), "no connection is left open");
                        assert_eq!((caller.poll_output(), caller.poll_timeout()), (None, None));
                        let (attempts, took) = (caller.attempts().into(), now.since(start));
                        return Run { result, connected, sent, attempts, took };
                    }
                }
            }
            let event = open.as_mut().and_then(|(_, events)| events.pop_front());
            match event {
                Some(Event::Connected) => {
                    let bytes = open.as_mut().map(|(bytes, _)| std::mem::take(bytes));
                    let number = connected.last().copied().unwrap_or_default();
                    sent.push((number, String::from_utf8(bytes.unwrap_or_default()).unwrap()));
                    now += Duration::from_millis(1);
                    caller.handle_connected();
                }
                Some(Event::Received(bytes)) => caller.handle_received(&bytes, now),
                Some(Event::Closed) => caller.handle_closed(now),
                Some(Event::Failed(reason)) => caller.handle_failed(reason, now),
                Some(Event::NotReached(reason)) => caller.handle_not_reached(reason, now),
                None => {
                    let due = caller.poll_timeout();
                    now = now.max(due.expect("a caller without a result waits for something"));
                    caller.handle_timeout(now);
                }
            }
        }
    }
}

/// A candidate that a member advertised, if its endpoint is one that members can advertise; its
/// name is the host, or with an IP address all of the endpoint.
fn candidate(endpoint: Endpoint) -> Candidate {
    match &endpoint {
        Endpoint::Http(http) => {
            let name = match http.host() {
                Host::Name(name) => name.clone(),
                Host::Ip(_) => http.to_string(),
            };
            let gateway = NodeId::new(&name).unwrap();
            Candidate::advertised(endpoint, Reach::PUBLIC, gateway, [10, 0, 0, 7].into())
        }
        Endpoint::Ipc(_) => Candidate::local(endpoint),
    }
}

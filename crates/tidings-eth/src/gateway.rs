//! The gateway: watches its own node, and tells all members where it is and how far. Does no I/O.

use crate::advert::{Advert, Height, InvalidAdvert};
use crate::answer::{Answer, CallError};
use crate::caller::Caller;
use crate::candidates::Candidates;
use crate::endpoint::{Endpoint, HttpEndpoint};
use crate::options::CallOptions;
use crate::request::Request;
use std::collections::VecDeque;
use std::fmt;
use std::time::Duration;
use tidings::{BroadcastKey, Instant, NodeId, TooLong};

/// The options of a [`Gateway`].
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct GatewayOptions {
    /// Where the gateway asks its node: best a socket on the same machine.
    pub node: Endpoint,
    /// Where other members reach the node: `http(s)://HOST:PORT`, 1 to 4.
    pub advertise: Vec<HttpEndpoint>,
    /// The chain that the node has to serve; `None` takes the one that it serves first.
    pub chain: Option<u64>,
    /// Lines of the application's own, which come first in the metadata.
    pub meta: String,
    /// The time between two questions to the node; 1 s by default.
    pub poll_interval: Duration,
    /// How long the node has for its answer; 1 s by default.
    pub poll_timeout: Duration,
    /// The node is stalled if its height lags this many blocks behind that of other gateways; 3 by
    /// default.
    pub max_lag: u64,
    /// The node is stalled if its height does not change for so long; `None`, the default, for
    /// chains without regular blocks.
    pub stall_after: Option<Duration>,
    /// How often an unchanged height is told again, for members that joined since; 5 s by default.
    pub repeat_height: Duration,
}

impl GatewayOptions {
    /// The defaults, for a node that the gateway asks at `node` and others at `advertise`.
    pub fn new(node: Endpoint, advertise: Vec<HttpEndpoint>) -> Self {
        Self {
            node,
            advertise,
            chain: None,
            meta: String::new(),
            poll_interval: Duration::from_secs(1),
            poll_timeout: Duration::from_secs(1),
            max_lag: 3,
            stall_after: None,
            repeat_height: Duration::from_secs(5),
        }
    }
}

/// A gateway: asks its own node for chain, height and state, and decides what to tell all members.
///
/// While the node serves, the gateway advertises chain and endpoints in its member's metadata, and
/// each new height as a broadcast that replaces the one before. It withdraws the advert when the
/// node has failed to answer twice in a row, is syncing, lags behind other gateways or stands
/// still, and advertises again after two good answers in a row, because changes of metadata are
/// told to all.
///
/// It does no I/O. Its driver takes each [`GatewayOutput`], runs each [`Caller`] in it to its end,
/// and calls [`handle_answer`](Self::handle_answer), and
/// [`handle_timeout`](Self::handle_timeout) at the time of [`poll_timeout`](Self::poll_timeout).
#[derive(Debug)]
pub struct Gateway {
    options: GatewayOptions,
    id: NodeId,
    key: BroadcastKey,
    chain: Option<u64>,
    height: u64,
    /// When the height changed last.
    height_changed: Instant,
    /// When the height was told last; `None` if it has to be told.
    told: Option<Instant>,
    serving: bool,
    /// The application knows why the node does not serve, or that it does.
    explained: bool,
    /// The number of answers in a row that speak against the present state.
    against: u32,
    next_poll: Instant,
    polling: bool,
    outputs: VecDeque<GatewayOutput>,
}

impl Gateway {
    /// The gateway of the member `id`, which asks its node at once.
    ///
    /// # Errors
    ///
    /// If what it is to advertise is not valid.
    pub fn new(options: GatewayOptions, id: NodeId, now: Instant) -> Result<Self, InvalidAdvert> {
        Advert::new(0, options.advertise.clone())?;
        let mut gateway = Self {
            chain: options.chain,
            options,
            id,
            key: BroadcastKey::new("eth-height").expect("it is short"),
            height: 0,
            height_changed: now,
            told: None,
            serving: false,
            explained: false,
            against: CHANGES_AFTER - 1,
            next_poll: now,
            polling: false,
            outputs: VecDeque::new(),
        };
        gateway.handle_timeout(now);
        Ok(gateway)
    }

    /// The time that [`poll_timeout`](Self::poll_timeout) returned has come.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.polling || now < self.next_poll {
            return;
        }
        self.polling = true;
        self.next_poll = now + self.options.poll_interval;
        let request = Request::read("eth_syncing", "[]").expect("it is a read without parameters");
        let timeout = self.options.poll_timeout;
        let options = CallOptions { attempt_timeout: timeout, timeout, ..CallOptions::default() };
        let candidates = Candidates::from(vec![self.options.node.clone()]);
        let caller = Caller::new(request, candidates, options, now);
        self.outputs.push_back(GatewayOutput::Ask(Box::new(caller)));
    }

    /// The caller of [`GatewayOutput::Ask`] has ended. `reference` is the height of the answer's
    /// chain as this and other gateways tell it:
    /// [`Directory::reference_for`](crate::Directory::reference_for).
    pub fn handle_answer(
        &mut self,
        answer: Result<Answer, CallError>,
        reference: Option<u64>,
        now: Instant,
    ) {
        self.polling = false;
        let state = self.judge(answer, reference, now);
        let changes = self.serving != state.is_ok();
        self.against = if changes { self.against + 1 } else { 0 };
        if self.against == CHANGES_AFTER {
            self.against = 0;
            self.serving = state.is_ok();
            self.told = None;
            self.outputs.push_back(GatewayOutput::SetMeta(self.meta()));
            self.outputs.push_back(GatewayOutput::Changed(match &state {
                Ok(()) => GatewayEvent::Advertised { chain: self.chain.unwrap_or_default() },
                Err(reason) => GatewayEvent::Withdrawn(reason.clone()),
            }));
        }
        if let (false, Err(reason)) = (self.explained, &state) {
            self.outputs.push_back(GatewayOutput::Changed(GatewayEvent::Waiting(reason.clone())));
        }
        self.explained = true;
        let repeat = |told: Instant| now.since(told) >= self.options.repeat_height;
        if self.serving && state.is_ok() && self.told.is_none_or(repeat) {
            self.told = Some(now);
            let chain = self.chain.unwrap_or_default();
            let height = Height { chain, height: self.height, gateway: self.id.clone() };
            let broadcast = GatewayOutput::Broadcast(self.key.clone(), height.to_string());
            self.outputs.push_back(broadcast);
        }
    }

    /// Whether the node serves, by one answer.
    fn judge(
        &mut self,
        answer: Result<Answer, CallError>,
        reference: Option<u64>,
        now: Instant,
    ) -> Result<(), NotServing> {
        let answer = answer.map_err(|error| NotServing::NoAnswer(error.to_string()))?;
        let chain = *self.chain.get_or_insert(answer.chain);
        if chain != answer.chain {
            return Err(NotServing::WrongChain { chain: answer.chain });
        }
        let height = answer.height;
        if height != self.height {
            self.height = height;
            self.height_changed = now;
            self.told = None;
        }
        if answer.result != "false" {
            return Err(NotServing::Syncing);
        }
        if let Some(reference) =
            reference.filter(|&best| height.saturating_add(self.options.max_lag) < best)
        {
            return Err(NotServing::Behind { height, reference });
        }
        let unchanged = now.since(self.height_changed);
        match self.options.stall_after {
            Some(stall_after) if unchanged >= stall_after => Err(NotServing::Stalled { height }),
            _ => Ok(()),
        }
    }

    /// The metadata: the application's lines, and the advert while the node serves.
    fn meta(&self) -> String {
        let own = &self.options.meta;
        let (true, Some(chain)) = (self.serving, self.chain) else { return own.clone() };
        let advert = Advert::new(chain, self.options.advertise.clone());
        let advert = advert.expect("the endpoints are checked at the start");
        if own.is_empty() { advert.to_string() } else { format!("{own}\n{advert}") }
    }

    /// The next thing for the driver to do.
    pub fn poll_output(&mut self) -> Option<GatewayOutput> {
        self.outputs.pop_front()
    }

    /// When [`handle_timeout`](Self::handle_timeout) is due; `None` while the node is asked.
    pub fn poll_timeout(&self) -> Option<Instant> {
        (!self.polling).then_some(self.next_poll)
    }

    /// Whether the gateway advertises its node.
    pub fn is_serving(&self) -> bool {
        self.serving
    }

    /// The height of the node when it answered last.
    pub fn height(&self) -> u64 {
        self.height
    }
}

/// What the driver of a [`Gateway`] has to do.
#[derive(Debug)]
pub enum GatewayOutput {
    /// Run the caller, and hand its result to [`Gateway::handle_answer`].
    Ask(Box<Caller>),
    /// Set the member's metadata.
    SetMeta(String),
    /// Broadcast a message that replaces those with the same key.
    Broadcast(BroadcastKey, String),
    /// Tell the application.
    Changed(GatewayEvent),
}

/// A change of a gateway's state.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum GatewayEvent {
    /// The node serves, and is advertised.
    Advertised {
        /// The chain that it serves.
        chain: u64,
    },
    /// The node does not serve at the start, and is advertised when it does.
    Waiting(NotServing),
    /// The node does not serve, and is advertised no more.
    Withdrawn(NotServing),
}

impl fmt::Display for GatewayEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Advertised { chain } => write!(f, "advertised: the node serves chain {chain}"),
            Self::Waiting(reason) => write!(f, "not advertised yet: {reason}"),
            Self::Withdrawn(reason) => write!(f, "withdrawn: {reason}"),
        }
    }
}

/// The reason why a node does not serve.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum NotServing {
    /// It does not answer, for the reason in the text.
    NoAnswer(String),
    /// It serves another chain than before, or than is configured.
    WrongChain {
        /// The chain that it serves.
        chain: u64,
    },
    /// It has not yet all blocks.
    Syncing,
    /// It lags behind other gateways' nodes.
    Behind {
        /// Its height.
        height: u64,
        /// The height that others tell.
        reference: u64,
    },
    /// It has had no new block for [`GatewayOptions::stall_after`].
    Stalled {
        /// Its height.
        height: u64,
    },
}

impl fmt::Display for NotServing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoAnswer(error) => write!(f, "the node does not answer: {error}"),
            Self::WrongChain { chain } => write!(f, "the node serves chain {chain}"),
            Self::Syncing => f.write_str("the node is syncing"),
            Self::Behind { height, reference } => {
                write!(f, "the node is at height {height}, other gateways are at {reference}")
            }
            Self::Stalled { height } => write!(f, "the node stands still at height {height}"),
        }
    }
}

/// The reason why a gateway cannot run.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum ServeError {
    /// What it is to advertise is not valid.
    Advert(InvalidAdvert),
    /// The advert, with the application's own lines, is longer than the node's metadata may be.
    Meta(TooLong),
}

impl fmt::Display for ServeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Advert(error) => error.fmt(f),
            Self::Meta(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for ServeError {}

impl From<InvalidAdvert> for ServeError {
    fn from(error: InvalidAdvert) -> Self {
        Self::Advert(error)
    }
}

impl From<TooLong> for ServeError {
    fn from(error: TooLong) -> Self {
        Self::Meta(error)
    }
}

/// The number of answers in a row that change the advert; at the start one answer is enough.
const CHANGES_AFTER: u32 = 2;

#[cfg(test)]
mod tests {
    use super::*;

    /// A gateway with its time.
    struct Test {
        gateway: Gateway,
        now: Instant,
    }

    impl Test {
        fn new(change: impl FnOnce(&mut GatewayOptions)) -> Self {
            let advertise = vec!["http://10.0.0.7:8545".parse().unwrap()];
            let mut options = GatewayOptions::new("/node.ipc".parse().unwrap(), advertise);
            change(&mut options);
            let id = "gateway".parse().unwrap();
            let gateway = Gateway::new(options, id, Instant::ZERO).unwrap();
            Self { gateway, now: Instant::ZERO }
        }

        /// Answers the gateway's question a second later, and returns what it tells.
        fn answers(
            &mut self,
            answer: Result<Answer, CallError>,
            reference: Option<u64>,
        ) -> Vec<String> {
            let asks = self.gateway.poll_output();
            assert!(matches!(asks, Some(GatewayOutput::Ask(_))), "{asks:?}");
            assert_eq!(self.gateway.poll_timeout(), None);
            self.gateway.handle_answer(answer, reference, self.now);
            let mut told = Vec::new();
            while let Some(output) = self.gateway.poll_output() {
                told.push(match output {
                    GatewayOutput::SetMeta(meta) => format!("meta {meta:?}"),
                    GatewayOutput::Broadcast(_, data) => data,
                    GatewayOutput::Changed(event) => event.to_string(),
                    GatewayOutput::Ask(_) => panic!("it asks before its time"),
                });
            }
            self.now = self.gateway.poll_timeout().unwrap();
            self.gateway.handle_timeout(self.now);
            told
        }

        fn at(&mut self, height: u64) -> Vec<String> {
            self.answers(Ok(answer(height)), None)
        }

        fn fails(&mut self) -> Vec<String> {
            self.answers(Err(CallError::NoGateway(Vec::new())), None)
        }
    }

    fn answer(height: u64) -> Answer {
        let from = "/node.ipc".parse().unwrap();
        Answer { from, chain: 1, height, result: "false".into(), attempts: Vec::new() }
    }

    const ADVERT: &str = "meta \"eth 1 http://10.0.0.7:8545\"";

    #[test]
    fn a_gateway_advertises_its_node_and_each_new_height() {
        let mut test = Test::new(|_| {});
        let first = [ADVERT, "advertised: the node serves chain 1", "eth-height 1 5 gateway"];
        assert_eq!(test.at(5), first);
        assert!(test.at(5).is_empty());
        assert_eq!(test.at(6), ["eth-height 1 6 gateway"]);
        let repeated = (0..5).flat_map(|_| test.at(6)).collect::<Vec<_>>();
        assert_eq!(repeated, ["eth-height 1 6 gateway"], "in five seconds");
    }

    #[test]
    fn a_gateway_withdraws_after_two_failures_and_returns_after_two_answers() {
        let mut test = Test::new(|options| options.meta = "role=rpc".into());
        let advert = "meta \"role=rpc\\neth 1 http://10.0.0.7:8545\"";
        assert_eq!(test.at(5)[0], advert);
        assert!(test.fails().is_empty());
        assert!(test.at(5).is_empty(), "one failure is not enough");
        assert!(test.fails().is_empty());
        let withdrawn = "withdrawn: the node does not answer: no gateway is known";
        assert_eq!(test.fails(), ["meta \"role=rpc\"", withdrawn]);
        assert!(test.fails().is_empty());
        assert!(test.at(7).is_empty());
        assert_eq!(test.at(7)[0], advert);
    }

    #[test]
    fn a_node_that_is_syncing_behind_or_on_another_chain_is_not_advertised() {
        let syncing = Answer { result: "{\"currentBlock\":\"0x1\"}".into(), ..answer(5) };
        let other_chain = Answer { chain: 2, ..answer(5) };
        for (answer, reference, reason) in [
            (syncing, None, "withdrawn: the node is syncing"),
            (answer(5), Some(9), "withdrawn: the node is at height 5, other gateways are at 9"),
            (other_chain, None, "withdrawn: the node serves chain 2"),
        ] {
            let mut test = Test::new(|_| {});
            test.at(5);
            assert!(test.answers(Ok(answer.clone()), reference).is_empty());
            let told = test.answers(Ok(answer), reference);
            assert_eq!(told, ["meta \"\"", reason]);
        }
        let mut test = Test::new(|_| {});
        test.at(5);
        (0..4).for_each(|_| assert!(test.answers(Ok(answer(5)), Some(8)).is_empty()));
    }

    #[test]
    fn a_node_without_new_blocks_is_stalled_if_the_chain_is_to_have_some() {
        let mut test = Test::new(|options| options.stall_after = Some(Duration::from_secs(5)));
        test.at(5);
        let told: Vec<_> = (0..10).flat_map(|_| test.at(5)).collect();
        assert_eq!(told, ["meta \"\"", "withdrawn: the node stands still at height 5"]);
        assert_eq!(test.at(6).len() + test.at(7).len(), 3, "it moves again");
    }

    #[test]
    fn a_gateway_whose_node_never_served_tells_the_application_why_and_nobody_else() {
        let mut test = Test::new(|options| options.chain = Some(2));
        assert_eq!(test.at(5), ["not advertised yet: the node serves chain 1"]);
        assert!((0..5).all(|_| test.at(5).is_empty()));
    }

    #[test]
    fn a_gateway_advertises_no_path() {
        let advertise = vec!["http://node/key".parse().unwrap()];
        let options = GatewayOptions::new("/node.ipc".parse().unwrap(), advertise);
        let refused = Gateway::new(options, "gateway".parse().unwrap(), Instant::ZERO);
        assert_eq!(refused.map(drop).unwrap_err(), InvalidAdvert::Path);
    }
}

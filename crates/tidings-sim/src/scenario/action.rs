//! Actions: faults and application commands that a step of a scenario can contain.

use super::Step;
use crate::link::{Cut, Link};
use serde::de::{Error, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::time::Duration;

macro_rules! actions {
    ($($(#[$doc:meta])* $name:ident($what:ty) = $key:ident,)*) => {
        /// An action of a step; in a file, the key of the step names it.
        #[derive(Clone, Debug, PartialEq)]
        pub enum Action {
            $($(#[$doc])* $name($what),)*
        }

        /// The fields of a step in a file: a time, and one action under its key.
        #[derive(Default, Deserialize, Serialize)]
        #[serde(deny_unknown_fields)]
        struct StepFields {
            #[serde(with = "crate::duration")]
            at: Duration,
            $(#[serde(skip_serializing_if = "Option::is_none")] $key: Option<$what>,)*
        }

        impl StepFields {
            fn actions(self) -> Vec<Action> {
                let mut actions = Vec::new();
                $(actions.extend(self.$key.map(Action::$name));)*
                actions
            }
        }

        impl Action {
            /// The action's key in a file.
            pub fn name(&self) -> &'static str {
                match self {
                    $(Self::$name(_) => stringify!($key),)*
                }
            }

            fn write(&self, fields: &mut StepFields) {
                match self {
                    $(Self::$name(what) => fields.$key = Some(what.clone()),)*
                }
            }
        }

        const KEYS: &[&str] = &[$(stringify!($key)),*];
    };
}

actions! {
    /// Kills the processes: connections are reset and new ones are refused.
    Crash(NodeSelector) = crash,
    /// Powers the machines off: nothing answers, and connections hang.
    PowerOff(NodeSelector) = power_off,
    /// Kills the processes, and another program takes their ports.
    TakePort(NodeSelector) = take_port,
    /// Starts or restarts nodes at the same address, and joins seeds.
    Start(Joining) = start,
    /// Restarts nodes at a new address, and joins seeds.
    Move(Joining) = r#move,
    /// Joins seeds without a restart.
    Join(Joining) = join,
    /// Gives nodes seeds as a standing wish, and starts those that are down.
    Seeds(Seeding) = seeds,
    /// Leaves the cluster gracefully.
    Leave(NodeSelector) = leave,
    /// Stops the processes (as SIGSTOP does); their socket buffers fill up.
    Pause(NodeSelector) = pause,
    /// Blocks nodes before each send and after each receive, while their timers run (Lifeguard's
    /// anomaly).
    Stall(NodeSelector) = stall,
    /// Resumes paused or stalled nodes.
    Resume(NodeSelector) = resume,
    /// Makes each input take CPU time.
    Cpu(Cpu) = cpu,
    /// Sets the offset of wall clocks, which nodes follow.
    Clock(Clock) = clock,
    /// Partitions the nodes from all others, in both directions.
    Isolate(NodeSelector) = isolate,
    /// Partitions the paths from some nodes to others, in one direction.
    Cut(Between) = cut,
    /// Partitions the paths from some nodes to others, in one direction, by a firewall that refuses
    /// new connections.
    Reject(Between) = reject,
    /// Heals all partitions.
    Mend(bool) = mend,
    /// Sets the link of all paths.
    Link(Link) = link,
    /// Sets the link of the paths from some nodes to others.
    LinkBetween(Between) = link_between,
    /// Changes the metadata of nodes.
    Meta(Text) = meta,
    /// Broadcasts a message from each node.
    Broadcast(Text) = broadcast,
    /// Sends a message over a stream.
    Send(Message) = send,
    /// Sends a user ping.
    Ping(Pair) = ping,
}

/// Selects nodes: a number, a list of numbers, `"2..5"` (2, 3 and 4), `"all"`, or `"3 at random"`.
#[derive(Clone, Debug, PartialEq)]
pub enum NodeSelector {
    /// The listed nodes.
    List(Vec<usize>),
    /// A range, which excludes its end.
    Range(usize, usize),
    /// All nodes.
    All,
    /// This number of nodes, drawn when the step is due.
    Random(usize),
}

/// Nodes and the seeds that they join.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Joining {
    /// The joining nodes.
    pub nodes: NodeSelector,
    /// The seeds; if there are none, the nodes join nobody.
    pub seeds: NodeSelector,
}

/// Nodes and their standing seeds.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Seeding {
    /// The nodes, of which those that are down are started.
    pub nodes: NodeSelector,
    /// The seeds, drawn for each node, at the addresses that they have then.
    pub seeds: NodeSelector,
    /// Further seeds, at addresses where nobody ever listens.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub dead: usize,
    /// Each node gets its seeds at a random time within this.
    #[serde(default, with = "crate::duration", skip_serializing_if = "Duration::is_zero")]
    pub over: Duration,
}

/// CPU time for each input.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Cpu {
    /// The nodes.
    pub nodes: NodeSelector,
    /// CPU time for each input.
    #[serde(with = "crate::duration")]
    pub each: Duration,
}

/// Offset of wall clocks.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Clock {
    /// The nodes.
    pub nodes: NodeSelector,
    /// Offset in seconds; negative if the clocks are behind.
    pub ahead: i64,
}

/// Paths from some nodes to others, and the change to them.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Between {
    /// The senders.
    pub from: NodeSelector,
    /// The receivers.
    pub to: NodeSelector,
    /// Kind of traffic that is dropped or refused; for `cut` and `reject`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub what: Option<Cut>,
    /// The link of the paths; for `link_between`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link: Option<Link>,
}

/// Metadata or a broadcast message of some nodes.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Text {
    /// The nodes.
    pub nodes: NodeSelector,
    /// The text; a number is appended to broadcasts, so that each is unique in a scenario.
    pub text: String,
}

/// A message from one node to another.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Message {
    /// The sender.
    pub from: usize,
    /// The receiver.
    pub to: usize,
    /// The text.
    pub text: String,
}

/// A user ping from one node to another.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Pair {
    /// The sender.
    pub from: usize,
    /// The target.
    pub to: usize,
}

impl Action {
    /// The highest node number that the action names; `None` if it names none.
    pub(crate) fn highest(&self) -> Option<usize> {
        let joining = |joining: &Joining| joining.nodes.highest().max(joining.seeds.highest());
        match self {
            Self::Crash(who) | Self::PowerOff(who) | Self::Leave(who) | Self::Pause(who) => {
                who.highest()
            }
            Self::Stall(who) | Self::Resume(who) | Self::Isolate(who) | Self::TakePort(who) => {
                who.highest()
            }
            Self::Start(who) | Self::Move(who) | Self::Join(who) => joining(who),
            Self::Seeds(who) => who.nodes.highest().max(who.seeds.highest()),
            Self::Cpu(cpu) => cpu.nodes.highest(),
            Self::Clock(clock) => clock.nodes.highest(),
            Self::Cut(between) | Self::Reject(between) | Self::LinkBetween(between) => {
                between.from.highest().max(between.to.highest())
            }
            Self::Meta(text) | Self::Broadcast(text) => text.nodes.highest(),
            Self::Send(talk) => Some(talk.from.max(talk.to)),
            Self::Ping(said) => Some(said.from.max(said.to)),
            Self::Mend(_) | Self::Link(_) => None,
        }
    }

    /// Checks the action; returns the problem, if any.
    pub(crate) fn problem(&self) -> Option<String> {
        match self {
            Self::Link(link) => link.problem(),
            Self::LinkBetween(Between { link: None, .. }) => {
                Some("`link_between` needs a `link`".into())
            }
            Self::LinkBetween(Between { what: Some(_), .. }) => {
                Some("`link_between` takes a `link`; `what` belongs to `cut`".into())
            }
            Self::LinkBetween(Between { link: Some(link), .. }) => link.problem(),
            Self::Cut(Between { link: Some(_), .. })
            | Self::Reject(Between { link: Some(_), .. }) => {
                let name = self.name();
                Some(format!("`{name}` takes a `what`; `link` belongs to `link_between`"))
            }
            Self::Mend(false) => Some("`mend` must be `true`".into()),
            _ => None,
        }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde wants it so")]
fn is_zero(count: &usize) -> bool {
    *count == 0
}

impl NodeSelector {
    fn highest(&self) -> Option<usize> {
        match self {
            Self::List(these) => these.iter().copied().max(),
            Self::Range(_, end) => end.checked_sub(1),
            Self::All | Self::Random(_) => None,
        }
    }
}

impl<'de> Deserialize<'de> for Step {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let fields = StepFields::deserialize(deserializer)?;
        let at = fields.at;
        let mut actions = fields.actions();
        match (actions.pop(), actions.pop()) {
            (Some(action), None) => Ok(Self { at, action }),
            (None, _) => Err(D::Error::custom(format!(
                "the step does nothing; it needs one of {}",
                KEYS.join(", ")
            ))),
            (Some(one), Some(other)) => Err(D::Error::custom(format!(
                "the step does two things, {} and {}; give each a step of its own",
                other.name(),
                one.name()
            ))),
        }
    }
}

impl Serialize for Step {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = StepFields { at: self.at, ..StepFields::default() };
        self.action.write(&mut fields);
        fields.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for NodeSelector {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NodeSelectorVisitor;

        impl<'de> Visitor<'de> for NodeSelectorVisitor {
            type Value = NodeSelector;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a node's number, a list of them, \"2..5\", \"all\" or \"3 at random\"")
            }

            fn visit_i64<E: Error>(self, number: i64) -> Result<NodeSelector, E> {
                let number = usize::try_from(number);
                number.map(|number| NodeSelector::List(vec![number])).map_err(E::custom)
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<NodeSelector, E> {
                let number = |text: &str| text.trim().parse().ok();
                if text == "all" {
                    return Ok(NodeSelector::All);
                }
                if let Some(count) = text.strip_suffix(" at random").and_then(number) {
                    return Ok(NodeSelector::Random(count));
                }
                let range = text.split_once("..");
                match range.and_then(|(first, end)| Some((number(first)?, number(end)?))) {
                    Some((first, end)) if first < end => Ok(NodeSelector::Range(first, end)),
                    _ => Err(E::invalid_value(serde::de::Unexpected::Str(text), &self)),
                }
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<NodeSelector, A::Error> {
                let mut these = Vec::new();
                while let Some(number) = seq.next_element()? {
                    these.push(number);
                }
                Ok(NodeSelector::List(these))
            }
        }

        deserializer.deserialize_any(NodeSelectorVisitor)
    }
}

impl Serialize for NodeSelector {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::List(these) if these.len() == 1 => these[0].serialize(serializer),
            Self::List(these) => these.serialize(serializer),
            Self::Range(first, end) => serializer.collect_str(&format_args!("{first}..{end}")),
            Self::All => serializer.serialize_str("all"),
            Self::Random(count) => serializer.collect_str(&format_args!("{count} at random")),
        }
    }
}

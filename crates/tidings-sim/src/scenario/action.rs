//! Actions: what may happen to a cluster.

use super::Step;
use crate::link::{Cut, Link};
use serde::de::{Error, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::time::Duration;

macro_rules! actions {
    ($($(#[$doc:meta])* $name:ident($what:ty) = $key:ident,)*) => {
        /// Something that may happen; in a file each step has one of these as its key.
        #[derive(Clone, Debug, PartialEq)]
        pub enum Action {
            $($(#[$doc])* $name($what),)*
        }

        /// A step as it stands in a file: a time, and one action under its name.
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
            /// The action's name, as it stands in a file.
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
    /// Their processes end at once.
    Crash(NodeSelector) = crash,
    /// Their machines go off at once: nothing answers any more.
    PowerOff(NodeSelector) = power_off,
    /// They start, or start again, at the address they had, and join through others.
    Start(Joining) = start,
    /// They start again at another address, and join through others.
    Move(Joining) = r#move,
    /// They join through others, without being started.
    Join(Joining) = join,
    /// They leave.
    Leave(NodeSelector) = leave,
    /// Their processes are stopped; their sockets fill up.
    Pause(NodeSelector) = pause,
    /// They block before they send and after they receive, while their time goes on (Lifeguard's
    /// anomaly).
    Stall(NodeSelector) = stall,
    /// Those that were paused or stalled go on.
    Resume(NodeSelector) = resume,
    /// They take so long over each input.
    Cpu(Cpu) = cpu,
    /// Their wall clocks are ahead, or behind; they notice when they start.
    Clock(Clock) = clock,
    /// Nothing gets from them to the others, nor from the others to them.
    Isolate(NodeSelector) = isolate,
    /// Something, or nothing, gets from some to some.
    Cut(Between) = cut,
    /// All cuts end.
    Mend(bool) = mend,
    /// The network is like this from now on, everywhere.
    Link(Link) = link,
    /// The ways from some to some are like this from now on.
    LinkBetween(Between) = link_between,
    /// They tell other metadata.
    Meta(Text) = meta,
    /// They broadcast a message.
    Broadcast(Text) = broadcast,
    /// One sends another one a message over a stream.
    Send(Message) = send,
    /// One pings another one.
    Ping(Pair) = ping,
}

/// Some nodes: a number, a list of numbers, `"2..5"` (2, 3 and 4), `"all"`, or `"3 at random"`.
#[derive(Clone, Debug, PartialEq)]
pub enum NodeSelector {
    /// These.
    List(Vec<usize>),
    /// From the first to the one before the second.
    Range(usize, usize),
    /// All.
    All,
    /// So many, drawn when the step is due.
    Random(usize),
}

/// NodeSelector joins, and through whom.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Joining {
    /// Who.
    pub nodes: NodeSelector,
    /// Through whom; nobody is joined if there is none.
    pub seeds: NodeSelector,
}

/// How long some take over each input.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Cpu {
    /// Who.
    pub nodes: NodeSelector,
    /// How long.
    #[serde(with = "crate::duration")]
    pub each: Duration,
}

/// What some wall clocks show.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Clock {
    /// Whose.
    pub nodes: NodeSelector,
    /// How many seconds they are ahead; behind, if negative.
    pub ahead: i64,
}

/// From whom to whom, and what is different there.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Between {
    /// From whom.
    pub from: NodeSelector,
    /// To whom.
    pub to: NodeSelector,
    /// What does not get through; for `cut`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub what: Option<Cut>,
    /// What the ways are like; for `ways`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link: Option<Link>,
}

/// What some say to all.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Text {
    /// Who.
    pub nodes: NodeSelector,
    /// What; no broadcast is said twice in a scenario, so it is marked with a number.
    pub text: String,
}

/// What one says to another one.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Message {
    /// Who.
    pub from: usize,
    /// To whom.
    pub to: usize,
    /// What.
    pub text: String,
}

/// NodeSelector pings whom.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Pair {
    /// Who.
    pub from: usize,
    /// Whom.
    pub to: usize,
}

impl Action {
    /// The highest number of a node that it names; `None` if it names none.
    pub(crate) fn highest(&self) -> Option<usize> {
        let joining = |joining: &Joining| joining.nodes.highest().max(joining.seeds.highest());
        match self {
            Self::Crash(who) | Self::PowerOff(who) | Self::Leave(who) | Self::Pause(who) => {
                who.highest()
            }
            Self::Stall(who) | Self::Resume(who) | Self::Isolate(who) => who.highest(),
            Self::Start(who) | Self::Move(who) | Self::Join(who) => joining(who),
            Self::Cpu(cpu) => cpu.nodes.highest(),
            Self::Clock(clock) => clock.nodes.highest(),
            Self::Cut(between) | Self::LinkBetween(between) => {
                between.from.highest().max(between.to.highest())
            }
            Self::Meta(text) | Self::Broadcast(text) => text.nodes.highest(),
            Self::Send(talk) => Some(talk.from.max(talk.to)),
            Self::Ping(said) => Some(said.from.max(said.to)),
            Self::Mend(_) | Self::Link(_) => None,
        }
    }

    /// Why it makes no sense, if it does not.
    pub(crate) fn problem(&self) -> Option<String> {
        match self {
            Self::Link(link) => link.problem(),
            Self::LinkBetween(Between { link: None, .. }) => {
                Some("`link_between` needs a `link` that says what they are like".into())
            }
            Self::LinkBetween(Between { what: Some(_), .. }) => {
                Some("`what` belongs to `cut`; `link_between` has a `link`".into())
            }
            Self::LinkBetween(Between { link: Some(link), .. }) => link.problem(),
            Self::Cut(Between { link: Some(_), .. }) => {
                Some("`link` belongs to `link_between`; `cut` has a `what`".into())
            }
            Self::Mend(false) => Some("`mend` is `true`, or is left out".into()),
            _ => None,
        }
    }
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

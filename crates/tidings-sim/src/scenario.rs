//! Scenarios: a cluster, its network and a schedule of faults, read from TOML.

mod action;
mod file;

use crate::link::Link;
pub use action::{
    Action, Between, Clock, Cpu, Joining, Message, NodeSelector, Pair, Seeding, Text,
};
pub use file::ScenarioError;
use serde::{Deserialize, Serialize};
use std::time::Duration;
use tidings::Options;
use toml::Spanned;

/// A cluster, its network and the steps of a test; read from TOML.
///
/// ```
/// use tidings_sim::Scenario;
///
/// let scenario: Scenario = r#"
///     nodes = 20
///     duration = "2m"
///
///     [link]
///     delay = "1ms"
///     loss = 0.02
///
///     [[step]]
///     at = "30s"
///     crash = 3
///
///     [[step]]
///     at = "1m"
///     isolate = "0..10"
/// "#
/// .parse()?;
/// assert_eq!(scenario.steps.len(), 2);
/// # Ok::<(), tidings_sim::ScenarioError>(())
/// ```
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// A description for people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub about: String,
    /// Number of nodes, 1 to 20,000.
    pub nodes: usize,
    /// Virtual duration of the steps; the recovery phase follows.
    #[serde(with = "crate::duration")]
    pub duration: Duration,
    /// How the cluster forms.
    #[serde(default)]
    pub start: Start,
    /// Preset on which the options are based.
    #[serde(default)]
    pub preset: Preset,
    /// Whether the nodes encrypt their traffic.
    #[serde(default, skip_serializing_if = "is_default")]
    pub encryption: bool,
    /// Wire format of all nodes.
    #[serde(default, skip_serializing_if = "is_default")]
    pub wire: Wire,
    /// Maximum delay with which a node's timers fire.
    #[serde(default, with = "crate::duration", skip_serializing_if = "is_default")]
    pub timer_slack: Duration,
    /// Maximum clock drift of the machines, fast or slow, in parts per million: 0 to 100,000.
    #[serde(default, skip_serializing_if = "is_default")]
    pub drift_ppm: u32,
    /// Whether a recovery phase follows the steps: all faults end, nodes that are down are
    /// restarted, and all views must converge.
    #[serde(default = "default_true", skip_serializing_if = "is_true")]
    pub recovery: bool,
    /// Time from the end of the steps within which all views must converge without a recovery
    /// phase; only if there is none.
    #[serde(default, with = "crate::duration", skip_serializing_if = "is_default")]
    pub converges_within: Duration,
    /// Options that differ from the preset, by name.
    #[serde(default, skip_serializing_if = "toml::Table::is_empty")]
    pub options: toml::Table,
    /// The network link between all nodes.
    #[serde(default)]
    pub link: Link,
    /// The steps, each at its own time.
    #[serde(default, rename = "step", skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<Spanned<Step>>,
}

/// Wire format of all nodes.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Wire {
    /// Tidings' own format.
    #[default]
    Tidings,
    /// The format of HashiCorp memberlist.
    Memberlist,
}

/// How the cluster forms.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Start {
    /// All nodes join `n0`, one after another, within the first second.
    #[default]
    Join,
    /// All nodes join `n0` at the same moment.
    Storm,
    /// All nodes know each other from the beginning.
    Formed,
    /// All nodes start alone; joins are steps.
    Alone,
    /// No node runs; starts are steps.
    Down,
}

/// A preset of options.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Preset {
    /// For one local network.
    #[default]
    Lan,
    /// For a wide area network.
    Wan,
    /// For one machine.
    Local,
}

/// A step of a scenario: an action at a time.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// Time since the beginning of the scenario.
    pub at: Duration,
    /// The action.
    pub action: Action,
}

impl Scenario {
    /// The options of the nodes: the preset with the scenario's changes.
    ///
    /// # Errors
    ///
    /// If an option is unknown, or its value is out of range.
    pub fn options(&self) -> Result<Options, String> {
        let preset = match self.preset {
            Preset::Lan => Options::lan(),
            Preset::Wan => Options::wan(),
            Preset::Local => Options::local(),
        };
        let mut table = toml::Table::try_from(preset).map_err(|error| error.to_string())?;
        for (name, value) in &self.options {
            let Some(known) = table.get_mut(name) else {
                return Err(format!("there is no option {name:?}"));
            };
            *known = match (&*known, value.as_str()) {
                (toml::Value::Table(_), Some(text)) => {
                    let duration = humantime::parse_duration(text)
                        .map_err(|error| format!("{name} = {text:?}: {error}"))?;
                    toml::Value::try_from(duration).map_err(|error| error.to_string())?
                }
                _ => value.clone(),
            };
        }
        // Options are checked when they are deserialized.
        table.try_into().map_err(|error: toml::de::Error| {
            format!("an option has a wrong value: {}", error.message())
        })
    }

    /// The scenario as TOML, which can be parsed again.
    pub fn to_toml(&self) -> String {
        toml::to_string(self).expect("every scenario can be written as TOML")
    }
}

fn default_true() -> bool {
    true
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde wants it so")]
fn is_true(value: &bool) -> bool {
    *value
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

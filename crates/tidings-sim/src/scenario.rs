//! Scenarios: what a cluster is to live through, as a person writes it down.

mod action;
mod file;

use crate::link::Link;
pub use action::{Action, Between, Clock, Cpu, Joining, Message, NodeSelector, Pair, Text};
pub use file::ScenarioError;
use serde::{Deserialize, Serialize};
use std::time::Duration;
use tidings::{Config, Options};
use toml::Spanned;

/// What a cluster is like, what happens to it and when; read from TOML.
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
    /// What it is about, for people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub about: String,
    /// How many machines there are: 1 to 20,000.
    pub nodes: usize,
    /// For how long things happen; then a calm begins.
    #[serde(with = "crate::duration")]
    pub duration: Duration,
    /// How the nodes come to know each other.
    #[serde(default)]
    pub start: Start,
    /// Which of Tidings' presets the options begin with.
    #[serde(default)]
    pub preset: Preset,
    /// Whether the nodes encrypt what they send.
    #[serde(default, skip_serializing_if = "is_default")]
    pub encryption: bool,
    /// In which wire format they speak.
    #[serde(default, skip_serializing_if = "is_default")]
    pub wire: Wire,
    /// How much too late nodes are told at most that their time has come.
    #[serde(default, with = "crate::duration", skip_serializing_if = "is_default")]
    pub timer_slack: Duration,
    /// By how many millionths the machines' clocks run too fast or too slow, at most: 0 to 100,000.
    #[serde(default, skip_serializing_if = "is_default")]
    pub drift_ppm: u32,
    /// Whether everything has to come right in the end: cuts and losses end, whoever is down is started
    /// again, and then all have to agree.
    #[serde(default = "default_true", skip_serializing_if = "is_true")]
    pub recovery: bool,
    /// Options that are not as in the preset, by name.
    #[serde(default, skip_serializing_if = "toml::Table::is_empty")]
    pub options: toml::Table,
    /// What the network is like.
    #[serde(default)]
    pub link: Link,
    /// What happens.
    #[serde(default, rename = "step", skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<Spanned<Step>>,
}

/// The wire format of all nodes.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Wire {
    /// Tidings' own.
    #[default]
    Tidings,
    /// HashiCorp memberlist's.
    Memberlist,
}

/// How nodes come to know each other.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Start {
    /// All join `n0`, one after another, within the first second.
    #[default]
    Join,
    /// All join `n0` at the same moment.
    Storm,
    /// They know each other from the beginning.
    Formed,
    /// Nobody joins anybody unless a step says so.
    Alone,
}

/// Tidings' sets of options.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Preset {
    /// For one local network.
    #[default]
    Lan,
    /// For far places.
    Wan,
    /// For one machine.
    Local,
}

/// Something that happens at some time.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// When, from the beginning of the scenario.
    pub at: Duration,
    /// What.
    pub action: Action,
}

impl Scenario {
    /// The nodes' options.
    ///
    /// # Errors
    ///
    /// If there is no option of such a name, or its value is not one that it may have.
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
        let options: Options = table.try_into().map_err(|error: toml::de::Error| {
            format!("an option has a value of the wrong kind: {}", error.message())
        })?;
        let [cluster, id] = ["check", "check"];
        let (cluster, id) = (cluster.parse().expect("a name"), id.parse().expect("a name"));
        let addr = ([127, 0, 0, 1], 1).into();
        match Config::new(cluster, id, addr, options) {
            Ok(config) => Ok(config.options().clone()),
            Err(error) => Err(error.to_string()),
        }
    }

    /// The same as text that can be read again.
    pub fn to_toml(&self) -> String {
        toml::to_string(self).expect("a scenario can be written")
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

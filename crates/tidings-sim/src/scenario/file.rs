//! Parsing of scenario files, with errors that point at a line.

use super::{Scenario, Step};
use std::fmt;
use std::ops::Range;
use std::str::FromStr;
use std::time::Duration;
use toml::Spanned;

/// Error in a scenario file, with its line.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ScenarioError {
    message: String,
    /// Line number, from 1 on, and the text of the line.
    line: Option<(usize, String)>,
}

impl ScenarioError {
    fn at(text: &str, span: Option<Range<usize>>, message: impl Into<String>) -> Self {
        let line = span.map(|span| {
            let before = text.get(..span.start).unwrap_or(text);
            let number = before.matches('\n').count();
            (number + 1, text.lines().nth(number).unwrap_or_default().trim_end().to_owned())
        });
        Self { message: message.into(), line }
    }

    /// Line number of the error, from 1 on, if it concerns one line.
    pub fn line(&self) -> Option<usize> {
        self.line.as_ref().map(|(number, _)| *number)
    }
}

impl fmt::Display for ScenarioError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.line {
            Some((number, text)) => write!(f, "line {number}: {}\n    {text}", self.message),
            None => f.write_str(&self.message),
        }
    }
}

impl std::error::Error for ScenarioError {}

impl FromStr for Scenario {
    type Err = ScenarioError;

    fn from_str(text: &str) -> Result<Self, ScenarioError> {
        let error = |span, message: &str| ScenarioError::at(text, span, message);
        let scenario: Self = toml::from_str(text)
            .map_err(|cause| error(cause.span(), cause.message().trim_end()))?;
        let find = |key: &str| find(text, key);
        if scenario.nodes == 0 || scenario.nodes > MAX_NODES {
            let message = format!("nodes is {}; the limits are 1 and {MAX_NODES}", scenario.nodes);
            return Err(error(find("nodes"), &message));
        }
        if scenario.duration > MAX_DURATION {
            return Err(error(find("duration"), "duration exceeds the limit of one week"));
        }
        if scenario.drift_ppm > MAX_DRIFT {
            return Err(error(find("drift_ppm"), "drift_ppm exceeds the limit of 100000"));
        }
        if let Some(problem) = scenario.link.problem() {
            return Err(error(find("[link]"), &problem));
        }
        if let Err(problem) = scenario.options() {
            let named = scenario.options.keys().find(|name| problem.contains(name.as_str()));
            return Err(error(find(named.map_or("[options]", String::as_str)), &problem));
        }
        for step in &scenario.steps {
            if let Some(problem) = scenario.problem(step) {
                return Err(error(Some(step.span()), &problem));
            }
        }
        Ok(scenario)
    }
}

impl Scenario {
    fn problem(&self, step: &Spanned<Step>) -> Option<String> {
        let Step { at, action } = step.get_ref();
        if let Some(highest) = action.highest().filter(|&highest| highest >= self.nodes) {
            let last = self.nodes - 1;
            return Some(format!("there is no node {highest}; the last one is {last}"));
        }
        if *at > self.duration {
            let [at, end] = [*at, self.duration].map(humantime::format_duration);
            return Some(format!("the step is due after {at}, but the scenario ends after {end}"));
        }
        action.problem()
    }
}

/// The span of the line that begins with a key.
fn find(text: &str, key: &str) -> Option<Range<usize>> {
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        let indent = line.len() - line.trim_start().len();
        if line.trim_start().starts_with(key) {
            return Some(start + indent..start + line.len());
        }
        start += line.len();
    }
    None
}

/// Maximum number of nodes; memory grows with the square of it.
const MAX_NODES: usize = 20_000;
const MAX_DURATION: Duration = Duration::from_secs(7 * 24 * 3600);
const MAX_DRIFT: u32 = 100_000;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::link::{Cut, Jitter};
    use crate::scenario::{Action, Between, NodeSelector};
    use tidings::Options;

    fn error(text: &str) -> (Option<usize>, String) {
        let error = text.parse::<Scenario>().unwrap_err();
        (error.line(), error.to_string())
    }

    #[test]
    fn a_scenario_is_what_its_file_says() {
        let scenario: Scenario = r#"
            nodes = 9
            duration = "1m 30s"
            start = "formed"
            preset = "local"
            encryption = true
            [options]
            probe_interval = "500ms"
            gossip_nodes = 5
            require_recent_ack = false
            [link]
            jitter = { exponential = "2ms" }
            bursts = { good = "10s", bad = "1s", loss = 0.5 }
            [[step]]
            at = "10s"
            crash = [1, 2]
            [[step]]
            at = "20s"
            cut = { from = "0..3", to = "all", what = "datagrams" }
            [[step]]
            at = "30s"
            start = { nodes = "2 at random", seeds = 0 }
            [[step]]
            at = "40s"
            move = { nodes = 1, seeds = 0 }
            [[step]]
            at = "50s"
            take_port = 2
            [[step]]
            at = "60s"
            reject = { from = "all", to = 3, what = "streams" }
        "#
        .parse()
        .unwrap();
        let options = scenario.options().unwrap();
        assert_eq!(options.probe_interval, Duration::from_millis(500));
        assert_eq!((options.gossip_nodes, options.require_recent_ack), (5, false));
        assert_eq!(options.suspicion_mult, Options::local().suspicion_mult);
        assert_eq!(scenario.link.jitter, Jitter::Exponential(Duration::from_millis(2)));
        assert_eq!(
            *scenario.steps[0].get_ref(),
            Step {
                at: Duration::from_secs(10),
                action: Action::Crash(NodeSelector::List(vec![1, 2]))
            }
        );
        let (all, three) = (NodeSelector::All, NodeSelector::List(vec![3]));
        let reject = Between { from: all, to: three, what: Some(Cut::Streams), link: None };
        assert_eq!(scenario.steps[5].get_ref().action, Action::Reject(reject));
        let taken = Action::TakePort(NodeSelector::List(vec![2]));
        assert_eq!(scenario.steps[4].get_ref().action, taken);
        let again: Scenario = scenario.to_toml().parse().unwrap();
        assert_eq!(again.to_toml(), scenario.to_toml());
        assert_eq!(again.options(), scenario.options());
    }

    #[test]
    fn errors_point_at_the_line() {
        let head = "nodes = 4\nduration = \"1m\"\n";
        let (line, text) = error(&format!("{head}[[step]]\nat = \"1s\"\ncrash = 4\n"));
        assert_eq!(line, Some(3), "{text}");
        assert!(text.contains("there is no node 4; the last one is 3"), "{text}");
        let (line, text) = error(&format!("{head}[[step]]\nat = \"1s\"\ncrush = 3\n"));
        assert_eq!(line, Some(5), "{text}");
        assert!(text.contains("crush"), "{text}");
        let (line, text) = error(&format!("{head}[[step]]\nat = \"soon\"\ncrash = 3\n"));
        assert_eq!(line, Some(4), "{text}");
        assert!(text.contains("\"soon\" is not a duration"), "{text}");
        let (line, text) = error(&format!("{head}[[step]]\nat = \"2m\"\ncrash = 3\n"));
        assert!(line == Some(3) && text.contains("but the scenario ends after 1m"), "{text}");
        let (line, text) = error(&format!("{head}[[step]]\nat = \"1s\"\ncrash = \"3..1\"\n"));
        assert!(line == Some(5) && text.contains("\"3 at random\""), "{text}");
        let (_, text) = error(&format!("{head}[[step]]\nat = \"1s\"\ncrash = 1\nleave = 2\n"));
        assert!(text.contains("two things, crash and leave"), "{text}");
        let (_, text) = error(&format!("{head}[[step]]\nat = \"1s\"\n"));
        assert!(text.contains("the step does nothing; it needs one of crash, power_off"), "{text}");
        let (line, text) = error(&format!("{head}[options]\nprobe_intervall = 3\n"));
        assert!(line == Some(4) && text.contains("no option \"probe_intervall\""), "{text}");
        let (line, text) = error(&format!("{head}[options]\ngossip_nodes = 100\n"));
        assert!(line == Some(4) && text.contains("gossip_nodes"), "{text}");
        let (line, text) = error(&format!("{head}[link]\nloss = 2.0\n"));
        assert!(line == Some(3) && text.contains("loss is 2; a rate"), "{text}");
        let (line, text) = error("nodes = 0\nduration = \"1m\"");
        assert!(line == Some(1) && text.contains("nodes is 0"), "{text}");
        let (line, text) = error("nodes = 3\nduration = 7\n");
        assert_eq!(line, Some(2), "{text}");
        assert_eq!(
            error("duration = \"1m\"").1,
            "line 1: missing field `nodes`\n    duration = \"1m\""
        );
    }
}

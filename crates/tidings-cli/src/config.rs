//! Options of an agent from its command line, the environment and a TOML file, in this order; and
//! `tidings config`.

use crate::output::count;
use crate::{Cli, Command, Fatal, agent};
use clap::error::ErrorKind;
use clap::{Arg, ArgAction, CommandFactory, Parser, Subcommand};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use toml::{Spanned, Value};

/// Check or write the configuration file of an agent
#[derive(Debug, Subcommand)]
pub(crate) enum Args {
    /// Check a configuration file, with the keys and addresses that it names
    Check {
        /// The file
        file: PathBuf,
        /// Options of `tidings agent` that are not in the file, as -- --name db-7
        #[arg(last = true)]
        options: Vec<OsString>,
    },
    /// Print a configuration file with all options and their defaults, each in a comment
    Template,
}

pub(crate) fn run(args: &Args) -> Result<ExitCode, Fatal> {
    match args {
        Args::Check { file, options } => {
            let argv = ["tidings".into(), "agent".into(), "--config".into(), file.into()];
            let argv = argv.into_iter().chain(options.iter().cloned()).collect();
            let (agent, sources) = read_agent(argv)?;
            agent::check(&agent).map_err(|fatal| sources.locate(fatal))?;
            let options = sources.file.map_or(0, |file| file.places.len());
            println!("{}: {}, no error", file.display(), count(options, "option"));
        }
        Args::Template => print!("{}", template()),
    }
    Ok(ExitCode::SUCCESS)
}

/// Parses the command line of this process; an agent's options may come from elsewhere, too.
pub(crate) fn parse() -> Result<(Cli, Option<Sources>), Fatal> {
    let argv: Vec<_> = std::env::args_os().collect();
    let is_agent = argv.get(1).is_some_and(|command| command == "agent");
    if !is_agent || argv.iter().any(|arg| arg == "--help" || arg == "-h") {
        return Ok((Cli::parse(), None));
    }
    let (args, sources) = read_agent(argv)?;
    Ok((Cli { command: Command::Agent(Box::new(args)) }, Some(sources)))
}

/// Where the options of an agent come from.
#[derive(Debug, Default)]
pub(crate) struct Sources {
    argv: Vec<OsString>,
    file: Option<ConfigFile>,
}

#[derive(Debug)]
struct ConfigFile {
    path: PathBuf,
    /// The options in it, with their lines and columns.
    places: BTreeMap<String, (usize, usize)>,
}

impl Sources {
    /// Reads the options again.
    pub(crate) fn read_again(&self) -> Result<(agent::Args, Self), Fatal> {
        let (cli, sources) = read(self.argv.clone())?;
        match cli.map_err(|error| Fatal::usage(error.to_string().trim_end()))?.command {
            Command::Agent(args) => Ok((*args, sources)),
            _ => unreachable!("the command line is that of an agent"),
        }
    }

    /// Puts the place in the file in front of an error about an option that is in it.
    pub(crate) fn locate(&self, fatal: Fatal) -> Fatal {
        let flag = fatal.message.strip_prefix("--").and_then(|text| text.split([':', ' ']).next());
        let Some((flag, file)) = flag.zip(self.file.as_ref()) else { return fatal };
        match file.places.get(flag) {
            Some(&place) => Fatal { message: at(&file.path, place, &fatal.message), ..fatal },
            None => fatal,
        }
    }
}

/// Reads the options of an agent; ends the process as clap does if the command line is wrong.
fn read_agent(argv: Vec<OsString>) -> Result<(agent::Args, Sources), Fatal> {
    let (cli, sources) = read(argv)?;
    match cli.unwrap_or_else(|error| error.exit()).command {
        Command::Agent(args) => Ok((*args, sources)),
        _ => unreachable!("the command line is that of an agent"),
    }
}

/// Reads all sources, and parses them as one command line.
fn read(argv: Vec<OsString>) -> Result<(Result<Cli, clap::Error>, Sources), Fatal> {
    let command = Cli::command();
    let agent = command.find_subcommand("agent").expect("it is one of the commands");
    let options: Vec<_> = agent.get_arguments().filter(|arg| is_option(arg)).collect();
    let (mut given, mut merged) = (BTreeMap::new(), argv.clone());
    for option in &options {
        let name = long(option);
        if is_given(&argv, name) {
            given.insert(name.to_owned(), Level::CommandLine);
        } else if let Some(args) = from_env(option)? {
            given.insert(name.to_owned(), Level::Environment);
            merged.extend(args.into_iter().map(OsString::from));
        }
    }
    let path = value_of(&argv, "config").or_else(|| std::env::var_os("TIDINGS_CONFIG"));
    let Some(path) = path.map(PathBuf::from) else {
        return Ok((Cli::try_parse_from(merged), Sources { argv, file: None }));
    };
    let text = fs::read_to_string(&path).map_err(|error| {
        Fatal::usage(format!("--config: cannot read {}: {error}", path.display()))
    })?;
    let mut places = BTreeMap::new();
    for (key, value) in parse_toml(&path, &text)? {
        let (name, place) = (key.get_ref(), line_and_column(&text, key.span()));
        let wrong = |message: &str| Fatal::usage(at(&path, place, message));
        let option = options.iter().find(|option| long(option) == name);
        let option = option.ok_or_else(|| wrong(&unknown(name, &options)))?;
        let args = to_args(option, value.get_ref()).map_err(|error| wrong(&error))?;
        for arg in &args {
            check(arg).map_err(|error| wrong(&error))?;
        }
        places.insert(name.clone(), place);
        if !given.contains_key(name) && rivals(name).all(|rival| !given.contains_key(rival)) {
            merged.extend(args.into_iter().map(OsString::from));
        }
    }
    let file = Some(ConfigFile { path, places });
    Ok((Cli::try_parse_from(merged), Sources { argv, file }))
}

/// Where an option is given that the file may have, too.
enum Level {
    CommandLine,
    Environment,
}

fn is_option(arg: &Arg) -> bool {
    arg.get_long().is_some_and(|long| !["help", "version", "config"].contains(&long))
}

fn long(arg: &Arg) -> &str {
    arg.get_long().expect("options have long names")
}

/// Whether an option is on a command line.
fn is_given(argv: &[OsString], name: &str) -> bool {
    let flag = format!("--{name}");
    argv.iter().filter_map(|arg| arg.to_str()).any(|arg| {
        arg.strip_prefix(&flag).is_some_and(|rest| rest.is_empty() || rest.starts_with('='))
    })
}

/// The value of an option on a command line.
fn value_of(argv: &[OsString], name: &str) -> Option<OsString> {
    let flag = format!("--{name}");
    let at = argv.iter().position(|arg| *arg == *flag);
    let next = at.and_then(|at| argv.get(at + 1).cloned());
    next.or_else(|| {
        argv.iter()
            .find_map(|arg| arg.to_str()?.strip_prefix(&flag)?.strip_prefix('='))
            .map(Into::into)
    })
}

/// Options that an option replaces, if they come from a source that counts less.
fn rivals(name: &str) -> impl Iterator<Item = &'static str> {
    let rivals = RIVALS.iter().filter(move |pair| pair.contains(&name));
    rivals.flatten().copied()
}

/// The arguments for an option that is in the environment: `TIDINGS_` and its name.
fn from_env(option: &Arg) -> Result<Option<Vec<String>>, Fatal> {
    let name = long(option);
    let variable = variable(name);
    let Some(value) = std::env::var_os(&variable) else { return Ok(None) };
    let wrong = |error: &str| Fatal::usage(format!("{variable}: {error}"));
    let value = value.into_string().map_err(|_| wrong("it is not UTF-8"))?;
    let value = match (takes_value(option), value.as_str()) {
        (true, _) => Value::String(value),
        (false, "1" | "true" | "yes") => Value::Boolean(true),
        (false, "" | "0" | "false" | "no") => Value::Boolean(false),
        (false, other) => return Err(wrong(&format!("expected true or false, not {other:?}"))),
    };
    let args = to_args(option, &value).map_err(|error| wrong(&error))?;
    for arg in &args {
        check(arg).map_err(|error| wrong(&error))?;
    }
    Ok(Some(args))
}

/// The variable of the environment for an option.
fn variable(name: &str) -> String {
    format!("TIDINGS_{}", name.replace('-', "_").to_uppercase())
}

fn takes_value(option: &Arg) -> bool {
    option.get_action().takes_values()
}

/// A value as arguments of the command line.
fn to_args(option: &Arg, value: &Value) -> Result<Vec<String>, String> {
    let name = long(option);
    let one = |value: &Value| match value {
        Value::String(text) => Ok(format!("--{name}={text}")),
        Value::Integer(number) => Ok(format!("--{name}={number}")),
        Value::Float(number) => Ok(format!("--{name}={number}")),
        _ => Err(format!("{name}: expected text or a number")),
    };
    match (takes_value(option), value) {
        (false, Value::Boolean(true)) => Ok(vec![format!("--{name}")]),
        (false, Value::Boolean(false)) => Ok(Vec::new()),
        (false, _) => Err(format!("{name}: expected true or false")),
        (true, Value::Array(values)) if takes_many(option) => values.iter().map(one).collect(),
        (true, Value::Table(tags)) if name == "tag" => {
            let tag = |(key, value): (&String, &Value)| match value {
                Value::String(text) => Ok(format!("--tag={key}={text}")),
                Value::Integer(number) => Ok(format!("--tag={key}={number}")),
                Value::Boolean(flag) => Ok(format!("--tag={key}={flag}")),
                _ => Err(format!("tag.{key}: expected text")),
            };
            tags.iter().map(tag).collect()
        }
        (true, value) => one(value).map(|arg| vec![arg]),
    }
}

fn takes_many(option: &Arg) -> bool {
    matches!(option.get_action(), ArgAction::Append)
}

/// Checks one argument alone.
fn check(arg: &str) -> Result<(), String> {
    let name = (!arg.starts_with("--name=")).then_some("--name=x");
    let argv = ["tidings", "agent", arg].into_iter().chain(name);
    let Err(error) = Cli::try_parse_from(argv) else { return Ok(()) };
    let kinds = [ErrorKind::InvalidValue, ErrorKind::ValueValidation, ErrorKind::NoEquals];
    if !kinds.contains(&error.kind()) {
        return Ok(());
    }
    let text = error.to_string();
    let text = text.split("\n\nFor more").next().unwrap_or_default().trim();
    Err(text.strip_prefix("error: ").unwrap_or(text).to_owned())
}

type Options = BTreeMap<Spanned<String>, Spanned<Value>>;

fn parse_toml(path: &Path, text: &str) -> Result<Options, Fatal> {
    toml::from_str(text).map_err(|error| {
        let place = line_and_column(text, error.span().unwrap_or_default());
        Fatal::usage(at(path, place, error.message()))
    })
}

fn line_and_column(text: &str, span: Range<usize>) -> (usize, usize) {
    let before = text.get(..span.start).unwrap_or(text);
    let column = before.chars().rev().take_while(|c| *c != '\n').count() + 1;
    (before.matches('\n').count() + 1, column)
}

fn at(path: &Path, (line, column): (usize, usize), message: &str) -> String {
    format!("{}:{line}:{column}: {message}", path.display())
}

fn unknown(name: &str, options: &[&Arg]) -> String {
    let instead = name.replace('_', "-");
    match options.iter().any(|option| long(option) == instead) {
        true => format!("unknown option {name:?}; {instead:?} is meant?"),
        false => format!("unknown option {name:?}; `tidings config template` lists the options"),
    }
}

/// A configuration file with all options in comments.
fn template() -> String {
    let command = Cli::command();
    let agent = command.find_subcommand("agent").expect("it is one of the commands");
    let mut text = "\
# The configuration of `tidings agent --config FILE`. Flags of the command line come first, then
# variables of the environment (TIDINGS_ and the option's name, as TIDINGS_BIND), then this file.
# SIGHUP has the agent read keys, tags, log-level and seeds again.
"
    .to_owned();
    for option in agent.get_arguments().filter(|arg| is_option(arg)) {
        let name = long(option);
        text.push('\n');
        let help = option.get_help().map(ToString::to_string).unwrap_or_default();
        let more = option.get_long_help().map(ToString::to_string).unwrap_or(help);
        for line in more.lines().filter(|line| !line.is_empty()) {
            wrap(&mut text, line);
        }
        let names: Vec<_> = option.get_possible_values();
        if takes_value(option) && !names.is_empty() {
            let names: Vec<_> = names.iter().map(|value| value.get_name()).collect();
            wrap(&mut text, &format!("One of: {}", names.join(", ")));
        }
        let default = option.get_default_values().first().map(|value| value.to_string_lossy());
        let placeholder = option.get_value_names().and_then(|names| names.first());
        let placeholder = placeholder.map_or_else(|| name.to_uppercase(), ToString::to_string);
        let value = match default.filter(|_| takes_value(option)) {
            _ if !takes_value(option) => "false".to_owned(),
            Some(number) if number.parse::<u64>().is_ok() => number.into_owned(),
            Some(default) => format!("{default:?}"),
            None if takes_many(option) => format!("[{placeholder:?}]"),
            None => format!("{placeholder:?}"),
        };
        text += &format!("#{name} = {value}\n");
    }
    text
}

/// Appends a comment, on as many lines as it takes.
fn wrap(text: &mut String, comment: &str) {
    let mut line = "#".to_owned();
    for word in comment.split_whitespace() {
        if line.len() + 1 + word.len() > 100 {
            *text += &line;
            *text += "\n";
            line = "#".to_owned();
        }
        line.push(' ');
        line += word;
    }
    *text += &line;
    text.push('\n');
}

/// Options of which one is given.
const RIVALS: [[&str; 2]; 2] = [["key", "key-file"], ["meta", "tag"]];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_template_has_all_options_and_is_a_configuration_file() {
        let template = template();
        assert!(parse_toml(Path::new("t"), &template).unwrap().is_empty(), "all are in comments");
        assert!(template.lines().all(|line| line.len() <= 100), "{template}");
        let options = template.lines().filter_map(|line| line.strip_prefix('#'));
        let options = options.filter(|line| line.starts_with(|c: char| c.is_ascii_lowercase()));
        let options = options.collect::<Vec<_>>().join("\n");
        let options = parse_toml(Path::new("t"), &options).unwrap();
        let command = Cli::command();
        let agent = command.find_subcommand("agent").unwrap();
        for option in agent.get_arguments().filter(|arg| is_option(arg)) {
            assert!(options.keys().any(|key| key.get_ref() == long(option)), "{}", long(option));
        }
        assert!(options.len() > 30);
    }

    #[test]
    fn places_are_counted_from_one_in_characters() {
        assert_eq!(line_and_column("a\nü=b", 4..5), (2, 2));
        assert_eq!(line_and_column("", 0..0), (1, 1));
    }
}

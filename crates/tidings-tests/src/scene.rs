//! Where one scenario plays.

use crate::Network;
use crate::logs::{Expected, Log, Writer};
use crate::process::Process;
use crate::programs::Kind;
use crate::settings::Settings;
use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::{self, Command};
use std::sync::{Arc, Mutex, PoisonError};
use std::{env, fs};

/// The network, the logs and the files of one scenario.
#[derive(Debug)]
pub struct Scene {
    network: Network,
    folder: PathBuf,
    processes: Mutex<Vec<Arc<Process>>>,
    logs: Mutex<Vec<Arc<Log>>>,
    expected: Mutex<Vec<Expected>>,
}

impl Scene {
    pub(crate) fn new(network: Network) -> Self {
        let name = match network {
            Network::Loopback(x, y) => format!("tidings-interop-{}-{x}-{y}", process::id()),
            Network::Bridge => format!("tidings-interop-bridge-{}", process::id()),
        };
        let folder = env::temp_dir().join(name);
        Self {
            network,
            folder,
            processes: Mutex::default(),
            logs: Mutex::default(),
            expected: Mutex::default(),
        }
    }

    /// Where its nodes are.
    pub fn network(&self) -> Network {
        self.network
    }

    /// A peer of that kind and name, at the network's address of that number.
    pub fn peer(&self, kind: Kind, name: &str, number: u8) -> Settings {
        Settings::new(kind, name, number, self.network.addr(number))
    }

    /// What is under test: `tidings agent`.
    pub fn ours(&self, name: &str, number: u8) -> Settings {
        self.peer(Kind::ours(), name, number)
    }

    /// Warnings that the scenario itself causes; any other one fails it.
    pub fn expects(&self, warnings: &[Expected]) {
        let mut expected = self.expected.lock().unwrap_or_else(PoisonError::into_inner);
        expected.extend(warnings);
    }

    /// Starts a process at the place of that number. It runs until it is told to end, or until the
    /// scene ends: not only until whoever started it has no more use for it, since that would be
    /// before the logs are looked at, where the others would complain of its end.
    #[track_caller]
    pub(crate) fn run(&self, number: u8, command: Command, log: &Arc<Log>) -> Arc<Process> {
        let process = Arc::new(Process::start(&self.network.at(number, command), log));
        self.processes.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(&process));
        process
    }

    /// The log of a process that is about to start.
    pub(crate) fn log(&self, who: &str, writer: Writer) -> Arc<Log> {
        let log = Arc::new(Log::new(who, writer));
        self.logs.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(&log));
        log
    }

    /// A folder for its files, which goes with it.
    pub(crate) fn folder(&self) -> &Path {
        fs::create_dir_all(&self.folder).expect("there is a place for temporary files");
        &self.folder
    }

    /// Nobody has suspected anybody so far.
    #[track_caller]
    pub fn nobody_was_suspected(&self) {
        for log in self.logs() {
            if let Some(line) = log.suspicion() {
                panic!("{} suspects somebody: {line}", log.who);
            }
        }
    }

    /// No log has a warning that was not to be expected.
    #[track_caller]
    pub fn nothing_unexpected_was_logged(&self) {
        let expected = self.expected.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let unexpected: Vec<_> =
            self.logs().iter().flat_map(|log| log.complaints(&expected)).collect();
        assert!(unexpected.is_empty(), "logged unexpectedly:\n{}", unexpected.join("\n"));
    }

    /// Nobody has panicked so far.
    #[track_caller]
    pub fn nobody_panicked(&self) {
        let panics: Vec<_> = self.logs().iter().filter_map(|log| log.panic()).collect();
        assert!(panics.is_empty(), "{}", panics.join("\n"));
    }

    /// What the Go programs have warned of, without names, numbers and times.
    pub fn kinds_of_warnings(&self) -> BTreeSet<String> {
        self.logs().iter().flat_map(|log| log.kinds_of_warnings()).collect()
    }

    fn logs(&self) -> Vec<Arc<Log>> {
        self.logs.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        for process in &*self.processes.lock().unwrap_or_else(PoisonError::into_inner) {
            process.kill();
        }
        drop(fs::remove_dir_all(&self.folder));
    }
}

/// All logs, for whoever wants to know why a scenario failed.
impl fmt::Display for Scene {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.logs().iter().try_for_each(|log| log.fmt(f))
    }
}

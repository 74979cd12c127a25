//! The environment of one scenario: its network, processes, logs and files.

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

/// The environment of one scenario; dropping it ends its processes and removes its files.
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

    /// The network that its nodes are in.
    pub fn network(&self) -> Network {
        self.network
    }

    /// Settings of a peer at address `number` of the network.
    pub fn peer(&self, kind: Kind, name: &str, number: u8) -> Settings {
        Settings::new(kind, name, number, self.network.addr(number))
    }

    /// Settings of the peer under test: `tidings agent`.
    pub fn ours(&self, name: &str, number: u8) -> Settings {
        self.peer(Kind::ours(), name, number)
    }

    /// Allows warnings that the scenario causes; any other warning fails it.
    pub fn expects(&self, warnings: &[Expected]) {
        let mut expected = self.expected.lock().unwrap_or_else(PoisonError::into_inner);
        expected.extend(warnings);
    }

    /// Starts a process at address `number`. It runs until it is told to end, or until the scene
    /// ends. Ending it earlier, when its handle is dropped, would make the others log its failure
    /// before the logs are checked.
    #[track_caller]
    pub(crate) fn run(&self, number: u8, command: Command, log: &Arc<Log>) -> Arc<Process> {
        let process = Arc::new(Process::start(&self.network.at(number, command), log));
        self.processes.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(&process));
        process
    }

    /// Creates the log of a process that is about to start.
    pub(crate) fn log(&self, process: &str, writer: Writer) -> Arc<Log> {
        let log = Arc::new(Log::new(process, writer));
        self.logs.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(&log));
        log
    }

    /// A folder for its files, removed with the scene.
    pub(crate) fn folder(&self) -> &Path {
        fs::create_dir_all(&self.folder).expect("there is a place for temporary files");
        &self.folder
    }

    /// Asserts that no member has been suspected so far.
    #[track_caller]
    pub fn assert_no_suspicion(&self) {
        for log in self.logs() {
            if let Some(line) = log.suspicion() {
                panic!("{} suspects a member: {line}", log.process);
            }
        }
    }

    /// Asserts that no log has an unexpected warning.
    #[track_caller]
    pub fn assert_no_unexpected_warning(&self) {
        let expected = self.expected.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let unexpected: Vec<_> =
            self.logs().iter().flat_map(|log| log.unexpected_warnings(&expected)).collect();
        assert!(unexpected.is_empty(), "logged unexpectedly:\n{}", unexpected.join("\n"));
    }

    /// Asserts that no process has panicked so far.
    #[track_caller]
    pub fn assert_no_panic(&self) {
        let panics: Vec<_> = self.logs().iter().filter_map(|log| log.panic()).collect();
        assert!(panics.is_empty(), "{}", panics.join("\n"));
    }

    /// The warnings of the Go programs, without names, numbers and times.
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

/// All logs, to find out why a scenario failed.
impl fmt::Display for Scene {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.logs().iter().try_for_each(|log| log.fmt(f))
    }
}

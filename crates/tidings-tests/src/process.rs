//! A child process: keeps its output, and does not outlive its owner.

use crate::logs::Log;
use crate::transcript::Transcript;
use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

#[derive(Debug)]
pub(crate) struct Process {
    child: Mutex<Child>,
    stdin: ChildStdin,
    ended: Arc<Transcript<()>>,
}

impl Process {
    /// Starts it; its output goes into the log.
    ///
    /// It is killed as soon as the calling thread ends, for whatever reason, so that a test that is
    /// killed leaves no process behind. The thread that runs a scenario outlives its processes.
    #[track_caller]
    pub(crate) fn start(command: &Command, log: &Arc<Log>) -> Self {
        let mut child = killed_with_thread(command)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"));
        let ended = Arc::new(Transcript::default());
        let stdout = child.stdout.take().expect("it is piped");
        let stderr = child.stderr.take().expect("it is piped");
        let (stdout_log, stderr_log, end) = (Arc::clone(log), Arc::clone(log), Arc::clone(&ended));
        thread::spawn(move || {
            lines(stdout, |line| stdout_log.add_stdout(line));
            stdout_log.end();
            end.push(());
        });
        thread::spawn(move || lines(stderr, |line| stderr_log.add_stderr(line)));
        let stdin = child.stdin.take().expect("it is piped");
        Self { child: Mutex::new(child), stdin, ended }
    }

    /// Writes one line to its standard input.
    #[track_caller]
    pub(crate) fn write_line(&self, line: &str) {
        writeln!(&self.stdin, "{line}").expect("the process runs");
    }

    /// Kills it at once, as `kill -9` does.
    pub(crate) fn kill(&self) {
        let mut child = self.child();
        drop(child.kill());
        drop(child.wait());
    }

    /// Sends a signal, such as `-INT`.
    #[track_caller]
    pub(crate) fn signal(&self, signal: &str) {
        let pid = self.child().id().to_string();
        let sent = Command::new("kill").args([signal, &pid]).status();
        assert!(sent.is_ok_and(|status| status.success()), "cannot send {signal}");
    }

    /// Waits for it to end.
    #[track_caller]
    pub(crate) fn wait(&self, within: Duration) -> ExitStatus {
        let ended = self.ended.wait(within, |ended| (!ended.is_empty()).then_some(()));
        ended.unwrap_or_else(|| panic!("it did not end within {within:?}"));
        self.child().wait().expect("it is our child")
    }

    pub(crate) fn runs(&self) -> bool {
        matches!(self.child().try_wait(), Ok(None))
    }

    fn child(&self) -> MutexGuard<'_, Child> {
        self.child.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Wraps a command in one that has it killed when the calling thread ends.
fn killed_with_thread(command: &Command) -> Command {
    let mut wrapped = Command::new("setpriv");
    wrapped.args(["--pdeathsig", "KILL", "--"]).arg(command.get_program()).args(command.get_args());
    wrapped.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    wrapped
}

fn lines(from: impl Read, mut take: impl FnMut(String)) {
    let mut from = BufReader::new(from);
    let mut line = Vec::new();
    while from.read_until(b'\n', &mut line).is_ok_and(|length| length > 0) {
        take(String::from_utf8_lossy(&line).trim_end().to_owned());
        line.clear();
    }
}

/// Runs a command to its end; returns whether it succeeded, and its output.
pub(crate) fn run<S: AsRef<OsStr>>(program: impl AsRef<OsStr>, args: &[S]) -> (bool, String) {
    let output = Command::new(program.as_ref()).args(args).stdin(Stdio::null()).output();
    match output {
        Ok(output) => {
            let text = [output.stdout, output.stderr].concat();
            (output.status.success(), String::from_utf8_lossy(&text).into_owned())
        }
        Err(error) => (false, format!("{}: {error}", program.as_ref().to_string_lossy())),
    }
}

/// Runs a command that has to succeed; returns its output.
#[track_caller]
pub(crate) fn must<S: AsRef<OsStr>>(program: impl AsRef<OsStr>, args: &[S]) -> String {
    let shown: Vec<_> = args.iter().map(|arg| arg.as_ref().to_string_lossy()).collect();
    let name = program.as_ref().to_string_lossy().into_owned();
    let (succeeded, text) = run(program, args);
    assert!(succeeded, "{name} {}: {text}", shown.join(" "));
    text
}

//! Commands that print seeds, and the switch that ends them.

#[cfg(unix)]
use super::read::{MAX_BYTES, SourceError};
#[cfg(unix)]
use rustix::event::{PollFd, PollFlags, Timespec, poll};
#[cfg(unix)]
use rustix::io::Errno;
#[cfg(unix)]
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
#[cfg(unix)]
use std::{
    io::{self, Read},
    os::unix::process::CommandExt,
    process::{Child, ChildStdout, Command, Stdio},
};

/// Ends the work on sources from another thread, with the command that runs.
#[derive(Debug, Default)]
pub(crate) struct KillSwitch {
    state: Mutex<SwitchState>,
    off: Condvar,
}

#[derive(Debug, Default)]
struct SwitchState {
    off: bool,
    /// The process group of the command that runs. Its leader is not reaped while it is here, so
    /// that its number belongs to no other group.
    #[cfg(unix)]
    group: Option<Pid>,
}

impl KillSwitch {
    /// Kills the command that runs, and lets none start any more.
    pub(crate) fn turn_off(&self) {
        let mut state = self.lock();
        state.off = true;
        #[cfg(unix)]
        if let Some(group) = state.group {
            // It may have ended already.
            _ = kill_process_group(group, Signal::KILL);
        }
        drop(state);
        self.off.notify_all();
    }

    pub(crate) fn is_off(&self) -> bool {
        self.lock().off
    }

    /// Waits until a time, or until the switch is turned off.
    pub(crate) fn wait(&self, until: Instant) {
        let left = until.saturating_duration_since(Instant::now());
        drop(self.off.wait_timeout_while(self.lock(), left, |state| !state.off));
    }

    fn lock(&self) -> MutexGuard<'_, SwitchState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Runs a command by `sh -c`; returns its standard output.
///
/// If it does not end within `limit`, prints more than a source may have, or the switch is turned
/// off, it is killed with its process group.
#[cfg(unix)]
pub(crate) fn run(
    command: &str,
    limit: Duration,
    switch: &KillSwitch,
) -> Result<Vec<u8>, SourceError> {
    let deadline = Instant::now() + limit;
    let (mut child, group) = {
        let mut state = switch.lock();
        if state.off {
            return Err(SourceError::Run(io::ErrorKind::Interrupted.into()));
        }
        let (child, group) = spawn(command).map_err(SourceError::Run)?;
        state.group = Some(group);
        (child, group)
    };
    let output = child.stdout.take().ok_or_else(|| io::ErrorKind::BrokenPipe.into());
    let output = output
        .and_then(|mut output| read_to_end(&mut output, deadline))
        .and_then(|bytes| wait_for_end(group, deadline, switch).map(|()| bytes));
    if output.is_err() {
        _ = kill_process_group(group, Signal::KILL);
    }
    switch.lock().group = None;
    let status = child.wait().map_err(SourceError::Run)?;
    match output {
        Ok(_) if !status.success() => Err(SourceError::Failed(status)),
        Ok(bytes) => Ok(bytes),
        Err(error) if error.kind() == io::ErrorKind::TimedOut => {
            Err(SourceError::TimedOut { limit })
        }
        Err(error) if error.kind() == io::ErrorKind::FileTooLarge => {
            Err(SourceError::TooLong { max: MAX_BYTES })
        }
        Err(error) => Err(SourceError::Run(error)),
    }
}

#[cfg(unix)]
fn spawn(command: &str) -> io::Result<(Child, Pid)> {
    let mut shell = Command::new("sh");
    shell.arg("-c").arg(command).process_group(0);
    let child = shell.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
    let group = Pid::from_child(&child);
    Ok((child, group))
}

/// Reads a pipe to its end, with a deadline.
#[cfg(unix)]
fn read_to_end(pipe: &mut ChildStdout, deadline: Instant) -> io::Result<Vec<u8>> {
    let (mut bytes, mut buf) = (Vec::new(), vec![0; 8192]);
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let timeout = Timespec::try_from(left).map_err(io::Error::other)?;
        match poll(&mut [PollFd::new(pipe, PollFlags::IN)], Some(&timeout)) {
            Ok(0) => return Err(io::ErrorKind::TimedOut.into()),
            Ok(_) => {}
            Err(Errno::INTR) => continue,
            Err(error) => return Err(error.into()),
        }
        match pipe.read(&mut buf) {
            Ok(0) => return Ok(bytes),
            Ok(len) if bytes.len() + len > MAX_BYTES => {
                return Err(io::ErrorKind::FileTooLarge.into());
            }
            Ok(len) => bytes.extend_from_slice(&buf[..len]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// Waits until a process has ended, which is not reaped: a command may close its output and run on.
#[cfg(unix)]
fn wait_for_end(process: Pid, deadline: Instant, switch: &KillSwitch) -> io::Result<()> {
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT | WaitIdOptions::NOHANG;
    let mut pause = Duration::from_millis(1);
    while waitid(WaitId::Pid(process), options)?.is_none() {
        let now = Instant::now();
        if now >= deadline {
            return Err(io::ErrorKind::TimedOut.into());
        }
        switch.wait(deadline.min(now + pause));
        pause = (pause * 2).min(Duration::from_millis(100));
    }
    Ok(())
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::thread;

    const LONG: Duration = Duration::from_secs(60);

    fn run(command: &str, limit: Duration) -> Result<String, String> {
        let output = super::run(command, limit, &KillSwitch::default());
        output.map(|bytes| String::from_utf8(bytes).unwrap()).map_err(|error| error.to_string())
    }

    /// A process that writes its number to its output, then sleeps.
    const SLEEPER: &str = "sh -c 'echo $$ >PATH; exec sleep 300' & wait";

    fn is_alive(pid: &str) -> bool {
        // A zombie is as good as gone.
        let status = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        status.rsplit(") ").next().is_some_and(|rest| !rest.is_empty() && !rest.starts_with('Z'))
    }

    #[test]
    fn a_command_gives_its_output() {
        assert_eq!(run("echo a; echo b", LONG).unwrap(), "a\nb\n");
        assert_eq!(run("exit 3", LONG).unwrap_err(), "it failed: exit status: 3");
        assert!(run("/no/such/command", LONG).unwrap_err().contains("127"));
        assert!(run("nul\0", LONG).unwrap_err().starts_with("cannot run it"));
    }

    #[test]
    fn a_command_that_does_not_end_is_killed_with_its_children() {
        let path = std::env::temp_dir().join(format!("tidings-exec-{}", std::process::id()));
        let command = SLEEPER.replace("PATH", path.to_str().unwrap());
        let start = Instant::now();
        let said = run(&command, Duration::from_secs(2)).unwrap_err();
        assert_eq!(said, "it did not end within 2s");
        assert!(start.elapsed() < LONG, "{:?}", start.elapsed());
        let pid = std::fs::read_to_string(&path).unwrap();
        assert!(!pid.trim().is_empty());
        let gone = Instant::now() + LONG;
        while is_alive(pid.trim()) && Instant::now() < gone {
            thread::yield_now();
        }
        assert!(!is_alive(pid.trim()), "{pid} is still there");
        std::fs::remove_file(path).unwrap();
    }

    #[test]
    fn a_command_that_closes_its_output_and_runs_on_is_killed_too() {
        let said = run("exec >&-; sleep 300", Duration::from_millis(200)).unwrap_err();
        assert_eq!(said, "it did not end within 200ms");
    }

    #[test]
    fn output_is_bounded() {
        let said = run("cat /dev/zero", LONG).unwrap_err();
        assert_eq!(said, "it has more than 1048576 bytes");
        assert_eq!(run("head -c 1048576 /dev/zero", LONG).unwrap().len(), MAX_BYTES);
    }

    #[test]
    fn the_switch_ends_a_command_that_runs_and_none_starts_after_it() {
        let switch = Arc::new(KillSwitch::default());
        let other = Arc::clone(&switch);
        let runs = thread::spawn(move || super::run("sleep 300", LONG * 10, &other));
        while switch.lock().group.is_none() {
            thread::yield_now();
        }
        let start = Instant::now();
        switch.turn_off();
        assert!(runs.join().unwrap().is_err());
        assert!(start.elapsed() < LONG);
        assert!(super::run("true", LONG, &switch).is_err());
    }
}

//! Help texts, and what becomes of output that nobody reads.

use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::{Command, Output, Stdio};

fn tidings(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_tidings")).args(args).output().unwrap()
}

fn text(args: &[&str]) -> String {
    let output = tidings(args);
    assert!(output.status.success(), "{args:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn help_is_a_command_and_short_help_is_a_summary() {
    let help = text(&["help"]);
    for command in ["agent", "demo", "keygen", "sim", "replay", "reachability", "top", "help"] {
        let line = help.lines().find(|line| line.trim_start().starts_with(command));
        assert!(line.is_some_and(|line| line.len() < 100), "{command}: {help}");
    }
    assert_eq!(text(&["help", "agent"]), text(&["agent", "--help"]));

    let (short, long) = (text(&["agent", "-h"]), text(&["agent", "--help"]));
    assert!(short.lines().count() < 30, "{short}");
    assert!(short.contains("--join") && !short.contains("--suspicion-mult"), "{short}");
    assert!(short.contains("`tidings agent --help` shows all options"), "{short}");
    assert!(long.contains("--suspicion-mult") && long.contains("\n  broadcast TEXT "), "{long}");
    assert!(long.contains("Changes of the keyring are written to the file"), "{long}");
}

#[test]
#[cfg(unix)]
fn output_that_nobody_reads_ends_a_command_without_a_panic() {
    for args in [&["keygen"][..], &["sim", "draw", "1"], &["sim", "experiment"], &["demo"]] {
        // The reader is gone before the command writes anything.
        let (reader, writer) = UnixStream::pair().unwrap();
        drop(reader);
        let child = Command::new(env!("CARGO_BIN_EXE_tidings"))
            .args(args)
            .stdout(OwnedFd::from(writer))
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let output = child.wait_with_output().unwrap();
        let error = String::from_utf8(output.stderr).unwrap();
        // 128 and SIGPIPE, as other programs in a pipe end.
        assert_eq!((output.status.code(), error.as_str()), (Some(141), ""), "{args:?}");
    }
}

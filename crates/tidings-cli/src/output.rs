//! Standard output and standard error of a process whose reader may be gone.
//!
//! The macros here replace those of the standard library, which panic if a write fails. Every
//! command prints with them, except the agent: it has a cluster to leave first, and uses
//! [`write_line`].

use std::fmt::Arguments;
use std::io::{self, Write};

/// Prints text to standard output with [`print()`].
macro_rules! print {
    ($($args:tt)*) => { $crate::output::print(format_args!($($args)*)) };
}

/// Prints a line to standard output with [`print()`].
macro_rules! println {
    () => { $crate::output::print(format_args!("\n")) };
    ($($args:tt)*) => {
        $crate::output::print(format_args!("{}\n", format_args!($($args)*)))
    };
}

/// Prints a line to standard error; a failure is ignored, because there is nowhere to report it.
macro_rules! eprintln {
    ($($args:tt)*) => { $crate::output::print_error(format_args!($($args)*)) };
}

/// Prints text to standard output.
///
/// If the reader is gone, the process ends silently with the exit status that a shell reports for
/// SIGPIPE, as other programs in a pipe do. After any other error it ends with status 1 and the
/// error on standard error.
pub(crate) fn print(text: Arguments<'_>) {
    let written = io::stdout().lock().write_fmt(text);
    let Err(error) = written else { return };
    if error.kind() == io::ErrorKind::BrokenPipe {
        std::process::exit(BROKEN_PIPE);
    }
    eprintln!("tidings: cannot write to standard output: {error}");
    std::process::exit(1);
}

/// Prints a line to standard error, if possible.
pub(crate) fn print_error(text: Arguments<'_>) {
    drop(writeln!(io::stderr(), "{text}"));
}

/// Writes a line to standard output, at once and complete.
pub(crate) fn write_line(line: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "{line}")?;
    stdout.flush()
}

/// A number with its noun, in the plural where needed: "1 member", "2 members".
pub(crate) fn count(number: usize, noun: &str) -> String {
    match number {
        1 => format!("1 {noun}"),
        _ => format!("{number} {noun}s"),
    }
}

/// The exit status after a write to a pipe without a reader: 128 and the number of SIGPIPE.
const BROKEN_PIPE: i32 = 141;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nouns_agree_with_their_numbers() {
        let counts = [0, 1, 2].map(|number| count(number, "member"));
        assert_eq!(counts, ["0 members", "1 member", "2 members"]);
    }
}

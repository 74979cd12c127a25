//! The flags of an agent for its flight recorder.

use crate::Fatal;
use crate::agent::duration;
use crate::runtime::Node;
use std::num::ParseIntError;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tidings_driver::prelude::Limits;

/// The flags of the flight recorder.
#[derive(clap::Args)]
pub(crate) struct RecordArgs {
    /// Record the node to this file, for `tidings replay`
    ///
    /// The recording has the node's traffic in plaintext, and no keys. An existing recording is
    /// renamed to FILE.old
    #[arg(long, value_name = "FILE", hide_short_help = true)]
    record: Option<PathBuf>,
    /// The size limit of the recording, 64KiB to 16GiB; new data overwrites the oldest
    #[arg(
        long,
        value_name = "SIZE",
        default_value = "64MiB",
        value_parser = size,
        hide_short_help = true
    )]
    record_size: u64,
    /// How far back the recording has to reach, if that needs less than --record-size
    #[arg(long, value_name = "DURATION", value_parser = duration, hide_short_help = true)]
    record_time: Option<Duration>,
    /// Memory for the node's recent past, from which `tidings why` explains; 0 for none
    ///
    /// With --record, the recording serves that
    #[arg(
        long,
        value_name = "SIZE",
        default_value = "2MiB",
        value_parser = size,
        hide_short_help = true
    )]
    recent: u64,
}

impl RecordArgs {
    /// Starts the recording, if there is to be one.
    pub(crate) fn start(&self, node: &Node) -> Result<(), Fatal> {
        let Some(file) = &self.record else { return self.start_in_memory(node) };
        let limits = Limits { bytes: self.record_size, time: self.record_time };
        node.record(file, limits).map_err(|error| Fatal::usage(format!("--record: {error}")))
    }

    fn start_in_memory(&self, node: &Node) -> Result<(), Fatal> {
        if self.recent == 0 {
            return Ok(());
        }
        let limits = Limits { bytes: self.recent, time: None };
        let started = node.record_in_memory(limits);
        started.map_err(|error| Fatal::usage(format!("--recent: {error}; 0 is for none")))
    }

    /// The file of the recording.
    pub(crate) fn file(&self) -> Option<&Path> {
        self.record.as_deref()
    }
}

/// Parses a number of bytes, or of KiB, MiB or GiB.
fn size(text: &str) -> Result<u64, String> {
    let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
    let unit: u64 = match &text[digits.len()..] {
        "" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => {
            return Err(
                "expected a number with the unit KiB, MiB or GiB, or without one, for bytes".into(),
            );
        }
    };
    let number: u64 = digits.parse().map_err(|error: ParseIntError| error.to_string())?;
    number.checked_mul(unit).ok_or_else(|| "the size does not fit 64 bits".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_units() {
        assert_eq!((size("17"), size("64KiB"), size("2GiB")), (Ok(17), Ok(1 << 16), Ok(2 << 30)));
        assert_eq!(size("1kB").unwrap_err(), size("MB").unwrap_err());
        assert!(size("1kB").unwrap_err().contains("KiB, MiB or GiB"));
        assert!(size("17179869184GiB").unwrap_err().contains("64 bits"));
    }
}

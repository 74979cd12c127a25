//! The programs under test and their paths.

use serde_json::Value;
use std::env;
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

/// The program that a peer runs.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    /// `tidings agent`.
    Tidings,
    /// The Go peer with memberlist 0.2.2, as in Debian 12 and its Serf.
    Go022,
    /// The Go peer with memberlist 0.5.0, as in Debian 13 and its Serf.
    Go050,
}

impl Kind {
    /// The program under test: Tidings, unless `TIDINGS_INTEROP_OURS` replaces it by a Go peer, to
    /// see how memberlist behaves among its own nodes.
    #[track_caller]
    pub fn ours() -> Self {
        match env::var("TIDINGS_INTEROP_OURS").as_deref() {
            Err(_) | Ok("tidings") => Self::Tidings,
            Ok("0.2.2") => Self::Go022,
            Ok("0.5.0") => Self::Go050,
            Ok(other) => panic!("TIDINGS_INTEROP_OURS is tidings, 0.2.2 or 0.5.0, not {other}"),
        }
    }

    pub(crate) fn program(self) -> PathBuf {
        match self {
            Self::Tidings => tidings().to_owned(),
            Self::Go022 | Self::Go050 => folder().join(format!("peer-{self}")),
        }
    }

    /// The Serf that contains the same memberlist.
    pub(crate) fn serf(self) -> PathBuf {
        match self {
            Self::Go050 => folder().join("debian13/usr/bin/serf"),
            Self::Tidings | Self::Go022 => "/usr/bin/serf".into(),
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tidings => "tidings",
            Self::Go022 => "0.2.2",
            Self::Go050 => "0.5.0",
        })
    }
}

/// Debian 13's Alertmanager, which contains memberlist 0.5.0: its files, and the program.
pub(crate) fn alertmanager() -> [PathBuf; 2] {
    ["share", "bin/prometheus-alertmanager"].map(|path| folder().join("debian13/usr").join(path))
}

/// A needed program that is missing.
pub(crate) fn missing() -> Option<PathBuf> {
    let go = [Kind::Go022, Kind::Go050];
    let mut programs: Vec<_> = go.map(Kind::program).into();
    programs.extend(go.map(Kind::serf));
    programs.extend(alertmanager());
    programs.push("/usr/sbin/nft".into());
    programs.into_iter().find(|program| !program.exists())
}

/// The folder into which `interop/install.sh` installs: in the repository's own target folder,
/// wherever Cargo builds.
fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/interop")
}

/// Builds the `tidings` command, once, and returns its path.
///
/// Cargo tells a test only the paths of its own package's programs, and no package can depend on
/// another's program. A path guessed from the test's own may have a stale build. So this runs
/// Cargo, which takes no time if the program is up to date; it does not hold the lock of the target
/// folder while tests run.
pub fn tidings() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let built = Command::new(cargo)
            .args(["build", "-q", "-p", "tidings-cli", "--bin", "tidings"])
            .args(["--message-format", "json-render-diagnostics"])
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .stdin(Stdio::null())
            .stderr(Stdio::inherit())
            .output()
            .expect("cargo runs");
        assert!(built.status.success(), "tidings cannot be built");
        let messages = String::from_utf8_lossy(&built.stdout).into_owned();
        messages
            .lines()
            .filter_map(|line| serde_json::from_str::<Value>(line).ok())
            .find_map(|message| Some(PathBuf::from(message["executable"].as_str()?)))
            .expect("cargo says where it is")
    })
}

//! Development nodes: anvil, which npm has as a program without dependencies.

use crate::Fatal;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use tidings_eth::Endpoint;

/// The process of a node; it is killed on drop.
#[derive(Debug)]
pub(crate) struct DevNode {
    process: Child,
    pub(crate) http: Endpoint,
    pub(crate) ipc: Endpoint,
}

impl DevNode {
    /// Starts a node that makes a block each second, and waits until it listens.
    pub(crate) fn start(anvil: &Path, ipc: &Path, chain: u64) -> Result<Self, Fatal> {
        let failed = |error| Fatal::failed(format!("cannot run {}: {error}", anvil.display()));
        let mut process = Command::new(anvil)
            .args(["--port", "0", "--block-time", "1", "--chain-id", &chain.to_string(), "--ipc"])
            .arg(ipc)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(failed)?;
        let mut lines = BufReader::new(process.stdout.take().expect("it is piped")).lines();
        let http = Endpoint::from(PathBuf::new());
        let mut node = Self { process, http, ipc: ipc.to_owned().into() };
        let addr = lines
            .by_ref()
            .map_while(Result::ok)
            .find_map(|line| line.strip_prefix("Listening on ").map(|addr| addr.trim().to_owned()));
        let addr = addr.ok_or_else(|| Fatal::failed("the Ethereum node ended at its start"))?;
        node.http = format!("http://{addr}").parse().map_err(Fatal::failed)?;
        // Its further lines are read, so that it is never held up.
        thread::spawn(move || lines.map_while(Result::ok).for_each(drop));
        Ok(node)
    }

    /// Kills the process, with SIGKILL on Unix.
    pub(crate) fn kill(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

impl Drop for DevNode {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The anvil of PATH, or the one in the cache folder, where npm installs it first if need be.
pub(crate) fn find_or_install() -> Result<PathBuf, Fatal> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let on_path = std::env::split_paths(&path).map(|folder| folder.join("anvil"));
    if let Some(anvil) = on_path.into_iter().find(|anvil| anvil.is_file()) {
        return Ok(anvil);
    }
    let package = package()?;
    let cache = cache().join("eth");
    let anvil = cache.join("node_modules").join(&package).join("bin").join("anvil");
    if anvil.is_file() {
        return Ok(anvil);
    }
    println!("installing {package} {VERSION} with npm into {}", cache.display());
    std::fs::create_dir_all(&cache).map_err(Fatal::failed)?;
    let installed = Command::new("npm")
        .args(["install", "--no-audit", "--no-fund", "--ignore-scripts", "--silent", "--prefix"])
        .arg(&cache)
        .arg(format!("{package}@{VERSION}"))
        .stdin(Stdio::null())
        .status();
    match installed {
        Err(error) => Err(Fatal::failed(format!(
            "the demo needs anvil, an Ethereum node for development: install npm ({error}), or \
             give its path with --anvil"
        ))),
        Ok(status) if !status.success() => {
            Err(Fatal::failed(format!("npm could not install {package}: {status}")))
        }
        Ok(_) if anvil.is_file() => Ok(anvil),
        Ok(_) => Err(Fatal::failed(format!("{package} has no program {}", anvil.display()))),
    }
}

/// The npm package with anvil for this machine.
fn package() -> Result<String, Fatal> {
    let system = match std::env::consts::OS {
        "linux" => "linux",
        "macos" => "darwin",
        other => return Err(Fatal::failed(format!("npm has no anvil for {other}; see --anvil"))),
    };
    let machine = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => return Err(Fatal::failed(format!("npm has no anvil for {other}; see --anvil"))),
    };
    Ok(format!("@foundry-rs/anvil-{system}-{machine}"))
}

/// The folder for what can be installed again (XDG base directories).
fn cache() -> PathBuf {
    let folder = |name: &str| std::env::var_os(name).map(PathBuf::from);
    let home = || folder("HOME").map(|home| home.join(".cache"));
    folder("XDG_CACHE_HOME").or_else(home).unwrap_or_else(std::env::temp_dir).join("tidings")
}

/// The version of anvil that is installed.
const VERSION: &str = "1.7.1";

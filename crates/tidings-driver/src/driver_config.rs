//! The settings of a node that its driver needs and the protocol does not.

use crate::discovery::{InvalidSource, SeedSource};
use crate::error::StartError;
use crate::notice::{Notice, Notices};
use std::path::PathBuf;
use std::time::Duration;
use tidings::Target;

/// Settings beside a [`Config`](tidings::Config): sources of seeds, snapshot, notices.
///
/// [`Builder`](crate::Builder) has the same setters. Where the other settings come as a `Config`,
/// pass this to the adapter's `bind_with`.
///
/// ```
/// use tidings_driver::{DriverConfig, Notice};
///
/// let config = DriverConfig::new()
///     .seeds(["db-1:7946", "file:/etc/shop/seeds"])
///     .snapshot("/var/lib/shop/node.snapshot")
///     .on_notice(|notice: Notice| eprintln!("{notice}"));
/// ```
#[derive(Clone, Debug)]
#[must_use = "settings do nothing until a node starts with them"]
pub struct DriverConfig {
    seeds: Result<Vec<SeedSource>, InvalidSource>,
    seed_refresh: Duration,
    snapshot: Option<PathBuf>,
    rejoin_after_leave: bool,
    notices: Notices,
}

/// Settings that are valid.
#[derive(Debug)]
pub(crate) struct Checked {
    pub(crate) seeds: Vec<SeedSource>,
    pub(crate) seed_refresh: Duration,
    pub(crate) snapshot: Option<PathBuf>,
    pub(crate) rejoin_after_leave: bool,
    pub(crate) notices: Notices,
}

impl DriverConfig {
    /// No sources of seeds, no snapshot; notices go nowhere.
    pub fn new() -> Self {
        Self {
            seeds: Ok(Vec::new()),
            seed_refresh: DEFAULT_REFRESH,
            snapshot: None,
            rejoin_after_leave: false,
            notices: Notices::default(),
        }
    }

    /// Adds sources of seeds, through which the node joins its cluster and comes back to it for as
    /// long as it runs; each is text as [`SeedSource`] has it, an address or a [`Target`].
    pub fn seeds<S>(mut self, sources: impl IntoIterator<Item = S>) -> Self
    where
        S: TryInto<SeedSource>,
        InvalidSource: From<S::Error>,
    {
        self.add(sources.into_iter().map(|source| source.try_into().map_err(Into::into)).collect());
        self
    }

    /// Adds the sources of the environment variable [`SeedSource::VARIABLE`], with commas between
    /// them, as it is now.
    pub fn seeds_from_env(mut self) -> Self {
        self.add(SeedSource::from_env(Target::DEFAULT_PORT, &crate::services()));
        self
    }

    fn add(&mut self, sources: Result<Vec<SeedSource>, InvalidSource>) {
        if let Ok(seeds) = &mut self.seeds {
            match sources {
                Ok(sources) => seeds.extend(sources),
                Err(error) => self.seeds = Err(error),
            }
        }
    }

    /// Sets how often names are looked up, commands are run and files are read again, give or take
    /// a quarter; 60 s by default, 1 s to 24 h.
    ///
    /// A source that has given no address yet is tried again sooner: after 1 s, and then after
    /// twice the time before, up to this one. A file is also read within 2 s of a change.
    pub fn seed_refresh(mut self, interval: Duration) -> Self {
        self.seed_refresh = interval;
        self
    }

    /// Sets the file of the node's snapshot, in a directory that exists; there is none by default.
    ///
    /// A node that starts again with its snapshot tries the members that it knew, beside its seeds,
    /// and has a higher generation than before whatever the clock says. The file has at most 4,096
    /// members. It is written when members come and go, at most every 5 s, and when the node leaves
    /// or stops. One that is damaged, of another node or another cluster is renamed to `FILE.bad`.
    pub fn snapshot(mut self, path: impl Into<PathBuf>) -> Self {
        self.snapshot = Some(path.into());
        self
    }

    /// Sets whether a node that left on purpose tries the members of its snapshot when it starts
    /// again; it does not by default.
    pub fn rejoin_after_leave(mut self, rejoin: bool) -> Self {
        self.rejoin_after_leave = rejoin;
        self
    }

    /// Sets the function that is told what goes wrong beside the node; by default nobody is.
    ///
    /// It is called on the thread that starts the node and on the node's own threads, and must not
    /// wait for long. It may call the node.
    pub fn on_notice(mut self, tell: impl Fn(Notice) + Send + Sync + 'static) -> Self {
        self.notices = Notices::to(tell);
        self
    }

    pub(crate) fn check(self) -> Result<Checked, StartError> {
        if !(MIN_REFRESH..=MAX_REFRESH).contains(&self.seed_refresh) {
            return Err(StartError::SeedRefresh(self.seed_refresh));
        }
        Ok(Checked {
            seeds: self.seeds.map_err(StartError::Seed)?,
            seed_refresh: self.seed_refresh,
            snapshot: self.snapshot,
            rejoin_after_leave: self.rejoin_after_leave,
            notices: self.notices,
        })
    }
}

impl Default for DriverConfig {
    fn default() -> Self {
        Self::new()
    }
}

const DEFAULT_REFRESH: Duration = Duration::from_secs(60);
const MIN_REFRESH: Duration = Duration::from_secs(1);
const MAX_REFRESH: Duration = Duration::from_secs(24 * 3600);

#[cfg(test)]
mod tests {
    use super::*;

    fn error(config: DriverConfig) -> String {
        config.check().unwrap_err().to_string()
    }

    #[test]
    fn an_error_names_the_setting_and_its_value() {
        assert_eq!(
            error(DriverConfig::new().seed_refresh(Duration::from_millis(10))),
            "seed_refresh is 10ms; 1s to 86400s are allowed"
        );
        let said = error(DriverConfig::new().seeds(["db-1", "file:"]).seeds(["db-2"]));
        assert!(said.starts_with("`seeds`: \"file:\" is not a source of seeds"), "{said}");
    }

    #[test]
    fn sources_are_text_addresses_and_targets_and_add_up() {
        let addr: std::net::SocketAddr = "10.0.0.7:80".parse().unwrap();
        let target: Target = "db-1".parse().unwrap();
        let config = DriverConfig::new().seeds(["db-2"]).seeds([addr]).seeds([target]);
        let seeds = config.seeds(vec![String::from("file:a")]).check().unwrap().seeds;
        let seeds: Vec<_> = seeds.iter().map(ToString::to_string).collect();
        assert_eq!(seeds, ["db-2", "10.0.0.7:80", "db-1:7946", "file:a"]);
    }
}

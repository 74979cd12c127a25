//! The threads that work beside a node: for its sources of seeds, and for its snapshot.

use crate::discovery::{Discovery, MAX_SEEDS, SeedSource};
use crate::driver_config::Checked;
use crate::handle::Drive;
use crate::link::Link;
use crate::snapshot::{self, Contents, Known, Writer};
use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::{fmt, io};
use tidings::Config;

/// A node's own threads, which end when it stops.
///
/// They reach the node through a link, which its handle attaches and closes.
pub(crate) struct Background {
    link: Arc<Link>,
    discovery: Discovery,
    snapshot: Option<Writer>,
    last: LastLife,
}

/// What a node takes over from its last life.
#[derive(Default)]
pub(crate) struct LastLife {
    /// The generation; 0 if it is not known.
    pub(crate) generation: u64,
    /// The members that it knew; none if it is not to come back to them.
    pub(crate) members: Vec<Known>,
    /// The addresses of its sources of seeds.
    pub(crate) seeds: Vec<SocketAddr>,
}

impl LastLife {
    /// The addresses that are worth a try, each once, as many as a node takes: of members, those
    /// that lived first; of seeds.
    pub(crate) fn hints(&self) -> Vec<SocketAddr> {
        let (lost, here): (Vec<_>, Vec<_>) = self.members.iter().partition(|member| member.lost);
        let members = here.iter().chain(&lost).map(|member| member.addr);
        let mut seen = HashSet::new();
        let all = members.chain(self.seeds.iter().copied());
        all.filter(|addr| seen.insert(*addr)).take(MAX_SEEDS).collect()
    }

    /// Reads the snapshot, if there is one.
    pub(crate) fn load(settings: &Checked, config: &Config) -> Self {
        let Some(path) = &settings.snapshot else { return Self::default() };
        match snapshot::load(path, config.cluster().as_str(), config.id().as_str()) {
            Ok(None) => Self::default(),
            Ok(Some(contents)) => {
                let Contents { generation, left, members, seeds, .. } = contents;
                if left && !settings.rejoin_after_leave {
                    return Self { generation, ..Self::default() };
                }
                Self { generation, members, seeds }
            }
            Err(notice) => {
                settings.notices.tell(*notice);
                Self::default()
            }
        }
    }
}

impl Background {
    /// Starts the threads that are needed; they wait for the link.
    pub(crate) fn start(settings: Checked, last: LastLife) -> io::Result<Self> {
        let Checked { seeds, seed_refresh, snapshot, notices, .. } = settings;
        let link = Arc::new(Link::default());
        let discovery = Discovery::new(Arc::clone(&link), notices.clone(), seed_refresh);
        let mut background = Self { link, discovery, snapshot: None, last };
        let started = background.discovery.start(seeds).and_then(|()| {
            let Some(path) = snapshot else { return Ok(()) };
            let writer = Writer::start(path, Arc::clone(&background.link), notices)?;
            background.snapshot = Some(writer);
            Ok(())
        });
        if started.is_err() {
            background.abandon();
        }
        started.map(|()| background)
    }

    /// Lets the threads reach the driver.
    pub(crate) fn attach(&self, driver: Arc<dyn Drive>) {
        self.link.attach(driver);
    }

    /// Whether the node is to be given seeds, which may have to be looked up first.
    pub(crate) fn awaits_seeds(&self) -> bool {
        self.discovery.runs()
    }

    /// What the node took over.
    pub(crate) fn last(&self) -> &LastLife {
        &self.last
    }

    pub(crate) fn set_sources(&self, sources: Vec<SeedSource>) -> io::Result<()> {
        self.discovery.set_sources(sources)
    }

    /// Tells the snapshot's thread that something has changed.
    pub(crate) fn changed(&self, urgent: bool) {
        if let Some(snapshot) = &self.snapshot {
            snapshot.changed(urgent);
        }
    }

    /// Tells the threads to end; waits for nothing.
    pub(crate) fn stop(&self) {
        self.discovery.stop();
        if let Some(snapshot) = &self.snapshot {
            snapshot.stop();
        }
    }

    /// Tells the threads to end, also if no handle was ever made; waits for nothing.
    pub(crate) fn abandon(&self) {
        self.stop();
        self.link.abandon();
    }

    /// Ends the threads, and waits for the last snapshot; not for a lookup, which nothing ends.
    pub(crate) fn end(&self) {
        self.stop();
        if let Some(snapshot) = &self.snapshot {
            snapshot.join();
        }
        self.link.close();
    }
}

impl fmt::Debug for Background {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Background").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::driver_config::DriverConfig;
    use std::thread;
    use std::time::{Duration, Instant};

    #[test]
    fn a_node_that_never_gets_a_handle_leaves_no_threads_behind() {
        let path = std::env::temp_dir().join(format!("tidings-unborn-{}", std::process::id()));
        let settings = DriverConfig::new().seeds(["10.0.0.7"]).snapshot(&path).check().unwrap();
        let background = Background::start(settings, LastLife::default()).unwrap();
        assert!(background.awaits_seeds());
        let threads = Arc::downgrade(&background.link);
        assert!(threads.strong_count() > 2, "each thread has the link");
        background.abandon();
        drop(background);
        let end = Instant::now() + Duration::from_secs(60);
        while threads.strong_count() > 0 {
            assert!(Instant::now() < end, "a thread runs on");
            thread::yield_now();
        }
        assert!(!path.exists(), "it was never a node");
    }

    #[test]
    fn members_that_lived_are_tried_first_and_no_address_twice() {
        let known = |name: &str, addr: &str, lost| Known {
            name: name.into(),
            addr: addr.parse().unwrap(),
            lost,
        };
        let members = vec![known("a", "10.0.0.7:80", true), known("b", "10.0.0.8:80", false)];
        let seeds = ["10.0.0.7:80", "[2001:db8::7]:80"].map(|addr| addr.parse().unwrap()).into();
        let addrs = LastLife { generation: 1, members, seeds }.hints();
        let addrs: Vec<_> = addrs.iter().map(ToString::to_string).collect();
        assert_eq!(addrs, ["10.0.0.8:80", "10.0.0.7:80", "[2001:db8::7]:80"]);
    }
}

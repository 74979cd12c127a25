//! When to look at which source again, and what all sources have found.

use super::exec::KillSwitch;
use super::read::{Found, MAX_SEEDS, Resolver, SourceError, Stamp};
use super::source::SeedSource;
use std::collections::HashSet;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// The sources of a node, each with its addresses and the time of the next look at it.
pub(crate) struct Schedule {
    entries: Vec<Entry>,
    refresh: Duration,
    /// A number at random.
    random: Box<dyn FnMut() -> u32 + Send>,
}

struct Entry {
    source: SeedSource,
    found: Found,
    /// `None` if the source is an address, for which there is nothing to look up.
    due: Option<Instant>,
    /// The next look at a file's stamp.
    check_due: Option<Instant>,
    stamp: Option<Stamp>,
    /// The wait before the next look while the source has given no address yet.
    backoff: Duration,
    /// Whether the last look failed, which the application was told then.
    failing: bool,
}

impl Schedule {
    /// Without sources; looks at each again after `refresh`, give or take a quarter.
    pub(crate) fn new(refresh: Duration, random: impl FnMut() -> u32 + Send + 'static) -> Self {
        Self { entries: Vec::new(), refresh, random: Box::new(random) }
    }

    /// Replaces the sources; those that stay keep their addresses and their times.
    pub(crate) fn set_sources(&mut self, sources: Vec<SeedSource>, now: Instant) {
        let mut before = std::mem::take(&mut self.entries);
        for source in sources {
            if self.entries.iter().any(|entry| entry.source == source) {
                continue;
            }
            let kept = before.iter().position(|entry| entry.source == source);
            let entry = match kept {
                Some(at) => before.swap_remove(at),
                None => Entry::new(source, now),
            };
            self.entries.push(entry);
        }
    }

    /// The time of the next look at any source; `None` if there is nothing to look up.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.entries.iter().filter_map(Entry::next).min()
    }

    /// Looks at the source that is due first, if one is; returns the source and its error if it has
    /// just begun to fail.
    pub(crate) fn look(
        &mut self,
        now: Instant,
        resolver: &Resolver,
        switch: &KillSwitch,
    ) -> Option<(SeedSource, SourceError)> {
        let due = self.entries.iter_mut().filter(|entry| entry.next().is_some_and(|at| at <= now));
        let entry = due.min_by_key(|entry| entry.next())?;
        if let (Some(path), Some(_)) = (entry.source.file(), entry.check_due) {
            entry.check_due = Some(now + FILE_CHECK);
            let stamp = Stamp::of(path);
            // Taken before the file is read: what changes while it is read is seen next time.
            let changed = std::mem::replace(&mut entry.stamp, stamp) != stamp;
            if !changed && entry.due.is_some_and(|due| due > now) {
                return None;
            }
        }
        let looked = entry.found.update(&entry.source, resolver, switch);
        let wait = if entry.found.is_empty() {
            let wait = entry.backoff.min(self.refresh);
            entry.backoff = wait * 2;
            wait
        } else {
            entry.backoff = FIRST_BACKOFF;
            self.refresh
        };
        entry.due = Some(now + jittered(wait, (self.random)()));
        let failed_before = std::mem::replace(&mut entry.failing, looked.is_err());
        let error = looked.err().filter(|_| !failed_before)?;
        Some((entry.source.clone(), error))
    }

    /// The addresses of all sources, each once, in the order of the sources, up to the limit of a
    /// node; and their number without the limit.
    pub(crate) fn addrs(&self) -> (Vec<SocketAddr>, usize) {
        let found = self.entries.iter().flat_map(|entry| entry.found.addrs());
        let mut seen = HashSet::new();
        let mut addrs: Vec<_> = found.filter(|addr| seen.insert(*addr)).collect();
        let number = addrs.len();
        addrs.truncate(MAX_SEEDS);
        (addrs, number)
    }
}

impl Entry {
    fn new(source: SeedSource, now: Instant) -> Self {
        let literal = source.literal();
        let due = literal.is_none().then_some(now);
        let check_due = source.file().map(|_| now);
        let mut found = Found::default();
        if let Some(addrs) = literal {
            found.set(addrs);
        }
        let backoff = FIRST_BACKOFF;
        Self { source, found, due, check_due, stamp: None, backoff, failing: false }
    }

    fn next(&self) -> Option<Instant> {
        self.due.into_iter().chain(self.check_due).min()
    }
}

/// A time give or take a quarter, so that nodes that start together do not ask together.
fn jittered(wait: Duration, random: u32) -> Duration {
    wait * 3 / 4 + (wait / 2).mul_f64(f64::from(random) / f64::from(u32::MAX))
}

/// The first wait for a source that has given no address yet.
const FIRST_BACKOFF: Duration = Duration::from_secs(1);
/// How often it is looked whether a file has changed.
const FILE_CHECK: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lookup::LookupError;
    use std::fs;
    use std::io;
    use std::path::PathBuf;
    use std::sync::{Arc, Mutex};
    use tidings::Target;

    const REFRESH: Duration = Duration::from_secs(60);

    /// Sources in virtual time; a lookup finds what the test says.
    struct World {
        schedule: Schedule,
        resolver: Resolver,
        names: Arc<Mutex<Vec<SocketAddr>>>,
        switch: KillSwitch,
        now: Instant,
        start: Instant,
    }

    impl World {
        fn new(sources: &[&str]) -> Self {
            let names = Arc::new(Mutex::new(Vec::new()));
            let known = Arc::clone(&names);
            let mut resolver = Resolver::system();
            resolver.look_up = Box::new(move |target: &Target| match target.name() {
                None => target.addrs(&[], None).map_err(LookupError::Target),
                Some(name) => match known.lock().unwrap().clone() {
                    known if known.is_empty() => Err(LookupError::System {
                        name: name.into(),
                        error: io::Error::other("no such name"),
                    }),
                    known => Ok(known),
                },
            });
            let start = Instant::now();
            let mut schedule = Schedule::new(REFRESH, || u32::MAX / 2);
            schedule.set_sources(parse(sources), start);
            let switch = KillSwitch::default();
            Self { schedule, resolver, names, switch, now: start, start }
        }

        fn resolve(&self, addrs: &[&str]) {
            *self.names.lock().unwrap() = addrs.iter().map(|addr| addr.parse().unwrap()).collect();
        }

        /// Looks at everything that is due; returns the notices.
        fn look(&mut self) -> Vec<String> {
            let mut notices = Vec::new();
            while self.schedule.due().is_some_and(|due| due <= self.now) {
                let failed = self.schedule.look(self.now, &self.resolver, &self.switch);
                notices.extend(failed.map(|(source, error)| format!("{source}: {error}")));
            }
            notices
        }

        /// Goes to the next look, and returns the seconds since the start.
        fn go_on(&mut self) -> u64 {
            self.now = self.schedule.due().unwrap();
            self.now.duration_since(self.start).as_secs_f64().round() as u64
        }

        fn addrs(&self) -> Vec<String> {
            self.schedule.addrs().0.iter().map(ToString::to_string).collect()
        }
    }

    fn parse(sources: &[&str]) -> Vec<SeedSource> {
        sources.iter().map(|source| source.parse().unwrap()).collect()
    }

    fn temporary(name: &str) -> PathBuf {
        let name = format!("tidings-sources-{}-{name}", std::process::id());
        std::env::temp_dir().join(name)
    }

    #[test]
    fn an_address_is_there_at_once_and_is_never_looked_up() {
        let world = World::new(&["10.0.0.7", "[2001:db8::7]:80", "10.0.0.7"]);
        assert_eq!(world.addrs(), ["10.0.0.7:7946", "[2001:db8::7]:80"]);
        assert_eq!(world.schedule.due(), None);
    }

    #[test]
    fn a_name_that_is_not_found_at_first_is_tried_with_backoff_and_told_once() {
        let mut world = World::new(&["db-1"]);
        assert_eq!(world.look(), ["db-1: cannot look up \"db-1\": no such name"]);
        let mut times = Vec::new();
        for _ in 0..8 {
            times.push(world.go_on());
            assert!(world.look().is_empty(), "it is told once");
        }
        assert_eq!(times, [1, 3, 7, 15, 31, 63, 123, 183], "1 s, doubled up to the interval");
        world.resolve(&["10.0.0.1:7946", "10.0.0.2:7946"]);
        world.go_on();
        world.look();
        assert_eq!(world.addrs(), ["10.0.0.1:7946", "10.0.0.2:7946"], "all addresses count");
    }

    #[test]
    fn a_name_is_looked_up_again_and_its_last_addresses_stay_when_that_fails() {
        let mut world = World::new(&["db-1"]);
        world.resolve(&["10.0.0.1:7946"]);
        assert!(world.look().is_empty());
        assert_eq!(world.go_on(), 60);
        world.resolve(&["10.0.0.2:7946"]);
        world.look();
        assert_eq!(world.addrs(), ["10.0.0.2:7946"]);
        world.resolve(&[]);
        assert_eq!(world.go_on(), 120);
        assert_eq!(world.look().len(), 1);
        assert_eq!(world.addrs(), ["10.0.0.2:7946"]);
        assert_eq!(world.go_on(), 180, "it has addresses: there is no hurry");
        assert!(world.look().is_empty());
        // After it has worked in between, the next failure is told again.
        world.resolve(&["10.0.0.2:7946"]);
        world.go_on();
        assert!(world.look().is_empty());
        world.resolve(&[]);
        world.go_on();
        assert_eq!(world.look().len(), 1);
    }

    #[test]
    fn waits_vary_by_a_quarter() {
        assert_eq!(jittered(REFRESH, 0), REFRESH * 3 / 4);
        assert_eq!(jittered(REFRESH, u32::MAX), REFRESH * 5 / 4);
    }

    #[test]
    fn a_file_is_read_again_within_two_seconds_of_a_change() {
        let path = temporary("file");
        let source = format!("file:{}", path.display());
        let mut world = World::new(&[&source]);
        let said = world.look();
        assert!(said.len() == 1 && said[0].contains("cannot read it"), "{said:?}");
        fs::write(&path, "# seeds\n10.0.0.1 # the first\n\n  10.0.0.2:80\r\n").unwrap();
        world.now += FILE_CHECK;
        assert!(world.look().is_empty());
        assert_eq!(world.addrs(), ["10.0.0.1:7946", "10.0.0.2:80"]);
        fs::write(&path, "10.0.0.3").unwrap();
        world.now += FILE_CHECK;
        world.look();
        assert_eq!(world.addrs(), ["10.0.0.3:7946"]);
        // Another file takes its place, as an editor does it.
        let new = temporary("new");
        fs::write(&new, "10.0.0.4").unwrap();
        fs::rename(&new, &path).unwrap();
        world.now += FILE_CHECK;
        world.look();
        assert_eq!(world.addrs(), ["10.0.0.4:7946"]);
        // A file that is gone leaves the addresses, and is told.
        fs::remove_file(&path).unwrap();
        world.now += FILE_CHECK;
        assert_eq!(world.look().len(), 1);
        assert_eq!(world.addrs(), ["10.0.0.4:7946"]);
    }

    #[test]
    fn lines_that_are_wrong_are_told_and_the_others_count() {
        let path = temporary("lines");
        let source = format!("file:{}", path.display());
        fs::write(&path, b"10.0.0.1\n10.0.0.2:nosuch\n\xff\n10.0.0.3\n").unwrap();
        let mut world = World::new(&[&source]);
        let said = world.look();
        assert!(said.len() == 1 && said[0].contains("line 2: "), "{said:?}");
        assert_eq!(world.addrs(), ["10.0.0.1:7946", "10.0.0.3:7946"]);
        let many: String = (0..1100).map(|n| format!("10.0.{}.{}\n", n / 256, n % 256)).collect();
        fs::write(&path, many).unwrap();
        world.now += FILE_CHECK;
        world.look();
        assert_eq!(world.addrs().len(), 1024);
        fs::write(&path, vec![b'\n'; (1 << 20) + 1]).unwrap();
        let mut world = World::new(&[&source]);
        let said = world.look();
        assert!(said[0].contains("more than 1048576 bytes"), "{said:?}");
        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        let mut world = World::new(&[&source]);
        assert!(world.look()[0].contains("cannot read it"));
        fs::remove_dir(&path).unwrap();
    }

    #[cfg(unix)]
    #[test]
    fn a_pipe_is_no_file_and_does_not_block() {
        let path = temporary("pipe");
        let made = std::process::Command::new("mkfifo").arg(&path).status().unwrap();
        assert!(made.success());
        let mut world = World::new(&[&format!("file:{}", path.display())]);
        assert!(world.look()[0].contains("not a regular file"));
        fs::remove_file(&path).unwrap();
    }

    #[cfg(unix)]
    #[test]
    fn a_commands_lines_are_seeds_and_its_last_ones_stay_when_it_fails() {
        let path = temporary("exec");
        fs::write(&path, "10.0.0.1\n").unwrap();
        let mut world = World::new(&[&format!("exec:cat {}", path.display())]);
        assert!(world.look().is_empty());
        assert_eq!(world.addrs(), ["10.0.0.1:7946"]);
        fs::remove_file(&path).unwrap();
        world.go_on();
        let said = world.look();
        assert!(said.len() == 1 && said[0].contains("it failed: exit status"), "{said:?}");
        assert_eq!(world.addrs(), ["10.0.0.1:7946"]);
    }

    #[test]
    fn a_host_of_a_file_that_is_not_found_any_more_keeps_its_addresses() {
        let path = temporary("hosts");
        fs::write(&path, "db-1\n10.0.0.9\n").unwrap();
        let mut world = World::new(&[&format!("file:{}", path.display())]);
        world.resolve(&["10.0.0.1:7946"]);
        world.look();
        world.resolve(&[]);
        world.now += REFRESH * 2;
        assert_eq!(world.look().len(), 1);
        assert_eq!(world.addrs(), ["10.0.0.1:7946", "10.0.0.9:7946"]);
        fs::remove_file(&path).unwrap();
    }

    #[test]
    fn sources_that_stay_keep_their_addresses_and_their_order_counts() {
        let mut world = World::new(&["db-1", "10.0.0.7"]);
        world.resolve(&["10.0.0.1:7946"]);
        world.look();
        world.resolve(&[]);
        world.schedule.set_sources(parse(&["10.0.0.8", "db-1"]), world.now);
        assert!(world.schedule.due().unwrap() > world.now, "nothing new is to be looked up");
        assert_eq!(world.addrs(), ["10.0.0.8:7946", "10.0.0.1:7946"]);
    }
}

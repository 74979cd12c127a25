//! Points in time, in nanoseconds since an origin that the caller chooses.

use core::fmt;
use core::ops::{Add, AddAssign, Sub};
use core::time::Duration;

/// A point in time, in nanoseconds since an origin that the caller chooses.
///
/// The core never reads a clock: the driver of a [`Node`](crate::Node) passes the time with each
/// call. The origin has no meaning beyond one node: a driver takes its own start, a simulator zero.
/// The range is 584 years, and all arithmetic saturates. Unlike `std::time::Instant` it has a
/// zero, can be written to a file, and exists without an operating system.
///
/// ```
/// use core::time::Duration;
/// use tidings::Instant;
///
/// let later = Instant::ZERO + Duration::from_millis(3);
/// assert_eq!(later.as_nanos(), 3_000_000);
/// assert_eq!(later.since(Instant::ZERO), Duration::from_millis(3));
/// assert_eq!(Instant::ZERO.since(later), Duration::ZERO);
/// ```
#[derive(Clone, Copy, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize, serde::Serialize))]
pub struct Instant(u64);

impl Instant {
    /// The origin.
    pub const ZERO: Self = Self(0);
    /// The last point in time that can be represented.
    pub const MAX: Self = Self(u64::MAX);

    /// The point `nanos` nanoseconds after the origin.
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// Nanoseconds since the origin.
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// The time from `earlier` to `self`; zero if `earlier` is the later one.
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Instant {
    type Output = Self;

    fn add(self, duration: Duration) -> Self {
        let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        Self(self.0.saturating_add(nanos))
    }
}

impl Sub<Duration> for Instant {
    type Output = Self;

    fn sub(self, duration: Duration) -> Self {
        let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        Self(self.0.saturating_sub(nanos))
    }
}

impl AddAssign<Duration> for Instant {
    fn add_assign(&mut self, duration: Duration) {
        *self = *self + duration;
    }
}

impl fmt::Debug for Instant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", Duration::from_nanos(self.0))
    }
}

/// The wall clock, as the driver told it last: it runs on with the node's time.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "record", derive(serde::Deserialize, serde::Serialize))]
pub(crate) struct WallClock {
    told: Instant,
    /// The seconds that it had then.
    seconds: u64,
}

impl WallClock {
    pub(crate) fn new(now: Instant, seconds: u64) -> Self {
        Self { told: now, seconds }
    }

    /// The seconds that it has at `now`.
    pub(crate) fn at(&self, now: Instant) -> u64 {
        self.seconds.saturating_add(now.since(self.told).as_secs())
    }
}

/// The operating system's monotonic clock, as [`Instant`]s since it was started.
///
/// A value that each driver owns, not a global: two clocks have two origins.
#[cfg(feature = "std")]
#[derive(Clone, Copy, Debug)]
pub struct Clock(std::time::Instant);

#[cfg(feature = "std")]
impl Clock {
    /// Starts a clock at [`Instant::ZERO`].
    pub fn start() -> Self {
        Self(std::time::Instant::now())
    }

    /// The time since this clock was started.
    pub fn now(&self) -> Instant {
        Instant::ZERO + self.0.elapsed()
    }

    /// A [generation](crate::Config::with_generation) for a node that starts now: the wall clock,
    /// in 128ths of a second since the start of 2025; takes five bytes on the wire until 2033.
    ///
    /// So two lives never share one: a process that others have come to know was not started, ended
    /// and started again within 8 ms. On a machine whose clock is not set, and so may say the same
    /// at each start, it is made of the `random` bits, below that of any clock that is set: a node
    /// whose earlier life had a higher one learns it from its peers.
    pub fn generation(random: u32) -> u64 {
        match since_1970().checked_sub(START_OF_2025) {
            Some(since_2025) => (since_2025.as_nanos() * UNITS / 1_000_000_000) as u64,
            None => u64::from(random % MAX_UNSET),
        }
    }

    /// The [wall clock](crate::Node::set_wall_clock) now, in seconds since the start of 2025; 0
    /// before that.
    pub fn wall_clock() -> u64 {
        since_1970().saturating_sub(START_OF_2025).as_secs()
    }
}

#[cfg(feature = "std")]
fn since_1970() -> Duration {
    std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default()
}

#[cfg(feature = "std")]
const START_OF_2025: Duration = Duration::from_secs(1_735_689_600);

/// The units of generations in a second.
#[cfg(feature = "std")]
const UNITS: u128 = 128;

/// Generations of machines whose clock is not set are below this: those of the first hour of 2025.
#[cfg(feature = "std")]
const MAX_UNSET: u32 = 128 * 3600;

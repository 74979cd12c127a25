//! An idle node of any adapter uses little CPU time.
//!
//! Each test runs in a process of its own, because it measures the CPU time of the process.
#![cfg(target_os = "linux")]

use std::fs::read_to_string;
use std::net::TcpStream;
use std::time::{Duration, Instant};
use tidings_tests::conformance::{
    ASYNC_IO, ASYNC_STD, Adapter, SMOL, STD, TOKIO, alone, patient, wait,
};

macro_rules! tests {
    ($($test:ident: $adapter:expr,)*) => {
        $(
            #[test]
            fn $test() {
                alone(stringify!($test), || leaves_the_processor_alone(&$adapter));
            }
        )*
    };
}

tests! {
    std_leaves_the_processor_alone: STD,
    async_io_leaves_the_processor_alone: ASYNC_IO,
    smol_leaves_the_processor_alone: SMOL,
    async_std_leaves_the_processor_alone: ASYNC_STD,
    tokio_leaves_the_processor_alone: TOKIO,
}

/// With two members, probes under way and an open stream, the process uses less than a fifth of one
/// processor.
#[track_caller]
fn leaves_the_processor_alone(adapter: &Adapter) {
    let [a, _b] = adapter.cluster(patient, ["a", "b"]);
    let _silent = TcpStream::connect(a.addr()).unwrap();
    let (start, probes, taken) = (Instant::now(), a.stats().probes, processor_time());
    wait(|| a.stats().probes >= probes + 2);
    let (passed, taken) = (start.elapsed(), processor_time() - taken);
    assert!(taken < passed / 5, "it took {taken:?} of {passed:?}");
}

/// The CPU time of this process since its start, to a hundredth of a second.
fn processor_time() -> Duration {
    let stat = read_to_string("/proc/self/stat").unwrap();
    // The program's name, in parentheses, may contain blanks; times are the 14th and 15th field.
    let (_, fields) = stat.rsplit_once(") ").unwrap();
    let times = fields.split(' ').skip(11).take(2);
    let ticks = times.map(|ticks| ticks.parse::<u32>().unwrap()).sum::<u32>();
    ticks * Duration::from_millis(10)
}

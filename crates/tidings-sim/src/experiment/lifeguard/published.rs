//! Figures published in the Lifeguard paper.

/// Table IV: FP and FP- of 4,320 runs.
pub(super) const FALSE: [(u64, u64); 5] =
    [(339_002, 1326), (229_574, 436), (10_174, 89), (318_935, 591), (5193, 25)];
/// Number of the paper's passes over its grid of 432.
pub(super) const PASSES: u64 = 10;

/// Table V, in seconds: first detection, median, 99 % and 99.9 %; then full dissemination.
pub(super) const LATENCY: [[f64; 6]; 5] = [
    [12.44, 16.96, 19.40, 12.90, 16.93, 20.17],
    [12.42, 17.75, 20.10, 12.90, 17.98, 20.56],
    [12.42, 17.47, 25.41, 12.89, 17.33, 23.80],
    [12.45, 17.12, 19.16, 12.92, 17.18, 19.81],
    [12.45, 17.90, 21.20, 12.91, 18.05, 21.68],
];

/// Table VI: millions of messages, and GiB.
pub(super) const LOAD: [(f64, f64); 5] =
    [(435.33, 149.15), (428.62, 134.28), (484.55, 158.87), (435.62, 147.67), (481.42, 146.13)];

/// Table VII, in percent of SWIM: median first detection, FP and FP-, for α in 2, 4, 5 and in each
/// for β in 2, 4, 6.
pub(super) const TUNING: [(u32, u32, f64, f64, f64); 9] = [
    (2, 2, 53.14, 98.37, 31.15),
    (2, 4, 54.10, 43.64, 22.47),
    (2, 6, 54.34, 24.16, 13.65),
    (4, 2, 82.96, 37.72, 20.29),
    (4, 4, 83.04, 8.04, 9.50),
    (4, 6, 83.12, 3.18, 4.83),
    (5, 2, 99.76, 26.61, 15.38),
    (5, 4, 99.52, 5.43, 5.05),
    (5, 6, 100.08, 1.53, 1.89),
];

/// Numbers of concurrently slow members in all of the paper's experiments.
pub(super) const SLOW: [usize; 9] = [1, 4, 8, 12, 16, 20, 24, 28, 32];
/// Figure 2: FP by number of slow members, of 48 runs in each pass; SWIM and Lifeguard.
pub(super) const BY_SLOW: [[u64; 9]; 2] = [
    [906, 5981, 11_296, 23_188, 34_560, 45_561, 59_091, 77_235, 81_806],
    [18, 143, 110, 224, 573, 751, 842, 1335, 1197],
];

//! The laboratory: runs many worlds at once, and tells how far it is.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

/// Where work over many seeds is done, on some threads.
///
/// What comes out does not depend on how many there are.
pub struct Harness {
    jobs: usize,
    effort: Effort,
    seed: u64,
    progress: Box<dyn Fn(&Progress<'_>) + Sync>,
}

/// How much is done for the sake of exactness.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Effort {
    /// As little as shows the shape: seconds.
    Quick,
    /// As much as the published experiments had, or what gives narrow intervals: minutes to hours.
    Full,
}

/// How far some work is.
#[derive(Clone, Copy, Debug)]
pub struct Progress<'a> {
    /// What is being done.
    pub task: &'a str,
    /// How many of its parts are done.
    pub done: usize,
    /// How many there are.
    pub total: usize,
}

impl Harness {
    /// A laboratory with so many threads, whose random choices all come from a seed.
    pub fn new(jobs: usize, effort: Effort, seed: u64) -> Self {
        Self { jobs: jobs.max(1), effort, seed, progress: Box::new(|_| {}) }
    }

    /// The same, and whoever watches is told how far the work is.
    #[must_use]
    pub fn with_progress(mut self, progress: impl Fn(&Progress<'_>) + Sync + 'static) -> Self {
        self.progress = Box::new(progress);
        self
    }

    /// How much is to be done.
    pub fn effort(&self) -> Effort {
        self.effort
    }

    /// Where random choices begin.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// One of two values, by the effort.
    pub fn pick<T>(&self, quick: T, full: T) -> T {
        match self.effort {
            Effort::Quick => quick,
            Effort::Full => full,
        }
    }

    /// Does the same with each item, several at a time; the results are in the order of the items.
    pub fn map<T: Sync, R: Send>(
        &self,
        task: &str,
        items: &[T],
        run: impl Fn(&T) -> R + Sync,
    ) -> Vec<R> {
        let (next, done) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let results: Mutex<Vec<Option<R>>> = Mutex::new(items.iter().map(|_| None).collect());
        (self.progress)(&Progress { task, done: 0, total: items.len() });
        let work = || {
            while let Some(item) = {
                let at = next.fetch_add(1, Ordering::Relaxed);
                items.get(at).map(|item| (at, item))
            } {
                let result = run(item.1);
                results.lock().expect("nobody panics with it")[item.0] = Some(result);
                let done = done.fetch_add(1, Ordering::Relaxed) + 1;
                (self.progress)(&Progress { task, done, total: items.len() });
            }
        };
        thread::scope(|scope| {
            for _ in 1..self.jobs.min(items.len()) {
                scope.spawn(work);
            }
            work();
        });
        let results = results.into_inner().expect("nobody panics with it");
        results.into_iter().map(|result| result.expect("each was done")).collect()
    }
}

impl std::fmt::Debug for Harness {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { jobs, effort, seed, progress: _ } = self;
        f.debug_struct("Harness")
            .field("jobs", jobs)
            .field("effort", effort)
            .field("seed", seed)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_in_order_whoever_finds_them_and_progress_is_told() {
        let reported = std::sync::Arc::new(AtomicUsize::new(0));
        let count = std::sync::Arc::clone(&reported);
        let harness = Harness::new(3, Effort::Quick, 0).with_progress(move |progress| {
            count.fetch_max(progress.done, Ordering::Relaxed);
        });
        let items: Vec<_> = (0..100).collect();
        assert_eq!(
            harness.map("squares", &items, |n| n * n),
            items.iter().map(|n| n * n).collect::<Vec<_>>()
        );
        assert_eq!(reported.load(Ordering::Relaxed), 100);
        assert_eq!(harness.map("nothing", &[(); 0], |()| 1), [0; 0]);
    }
}

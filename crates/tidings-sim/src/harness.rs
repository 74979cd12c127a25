//! Experiment harness: runs many worlds in parallel and reports progress.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

/// Runs trials over many seeds on several threads.
///
/// Results do not depend on the number of threads.
pub struct Harness {
    jobs: usize,
    effort: Effort,
    seed: u64,
    progress: Box<dyn Fn(&Progress<'_>) + Sync>,
}

/// Amount of work spent on statistical precision.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Effort {
    /// The fewest trials that show the trend: seconds.
    Quick,
    /// As many trials as the published experiments had, or as narrow confidence intervals need:
    /// minutes to hours.
    Full,
}

/// Progress of one task.
#[derive(Clone, Copy, Debug)]
pub struct Progress<'a> {
    /// Name of the task.
    pub task: &'a str,
    /// Number of finished trials.
    pub done: usize,
    /// Number of trials in total.
    pub total: usize,
}

impl Harness {
    /// A harness with `jobs` threads; all random choices derive from `seed`.
    pub fn new(jobs: usize, effort: Effort, seed: u64) -> Self {
        Self { jobs: jobs.max(1), effort, seed, progress: Box::new(|_| {}) }
    }

    /// The same harness with a callback for progress.
    #[must_use]
    pub fn with_progress(mut self, progress: impl Fn(&Progress<'_>) + Sync + 'static) -> Self {
        self.progress = Box::new(progress);
        self
    }

    /// The configured effort.
    pub fn effort(&self) -> Effort {
        self.effort
    }

    /// The seed from which all random choices derive.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// The first or the second value, depending on the effort.
    pub fn pick<T>(&self, quick: T, full: T) -> T {
        match self.effort {
            Effort::Quick => quick,
            Effort::Full => full,
        }
    }

    /// Applies a function to each item in parallel; the results are in the order of the items.
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
                results.lock().expect("no thread panics while it holds the lock")[item.0] =
                    Some(result);
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
        let results = results.into_inner().expect("no thread panics while it holds the lock");
        results.into_iter().map(|result| result.expect("every item was processed")).collect()
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

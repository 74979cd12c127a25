//! A search for the costliest input: it tries datagrams and streams on nodes with many members,
//! keeps the ones that cost most for their length, and changes them. No input that it finds may
//! cost more than the bounds of docs/PROTOCOL.md, "Limits".
//!
//! Debug builds count the members that a node looks at; release builds measure the time. Variables
//! of the environment: `BUDGET_SECONDS`, the time for all searches together (default 4);
//! `BUDGET_SEED`.

#[path = "../common/mod.rs"]
mod common;

mod genome;
mod victim;

use genome::Genome;
use rand_chacha::ChaCha8Rng;
use rand_core::{Rng as _, SeedableRng};
use std::time::{Duration, Instant as Clock};
use victim::{Cost, Format, Table, Victim};

/// What is to be maximised.
#[derive(Clone, Copy, Debug)]
struct Objective {
    name: &'static str,
    /// The highest value that is allowed.
    bound: f64,
    value: fn(&Cost) -> f64,
}

const OBJECTIVES: [Objective; 9] = [
    Objective {
        name: "members looked at per byte moved",
        bound: 8.0,
        value: |cost| cost.visits as f64 / cost.moved(),
    },
    Objective {
        name: "ns per byte moved",
        bound: if cfg!(debug_assertions) { f64::INFINITY } else { 1000.0 },
        value: |cost| cost.took.as_nanos() as f64 / cost.moved(),
    },
    Objective {
        name: "bytes to one that is no member per byte in",
        bound: 1.0,
        value: |cost| cost.most_to_a_stranger() as f64 / cost.bytes_in as f64,
    },
    Objective {
        name: "bytes to all that are no members per byte in",
        bound: 1.0,
        value: |cost| {
            let bytes: usize = cost.to_strangers.iter().map(|(_, len)| len).sum();
            bytes as f64 / cost.bytes_in as f64
        },
    },
    Objective {
        name: "datagrams to the source of a datagram",
        bound: 2.0,
        value: |cost| cost.datagrams_back as f64,
    },
    Objective {
        name: "datagrams sent for one datagram",
        bound: 2.0,
        value: |cost| cost.datagrams_for_datagram as f64,
    },
    Objective {
        name: "datagrams sent per 100 bytes in",
        bound: 10.0,
        value: |cost| 100.0 * cost.datagrams as f64 / cost.received(),
    },
    Objective {
        name: "bytes of events per byte in",
        bound: 64.0,
        value: |cost| cost.event_bytes as f64 / cost.received(),
    },
    Objective {
        name: "bytes of memory per byte moved",
        bound: 128.0,
        value: |cost| cost.heap as f64 / cost.moved(),
    },
];

#[test]
fn inputs_that_were_found_cost_no_more_than_the_bounds() {
    let mut failures = Vec::new();
    for &format in Format::ALL {
        for members in [10, 1000] {
            for (name, genome) in Genome::found() {
                let mut arena = Arena::new(format, members, Table::Honest);
                let mut values = arena.values(&genome, false);
                values[HEAP] = arena.values(&genome, true)[HEAP];
                values[TIME] = arena.value(TIME, &genome);
                for (Objective { name: what, bound, .. }, value) in OBJECTIVES.iter().zip(values) {
                    if value > *bound {
                        failures.push(format!(
                            "{format:?}, {members} members, {name}: {value:.3} {what}; the bound \
                             is {bound}"
                        ));
                    }
                }
            }
        }
    }
    assert!(failures.is_empty(), "{failures:#?}");
}

#[test]
fn no_input_that_a_search_finds_costs_more_than_the_bounds() {
    let variable = |name: &str| std::env::var(name).ok().map(|value| value.parse().unwrap());
    let seconds: f64 = variable("BUDGET_SECONDS").unwrap_or(4.0);
    let seed = variable("BUDGET_SEED").unwrap_or(1.0) as u64;
    // Each input to a debug build is followed by a check of all members.
    let sizes: &[u32] = if cfg!(debug_assertions) { &[10, 1000] } else { &[10, 1000, 100_000] };
    let tables: Vec<_> = Format::ALL
        .iter()
        .flat_map(|&format| sizes.iter().map(move |&members| (format, members)))
        .flat_map(|(format, members)| [Table::Honest, Table::Claimed].map(|t| (format, members, t)))
        .collect();
    let each = Duration::from_secs_f64(seconds / tables.len() as f64);
    let mut failures = Vec::new();
    for (format, members, table) in tables {
        let found = search(Arena::new(format, members, table), seed, each);
        println!("{format:?}, {members} members, {table:?}: {} candidates", found.candidates);
        for (objective, best) in OBJECTIVES.iter().zip(&found.best) {
            let Some(best) = best.first() else { continue };
            println!("  {:>9.3}  {}", best.value, objective.name);
            let genome = format!("{:?}", best.genome);
            println!("             {genome:.1000}");
            if best.value > objective.bound {
                failures.push(format!(
                    "{format:?}, {members} members, {table:?}: {:.3} {}; the bound is {}: \
                     {genome:.2000}",
                    best.value, objective.name, objective.bound
                ));
            }
        }
    }
    assert!(failures.is_empty(), "{failures:#?}");
}

struct Found {
    candidates: usize,
    /// For each objective, the best candidates, best first.
    best: Vec<Vec<Candidate>>,
}

#[derive(Clone, Debug)]
struct Candidate {
    genome: Genome,
    value: f64,
}

fn search(mut arena: Arena, seed: u64, time: Duration) -> Found {
    let mut rng = SimRng(ChaCha8Rng::seed_from_u64(seed));
    let mut found = Found { candidates: 0, best: vec![Vec::new(); OBJECTIVES.len()] };
    let mut first = Genome::found();
    let end = Clock::now() + time;
    while Clock::now() < end {
        let all: Vec<_> = found.best.iter().flatten().collect();
        let genome = if let Some((_, genome)) = first.pop() {
            genome
        } else if all.is_empty() || rng.below(20) == 0 {
            Genome::random(&mut rng)
        } else {
            let (one, other) = (all[rng.below(all.len())], all[rng.below(all.len())]);
            one.genome.mutated(&other.genome, &mut rng)
        };
        found.candidates += 1;
        let values = arena.values(&genome, found.candidates % 4 == 0);
        if !(0..OBJECTIVES.len()).any(|n| is_among_best(&found.best[n], values[n])) {
            continue;
        }
        // Times vary: the shortest of several counts. Memory is measured apart from them, because
        // that takes time.
        let times = if cfg!(debug_assertions) { 0 } else { 4 };
        let again = (0..times).map(|_| arena.values(&genome, false));
        let mut values = again
            .fold(values, |least, values| std::array::from_fn(|n| f64::min(least[n], values[n])));
        values[HEAP] = arena.values(&genome, true)[HEAP];
        for (best, value) in found.best.iter_mut().zip(values) {
            if is_among_best(best, value) {
                best.push(Candidate { genome: genome.clone(), value });
                best.sort_by(|a, b| b.value.total_cmp(&a.value));
                best.truncate(KEPT);
            }
        }
    }
    for (n, best) in found.best.iter_mut().enumerate() {
        if let Some(best) = best.first_mut() {
            arena.simplify(n, best);
        }
    }
    found
}

fn is_among_best(best: &[Candidate], value: f64) -> bool {
    value > 0.0 && (best.len() < KEPT || best.last().is_some_and(|last| value > last.value))
}

/// A node on which candidates are tried, one after another.
struct Arena {
    format: Format,
    members: u32,
    table: Table,
    victim: Victim,
    used: usize,
}

impl Arena {
    fn new(format: Format, members: u32, table: Table) -> Self {
        let victim = Victim::new(format, members, table);
        Self { format, members, table, victim, used: 0 }
    }

    fn values(&mut self, genome: &Genome, heap: bool) -> [f64; OBJECTIVES.len()] {
        self.used += 1;
        let checked = self.used % (1 + self.members as usize / 1000) == 0;
        if self.used > 500 || checked && self.victim.is_worn() {
            self.victim = Victim::new(self.format, self.members, self.table);
            self.used = 0;
        }
        let mut total = Cost::default();
        for step in &genome.steps {
            let input = step.input(&mut self.victim);
            let mut cost = Cost::default();
            if heap {
                let taken = allocation_counter::measure(|| cost = self.victim.apply(&input));
                let allowed = HEAP_ALLOWANCE + TABLE_GROWTH * self.members as usize;
                cost.heap = (taken.bytes_max as usize).saturating_sub(allowed);
            } else {
                cost = self.victim.apply(&input);
            }
            total.add(cost);
        }
        OBJECTIVES.map(|objective| (objective.value)(&total))
    }

    /// The least of several values for an objective.
    fn value(&mut self, objective: usize, genome: &Genome) -> f64 {
        // In debug builds, nothing is measured whose least value counts.
        let times = if cfg!(debug_assertions) { 1 } else { 5 };
        let values = (0..times).map(|_| self.values(genome, objective == HEAP)[objective]);
        values.fold(f64::INFINITY, f64::min)
    }

    /// Removes from a candidate what adds little to its value.
    fn simplify(&mut self, objective: usize, candidate: &mut Candidate) {
        // What exceeds the bound goes on doing so.
        let bound = Some(OBJECTIVES[objective].bound).filter(|&bound| candidate.value > bound);
        let least = (candidate.value * 0.9).max(bound.unwrap_or(0.0));
        let mut left = 200;
        loop {
            let mut simpler = candidate.genome.simpler().into_iter();
            let found = simpler.find(|genome| {
                left -= i32::from(left > 0);
                left > 0 && self.value(objective, genome) > least
            });
            let Some(genome) = found else { return };
            candidate.genome = genome;
        }
    }
}

/// Bytes of memory that an input may take whatever its length: those of a decompression.
const HEAP_ALLOWANCE: usize = 64 << 10;
/// Bytes for each member that a table takes while it is copied, because it grows by a sixteenth.
const TABLE_GROWTH: usize = 128;

/// The objective about time.
const TIME: usize = 1;
/// The objective about memory.
const HEAP: usize = OBJECTIVES.len() - 1;
/// Number of candidates kept for each objective.
const KEPT: usize = 8;

/// Random numbers from a seed.
struct SimRng(ChaCha8Rng);

impl SimRng {
    fn below(&mut self, sides: usize) -> usize {
        ((u64::from(self.0.next_u32()) * sides as u64) >> 32) as usize
    }
}

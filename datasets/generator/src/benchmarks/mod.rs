//! The ten benchmarks: how an item is drawn from the small world, and its row in the hub's schema.

mod boolq;
mod commonsense_qa;
mod copa;
mod cosmos_qa;
mod entailment;
mod piqa;
mod scienceqa;
mod social_i_qa;
mod wic;

use std::io;

use crate::problem::{Problem, Voice};
use crate::random::Random;

pub(crate) struct Benchmark {
    /// The directory under `datasets/`.
    pub(crate) name: &'static str,
    /// How many answers there are to balance.
    pub(crate) answers: usize,
    /// Draws a problem with the given answer.
    pub(crate) problem: fn(&mut Random, Voice, usize) -> Problem,
    /// The problem as one line of JSON, given its place in the split.
    pub(crate) row: fn(&Problem, usize) -> io::Result<String>,
}

pub(crate) const BENCHMARKS: &[Benchmark] = &[
    Benchmark { name: "boolq", answers: 2, problem: boolq::problem, row: boolq::row },
    Benchmark { name: "cb", answers: 3, problem: entailment::cb, row: entailment::row },
    Benchmark { name: "copa", answers: 2, problem: copa::problem, row: copa::row },
    Benchmark { name: "rte", answers: 2, problem: entailment::rte, row: entailment::row },
    Benchmark { name: "wic", answers: 2, problem: wic::problem, row: wic::row },
    Benchmark { name: "commonsense_qa", answers: 5, problem: commonsense_qa::problem, row: commonsense_qa::row },
    Benchmark { name: "cosmos_qa", answers: 4, problem: cosmos_qa::problem, row: cosmos_qa::row },
    Benchmark { name: "social_i_qa", answers: 3, problem: social_i_qa::problem, row: social_i_qa::row },
    Benchmark { name: "piqa", answers: 2, problem: piqa::problem, row: piqa::row },
    Benchmark { name: "scienceqa", answers: 4, problem: scienceqa::problem, row: scienceqa::row },
];

//! What the answers decide: differences to the baseline of a group, and a ranking with its uncertainty.

use super::{
    Group,
    bootstrap::{Answers, Block, interval, p_value, ranks, resamples},
    grid::Grid,
    significance::{holm, mcnemar},
};
use crate::results::mean;

/// The probability of any false word in a group of comparisons.
const LEVEL: f64 = 0.05;

/// A method beside the baseline of its group on one benchmark.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Judgement {
    pub(crate) method: String,
    pub(crate) benchmark: String,
    /// In percentage points; positive where the method is better.
    pub(crate) difference: f64,
    /// The interval of 95 % over items, and over seeds where there are several.
    pub(crate) interval: (f64, f64),
    /// The seeds that both have.
    pub(crate) seeds: usize,
    pub(crate) p: f64,
    /// Corrected for all comparisons of the group.
    pub(crate) adjusted: f64,
}

impl Judgement {
    /// Of one seed they speak of two runs: how far a method's runs lie apart is not known then.
    pub(crate) fn words(&self) -> &'static str {
        match (self.difference > 0.0, self.seeds > 1) {
            _ if self.adjusted >= LEVEL => "not distinguishable",
            (true, true) => "better",
            (false, true) => "worse",
            (true, false) => "better with this seed",
            (false, false) => "worse with this seed",
        }
    }

    /// The test behind p.
    pub(crate) fn test(&self) -> &'static str {
        if self.seeds > 1 { "bootstrap" } else { "McNemar" }
    }
}

/// Every comparison of a group that can be made. Of one seed the test is McNemar's on its items, of several the paired bootstrap
/// of items with Student's t for seeds.
pub(crate) fn judgements(grid: &Grid, group: &Group, benchmarks: &[String]) -> Vec<Judgement> {
    let pairs = benchmarks.iter().flat_map(|benchmark| group.all().skip(1).map(move |method| (method, benchmark)));
    let mut all: Vec<Judgement> =
        pairs.filter_map(|(method, benchmark)| judge(grid, &group.baseline, method, benchmark)).collect();
    let adjusted = holm(&all.iter().map(|judgement| judgement.p).collect::<Vec<_>>());
    all.iter_mut().zip(adjusted).for_each(|(judgement, p)| judgement.adjusted = p);
    all
}

fn judge(grid: &Grid, baseline: &str, method: &str, benchmark: &str) -> Option<Judgement> {
    let both = grid.common(&[baseline, method], benchmark)?;
    let [of_baseline, of_method] = &both[..] else { return None };
    let subtract = |(one, other): (&Vec<f64>, &Vec<f64>)| -> Vec<f64> {
        one.iter().zip(other).map(|(one, other)| one - other).collect()
    };
    let differences: Answers = of_method.iter().zip(of_baseline).map(subtract).collect();
    // Both have answered the same items.
    Block::new(&both)?;
    let drawn: Vec<f64> =
        resamples(&[Block::new(std::slice::from_ref(&differences))?]).into_iter().map(|means| means[0]).collect();
    let p = match &differences[..] {
        [one] => {
            let number = |sign: f64| one.iter().filter(|difference| **difference == sign).count();
            mcnemar(number(1.0), number(-1.0))
        }
        _ => p_value(&drawn),
    };
    let (low, high) = interval(drawn);
    Some(Judgement {
        method: method.to_owned(),
        benchmark: benchmark.to_owned(),
        difference: 100.0 * mean(&differences.iter().map(|items| mean(items)).collect::<Vec<_>>()),
        // Student's t knows no bounds, and that of two seeds is wide.
        interval: ((100.0 * low).max(-100.0), (100.0 * high).min(100.0)),
        seeds: differences.len(),
        p,
        adjusted: p,
    })
}

/// The methods by their mean accuracy over benchmarks.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Ranking {
    /// Those that every method has run.
    pub(crate) benchmarks: Vec<String>,
    /// The best first.
    pub(crate) standings: Vec<Standing>,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Standing {
    pub(crate) method: String,
    /// In percent, with its interval of 95 %.
    pub(crate) mean: f64,
    pub(crate) interval: (f64, f64),
    /// The interval of 95 % of its rank.
    pub(crate) ranks: (f64, f64),
    /// The share of resamples in which no other method is better.
    pub(crate) best: f64,
}

/// The ranking over the benchmarks that all of the methods have run with a common seed; `None` if there is none.
pub(crate) fn ranking(grid: &Grid, methods: &[String], benchmarks: &[String]) -> Option<Ranking> {
    let names: Vec<&str> = methods.iter().map(String::as_str).collect();
    let block = |name: &String| Some((name.clone(), grid.common(&names, name)?));
    let answers: Vec<(String, Vec<Answers>)> = benchmarks.iter().filter_map(block).collect();
    let blocks: Vec<Block> = answers.iter().map(|(_, answers)| Block::new(answers)).collect::<Option<_>>()?;
    if blocks.is_empty() {
        return None;
    }
    let drawn = resamples(&blocks);
    let drawn_ranks: Vec<Vec<f64>> = drawn.iter().map(|means| ranks(means)).collect();
    let standing = |(place, method): (usize, &String)| {
        let of_benchmarks =
            answers.iter().map(|(_, of)| mean(&of[place].iter().map(|row| mean(row)).collect::<Vec<_>>()));
        let means: Vec<f64> = drawn.iter().map(|means| 100.0 * means[place]).collect();
        let (low, high) = interval(means);
        let is_best = |means: &&Vec<f64>| means.iter().all(|other| *other <= means[place]);
        Standing {
            method: method.clone(),
            mean: 100.0 * mean(&of_benchmarks.collect::<Vec<_>>()),
            interval: (low.max(0.0), high.min(100.0)),
            ranks: interval(drawn_ranks.iter().map(|ranks| ranks[place]).collect()),
            best: drawn.iter().filter(is_best).count() as f64 / drawn.len() as f64,
        }
    };
    let mut standings: Vec<Standing> = methods.iter().enumerate().map(standing).collect();
    standings.sort_by(|one, other| other.mean.total_cmp(&one.mean));
    Some(Ranking { benchmarks: answers.into_iter().map(|(name, _)| name).collect(), standings })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(methods: &[&str]) -> Group {
        let methods = methods.iter().map(|method| (*method).to_owned()).collect();
        Group { title: String::new(), about: String::new(), baseline: "lora".into(), methods }
    }

    /// 60 items, of which LoRA answers the first `lora` and another method the last `other`.
    fn grid(seeds: u64, lora: usize, other: usize) -> Grid {
        let mut grid = Grid::default();
        for seed in 0..seeds {
            grid.insert("lora", "cb", seed, &("1".repeat(lora) + &"0".repeat(60 - lora)));
            grid.insert("mole", "cb", seed, &("0".repeat(60 - other) + &"1".repeat(other)));
        }
        grid
    }

    #[test]
    fn words_follow_the_corrected_p() -> Result<(), crate::TestError> {
        let benchmarks = ["cb".to_owned()];
        let words = |seeds, lora, other| {
            let found = judgements(&grid(seeds, lora, other), &group(&["mole"]), &benchmarks);
            found.into_iter().next().map(|judgement| (judgement.words(), judgement.test()))
        };
        assert_eq!(words(1, 10, 50), Some(("better with this seed", "McNemar")));
        assert_eq!(words(1, 50, 10), Some(("worse with this seed", "McNemar")));
        assert_eq!(words(3, 10, 50), Some(("better", "bootstrap")));
        assert_eq!(words(3, 50, 10), Some(("worse", "bootstrap")));
        assert_eq!(words(1, 30, 33), Some(("not distinguishable", "McNemar")));
        assert_eq!(words(3, 30, 33), Some(("not distinguishable", "bootstrap")));
        // 50 of 60 items are answered by one alone.
        let found = judgements(&grid(1, 21, 39), &group(&["mole", "lora", "sira"]), &benchmarks);
        let [one] = &found[..] else { return Err(format!("{found:?}").into()) };
        assert!((one.difference - 30.0).abs() < 1e-9 && (one.p - mcnemar(39, 21)).abs() < 1e-12, "{one:?}");
        assert!(one.interval.0 < 30.0 && 30.0 < one.interval.1, "{one:?}");
        Ok(())
    }

    #[test]
    fn more_comparisons_need_more_evidence() {
        let mut grid = grid(1, 20, 40);
        let one = judgements(&grid, &group(&["mole"]), &["cb".to_owned()])[0].adjusted;
        for method in ["a", "b", "c", "d"] {
            grid.insert(method, "cb", 0, &("1".repeat(20) + &"0".repeat(40)));
        }
        let five = judgements(&grid, &group(&["mole", "a", "b", "c", "d"]), &["cb".to_owned()])[0].adjusted;
        assert!((five - 5.0 * one).abs() < 1e-12, "{one} {five}");
    }

    #[test]
    fn a_ranking_says_how_sure_it_is() {
        let methods = ["lora", "mole"].map(str::to_owned);
        let benchmarks = ["cb", "rte"].map(str::to_owned);
        let ranking = |grid| ranking(&grid, &methods, &benchmarks).unwrap_or_else(|| panic!("run"));
        let clear = ranking(grid(3, 10, 55));
        assert_eq!(clear.benchmarks, ["cb"], "rte has not run");
        let (first, last) = (&clear.standings[0], &clear.standings[1]);
        assert_eq!((first.method.as_str(), first.ranks, first.best), ("mole", (1.0, 1.0), 1.0));
        assert_eq!((last.ranks, last.best), ((2.0, 2.0), 0.0));
        let open = ranking(grid(3, 30, 31));
        assert_eq!(open.standings[0].ranks, (1.0, 2.0));
        assert!((0.3..0.9).contains(&open.standings[0].best), "{open:?}");
    }
}

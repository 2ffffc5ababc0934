//! Resampling of items and seeds (Efron 1979): what an accuracy, a difference or a rank would have been with other items and
//! other seeds.
//!
//! Items are drawn with replacement. Seeds are too few for that: drawn from three, a mean varies less than it should, and as if it
//! were known how much seeds differ. Instead the mean over n seeds varies about the measured one as Student's t does with n - 1
//! degrees of freedom, times its standard error. All methods get the same draw of a seed, and every item of that seed too, since
//! the same seeds and items are compared.

use rand_distr::{ChiSquared, Distribution, StandardNormal};
use rand_xoshiro::{
    Xoshiro256PlusPlus,
    rand_core::{Rng, SeedableRng},
};

/// Which items each of several seeds answers rightly, or by how much one method is better on them: a row of items for each
/// seed.
pub(crate) type Answers = Vec<Vec<f64>>;

/// The number of resamples.
const RESAMPLES: usize = 10_000;

/// The answers of one benchmark, of several methods, with the same seeds and items.
#[derive(Debug)]
pub(crate) struct Block {
    /// For each method the mean over seeds of each item.
    items: Vec<Vec<f64>>,
    /// For each method and seed the deviation of each item from that mean.
    seeds: Vec<Answers>,
    num_items: usize,
    num_seeds: usize,
    /// Of the variance of seeds. `None` for a single one, which says nothing of others.
    chi_squared: Option<ChiSquared<f64>>,
}

impl Block {
    /// The block of these methods; `None` if they have not the same number of seeds and items, or none.
    pub(crate) fn new(methods: &[Answers]) -> Option<Self> {
        let num_seeds = methods.first()?.len();
        let num_items = methods.first()?.first()?.len();
        let is_alike =
            |answers: &Answers| answers.len() == num_seeds && answers.iter().all(|items| items.len() == num_items);
        if num_items == 0 || !methods.iter().all(is_alike) {
            return None;
        }
        let item_means = |answers: &Answers| -> Vec<f64> {
            let mean = |item: usize| answers.iter().map(|items| items[item]).sum::<f64>() / num_seeds as f64;
            (0..num_items).map(mean).collect()
        };
        let items: Vec<Vec<f64>> = methods.iter().map(item_means).collect();
        let deviations = |(answers, means): (&Answers, &Vec<f64>)| -> Answers {
            let of_seed = |row: &Vec<f64>| row.iter().zip(means).map(|(one, mean)| one - mean).collect();
            answers.iter().map(of_seed).collect()
        };
        let seeds = methods.iter().zip(&items).map(deviations).collect();
        let chi_squared = ChiSquared::new((num_seeds as f64) - 1.0).ok();
        Some(Self { items, seeds, num_items, num_seeds, chi_squared })
    }

    /// The mean of each method over one resample of items and seeds.
    fn resampled(&self, rng: &mut Xoshiro256PlusPlus) -> Vec<f64> {
        let items: Vec<usize> = (0..self.num_items).map(|_| below(rng, self.num_items)).collect();
        let weights = self.weights(rng);
        let mean = |(means, deviations): (&Vec<f64>, &Answers)| {
            let of_item = |item: &usize| {
                let of_seeds: f64 = weights.iter().zip(deviations).map(|(weight, seed)| weight * seed[*item]).sum();
                means[*item] + of_seeds
            };
            items.iter().map(of_item).sum::<f64>() / self.num_items as f64
        };
        self.items.iter().zip(&self.seeds).map(mean).collect()
    }

    /// By how much of each seed's deviation the mean is moved. With normal g and c of chi squared with n - 1 degrees of freedom,
    /// the sum of g d over deviations d of standard deviation s is s sqrt(n - 1) times a normal number, and so the sum of
    /// g d / sqrt(n c) is t s / sqrt(n).
    fn weights(&self, rng: &mut Xoshiro256PlusPlus) -> Vec<f64> {
        let Some(chi_squared) = &self.chi_squared else { return vec![0.0; self.num_seeds] };
        let scale = 1.0 / (self.num_seeds as f64 * chi_squared.sample(rng)).sqrt();
        (0..self.num_seeds).map(|_| scale * Distribution::<f64>::sample(&StandardNormal, rng)).collect()
    }
}

/// A number in `0..end`; the bias of 64 bits is far below that of any number of resamples.
fn below(rng: &mut Xoshiro256PlusPlus, end: usize) -> usize {
    ((u128::from(rng.next_u64()) * end as u128) >> 64) as usize
}

/// The means of each method over all blocks, for every resample. The same data give the same numbers.
pub(crate) fn resamples(blocks: &[Block]) -> Vec<Vec<f64>> {
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(0);
    let one = |_| {
        let means: Vec<Vec<f64>> = blocks.iter().map(|block| block.resampled(&mut rng)).collect();
        let methods = means.first().map_or(0, Vec::len);
        let over_blocks = |method: usize| means.iter().map(|of| of[method]).sum::<f64>() / means.len() as f64;
        (0..methods).map(over_blocks).collect()
    };
    (0..RESAMPLES).map(one).collect()
}

/// The two-sided p-value of a mean difference of 0: twice the share of resamples on the other side of 0, those at 0 by half,
/// and one more resample on either side, so that it is never 0.
pub(crate) fn p_value(differences: &[f64]) -> f64 {
    let at_zero = differences.iter().filter(|difference| difference.abs() < 1e-12).count() as f64;
    let below = differences.iter().filter(|difference| **difference <= -1e-12).count() as f64 + at_zero / 2.0;
    let above = differences.len() as f64 - below;
    (2.0 * (below.min(above) + 1.0) / (differences.len() as f64 + 1.0)).min(1.0)
}

/// The interval that holds 95 % of the values.
pub(crate) fn interval(mut values: Vec<f64>) -> (f64, f64) {
    values.sort_by(f64::total_cmp);
    let at = |share: f64| values.get((share * (values.len().max(1) - 1) as f64).round() as usize).copied();
    (at(0.025).unwrap_or(f64::NAN), at(0.975).unwrap_or(f64::NAN))
}

/// The rank of each method in one resample, 1 for the largest mean; equals share the mean of their ranks.
pub(crate) fn ranks(means: &[f64]) -> Vec<f64> {
    let rank = |own: &f64| {
        let larger = means.iter().filter(|other| *other > own).count() as f64;
        let equal = means.iter().filter(|other| *other == own).count() as f64;
        larger + (equal + 1.0) / 2.0
    };
    means.iter().map(rank).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Uniform numbers in `[0, 1)`.
    fn uniform(rng: &mut Xoshiro256PlusPlus) -> f64 {
        (rng.next_u64() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Differences of `seeds` x `items` with this mean, of which seeds and items have these standard deviations.
    fn synthetic(
        rng: &mut Xoshiro256PlusPlus,
        (seeds, items): (usize, usize),
        mean: f64,
        (of_seed, of_item): (f64, f64),
    ) -> Answers {
        let mut normal = || (0..12).map(|_| uniform(rng)).sum::<f64>() - 6.0;
        let items: Vec<f64> = (0..items).map(|_| of_item * normal()).collect();
        (0..seeds)
            .map(|_| {
                let seed = of_seed * normal();
                items.iter().map(|item| mean + seed + item).collect()
            })
            .collect()
    }

    fn differences(answers: Answers) -> Vec<f64> {
        resamples(&[Block::new(&[answers]).unwrap_or_else(|| panic!("alike"))])
            .into_iter()
            .map(|means| means[0])
            .collect()
    }

    fn deviation(values: &[f64]) -> f64 {
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        (values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / values.len() as f64).sqrt()
    }

    #[test]
    fn a_resampled_mean_varies_as_its_items_and_seeds_do() {
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(1);
        // Items alone: sd / sqrt(n).
        let answers = synthetic(&mut rng, (1, 400), 0.1, (0.0, 1.0));
        let expected = deviation(&answers[0]) / 20.0;
        let found = deviation(&differences(answers));
        assert!((found / expected - 1.0).abs() < 0.05, "{found}, expected {expected}");
        // Seeds alone: of two and of three, whose standard deviation is 1, the quantile of t times the standard error.
        let half = 0.5_f64.sqrt();
        for (seeds, quantile) in [(vec![-half, half], 12.706), (vec![-1.0, 0.0, 1.0], 4.303)] {
            let answers: Answers = seeds.iter().map(|seed| vec![*seed; 50]).collect();
            let (low, high) = interval(differences(answers));
            let expected = quantile / (seeds.len() as f64).sqrt();
            for end in [high, -low] {
                assert!((end / expected - 1.0).abs() < 0.2, "{low} to {high}, expected {expected}");
            }
        }
    }

    #[test]
    fn the_test_rejects_what_is_equal_as_often_as_it_says_and_finds_what_is_not() {
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(2);
        let mut rejected = |studies, seeds, mean, of_seed| {
            let p = |_| p_value(&differences(synthetic(&mut rng, (seeds, 60), mean, (of_seed, 0.4))));
            (0..studies).map(p).filter(|p| *p < 0.05).count()
        };
        let count = rejected(60, 8, 0.0, 0.1);
        assert!(count <= 8, "{count} of 60 at a level of 5 %");
        let found = rejected(60, 8, 0.4, 0.1);
        assert!(found >= 58, "{found} of 60 at five standard errors");
        // Seeds that differ four times as much as the mean of the items.
        let count = rejected(200, 3, 0.0, 0.2);
        assert!(count <= 18, "{count} of 200 at a level of 5 %; drawing seeds with replacement rejects 25");
        let found = rejected(200, 8, 0.6, 0.2);
        assert!(found >= 195, "{found} of 200 at seven standard errors");
    }

    #[test]
    fn equal_answers_are_not_distinguishable() {
        assert_eq!(p_value(&differences(vec![vec![0.0; 20]; 3])), 1.0);
        assert!(p_value(&[1.0; 9999]) < 0.001 && p_value(&[1.0; 9999]) > 0.0);
        assert_eq!(p_value(&[1.0, -1.0]), 1.0);
    }

    #[test]
    fn blocks_are_of_the_same_seeds_and_items() {
        let answers = vec![vec![1.0, 0.0]; 3];
        assert!(Block::new(&[answers.clone(), answers.clone()]).is_some());
        assert!(Block::new(&[answers.clone(), vec![vec![1.0]; 3]]).is_none());
        assert!(Block::new(&[answers, vec![vec![1.0, 0.0]; 2]]).is_none());
        assert!(Block::new(&[vec![]]).is_none() && Block::new(&[]).is_none());
    }

    #[test]
    fn ranks_and_intervals_have_known_values() {
        assert_eq!(ranks(&[0.5, 0.9, 0.5, 0.1]), [2.5, 1.0, 2.5, 4.0]);
        assert_eq!(interval((0..=1000).map(f64::from).collect()), (25.0, 975.0));
        // The better of two methods has rank 1 in every resample.
        let block = Block::new(&[vec![vec![1.0; 10]; 2], vec![vec![0.0; 10]; 2]]);
        let all = resamples(&block.into_iter().collect::<Vec<_>>());
        assert!(all.iter().all(|means| ranks(means) == [1.0, 2.0]));
    }
}

//! Tests of paired answers, and the correction for several of them.

/// The two-sided exact test of McNemar (1947): the probability that of `n = only_one + only_other` items which exactly one of
/// two methods answers rightly, the split is at least as uneven as this, if both are equally good. 1 without such items.
pub(crate) fn mcnemar(only_one: usize, only_other: usize) -> f64 {
    let (n, fewer) = (only_one + only_other, only_one.min(only_other));
    // Binomial coefficients over 2^n, as logarithms: 2^n overflows from 1024 items.
    let mut term = -(n as f64) * std::f64::consts::LN_2;
    let mut tail = 0.0;
    for k in 0..=fewer {
        tail += term.exp();
        term += ((n - k) as f64).ln() - ((k + 1) as f64).ln();
    }
    (2.0 * tail).min(1.0)
}

/// The adjusted p-values of Holm (1979), in the order of `values`: at most as many times each as there are tests, and never
/// below that of a smaller one. The probability of any false rejection stays below the level, whatever the tests depend on.
pub(crate) fn holm(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|one, other| values[*one].total_cmp(&values[*other]));
    let mut adjusted = vec![0.0; values.len()];
    let mut largest = 0.0_f64;
    for (smaller, place) in order.into_iter().enumerate() {
        let times = (values.len() - smaller) as f64;
        largest = largest.max((times * values[place]).min(1.0));
        adjusted[place] = largest;
    }
    adjusted
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(one: f64, other: f64) -> bool {
        (one - other).abs() < 1e-9
    }

    #[test]
    fn mcnemars_test_has_the_values_of_the_binomial_distribution() {
        // 2 (1 + 6) / 2^6, 2 (1 + 10 + 45) / 2^10, and scipy.stats.binomtest(5, 20).pvalue.
        for ((one, other), expected) in [((5, 1), 0.21875), ((2, 8), 0.109375), ((15, 5), 0.04138946533203125)] {
            assert!(near(mcnemar(one, other), expected), "{one}, {other}: {}", mcnemar(one, other));
            assert!(near(mcnemar(other, one), expected));
        }
        assert_eq!((mcnemar(0, 0), mcnemar(4, 4)), (1.0, 1.0));
        assert!(near(mcnemar(10, 0), 2.0 / 1024.0));
    }

    #[test]
    fn mcnemars_test_is_finite_for_many_items_and_falls_with_the_difference() {
        let values: Vec<f64> = (0..=1000).step_by(50).map(|fewer| mcnemar(fewer, 2000 - fewer)).collect();
        assert!(values.iter().all(|p| (0.0..=1.0).contains(p)), "{values:?}");
        assert!(values.is_sorted(), "{values:?}");
        assert!(near(values[20], 1.0));
    }

    #[test]
    fn holms_correction_has_known_values() {
        // The example of R's p.adjust(c(0.01, 0.04, 0.03, 0.005), "holm").
        let adjusted = holm(&[0.01, 0.04, 0.03, 0.005]);
        assert!(adjusted.iter().zip([0.03, 0.06, 0.06, 0.02]).all(|(one, other)| near(*one, other)), "{adjusted:?}");
        assert_eq!(holm(&[0.6, 0.9]), [1.0, 1.0]);
        assert_eq!(holm(&[0.04]), [0.04]);
        assert!(holm(&[]).is_empty());
    }
}

//! Log-probabilities of tokens.

use super::request::TokenScore;
use std::cmp::Ordering;

/// The score of a token among these logits, all finite, with the `top` most probable ones.
pub(super) fn score(logits: &[f32], token: u32, top: usize) -> TokenScore {
    let largest = logits.iter().copied().fold(f32::MIN, f32::max);
    let sum: f64 = logits.iter().map(|logit| f64::from((logit - largest).exp())).sum();
    let normaliser = f64::from(largest) + sum.ln();
    let log_probability =
        |id: u32| logits.get(id as usize).map_or(f32::MIN, |logit| (f64::from(*logit) - normaliser) as f32);
    let mut ids: Vec<u32> = (0..logits.len() as u32).collect();
    let by_logit = |one: &u32, other: &u32| -> Ordering {
        logits[*other as usize].total_cmp(&logits[*one as usize]).then(one.cmp(other))
    };
    if top > 0 && top < ids.len() {
        ids.select_nth_unstable_by(top - 1, by_logit);
    }
    ids.truncate(top);
    ids.sort_unstable_by(by_logit);
    TokenScore {
        log_probability: log_probability(token),
        top: ids.into_iter().map(|id| (id, log_probability(id))).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_are_log_probabilities_and_the_largest_come_first() {
        let logits = [1.0, 3.0, 2.0, 3.0];
        let total: f64 = logits.iter().map(|logit: &f32| f64::from(*logit).exp()).sum();
        let expected = |logit: f64| (logit - total.ln()) as f32;
        let found = score(&logits, 2, 3);
        assert!((found.log_probability - expected(2.0)).abs() < 1e-6);
        assert_eq!(found.top.iter().map(|(id, _)| *id).collect::<Vec<_>>(), [1, 3, 2]);
        assert!((found.top[0].1 - expected(3.0)).abs() < 1e-6);
        assert_eq!(score(&logits, 0, 0).top, []);
        assert_eq!(score(&logits, 0, 9).top.len(), 4);
    }
}

//! The choice of the next token from the scores of the vocabulary.
//!
//! The operations and their order are those of `generate` in transformers: the repetition penalty, the temperature, then the
//! tokens that are left by top-k, top-p and min-p, each among those that the one before left.

use adamole_core::{CounterRng, SettingError};
use std::collections::HashSet;

/// The settings of a [`Sampling`]. The default takes the most probable token.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SamplingSettings {
    /// The divisor of the scores, above 0; `None` takes the most probable token, the first among equals.
    pub temperature: Option<f32>,
    /// The tokens whose scores are at least the k-th largest, at least 1 (Fan et al. 2018); `None` for all.
    pub top_k: Option<usize>,
    /// Nucleus sampling: the fewest tokens whose probabilities reach this share, above 0 (Holtzman et al. 2020); 1 for all.
    pub top_p: f32,
    /// The tokens whose probability is at least this share of the largest, from 0 to 1 (Nguyen et al. 2024); 0 for all.
    pub min_p: f32,
    /// The divisor of the positive scores, and factor of the negative ones, of the tokens that the text already has, prompt
    /// included; above 0, and 1 for none (Keskar et al. 2019).
    pub repetition_penalty: f32,
    /// The seed. With the row and the step it determines the draw.
    pub seed: u64,
}

impl Default for SamplingSettings {
    fn default() -> Self {
        Self { temperature: None, top_k: None, top_p: 1.0, min_p: 0.0, repetition_penalty: 1.0, seed: 0 }
    }
}

/// How the next token is chosen: [`SamplingSettings`] that are in their ranges.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sampling(SamplingSettings);

impl Sampling {
    /// Takes the most probable token; the first among equals.
    pub fn greedy() -> Self {
        Self(SamplingSettings::default())
    }

    /// Checks the settings.
    ///
    /// # Errors
    /// The first setting that is outside its range, by its name.
    pub fn new(settings: SamplingSettings) -> Result<Self, SettingError> {
        let SamplingSettings { temperature, top_k, top_p, min_p, repetition_penalty, .. } = settings;
        let positive = |value: f32| value > 0.0 && value.is_finite();
        let check = |holds: bool, name, value: &dyn ToString, expected: &str| match holds {
            true => Ok(()),
            false => Err(SettingError::invalid(name, value.to_string(), expected)),
        };
        let temperature = temperature.unwrap_or(1.0);
        check(positive(temperature), "temperature", &temperature, "a finite number above 0")?;
        let top_k = top_k.unwrap_or(1);
        check(top_k > 0, "top_k", &top_k, "an integer of at least 1")?;
        check(top_p > 0.0 && top_p <= 1.0, "top_p", &top_p, "a number above 0 and at most 1")?;
        check((0.0..=1.0).contains(&min_p), "min_p", &min_p, "a number from 0 to 1")?;
        let penalty = repetition_penalty;
        check(positive(penalty), "repetition_penalty", &penalty, "a finite number above 0")?;
        Ok(Self(settings))
    }

    /// The tokens that can follow, with their probabilities, the most probable first and equals by their ids.
    ///
    /// `logits` has a finite score for each token of the vocabulary, `text` is the text so far.
    pub fn distribution(&self, logits: &[f32], text: &[u32]) -> Vec<(u32, f64)> {
        let Some(temperature) = self.0.temperature else { return vec![(self.next(logits, text, 0, 0), 1.0)] };
        let penalised = self.penalised(logits, text);
        let Candidates { kept, .. } = self.candidates(penalised.as_deref().unwrap_or(logits), temperature, usize::MAX);
        let total: f64 = kept.iter().map(|(weight, _)| weight).sum();
        kept.into_iter().map(|(weight, id)| (id, weight / total)).collect()
    }

    /// The token that follows `text`, as [`Self::distribution`] has it. The draw depends on seed, row and step alone.
    pub fn next(&self, logits: &[f32], text: &[u32], row: u64, step: usize) -> u32 {
        let penalised = self.penalised(logits, text);
        let logits = penalised.as_deref().unwrap_or(logits);
        let Some(temperature) = self.0.temperature else { return most_probable(logits) };
        // 53 random bits as a number in [0, 1).
        let draw = (CounterRng::new(&[self.0.seed, row, step as u64]).next_u64() >> 11) as f64 / (1_u64 << 53) as f64;
        for most in [PROBABLE, usize::MAX] {
            let Candidates { kept, others } = self.candidates(logits, temperature, most);
            let mut rest = draw * (kept.iter().map(|(weight, _)| weight).sum::<f64>() + others);
            for (weight, id) in &kept {
                if rest < *weight {
                    return *id;
                }
                rest -= weight;
            }
            if let Some((_, id)) = kept.last().filter(|_| others == 0.0) {
                return *id;
            }
        }
        most_probable(logits)
    }

    /// The scores after the repetition penalty; `None` where it changes nothing.
    fn penalised(&self, logits: &[f32], text: &[u32]) -> Option<Vec<f32>> {
        let penalty = self.0.repetition_penalty;
        (penalty != 1.0).then(|| {
            let mut logits = logits.to_vec();
            for id in text.iter().collect::<HashSet<_>>() {
                if let Some(logit) = logits.get_mut(*id as usize) {
                    *logit = if *logit < 0.0 { *logit * penalty } else { *logit / penalty };
                }
            }
            logits
        })
    }

    /// The tokens that are left, at most the first `most` of them.
    fn candidates(&self, logits: &[f32], temperature: f32, most: usize) -> Candidates {
        let SamplingSettings { top_k, top_p, min_p, .. } = self.0;
        let max = logits.iter().copied().fold(f32::MIN, f32::max);
        let weight = |logit: &f32| f64::from((logit - max) / temperature).exp();
        let mut kept: Vec<(f64, u32)> = logits.iter().map(weight).zip(0..).collect();
        let order = |(one, i): &(f64, u32), (other, j): &(f64, u32)| other.total_cmp(one).then(i.cmp(j));
        if let Some(top_k) = top_k.filter(|top_k| *top_k < kept.len()) {
            let (_, (least, _), _) = kept.select_nth_unstable_by(top_k - 1, order);
            let least = *least;
            // As in transformers, those that equal the k-th stay.
            kept.retain(|(weight, _)| *weight >= least);
        }
        let total: f64 = kept.iter().map(|(weight, _)| weight).sum();
        let mut others = 0.0;
        if most < kept.len() {
            kept.select_nth_unstable_by(most - 1, order);
            others = kept[most..].iter().map(|(weight, _)| weight).sum();
            kept.truncate(most);
        }
        kept.sort_unstable_by(order);
        let mut above = 0.0;
        let nucleus = kept.iter().take_while(|(weight, _)| {
            let needed = above < f64::from(top_p) * total;
            above += weight;
            needed
        });
        let nucleus = nucleus.count();
        let probable = kept.iter().take_while(|(weight, _)| *weight >= f64::from(min_p)).count();
        let count = nucleus.min(probable).max(1);
        if count < kept.len() {
            (kept, others) = (kept[..count].to_vec(), 0.0);
        }
        Candidates { kept, others }
    }
}

/// The tokens that a draw looks at first: sorting the whole vocabulary takes longer than all else.
const PROBABLE: usize = 256;

/// The tokens that can be drawn.
struct Candidates {
    /// Weights and ids, by decreasing weight, and equals by their ids. A weight is the probability as a multiple of the largest.
    kept: Vec<(f64, u32)>,
    /// The weight of further ones, which are less probable.
    others: f64,
}

/// The token of the largest score; the first among equals.
fn most_probable(logits: &[f32]) -> u32 {
    let best = |best: usize, i: usize| if logits[i] > logits[best] { i } else { best };
    (0..logits.len()).fold(0, best) as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sampling(settings: SamplingSettings) -> Sampling {
        Sampling::new(settings).unwrap()
    }

    #[test]
    fn a_setting_outside_its_range_is_named() {
        let default = SamplingSettings { temperature: Some(1.0), ..SamplingSettings::default() };
        let cases = [
            (
                SamplingSettings { temperature: Some(0.0), ..default },
                "temperature is 0, expected a finite number above 0",
            ),
            (SamplingSettings { temperature: Some(f32::INFINITY), ..default }, "temperature is inf"),
            (SamplingSettings { top_k: Some(0), ..default }, "top_k is 0, expected an integer of at least 1"),
            (SamplingSettings { top_p: 0.0, ..default }, "top_p is 0, expected a number above 0 and at most 1"),
            (SamplingSettings { top_p: f32::NAN, ..default }, "top_p is NaN"),
            (SamplingSettings { min_p: 1.5, ..default }, "min_p is 1.5, expected a number from 0 to 1"),
            (SamplingSettings { repetition_penalty: -1.0, ..default }, "repetition_penalty is -1"),
        ];
        for (settings, message) in cases {
            let error = Sampling::new(settings).expect_err(message).to_string();
            assert!(error.starts_with(message), "{error}");
        }
    }

    #[test]
    fn tokens_that_equal_the_kth_stay() {
        let settings = SamplingSettings { temperature: Some(1.0), top_k: Some(2), ..SamplingSettings::default() };
        let kept = sampling(settings).distribution(&[1.0, 3.0, 1.0, 0.0], &[]);
        assert_eq!(kept.iter().map(|(id, _)| *id).collect::<Vec<_>>(), [1, 0, 2]);
    }

    #[test]
    fn draws_have_the_frequencies_of_the_distribution() {
        let settings = SamplingSettings { temperature: Some(0.7), ..SamplingSettings::default() };
        let (sampling, logits) = (sampling(settings), [0.5, -1.0, 1.5, 0.0]);
        let mut counts = [0_u32; 4];
        for step in 0..20_000 {
            counts[sampling.next(&logits, &[], 3, step) as usize] += 1;
        }
        for (id, probability) in sampling.distribution(&logits, &[]) {
            let share = f64::from(counts[id as usize]) / 20_000.0;
            assert!((share - probability).abs() < 0.015, "token {id}: {share} of {probability}");
        }
    }

    proptest! {
        #[test]
        fn what_is_left_is_a_distribution_over_the_most_probable_tokens(
            logits in prop::collection::vec(-20.0_f32..20.0, 1..80),
            temperature in 0.05_f32..4.0,
            top_k in prop::option::of(1_usize..90),
            top_p in 0.01_f32..=1.0,
            min_p in 0.0_f32..=1.0,
            repetition_penalty in prop_oneof![Just(1.0_f32), 0.5_f32..2.0],
            text in prop::collection::vec(0_u32..80, 0..10),
            seed: u64,
        ) {
            let temperature = Some(temperature);
            let settings = SamplingSettings { temperature, top_k, top_p, min_p, repetition_penalty, seed };
            let sampling = sampling(settings);
            let kept = sampling.distribution(&logits, &text);
            let total: f64 = kept.iter().map(|(_, probability)| probability).sum();
            prop_assert!((total - 1.0).abs() < 1e-9);
            prop_assert!(kept.is_sorted_by(|(_, one), (_, other)| one >= other));
            // Each restriction alone leaves no fewer than all together.
            let free = SamplingSettings { top_k: None, top_p: 1.0, min_p: 0.0, ..settings };
            for alone in [
                SamplingSettings { top_k, ..free }, SamplingSettings { top_p, ..free }, SamplingSettings { min_p, ..free },
            ] {
                let alone = Sampling::new(alone).unwrap().distribution(&logits, &text);
                prop_assert!(kept.iter().all(|(id, _)| alone.iter().any(|(other, _)| other == id)));
            }
            let ids: HashSet<u32> = kept.iter().map(|(id, _)| *id).collect();
            prop_assert!(ids.len() == kept.len() && !kept.is_empty());
            prop_assert!(ids.contains(&sampling.next(&logits, &text, seed, 1)));
        }

        #[test]
        fn top_k_keeps_k_tokens_and_top_1_is_greedy(
            order in Just((0_u32..40).collect::<Vec<_>>()).prop_shuffle(), k in 1_usize..60, seed: u64,
        ) {
            // All scores differ.
            let logits: Vec<f32> = order.iter().map(|rank| *rank as f32 / 8.0).collect();
            let top = |k| sampling(SamplingSettings {
                temperature: Some(1.5), top_k: Some(k), seed, ..SamplingSettings::default()
            });
            prop_assert_eq!(top(k).distribution(&logits, &[]).len(), k.min(logits.len()));
            prop_assert_eq!(top(1).next(&logits, &[], 0, 7), Sampling::greedy().next(&logits, &[], 0, 7));
        }

        #[test]
        fn top_p_keeps_the_fewest_tokens_that_reach_it(
            logits in prop::collection::vec(-5.0_f32..5.0, 1..60), top_p in 0.01_f32..1.0,
        ) {
            let all = SamplingSettings { temperature: Some(1.0), ..SamplingSettings::default() };
            let everything = sampling(all).distribution(&logits, &[]);
            let kept = sampling(SamplingSettings { top_p, ..all }).distribution(&logits, &[]).len();
            let share = |count: usize| everything[..count].iter().map(|(_, probability)| probability).sum::<f64>();
            prop_assert!(share(kept) >= f64::from(top_p) - 1e-9);
            prop_assert!(share(kept - 1) < f64::from(top_p) + 1e-9);
        }
    }
}

//! Operations on the scores of a gate, whose rows are short.

use super::{
    elementwise::{dot, sigmoid, sum},
    exp::exp,
};
use crate::wide::wide;

#[inline(always)]
fn rows(values: &[f32], columns: usize) -> impl Iterator<Item = &[f32]> {
    values.chunks_exact(columns.max(1))
}

#[inline(always)]
fn rows_mut(values: &mut [f32], columns: usize) -> impl Iterator<Item = &mut [f32]> {
    values.chunks_exact_mut(columns.max(1))
}

/// The softmax of a row, in place.
#[inline(always)]
fn softmax_row(row: &mut [f32]) {
    let max = row.iter().copied().fold(f32::NEG_INFINITY, |max, logit| if logit > max { logit } else { max });
    row.iter_mut().for_each(|logit| *logit = exp(*logit - max));
    let inverse = 1.0 / sum(row);
    row.iter_mut().for_each(|p| *p *= inverse);
}

/// The gradient of [`softmax_row`], `p (d - sum(d p))`, in place of `d`.
#[inline(always)]
fn softmax_row_backward(d: &mut [f32], probs: &[f32]) {
    let mean = dot(d, probs);
    d.iter_mut().zip(probs).for_each(|(d, p)| *d = p * (*d - mean));
}

wide! {
    /// The softmax of each row, in place.
    pub(super) fn softmax(logits: &mut [f32], columns: usize) {
        rows_mut(logits, columns).for_each(softmax_row);
    }

    /// The gradient of [`softmax`], in place of `d`.
    pub(super) fn softmax_backward(d: &mut [f32], probs: &[f32], columns: usize) {
        rows_mut(d, columns).zip(rows(probs, columns)).for_each(|(d, probs)| softmax_row_backward(d, probs));
    }

    /// The softmax of all columns but the last, and the sigmoid of the last plus `bias`, in place.
    pub(super) fn threshold_scores(logits: &mut [f32], columns: usize, bias: f32) {
        for row in rows_mut(logits, columns) {
            if let Some((threshold, gate)) = row.split_last_mut() {
                softmax_row(gate);
                *threshold = sigmoid(*threshold + bias);
            }
        }
    }

    /// The gradient of [`threshold_scores`], in place of `d`. Returns the gradient of the bias.
    pub(super) fn threshold_scores_backward(d: &mut [f32], scores: &[f32], columns: usize) -> f32 {
        let mut of_bias = 0.0;
        for (d, scores) in rows_mut(d, columns).zip(rows(scores, columns)) {
            if let (Some((d_threshold, d)), Some((share, probs))) = (d.split_last_mut(), scores.split_last()) {
                softmax_row_backward(d, probs);
                *d_threshold *= share * (1.0 - share);
                of_bias += *d_threshold;
            }
        }
        of_bias
    }

    /// `p_i - tau_max s`, for rows of the probabilities and s.
    pub(super) fn margins(scores: &[f32], columns: usize, tau_max: f32) -> Vec<f32> {
        let mut y = Vec::with_capacity(scores.len());
        for (share, probs) in rows(scores, columns).filter_map(|row| row.split_last()) {
            y.extend(probs.iter().map(|p| p - tau_max * share));
        }
        y
    }

    pub(super) fn margins_backward(d: &[f32], experts: usize, tau_max: f32) -> Vec<f32> {
        let mut of_scores = Vec::with_capacity(d.len() + d.len() / experts.max(1));
        for d in rows(d, experts) {
            of_scores.extend_from_slice(d);
            of_scores.push(-tau_max * sum(d));
        }
        of_scores
    }

    pub(super) fn normalised(scores: &[f32], selected: &[f32], columns: usize) -> Vec<f32> {
        let mut y = Vec::with_capacity(scores.len());
        for (scores, selected) in rows(scores, columns).zip(rows(selected, columns)) {
            let total = dot(scores, selected);
            let divisor = if total == 0.0 { 1.0 } else { total };
            y.extend(scores.iter().zip(selected).map(|(score, selected)| score * selected / divisor));
        }
        y
    }

    /// The gradient of [`normalised`], in place of `d`: with w the weights and D the divisor, `selected (d - sum(d w)) / D`.
    /// Where the sum is 0, D is the constant 1 and `sum(d w)` is left out.
    pub(super) fn normalised_backward(d: &mut [f32], scores: &[f32], selected: &[f32], columns: usize) {
        for ((d, scores), selected) in rows_mut(d, columns).zip(rows(scores, columns)).zip(rows(selected, columns)) {
            let total = dot(scores, selected);
            let (inverse, mean) = if total == 0.0 {
                (1.0, 0.0)
            } else {
                let products = d.iter().zip(scores).zip(selected).map(|((d, score), selected)| d * score * selected);
                (1.0 / total, products.sum::<f32>() / total)
            };
            d.iter_mut().zip(selected).for_each(|(d, selected)| *d = selected * (*d - mean) * inverse);
        }
    }

    pub(super) fn weighted_sum(values: &[f32], columns: usize, weights: &[f32]) -> Vec<f32> {
        let mut sums = vec![0.0; columns];
        for (row, weight) in rows(values, columns).zip(weights) {
            sums.iter_mut().zip(row).for_each(|(sum, value)| *sum += weight * value);
        }
        sums
    }

    pub(super) fn weighted_sum_backward(weights: &[f32], d: &[f32]) -> Vec<f32> {
        let mut of_values = Vec::with_capacity(weights.len() * d.len());
        for weight in weights {
            of_values.extend(d.iter().map(|d| weight * d));
        }
        of_values
    }
}

//! Cross-entropy and its gradient, row by row: a row of logits fits the cache.

use super::{elementwise::largest, exp::exp};
use crate::{team, wide::wide};

/// The losses of the rows. The gradients overwrite the logits.
pub(super) fn cross_entropy_gradient(logits: &mut [f32], vocabulary: usize, targets: &[usize]) -> Vec<f32> {
    let mut losses = vec![0.0; targets.len()];
    let rows = logits.chunks_exact_mut(vocabulary.max(1)).zip(targets).zip(&mut losses).collect();
    team::share(rows, |((row, &target), loss)| {
        let picked = row[target];
        let (max, sum) = exponentials(row);
        row[target] -= 1.0;
        *loss = sum.ln() + max - picked;
    });
    losses
}

wide! {
    /// Replaces a row by its softmax. Returns the maximum m and the sum of `exp(x - m)`.
    fn exponentials(row: &mut [f32]) -> (f32, f32) {
        let max = largest(row);
        // Lanes within pieces: one float32 sum over a whole vocabulary loses digits.
        let mut sum = 0.0_f64;
        for piece in row.chunks_mut(1024) {
            let mut lanes = [0.0_f32; 16];
            let (wide, rest) = piece.as_chunks_mut::<16>();
            for wide in wide {
                for (lane, value) in lanes.iter_mut().zip(wide) {
                    *value = exp(*value - max);
                    *lane += *value;
                }
            }
            for value in rest {
                *value = exp(*value - max);
                lanes[0] += *value;
            }
            sum += f64::from(lanes.iter().sum::<f32>());
        }
        let inverse = (1.0 / sum) as f32;
        row.iter_mut().for_each(|value| *value *= inverse);
        (max, sum as f32)
    }
}

//! Elementwise operations and normalisation.

use super::exp::exp;
use crate::{
    nodes::GateCurve,
    team::{joined, made, made_parts},
    wide::wide,
};

#[inline(always)]
pub(super) fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + exp(-x))
}

pub(super) fn gated(gate: &[f32], up: &[f32], curve: GateCurve) -> Vec<f32> {
    made(gate.len(), 1, |elements, y| {
        let (gate, up) = (&gate[elements.clone()], &up[elements]);
        match curve {
            GateCurve::Silu => gated_by(gate, up, silu_exponent, y),
            GateCurve::GeluTanh => gated_by(gate, up, gelu_exponent, y),
        }
    })
}

/// The gradients of `gate` and `up`.
pub(super) fn gated_backward(gate: &[f32], up: &[f32], curve: GateCurve, d: &[f32]) -> (Vec<f32>, Vec<f32>) {
    // Both gradients side by side.
    let parts = made_parts(gate.len(), 1, |elements| {
        let [gate, up, d] = [gate, up, d].map(|values| &values[elements.clone()]);
        match curve {
            GateCurve::Silu => gated_by_backward(gate, up, d, silu_exponent),
            GateCurve::GeluTanh => gated_by_backward(gate, up, d, gelu_exponent),
        }
    });
    let (of_gate, of_up): (Vec<_>, Vec<_>) = parts.into_iter().unzip();
    (joined(of_gate), joined(of_up))
}

/// The argument of the sigmoid in SiLU, and its derivative.
#[inline(always)]
fn silu_exponent(g: f32) -> (f32, f32) {
    (g, 1.0)
}

/// The argument of the sigmoid in GELU, and its derivative: `(1 + tanh(u)) / 2` is `sigmoid(2 u)`.
#[inline(always)]
fn gelu_exponent(g: f32) -> (f32, f32) {
    const SCALE: f32 = std::f32::consts::FRAC_2_SQRT_PI * std::f32::consts::SQRT_2;
    const CUBIC: f32 = 0.044715;
    (SCALE * (g + CUBIC * g * g * g), SCALE * (1.0 + 3.0 * CUBIC * g * g))
}

/// Elements that are computed before they are appended.
const BLOCK: usize = 512;

wide! {
    fn gated_by(gate: &[f32], up: &[f32], exponent: impl Fn(f32) -> (f32, f32), y: &mut Vec<f32>) {
        // `extend` by an iterator would be a function of its own, compiled for every processor.
        let mut block = [0.0; BLOCK];
        for (gate, up) in gate.chunks(BLOCK).zip(up.chunks(BLOCK)) {
            let block = &mut block[..gate.len()];
            for (y, (g, u)) in block.iter_mut().zip(gate.iter().zip(up)) {
                *y = g * sigmoid(exponent(*g).0) * u;
            }
            y.extend_from_slice(block);
        }
    }

    fn gated_by_backward(
        gate: &[f32], up: &[f32], d: &[f32], exponent: impl Fn(f32) -> (f32, f32),
    ) -> (Vec<f32>, Vec<f32>) {
        let (mut of_gate, mut of_up) = (vec![0.0; gate.len()], vec![0.0; gate.len()]);
        let inputs = gate.iter().zip(up).zip(d);
        for ((of_gate, of_up), ((g, u), d)) in of_gate.iter_mut().zip(&mut of_up).zip(inputs) {
            let (exponent, slope) = exponent(*g);
            let sigmoid = sigmoid(exponent);
            *of_up = d * g * sigmoid;
            *of_gate = d * u * sigmoid * (1.0 + g * slope * (1.0 - sigmoid));
        }
        (of_gate, of_up)
    }

    /// Groups of values, each multiplied by its weight and the scale.
    pub(super) fn weighted(values: &[f32], weights: &[f32], scale: f32) -> Vec<f32> {
        let size = values.len() / weights.len().max(1);
        let mut y = Vec::with_capacity(values.len());
        for (group, weight) in values.chunks_exact(size.max(1)).zip(weights) {
            let factor = weight * scale;
            y.extend(group.iter().map(|value| value * factor));
        }
        y
    }

    /// The dot products of corresponding groups, times the scale.
    pub(super) fn grouped_dots(left: &[f32], right: &[f32], groups: usize, scale: f32) -> Vec<f32> {
        let size = (left.len() / groups.max(1)).max(1);
        let pairs = left.chunks_exact(size).zip(right.chunks_exact(size));
        pairs.map(|(left, right)| scale * left.iter().zip(right).map(|(l, r)| l * r).sum::<f32>()).collect()
    }
}

/// A sum in sixteen lanes, which do not depend on one another. The order is fixed.
#[inline(always)]
pub(super) fn sum(values: &[f32]) -> f32 {
    let mut lanes = [0.0_f32; 16];
    let (values, rest) = values.as_chunks::<16>();
    for values in values {
        lanes.iter_mut().zip(values).for_each(|(lane, value)| *lane += value);
    }
    lanes.iter_mut().zip(rest).for_each(|(lane, value)| *lane += value);
    lanes.iter().sum()
}

/// The largest of the values, and minus infinity without any; NaN is passed over.
#[inline(always)]
pub(super) fn largest(values: &[f32]) -> f32 {
    let larger = |lane: f32, value: f32| if value > lane { value } else { lane };
    let mut lanes = [f32::NEG_INFINITY; 16];
    let (values, rest) = values.as_chunks::<16>();
    for values in values {
        lanes.iter_mut().zip(values).for_each(|(lane, value)| *lane = larger(*lane, *value));
    }
    lanes.iter().chain(rest).copied().fold(f32::NEG_INFINITY, larger)
}

#[inline(always)]
pub(super) fn dot(left: &[f32], right: &[f32]) -> f32 {
    let mut lanes = [0.0_f32; 16];
    let (left, left_rest) = left.as_chunks::<16>();
    let (right, right_rest) = right.as_chunks::<16>();
    for (left, right) in left.iter().zip(right) {
        for ((lane, left), right) in lanes.iter_mut().zip(left).zip(right) {
            *lane += left * right;
        }
    }
    lanes.iter().sum::<f32>() + left_rest.iter().zip(right_rest).map(|(left, right)| left * right).sum::<f32>()
}

#[inline(always)]
fn inverse_root(row: &[f32], eps: f32) -> f32 {
    1.0 / (dot(row, row) / row.len() as f32 + eps).sqrt()
}

pub(super) fn rms_norm(x: &[f32], weight: &[f32], eps: f32) -> Vec<f32> {
    made(x.len(), weight.len().max(1), |elements, y| normalise(&x[elements], weight, eps, y))
}

/// The gradient of [`rms_norm`]: with r the inverse root, `dx = r w d - x r^3 mean(w d x)`.
pub(super) fn rms_norm_backward(x: &[f32], weight: &[f32], eps: f32, d: &[f32]) -> Vec<f32> {
    made(x.len(), weight.len().max(1), |elements, of_x| {
        normalise_backward(&x[elements.clone()], weight, eps, &d[elements], of_x);
    })
}

wide! {
    fn normalise(x: &[f32], weight: &[f32], eps: f32, y: &mut Vec<f32>) {
        for row in x.chunks_exact(weight.len().max(1)) {
            let inverse = inverse_root(row, eps);
            y.extend(row.iter().zip(weight).map(|(x, w)| x * inverse * w));
        }
    }

    fn normalise_backward(x: &[f32], weight: &[f32], eps: f32, d: &[f32], of_x: &mut Vec<f32>) {
        let width = weight.len().max(1);
        let mut weighted = vec![0.0; weight.len()];
        for (row, d) in x.chunks_exact(width).zip(d.chunks_exact(width)) {
            let inverse = inverse_root(row, eps);
            weighted.iter_mut().zip(d).zip(weight).for_each(|((weighted, d), w)| *weighted = d * w);
            let along = dot(&weighted, row) * inverse * inverse * inverse / width as f32;
            of_x.extend(row.iter().zip(&weighted).map(|(x, weighted)| weighted * inverse - x * along));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lanes_add_up() {
        let values: Vec<f32> = (0..37).map(|i| i as f32).collect();
        assert_eq!(sum(&values), 666.0);
        assert_eq!(dot(&values, &[2.0; 37]), 1332.0);
        assert_eq!((largest(&values), largest(&values[..7]), largest(&[])), (36.0, 6.0, f32::NEG_INFINITY));
    }
}

//! The auxiliary loss that keeps experts in use.

use burn::tensor::Tensor;

/// `L = N * sum_i f_i P_i` over the rows that count (Fedus et al. 2022, as the AdaMoLE authors apply it).
///
/// - `selected_count` `[1, N]`: rows that selected expert i; no gradient;
/// - `balance_sum` `[1, N]`: the sum over rows of the gate's score, which is the probability p, and `p - tau`
///   (unmasked, so possibly negative) for AdaMoLE;
/// - `rows`: the number of rows summed over.
///
/// Uniform routing to k experts gives k, since f is not divided by k. Returns a tensor of one element.
pub fn load_balancing_loss(selected_count: Tensor<2>, balance_sum: Tensor<2>, rows: f32) -> Tensor<1> {
    let num_experts = selected_count.dims()[1] as f32;
    (selected_count * balance_sum).sum() * (num_experts / (rows * rows))
}

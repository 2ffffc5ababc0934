//! Operations on the routing of a layer as a whole.

use burn::tensor::Tensor;

#[cfg(feature = "kernels")]
use {
    crate::{nodes::Kernels, operations::is_fused},
    burn::backend::Dispatch,
};

/// Routing by a threshold that is learned for each of T rows, over N experts.
#[derive(Debug, Clone)]
pub struct AdaptiveRouting {
    /// The probabilities p, and the threshold's share of its range in the last column, `[T, N + 1]`; no gradient.
    pub scores: Tensor<2>,
    /// `p - tau`, `[T, N]`.
    pub margins: Tensor<2>,
    /// 1 where the margin is at least 0, else 0, `[T, N]`; no gradient.
    pub active: Tensor<2>,
    /// The margins of the active experts over their sum, `[T, N]`; see [`normalised`](crate::normalised).
    pub weights: Tensor<2>,
    /// tau, `[T, 1]`; no gradient.
    pub thresholds: Tensor<2>,
}

/// Routes by `logits` `[T, N + 1]`: p is the softmax of the first N, and `tau = tau_max sigmoid(l + bias)` with l the last.
///
/// Gradients reach the logits and the bias, `[1]`.
pub fn adaptive_routing(logits: Tensor<2>, bias: Tensor<1>, tau_max: f32) -> AdaptiveRouting {
    #[cfg(feature = "kernels")]
    if is_fused(&logits) {
        let (scores, margins, active, weights, thresholds) =
            Dispatch::adaptive_routing(logits.into_dispatch(), bias.into_dispatch(), tau_max);
        let [scores, margins, active, weights, thresholds] =
            [scores, margins, active, weights, thresholds].map(Tensor::from_dispatch);
        return AdaptiveRouting { scores, margins, active, weights, thresholds };
    }
    composed::adaptive_routing(logits, bias, tau_max)
}

/// What the tokens of a layer add up to.
#[derive(Debug, Clone)]
pub struct LoadBalance {
    /// `factor sum_i f_i P_i`, one element, with f the sums of the requests and P those of the scores.
    pub loss: Tensor<1>,
    /// Tokens that activated each expert, `[1, N]`; no gradient.
    pub active_tokens: Tensor<2>,
    /// The sum of the thresholds, `[1, 1]`; no gradient.
    pub threshold_sum: Option<Tensor<2>>,
}

/// Adds up `requested`, `scores` and `active`, `[T, N]`, and `thresholds`, `[T, 1]`: over all rows, or with a `mask` `[T, 1]` over
/// those where it is 1.
///
/// The gradient of the loss reaches the scores.
pub fn load_balance(
    requested: Tensor<2>,
    scores: Tensor<2>,
    active: Tensor<2>,
    thresholds: Option<Tensor<2>>,
    mask: Option<Tensor<2>>,
    factor: f32,
) -> LoadBalance {
    #[cfg(feature = "cube")]
    {
        use crate::{gpu, operations::is_cube};
        if is_fused(&scores) && is_cube(&scores.device()) && scores.dims()[1] <= gpu::MOST_EXPERTS {
            let of = gpu::Balance { factor, has_thresholds: thresholds.is_some(), has_mask: mask.is_some() };
            let [thresholds, mask] = [thresholds, mask].map(|it| it.unwrap_or_else(|| active.clone()));
            let tensors = [requested, scores, active, thresholds, mask].map(Tensor::into_dispatch);
            let [loss, active_tokens, sum] = gpu::load_balance(tensors, of);
            let threshold_sum = of.has_thresholds.then(|| Tensor::from_dispatch(sum));
            let active_tokens = Tensor::from_dispatch(active_tokens);
            return LoadBalance { loss: Tensor::from_dispatch(loss), active_tokens, threshold_sum };
        }
    }
    composed::load_balance(requested, scores, active, thresholds, mask, factor)
}

pub(crate) mod composed {
    use super::{AdaptiveRouting, LoadBalance};
    use crate::{composed::normalised, weighted_sum};
    use burn::tensor::{
        Tensor,
        activation::{sigmoid, softmax},
    };

    /// See [`adaptive_routing`](crate::adaptive_routing).
    pub fn adaptive_routing(logits: Tensor<2>, bias: Tensor<1>, tau_max: f32) -> AdaptiveRouting {
        let experts = logits.dims()[1] - 1;
        let probabilities = softmax(logits.clone().narrow(1, 0, experts), 1);
        let shares = sigmoid(logits.narrow(1, experts, 1) + bias.unsqueeze::<2>());
        let thresholds = shares.clone() * tau_max;
        let margins = probabilities.clone() - thresholds.clone();
        // Not relu: at a margin of exactly 0 an expert counts as active and its gradient flows.
        let active = margins.clone().detach().greater_equal_scalar(0.0).float();
        AdaptiveRouting {
            scores: Tensor::cat(vec![probabilities, shares], 1).detach(),
            weights: normalised(margins.clone(), active.clone()),
            margins,
            active,
            thresholds: thresholds.detach(),
        }
    }

    /// See [`load_balance`](crate::load_balance).
    pub fn load_balance(
        requested: Tensor<2>,
        scores: Tensor<2>,
        active: Tensor<2>,
        thresholds: Option<Tensor<2>>,
        mask: Option<Tensor<2>>,
        factor: f32,
    ) -> LoadBalance {
        let sum = |values: Tensor<2>| match &mask {
            None => values.sum_dim(0),
            Some(mask) => weighted_sum(values, mask.clone()),
        };
        LoadBalance {
            loss: (sum(requested) * sum(scores)).sum() * factor,
            active_tokens: sum(active).detach(),
            threshold_sum: thresholds.map(|thresholds| sum(thresholds).detach()),
        }
    }
}

//! The load balancing loss as a node of the autodiff graph, of GPUs alone: the CPU composes it.

use super::{Float, kernels::CubeKernels};
use burn::{
    backend::{
        Autodiff, AutodiffBackend, Backend, Dispatch, TensorMetadata,
        autodiff::{
            checkpoint::{base::Checkpointer, strategy::CheckpointStrategy},
            grads::Gradients,
            ops::{Backward, Ops, OpsKind},
        },
        backend_extension,
        tensor::FloatTensor,
    },
    tensor::Shape,
};
use burn_cubecl::Cube;

/// What [`LoadBalancing::balance`] is told beside tensors.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Balance {
    /// Of the loss.
    pub(crate) factor: f32,
    /// Without them, any tensor stands for the thresholds.
    pub(crate) has_thresholds: bool,
    /// Without one, any tensor stands for the mask.
    pub(crate) has_mask: bool,
}

#[backend_extension(Cube, Autodiff)]
pub(crate) trait LoadBalancing: Backend {
    /// The loss `[1]`, its slopes in the scores `[1, N]`, the active tokens `[1, N]` and the sum of the thresholds `[1, 1]`; the
    /// gradient of the loss reaches the scores.
    fn balance(
        requested: FloatTensor<Self>,
        scores: FloatTensor<Self>,
        active: FloatTensor<Self>,
        thresholds: FloatTensor<Self>,
        mask: FloatTensor<Self>,
        of: Balance,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>);
}

impl LoadBalancing for Cube {
    fn balance(
        requested: Float,
        scores: Float,
        active: Float,
        thresholds: Float,
        mask: Float,
        of: Balance,
    ) -> (Float, Float, Float, Float) {
        Self::cube_balance(requested, scores, active, thresholds, mask, of)
    }
}

/// The slopes, and the mask if there is one.
#[derive(Debug)]
struct Loss {
    rows: usize,
}

impl<B: Backend> Backward<B, 1> for Loss {
    type State = (FloatTensor<B>, Option<FloatTensor<B>>);

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
        let d = grads.consume::<B>(&ops.node);
        let ([parent], (slopes, mask)) = (ops.parents, ops.state);
        let [_, experts] = slopes.shape().dims();
        let of_row = B::float_mul(slopes, B::float_reshape(d, Shape::from([1, 1])));
        let gradient = match mask {
            Some(mask) => B::float_mul(mask, of_row),
            None => B::float_expand(of_row, Shape::from([self.rows, experts])),
        };
        if let Some(parent) = parent {
            grads.register::<B>(parent.id, gradient);
        }
    }
}

impl<B: LoadBalancing, C: CheckpointStrategy> LoadBalancing for Autodiff<B, C> {
    fn balance(
        requested: FloatTensor<Self>,
        scores: FloatTensor<Self>,
        active: FloatTensor<Self>,
        thresholds: FloatTensor<Self>,
        mask: FloatTensor<Self>,
        of: Balance,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        let of_scores = scores.node();
        let tensors = [requested, scores, active, thresholds, mask];
        let [requested, scores, active, thresholds, mask] = tensors.map(|t| t.into_primitive());
        let [rows, _] = scores.shape().dims();
        let kept = of.has_mask.then(|| mask.clone());
        let (loss, slopes, active_tokens, sum) = B::balance(requested, scores, active, thresholds, mask, of);
        let loss = match (Loss { rows }).prepare::<C>([of_scores]).compute_bound().stateful() {
            OpsKind::Tracked(prep) => prep.finish((slopes.clone(), kept), loss),
            OpsKind::UnTracked(prep) => prep.finish(loss),
        };
        let [slopes, active_tokens, sum] = [slopes, active_tokens, sum].map(Self::from_inner);
        (loss, slopes, active_tokens, sum)
    }
}

/// [`LoadBalancing::balance`] without the slopes.
pub(crate) fn load_balance(tensors: [FloatTensor<Dispatch>; 5], of: Balance) -> [FloatTensor<Dispatch>; 3] {
    let [requested, scores, active, thresholds, mask] = tensors;
    let (loss, _, active_tokens, sum) = Dispatch::balance(requested, scores, active, thresholds, mask, of);
    [loss, active_tokens, sum]
}

//! The gradients of all ranks together.
//!
//! Each rank owns a part of the elements: it gets that part of everyone's nodes, adds them over the tree, and sends the sum to
//! all. With one node a rank, each sends and receives `2 (R - 1) / R` times the gradients: the least that R ranks can do with.

use crate::{
    RankError, Ranks,
    sum_tree::{Place, SumTree},
};
use adamole_llama::{CausalLm, ParameterKind, ParameterVisitor};
use burn::{
    module::Param,
    optim::GradientsParams,
    tensor::{Device, Tensor, TensorData},
};
use std::ops::Range;

/// Which parameters have gradients, in the order in which the model shows its adapters' parameters.
pub(crate) fn present(model: &CausalLm, gradients: &[(Place, GradientsParams)]) -> Vec<bool> {
    struct Present<'a>(&'a [(Place, GradientsParams)], Vec<bool>);
    impl ParameterVisitor for Present<'_> {
        fn visit<const D: usize>(&mut self, _name: String, kind: ParameterKind, param: &Param<Tensor<D>>) {
            if kind == ParameterKind::Adapter {
                self.1.push(self.0.iter().any(|(_, gradients)| gradients.get::<D>(param.id).is_some()));
            }
        }
    }
    let mut present = Present(gradients, Vec::new());
    model.visit_parameters(&mut present);
    present.1
}

/// The sum of the gradients of all ranks, of which each has a run of leaves (`runs`) and has brought its `nodes`. Of the model's
/// parameters those that are `present` have gradients somewhere.
pub(crate) fn sum(
    ranks: &dyn Ranks,
    (model, device): (&CausalLm, &Device),
    nodes: Vec<(Place, GradientsParams)>,
    runs: &[Range<usize>],
    present: &[bool],
    stop: &dyn Fn() -> bool,
) -> Result<GradientsParams, RankError> {
    let flat: Vec<Vec<f32>> = nodes.into_iter().map(|(_, gradients)| flat(model, gradients, present)).collect();
    let elements = elements(model, present);
    let share = |rank: usize| rank * elements / ranks.count()..(rank + 1) * elements / ranks.count();
    let part = |rank: usize| {
        let slices = flat.iter().flat_map(|values| bytemuck::cast_slice::<f32, u8>(&values[share(rank)]));
        slices.copied().collect()
    };
    let received = ranks.exchange((0..ranks.count()).map(part).collect(), stop)?;
    drop(flat);

    let mut tree = SumTree::new();
    for (rank, (bytes, run)) in received.into_iter().zip(runs).enumerate() {
        let (places, length) = (Place::of(run.clone()), share(ranks.rank()).len());
        let values = floats(rank, &bytes, places.len() * length)?;
        for (node, place) in places.into_iter().enumerate() {
            tree.push(place, values[node * length..(node + 1) * length].to_vec(), add);
        }
    }
    let mine = tree.sum(add).unwrap_or_default();
    let summed = ranks.exchange(vec![bytemuck::cast_slice(&mine).to_vec(); ranks.count()], stop)?;
    let mut whole = Vec::with_capacity(elements);
    for (rank, bytes) in summed.into_iter().enumerate() {
        whole.extend(floats(rank, &bytes, share(rank).len())?);
    }
    Ok(placed(model, whole, present, device))
}

fn add(mut left: Vec<f32>, right: Vec<f32>) -> Vec<f32> {
    left.iter_mut().zip(&right).for_each(|(left, right)| *left += right);
    left
}

fn floats(rank: usize, bytes: &[u8], expected: usize) -> Result<Vec<f32>, RankError> {
    match bytes.len() == 4 * expected {
        true => Ok(bytemuck::pod_collect_to_vec(bytes)),
        false => {
            let what = format!("{} bytes of gradients instead of {}", bytes.len(), 4 * expected);
            Err(RankError::Unexpected { rank, what })
        }
    }
}

fn elements(model: &CausalLm, present: &[bool]) -> usize {
    let adapters = model.parameters().into_iter().filter(|parameter| parameter.kind == ParameterKind::Adapter);
    adapters.zip(present).filter(|(_, present)| **present).map(|(parameter, _)| parameter.elements).sum()
}

/// The gradients of the parameters that are `present`, one after the other; zeros where these have none.
fn flat(model: &CausalLm, gradients: GradientsParams, present: &[bool]) -> Vec<f32> {
    struct Flat<'a>(GradientsParams, std::slice::Iter<'a, bool>, Vec<f32>);
    impl ParameterVisitor for Flat<'_> {
        fn visit<const D: usize>(&mut self, _name: String, kind: ParameterKind, param: &Param<Tensor<D>>) {
            if kind != ParameterKind::Adapter || !self.1.next().copied().unwrap_or(false) {
                return;
            }
            let data = self.0.remove::<D>(param.id).map(Tensor::into_data);
            match data.as_ref().map(TensorData::as_slice::<f32>) {
                Some(Ok(values)) => self.2.extend(values),
                _ => self.2.resize(self.2.len() + param.shape().num_elements(), 0.0),
            }
        }
    }
    let mut flat = Flat(gradients, present.iter(), Vec::new());
    model.visit_parameters(&mut flat);
    flat.2
}

/// The inverse of [`flat`].
fn placed(model: &CausalLm, values: Vec<f32>, present: &[bool], device: &Device) -> GradientsParams {
    struct Placed<'a>(std::vec::IntoIter<f32>, std::slice::Iter<'a, bool>, GradientsParams, &'a Device);
    impl ParameterVisitor for Placed<'_> {
        fn visit<const D: usize>(&mut self, _name: String, kind: ParameterKind, param: &Param<Tensor<D>>) {
            if kind == ParameterKind::Adapter && self.1.next().copied().unwrap_or(false) {
                let shape = param.shape();
                let values: Vec<f32> = self.0.by_ref().take(shape.num_elements()).collect();
                self.2.register(param.id, Tensor::<D>::from_data(TensorData::new(values, shape), self.3));
            }
        }
    }
    let mut placed = Placed(values.into_iter(), present.iter(), GradientsParams::new(), device);
    model.visit_parameters(&mut placed);
    placed.2
}

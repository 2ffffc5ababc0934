//! The steps that each expert of each parameter has taken: Adam corrects the bias of its moments by them.

use crate::unread_routing::ActiveTokens;
use adamole_llama::{CausalLm, Parameter, ParameterKind, ParameterVisitor};
use burn::{
    module::{Param, ParamId},
    optim::GradientsParams,
    tensor::{Int, Tensor},
};
use std::{
    collections::{HashMap, HashSet},
    ops::Range,
};

/// Where the counts of a parameter's experts are. The parameter is seen as `[outer, experts, inner]`; one without experts, or
/// whose router does not skip inactive ones, as one expert.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place {
    pub(crate) first: usize,
    pub(crate) outer: usize,
    pub(crate) experts: usize,
    /// The layer, of those that are routed, whose active tokens decide which experts move; `None` where all do.
    layer: Option<usize>,
}

impl Place {
    pub(crate) fn counts(&self) -> Range<usize> {
        self.first..self.first + self.experts
    }
}

/// The places of all parameters, in the order in which the model shows them.
pub(crate) struct Places {
    of: HashMap<ParamId, Place>,
    count: usize,
}

impl Places {
    pub(crate) fn of(model: &CausalLm) -> Self {
        let mut of = HashMap::new();
        for (layer, (_, adapter, _)) in
            model.routed().into_iter().enumerate().filter(|(_, routed)| routed.2.skips_inactive_experts())
        {
            for (spec, value) in adapter.parameters() {
                if let Some((experts, dim)) = spec.experts {
                    let outer = spec.shape[..dim].iter().product();
                    of.insert(value.id(), Place { first: 0, outer, experts, layer: Some(layer) });
                }
            }
        }
        let (mut count, mut placed) = (0, HashSet::new());
        for Parameter { id, .. } in model.parameters() {
            let place = of.entry(id).or_insert(Place { first: 0, outer: 1, experts: 1, layer: None });
            if placed.insert(id) {
                place.first = count;
                count += place.experts;
            }
        }
        Self { of, count }
    }

    pub(crate) fn get(&self, id: ParamId) -> Option<Place> {
        self.of.get(&id).copied()
    }

    /// How many counts there are.
    pub(crate) fn count(&self) -> usize {
        self.count
    }

    /// Which experts move in a step, one or zero for each count, `[count]`: none without a gradient, and none at all where `clip`
    /// is not a number.
    pub(crate) fn moves(
        &self,
        model: &CausalLm,
        gradients: &GradientsParams,
        active: ActiveTokens,
        clip: &Tensor<1>,
    ) -> Tensor<1> {
        let device = clip.device();
        let deciders = self.deciders(present(model, gradients), &active.layers);
        let choices = [Some(Tensor::from_floats([0.0, 1.0], &device)), active.tokens];
        let choices = Tensor::cat(choices.into_iter().flatten().collect(), 0);
        let decided = choices.select(0, Tensor::<1, Int>::from_ints(deciders.as_slice(), &device)).greater_elem(0.0);
        decided.bool_and(clip.clone().is_finite().expand([self.count])).float()
    }

    /// For each count an index: 0 for an expert that rests, 1 for one that moves, and from 2 on the experts of the routed layers.
    fn deciders(&self, present: Vec<ParamId>, layers: &[usize]) -> Vec<i32> {
        let mut deciders = vec![0; self.count];
        for place in present.into_iter().filter_map(|id| self.get(id)) {
            let first = place.layer.map(|layer| 2 + layers.iter().take(layer).sum::<usize>());
            for (expert, decider) in deciders[place.counts()].iter_mut().enumerate() {
                *decider = first.map_or(1, |first| (first + expert) as i32);
            }
        }
        deciders
    }
}

/// The parameters that have gradients.
fn present(model: &CausalLm, gradients: &GradientsParams) -> Vec<ParamId> {
    struct Present<'a>(&'a GradientsParams, Vec<ParamId>);
    impl ParameterVisitor for Present<'_> {
        fn visit<const D: usize>(&mut self, _name: String, _kind: ParameterKind, param: &Param<Tensor<D>>) {
            self.1.extend(self.0.get::<D>(param.id).map(|_| param.id));
        }
    }
    let mut present = Present(gradients, Vec::new());
    model.visit_parameters(&mut present);
    present.1
}

//! Frozen base weights get no gradient; every adapter parameter does.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use adamole::{
    core::{ForwardContext, RoutingDetail},
    llama::{Parameter, ParameterKind, TokenBatch, frozen_cross_entropy, load_adapter, load_base},
};
use adamole_tests::{device, golden};
use burn::{
    optim::GradientsParams,
    tensor::{Int, Tensor},
};

#[test]
fn only_adapters_get_gradients() {
    let device = device().autodiff();
    for case in ["llama_gqa__ada_1", "llama_gqa__lora"] {
        let mut model = load_base(&golden("bases/llama_gqa_s11"), &device).unwrap();
        load_adapter(&mut model, &golden(case)).unwrap();
        let ids = Tensor::<2, Int>::from_data([[1, 5, 9, 33, 70, 2]], &device);
        let targets = Tensor::<1, Int>::from_data([5, 9, 33, 70, 2, 4], &device);
        let mut context = ForwardContext::evaluation().recording(RoutingDetail::Counts);
        let hidden = model.hidden(&TokenBatch::causal(ids), &mut context);
        let mut loss = frozen_cross_entropy(hidden, model.projection(), None, targets, 6.0);
        if let Some(balance) = context.auxiliary_loss() {
            loss = loss + balance;
        }
        let gradients = GradientsParams::from_grads(loss.backward(), &model);

        let adapters = model.parameters().into_iter().filter(|it| it.kind == ParameterKind::Adapter);
        assert_eq!(gradients.len(), adapters.clone().count(), "{case}: as many gradients as adapter parameters");
        for Parameter { name, id, .. } in adapters {
            let largest = |gradient: Tensor<1>| gradient.abs().max().into_scalar::<f32>();
            let found = match name.ends_with("bias") {
                true => gradients.get::<1>(id).map(largest),
                false => gradients.get::<2>(id).map(|g| largest(g.flatten(0, 1))),
            };
            let found = found.is_some_and(|largest| largest > 0.0);
            assert!(found, "{case}: {name} has no gradient");
        }
    }
}

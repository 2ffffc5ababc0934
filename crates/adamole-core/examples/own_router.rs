//! A router of one's own in a Burn module: all experts act, with sharpened probabilities.
//!
//! That is all that a module needs. A method that settings, adapter folders and the program know by name is in
//! `crates/adamole/examples/own_method.rs`.
//!
//! `cargo run --release --example own_router` in `crates/adamole-core`.

use adamole_core::{
    AdaptedLinear, AdapterConfig, ForwardContext, Routed, RoutingDetail, SettingError,
    router::{Router, RouterInput, Routing},
};
use burn::{
    nn::LinearConfig,
    optim::{GradientsParams, SgdConfig},
    tensor::{Device, Distribution, Tensor},
};

/// Weights proportional to `p^power`, where p are the gate's probabilities.
#[derive(Debug, Clone, Copy)]
struct Sharpened {
    power: f32,
}

impl Router for Sharpened {
    fn route(&self, input: &RouterInput<'_>) -> Routing {
        // [T, N]: a row for each token, a column for each expert.
        let scores = input.scores();
        let sharpened = scores.probabilities().powf_scalar(self.power);
        let weights = sharpened.clone() / sharpened.sum_dim(1);
        // What is not said here is that of a router whose experts are all active.
        Routing { weights, ..Routing::of_all(scores) }
    }
    // `auxiliary_loss`, `feedback`, `gate_dropout`, .. have defaults.
}

fn main() -> Result<(), SettingError> {
    let device = Device::default().autodiff();
    device.seed(0);
    let mut layer = AdaptedLinear::from(LinearConfig::new(6, 5).init(&device));
    let method = Routed::new(/* experts */ 4, Sharpened { power: 2.0 })?;
    layer.adapt(AdapterConfig::new(method, /* rank */ 2, /* alpha */ 4.0, /* dropout */ 0.0)?, &[0]);

    let x = Tensor::<2>::random([64, 6], Distribution::Normal(0.0, 1.0), &device);
    let target = x.clone().abs().narrow(1, 0, 5);
    let mut optimizer = SgdConfig::new().init();
    let mut losses = Vec::new();
    for _ in 0..200 {
        let loss = (layer.forward(x.clone(), &mut ForwardContext::evaluation()) - target.clone()).square().mean();
        losses.push(loss.clone().into_scalar::<f32>());
        let gradients = GradientsParams::from_grads(loss.backward(), &layer);
        layer = optimizer.step(0.2, layer, gradients);
    }
    let (first, last) = (losses[0], losses[losses.len() - 1]);
    assert!(last < 0.7 * first, "the experts and their gate learn: {first} to {last}");

    // What the router decided, for every token.
    let mut context = ForwardContext::evaluation().recording(RoutingDetail::Rows);
    layer.forward(x.narrow(0, 0, 4), &mut context);
    for decision in context.into_layers().into_iter().filter_map(|layer| layer.decision) {
        eprintln!("loss {first:.3} to {last:.3}; weights of four tokens:\n{}", decision.weights.into_data());
    }
    Ok(())
}

//! Adapters in a Burn model of one's own: its linears become adapted ones, an optimizer of Burn trains them, and a file
//! holds them without the model.
//!
//! `cargo run --release --example burn_model --features store` in `crates/adamole-core`.

use adamole_core::{
    AdaMole, AdaptedLinear, AdapterConfig, ForwardContext, RoutingDetail, load_adapters, save_adapters,
};
use burn::{
    module::{Initializer, Module},
    nn::{Linear, LinearConfig},
    optim::{AdamWConfig, GradientsParams},
    tensor::{Device, Distribution, Tensor, activation::tanh},
};
use std::error::Error;

/// What there was before: a model of ordinary linears, trained on something else.
#[derive(Module, Debug)]
struct Pretrained {
    up: Linear,
    down: Linear,
}

/// The same model with adapted linears. The other modules of a model stay what they are.
#[derive(Module, Debug)]
struct Adapted {
    up: AdaptedLinear,
    down: AdaptedLinear,
}

impl Adapted {
    /// The weights of the linears are frozen from here on: no gradient is computed or stored for them.
    fn new(model: Pretrained, config: &AdapterConfig) -> Self {
        let mut adapted = Self { up: model.up.into(), down: model.down.into() };
        // The seeds say where the experts start.
        adapted.up.adapt(config.clone(), &[0, 0]);
        adapted.down.adapt(config.clone(), &[0, 1]);
        adapted
    }

    /// `[B, T, 8]` to `[B, T, 1]`. The context is the only change to a forward pass.
    fn forward(&self, x: Tensor<3>, context: &mut ForwardContext) -> Tensor<3> {
        let hidden = tanh(self.up.forward_batch(x, context));
        self.down.forward_batch(hidden, context)
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let device = Device::default().autodiff();
    device.seed(0);
    let linear = |d_in, d_out| {
        let initializer = Initializer::Normal { mean: 0.0, std: 0.3 };
        LinearConfig::new(d_in, d_out).with_bias(false).with_initializer(initializer).init(&device)
    };
    let pretrained = Pretrained { up: linear(8, 32), down: linear(32, 1) };

    // Four experts of rank 2, of which a learned threshold chooses some for every token.
    let config = AdapterConfig::new(AdaMole { num_experts: 4.try_into()?, tau_max: None }, 2, 4.0, 0.0)?;
    let mut model = Adapted::new(pretrained.clone(), &config);
    let mut optimizer = AdamWConfig::new().init();

    let x = Tensor::<3>::random([16, 16, 8], Distribution::Uniform(-1.0, 1.0), &device);
    let target = x.clone().narrow(2, 0, 1) * x.clone().narrow(2, 1, 1);
    let (mut first, mut last) = (None, 0.0);
    for step in 1..=300 {
        // Dropout goes in with the context (`ForwardContext::training`), and the auxiliary loss comes out.
        let mut context = ForwardContext::evaluation().recording(RoutingDetail::Counts);
        let error = (model.forward(x.clone(), &mut context) - target.clone()).square().mean();
        last = error.clone().into_scalar::<f32>();
        first.get_or_insert(last);
        let balance = context.auxiliary_loss().ok_or("two routed layers")?;
        let gradients = GradientsParams::from_grads((error + balance * 1e-3).backward(), &model);
        model = optimizer.step(1e-2, model, gradients);
        if step % 100 == 0 {
            let active = context.into_layers().into_iter().map(|layer| layer.active_tokens.into_data().to_string());
            eprintln!("step {step}: error {last:.4}, tokens per expert {}", active.collect::<Vec<_>>().join(" "));
        }
    }
    assert!(last < 0.3 * first.unwrap_or(0.0), "the experts learn: {first:?} to {last}");

    // Ten small tensors; a module that has no adapters, or others, is refused by name.
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("adapters.safetensors");
    save_adapters(&model, &path)?;
    let mut other = Adapted::new(pretrained, &config);
    load_adapters(&mut other, &path)?;
    let error = (other.forward(x, &mut ForwardContext::evaluation()) - target).square().mean().into_scalar::<f32>();
    eprintln!("loaded into a fresh copy of the model: error {error:.4}");
    assert!((error - last).abs() < 0.01, "{error} after the last step, {last} before it");
    Ok(())
}

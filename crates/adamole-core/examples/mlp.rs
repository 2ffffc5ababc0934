//! A frozen perceptron of one's own, adapted to another target by AdaMoLE experts on its two linears.

use adamole_core::{AdaMole, AdaptedLinear, AdapterConfig, ForwardContext, RoutingDetail, SettingError};
use burn::{
    module::Module,
    optim::{AdamWConfig, GradientsParams},
    tensor::{Device, Distribution, Tensor, activation::tanh},
};

#[derive(Module, Debug)]
struct Mlp {
    up: AdaptedLinear,
    down: AdaptedLinear,
}

impl Mlp {
    fn forward(&self, x: Tensor<2>, context: &mut ForwardContext) -> Tensor<2> {
        let hidden = tanh(self.up.forward(x, context));
        self.down.forward(hidden, context)
    }
}

fn main() -> Result<(), SettingError> {
    let device = Device::default().autodiff();
    device.seed(0);
    let weight = |d_out, d_in| Tensor::random([d_out, d_in], Distribution::Normal(0.0, 0.3), &device);
    let mut mlp =
        Mlp { up: AdaptedLinear::frozen(weight(32, 8), None), down: AdaptedLinear::frozen(weight(1, 32), None) };
    let method = AdaMole { num_experts: 4.try_into()?, tau_max: None };
    let config = AdapterConfig::new(method, 2, 4.0, 0.0)?;
    mlp.up.adapt(config.clone(), &[0]);
    mlp.down.adapt(config, &[1]);

    let x = Tensor::<2>::random([256, 8], Distribution::Uniform(-1.0, 1.0), &device);
    let target = x.clone().narrow(1, 0, 1) * x.clone().narrow(1, 1, 1);
    let mut optimizer = AdamWConfig::new().init();
    let (mut first, mut last) = (None, 0.0);
    for step in 0..300 {
        let mut context = ForwardContext::evaluation().recording(RoutingDetail::Counts);
        let error = (mlp.forward(x.clone(), &mut context) - target.clone()).square().mean();
        last = error.clone().into_scalar::<f32>();
        first.get_or_insert(last);
        let balance = context.auxiliary_loss().map_or_else(|| Tensor::zeros([1], &device), |loss| loss * 1e-3);
        let gradients = GradientsParams::from_grads((error + balance).backward(), &mlp);
        mlp = optimizer.step(1e-2, mlp, gradients);
        if step % 100 == 99 {
            let active: Vec<_> =
                context.into_layers().iter().map(|layer| layer.active_tokens.to_data().to_string()).collect();
            eprintln!("step {}: error {last:.4}, tokens per expert {}", step + 1, active.join(" "));
        }
    }
    assert!(last < 0.3 * first.unwrap_or(0.0), "the experts learn: {first:?} to {last}");
    Ok(())
}

//! Adapters trained by Burn's own training: `TrainStep`, `InferenceStep`, `Learner`, metrics, a data loader over a `Dataset`.
//!
//! `cargo run --release` in this folder, which is a workspace of its own.

use adamole_core::{
    AdaMole, AdaptedLinear, AdapterConfig, DropoutSeed, ForwardContext, RoutingDetail, load_adapters, save_adapters,
};
use burn::{
    data::{
        dataloader::{DataLoaderBuilder, batcher::Batcher},
        dataset::InMemDataset,
    },
    module::{Initializer, Module},
    nn::{
        LinearConfig,
        loss::{MseLoss, Reduction},
    },
    optim::AdamWConfig,
    tensor::{Device, Tensor, TensorData, activation::tanh},
    train::{InferenceStep, Learner, RegressionOutput, SupervisedTraining, TrainOutput, TrainStep, metric::LossMetric},
};
use std::{
    error::Error,
    sync::atomic::{AtomicU64, Ordering},
};

/// Eight numbers, and the product of the first two.
#[derive(Debug, Clone)]
struct Item([f32; 8]);

/// `[B, 8]` and `[B, 1]`.
#[derive(Debug, Clone)]
struct Batch(Tensor<2>, Tensor<2>);

#[derive(Debug, Clone)]
struct Items;

impl Batcher<Item, Batch> for Items {
    fn batch(&self, items: Vec<Item>, device: &Device) -> Batch {
        let rows = items.len();
        let matrix = |values: Vec<f32>, columns| Tensor::from_data(TensorData::new(values, [rows, columns]), device);
        let targets = items.iter().map(|Item(x)| x[0] * x[1]).collect();
        Batch(matrix(items.into_iter().flat_map(|Item(x)| x).collect(), 8), matrix(targets, 1))
    }
}

/// Two frozen linears with adapters.
#[derive(Module, Debug)]
struct Model {
    up: AdaptedLinear,
    down: AdaptedLinear,
}

impl Model {
    fn forward(&self, Batch(x, targets): Batch, context: &mut ForwardContext) -> RegressionOutput {
        let hidden = tanh(self.up.forward(x, context));
        let output = self.down.forward(hidden, context);
        let loss = MseLoss::new().forward(output.clone(), targets.clone(), Reduction::Mean);
        RegressionOutput::new(loss, output, targets)
    }
}

/// Modules keep no state of a pass, and a step does not know its number: the seed of its dropout is counted here.
static STEP: AtomicU64 = AtomicU64::new(0);

impl TrainStep for Model {
    type Input = Batch;
    type Output = RegressionOutput;

    fn step(&self, batch: Batch) -> TrainOutput<RegressionOutput> {
        let seed = DropoutSeed { run: 0, step: STEP.fetch_add(1, Ordering::Relaxed), micro_batch: 0 };
        let mut context = ForwardContext::training(seed).recording(RoutingDetail::Counts);
        let output = self.forward(batch, &mut context);
        let balance = context.auxiliary_loss().map_or_else(|| output.loss.zeros_like(), |loss| loss * 1e-3);
        TrainOutput::new(self, (output.loss.clone() + balance).backward(), output)
    }
}

impl InferenceStep for Model {
    type Input = Batch;
    type Output = RegressionOutput;

    fn step(&self, batch: Batch) -> RegressionOutput {
        self.forward(batch, &mut ForwardContext::evaluation())
    }
}

fn model(device: &Device) -> Result<Model, Box<dyn Error>> {
    // The same frozen weights in each copy.
    device.seed(0);
    let linear = |d_in, d_out| {
        let initializer = Initializer::Normal { mean: 0.0, std: 0.3 };
        AdaptedLinear::from(LinearConfig::new(d_in, d_out).with_bias(false).with_initializer(initializer).init(device))
    };
    let config = AdapterConfig::new(AdaMole { num_experts: 4.try_into()?, tau_max: None }, 2, 4.0, 0.0)?;
    let mut model = Model { up: linear(8, 32), down: linear(32, 1) };
    model.up.adapt(config.clone(), &[0, 0]);
    model.down.adapt(config, &[0, 1]);
    Ok(model)
}

fn main() -> Result<(), Box<dyn Error>> {
    let scratch = tempfile::tempdir()?;
    let device = Device::default();
    let mut numbers = adamole_core::CounterRng::new(&[1]);
    let mut items = |count: usize| -> Vec<Item> {
        let all = numbers.uniform(8 * count, 1.0);
        all.chunks_exact(8).filter_map(|x| x.try_into().ok().map(Item)).collect()
    };
    let (training, validation) = (items(1024), items(256));
    let loader = |items| DataLoaderBuilder::new(Items).batch_size(32).shuffle(0).build(InMemDataset::new(items));

    let before = loss(&model(&device)?, &device, &validation);
    // On an autodiff device: what has values already on a plain one is not trained once it gets there.
    let learner = Learner::new(model(&device.clone().autodiff())?, AdamWConfig::new().init(), 1e-2);
    let training = SupervisedTraining::new(scratch.path().join("burn"), loader(training), loader(validation.clone()))
        .metrics((LossMetric::new(),))
        .num_epochs(10);
    let result = training.launch(learner);
    let after = loss(&result.model, &device, &validation);
    println!("validation loss {before:.4} to {after:.4}");
    assert!(after < 0.3 * before, "the adapters learn");

    // Burn's checkpointers record the whole module, frozen weights included; this is the adapters alone.
    let path = scratch.path().join("adapters.safetensors");
    save_adapters(&result.model, &path)?;
    let mut other = model(&device)?;
    load_adapters(&mut other, &path)?;
    assert_eq!(loss(&other, &device, &validation), after);
    Ok(())
}

fn loss(model: &Model, device: &Device, items: &[Item]) -> f32 {
    InferenceStep::step(model, Items.batch(items.to_vec(), device)).loss.into_scalar()
}

//! `adamole bench layer`.

use super::{AdapterSettings, Circumstances, Failure, Flags, Place, median, positive, timed};
use crate::cli::output::print;
use adamole::core::{AdaptedLinear, AdapterConfig, CounterRng, DropoutSeed, ForwardContext, RoutingDetail};
use burn::{
    module::Module,
    tensor::{Device, Tensor, TensorData},
};
use clap::Args;
use serde::Serialize;

/// What help ends with.
const EXAMPLES: &str = "\
Examples:
  adamole bench layer --method adamole --num-experts 8";

#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct LayerArguments {
    #[command(flatten)]
    adapter: Flags<AdapterSettings>,
    #[command(flatten)]
    place: Place,
    /// Inputs of the linear
    #[arg(long, default_value_t = 576)]
    d_in: usize,
    /// Outputs of the linear
    #[arg(long, default_value_t = 576)]
    d_out: usize,
    /// Rows of the input, divided among the workers
    #[arg(long, default_value_t = 1024)]
    rows: usize,
    /// Timed runs, whose median is reported, after one that is not timed
    #[arg(long, default_value_t = 9)]
    runs: usize,
}

#[derive(Serialize)]
struct Report {
    num_experts: usize,
    rank: usize,
    d_in: usize,
    d_out: usize,
    rows: usize,
    seconds: f64,
    rows_per_second: f64,
    #[serde(flatten)]
    circumstances: Circumstances,
}

pub(crate) fn run(arguments: &LayerArguments) -> Result<(), Failure> {
    let LayerArguments { adapter, place, d_in, d_out, rows, runs } = arguments;
    positive(&[("d-in", *d_in), ("d-out", *d_out), ("rows", *rows), ("runs", *runs)])?;
    let config = adapter.0.config(0, 1)?;
    let device = place.device()?.autodiff();
    let workers = place.workers(&device);
    let layer = layer(config.clone(), *d_in, *d_out, &device);
    let share = rows.div_ceil(workers.count());
    let inputs: Vec<Vec<f32>> = (0..*rows)
        .step_by(share)
        .map(|first| CounterRng::new(&[first as u64]).uniform(share.min(rows - first) * d_in, 1.0))
        .collect();
    let seconds = median(&timed(*runs, || {
        workers.map(&inputs, |values| pass(&layer, values, *d_in, &device));
    }));
    let report = Report {
        num_experts: config.num_experts(),
        rank: config.rank.get(),
        d_in: *d_in,
        d_out: *d_out,
        rows: *rows,
        seconds,
        rows_per_second: *rows as f64 / seconds,
        circumstances: Circumstances::now(Some(adapter.0.method), workers.count()),
    };
    print(place.format, &report, || {
        format!(
            "{:.2} ms, {:.0} rows/s on {}",
            1e3 * report.seconds,
            report.rows_per_second,
            report.circumstances.text()
        )
    })
}

/// A linear of random weights with a fresh adapter.
fn layer(config: AdapterConfig, d_in: usize, d_out: usize, device: &Device) -> AdaptedLinear {
    let values = CounterRng::new(&[d_in as u64, d_out as u64]).uniform(d_in * d_out, 1.0 / (d_in as f32).sqrt());
    let mut layer = AdaptedLinear::frozen(Tensor::from_data(TensorData::new(values, [d_out, d_in]), device), None);
    layer.adapt(config, &[0]);
    layer
}

/// Forward and backward as in the middle of a model: the input has a gradient too.
fn pass(layer: &AdaptedLinear, values: &[f32], d_in: usize, device: &Device) {
    // New leaves, so that the graphs of different workers stay separate.
    let layer = layer.clone().fork(device);
    let input = TensorData::new(values.to_vec(), [values.len() / d_in, d_in]);
    let input = Tensor::<2>::from_data(input, device).require_grad();
    let seed = DropoutSeed { run: 0, step: 0, micro_batch: 0 };
    let mut context = ForwardContext::training(seed).recording(RoutingDetail::Counts);
    let loss = layer.forward(input, &mut context).sum();
    let loss = match context.auxiliary_loss() {
        Some(balance) => loss + balance * 1e-3,
        None => loss,
    };
    drop(loss.backward());
    // Waits for a device that runs asynchronously.
    let _ = device.sync();
}

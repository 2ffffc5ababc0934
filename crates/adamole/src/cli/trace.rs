//! `adamole trace`.

use super::{
    Failure,
    compat::Compatibility,
    fetching::model_folder,
    inputs::{adapt, load_model},
    output::{Format, print},
    weights::WeightFlags,
};
use adamole::{
    device,
    llama::{ModelError, TensorFile, write_tensors},
    train::{CollatedBatch, Trace, TracedLayer, trace},
};
use burn::tensor::{DType, Tensor, TensorData};
use clap::Args;
use serde::Serialize;
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

/// What help ends with.
const EXAMPLES: &str = "\
Examples:
  adamole trace --model HuggingFaceTB/SmolLM2-135M --input in.safetensors --output out.safetensors";

#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct TraceArguments {
    /// Base model: a Hugging Face folder, or org/name[@revision] on the hub
    #[arg(long)]
    model: String,
    /// Adapter folder, or the folder of a run; the base alone without it
    #[arg(long, value_name = "NAME")]
    adapter: Option<String>,
    /// Safetensors file with input_ids, attention_mask and, optionally, labels: int64 [B, L], -100 ignored
    #[arg(long, value_name = "FILE")]
    input: PathBuf,
    /// Safetensors file to write: logits, route.MODULE.{probs,thresholds,selected}, grad.KEY
    #[arg(long, value_name = "PATH")]
    output: PathBuf,
    /// Also write the gradient of every adapter parameter
    #[arg(long)]
    gradients: bool,
    /// Weight of the load-balancing loss
    #[arg(long, default_value_t = 1e-3)]
    aux_coefficient: f32,
    /// Repeat the reference implementation, where padding counts
    #[arg(long, value_enum)]
    compat: Option<Compatibility>,
    #[command(flatten)]
    weights: WeightFlags,
    /// Device: auto, cpu, cuda, vulkan or wgpu
    ///
    /// The last three may have an :INDEX.
    #[arg(long, default_value = "auto")]
    device: String,
    /// How the result is printed; it is one JSON object either way
    #[arg(long, value_enum, default_value_t = Format::Json)]
    format: Format,
}

#[derive(Serialize)]
struct Report {
    task_loss: Option<f64>,
    /// 0 where nothing is routed.
    auxiliary_loss: f64,
    auxiliary_loss_per_module: BTreeMap<String, f64>,
    total_loss: Option<f64>,
    mean_active_experts_per_module: BTreeMap<String, f64>,
}

pub(crate) fn run(arguments: TraceArguments) -> Result<(), Failure> {
    let device = device::open(&arguments.device)?;
    let device = if arguments.gradients { device.autodiff() } else { device };
    let batch = read_batch(&arguments.input, arguments.compat == Some(Compatibility::Reference))?;
    let mut model = load_model(&model_folder(&arguments.model)?, arguments.weights, &device)?;
    if let Some(adapter) = &arguments.adapter {
        adapt(&mut model, adapter)?;
    }
    let batch = batch.on_device(model.config().vocab_size, &device)?;
    let trace = trace(&model, batch, arguments.aux_coefficient);
    check_scores(&trace)?;

    let mut tensors = vec![("logits".to_owned(), trace.logits.clone().into_data())];
    for TracedLayer { module, routing, .. } in &trace.layers {
        tensors.push((format!("route.{module}.probs"), routing.scores.probabilities().into_data()));
        tensors.push((format!("route.{module}.selected"), bytes(&routing.active)));
        if let Some(thresholds) = &routing.thresholds {
            let rows = thresholds.dims()[0];
            tensors.push((format!("route.{module}.thresholds"), thresholds.clone().reshape([rows]).into_data()));
        }
    }
    tensors.extend(trace.named_gradients(&model).into_iter().map(|(key, data)| (format!("grad.{key}"), data)));
    write_tensors(&arguments.output, &tensors)?;

    let per_module = |value: fn(&TracedLayer) -> f64| {
        trace.layers.iter().map(|layer| (layer.module.clone(), value(layer))).collect()
    };
    let report = Report {
        task_loss: trace.task_loss,
        auxiliary_loss: trace.balance_loss.unwrap_or(0.0),
        auxiliary_loss_per_module: per_module(|layer| layer.balance_loss),
        total_loss: trace.total_loss,
        mean_active_experts_per_module: per_module(|layer| layer.mean_active_experts),
    };
    print(arguments.format, &report, || serde_json::to_string_pretty(&report).unwrap_or_default())
}

/// Checks that the scores are finite: finite weights can still overflow on the way.
///
/// # Errors
/// A score of a token is not.
pub(crate) fn check_scores(trace: &Trace) -> Result<(), Failure> {
    let [_, length, vocabulary] = trace.logits.dims();
    let logits = trace.logits.to_data();
    let bad = logits.iter::<f32>().position(|logit| !logit.is_finite());
    let position = |element: usize| element / vocabulary.max(1) % length.max(1) + 1;
    bad.map_or(Ok(()), |element| Err(ModelError::ScoresNotFinite { position: position(element) }.into()))
}

fn read_batch(path: &Path, padding_counts: bool) -> Result<CollatedBatch, Failure> {
    let file = TensorFile::open(path)?;
    let (ids, shape) = file.integers("input_ids")?;
    let [rows, _] = shape[..] else {
        return Err(Failure::Usage(format!("{}: input_ids has shape {shape:?}, expected [B, L]", path.display())));
    };
    let attention_mask = match file.shape("attention_mask") {
        Some(_) => file.integers("attention_mask")?.0,
        None => vec![1; ids.len()],
    };
    let labels = file.shape("labels").is_some().then(|| file.integers("labels")).transpose()?.map(|(labels, _)| labels);
    Ok(CollatedBatch { ids, attention_mask, labels, rows, padding_counts })
}

/// Ones and zeros as uint8.
fn bytes(selected: &Tensor<2>) -> TensorData {
    let shape = selected.dims();
    TensorData::new(
        selected.to_data().convert_dtype(DType::F32).iter::<f32>().map(|v| u8::from(v > 0.5)).collect::<Vec<u8>>(),
        shape,
    )
}

//! `adamole bench`: times of the parts of a run on this machine, with random tokens.

mod eval;
mod generate;
mod layer;
mod load;
mod profile;
mod ranks;
mod roofline;
mod step;
mod training;

use super::{
    Failure,
    adapter_settings::AdapterSettings,
    estimate::shape_of,
    fetching::model_folder,
    inputs::{load_model, workers},
    method_name::MethodName,
    output::{Format, size},
    ranks::Crew,
    settings::Flags,
    weights::WeightFlags,
};
use adamole::{
    core::CounterRng,
    device,
    experiments::median,
    llama::{CausalLm, ModelConfig},
    train::{Workers, peak_memory_bytes},
};
use burn::tensor::Device;
use clap::{Args, Subcommand};
use serde::Serialize;
use std::{path::PathBuf, time::Instant};

/// What help ends with.
pub(crate) const EXAMPLES: &str = "\
Examples:
  adamole bench step --shape smollm2-135m --method adamole";

#[derive(Subcommand)]
pub(crate) enum BenchCommand {
    /// Forward, backward and optimizer over one batch
    Step(step::StepArguments),
    /// Scores of multiple choice items
    Eval(eval::EvalArguments),
    /// The most probable continuation, token by token
    Generate(generate::GenerateArguments),
    /// Loading a model, and the first step
    Load(load::LoadArguments),
    /// Forward and backward of one adapted linear
    Layer(layer::LayerArguments),
    /// Exchanges of gradients between the processes that mpirun or srun has started
    Ranks(ranks::RanksArguments),
}

/// Where it is measured.
#[derive(Args)]
pub(crate) struct Place {
    /// Device: auto, cpu, cuda, vulkan or wgpu
    ///
    /// The last three may have an :INDEX.
    #[arg(long, default_value = "auto")]
    device: String,
    /// Batches computed in parallel [the number of cores on the CPU, 1 on a GPU]
    #[arg(long, value_name = "N")]
    workers: Option<usize>,
    /// How the result is printed
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

impl Place {
    fn device(&self) -> Result<Device, Failure> {
        Ok(device::open(&self.device)?)
    }

    fn workers(&self, device: &Device) -> Workers {
        Workers::new(workers(self.workers, adamole::device::is_cpu(device)))
    }
}

/// A model, its adapters, and where it is measured.
#[derive(Args)]
pub(crate) struct Subject {
    /// Base model: a Hugging Face folder, or org/name[@revision] on the hub
    #[arg(long, required_unless_present = "shape")]
    model: Option<String>,
    /// In place of a model: a well-known shape (llama-2-7b, ...), or a folder with a config.json
    ///
    /// The weights are drawn at random on the device.
    #[arg(long, value_name = "MODEL|DIR", conflicts_with = "model")]
    shape: Option<String>,
    #[command(flatten)]
    adapter: Flags<AdapterSettings>,
    #[command(flatten)]
    weights: WeightFlags,
    #[command(flatten)]
    place: Place,
}

impl Subject {
    /// The base with fresh adapters.
    fn load(&self, device: &Device) -> Result<CausalLm, Failure> {
        let mut model = self.load_base(device)?;
        let layout = self.adapter.0.layout(model.config())?;
        model.adapt(&layout, 0);
        Ok(model)
    }

    /// The base alone.
    fn load_base(&self, device: &Device) -> Result<CausalLm, Failure> {
        match &self.shape {
            Some(shape) => Ok(CausalLm::random_base(shape_of(shape)?, self.weights, device)?),
            None => load_model(&self.folder()?, self.weights, device),
        }
    }

    /// The shape with this number of layers in place of its own, and this share of its widths, with as many heads: smaller models, whose
    /// counts tell those of larger ones.
    fn shape_of(&self, layers: Option<usize>, (part, whole): (usize, usize)) -> Result<ModelConfig, Failure> {
        let name =
            self.shape.as_ref().ok_or_else(|| Failure::Usage("--model has all layers, expected --shape".into()))?;
        let config = shape_of(name)?;
        let widths = [
            ("hidden_size", config.hidden_size),
            ("intermediate_size", config.intermediate_size),
            ("head_dim", config.head_dim),
            ("vocab_size", config.vocab_size),
        ];
        let mut fields = serde_json::Map::new();
        if part != whole {
            for (field, width) in widths {
                if width % whole != 0 {
                    return Err(Failure::Usage(format!("{field} is {width}, expected a multiple of {whole}")));
                }
                fields.insert(field.to_owned(), (width / whole * part).into());
            }
        }
        fields.extend(layers.map(|layers| ("num_hidden_layers".to_owned(), layers.into())));
        Ok(config.with(fields)?)
    }

    /// A random base of this shape, with fresh adapters.
    fn random(&self, config: ModelConfig, device: &Device) -> Result<CausalLm, Failure> {
        let mut model = CausalLm::random_base(config, self.weights, device)?;
        let layout = self.adapter.0.layout(model.config())?;
        model.adapt(&layout, 0);
        Ok(model)
    }

    /// The folder of the model's files.
    fn folder(&self) -> Result<PathBuf, Failure> {
        let name =
            self.model.as_ref().ok_or_else(|| Failure::Usage("--shape has no files, expected --model".into()))?;
        model_folder(name)
    }
}

/// Random token ids.
fn random_ids(count: usize, vocabulary: usize) -> Vec<u32> {
    let mut rng = CounterRng::new(&[count as u64]);
    (0..count).map(|_| (rng.next_u64() % vocabulary as u64) as u32).collect()
}

/// Seconds of each of `runs` calls, after one that is not timed.
fn timed(runs: usize, mut work: impl FnMut()) -> Vec<f64> {
    let mut once = || {
        let started = Instant::now();
        work();
        started.elapsed().as_secs_f64()
    };
    once();
    (0..runs).map(|_| once()).collect()
}

/// Threads that one batch on its own is computed with.
fn threads_of_one_batch() -> usize {
    rayon::current_num_threads()
}

/// The circumstances of a measurement.
#[derive(Serialize)]
struct Circumstances {
    /// Absent for the base alone.
    method: Option<MethodName>,
    threads: usize,
    peak_memory_bytes: Option<u64>,
}

impl Circumstances {
    /// The peak is that of the process up to now.
    fn now(method: Option<MethodName>, threads: usize) -> Self {
        Self { method, threads, peak_memory_bytes: peak_memory_bytes() }
    }

    fn text(&self) -> String {
        format!("{} threads, peak memory {}", self.threads, size(self.peak_memory_bytes))
    }
}

/// Refuses a number below 1.
fn positive(numbers: &[(&str, usize)]) -> Result<(), Failure> {
    match numbers.iter().find(|(_, number)| *number == 0) {
        Some((name, _)) => Err(Failure::Usage(format!("--{name} is 0, expected at least 1"))),
        None => Ok(()),
    }
}

pub(crate) fn run(command: &BenchCommand, crew: &Crew) -> Result<(), Failure> {
    match command {
        BenchCommand::Step(arguments) => step::run(arguments),
        BenchCommand::Eval(arguments) => eval::run(arguments),
        BenchCommand::Generate(arguments) => generate::run(arguments),
        BenchCommand::Load(arguments) => load::run(arguments),
        BenchCommand::Layer(arguments) => layer::run(arguments),
        BenchCommand::Ranks(arguments) => ranks::run(arguments, crew),
    }
}

//! `adamole bench`: what the parts of a run cost on this machine, with random tokens.

mod step;

use super::{
    Failure,
    adapter_settings::{AdapterSettings, MethodName},
    fetching::model_folder,
    inputs::workers,
    output::Format,
    settings::Settings,
};
use adamole::{
    core::CounterRng,
    device,
    llama::{Allocation, CausalLm, Precision, load_base_as},
    train::Workers,
};
use burn::tensor::Device;
use clap::{Args, Subcommand};

#[derive(Subcommand)]
pub(crate) enum BenchCommand {
    /// Forward, backward and optimizer over one batch
    Step(step::StepArguments),
}

/// What is measured, and on what.
#[derive(Args)]
pub(crate) struct Subject {
    /// Base model: a Hugging Face folder, or org/name[@revision] on the hub
    #[arg(long)]
    model: String,
    /// Method of the adapters
    #[arg(long, value_enum, default_value_t = MethodName::Adamole)]
    method: MethodName,
    /// Experts on each adapted linear
    #[arg(long)]
    num_experts: Option<Allocation>,
    /// Rank of one expert [32 for LoRA, 32 / num_experts for mixtures]
    #[arg(long)]
    rank: Option<Allocation>,
    /// MoLE and SiRA: experts that a token fires
    #[arg(long)]
    top_k: Option<Allocation>,
    /// Type of the frozen weights: float32, bfloat16 or float16
    #[arg(long, default_value = "float32")]
    dtype: Precision,
    /// auto, cpu, wgpu, vulkan, cuda or cuda:INDEX
    #[arg(long, default_value = "auto")]
    device: String,
    /// Batches side by side [the number of cores on the CPU, 1 on a GPU]
    #[arg(long)]
    workers: Option<usize>,
    /// How the result is printed
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

impl Subject {
    fn device(&self) -> Result<Device, Failure> {
        Ok(device::open(&self.device)?)
    }

    fn workers(&self) -> Workers {
        Workers::new(workers(self.workers, &self.device))
    }

    /// The base with fresh adapters.
    fn load(&self, device: &Device) -> Result<CausalLm, Failure> {
        let adapter = AdapterSettings::resolve(&Settings {
            method: Some(self.method),
            num_experts: self.num_experts.clone(),
            rank: self.rank.clone(),
            top_k: self.top_k.clone(),
            ..Settings::default()
        })?;
        adapter.validate()?;
        let mut model = load_base_as(&model_folder(&self.model)?, self.dtype, device)?;
        let layout = adapter.layout(model.config().num_hidden_layers)?;
        model.adapt(&layout, 0);
        Ok(model)
    }
}

/// Token ids that mean nothing.
fn random_ids(count: usize, vocabulary: usize) -> Vec<u32> {
    let mut rng = CounterRng::new(&[count as u64]);
    (0..count).map(|_| (rng.next_u64() % vocabulary as u64) as u32).collect()
}

/// The middle of the values, or of the two in the middle the lower.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len().saturating_sub(1) / 2).copied().unwrap_or(f64::NAN)
}

pub(crate) fn run(command: &BenchCommand) -> Result<(), Failure> {
    match command {
        BenchCommand::Step(arguments) => step::run(arguments),
    }
}

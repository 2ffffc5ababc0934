//! `adamole estimate`: the size and cost of a run, without reading weights.

use super::{
    Failure,
    fetching::model_folder,
    fingerprint::Fingerprint,
    inputs::workers,
    memory,
    output::{Format, print},
    settings::{Flags, Resolved, Settings},
};
use adamole::{
    data::{Example, LabelScope, SplitPart, Tokenizer},
    device,
    llama::{LinearShapes, ModelConfig},
    train::{Cost, MemoryEstimate},
};
use clap::Args;
use serde::Serialize;
use std::path::{Path, PathBuf};

#[derive(Args)]
pub(crate) struct EstimateArguments {
    /// TOML file with the settings of the run, as `train` takes it
    #[arg(long)]
    config: Option<PathBuf>,
    /// A well-known model (llama-2-7b, qwen3-4b, ...), or a folder with the config.json of a model of the same shape; the
    /// model itself and the data need not exist then
    #[arg(long, value_name = "MODEL|DIR", requires = "items", requires = "tokens")]
    shape: Option<String>,
    /// With --shape: number of training, validation and reported items
    #[arg(long, value_name = "TRAIN,VALIDATION,REPORT", value_delimiter = ',', requires = "shape")]
    items: Option<Vec<usize>>,
    /// With --shape: mean number of tokens of an item; the memory is that of texts of max_tokens
    #[arg(long, requires = "shape")]
    tokens: Option<usize>,
    /// How the result is printed
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
    #[command(flatten)]
    settings: Flags<Settings>,
}

#[derive(Serialize)]
struct Report {
    /// Every setting, as `config.json` of the run records it.
    config: Resolved,
    /// The hashes of base model and items; absent where only shape and sizes are known.
    fingerprint: Option<Fingerprint>,
    train_items: usize,
    validation_items: usize,
    report_items: usize,
    parameters: usize,
    trainable_parameters: usize,
    steps: usize,
    train_tokens: usize,
    /// Floating-point operations of the matrix products of all epochs.
    train_operations: f64,
    /// Operations of one evaluation of the validation items; there are epochs + 1 of them.
    validation_operations: f64,
    /// Operations of one evaluation of the reported items.
    report_operations: f64,
    memory_estimate: MemoryEstimate,
    memory_bytes: u64,
}

/// Lengths in tokens of the training texts, and of the prompts of evaluations.
struct Lengths {
    train: Lot,
    longest: Vec<usize>,
    validation: Lot,
    report: Lot,
}

/// Lengths, each with the number of texts that have it.
#[derive(Default)]
struct Lot(Vec<(usize, usize)>);

impl Lot {
    fn items(&self) -> usize {
        self.0.iter().map(|(_, items)| items).sum()
    }

    fn tokens(&self) -> usize {
        self.0.iter().fold(0, |sum, (length, items)| sum.saturating_add(length.saturating_mul(*items)))
    }

    /// The sum of `of` over all texts.
    fn sum(&self, of: impl Fn(usize) -> f64) -> f64 {
        self.0.iter().map(|(length, items)| of(*length) * *items as f64).sum()
    }
}

impl FromIterator<usize> for Lot {
    fn from_iter<I: IntoIterator<Item = usize>>(lengths: I) -> Self {
        Self(lengths.into_iter().map(|length| (length, 1)).collect())
    }
}

/// The largest batch whose lengths are held.
const LARGEST_BATCH: usize = 10_000_000;

pub(crate) fn run(arguments: EstimateArguments) -> Result<(), Failure> {
    let file = arguments.config.as_deref().map(Settings::from_file).transpose()?.unwrap_or_default();
    let config = arguments.settings.0.or(file).resolve()?;
    if let Some(warning) = config.adapter.never_active() {
        say!("warning: {warning}");
    }
    let assumed = arguments.shape.zip(arguments.items).zip(arguments.tokens);
    let (model, lengths, fingerprint) = match assumed {
        Some(((shape, items), tokens)) => (shape_of(&shape)?, assume(&config, &items, tokens)?, None),
        None => read(&config)?,
    };
    let layout = config.adapter.layout(&model)?;
    let shapes = LinearShapes::of(&model);
    let cost = Cost::of_shape(&model, &layout);
    let trained = |length| match config.recipe.labels {
        LabelScope::Text => cost.step(1, length, length),
        LabelScope::Answer => cost.step(1, length, 1),
    };
    let asked = |lengths: &Lot| lengths.sum(|length| cost.prompt(length));
    let epochs = config.recipe.epochs;
    let on_cpu = device::names_cpu(&config.device);
    let workers = workers(config.workers, on_cpu);
    let memory_estimate = memory::estimate(&config, &layout, &model, &lengths.longest, (workers, on_cpu));
    let report = Report {
        fingerprint,
        train_items: lengths.train.items(),
        validation_items: lengths.validation.items(),
        report_items: lengths.report.items(),
        parameters: shapes.elements(),
        trainable_parameters: shapes.adapter_elements(&layout),
        steps: epochs.saturating_mul(lengths.train.items().div_ceil(config.recipe.batch_size)),
        train_tokens: epochs.saturating_mul(lengths.train.tokens()),
        train_operations: epochs as f64 * lengths.train.sum(trained),
        validation_operations: asked(&lengths.validation),
        report_operations: asked(&lengths.report),
        memory_bytes: memory_estimate.total(),
        memory_estimate,
        config,
    };
    print(arguments.format, &report, || text(&report))
}

/// The shape of a well-known model, or that in a folder.
pub(super) fn shape_of(name: &str) -> Result<ModelConfig, Failure> {
    match ModelConfig::known(name)? {
        Some(known) => Ok(known),
        None if Path::new(name).exists() => Ok(ModelConfig::from_folder(Path::new(name))?),
        None => {
            let known = ModelConfig::known_names()?.join(", ");
            Err(Failure::Usage(format!("--shape {name}: neither a folder nor one of {known}")))
        }
    }
}

/// The most items that sizes may name.
const MAX_ITEMS: usize = 10_000_000;

/// Lengths from given sizes: items of one length and, for the memory, of the largest possible one.
fn assume(config: &Resolved, items: &[usize], tokens: usize) -> Result<Lengths, Failure> {
    let [train, validation, report] = *items else {
        return Err(Failure::Usage(format!("--items takes three numbers, {} were given", items.len())));
    };
    if let Some(count) = items.iter().find(|count| **count > MAX_ITEMS) {
        return Err(Failure::Usage(format!("--items has {count}, expected numbers of at most {MAX_ITEMS}")));
    }
    if train == 0 || tokens == 0 {
        return Err(Failure::Usage("--items and --tokens take numbers of at least 1".into()));
    }
    let of = |items: usize| Lot(vec![(tokens.min(config.reading.max_tokens), items)]);
    let batch = train.min(config.recipe.batch_size);
    if batch > LARGEST_BATCH {
        return Err(Failure::Usage(format!("a batch is of {batch} items, expected at most {LARGEST_BATCH}")));
    }
    let longest = vec![config.reading.max_tokens; batch];
    Ok(Lengths { train: of(train), longest, validation: of(validation), report: of(report) })
}

/// Lengths of the items themselves.
fn read(config: &Resolved) -> Result<(ModelConfig, Lengths, Option<Fingerprint>), Failure> {
    let items = config.reading.open()?;
    let folder = model_folder(&config.model)?;
    let model = ModelConfig::from_folder(&folder)?;
    let tokenizer = Tokenizer::from_folder(&folder)?;
    let encode = |part: SplitPart| items.encode(&tokenizer, part.split, &items.read_labelled(part)?.items);
    let (train, validation) = (encode(config.train_split)?, encode(config.validation_split)?);
    let report = config.report_split.map(encode).transpose()?.unwrap_or_default();
    let fingerprint = Fingerprint::of(&folder, &[&train, &validation, &report])?;
    let prompts = |examples: &[Example]| examples.iter().map(|example| example.prompt.len()).collect::<Lot>();
    let longest: Vec<usize> = train.iter().map(|example| example.text.len()).collect();
    let train = longest.iter().copied().collect();
    let lengths = Lengths { longest, train, validation: prompts(&validation), report: prompts(&report) };
    Ok((model, lengths, Some(fingerprint)))
}

fn text(report: &Report) -> String {
    let operations = report.train_operations
        + report.validation_operations * (report.config.recipe.epochs + 1) as f64
        + report.report_operations;
    format!(
        "{} of {} parameters are trained, {} steps over {} tokens, {:.2e} operations\nmemory: {}",
        report.trainable_parameters,
        report.parameters + report.trainable_parameters,
        report.steps,
        report.train_tokens,
        operations,
        memory::text(&report.memory_estimate),
    )
}

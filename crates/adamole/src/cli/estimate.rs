//! `adamole estimate`: the size and cost of a run, without reading weights.

use super::{
    Failure,
    fetching::model_folder,
    fingerprint::Fingerprint,
    inputs::workers,
    memory,
    nearest::nearest,
    output::{Format, duration, print},
    own_text::OwnText,
    row_encoder::RowEncoder,
    run_data::ReadData,
    settings::{Flags, Resolved, Settings},
};
use adamole::{
    data::{Example, SplitPart, Tokenizer, text::TokenizedText},
    device,
    llama::{LinearShapes, ModelConfig},
    train::{Cost, MemoryEstimate, Workers, matmul_peak},
};
use clap::Args;
use serde::Serialize;
use std::path::{Path, PathBuf};

/// What help ends with.
const EXAMPLES: &str = "\
Examples:
  adamole estimate --config run.toml
  adamole estimate --shape llama-2-7b --items 400,99,0 --tokens 60 --model llama --benchmark copa";

#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct EstimateArguments {
    /// TOML file with the settings of the run, as `train` takes it
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Shape of the model: a well-known one (llama-2-7b, ...), or a folder
    ///
    /// The folder has the config.json of a model of the same shape. The model itself and the data need not exist then.
    #[arg(long, value_name = "MODEL|DIR", requires = "items", requires = "tokens")]
    shape: Option<String>,
    /// With --shape: number of training, validation and reported items
    #[arg(long, value_name = "N,N,N", value_delimiter = ',', requires = "shape")]
    items: Option<Vec<usize>>,
    /// With --shape: mean number of tokens of an item
    ///
    /// The memory is that of texts of max_tokens.
    #[arg(long, value_name = "N", requires = "shape")]
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
    /// Whether reported items may also choose the epoch.
    report_overlaps_validation: bool,
    memory_estimate: MemoryEstimate,
    memory_bytes: u64,
    /// The time on this machine, from the speed of plain products here; absent for a GPU, and for benchmarks as JSON.
    seconds: Option<f64>,
}

impl Report {
    /// The operations of the whole run.
    fn operations(&self) -> f64 {
        let validations = self.config.recipe.epochs as f64 + 1.0;
        self.train_operations + self.validation_operations * validations + self.report_operations
    }
}

/// Lengths in tokens of the training texts, and of the prompts of evaluations.
struct Lengths {
    train: Lot,
    /// Tokens of the training texts that have a loss.
    labels: usize,
    longest: Vec<usize>,
    validation: Lot,
    /// Tokens of the validation texts that have a loss; of multiple choice a few rows of the vocabulary are computed.
    validation_labels: usize,
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
        // The sum of no floats is -0.
        self.0.iter().fold(0.0, |sum, (length, items)| sum + of(*length) * *items as f64)
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
    let of_train = lengths.train.sum(|length| cost.step(1, length, 0)) + cost.step(0, 0, lengths.labels);
    // A forward pass alone.
    let of_validation_labels = cost.step(0, 0, lengths.validation_labels) / 2.0;
    let asked = |lengths: &Lot| lengths.sum(|length| cost.prompt(length));
    let epochs = config.recipe.epochs;
    let on_cpu = device::names_cpu(&config.device);
    let workers = workers(config.workers, on_cpu);
    let memory_estimate = memory::estimate(&config, &layout, &model, &lengths.longest, (workers, on_cpu));
    let mut report = Report {
        fingerprint,
        seconds: None,
        train_items: lengths.train.items(),
        validation_items: lengths.validation.items(),
        report_items: lengths.report.items(),
        parameters: shapes.elements(),
        trainable_parameters: shapes.adapter_elements(&layout),
        steps: epochs.saturating_mul(lengths.train.items().div_ceil(config.recipe.batch_size)),
        train_tokens: epochs.saturating_mul(lengths.train.tokens()),
        train_operations: epochs as f64 * of_train,
        validation_operations: asked(&lengths.validation) + of_validation_labels,
        report_operations: asked(&lengths.report),
        report_overlaps_validation: config.report_split.is_some_and(|part| part.overlaps(config.validation_split)),
        memory_bytes: memory_estimate.total(),
        memory_estimate,
        config,
    };
    // Tables of many runs ask for the numbers of each, and know what a machine does.
    if on_cpu && (arguments.format == Format::Text || report.config.own_text.is_some()) {
        let peak = matmul_peak(&Workers::new(workers), &device::open(&report.config.device)?, report.config.dtype);
        report.seconds = Some(report.operations() / (REACHED * peak));
    }
    print(arguments.format, &report, || text(&report))
}

/// What a run on the CPU reaches of the speed of plain products.
const REACHED: f64 = 0.55;

/// The shape of a well-known model, or that in a folder.
pub(super) fn shape_of(name: &str) -> Result<ModelConfig, Failure> {
    match ModelConfig::known(name)? {
        Some(known) => Ok(known),
        None if Path::new(name).exists() => Ok(ModelConfig::from_folder(Path::new(name))?),
        None => {
            let known = ModelConfig::known_names()?;
            let names = known.join(", ");
            let meant = nearest(name, known.iter().map(String::as_str));
            let meant = meant.map(|name| format!("; did you mean {name}?")).unwrap_or_default();
            Err(Failure::Usage(format!("--shape {name}: neither a folder nor one of {names}{meant}")))
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
    let tokens = config.reading.max_tokens.min(tokens);
    let labels = labels_of(config, train, train * tokens);
    let validation_labels = if config.own_text.is_some() { validation * tokens } else { 0 };
    let (train, validation, report) = (of(train), of(validation), of(report));
    Ok(Lengths { train, labels, longest, validation, validation_labels, report })
}

/// The labels of so many items with so many tokens.
fn labels_of(config: &Resolved, items: usize, tokens: usize) -> usize {
    if config.any_token_has_a_loss() { tokens } else { items }
}

/// Lengths of the items or rows themselves.
fn read(config: &Resolved) -> Result<(ModelConfig, Lengths, Option<Fingerprint>), Failure> {
    if let Some(own) = &config.own_text {
        return read_texts(config, own);
    }
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
    let labels = labels_of(config, longest.len(), longest.iter().sum());
    let (validation, report) = (prompts(&validation), prompts(&report));
    let lengths = Lengths { longest, train, labels, validation, validation_labels: 0, report };
    Ok((model, lengths, Some(fingerprint)))
}

/// Lengths of the rows of one's own text.
fn read_texts(config: &Resolved, own: &OwnText) -> Result<(ModelConfig, Lengths, Option<Fingerprint>), Failure> {
    let ReadData::Texts(data) = ReadData::of(config, config)? else {
        unreachable!("the settings are of text of one's own");
    };
    let folder = model_folder(&config.model)?;
    let model = ModelConfig::from_folder(&folder)?;
    let tokenizer = Tokenizer::from_folder(&folder)?;
    let encoder = RowEncoder::new(own, config.reading.max_tokens, &tokenizer, &folder)?;
    let (train, validation) = (encoder.encode(&data.train)?.texts, encoder.encode(&data.validation)?.texts);
    let labels = |texts: &[TokenizedText]| texts.iter().map(TokenizedText::labels).sum();
    let lengths = |texts: &[TokenizedText]| texts.iter().map(|text| text.ids.len()).collect::<Vec<_>>();
    let longest = lengths(&train);
    let lengths = Lengths {
        train: longest.iter().copied().collect(),
        labels: labels(&train),
        longest,
        validation: lengths(&validation).into_iter().collect(),
        validation_labels: labels(&validation),
        report: Lot::default(),
    };
    Ok((model, lengths, None))
}

fn text(report: &Report) -> String {
    let time = report.seconds.map(|seconds| format!("\ntime: about {} on this machine", duration(seconds)));
    format!(
        "{} of {} parameters are trained, {} steps over {} tokens, {:.2e} operations\nmemory: {}{}",
        report.trainable_parameters,
        report.parameters + report.trainable_parameters,
        report.steps,
        report.train_tokens,
        report.operations(),
        memory::text(&report.memory_estimate),
        time.unwrap_or_default(),
    )
}

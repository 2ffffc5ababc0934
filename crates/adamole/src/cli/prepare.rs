//! A training run before its first step: settings, data and base model, read and checked before anything is written.

use super::{
    Failure, chat,
    fingerprint::RunFingerprint,
    identity::Identity,
    inputs::{Base, warn_beyond_positions},
    memory,
    ranks::Crew,
    record::Record,
    resume::{Begun, Resumed, Start},
    run_data::{ReadData, RunData},
    settings::{Resolved, Settings},
};
use adamole::{
    device,
    llama::Precision,
    train::{Checkpoints, MemoryEstimate, Ranks, RunDirectory, Workers, matmul_peak},
};
use burn::tensor::Device;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::{
    env,
    path::{Path, PathBuf},
};

/// The longest warm-up by default of a run on text of one's own, and its share of the run.
const WARMUP: usize = 200;
const WARMUP_SHARE: f64 = 0.1;
/// The same in words.
pub(crate) const WARMUP_OF_OWN_TEXT: &str = "a tenth of the run's steps, at most 200";

/// Tokens of a micro-batch on a GPU, where neither they nor examples are set: enough rows for products that keep it busy.
const TOKENS_ON_GPU: usize = 2048;

/// The settings of a run.
pub(crate) struct Request {
    flags: Settings,
    file: Settings,
    /// Those of flags and file, and of the run that is resumed.
    settings: Settings,
    pub(crate) config: Resolved,
    /// The same with the paths of a resumed run, which are relative to the folder it began in.
    located: Resolved,
    resumed: Option<Resumed>,
    allow_changes: bool,
}

/// What rank 0 tells the others of a request.
#[derive(Serialize, Deserialize)]
pub(crate) struct Told {
    settings: Settings,
    /// The folder of relative paths.
    folder: Option<PathBuf>,
}

/// The data, the base model and the hardware of a run.
pub(crate) struct Inputs {
    pub(crate) data: RunData,
    pub(crate) base: Base,
    /// The chat template of conversations, where it is not the base's.
    pub(crate) template: Option<String>,
    pub(crate) memory: MemoryEstimate,
    pub(crate) hardware: Hardware,
}

/// The devices and workers of a run.
pub(crate) struct Hardware {
    /// The main device, without autodiff.
    pub(crate) device: Device,
    /// The further ones, with autodiff.
    pub(crate) others: Vec<Device>,
    pub(crate) workers: Workers,
}

/// The tokens of a mean batch that each of several devices gets, and an eighth more, since packs are not filled to the last token.
fn share_of_batch(lengths: &[usize], batch_size: usize, devices: usize) -> usize {
    let tokens = lengths.iter().sum::<usize>() as f64 / lengths.len().max(1) as f64 * batch_size as f64;
    (tokens / devices as f64 * 1.125).ceil() as usize
}

/// Settings with paths from the root.
pub(crate) fn located(settings: Settings) -> Settings {
    env::current_dir().map_or(settings.clone(), |folder| settings.located_in(&folder))
}

impl Request {
    /// The settings of a new run, or of the one in the folder `resume`. A flag wins over the file.
    ///
    /// # Errors
    /// A setting is not valid, or changes the run that is resumed; the output is not free.
    pub(crate) fn new(
        flags: Settings,
        file: Settings,
        resume: Option<&Path>,
        allow_changes: bool,
    ) -> Result<Self, Failure> {
        let given = flags.clone().or(file.clone());
        let resumed = resume.map(Resumed::open).transpose()?;
        let settings = match (resume, &resumed) {
            (Some(run), Some(resumed)) => resumed.begun.settings(located(given), run, allow_changes)?,
            _ => given,
        };
        let config = settings.clone().resolve()?;
        if resumed.is_none() {
            RunDirectory::check_free(&config.output)?;
        }
        if let Some(warning) = config.adapter.never_active() {
            say!("warning: {warning}");
        }
        let located = match resumed.as_ref().and_then(|resumed| resumed.begun.folder.as_deref()) {
            Some(folder) => settings.clone().located_in(folder).resolve()?,
            None => config.clone(),
        };
        Ok(Self { flags, file, settings, config, located, resumed, allow_changes })
    }

    /// What other ranks have to know.
    pub(crate) fn told(&self) -> Told {
        let begun = self.resumed.as_ref().and_then(|resumed| resumed.begun.folder.clone());
        Told { settings: self.settings.clone(), folder: begun.or_else(|| env::current_dir().ok()) }
    }

    /// The request of a rank that is not the first.
    ///
    /// # Errors
    /// A setting is not valid here.
    pub(crate) fn follow(Told { settings, folder }: Told) -> Result<Self, Failure> {
        let config = settings.clone().resolve()?;
        let located = match folder {
            Some(folder) => settings.clone().located_in(&folder).resolve()?,
            None => config.clone(),
        };
        let (flags, file) = (Settings::default(), Settings::default());
        Ok(Self { flags, file, settings, config, located, resumed: None, allow_changes: false })
    }

    /// Reads data and base model, and adds the adapters.
    ///
    /// # Errors
    /// Something cannot be read, or there is too little memory.
    pub(crate) fn read(&mut self, crew: &Crew) -> Result<Inputs, Failure> {
        let hardware = Hardware::open(&self.config.device, self.config.workers, crew)?;
        let on_cpu = device::is_cpu(&hardware.device);
        let Self { config, located, .. } = &*self;
        let note_on_paths = |failure: &Failure| {
            if let (Failure::Hub(_), Some(resumed)) = (failure, &self.resumed) {
                resumed.begun.note_on_paths(located);
            }
        };
        // Data first: what is wrong with it is found out before weights are read.
        let read = ReadData::of(config, located).inspect_err(note_on_paths)?;

        let device = hardware.device.clone().autodiff();
        config.adapter_products.choose();
        let mut base = Base::load(&located.model, config.weights(), &device).inspect_err(note_on_paths)?;
        let data = read.encode(config, located, &base)?;
        let lengths = data.train().lengths();
        if !on_cpu {
            self.fill_devices(&lengths, (1 + hardware.others.len()) * crew.ranks().map_or(1, Ranks::count));
        }
        let Self { config, located, .. } = &*self;
        warn_beyond_positions(base.model.config(), lengths.iter().copied());
        let layout = config.adapter.layout(base.model.config())?;
        let memory =
            memory::estimate(config, &layout, base.model.config(), &lengths, (hardware.side_by_side(), on_cpu));
        memory::check(&memory, on_cpu, crew.on_this_machine())?;
        base.model.adapt(&layout, config.recipe.seed);
        config.weights().check_loaded(&base.model)?;
        let template = located.own_text.as_ref().and_then(|own| own.chat_template.as_deref());
        let template = template.map(chat::source).transpose()?;
        self.fit_warmup(lengths.len());
        Ok(Inputs { data, base, template, memory, hardware })
    }

    /// Packs the texts of a new run into large micro-batches, where it is not set how large they are and which side is padded: a few
    /// short texts leave a GPU idle. Of several GPUs each has its share of a batch.
    fn fill_devices(&mut self, lengths: &[usize], devices: usize) {
        let is_set = |name: &&str| self.settings.get(name).is_some();
        let size = ["micro_batch_size", "micro_batch_tokens", "padding", "compat"].iter().any(is_set);
        if size || self.resumed.is_some() {
            return;
        }
        let tokens = match devices {
            1 => TOKENS_ON_GPU,
            _ => share_of_batch(lengths, self.config.recipe.batch_size, devices).clamp(1, TOKENS_ON_GPU),
        };
        for config in [&mut self.config, &mut self.located] {
            config.recipe.micro_batch_tokens = Some(tokens);
        }
        self.settings = self.settings.clone().with("micro_batch_tokens", tokens);
    }

    /// Where the warm-up is not set, that of a run on text of one's own is a share of its steps. A longer one than the run
    /// is told.
    fn fit_warmup(&mut self, texts: usize) {
        let recipe = &mut self.config.recipe;
        let steps = recipe.epochs.saturating_mul(texts.div_ceil(recipe.batch_size));
        if self.config.own_text.is_some() && self.settings.get("warmup_steps").is_none() {
            let warmup = ((WARMUP_SHARE * steps as f64) as usize).min(WARMUP);
            recipe.warmup_steps = warmup;
            self.located.recipe.warmup_steps = warmup;
            // A resumed run has it too.
            self.settings = self.settings.clone().with("warmup_steps", warmup);
        }
        if recipe.warmup_steps >= steps && recipe.warmup_steps > 0 {
            say!(
                "warning: the warm-up has {} steps and the run {steps}: its learning rate never reaches {:e}; \
                 a smaller --warmup-steps does",
                recipe.warmup_steps,
                recipe.learning_rate
            );
        }
    }

    /// What the course of the run depends on.
    ///
    /// # Errors
    /// The weights cannot be read.
    pub(crate) fn identity(&self, inputs: &Inputs) -> Result<Identity, Failure> {
        Ok(Identity::new(&self.config, &RunFingerprint::of(&inputs.base.folder, &inputs.data)?))
    }

    /// Creates the run's folder, or opens that of the run that is resumed.
    ///
    /// # Errors
    /// It cannot be written; base or data of a resumed run have changed.
    pub(crate) fn start(&mut self, inputs: &Inputs, identity: &Identity) -> Result<(Start, Checkpoints), Failure> {
        let resumed = self.resumed.take();
        let Self { flags, file, settings, config, allow_changes, .. } = &*self;
        let fingerprint = identity.fingerprint.clone();
        let checkpoints = RunDirectory::checkpoints(&config.output, config.checkpoint_every, config.keep_checkpoints)
            .of_run(identity.to_json());
        let record = |old: Option<&Value>| Record::new((config, &fingerprint), (flags, file), old);
        let start = match resumed {
            None => {
                let begun = Begun::new(settings, &fingerprint);
                Start { directory: RunDirectory::create(&config.output, &record(None), &begun)?, checkpoint: None }
            }
            Some(resumed) => {
                let (now, model) = ((identity, settings), (&inputs.base.model, config.model.as_str()));
                resumed.go_on(now, model, &checkpoints, record, *allow_changes)?
            }
        };
        Ok((start, checkpoints))
    }
}

impl Hardware {
    /// Opens the devices that `--device` names.
    fn open(names: &str, asked_workers: Option<usize>, crew: &Crew) -> Result<Self, Failure> {
        let devices = device::open_several(&crew.device(names)?)?;
        let [device, others @ ..] = &devices[..] else {
            return Err(Failure::Usage("--device names no device".into()));
        };
        // Of several devices each has a worker, and holds one micro-batch at a time.
        let workers = match others.len() {
            0 => crew.workers(asked_workers, device::is_cpu(device)),
            others => Workers::new(1 + others),
        };
        let others = others.iter().cloned().map(Device::autodiff).collect();
        Ok(Self { device: device.clone(), others, workers })
    }

    /// Micro-batches that one device holds at a time.
    fn side_by_side(&self) -> usize {
        if self.others.is_empty() { self.workers.count() } else { 1 }
    }

    /// The matrix products of all devices, in operations a second.
    pub(crate) fn matmul_peak(&self, precision: Precision) -> f64 {
        match self.others.len() {
            0 => matmul_peak(&self.workers, &self.device, precision),
            others => (1 + others) as f64 * matmul_peak(&Workers::new(1), &self.device, precision),
        }
    }
}

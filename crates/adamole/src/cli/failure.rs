//! Errors that end the program: the library's error, then the remedy.

use super::{
    chat::chat_hint,
    data_hints::data_hint,
    model_hint,
    nearest::{nearest, nearest_in},
    settings::{ConfigError, Declared},
};
use adamole::{
    chat::ChatError,
    core::SettingError,
    data::DataError,
    device::{DeviceError, Kind},
    experiments::ExperimentError,
    generate::GenerateError,
    hub::HubError,
    llama::ModelError,
    serve::ServeError,
    train::{RankError, TrainError},
};
use std::{error::Error, fmt, io, path::PathBuf};

/// An error that ends the program.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The command line or the configuration file is not valid.
    Usage(String),
    Chat(ChatError),
    /// An error about a conversation, with its place.
    Conversation(String, ChatError),
    /// Conversations that were not rendered; each has its error in the result.
    Conversations {
        failed: usize,
        lines: usize,
    },
    Data(DataError),
    /// A line of a file of rows is not what it has to be.
    Line {
        path: PathBuf,
        /// Counted from 1.
        line: usize,
        message: String,
    },
    /// An error about an item, with its split.
    Item(String, DataError),
    Device(DeviceError),
    Experiment(ExperimentError),
    Hub(HubError),
    Model(ModelError),
    Config(ConfigError),
    Serve(ServeError),
    Setting(SettingError),
    Train(TrainError),
    /// A signal stopped a run, whose state is saved.
    Interrupted {
        steps: usize,
        run: PathBuf,
        exit_code: u8,
    },
    /// What failed on another rank, or on this one and was said to all.
    Elsewhere(String),
    /// Handlers of signals cannot be installed.
    Signals(std::io::Error),
    /// stdout cannot be written.
    Output(std::io::Error),
}

impl Failure {
    /// The ranks of a run have failed each other.
    pub(crate) fn ranks(error: RankError) -> Self {
        Self::Train(error.into())
    }

    /// The message without the word that it begins with.
    pub(crate) fn unprefixed(&self) -> String {
        let text = self.to_string();
        text.strip_prefix("error: ").unwrap_or(&text).to_owned()
    }

    /// 2 for wrong use, 3 for numbers that are not finite or weights that have changed, 128 and the signal's number for a signal, 1 for failure.
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            _ if self.is_not_finite() => return 3,
            Self::Interrupted { exit_code, .. } => return *exit_code,
            Self::Experiment(ExperimentError::Stopped { signal }) => return u8::try_from(128 + signal).unwrap_or(1),
            _ => {}
        }
        let wrong_use = match self {
            Self::Usage(_) | Self::Config(_) | Self::Device(_) | Self::Setting(_) => true,
            Self::Data(error) => matches!(
                error,
                DataError::UnknownBenchmark { .. } | DataError::UnknownName { .. } | DataError::Definition { .. }
            ),
            Self::Hub(error) => matches!(
                error,
                HubError::EmptyName
                    | HubError::InvalidRevision { .. }
                    | HubError::InvalidEndpoint(_)
                    | HubError::InvalidToken
                    | HubError::InvalidProxy { .. }
                    | HubError::NoRepository { .. }
            ),
            Self::Train(error) => matches!(
                error,
                TrainError::Setting(_)
                    | TrainError::RunExists { .. }
                    | TrainError::RunInUse { .. }
                    | TrainError::RunFinished { .. }
            ),
            Self::Experiment(error) => matches!(
                error,
                ExperimentError::Toml { .. }
                    | ExperimentError::Unknown { .. }
                    | ExperimentError::NotThePapers { .. }
                    | ExperimentError::ModelMissing { .. }
                    | ExperimentError::NoSource { .. }
                    | ExperimentError::NothingAsked
                    | ExperimentError::NothingToMeasure
                    | ExperimentError::Rates { .. }
                    | ExperimentError::TrialSeed { .. }
                    | ExperimentError::NoReport { .. }
                    | ExperimentError::ReportChooses { .. }
            ),
            Self::Model(ModelError::TokenOutsideVocabulary { .. }) => true,
            Self::Chat(error) => matches!(error, ChatError::NoTemplate { .. } | ChatError::NoDefault { .. }),
            Self::Serve(error) => matches!(error, ServeError::Origin(_)),
            Self::Conversations { .. }
            | Self::Conversation(..)
            | Self::Item(..)
            | Self::Line { .. }
            | Self::Model(_)
            | Self::Elsewhere(_)
            | Self::Output(_)
            | Self::Signals(_)
            | Self::Interrupted { .. } => false,
        };
        if wrong_use { 2 } else { 1 }
    }

    /// Whether its cause is a number that is not finite, or a frozen weight that has changed.
    pub(crate) fn is_not_finite(&self) -> bool {
        match self {
            Self::Model(error) | Self::Train(TrainError::Model(error)) => error.is_not_finite(),
            Self::Train(error) => matches!(
                error,
                TrainError::FrozenChanged { .. }
                    | TrainError::NotFinite { .. }
                    | TrainError::NotFiniteScore { .. }
                    | TrainError::NotFiniteLoss { .. }
                    | TrainError::NoStepApplied { .. }
                    | TrainError::Diverged { .. }
            ),
            _ => false,
        }
    }

    fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::Device(DeviceError::NotBuiltIn { feature, .. }) => {
                format!("build the program with `--features adamole/{feature}`; `adamole devices` lists what it has")
            }
            Self::Device(DeviceError::NotPresent { kind, .. }) => absent(*kind).into(),
            Self::Model(error) | Self::Train(TrainError::Model(error)) => return model_hint::of(error),
            Self::Train(error) => return train_hint(error),
            Self::Setting(SettingError::Missing { name, .. }) => {
                format!("give --{}, or {name} in the file of --config", name.replace('_', "-"))
            }
            Self::Interrupted { run, .. } => format!("continue with --resume {}", run.display()),
            Self::Chat(error) | Self::Conversation(_, error) => return chat_hint(error),
            Self::Data(error @ (DataError::Definition { .. } | DataError::TextFields { .. })) => {
                return data_hint(error).or_else(|| meant(nearest_in(&error.to_string())));
            }
            Self::Data(error) => return data_hint(error),
            Self::Setting(SettingError::OtherMethod { name, .. }) => return of_methods(name),
            Self::Config(ConfigError::Section { .. }) => {
                "`adamole config init` prints a file to start from; its headings are comments".into()
            }
            Self::Config(error @ ConfigError::Toml { .. }) => return meant(nearest_in(&error.to_string())),
            Self::Experiment(error @ ExperimentError::Toml { .. }) => return meant(nearest_in(&error.to_string())),
            Self::Experiment(ExperimentError::Unknown { name, known, .. }) => {
                return meant(nearest(name, known.split(", ")));
            }
            Self::Hub(error) => return hub_hint(error),
            _ => return None,
        };
        Some(hint)
    }

    fn source(&self) -> Option<&dyn Error> {
        match self {
            Self::Usage(_) => None,
            Self::Data(error) | Self::Item(_, error) => error.source(),
            Self::Conversation(_, error) => error.source(),
            Self::Device(error) => error.source(),
            Self::Hub(error) => error.source(),
            // Their messages include their sources.
            Self::Chat(_)
            | Self::Config(_)
            | Self::Conversations { .. }
            | Self::Elsewhere(_)
            | Self::Experiment(_)
            | Self::Line { .. }
            | Self::Model(_)
            | Self::Serve(_)
            | Self::Setting(_)
            | Self::Train(_)
            | Self::Output(_)
            | Self::Signals(_)
            | Self::Interrupted { .. } => None,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("error: ")?;
        match self {
            Self::Usage(message) => f.write_str(message)?,
            Self::Chat(error) => write!(f, "{error}")?,
            Self::Conversations { failed, lines } => write!(f, "{failed} of {lines} conversations were not rendered")?,
            Self::Data(error) => write!(f, "{error}")?,
            Self::Item(place, error) => write!(f, "{place}: {error}")?,
            Self::Conversation(place, error) => write!(f, "{place}: {error}")?,
            Self::Line { path, line, message } => write!(f, "{}:{line}: {message}", path.display())?,
            Self::Device(error) => write!(f, "{error}")?,
            Self::Hub(error) => write!(f, "{error}")?,
            Self::Model(error) => write!(f, "{error}")?,
            Self::Config(error) => write!(f, "{error}")?,
            Self::Serve(error) => write!(f, "{error}")?,
            Self::Setting(error) => write!(f, "{error}")?,
            Self::Train(error) => write!(f, "{error}")?,
            Self::Experiment(error) => write!(f, "{error}")?,
            Self::Interrupted { steps, .. } => write!(f, "stopped by a signal after {steps} steps")?,
            // With the remedy that its rank has found.
            Self::Elsewhere(message) => f.write_str(message)?,
            Self::Signals(error) => write!(f, "cannot install handlers of signals: {error}")?,
            Self::Output(error) => write!(f, "cannot write the result: {error}")?,
        }
        let mut source = self.source();
        while let Some(error) = source {
            write!(f, ": {error}")?;
            source = error.source();
        }
        self.hint().map_or(Ok(()), |hint| write!(f, "\nhint: {hint}"))
    }
}

/// The methods that have a setting.
fn of_methods(name: &str) -> Option<String> {
    let methods: Vec<&str> = Declared::named(name)?.methods.iter().map(|kind| kind.name).collect();
    (!methods.is_empty()).then(|| format!("`{name}` is a setting of --method {}", methods.join(", ")))
}

/// The name that was meant, where one is near.
fn meant(nearest: Option<&str>) -> Option<String> {
    nearest.map(|name| format!("did you mean `{name}`?"))
}

/// The remedy for a device that is not present.
fn absent(kind: Kind) -> &'static str {
    match kind {
        Kind::Cuda => {
            "CUDA needs NVIDIA's driver (libcuda.so.1) and a GPU that CUDA_VISIBLE_DEVICES does not hide; \
             `adamole devices` lists what there is"
        }
        Kind::Vulkan | Kind::Wgpu => {
            "a GPU needs a Vulkan driver: on Debian libvulkan1 with mesa-vulkan-drivers, which also has one in software \
             (VK_ICD_FILENAMES chooses the driver); `adamole devices` lists what there is"
        }
        Kind::Cpu => "`adamole devices` lists what there is",
    }
}

/// The remedy for a run that cannot start or continue.
fn train_hint(error: &TrainError) -> Option<String> {
    let hint = match error {
        TrainError::RunExists { path, .. } if path.join("settings.json").exists() => {
            format!("continue it with --resume {}, choose another --output, or remove that folder", path.display())
        }
        TrainError::RunExists { .. } => "choose another --output, or remove what is left of that run".into(),
        TrainError::RunInUse { .. } => "wait for it, or choose another --output".into(),
        TrainError::RunFinished { path, .. } => {
            format!("its result is {}; other settings make another run", path.join("report.json").display())
        }
        TrainError::ForeignCheckpoint { path, .. } => {
            format!("remove {} from the run, or start a new run with its settings", path.display())
        }
        TrainError::AdapterLost { path } => {
            format!("put it back into {}, or train again with another --output", path.display())
        }
        // Until a step is applied, the adapter adds nothing, whatever the learning rate is.
        TrainError::NotFinite { applied: 0, .. } | TrainError::NoStepApplied { applied: 0, .. } => {
            "no step was applied before, so it is not the learning rate: look for weights of the base that are far too \
             large or not finite, try --dtype float32, or a lower --alpha"
                .into()
        }
        TrainError::NotFinite { .. }
        | TrainError::NoStepApplied { .. }
        | TrainError::NotFiniteLoss { .. }
        | TrainError::Diverged { .. } => "try a lower --learning-rate, more --warmup-steps, or a lower --alpha".into(),
        TrainError::FrozenChanged { .. } => {
            "a kernel of the device has written where it should not, and what was trained since the last look is not to be \
             trusted: continue from an earlier checkpoint with CUBECL_AUTOTUNE_CACHE=0 (results of tuning are not kept) or in a build \
             without Burn's fusion, and report it (docs/gpu.md)"
                .into()
        }
        TrainError::NotFiniteScore { .. } => {
            "the model itself computes numbers that are not finite: look for weights of the base or of the adapter that are far too \
             large or not finite, or try --dtype float32"
                .into()
        }
        TrainError::Io { path, source }
            if path.ends_with("metrics.jsonl") && source.kind() == io::ErrorKind::NotFound =>
        {
            "`adamole metrics` takes a run directory, which holds this file once the run has begun".into()
        }
        TrainError::Io { path, source } if path.ends_with("settings.json") => match source.kind() {
            io::ErrorKind::NotFound => "--resume takes a run directory, which holds this file".into(),
            _ => "without it a run cannot continue: start again in another folder; config.json records the settings".into(),
        },
        _ => return None,
    };
    Some(hint)
}

/// The remedy for an error of the hub.
fn hub_hint(error: &HubError) -> Option<String> {
    let hint = match error {
        HubError::Gated { name, token_given: false } | HubError::TokenMissing { name, .. } => {
            format!("accept the terms of {name} on its page, and put a token into HF_TOKEN")
        }
        HubError::Gated { name, .. } => format!("accept the terms of {name} on its page, as the owner of the token"),
        HubError::TokenRefused { .. } => "make a new token, and put it into HF_TOKEN".into(),
        HubError::Forbidden { .. } => "the token needs the right to read this repository".into(),
        HubError::RepositoryNotFound { token_given: false, .. } => {
            "check the name; a private repository also needs a token in HF_TOKEN".into()
        }
        HubError::Network { .. } => {
            "check the connection and HF_ENDPOINT; what has arrived is kept, and the next call continues from there".into()
        }
        HubError::DiskFull { .. } => "make room, or set HF_HOME to a larger disk; what has arrived is kept".into(),
        HubError::NotWritable { .. } => "set HF_HOME to a folder that can be written".into(),
        HubError::TokenNeeded { .. } => "put a token that may write into HF_TOKEN".into(),
        HubError::UploadRefused { name, .. } => {
            format!("the token needs the right to write to {name}, as its owner or a member of the organisation")
        }
        HubError::NotPrivate { .. } => "make it private on its page, or leave --private out".into(),
        HubError::Offline { .. } => "unset HF_HUB_OFFLINE".into(),
        HubError::NotBuiltIn { .. } => "build the program with its default features, or give a folder".into(),
        HubError::NoClient { .. } => {
            "install the certificates of authorities (on Debian the package ca-certificates), or name a file of them in \
             SSL_CERT_FILE"
                .into()
        }
        HubError::InvalidProxy { variable } => format!("mend or unset {variable}"),
        HubError::NotCached { .. } | HubError::FilesNotCached { .. } | HubError::RevisionNotCached { .. } => {
            "unset HF_HUB_OFFLINE to fetch it, or give a folder".into()
        }
        _ => return None,
    };
    Some(hint)
}

macro_rules! from {
    ($($variant:ident($error:ty)),* $(,)?) => {
        $(impl From<$error> for Failure {
            fn from(error: $error) -> Self {
                Self::$variant(error)
            }
        })*
    };
}

from!(
    Chat(ChatError),
    Config(ConfigError),
    Data(DataError),
    Device(DeviceError),
    Experiment(ExperimentError),
    Hub(HubError),
    Model(ModelError),
    Serve(ServeError),
    Setting(SettingError),
    Train(TrainError)
);

impl From<GenerateError> for Failure {
    fn from(error: GenerateError) -> Self {
        match error {
            GenerateError::Model(error) => Self::Model(error),
            GenerateError::Data(error) => Self::Data(error),
            // No other one is known here.
            error => Self::Usage(error.to_string()),
        }
    }
}

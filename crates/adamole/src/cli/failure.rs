//! What the program says when it cannot go on: the library's error, then what to do about it.

use adamole::{data::DataError, device::DeviceError, hub::HubError, llama::ModelError, train::TrainError};
use std::{error::Error, fmt, process::ExitCode};

/// An error that ends the program.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The command line or the configuration file asks for something that cannot be.
    Usage(String),
    Data(DataError),
    /// An error about an item, with the split that it is of.
    Item(String, DataError),
    Device(DeviceError),
    Hub(HubError),
    Model(ModelError),
    Train(TrainError),
    /// stdout cannot be written.
    Output(std::io::Error),
}

impl Failure {
    /// 2 for wrong use, 1 for failure.
    pub(crate) fn exit_code(&self) -> ExitCode {
        let wrong_use = match self {
            Self::Usage(_) | Self::Device(_) => true,
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
            ),
            Self::Train(error) => matches!(error, TrainError::Recipe { .. } | TrainError::RunExists { .. }),
            Self::Item(..) | Self::Model(_) | Self::Output(_) => false,
        };
        ExitCode::from(if wrong_use { 2 } else { 1 })
    }

    fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::Device(DeviceError::NotBuiltIn { feature, .. }) => {
                format!("build the program with `--features {feature}`")
            }
            Self::Model(ModelError::Safetensors { .. }) => {
                "fetch the file again, and compare its size with the original's".into()
            }
            Self::Model(ModelError::Mismatch { what: "adapter", .. }) => {
                "an adapter fits only the base model that it was trained on; see base_model_name_or_path in its \
                 adapter_config.json"
                    .into()
            }
            Self::Model(ModelError::NoWeights { .. }) => {
                "--model takes a Hugging Face folder: config.json, tokenizer.json and safetensors weights".into()
            }
            Self::Model(ModelError::NotMergeable { .. }) => {
                "keep the adapter beside its base, and give both to --model and --adapter".into()
            }
            Self::Train(TrainError::RunExists { .. }) => "choose another --output, or remove that folder".into(),
            Self::Train(TrainError::NotFinite { .. }) => "try a lower --learning-rate".into(),
            Self::Data(DataError::MissingFile { .. }) => {
                "--data takes the folder of a benchmark, with train.jsonl, validation.parquet or alike".into()
            }
            Self::Data(error) if error.is_about_a_row() => {
                "mend the row, or leave such rows out with --on-bad-row skip".into()
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
            Self::Device(error) => error.source(),
            Self::Hub(error) => error.source(),
            // These show their sources themselves.
            Self::Model(_) | Self::Train(_) | Self::Output(_) => None,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("error: ")?;
        match self {
            Self::Usage(message) => f.write_str(message)?,
            Self::Data(error) => write!(f, "{error}")?,
            Self::Item(place, error) => write!(f, "{place}: {error}")?,
            Self::Device(error) => write!(f, "{error}")?,
            Self::Hub(error) => write!(f, "{error}")?,
            Self::Model(error) => write!(f, "{error}")?,
            Self::Train(error) => write!(f, "{error}")?,
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

/// What to do when the hub does not give what was asked for.
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
            "check the connection and HF_ENDPOINT; what has arrived is kept, and the next call goes on with it".into()
        }
        HubError::DiskFull { .. } => "make room, or set HF_HOME to a larger disk; what has arrived is kept".into(),
        HubError::NotWritable { .. } => "set HF_HOME to a folder that can be written".into(),
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

from!(Data(DataError), Device(DeviceError), Hub(HubError), Model(ModelError), Train(TrainError));

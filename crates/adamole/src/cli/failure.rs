//! What the program says when it cannot go on: the library's error, then what to do about it.

use adamole::{data::DataError, device::DeviceError, hub::HubError, llama::ModelError, train::TrainError};
use std::{error::Error, fmt, path::PathBuf, process::ExitCode};

/// An error that ends the program.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The command line or the configuration file asks for something that cannot be.
    Usage(String),
    Data(DataError),
    /// An error about an item, with the file that it is from.
    Item(PathBuf, DataError),
    Device(DeviceError),
    Hub(HubError),
    Model(ModelError),
    Train(TrainError),
}

impl Failure {
    /// 2 for wrong use, 1 for failure.
    pub(crate) fn exit_code(&self) -> ExitCode {
        let wrong_use = match self {
            Self::Usage(_) | Self::Device(_) => true,
            Self::Data(error) => matches!(error, DataError::UnknownBenchmark { .. } | DataError::UnknownSplit(_)),
            Self::Train(error) => matches!(error, TrainError::Recipe { .. } | TrainError::RunExists { .. }),
            Self::Item(..) | Self::Hub(_) | Self::Model(_) => false,
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
                "--data takes the folder of one benchmark, with train.jsonl and validation.jsonl".into()
            }
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
            Self::Model(_) | Self::Train(_) => None,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("error: ")?;
        match self {
            Self::Usage(message) => f.write_str(message)?,
            Self::Data(error) => write!(f, "{error}")?,
            Self::Item(path, error) => write!(f, "{}: {error}", path.display())?,
            Self::Device(error) => write!(f, "{error}")?,
            Self::Hub(error) => write!(f, "{error}")?,
            Self::Model(error) => write!(f, "{error}")?,
            Self::Train(error) => write!(f, "{error}")?,
        }
        let mut source = self.source();
        while let Some(error) = source {
            write!(f, ": {error}")?;
            source = error.source();
        }
        self.hint().map_or(Ok(()), |hint| write!(f, "\nhint: {hint}"))
    }
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

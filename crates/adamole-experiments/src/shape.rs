//! The shape of a model.

use crate::{ExperimentError, files::text};
use std::{
    fs,
    path::{Path, PathBuf},
};

/// A folder with the `config.json` of a model.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Shape {
    /// One of the embedded `shapes/`.
    Embedded(String),
    Folder(PathBuf),
}

impl Shape {
    /// The embedded shape of this name, or a folder below the source's root.
    pub(crate) fn new(name: &str, root: Option<&Path>) -> Self {
        match text(&format!("shapes/{name}/config.json")) {
            Some(_) => Self::Embedded(name.to_owned()),
            None => Self::Folder(root.map_or_else(|| PathBuf::from(name), |root| root.join(name))),
        }
    }

    /// The folder. An embedded shape is written to `scratch`, which is that of one caller.
    pub(crate) fn folder(&self, scratch: &Path) -> Result<PathBuf, ExperimentError> {
        match self {
            Self::Folder(folder) => Ok(folder.clone()),
            Self::Embedded(name) => {
                let config = scratch.join("config.json");
                let content = text(&format!("shapes/{name}/config.json")).unwrap_or_default();
                fs::create_dir_all(scratch)
                    .and_then(|()| fs::write(&config, content))
                    .map_err(ExperimentError::io(config))?;
                Ok(scratch.to_owned())
            }
        }
    }
}

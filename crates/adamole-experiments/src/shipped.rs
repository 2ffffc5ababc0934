//! The definitions that travel with the program.

use crate::ExperimentError;
use include_dir::{Dir, include_dir};
use std::{
    fs,
    path::{Path, PathBuf},
};

static DEFINITIONS: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/experiments");

/// The text of one of the files, `presets/tiny.toml`; `None` where there is none.
pub(crate) fn text(name: &str) -> Option<&'static str> {
    DEFINITIONS.get_file(name)?.contents_utf8()
}

/// Names, without `.toml`, of the files of one of the folders.
pub(crate) fn names(folder: &str) -> Vec<String> {
    let files = DEFINITIONS.get_dir(folder).map(|dir| dir.files().collect::<Vec<_>>()).unwrap_or_default();
    let toml = files.into_iter().filter(|file| file.path().extension().is_some_and(|extension| extension == "toml"));
    toml.filter_map(|file| Some(file.path().file_stem()?.to_str()?.to_owned())).collect()
}

/// The shape of a model: a folder with its config.json.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Shape {
    /// One of `shapes/`.
    Shipped(String),
    Folder(PathBuf),
}

impl Shape {
    /// The shape of this name, or the folder of it below the source's.
    pub(crate) fn new(name: &str, root: Option<&Path>) -> Self {
        match text(&format!("shapes/{name}/config.json")) {
            Some(_) => Self::Shipped(name.to_owned()),
            None => Self::Folder(root.map_or_else(|| PathBuf::from(name), |root| root.join(name))),
        }
    }

    /// Its folder, written to `scratch` where it travels with the program.
    pub(crate) fn folder(&self, scratch: &Path) -> Result<PathBuf, ExperimentError> {
        match self {
            Self::Folder(folder) => Ok(folder.clone()),
            Self::Shipped(name) => {
                let folder = scratch.join("shapes").join(name);
                let config = folder.join("config.json");
                // Several cells ask for the same one at once.
                fs::create_dir_all(&folder).map_err(ExperimentError::io(&folder))?;
                let written = tempfile::NamedTempFile::new_in(&folder).and_then(|file| {
                    fs::write(file.path(), text(&format!("shapes/{name}/config.json")).unwrap_or_default())?;
                    Ok(file.persist(&config)?)
                });
                written.map_err(ExperimentError::io(&config))?;
                Ok(folder)
            }
        }
    }
}

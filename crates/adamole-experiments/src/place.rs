//! The paths of models, data and results, which are replaced by names in published results.

use crate::{
    ExperimentError,
    definition::Definitions,
    preset::{Model, Portion, Preset},
};
use sha2::{Digest, Sha256};
use std::{
    collections::BTreeMap,
    fs::File,
    io,
    path::{Path, PathBuf},
};

/// The paths of a study.
#[derive(Debug, Clone)]
pub(crate) struct Places {
    /// The folder of the project's source, with the shipped models and samples.
    pub(crate) root: Option<PathBuf>,
    /// Folders of models in place of the preset's, by their names in experiments.
    pub(crate) models: BTreeMap<String, PathBuf>,
    /// The folder with local copies of the hub's data sets.
    pub(crate) data: Option<PathBuf>,
    /// The folder of the results.
    pub(crate) output: PathBuf,
}

impl Places {
    /// The value of `--model` for a model: a folder, or a name on the hub; `None` if there is neither.
    pub(crate) fn model(&self, role: &str, model: &Model) -> Option<String> {
        let shipped = || self.shipped(model.folder.as_deref()?);
        let folder = self.models.get(role).cloned().or_else(shipped).map(|folder| folder.display().to_string());
        folder.or_else(|| model.name.clone())
    }

    /// A folder below that of the source, or of a custom preset.
    fn shipped(&self, folder: &str) -> Option<PathBuf> {
        let folder = self.root.as_ref().map_or_else(|| PathBuf::from(folder), |root| root.join(folder));
        folder.is_dir().then_some(folder)
    }

    /// Whether a model or a data set has to be fetched from the hub.
    pub(crate) fn needs_hub(&self, definitions: &Definitions) -> bool {
        let Preset { models, benchmarks, .. } = &definitions.preset;
        let is_name = |place: &String| !Path::new(place).is_dir();
        let is_remote = |(name, portion): (&String, &Portion)| {
            // A benchmark without a folder is fetched from its place on the hub.
            self.data(name, definitions, portion).is_ok_and(|data| data.as_ref().is_none_or(is_name))
        };
        let is_named = |(role, model): (&String, &Model)| self.model(role, model).as_ref().is_some_and(is_name);
        models.iter().any(is_named) || benchmarks.iter().any(is_remote)
    }

    /// Checks that a model exists and has the hash of the preset.
    ///
    /// # Errors
    /// The model has to be made or ships with the source and is missing; it has another hash.
    pub(crate) fn check_model(&self, role: &str, model: &Model) -> Result<(), ExperimentError> {
        let Some(folder) = self.model(role, model) else {
            if let Some(path) = model.folder.clone() {
                return Err(ExperimentError::NoSource { path });
            }
            let remedy = model.made_by.as_ref().map(|command| format!("; {command} makes it")).unwrap_or_default();
            return Err(ExperimentError::ModelMissing { title: model.title.clone(), role: role.to_owned(), remedy });
        };
        let weights = Path::new(&folder).join("model.safetensors");
        let Some(expected) = model.sha256.clone().filter(|_| weights.is_file()) else { return Ok(()) };
        let mut hash = Sha256::new();
        let read = File::open(&weights).and_then(|mut file| io::copy(&mut file, &mut hash));
        read.map_err(ExperimentError::io(&weights))?;
        let found = format!("{:x}", hash.finalize());
        match found == expected {
            true => Ok(()),
            false => Err(ExperimentError::OtherModel { path: weights, found, title: model.title.clone(), expected }),
        }
    }

    /// The value of `--data` for a benchmark; `None` for its own place on the hub.
    ///
    /// # Errors
    /// It ships with the source, which is missing.
    pub(crate) fn data(
        &self,
        benchmark: &str,
        definitions: &Definitions,
        portion: &Portion,
    ) -> Result<Option<String>, ExperimentError> {
        if let Some(data) = &self.data {
            let folders = definitions.benchmarks.get(benchmark).map(|known| known.folders.clone()).unwrap_or_default();
            let found = folders.iter().map(|folder| data.join(folder)).find(|folder| folder.is_dir());
            return Ok(Some(found.unwrap_or_else(|| data.clone()).display().to_string()));
        }
        match &portion.data {
            None => Ok(None),
            Some(data) => match self.shipped(data) {
                Some(folder) => Ok(Some(folder.display().to_string())),
                // A name on the hub.
                None if !data.starts_with("datasets/") => Ok(Some(data.clone())),
                None => Err(ExperimentError::NoSource { path: data.clone() }),
            },
        }
    }

    /// Whether model and data of a cell with these settings are local.
    pub(crate) fn at_hand(settings: &toml::Table) -> bool {
        let is_folder =
            |key: &str| settings.get(key).and_then(toml::Value::as_str).is_some_and(|p| Path::new(p).is_dir());
        is_folder("model") && is_folder("data")
    }

    /// The result file of a cell.
    pub(crate) fn result(&self, id: &str) -> PathBuf {
        self.output.join("cells").join(format!("{id}.json"))
    }

    /// The folder of a cell's adapter and logs.
    pub(crate) fn run(&self, id: &str) -> PathBuf {
        self.output.join("runs").join(id)
    }

    /// The lock file of a cell, beside its folder.
    pub(crate) fn lock(&self, id: &str) -> PathBuf {
        self.output.join("runs").join(format!("{id}.lock"))
    }

    /// The text with names in place of folders of this machine.
    pub(crate) fn without_folders(&self, text: &str) -> String {
        let mut named: Vec<(String, String)> =
            self.models.iter().map(|(role, folder)| (folder.display().to_string(), format!("MODEL-{role}"))).collect();
        named.extend(self.data.iter().map(|data| (data.display().to_string(), "DATA".into())));
        named.push((self.output.display().to_string(), "RESULTS".into()));
        named.extend(self.root.iter().map(|root| (root.display().to_string(), ".".into())));
        named.extend(std::env::home_dir().map(|home| (home.display().to_string(), "~".into())));
        // Inner folders come before outer ones.
        named.sort_by_key(|(folder, _)| std::cmp::Reverse(folder.len()));
        named.iter().fold(text.to_owned(), |text, (folder, name)| text.replace(folder.as_str(), name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_that_has_to_be_made_is_asked_for_and_checked() -> Result<(), crate::TestError> {
        let folder = tempfile::tempdir()?;
        let file = folder.path().join("model.safetensors");
        std::fs::write(&file, "weights")?;
        let weights = "9f1a39e4a9d04d6ff2d0ebbf8cb1e5a3a4a7ee7b8d6a16a5ab1f7ab36ef81a0a";
        let model = Model {
            title: "small".into(),
            folder: None,
            name: None,
            made_by: Some("make.py".into()),
            sha256: Some(weights.into()),
            shape: String::new(),
        };
        let places = |models| Places { root: None, models, data: None, output: PathBuf::new() };
        let check = |models| places(models).check_model("base", &model).map_err(|error| error.to_string());
        assert_eq!(check(BTreeMap::new()), Err("small needs --model base=DIR; make.py makes it".into()));
        let error = check(BTreeMap::from([("base".to_owned(), folder.path().to_owned())])).err().unwrap_or_default();
        assert!(error.contains(weights) && error.contains("model.safetensors has SHA-256"), "{error}");
        Ok(())
    }

    #[test]
    fn only_what_is_not_shipped_needs_the_hub() -> Result<(), crate::TestError> {
        let places = crate::cell::tests::places(Path::new(""));
        let mut definitions = Definitions::read("tiny", None)?;
        assert!(!places.needs_hub(&definitions));
        assert!(places.needs_hub(&Definitions::read("paper", None)?));
        let quiz = Portion { data: Some("org/quiz".into()), items: None, tokens: None, settings: toml::Table::new() };
        definitions.preset.benchmarks.insert("quiz".into(), quiz);
        assert!(places.needs_hub(&definitions), "a benchmark of one's own that has a name on the hub");
        Ok(())
    }

    #[test]
    fn folders_get_names() {
        let places = Places {
            root: None,
            models: BTreeMap::from([("base".into(), "/models/small".into())]),
            data: Some("/data".into()),
            output: "/data/results".into(),
        };
        let text = places.without_folders("/models/small /data/copa /data/results/runs/a");
        assert_eq!(text, "MODEL-base DATA/copa RESULTS/runs/a");
    }
}

//! Where models, data and results are, and how they are called in what is published: no path of a machine stands there.

use super::definition::{Definitions, Model, Portion};
use crate::{Failure, root};
use sha2::{Digest, Sha256};
use std::{
    collections::BTreeMap,
    fs::File,
    io,
    path::{Path, PathBuf},
};

/// The places of a reproduction.
#[derive(Debug, Clone)]
pub(crate) struct Places {
    /// Folders of models in place of the preset's, by the name that experiments call them.
    pub(crate) models: BTreeMap<String, PathBuf>,
    /// Folder with local copies of the hub's data sets.
    pub(crate) data: Option<PathBuf>,
    /// Folder of the results.
    pub(crate) output: PathBuf,
}

impl Places {
    /// What `--model` is given for a model; `None` for one that has to be made and is not given.
    pub(crate) fn model(&self, role: &str, model: &Model) -> Option<String> {
        if let Some(folder) = self.models.get(role) {
            return Some(folder.display().to_string());
        }
        let shipped = model.name.as_ref().map(|name| root().join(name)).filter(|folder| folder.is_dir());
        shipped.map(|folder| folder.display().to_string()).or_else(|| model.name.clone())
    }

    /// Refuses a model that has to be made and is not given, and another file than the one that a preset's results are of.
    pub(crate) fn check_model(&self, role: &str, model: &Model) -> Result<(), Failure> {
        let Some(folder) = self.model(role, model) else {
            let made = model.made_by.as_ref().map(|command| format!("; {command} makes it")).unwrap_or_default();
            return Err(format!("{} needs --model {role}=DIR{made}", model.title).into());
        };
        let weights = Path::new(&folder).join("model.safetensors");
        let Some(expected) = model.sha256.as_ref().filter(|_| weights.is_file()) else { return Ok(()) };
        let mut hash = Sha256::new();
        io::copy(&mut File::open(&weights)?, &mut hash)?;
        let found = format!("{:x}", hash.finalize());
        match found == *expected {
            true => Ok(()),
            false => Err(format!(
                "{} has SHA-256 {found}, and the preset's {} has {expected}; for another model give --preset a copy of the \
                 preset's file that names it",
                weights.display(),
                model.title,
            )
            .into()),
        }
    }

    /// What `--data` is given for a benchmark; `None` for its own place on the hub.
    pub(crate) fn data(&self, benchmark: &str, definitions: &Definitions, portion: &Portion) -> Option<String> {
        if let Some(data) = &self.data {
            let folders = definitions.benchmarks.get(benchmark).map(|known| known.folders.clone()).unwrap_or_default();
            let found = folders.iter().map(|folder| data.join(folder)).find(|folder| folder.is_dir());
            return Some(found.unwrap_or_else(|| data.clone()).display().to_string());
        }
        portion.data.as_ref().map(|data| root().join(data).display().to_string())
    }

    /// Whether nothing has to be fetched for a cell with these settings.
    pub(crate) fn at_hand(settings: &toml::Table) -> bool {
        let is_folder =
            |key: &str| settings.get(key).and_then(toml::Value::as_str).is_some_and(|p| Path::new(p).is_dir());
        is_folder("model") && is_folder("data")
    }

    /// Small files, one for each cell.
    pub(crate) fn result(&self, id: &str) -> PathBuf {
        self.output.join("cells").join(format!("{id}.json"))
    }

    /// Adapters and logs.
    pub(crate) fn run(&self, id: &str) -> PathBuf {
        self.output.join("runs").join(id)
    }

    /// The text with names in place of this machine's folders.
    pub(crate) fn without_folders(&self, text: &str) -> String {
        let mut named: Vec<(String, String)> =
            self.models.iter().map(|(role, folder)| (folder.display().to_string(), format!("MODEL-{role}"))).collect();
        named.extend(self.data.iter().map(|data| (data.display().to_string(), "DATA".into())));
        named.push((self.output.display().to_string(), "RESULTS".into()));
        named.push((root().display().to_string(), ".".into()));
        named.extend(std::env::home_dir().map(|home| (home.display().to_string(), "~".into())));
        // What lies within another folder comes first.
        named.sort_by_key(|(folder, _)| std::cmp::Reverse(folder.len()));
        named.iter().fold(text.to_owned(), |text, (folder, name)| text.replace(folder.as_str(), name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_that_has_to_be_made_is_asked_for_and_checked() -> Result<(), Failure> {
        let folder = tempfile::tempdir()?;
        std::fs::write(folder.path().join("model.safetensors"), "weights")?;
        let weights = "9f1a39e4a9d04d6ff2d0ebbf8cb1e5a3a4a7ee7b8d6a16a5ab1f7ab36ef81a0a";
        let model = Model {
            title: "small".into(),
            name: None,
            made_by: Some("make.py".into()),
            sha256: Some(weights.into()),
            shape: String::new(),
        };
        let places = |models| Places { models, data: None, output: PathBuf::new() };
        let check = |models| places(models).check_model("base", &model).map_err(|error| error.to_string());
        assert_eq!(check(BTreeMap::new()), Err("small needs --model base=DIR; make.py makes it".into()));
        let error = check(BTreeMap::from([("base".to_owned(), folder.path().to_owned())])).err().unwrap_or_default();
        assert!(error.contains(weights) && error.contains("model.safetensors has SHA-256"), "{error}");
        Ok(())
    }

    #[test]
    fn folders_get_names() {
        let places = Places {
            models: BTreeMap::from([("base".into(), "/models/small".into())]),
            data: Some("/data".into()),
            output: "/data/results".into(),
        };
        let text = places.without_folders("/models/small /data/copa /data/results/runs/a");
        assert_eq!(text, "MODEL-base DATA/copa RESULTS/runs/a");
    }
}

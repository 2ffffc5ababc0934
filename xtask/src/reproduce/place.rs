//! Where models, data and results are, and how they are called in what is published: no path of a machine stands there.

use super::definition::{Definitions, Model, Portion};
use crate::root;
use std::{
    collections::BTreeMap,
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
    /// What `--model` is given for a model.
    pub(crate) fn model(&self, role: &str, model: &Model) -> String {
        if let Some(folder) = self.models.get(role) {
            return folder.display().to_string();
        }
        let shipped = root().join(&model.name);
        if shipped.is_dir() { shipped.display().to_string() } else { model.name.clone() }
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

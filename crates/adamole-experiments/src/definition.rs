//! All definitions of a study: tables and figures, methods, benchmarks, the paper's numbers and a preset.

use crate::{
    ExperimentError,
    experiment::{Column, Experiment, Rate},
    files::{self, embedded, read, read_folder},
    method::Method,
    paper::Paper,
    plan::Key,
    preset::Preset,
    variant::{Variant, variants},
};
use serde::Deserialize;
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

/// The content of all files.
#[derive(Debug)]
pub(crate) struct Definitions {
    pub(crate) preset: Preset,
    /// In the order of the report: by kind and number.
    pub(crate) experiments: Vec<Experiment>,
    pub(crate) methods: BTreeMap<String, Method>,
    pub(crate) benchmarks: BTreeMap<String, Benchmark>,
    pub(crate) paper: Paper,
    /// The learning rate of each method of a comparison, as far as it is chosen.
    pub(crate) rates: BTreeMap<String, f64>,
    /// The runs of each experiment's rows and columns.
    variants: BTreeMap<String, Vec<Variant>>,
}

/// A benchmark of a column.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Benchmark {
    pub(crate) title: String,
    /// Its possible folders in a local copy of the hub's data sets (`--data`).
    #[serde(default)]
    pub(crate) folders: Vec<String>,
    /// The TOML file of a custom benchmark, which `--benchmark` is given in place of the name.
    #[serde(skip)]
    pub(crate) file: Option<PathBuf>,
}

impl Definitions {
    /// Reads and checks all files. `preset` is a name or a TOML file, `own` a folder with further tables and figures.
    pub(crate) fn read(preset: &str, own: Option<&Path>) -> Result<Self, ExperimentError> {
        let mut experiments = Vec::new();
        for id in files::names("tables") {
            experiments.push(Experiment { id: id.clone(), ..embedded(&format!("tables/{id}.toml"))? }.with_sweep());
        }
        for experiment in own.map(read_folder).transpose()?.into_iter().flatten() {
            // It replaces an embedded one of the same name.
            experiments.retain(|known: &Experiment| known.id != experiment.id);
            experiments.push(experiment);
        }
        experiments.sort_by_key(|experiment| files::order(&experiment.id));
        let preset: Preset = match preset.ends_with(".toml") {
            true => read(Path::new(preset))?,
            false => {
                known("--preset", "preset", [&preset.to_owned()], &files::names("presets"))?;
                embedded(&format!("presets/{preset}.toml"))?
            }
        };
        let mut paper: Paper = embedded("paper.toml")?;
        if let Some(comparison) = &preset.comparison {
            // The trials come first.
            experiments = comparison.experiments().into();
            paper.clear();
        }
        let mut definitions = Self {
            preset,
            experiments,
            methods: embedded("methods.toml")?,
            benchmarks: embedded("benchmarks.toml")?,
            paper,
            rates: BTreeMap::new(),
            variants: BTreeMap::new(),
        };
        definitions.add_own()?;
        definitions.validate()?;
        definitions.variants = variants(&definitions)?;
        Ok(definitions)
    }

    /// Adds the methods and benchmarks that experiments define.
    fn add_own(&mut self) -> Result<(), ExperimentError> {
        for (name, method) in self.preset.comparison.iter().flat_map(|comparison| &comparison.methods) {
            if self.methods.insert(name.clone(), method.clone()).is_some() {
                let file = "the preset".into();
                return Err(ExperimentError::DefinedTwice { file, what: "method", name: name.clone() });
            }
        }
        for experiment in &self.experiments {
            let twice = |what, name: &String| {
                Err(ExperimentError::DefinedTwice { file: format!("{}.toml", experiment.id), what, name: name.clone() })
            };
            for (name, method) in &experiment.methods {
                if self.methods.insert(name.clone(), method.clone()).is_some() {
                    return twice("method", name);
                }
            }
            for (name, own) in &experiment.benchmarks {
                let in_folder = |path: &Path| {
                    let path = experiment.folder.join(path);
                    fs::canonicalize(&path).map_err(|source| ExperimentError::OwnBenchmark {
                        file: format!("{}.toml", experiment.id),
                        name: name.clone(),
                        path,
                        source,
                    })
                };
                let file = own.file.as_deref().map(in_folder).transpose()?;
                let mut portion = own.portion.clone();
                if let Some(data) = portion.data.as_ref().filter(|data| experiment.folder.join(data).exists()) {
                    portion.data = Some(in_folder(Path::new(data))?.display().to_string());
                }
                let benchmark = Benchmark { title: own.title.clone(), folders: Vec::new(), file };
                if self.benchmarks.insert(name.clone(), benchmark).is_some() {
                    return twice("benchmark", name);
                }
                self.preset.benchmarks.insert(name.clone(), portion);
            }
        }
        Ok(())
    }

    fn validate(&self) -> Result<(), ExperimentError> {
        let Self { preset, experiments, methods, benchmarks, paper, .. } = self;
        let ids = || experiments.iter().map(|experiment| &experiment.id);
        for experiment in experiments {
            let file = format!("{}.toml", experiment.id);
            let of_columns = || experiment.columns.iter().map(|column| &column.benchmark);
            let left_out = || preset.left_out.keys();
            known(&file, "method", experiment.all_rows(), methods.keys())?;
            known(&file, "method", experiment.claims.iter().filter_map(|claim| claim.method()), methods.keys())?;
            known(&file, "benchmark", of_columns(), benchmarks.keys())?;
            known(&file, "model of the preset", [&experiment.model], preset.models.keys().chain(left_out()))?;
            known(&file, "benchmark of the preset", of_columns(), preset.benchmarks.keys().chain(left_out()))?;
            if let Some(printed) = paper.get(&experiment.id) {
                let rows = experiment.rows.iter().filter_map(|row| methods.get(row));
                let rows = rows.map(|method| (method.model.as_str(), method.gating.as_str()));
                if let Some(difference) = printed.differences(experiment, rows) {
                    return Err(ExperimentError::NotThePapers { file, difference });
                }
            }
        }
        if let Some(comparison) = &preset.comparison {
            comparison.rates.check()?;
        }
        // A comparison chooses its rates itself.
        let families = methods.values().filter(|_| preset.comparison.is_none());
        let families = families.filter_map(|method| method.family.as_ref());
        known("paper.toml", "table", paper.keys(), ids())?;
        known("the preset", "method", &preset.check.methods, methods.keys())?;
        known("the preset", "benchmark", preset.benchmarks.keys(), benchmarks.keys())?;
        known("the definition of a method", "family", families, preset.families.keys())?;
        known("the preset", "experiment", &preset.first, ids())
    }

    /// The experiments in the order in which they run.
    pub(crate) fn in_running_order(&self) -> impl Iterator<Item = &Experiment> {
        let first = &self.preset.first;
        let of_preset = first.iter().filter_map(|id| self.experiments.iter().find(|experiment| experiment.id == *id));
        of_preset.chain(self.experiments.iter().filter(|experiment| !first.contains(&experiment.id)))
    }

    /// The reason why the preset does not have the model of an experiment; `None` if it has it.
    pub(crate) fn no_model(&self, experiment: &Experiment) -> Option<&str> {
        match self.preset.models.contains_key(&experiment.model) {
            true => None,
            false => Some(self.preset.left_out.get(&experiment.model).map_or("", String::as_str)),
        }
    }

    /// The title of a benchmark in tables.
    pub(crate) fn benchmark_title<'a>(&'a self, benchmark: &'a str) -> &'a str {
        self.benchmarks.get(benchmark).map_or(benchmark, |known| &known.title)
    }

    /// The title of a column in tables.
    pub(crate) fn column_title<'a>(&'a self, column: &'a Column) -> &'a str {
        if column.is_benchmark() { self.benchmark_title(&column.benchmark) } else { &column.id }
    }

    /// The run with the numbers of a row in a column.
    pub(crate) fn variant(&self, experiment: &Experiment, column: &str, method: &str) -> Option<&Variant> {
        let all = self.variants.get(&experiment.id)?;
        all.iter().find(|variant| variant.column == column && variant.method == method)
    }

    /// Whether a cell is a trial of a learning rate.
    pub(crate) fn is_trial(&self, key: &Key) -> bool {
        self.variant_named(&key.method).is_some_and(|variant| matches!(variant.rate, Rate::Trial { .. }))
    }

    /// The seed of the trials, if there are any.
    pub(crate) fn trial_seed(&self) -> Option<u64> {
        self.preset.comparison.as_ref().map(|comparison| comparison.rates.seed)
    }

    /// The run of a cell, by the cell's name for its method.
    pub(crate) fn variant_named(&self, name: &str) -> Option<&Variant> {
        self.variants().find(|variant| variant.name == name)
    }

    /// All runs. Those that experiments share occur more than once.
    pub(crate) fn variants(&self) -> impl Iterator<Item = &Variant> {
        self.variants.values().flatten()
    }

    /// The paper's value for a row in a column.
    pub(crate) fn printed(&self, experiment: &Experiment, column: &str, method: &str) -> Option<f64> {
        let method = self.methods.get(method)?;
        self.paper.get(&experiment.id)?.value(&method.model, &method.gating, column)
    }
}

/// Checks that `all` has every name.
pub(crate) fn known<'a>(
    place: &str,
    what: &'static str,
    names: impl IntoIterator<Item = &'a String>,
    all: impl IntoIterator<Item = &'a String>,
) -> Result<(), ExperimentError> {
    const LISTED: usize = 40;
    let all: BTreeSet<&str> = all.into_iter().map(String::as_str).collect();
    match names.into_iter().find(|name| !all.contains(name.as_str())) {
        None => Ok(()),
        Some(name) => {
            let known = match all.len() {
                0..=LISTED => all.into_iter().collect::<Vec<_>>().join(", "),
                many => format!("{many}, which --dry-run lists"),
            };
            Err(ExperimentError::Unknown { place: place.to_owned(), what, name: name.clone(), known })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shipped_definitions_are_whole() -> Result<(), crate::TestError> {
        for preset in ["tiny", "smollm2", "gemma3", "paper"] {
            let definitions = Definitions::read(preset, None)?;
            let ids: Vec<&str> = definitions.experiments.iter().map(|experiment| experiment.id.as_str()).collect();
            let paper = ["table1", "table2", "table3", "table4", "table5", "table6", "table7", "figure2", "figure3"];
            assert_eq!(ids, paper, "{preset}");
        }
        Ok(())
    }

    #[test]
    fn every_number_of_the_paper_has_one_place() -> Result<(), crate::TestError> {
        let definitions = Definitions::read("tiny", None)?;
        let mut places = 0;
        for experiment in &definitions.experiments {
            for (method, column) in
                experiment.all_rows().flat_map(|row| experiment.columns.iter().map(move |column| (row, column)))
            {
                places += usize::from(definitions.printed(experiment, &column.id, method).is_some());
            }
        }
        let printed: usize = definitions.paper.values().flat_map(|table| &table.rows).map(|row| row.values.len()).sum();
        assert_eq!((places, printed), (132, 132));
        let table5 = definitions.experiments.iter().find(|experiment| experiment.id == "table5").ok_or("table5")?;
        assert_eq!(definitions.printed(table5, "8x8", "mole-threshold"), Some(68.88));
        Ok(())
    }

    #[test]
    fn what_is_unknown_is_refused() {
        let error =
            known("file", "method", [&"lore".to_owned()], [&"lora".to_owned()]).map_err(|error| error.to_string());
        assert_eq!(error, Err("file: method lore is unknown; known: lora".into()));
    }

    #[test]
    fn a_table_and_a_benchmark_of_ones_own_are_data() -> Result<(), crate::TestError> {
        let folder = tempfile::tempdir()?;
        fs::create_dir(folder.path().join("quiz"))?;
        fs::write(folder.path().join("quiz.toml"), "fields = [\"question\"]\n")?;
        let table = |benchmark_file: &str| {
            format!(
                "caption = \"A quiz\"\ncolumns = [\"quiz\"]\nrows = [\"lora\", \"wide\"]\n\
                 [methods.wide]\nmodel = \"wide LoRA\"\nfamily = \"lora\"\nsettings = {{ method = \"lora\", rank = 64 }}\n\
                 [benchmarks.quiz]\ntitle = \"Quiz\"\nfile = \"{benchmark_file}\"\nportion = {{ data = \"quiz\" }}\n"
            )
        };
        fs::write(folder.path().join("table8.toml"), table("quiz.toml"))?;
        let definitions = Definitions::read("tiny", Some(folder.path()))?;
        let mine = definitions.experiments.iter().find(|experiment| experiment.id == "table8").ok_or("table8")?;
        assert_eq!(definitions.experiments.iter().position(|experiment| experiment.id == "table8"), Some(7));
        let benchmark = definitions.benchmarks.get("quiz").ok_or("quiz")?;
        assert!(benchmark.file.as_ref().is_some_and(|file| file.ends_with("quiz.toml")), "{benchmark:?}");
        assert_eq!(definitions.variant(mine, "quiz", "wide").map(|variant| variant.name.as_str()), Some("wide"));

        fs::write(folder.path().join("table8.toml"), table("quizz.toml"))?;
        let error = Definitions::read("tiny", Some(folder.path())).map(|_| ()).map_err(|error| error.to_string());
        assert!(error.is_err_and(|error| error.contains("benchmark quiz") && error.contains("quizz.toml")));
        Ok(())
    }
}

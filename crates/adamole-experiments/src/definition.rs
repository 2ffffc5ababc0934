//! What there is to reproduce, as data: tables and figures, methods, benchmarks, the paper's numbers, and presets that say
//! with which models and how long.

use crate::{
    ExperimentError,
    experiment::{Column, Experiment},
    method::Method,
    paper::Paper,
    preset::Preset,
    shipped,
    variant::{Variant, variants},
};
use serde::{Deserialize, de::DeserializeOwned};
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};
use toml::Table;

/// Everything that the files say.
#[derive(Debug)]
pub(crate) struct Definitions {
    pub(crate) preset: Preset,
    /// In the report's order: by kind and number.
    pub(crate) experiments: Vec<Experiment>,
    pub(crate) methods: BTreeMap<String, Method>,
    pub(crate) benchmarks: BTreeMap<String, Benchmark>,
    pub(crate) paper: Paper,
    /// The runs of each experiment's rows and columns.
    variants: BTreeMap<String, Vec<Variant>>,
}

/// A column's benchmark, or one of one's own.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Benchmark {
    pub(crate) title: String,
    /// Where a local copy of the hub's data sets (`--data`) may have it.
    #[serde(default)]
    pub(crate) folders: Vec<String>,
    /// What `--benchmark` is given in place of the name.
    #[serde(skip)]
    pub(crate) file: Option<PathBuf>,
}

impl Definitions {
    /// Reads all files of a preset (a name, or a TOML file of one's own), which name each other rightly; `own` is a folder of
    /// further tables and figures.
    pub(crate) fn read(preset: &str, own: Option<&Path>) -> Result<Self, ExperimentError> {
        let mut experiments = Vec::new();
        for id in shipped::names("tables") {
            experiments.push(Experiment { id: id.clone(), ..parsed(&format!("tables/{id}.toml"))? }.with_sweep());
        }
        for experiment in own.map(read_folder).transpose()?.into_iter().flatten() {
            // One's own goes over the shipped one of the same name.
            experiments.retain(|known: &Experiment| known.id != experiment.id);
            experiments.push(experiment);
        }
        experiments.sort_by_key(|experiment| order(&experiment.id));
        let preset = match preset.ends_with(".toml") {
            true => read(Path::new(preset))?,
            false => {
                let presets: BTreeMap<String, ()> =
                    shipped::names("presets").into_iter().map(|name| (name, ())).collect();
                known("--preset", "preset", [&preset.to_owned()], &presets)?;
                parsed(&format!("presets/{preset}.toml"))?
            }
        };
        let mut definitions = Self {
            preset,
            experiments,
            methods: parsed("methods.toml")?,
            benchmarks: parsed("benchmarks.toml")?,
            paper: parsed("paper.toml")?,
            variants: BTreeMap::new(),
        };
        definitions.take_in_own()?;
        definitions.validate()?;
        definitions.variants = variants(&definitions)?;
        Ok(definitions)
    }

    /// Adds the methods and benchmarks that experiments bring along.
    fn take_in_own(&mut self) -> Result<(), ExperimentError> {
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
        let ids: BTreeMap<String, ()> = experiments.iter().map(|experiment| (experiment.id.clone(), ())).collect();
        let left_out = preset.left_out.keys().map(|name| (name.clone(), ()));
        let models: BTreeMap<String, ()> =
            preset.models.keys().map(|name| (name.clone(), ())).chain(left_out.clone()).collect();
        let portions: BTreeMap<String, ()> =
            preset.benchmarks.keys().map(|name| (name.clone(), ())).chain(left_out).collect();
        for experiment in experiments {
            let file = format!("{}.toml", experiment.id);
            known(&file, "method", experiment.all_rows(), methods)?;
            known(&file, "method", experiment.claims.iter().filter_map(|claim| claim.method()), methods)?;
            known(&file, "benchmark", experiment.columns.iter().map(|column| &column.benchmark), benchmarks)?;
            known(&file, "model of the preset", [&experiment.model], &models)?;
            known(
                &file,
                "benchmark of the preset",
                experiment.columns.iter().map(|column| &column.benchmark),
                &portions,
            )?;
            if let Some(printed) = paper.get(&experiment.id) {
                let rows = experiment.rows.iter().filter_map(|row| methods.get(row));
                let rows = rows.map(|method| (method.model.as_str(), method.gating.as_str()));
                if let Some(difference) = printed.differences(experiment, rows) {
                    return Err(ExperimentError::NotThePapers { file, difference });
                }
            }
        }
        known("paper.toml", "table", paper.keys(), &ids)?;
        known("the preset", "method", &preset.check.methods, methods)?;
        known("the preset", "benchmark", preset.benchmarks.keys(), benchmarks)?;
        known(
            "the definition of a method",
            "family",
            methods.values().filter_map(|m| m.family.as_ref()),
            &preset.families,
        )?;
        known("the preset", "experiment", &preset.first, &ids)
    }

    /// The experiments in the order of running.
    pub(crate) fn in_order_of_running(&self) -> impl Iterator<Item = &Experiment> {
        let first = &self.preset.first;
        let of_preset = first.iter().filter_map(|id| self.experiments.iter().find(|experiment| experiment.id == *id));
        of_preset.chain(self.experiments.iter().filter(|experiment| !first.contains(&experiment.id)))
    }

    /// Why the preset does not have the model of an experiment, where it does not.
    pub(crate) fn no_model(&self, experiment: &Experiment) -> Option<&str> {
        match self.preset.models.contains_key(&experiment.model) {
            true => None,
            false => Some(self.preset.left_out.get(&experiment.model).map_or("", String::as_str)),
        }
    }

    /// How tables call a benchmark.
    pub(crate) fn benchmark_title<'a>(&'a self, benchmark: &'a str) -> &'a str {
        self.benchmarks.get(benchmark).map_or(benchmark, |known| &known.title)
    }

    /// How tables call a column.
    pub(crate) fn column_title<'a>(&'a self, column: &'a Column) -> &'a str {
        if column.is_benchmark() { self.benchmark_title(&column.benchmark) } else { &column.id }
    }

    /// The run that a row has its numbers from in a column.
    pub(crate) fn variant(&self, experiment: &Experiment, column: &str, method: &str) -> Option<&Variant> {
        let all = self.variants.get(&experiment.id)?;
        all.iter().find(|variant| variant.column == column && variant.method == method)
    }

    /// The run of a cell, by the name that the cell has for its method.
    pub(crate) fn variant_named(&self, name: &str) -> Option<&Variant> {
        self.variants().find(|variant| variant.name == name)
    }

    /// All runs, those that experiments share more than once.
    pub(crate) fn variants(&self) -> impl Iterator<Item = &Variant> {
        self.variants.values().flatten()
    }

    /// What the paper prints in this place.
    pub(crate) fn printed(&self, experiment: &Experiment, column: &str, method: &str) -> Option<f64> {
        let method = self.methods.get(method)?;
        self.paper.get(&experiment.id)?.value(&method.model, &method.gating, column)
    }
}

/// The tables and figures of a folder of one's own.
fn read_folder(folder: &Path) -> Result<Vec<Experiment>, ExperimentError> {
    let mut experiments = Vec::new();
    for file in fs::read_dir(folder).map_err(ExperimentError::io(folder))?.flatten() {
        let path = file.path();
        let id = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default().to_owned();
        // A TOML file that describes a benchmark of one's own lies beside the table that names it.
        if path.extension().is_some_and(|extension| extension == "toml") && is_experiment(&path)? {
            let read: Experiment = read(&path)?;
            experiments.push(Experiment { id, folder: folder.to_owned(), ..read }.with_sweep());
        }
    }
    Ok(experiments)
}

/// Whether a file has the keys that every table and figure has.
fn is_experiment(path: &Path) -> Result<bool, ExperimentError> {
    let table: Table = read(path)?;
    Ok(["caption", "columns", "rows"].iter().any(|key| table.contains_key(*key)))
}

/// Tables before figures before others; by number.
fn order(id: &str) -> (usize, u32, String) {
    let kind = id.trim_end_matches(|letter: char| letter.is_ascii_digit());
    let place = ["table", "figure"].iter().position(|known| *known == kind).unwrap_or(2);
    (place, id[kind.len()..].parse().unwrap_or(0), id.to_owned())
}

fn read<T: DeserializeOwned>(path: &Path) -> Result<T, ExperimentError> {
    let text = fs::read_to_string(path).map_err(ExperimentError::io(path))?;
    parse(&path.display().to_string(), &text)
}

/// One of the files that travel with the program.
fn parsed<T: DeserializeOwned>(name: &str) -> Result<T, ExperimentError> {
    parse(name, shipped::text(name).unwrap_or_default())
}

fn parse<T: DeserializeOwned>(file: &str, text: &str) -> Result<T, ExperimentError> {
    toml::from_str(text).map_err(|source| ExperimentError::Toml { file: file.to_owned(), source: Box::new(source) })
}

/// Refuses the first name that is not among `all`.
pub(crate) fn known<'a, T>(
    place: &str,
    what: &'static str,
    names: impl IntoIterator<Item = &'a String>,
    all: &BTreeMap<String, T>,
) -> Result<(), ExperimentError> {
    match names.into_iter().find(|name| !all.contains_key(*name)) {
        None => Ok(()),
        Some(name) => {
            const LISTED: usize = 40;
            let known = match all.len() {
                0..=LISTED => all.keys().map(String::as_str).collect::<Vec<_>>().join(", "),
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
        for preset in ["tiny", "smollm2", "paper"] {
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
        let all = BTreeMap::from([("lora".to_owned(), ())]);
        let error = known("file", "method", [&"lore".to_owned()], &all).map_err(|error| error.to_string());
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

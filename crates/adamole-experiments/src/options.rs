//! The flags of a study.

use crate::{
    ExperimentError,
    definition::{self, Definitions},
    place::Places,
    plan::Choice,
    slurm::SlurmOptions,
};
use clap::Args;
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

/// The flags of `cargo xtask reproduce` and of `adamole experiments`.
#[derive(Debug, Clone, Args)]
pub struct Options {
    /// Preset: tiny, smollm2, gemma3, methods, paper, or a TOML file
    ///
    /// tiny has shipped models and samples; smollm2 and gemma3 are small real models on a CPU; methods are methods of 2024
    /// to 2026 beside each other on the first of these; paper has the paper's models.
    #[arg(long, default_value = "tiny")]
    pub(crate) preset: String,
    /// Folder with custom tables and figures, beside the paper's
    #[arg(long, value_name = "DIR")]
    pub(crate) experiments: Option<PathBuf>,
    /// Only these tables: 3, or 2,3, or the name of a file
    #[arg(long, value_delimiter = ',')]
    pub(crate) table: Vec<String>,
    /// Only these figures: 2 or 3, or the name of a file
    #[arg(long, value_delimiter = ',')]
    pub(crate) figure: Vec<String>,
    /// Only these cells: MODEL.BENCHMARK.METHOD.SEED
    ///
    /// Results and dry runs name them so.
    #[arg(long, value_delimiter = ',')]
    pub(crate) cell: Vec<String>,
    /// Only these methods, by their names in cells
    #[arg(long, value_delimiter = ',')]
    pub(crate) method: Vec<String>,
    /// Only these benchmarks
    #[arg(long, value_delimiter = ',')]
    pub(crate) benchmark: Vec<String>,
    /// Seeds [default: the preset's]
    ///
    /// All cells run with one seed before any runs with the next.
    #[arg(long, value_delimiter = ',')]
    pub(crate) seeds: Vec<u64>,
    /// Local folder of a model in place of the preset's
    ///
    /// DIR is for the first; base=DIR, gemma=DIR and larger=DIR name one.
    #[arg(long, value_name = "[MODEL=]DIR")]
    pub(crate) model: Vec<String>,
    /// Folder with local copies of the benchmarks' data sets
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    /// Device: auto, cpu, wgpu, vulkan, cuda or cuda:INDEX
    #[arg(long, default_value = "auto")]
    pub(crate) device: String,
    /// Parallel cells, which share the cores [default: the preset's]
    #[arg(long)]
    pub(crate) jobs: Option<usize>,
    /// Folder of the results [default: results/PRESET]
    #[arg(long)]
    pub(crate) output: Option<PathBuf>,
    /// The `adamole` program to run [default: this one, or the one that is built]
    #[arg(long, value_name = "FILE")]
    pub(crate) program: Option<PathBuf>,
    /// List the cells with estimates of time and memory
    ///
    /// Nothing is run or built.
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Measure the costs of the methods of a comparison, in place of running cells
    ///
    /// They are the time of a step, the latency of a decode and the peak memory. The machine has to be idle otherwise.
    #[arg(long, conflicts_with_all = ["dry_run", "report_only"])]
    pub(crate) measure: bool,
    /// Write the report from the existing results
    ///
    /// Nothing is run or built.
    #[arg(long)]
    pub(crate) report_only: bool,
    /// Fail unless every cell has a result and the required claims hold
    #[arg(long)]
    pub(crate) check: bool,
    /// Leave the report to another call, as the tasks of a job array do
    #[arg(long, hide = true)]
    pub(crate) only_cells: bool,
    #[command(flatten)]
    pub(crate) slurm: SlurmOptions,
}

impl Options {
    /// The name of the preset, without folder and ending.
    pub(crate) fn preset_name(&self) -> String {
        let name = Path::new(&self.preset).file_stem().map(|stem| stem.to_string_lossy().into_owned());
        name.unwrap_or_else(|| self.preset.clone())
    }

    /// Whether cells are run, here or elsewhere.
    pub(crate) fn runs_cells(&self) -> bool {
        !self.dry_run && !self.report_only && !self.measure
    }

    /// The flags that make the same study anywhere, with all paths from the root.
    pub(crate) fn again(&self, places: &Places, program: &Path) -> Result<Vec<String>, ExperimentError> {
        let absolute = |path: &Path| std::path::absolute(path).map_err(ExperimentError::io(path));
        let preset = match self.preset.ends_with(".toml") {
            true => absolute(Path::new(&self.preset))?.display().to_string(),
            false => self.preset.clone(),
        };
        let mut words = vec!["--preset".to_owned(), preset, "--device".into(), self.device.clone()];
        let mut flag = |name: &str, value: String| words.extend([format!("--{name}"), value]);
        if let Some(folder) = &self.experiments {
            flag("experiments", absolute(folder)?.display().to_string());
        }
        if !self.seeds.is_empty() {
            flag("seeds", self.seeds.iter().map(u64::to_string).collect::<Vec<_>>().join(","));
        }
        for (role, folder) in &places.models {
            flag("model", format!("{role}={}", folder.display()));
        }
        if let Some(data) = &places.data {
            flag("data", data.display().to_string());
        }
        flag("output", places.output.display().to_string());
        flag("program", program.display().to_string());
        Ok(words)
    }

    pub(crate) fn choice(&self) -> Choice {
        // A number, or the name of a file.
        let id = |kind: &str, asked: &String| match asked.parse::<u32>() {
            Ok(number) => format!("{kind}{number}"),
            Err(_) => asked.clone(),
        };
        let tables = self.table.iter().map(|asked| id("table", asked));
        let figures = self.figure.iter().map(|asked| id("figure", asked));
        Choice {
            experiments: tables.chain(figures).collect(),
            benchmarks: self.benchmark.clone(),
            methods: self.method.clone(),
            cells: self.cell.clone(),
        }
    }

    pub(crate) fn places(&self, definitions: &Definitions, root: Option<&Path>) -> Result<Places, ExperimentError> {
        let folder = |path: &Path| fs::canonicalize(path).map_err(ExperimentError::io(path));
        let mut models = BTreeMap::new();
        for model in &self.model {
            let (role, path) = model.split_once('=').unwrap_or(("base", model));
            definition::known("--model", "model", [&role.to_owned()], definitions.preset.models.keys())?;
            models.insert(role.to_owned(), folder(Path::new(path))?);
        }
        let data = self.data.as_deref().map(folder).transpose()?;
        let in_source = |folder: PathBuf| root.map_or_else(|| folder.clone(), |root| root.join(&folder));
        let output = self.output.clone().unwrap_or_else(|| in_source(Path::new("results").join(self.preset_name())));
        let output = std::path::absolute(&output).map_err(ExperimentError::io(output))?;
        Ok(Places { root: root.map(Path::to_owned), models, data, output })
    }

    /// The command line without paths of this machine.
    pub(crate) fn command(&self, name: &str) -> String {
        let mut words = vec![name.to_owned()];
        if self.preset != "tiny" {
            words.push(format!("--preset {}", self.preset_name()));
        }
        let list = |numbers: &[u64]| numbers.iter().map(u64::to_string).collect::<Vec<_>>().join(",");
        if !self.seeds.is_empty() {
            words.push(format!("--seeds {}", list(&self.seeds)));
        }
        words.join(" ")
    }
}

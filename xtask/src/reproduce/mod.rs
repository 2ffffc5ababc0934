//! The paper's tables and figures: what there is to run is data, each cell is one run of the program, and the report is
//! made of the result files alone.

mod cell;
mod check;
mod claims;
mod definition;
mod differences;
mod dry_run;
mod estimate;
mod experiment;
mod figure;
mod formula;
mod json;
mod outcome;
mod paper;
mod place;
mod plan;
mod report;
mod results;
mod run;
mod table;
mod variant;

use crate::{Failure, cargo, machine, root};
use cell::{Cell, Launch};
use clap::Args;
use definition::Definitions;
use outcome::Outcome;
use place::Places;
use plan::{Choice, Key, Shard, plan};
use results::Results;
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

#[derive(Args)]
pub(crate) struct Options {
    /// tiny (shipped bases and samples), smollm2 (a small real model on a CPU), paper, or a TOML file of one's own
    #[arg(long, default_value = "tiny")]
    preset: String,
    /// Folder with tables and figures of one's own, beside the paper's
    #[arg(long, value_name = "DIR")]
    experiments: Option<PathBuf>,
    /// Only these tables: 3, or 2,3, or the name of a file
    #[arg(long, value_delimiter = ',')]
    table: Vec<String>,
    /// Only these figures: 2 or 3, or the name of a file
    #[arg(long, value_delimiter = ',')]
    figure: Vec<String>,
    /// Only these cells, as results and dry runs name them: MODEL.BENCHMARK.METHOD.SEED
    #[arg(long, value_delimiter = ',')]
    cell: Vec<String>,
    /// Only these methods, as xtask/experiments/methods.toml or cells name them
    #[arg(long, value_delimiter = ',')]
    method: Vec<String>,
    /// Only these benchmarks
    #[arg(long, value_delimiter = ',')]
    benchmark: Vec<String>,
    /// Seeds, all cells with one before any with the next [the preset's]
    #[arg(long, value_delimiter = ',')]
    seeds: Vec<u64>,
    /// Local folder of a model in place of the preset's: DIR for the first, or base=DIR, gemma=DIR, larger=DIR
    #[arg(long, value_name = "[MODEL=]DIR")]
    model: Vec<String>,
    /// Folder with local copies of the benchmarks' data sets
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// auto, cpu, wgpu, vulkan, cuda or cuda:INDEX
    #[arg(long, default_value = "auto")]
    device: String,
    /// Cells side by side, which share out the cores [the preset's]
    #[arg(long)]
    jobs: Option<usize>,
    /// Only a part of the cells, for several machines that share the results: 1/3
    #[arg(long)]
    shard: Option<Shard>,
    /// Folder of the results [results/PRESET]
    #[arg(long)]
    output: Option<PathBuf>,
    /// The program to run [built from this workspace]
    #[arg(long, value_name = "FILE")]
    program: Option<PathBuf>,
    /// Say what would run, with time and memory, and run nothing. Builds nothing
    #[arg(long)]
    dry_run: bool,
    /// Write the report from the results that are there. Builds nothing
    #[arg(long)]
    report_only: bool,
    /// Fail unless every cell is there and what must come out has come out
    #[arg(long)]
    check: bool,
}

/// Runs the cells that are missing or outdated, then writes the report over all results of the preset.
pub(crate) fn run(options: &Options) -> Result<(), Failure> {
    let definitions = Definitions::read(&options.preset, options.experiments.as_deref())?;
    let seeds = if options.seeds.is_empty() { definitions.preset.seeds.clone() } else { options.seeds.clone() };
    let choice = options.choice();
    choice.validate(&definitions, &seeds)?;
    let places = options.places(&definitions)?;
    let is_run = !options.dry_run && !options.report_only;
    if is_run {
        let asked = plan(&definitions, &seeds, &choice);
        for (role, model) in &definitions.preset.models {
            if asked.iter().any(|key| key.model == *role) {
                places.check_model(role, model)?;
            }
        }
    }
    let program = options.program(is_run)?;
    let jobs = match options.jobs.unwrap_or(definitions.preset.jobs) {
        0 => machine::cores(),
        jobs => jobs,
    };
    // Cores are shared out; a GPU has a number of its own.
    let on_cores = ["auto", "cpu"].contains(&options.device.as_str());
    let workers = on_cores.then(|| (machine::cores() / jobs).max(1));
    let launch = Launch { program, device: options.device.clone(), workers };
    let chosen = plan(&definitions, &seeds, &choice);
    if chosen.is_empty() {
        return Err("no cell is of all that is asked for; --dry-run alone lists them all".into());
    }
    let chosen = options.shard.map_or(chosen.clone(), |shard| shard.of(chosen));
    let cells = |keys: Vec<Key>| -> Result<Vec<Cell>, Failure> {
        keys.iter().map(|key| Cell::new(&definitions, key, &places, &launch)).collect()
    };
    let gigaflops = definitions.preset.gigaflops;
    if options.dry_run {
        let planned = run::estimated(cells(chosen)?, &launch, &places, false)?;
        println!("{}", dry_run::text(&planned, jobs, gigaflops));
        return Ok(());
    }
    if !options.report_only {
        let mut planned = run::estimated(cells(chosen)?, &launch, &places, true)?;
        run::run(&mut planned, &launch, &places, jobs, gigaflops);
    }

    fs::create_dir_all(&places.output)?;
    // What was run with other seeds before is reported too, but not missed where it was not.
    let all_seeds = with_results(&seeds, &places)?;
    let all = plan(&definitions, &all_seeds, &Choice::default());
    let mut planned = run::estimated(cells(all)?, &launch, &places, false)?;
    planned.retain(|planned| {
        seeds.contains(&planned.cell.key.seed) || planned.outcome().is_some() || !planned.cell.is_trained
    });
    let results = Results { definitions: &definitions, cells: &planned, seeds: &all_seeds };
    report::write(&results, &options.preset_name(), &options.command(), &places.output)?;
    println!("{}", places.output.join("report.md").display());
    let failed = results.failures().count();
    let faults = if options.check { check::faults(&results) } else { Vec::new() };
    match (faults.is_empty(), failed) {
        (false, _) => Err(format!("the report is not whole:\n{}", faults.join("\n")).into()),
        (true, 0) => Ok(()),
        (true, _) => Err(format!("{failed} cells failed, see {}", places.output.join("report.md").display()).into()),
    }
}

/// The seeds that are asked for, and those of results that are there.
fn with_results(asked: &[u64], places: &Places) -> Result<Vec<u64>, Failure> {
    let mut seeds = asked.to_vec();
    for file in fs::read_dir(places.output.join("cells")).into_iter().flatten() {
        let path = file?.path();
        if path.extension().is_some_and(|extension| extension == "json")
            && let Some(outcome) = Outcome::read(&path)?
        {
            seeds.push(outcome.seed);
        }
    }
    seeds.sort_unstable();
    seeds.dedup();
    Ok(seeds)
}

impl Options {
    /// Where nothing is run, a program that is there tells more, and none is built.
    fn program(&self, is_run: bool) -> Result<Option<PathBuf>, Failure> {
        match &self.program {
            Some(program) if program.is_file() => Ok(Some(std::path::absolute(program)?)),
            Some(program) => Err(format!("--program {}: no such file", program.display()).into()),
            None if is_run => cargo::program_for(&self.device).map(Some),
            None => Ok(Some(cargo::built_program()?).filter(|program| program.is_file())),
        }
    }

    /// The preset's name, of a file of one's own too.
    fn preset_name(&self) -> String {
        let name = Path::new(&self.preset).file_stem().map(|stem| stem.to_string_lossy().into_owned());
        name.unwrap_or_else(|| self.preset.clone())
    }

    fn choice(&self) -> Choice {
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

    fn places(&self, definitions: &Definitions) -> Result<Places, Failure> {
        let folder = |path: &str| {
            let path = fs::canonicalize(path).map_err(|error| format!("--model {path}: {error}"))?;
            Ok::<_, Failure>(path)
        };
        let mut models = BTreeMap::new();
        for model in &self.model {
            let (role, path) = model.split_once('=').unwrap_or(("base", model));
            definition::known("--model", "model", [&role.to_owned()], &definitions.preset.models)?;
            models.insert(role.to_owned(), folder(path)?);
        }
        let data = self.data.as_ref().map(|data| {
            fs::canonicalize(data).map_err(|error| Failure::from(format!("--data {}: {error}", data.display())))
        });
        let output = self.output.clone().unwrap_or_else(|| root().join("results").join(self.preset_name()));
        Ok(Places { models, data: data.transpose()?, output: std::path::absolute(output)? })
    }

    /// The command as others would give it: without the places of this machine.
    fn command(&self) -> String {
        let mut words = vec!["cargo xtask reproduce".to_owned()];
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

//! Studies on a cluster: a job array of the cells that are left, and a job for the report.
//!
//! A task of the array is this very program with one cell. It is asked to stop before its time is over, saves, and goes back
//! into the queue; where Slurm takes a task's place for another job, Slurm itself does that.

use crate::{ExperimentError, Options, cell::Launch, place::Places, planned::Planned};
use clap::Args;
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// The flags of a submission.
#[derive(Debug, Clone, Default, Args)]
pub struct SlurmOptions {
    /// Submit the cells that are left as a job array, and a job that writes the report after them
    #[arg(long, conflicts_with_all = ["dry_run", "report_only", "measure", "jobs", "check"])]
    slurm: bool,
    /// Slurm's partition [default: the cluster's]
    #[arg(long, value_name = "NAME", requires = "slurm")]
    slurm_partition: Option<String>,
    /// Slurm's account [default: the user's]
    #[arg(long, value_name = "NAME", requires = "slurm")]
    slurm_account: Option<String>,
    /// Time limit of a cell, after which it saves and queues again: 30 (minutes), 4:00:00 or 1-0 [default: three times the
    /// estimate of the longest cell]
    #[arg(long, value_name = "TIME", requires = "slurm")]
    slurm_time: Option<String>,
    /// Memory of a cell, as Slurm takes it: 16G [default: a quarter more than the estimate of the largest cell]
    #[arg(long, value_name = "SIZE", requires = "slurm")]
    slurm_memory: Option<String>,
    /// Cores of a cell
    #[arg(long, value_name = "N", requires = "slurm", default_value_t = 4)]
    slurm_cores: usize,
    /// GPUs of a cell [default: 1 where --device is a GPU]
    #[arg(long, value_name = "N", requires = "slurm")]
    slurm_gpus: Option<usize>,
    /// Cells at a time [default: as many as there is room for]
    #[arg(long, value_name = "N", requires = "slurm")]
    slurm_limit: Option<usize>,
    /// A further option of sbatch, such as --slurm-option=--constraint=h100; can be given several times
    #[arg(long, value_name = "OPTION", requires = "slurm", allow_hyphen_values = true)]
    slurm_option: Vec<String>,
}

impl SlurmOptions {
    /// Whether cells are submitted.
    pub(crate) fn submits(&self) -> bool {
        self.slurm
    }
}

/// A job that Slurm has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    /// Its number.
    pub id: String,
    /// What it does, in words.
    pub what: String,
}

/// Seconds before the end of its time at which a task is asked to stop.
const GRACE: u64 = 120;

/// The margins of the estimates, of which the speed is a guess before anything has run.
const TIME_MARGIN: f64 = 3.0;
const MEMORY_MARGIN: f64 = 1.25;

/// A study that is submitted.
pub(crate) struct Submission<'a> {
    pub(crate) options: &'a Options,
    pub(crate) places: &'a Places,
    pub(crate) launch: &'a Launch,
    /// Operations a second.
    pub(crate) speed: f64,
}

impl Submission<'_> {
    /// Submits the trials of learning rates, the cells after them, and the report after these.
    ///
    /// # Errors
    /// Slurm refuses a job, or has jobs of this study; files cannot be written.
    pub(crate) fn submit(&self, trials: &[Planned], cells: &[Planned]) -> Result<Vec<Job>, ExperimentError> {
        let folder = self.places.output.join("slurm");
        let logs = folder.join("logs");
        fs::create_dir_all(&logs).map_err(ExperimentError::io(&logs))?;
        refuse_queued(&folder)?;
        let mut jobs: Vec<Job> = Vec::new();
        for (name, what, part) in [("trials", "trials of learning rates", trials), ("cells", "cells", cells)] {
            if part.is_empty() {
                continue;
            }
            let list: Vec<String> = part.iter().map(|planned| planned.cell.key.id()).collect();
            let (list, path) = (list.join("\n") + "\n", folder.join(format!("{name}.txt")));
            fs::write(&path, list).map_err(ExperimentError::io(&path))?;
            let id = self.sbatch(&folder, name, &self.array(name, part)?, jobs.last())?;
            jobs.push(Job { id, what: format!("{} {what}", part.len()) });
            note(&folder, &jobs)?;
        }
        let id = self.sbatch(&folder, "report", &self.report()?, jobs.last())?;
        jobs.push(Job { id, what: "the report".into() });
        note(&folder, &jobs)?;
        Ok(jobs)
    }

    /// Hands a script to Slurm, to run after the job before it has ended, however it did.
    fn sbatch(&self, folder: &Path, name: &str, script: &str, after: Option<&Job>) -> Result<String, ExperimentError> {
        let path = folder.join(format!("{name}.sh"));
        fs::write(&path, script).map_err(ExperimentError::io(&path))?;
        let mut command = Command::new("sbatch");
        command.arg("--parsable").args(after.map(|job| format!("--dependency=afterany:{}", job.id))).arg(&path);
        let printed = said("sbatch", &mut command)?;
        // NUMBER, or NUMBER;CLUSTER.
        Ok(printed.split(';').next().unwrap_or_default().to_owned())
    }

    /// The lines that every script begins with.
    fn head(&self, name: &str, log: &str) -> String {
        let SlurmOptions { slurm_partition, slurm_account, slurm_option, .. } = &self.options.slurm;
        let mut lines = vec!["#!/bin/sh".to_owned(), "# Written by `adamole experiments --slurm`.".into()];
        let mut option = |option: String| lines.push(format!("#SBATCH {option}"));
        option(format!("--job-name=adamole-{}-{name}", self.options.preset_name()));
        option(format!("--output={}", quoted(&self.places.output.join("slurm/logs").join(log).display().to_string())));
        // A task that goes on goes on in its log.
        option("--open-mode=append".into());
        slurm_partition.iter().for_each(|partition| option(format!("--partition={partition}")));
        slurm_account.iter().for_each(|account| option(format!("--account={account}")));
        slurm_option.iter().for_each(|further| option(further.clone()));
        // The folder with the shipped models and samples, where the study has one.
        option(format!(
            "--chdir={}",
            quoted(&self.places.root.as_deref().unwrap_or(&self.places.output).display().to_string())
        ));
        lines.join("\n") + "\n"
    }

    /// The script of an array: its tasks are the lines of a list of cells.
    fn array(&self, name: &str, cells: &[Planned]) -> Result<String, ExperimentError> {
        let settings = &self.options.slurm;
        let limit = settings.slurm_limit.map(|limit| format!("%{limit}")).unwrap_or_default();
        let time = settings.slurm_time.clone().unwrap_or_else(|| self.time(cells));
        let memory = settings.slurm_memory.clone().unwrap_or_else(|| memory(cells));
        let gpus = settings.slurm_gpus.unwrap_or_else(|| usize::from(is_gpu(&self.options.device)));
        let mut head = self.head(name, "%A_%a.log");
        for option in [
            format!("--array=0-{}{limit}", cells.len() - 1),
            format!("--time={time}"),
            format!("--mem={memory}"),
            format!("--cpus-per-task={}", settings.slurm_cores),
            "--requeue".into(),
            format!("--signal=B:TERM@{GRACE}"),
        ] {
            head += &format!("#SBATCH {option}\n");
        }
        if gpus > 0 {
            head += &format!("#SBATCH --gres=gpu:{gpus}\n");
        }
        let (list, command) = (self.places.output.join(format!("slurm/{name}.txt")), self.command(&["--only-cells"])?);
        Ok(head
            + &format!(
                r#"
cell=$(sed -n "$((SLURM_ARRAY_TASK_ID + 1))p" {list})
echo "$(date '+%F %T') $cell on $(hostname), start $((${{SLURM_RESTART_COUNT:-0}} + 1))"
{command} --cell "$cell" &
child=$!
trap 'kill -TERM "$child" 2>/dev/null' TERM
wait "$child"
status=$?
# A signal ends the wait, not the run, which saves.
while kill -0 "$child" 2>/dev/null; do
    wait "$child"
    status=$?
done
echo "$(date '+%F %T') $cell ended with $status"
# Asked to stop, and neither cancelled nor replaced by another job: it goes on from its checkpoint.
if [ "$status" = 143 ] && [ "$(squeue --noheader --jobs="$SLURM_JOB_ID" --format=%T)" = RUNNING ]; then
    scontrol requeue "$SLURM_JOB_ID"
fi
exit "$status"
"#,
                list = quoted(&list.display().to_string()),
            ))
    }

    /// The script of the report.
    fn report(&self) -> Result<String, ExperimentError> {
        Ok(self.head("report", "report.log") + "\nexec " + &self.command(&["--report-only"])? + "\n")
    }

    /// This program with the flags of this study.
    fn command(&self, more: &[&str]) -> Result<String, ExperimentError> {
        let program = self.launch.program.as_deref().ok_or(ExperimentError::NoProgram)?;
        let words = [program.display().to_string(), "experiments".into()];
        let words = words.into_iter().chain(self.options.again(self.places, program)?);
        let words: Vec<String> =
            words.chain(more.iter().map(|word| (*word).to_owned())).map(|word| quoted(&word)).collect();
        Ok(words.join(" "))
    }

    fn time(&self, cells: &[Planned]) -> String {
        let longest = cells.iter().map(Planned::operations).fold(0.0, f64::max) / self.speed.max(1.0);
        // Loading and compiling apart.
        (10 + (TIME_MARGIN * longest / 60.0).ceil() as u64).to_string()
    }
}

fn memory(cells: &[Planned]) -> String {
    let largest = cells.iter().filter_map(|planned| Some(planned.estimate.as_ref()?.memory_bytes)).max().unwrap_or(0);
    // What the study's own process and the page cache of data take comes on top.
    format!("{}M", (MEMORY_MARGIN * largest as f64 / f64::from(1 << 20)).ceil() as u64 + 512)
}

fn is_gpu(device: &str) -> bool {
    !["auto", "cpu"].contains(&device)
}

/// Notes which jobs the study has.
fn note(folder: &Path, jobs: &[Job]) -> Result<(), ExperimentError> {
    let path = jobs_file(folder);
    let ids: Vec<&str> = jobs.iter().map(|job| job.id.as_str()).collect();
    fs::write(&path, ids.join(",") + "\n").map_err(ExperimentError::io(path))
}

fn jobs_file(folder: &Path) -> PathBuf {
    folder.join("jobs.txt")
}

/// Refuses a second submission while the first is in the queue: both would run the same cells.
fn refuse_queued(folder: &Path) -> Result<(), ExperimentError> {
    let Ok(jobs) = fs::read_to_string(jobs_file(folder)) else { return Ok(()) };
    // Slurm forgets jobs, and says so by an error.
    let queue = Command::new("squeue").args(["--noheader", "--format=%A", "--jobs", jobs.trim()]).output();
    let queued = queue.is_ok_and(|queue| queue.status.success() && !queue.stdout.trim_ascii().is_empty());
    if queued { Err(ExperimentError::Queued { jobs: jobs.trim().to_owned() }) } else { Ok(()) }
}

/// What a command of Slurm printed.
fn said(name: &'static str, command: &mut Command) -> Result<String, ExperimentError> {
    let failed = |message: String| ExperimentError::Slurm { command: name, message };
    let output = command.output().map_err(|error| failed(error.to_string()))?;
    match output.status.success() {
        true => Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned()),
        false => Err(failed(String::from_utf8_lossy(&output.stderr).trim().to_owned())),
    }
}

/// A word of the shell.
fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_=./,:%".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::quoted;

    #[test]
    fn words_reach_the_shell_as_they_are() {
        for word in ["plain/path.toml", "", "two words", "it's", "$HOME `x`", "a;b", "ü"] {
            let output = std::process::Command::new("sh").args(["-c", &format!("printf %s {}", quoted(word))]).output();
            assert_eq!(output.ok().map(|it| String::from_utf8_lossy(&it.stdout).into_owned()).as_deref(), Some(word));
        }
    }
}

//! Resuming a run, with the settings, the base and the data that it was started with.

use super::{
    Failure,
    fingerprint::RunFingerprint,
    identity::{Identity, contradictions},
    report::Report,
    settings::{Declared, Resolved, Settings},
};
use adamole::{
    llama::{CausalLm, load_adapter},
    train::{Checkpoint, Checkpoints, RunDirectory, RunLock, TrainError},
};
use burn::module::Module;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::{
    env,
    path::{Path, PathBuf},
};

/// The settings that a run was started with, and hashes of base and data: its `settings.json`.
#[derive(Serialize, Deserialize)]
pub(crate) struct Begun {
    #[serde(flatten)]
    pub(crate) settings: Settings,
    pub(crate) fingerprint: RunFingerprint,
    /// The folder of relative paths among the settings; absent in runs of earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) folder: Option<PathBuf>,
    /// Identities of the run before changes were allowed; checkpoints with them belong to the run, too.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    earlier: Vec<Identity>,
}

/// A run to be resumed, and its lock.
pub(crate) struct Resumed {
    pub(crate) begun: Begun,
    lock: RunLock,
}

impl Begun {
    pub(crate) fn new(settings: &Settings, fingerprint: &RunFingerprint) -> Self {
        Self {
            settings: settings.clone(),
            fingerprint: fingerprint.clone(),
            folder: env::current_dir().ok(),
            earlier: Vec::new(),
        }
    }

    /// Reads the settings of the run in `run`.
    ///
    /// # Errors
    /// They cannot be read, or they contradict `config.json`.
    pub(crate) fn read(run: &Path) -> Result<Self, Failure> {
        let begun: Self = RunDirectory::settings(run)?;
        let Some(record) = RunDirectory::config(run) else { return Ok(begun) };
        let found = contradictions(&record, &begun.settings.clone().resolve()?);
        match found.as_slice() {
            [] => Ok(begun),
            found => Err(Failure::Usage(format!(
                "{}: its config.json and settings.json contradict each other: {}; one of them was changed since",
                run.display(),
                found.join("; ")
            ))),
        }
    }

    /// The result of the run if it is finished and its adapter is present.
    ///
    /// # Errors
    /// A setting of `now` differs from that of the run.
    pub(crate) fn result(&self, now: &Settings, run: &Path) -> Result<Option<Report>, Failure> {
        let Some(report) = RunDirectory::report::<Report>(run)? else { return Ok(None) };
        let changes = self.changes(now);
        if !changes.is_empty() {
            let (path, changes) = (run.to_owned(), changes.join("; "));
            return Err(TrainError::RunFinished { path, changes }.into());
        }
        let adapter = RunDirectory::adapter_of(run);
        let is_there =
            ["adapter_config.json", "adapter_model.safetensors"].iter().all(|file| adapter.join(file).exists());
        Ok(is_there.then_some(report))
    }

    /// The settings of the resumed run: those of `now` and, for the rest, those of the run.
    ///
    /// # Errors
    /// One of `now` differs and changes the course of the run, unless `allow_changes`.
    pub(crate) fn settings(&self, now: Settings, run: &Path, allow_changes: bool) -> Result<Settings, Failure> {
        refuse(self.changes(&now), allow_changes)?;
        Ok(now.or(self.settings.clone()).with("output", run.display().to_string()))
    }

    /// The settings of `now` that differ and change the course of the run.
    fn changes(&self, now: &Settings) -> Vec<String> {
        let then = self.settings.clone();
        let then = self.folder.as_deref().map_or(then.clone(), |folder| then.located_in(folder));
        let changes_course = |name: &str| Declared::named(name).is_some_and(|it| it.setting.changes_course);
        let differs = |(name, value): &(&str, &Value)| changes_course(name) && then.get(name) != Some(value);
        let shown = |(name, value): (&str, &Value)| {
            let old = then.get(name).map_or_else(|| "default".into(), Value::to_string);
            format!("{name}: {old} -> {value}")
        };
        now.iter().filter(differs).map(shown).collect()
    }

    /// Explains on stderr why relative paths of the run may not be found.
    pub(crate) fn note_on_paths(&self, config: &Resolved) {
        let relative = [Some(&config.model), config.reading.data.as_ref()].into_iter().flatten();
        for path in relative.filter(|path| Path::new(path).is_relative() && !Path::new(path).is_dir()) {
            match &self.folder {
                Some(folder) => {
                    say!("note: the run was started in {}, and `{path}` is not found there", folder.display())
                }
                None => say!(
                    "note: if `{path}` is a folder, it is relative to the one that the run was started in, which this run of \
                     an earlier version does not record: resume it from there, or give --model and --data again"
                ),
            }
        }
    }
}

/// The state from which a run continues.
pub(crate) struct Start {
    pub(crate) directory: RunDirectory,
    pub(crate) checkpoint: Option<Checkpoint>,
}

impl Resumed {
    /// Takes the lock of the run in `run`, and reads the settings that it was started with.
    ///
    /// # Errors
    /// There is no run, another process has it, or its settings cannot be used.
    pub(crate) fn open(run: &Path) -> Result<Self, Failure> {
        // Without settings there is no run to lock.
        RunDirectory::settings::<Value>(run)?;
        let lock = RunLock::acquire(run)?;
        Ok(Self { begun: Begun::read(run)?, lock })
    }

    /// Finds the newest checkpoint and opens the run directory. `now` is the identity of the run now, `model` the one that it
    /// started with, `name` the base model's name in its adapters, and `record` makes the content of `config.json`.
    ///
    /// # Errors
    /// Base or data differ, unless `allow_changes`; the newest checkpoint is of another run; or the adapter of the best epoch
    /// is lost.
    pub(crate) fn go_on<T: Serialize>(
        self,
        (now, settings): (&Identity, &Settings),
        (model, name): (&CausalLm, &str),
        checkpoints: &Checkpoints,
        record: impl FnOnce(Option<&Value>) -> T,
        allow_changes: bool,
    ) -> Result<Start, Failure> {
        let Self { begun, lock } = self;
        let run = lock.folder().to_owned();
        refuse(now.fingerprint.changes_since(&begun.fingerprint), allow_changes)?;
        let checkpoint = checkpoints.newest(|path, error| {
            say!("warning: {} is skipped: {error}", path.display());
        })?;
        if let Some(checkpoint) = &checkpoint {
            begun.check_checkpoint(checkpoint, now)?;
        }
        begun.write_changes(&lock, (now, settings), record)?;

        let adapter = RunDirectory::adapter_of(&run);
        let (done, recorded) = (checkpoint.as_ref().map(|it| &it.state), RunDirectory::recorded_steps(&run)?);
        match (done, recorded) {
            (None, _) if run.join("report.json").exists() => {
                return Err(TrainError::AdapterLost { path: adapter }.into());
            }
            (None, Some(steps)) if steps > 0 => {
                say!("warning: no checkpoint of the run can be used: its {steps} steps are repeated");
            }
            (Some(done), None) => {
                say!("warning: metrics.jsonl is missing: only the validations of {} steps are known", done.step);
            }
            _ => {}
        }
        let directory = RunDirectory::resume(lock, done)?;
        if let Some(checkpoint) = &checkpoint {
            restore_best(checkpoint, &directory, model, name)?;
        }
        Ok(Start { directory, checkpoint })
    }
}

impl Begun {
    /// Checks that a checkpoint is of this run, as it is now or as it was before changes were allowed.
    fn check_checkpoint(&self, checkpoint: &Checkpoint, now: &Identity) -> Result<(), TrainError> {
        let foreign = |what: String| Err(TrainError::ForeignCheckpoint { path: checkpoint.path().to_owned(), what });
        let Some(run) = &checkpoint.run else {
            // Earlier versions did not mark their checkpoints, nor read all of the weights.
            return match self.fingerprint.is_whole() {
                true => foreign("it does not say which run it is of".into()),
                false => Ok(()),
            };
        };
        let Ok(of) = serde_json::from_value::<Identity>(run.clone()) else {
            return foreign("it does not say which run it is of in a way that is known".into());
        };
        let is_own = [now].into_iter().chain(&self.earlier).any(|own| own.changes_since(&of).is_empty());
        // The identity before the changes of this call.
        let is_own = is_own || self.identity().is_ok_and(|own| own.changes_since(&of).is_empty());
        if is_own {
            Ok(())
        } else {
            foreign(format!("what differs, there -> here: {}", now.changes_since(&of).join("; ")))
        }
    }

    fn identity(&self) -> Result<Identity, Failure> {
        Ok(Identity::new(&self.settings.clone().resolve()?, &self.fingerprint))
    }

    /// Writes the settings of the run where they have changed, and its record where that is missing.
    fn write_changes<T: Serialize>(
        &self,
        lock: &RunLock,
        (now, settings): (&Identity, &Settings),
        record: impl FnOnce(Option<&Value>) -> T,
    ) -> Result<(), Failure> {
        let (then, old) = (self.identity()?, RunDirectory::config(lock.folder()));
        let changed = !now.changes_since(&then).is_empty();
        if old.is_none() {
            say!("warning: config.json of the run cannot be read, and is written again");
        }
        if changed || old.is_none() {
            let mut earlier = self.earlier.clone();
            earlier.extend(changed.then_some(then));
            let begun = Self::new(settings, &now.fingerprint);
            let begun = Self { earlier, folder: self.folder.clone().or(begun.folder), ..begun };
            RunDirectory::rewrite(lock, &record(old.as_ref()), &begun)?;
        }
        Ok(())
    }
}

/// Restores the best epoch's adapter from the checkpoint, whatever its folder holds.
fn restore_best(
    checkpoint: &Checkpoint,
    directory: &RunDirectory,
    model: &CausalLm,
    name: &str,
) -> Result<(), Failure> {
    let Some((epoch, _)) = checkpoint.state.best else { return Ok(()) };
    let is_there = load_adapter(&mut model.clone().valid(), &directory.adapter()).is_ok();
    match checkpoint.best(model)? {
        Some(best) => {
            if !is_there {
                say!(
                    "warning: the adapter of the best epoch so far, {epoch}, is missing: it is taken from the checkpoint"
                );
            }
            Ok(directory.save_best(&best.valid(), name)?)
        }
        // Of an earlier version.
        None if is_there => Ok(()),
        None => Err(TrainError::AdapterLost { path: directory.adapter() }.into()),
    }
}

fn refuse(changes: Vec<String>, allow_changes: bool) -> Result<(), Failure> {
    match (changes.is_empty(), allow_changes) {
        (true, _) => Ok(()),
        (false, true) => {
            say!("warning: changed since the run began: {}", changes.join("; "));
            Ok(())
        }
        (false, false) => Err(Failure::Usage(format!(
            "changed since the run began: {}; --allow-changes resumes nevertheless",
            changes.join("; ")
        ))),
    }
}

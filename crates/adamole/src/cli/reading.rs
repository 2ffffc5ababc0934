//! From a benchmark's name to its examples.

use super::{
    Failure,
    compat::{Compatibility, published_reading},
    fetching,
    settings::{first_given, located},
};
use adamole::{
    data::{
        Benchmark, EncodeOptions, Encoder, Example, MultipleChoice, OnBadRow, ReadReport, Scoring, Split, SplitItems,
        SplitPart, SplitReader, Tokenizer, Truncation, require_labels,
    },
    hub::Source,
};
use clap::{Args, ValueEnum};
use serde::{Deserialize, Serialize};
use std::{
    env,
    io::{IsTerminal, Write, stderr},
    path::{Path, PathBuf},
};

/// Which items, and how they become tokens; absent where it was not given.
#[derive(Debug, Clone, Default, Args, Serialize, Deserialize)]
pub(crate) struct ReadingSettings {
    /// Benchmark: boolq, cb, copa, rte, wic, commonsense_qa, cosmos_qa, social_i_qa, piqa, scienceqa, ai2_arc,
    /// openbookqa, multirc, wsc.fixed, super_glue, or the TOML file of one of your own
    #[arg(long)]
    pub(crate) benchmark: Option<String>,
    /// Folder with the benchmark's files, or its data set on the hub: org/name[@revision] [the benchmark's own]
    #[arg(long)]
    pub(crate) data: Option<String>,
    /// Whether parts of a split are of its items in a shuffled order, always the same one; for files that are sorted [false]
    #[arg(long, num_args = 0..=1, default_missing_value = "true")]
    pub(crate) shuffle_parts: Option<bool>,
    /// What is done about rows that cannot be read: fail or skip [fail]
    #[arg(long)]
    pub(crate) on_bad_row: Option<OnBadRow>,
    /// Longest text in tokens [256]
    #[arg(long)]
    pub(crate) max_tokens: Option<usize>,
    /// What longer texts lose: the end of their passage, or everything from the right, as published [passage]
    #[arg(long)]
    pub(crate) truncation: Option<Truncation>,
    /// Where and over which letters items are scored [aligned]
    #[arg(long)]
    pub(crate) scoring: Option<ScoringName>,
    /// Repeat the published implementation in every setting that is not given
    #[arg(long, value_enum)]
    pub(crate) compat: Option<Compatibility>,
    /// Folder in which token ids are kept for the next time, or off [the user's cache]
    #[arg(long)]
    pub(crate) token_cache: Option<String>,
}

/// Texts of so many tokens are of no model.
const MAX_TOKENS: usize = 1 << 24;

/// Where and over which letters items are scored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum ScoringName {
    /// Where training has the answer, over each item's own choices
    #[default]
    Aligned,
    /// As published: after a space, over as many letters as the benchmark has
    Reference,
}

/// Settings with nothing left open.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Reading {
    pub(crate) benchmark: String,
    pub(crate) data: Option<String>,
    pub(crate) shuffle_parts: bool,
    pub(crate) on_bad_row: OnBadRow,
    pub(crate) max_tokens: usize,
    pub(crate) truncation: Truncation,
    pub(crate) scoring: ScoringName,
    #[serde(skip)]
    token_cache: Option<PathBuf>,
}

/// The files of a benchmark, found.
pub(crate) struct Items {
    pub(crate) benchmark: Benchmark,
    /// Each part of it, and the folder with its files.
    parts: Vec<(Benchmark, PathBuf)>,
    shuffle_parts: bool,
    on_bad_row: OnBadRow,
    options: EncodeOptions,
    token_cache: Option<PathBuf>,
}

impl ReadingSettings {
    /// These settings where they are given, `other` where they are not.
    pub(crate) fn or(self, other: Self) -> Self {
        first_given!(ReadingSettings, self, other, {
            benchmark, data, shuffle_parts, on_bad_row, max_tokens, truncation, scoring, compat, token_cache
        })
    }

    /// The same with paths that lead out of `folder`, as [`Settings::located_in`](super::settings::Settings::located_in).
    pub(crate) fn located_in(self, folder: &Path) -> Self {
        let is_definition = |path: &Path| path.extension().is_some_and(|it| it == "toml") && path.is_file();
        Self {
            benchmark: self.benchmark.map(|benchmark| located(benchmark, folder, is_definition)),
            data: self.data.map(|data| located(data, folder, Path::is_dir)),
            token_cache: self.token_cache.map(|cache| match cache.as_str() {
                "off" => cache,
                _ => folder.join(cache).display().to_string(),
            }),
            ..self
        }
    }

    pub(crate) fn resolve(self) -> Result<Reading, Failure> {
        let settings = if self.compat.is_some() { self.or(published_reading()) } else { self };
        let needed = || Failure::Usage("--benchmark is needed, here or in the configuration file".into());
        if let Some(longest @ (0 | MAX_TOKENS..)) = settings.max_tokens {
            let message = format!("max_tokens is {longest}, expected an integer from 1 to {}", MAX_TOKENS - 1);
            return Err(Failure::Usage(message));
        }
        let token_cache = match settings.token_cache.as_deref() {
            Some("off") => None,
            Some(folder) => Some(folder.into()),
            None => user_cache().map(|cache| cache.join("tokens")),
        };
        Ok(Reading {
            benchmark: settings.benchmark.ok_or_else(needed)?,
            data: settings.data,
            shuffle_parts: settings.shuffle_parts.unwrap_or(false),
            on_bad_row: settings.on_bad_row.unwrap_or_default(),
            max_tokens: settings.max_tokens.unwrap_or(EncodeOptions::default().max_tokens),
            truncation: settings.truncation.unwrap_or_default(),
            scoring: settings.scoring.unwrap_or_default(),
            token_cache,
        })
    }
}

/// The built-in benchmark of this name, or the one that the TOML file of this name defines.
pub(crate) fn benchmark(name: &str) -> Result<Benchmark, Failure> {
    match name.ends_with(".toml") {
        true => Ok(Benchmark::from_file(Path::new(name))?),
        false => Ok(Benchmark::by_name(name)?.clone()),
    }
}

/// Where this program may keep what it can make again.
fn user_cache() -> Option<PathBuf> {
    let folder = |name| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let caches = folder("XDG_CACHE_HOME").or_else(|| Some(env::home_dir()?.join(".cache")));
    caches.map(|caches| caches.join("adamole"))
}

impl Reading {
    /// Finds the benchmark and its files, which are fetched if they are on the hub.
    pub(crate) fn open(&self) -> Result<Items, Failure> {
        let benchmark = benchmark(&self.benchmark)?;
        let data = self.data.as_deref().map(Source::parse).transpose()?;
        let folder = |part: &Benchmark| Ok((part.clone(), fetching::benchmark_folder(part, data.as_ref())?));
        let parts = benchmark.parts().iter().map(folder).collect::<Result<_, Failure>>()?;
        let scoring = match self.scoring {
            ScoringName::Aligned => Scoring::Aligned,
            ScoringName::Reference => Scoring::Reference { letters: benchmark.published_letters() },
        };
        Ok(Items {
            parts,
            shuffle_parts: self.shuffle_parts,
            on_bad_row: self.on_bad_row,
            options: EncodeOptions {
                max_tokens: self.max_tokens,
                truncation: self.truncation,
                scoring,
                ..EncodeOptions::default()
            },
            token_cache: self.token_cache.clone(),
            benchmark,
        })
    }
}

impl Items {
    /// Hands over the items of a split, or of a part of it, one by one. Rows that were skipped are spoken of on stderr.
    pub(crate) fn each(
        &self,
        part: SplitPart,
        mut take: impl FnMut(MultipleChoice) -> Result<(), Failure>,
    ) -> Result<ReadReport, Failure> {
        if !(self.shuffle_parts && part.is_partial()) {
            return self.each_in_order(part, take);
        }
        let mut all = Vec::new();
        let report = self.each_in_order(part.split.into(), |item| {
            all.push(item);
            Ok(())
        })?;
        part.cut_shuffled(all).into_iter().try_for_each(&mut take)?;
        Ok(report)
    }

    fn each_in_order(
        &self,
        SplitPart { split, from, to }: SplitPart,
        mut take: impl FnMut(MultipleChoice) -> Result<(), Failure>,
    ) -> Result<ReadReport, Failure> {
        let mut report = ReadReport::default();
        for (part, folder) in &self.parts {
            let seen = report.items;
            let left = to.map_or(usize::MAX, |to| to - seen);
            if left == 0 {
                break;
            }
            let mut reader = SplitReader::open(part, folder, split)?.on_bad_row(self.on_bad_row);
            for (place, item) in (seen..).zip(reader.by_ref().take(left)) {
                let item = item?;
                if place >= from {
                    take(item)?;
                }
            }
            report.add(reader.finish()?);
        }
        if let Some(first) = report.bad.first() {
            say!("warning: {} of {} rows were skipped, first {first}", report.bad_rows, report.rows);
        }
        Ok(report)
    }

    /// Reads a split, or a part of it.
    pub(crate) fn read(&self, part: SplitPart) -> Result<SplitItems, Failure> {
        let mut items = Vec::new();
        let report = self.each(part, |item| {
            items.push(item);
            Ok(())
        })?;
        if items.is_empty() {
            return Err(Failure::Usage(format!("{part} has no items: the split has {}", report.items)));
        }
        Ok(SplitItems { items, report })
    }

    /// Reads a split, or a part of it, in which every item has to have an answer.
    pub(crate) fn read_labelled(&self, part: SplitPart) -> Result<SplitItems, Failure> {
        let read = self.read(part)?;
        require_labels(&read.items).map_err(|error| self.in_split(part.split, error))?;
        Ok(read)
    }

    /// Keeps no token ids: for items that come in pieces.
    pub(crate) fn without_cache(self) -> Self {
        Self { token_cache: None, ..self }
    }

    /// The token ids of items.
    pub(crate) fn encode(
        &self,
        tokenizer: &Tokenizer,
        split: Split,
        items: &[MultipleChoice],
    ) -> Result<Vec<Example>, Failure> {
        let progress = |done: usize, all: usize| {
            let end = if done == all { "\n" } else { "" };
            let _ = write!(stderr(), "\r{done} of {all} {split} items tokenised{end}");
        };
        let mut encoder = Encoder::new(tokenizer, &self.options)?;
        // Fewer take no time.
        if items.len() > 10_000 && stderr().is_terminal() {
            encoder = encoder.on_progress(&progress);
        }
        if let Some(folder) = &self.token_cache {
            encoder = encoder.cached_in(folder);
        }
        encoder.encode(items).map_err(|error| self.in_split(split, error))
    }

    /// An error about an item, with the split that it is in.
    fn in_split(&self, split: Split, error: adamole::data::DataError) -> Failure {
        let folders = self.parts.iter().map(|(_, folder)| folder.display().to_string());
        let mut folders: Vec<String> = folders.collect();
        folders.dedup();
        Failure::Item(format!("{}, {split} split", folders.join(", ")), error)
    }
}

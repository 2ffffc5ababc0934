//! From a benchmark's name to its examples.

use super::{Failure, fetching};
use adamole::{
    core::{SettingError, settings},
    data::{
        Benchmark, EncodeOptions, Encoder, Example, MultipleChoice, OnBadRow, ReadReport, Scoring, Split, SplitItems,
        SplitPart, SplitReader, Tokenizer, Truncation, require_labels,
    },
    hub::Source,
};
use clap::ValueEnum;
use etcetera::BaseStrategy;
use serde::{Deserialize, Serialize};
use std::{
    io::{IsTerminal, Write, stderr},
    path::{Path, PathBuf},
};

/// Longer texts do not fit any model.
const MAX_TOKENS: usize = 1 << 24;

settings! {
    /// Which items there are, and how they become tokens.
    #[derive(Debug, Clone, Serialize)]
    pub(crate) struct Reading {
        /// Benchmark: built in, or a TOML file. Built in are boolq, cb, copa, rte, wic,
        /// commonsense_qa, cosmos_qa, social_i_qa, piqa, scienceqa, ai2_arc, openbookqa, multirc, wsc.fixed and
        /// super_glue.
        pub(crate) benchmark: Option<String> = None, shown("none: text of one's own"), common;
        /// The benchmark's data set, or text of one's own. With a benchmark it is the folder with its files, or
        /// org/name[@revision] on the hub; without one a file, a folder or a data set on the hub with text.
        pub(crate) data: Option<String> = None, shown("the benchmark's own"), free, common;
        /// Whether parts of a split are cut from its items in a shuffled order, which is always the same; for sorted files.
        pub(crate) shuffle_parts: bool = false;
        /// What is done about a row that cannot be read.
        pub(crate) on_bad_row: OnBadRow = OnBadRow::Fail;
        /// Length of the longest text in tokens.
        pub(crate) max_tokens: usize = EncodeOptions::default().max_tokens, common;
        /// What longer texts lose: the end of their passage, or everything from the right, as in the reference
        /// implementation.
        pub(crate) truncation: Truncation = Truncation::Passage, reference("right");
        /// Where and over which letters items are scored: where training has the answer, over each item's own choices,
        /// or, as in the reference implementation, after a space, over as many letters as the benchmark has.
        pub(crate) scoring: ScoringName = ScoringName::Aligned, reference("reference");
        /// Take what is not given from another implementation. The reference implementation's values then take the place
        /// of the defaults.
        #[serde(skip)]
        pub(crate) compat: Option<Compatibility> = None, shown("none"), common;
        /// Folder in which token ids are kept for later runs, or off.
        #[serde(skip)]
        token_cache: Option<String> = None, shown("the user's cache"), free;
    }
}

/// Where and over which letters items are scored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum ScoringName {
    /// Where training has the answer, over each item's own choices.
    Aligned,
    /// After a space, over as many letters as the benchmark has.
    Reference,
}

/// The implementation whose values replace the defaults.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Compatibility {
    /// The reference implementation.
    Reference,
}

/// A benchmark with the folders of its files.
pub(crate) struct Items {
    pub(crate) benchmark: Benchmark,
    /// Each part of it, and the folder with its files.
    parts: Vec<(Benchmark, PathBuf)>,
    shuffle_parts: bool,
    on_bad_row: OnBadRow,
    options: EncodeOptions,
    token_cache: Option<PathBuf>,
}

/// The built-in benchmark of this name, or the one that the TOML file of this name defines.
pub(crate) fn benchmark(name: &str) -> Result<Benchmark, Failure> {
    match name.ends_with(".toml") {
        true => Ok(Benchmark::from_file(Path::new(name))?),
        false => Ok(Benchmark::by_name(name)?.clone()),
    }
}

impl Reading {
    /// Checks every range.
    ///
    /// # Errors
    /// The first setting that is outside its range.
    pub(crate) fn validate(&self) -> Result<(), SettingError> {
        let expected = || format!("an integer from 1 to {}", MAX_TOKENS - 1);
        match self.max_tokens {
            longest @ (0 | MAX_TOKENS..) => Err(SettingError::invalid("max_tokens", longest, expected())),
            _ => Ok(()),
        }
    }

    /// The name of the benchmark or, without one, of the data.
    pub(crate) fn name(&self) -> String {
        let name = self.benchmark.as_deref().or(self.data.as_deref()).unwrap_or_default();
        Path::new(name).file_stem().unwrap_or_default().to_string_lossy().into_owned()
    }

    /// The folder in which token ids are kept, if they are.
    fn token_cache(&self) -> Option<PathBuf> {
        match self.token_cache.as_deref() {
            Some("off") => None,
            Some(folder) => Some(folder.into()),
            None => {
                let user = etcetera::base_strategy::Xdg::new().ok()?;
                Some(user.cache_dir().join("adamole/tokens"))
            }
        }
    }

    /// Finds the benchmark and its files; those on the hub are fetched.
    pub(crate) fn open(&self) -> Result<Items, Failure> {
        self.validate()?;
        let name = self.benchmark.as_deref();
        let help = "The name of a benchmark.";
        let benchmark = benchmark(name.ok_or(SettingError::Missing { name: "benchmark", help })?)?;
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
            token_cache: self.token_cache(),
            benchmark,
        })
    }
}

impl Items {
    /// Passes the items of a split, or of a part of it, to `take` one by one. Skipped rows are reported on stderr.
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

    /// The same without a cache of token ids, for items that come in pieces.
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
        // Fewer are tokenised at once.
        if items.len() > 10_000 && stderr().is_terminal() {
            encoder = encoder.on_progress(&progress);
        }
        if let Some(folder) = &self.token_cache {
            encoder = encoder.cached_in(folder);
        }
        encoder.encode(items).map_err(|error| self.in_split(split, error))
    }

    /// An error about an item, with its split.
    fn in_split(&self, split: Split, error: adamole::data::DataError) -> Failure {
        let folders = self.parts.iter().map(|(_, folder)| folder.display().to_string());
        let mut folders: Vec<String> = folders.collect();
        folders.dedup();
        Failure::Item(format!("{}, {split} split", folders.join(", ")), error)
    }
}

//! Where the files of a split are in a data set: the one declaration that folders are searched by, and that tells
//! which files of a data set on the hub are fetched.
//!
//! Below the data set's folder are perhaps one for the configuration and one for the split or `data`:
//! `train.jsonl`, `data/train-00000-of-00002.parquet`, `copa/train/0000.parquet`, `default/train/0000.parquet`.

use super::open::Compression;
use crate::{Benchmark, Split};

/// What a file's rows are written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Format {
    /// An object a line, or one list of objects.
    Json,
    /// Columns parted by this byte, their names in the first line.
    Separated(u8),
    Parquet,
}

/// The endings of files with rows, and what they say.
const ENDINGS: [(&str, Format, Compression); 13] = [
    (".parquet", Format::Parquet, Compression::None),
    (".jsonl", Format::Json, Compression::None),
    (".jsonl.gz", Format::Json, Compression::Gzip),
    (".jsonl.zst", Format::Json, Compression::Zstandard),
    (".json", Format::Json, Compression::None),
    (".json.gz", Format::Json, Compression::Gzip),
    (".json.zst", Format::Json, Compression::Zstandard),
    (".csv", Format::Separated(b','), Compression::None),
    (".csv.gz", Format::Separated(b','), Compression::Gzip),
    (".csv.zst", Format::Separated(b','), Compression::Zstandard),
    (".tsv", Format::Separated(b'\t'), Compression::None),
    (".tsv.gz", Format::Separated(b'\t'), Compression::Gzip),
    (".tsv.zst", Format::Separated(b'\t'), Compression::Zstandard),
];

/// A file name without its ending, and what that says; `None` if it is no file with rows.
pub(super) fn kind_of(name: &str) -> Option<(&str, Format, Compression)> {
    ENDINGS.iter().find_map(|(ending, format, compression)| Some((name.strip_suffix(ending)?, *format, *compression)))
}

/// What a split is called in the names of files and folders, its usual name first.
fn names(split: Split) -> &'static [&'static str] {
    match split {
        Split::Train => &["train"],
        Split::Validation => &["validation", "valid", "val", "dev"],
        Split::Test => &["test"],
    }
}

/// A folder in which a split may be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Folder {
    /// Its path, empty for the data set's own or with a slash at its end.
    pub(super) path: String,
    /// What the split is called there.
    pub(super) name: &'static str,
    /// Whether all its files are of the split.
    pub(super) is_splits_own: bool,
}

/// The folders below which a benchmark's rows may be, each empty or with a slash at its end. All splits are below the
/// first of them that has rows of any: what else a data set holds is of other configurations.
pub(super) fn roots(benchmark: &Benchmark) -> Vec<String> {
    let config = benchmark.hub().and_then(|hub| hub.config.as_deref());
    let own = config.into_iter().chain([benchmark.name()]).chain(benchmark.folder());
    let mut roots: Vec<String> = own.map(|name| format!("{name}/")).collect();
    roots.extend([String::new(), "default/".into()]);
    roots.dedup();
    roots
}

/// The folders below `root` in which `split` may be, those that count first before the others. Those that differ in the
/// split's name only stand together.
pub(super) fn folders(root: &str, split: Split) -> Vec<Vec<Folder>> {
    let paths = [root.to_owned(), format!("{root}data/")];
    let shared = paths.iter().map(|path| {
        names(split).iter().map(|name| Folder { path: path.clone(), name, is_splits_own: false }).collect()
    });
    let own = paths.iter().map(|path| {
        names(split).iter().map(|name| Folder { path: format!("{path}{name}/"), name, is_splits_own: true }).collect()
    });
    shared.chain(own).collect()
}

/// The splits whose files the benchmark does not name.
pub(super) fn searched(benchmark: &Benchmark) -> impl Iterator<Item = Split> {
    benchmark.splits().iter().copied().filter(|split| benchmark.file(*split).is_none())
}

impl Folder {
    /// Whether a file of this name is the split's, and its place among several.
    pub(super) fn has(&self, name: &str) -> Option<(Option<Shard>, Format, Compression)> {
        let (stem, format, compression) = kind_of(name)?;
        let shard = Shard::parse(stem, self.name);
        // What programs keep beside the rows.
        let about = name.starts_with(['.', '_']) || ["dataset_info", "dataset_infos", "state"].contains(&stem);
        let is_splits = shard.is_some() || stem == self.name || (self.is_splits_own && !about);
        is_splits.then_some((shard, format, compression))
    }

    /// Patterns that match all that [`Self::has`] may take.
    fn patterns(&self) -> impl Iterator<Item = String> {
        let Self { path, name, is_splits_own } = self;
        let stems = if *is_splits_own { vec!["*".into()] } else { vec![(*name).to_owned(), format!("{name}-*-of-*")] };
        let of_stem = move |stem: String| ENDINGS.iter().map(move |(ending, ..)| format!("{path}{stem}{ending}"));
        stems.into_iter().flat_map(of_stem)
    }
}

/// For each of the [`roots`] patterns over the names of a data set's files that match every file which is read for one
/// of the benchmark's splits.
pub(crate) fn patterns(benchmark: &Benchmark) -> Vec<Vec<String>> {
    let below = |root: String| {
        let folders = searched(benchmark).flat_map(|split| folders(&root, split)).flatten();
        folders.flat_map(|folder| folder.patterns().collect::<Vec<_>>()).collect()
    };
    roots(benchmark).into_iter().map(below).collect()
}

/// The place of a file among those of a split: `train-00002-of-00005`, perhaps with a hash at its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Shard {
    pub(super) index: usize,
    pub(super) of: usize,
}

impl Shard {
    fn parse(stem: &str, split: &str) -> Option<Self> {
        let rest = stem.strip_prefix(split)?.strip_prefix('-')?;
        let mut parts = rest.splitn(4, '-');
        let (index, word, of) = (parts.next()?, parts.next()?, parts.next()?);
        Some(Self { index: index.parse().ok()?, of: of.parse().ok().filter(|_| word == "of")? })
    }
}

//! Hashes of a run's base and data: a resumed run has to have the same.

use super::{Failure, run_data::RunData};
use adamole::{data::Example, train::TrainError};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::{
    fmt,
    fs::{self, File},
    io::{self, Read, Seek, SeekFrom},
    path::{Path, PathBuf},
};

/// Hashes of a base model, without reading the values of its weights, and of encoded examples. Results of long runs are
/// identified by them, so that what is hashed does not change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Fingerprint {
    pub(crate) base: String,
    pub(crate) data: String,
}

/// The hashes that a resumed run is checked against.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RunFingerprint {
    #[serde(flatten)]
    both: Fingerprint,
    /// The hash of every byte of the weights; absent in runs of earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    weights: Option<String>,
    /// The hash of the reported examples, where there are any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    report: Option<String>,
}

impl Fingerprint {
    /// The hashes of the model in `folder` and of these splits in their order: the training and validation examples.
    pub(crate) fn of<T: fmt::Debug>(folder: &Path, splits: &[&[T]]) -> Result<Self, Failure> {
        let base = base(folder).map_err(|source| TrainError::Io { path: folder.to_owned(), source })?;
        Ok(Self { base, data: hash(splits) })
    }

    /// The changes since `then`, in words.
    pub(crate) fn changes_since(&self, then: &Self) -> Vec<String> {
        let both = [("the base model", &then.base, &self.base), ("the data", &then.data, &self.data)];
        both.into_iter().filter_map(|(what, then, now)| change(what, then, now)).collect()
    }
}

impl RunFingerprint {
    /// The hashes of the model in `folder`, all of whose weights are read, of what is trained and validated on, and of what
    /// is reported.
    pub(crate) fn of(folder: &Path, data: &RunData) -> Result<Self, Failure> {
        let weights = weights(folder).map_err(|source| TrainError::Io { path: folder.to_owned(), source })?;
        let report = data.reported().map(|(_, report)| examples(&[report]));
        let base = base(folder).map_err(|source| TrainError::Io { path: folder.to_owned(), source })?;
        let data = match data {
            RunData::Choices(choices) => examples(&[&choices.train, &choices.validation]),
            RunData::Texts(own) => hash(&[&own.train, &own.validation]),
        };
        Ok(Self { both: Fingerprint { base, data }, weights: Some(weights), report })
    }

    /// Whether it is of a version that hashes all weights and marks its checkpoints.
    pub(crate) fn is_whole(&self) -> bool {
        self.weights.is_some()
    }

    /// The changes since `then`, in words. A hash that is absent there has not changed.
    pub(crate) fn changes_since(&self, then: &Self) -> Vec<String> {
        let both = |what: &str, then: &Option<String>, now: &Option<String>| {
            change(what, then.as_deref()?, now.as_deref().unwrap_or("none"))
        };
        let base = change("the base model", &then.both.base, &self.both.base);
        let weights = || both("the weights of the base model", &then.weights, &self.weights);
        let data = change("the data", &then.both.data, &self.both.data);
        let report = both("the data of the report", &then.report, &self.report);
        [base.or_else(weights), data, report].into_iter().flatten().collect()
    }
}

fn change(what: &str, then: &str, now: &str) -> Option<String> {
    let short = |hash: &str| hash.get(..12).unwrap_or(hash).to_owned();
    (then != now).then(|| format!("{what}: {} -> {}", short(then), short(now)))
}

fn examples(splits: &[&[Example]]) -> String {
    hash(splits)
}

/// The hash of what these are printed as for debugging.
fn hash<T: fmt::Debug>(splits: &[&[T]]) -> String {
    let mut hash = Sha256::new();
    for example in splits.iter().flat_map(|split| split.iter().map(Some).chain([None])) {
        hash.update(format!("{example:?}\n"));
    }
    format!("{:x}", hash.finalize())
}

/// The weight files of a model, by their names.
fn weight_files(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files: Vec<_> = fs::read_dir(folder)?.flatten().map(|entry| entry.path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "safetensors") && path.is_file());
    files.sort();
    Ok(files)
}

/// A hash of the configuration and of names, sizes and headers of the weight files, without their values, which may be
/// gigabytes.
fn base(folder: &Path) -> io::Result<String> {
    let mut hash = Sha256::new();
    hash.update(fs::read(folder.join("config.json"))?);
    for path in weight_files(folder)? {
        let mut file = File::open(&path)?;
        hash.update(format!("{:?} {}", path.file_name(), file.metadata()?.len()));
        let mut start = Vec::new();
        file.by_ref().take(1 << 20).read_to_end(&mut start)?;
        hash.update(start);
    }
    Ok(format!("{:x}", hash.finalize()))
}

/// Bytes of a file that are hashed together; the hash of the weights depends on it.
const PIECE: usize = 1 << 24;

/// A hash of all bytes of the weights: a hash of the hashes of pieces, which are computed in parallel.
fn weights(folder: &Path) -> io::Result<String> {
    let mut pieces = Vec::new();
    for path in weight_files(folder)? {
        let length = fs::metadata(&path)?.len();
        pieces.extend((0..length).step_by(PIECE).map(|start| (path.clone(), start)));
    }
    let of_piece = |(path, start): &(PathBuf, u64)| -> io::Result<_> {
        let mut file = File::open(path)?;
        file.seek(SeekFrom::Start(*start))?;
        let (mut hash, mut file) = (Sha256::new(), file.take(PIECE as u64));
        io::copy(&mut file, &mut hash)?;
        Ok(hash.finalize())
    };
    let hashes: Vec<_> = pieces.par_iter().map(of_piece).collect::<Result<_, _>>()?;
    let mut whole = Sha256::new();
    for ((path, start), hash) in pieces.iter().zip(hashes) {
        whole.update(format!("{:?} {start}\n", path.file_name()));
        whole.update(hash);
    }
    Ok(format!("{:x}", whole.finalize()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_bit_anywhere_in_the_weights_is_another_model() -> io::Result<()> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("model.safetensors");
        fs::write(folder.path().join("config.json"), "{}")?;
        let mut bytes = vec![0_u8; PIECE + 100];
        fs::write(&path, &bytes)?;
        let (first_base, first) = (base(folder.path())?, weights(folder.path())?);
        for place in [0, 2 << 20, PIECE - 1, PIECE, PIECE + 99] {
            bytes[place] = 1;
            fs::write(&path, &bytes)?;
            assert_ne!(weights(folder.path())?, first, "{place}");
            // The hash that identifies results covers the first MiB.
            assert_eq!(base(folder.path())? == first_base, place >= 1 << 20, "{place}");
            bytes[place] = 0;
        }
        Ok(())
    }
}

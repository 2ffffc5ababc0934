//! What a run depends on besides its settings, as hashes: whoever resumes it must have the same.

use super::Failure;
use adamole::{data::Example, train::TrainError};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::{
    fs::{self, File},
    io::{self, Read},
    path::Path,
};

/// Hashes of the base model and of the encoded examples.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Fingerprint {
    pub(crate) base: String,
    pub(crate) data: String,
}

impl Fingerprint {
    /// Of the model in `folder` and of these splits in their order: what it is trained and validated on.
    pub(crate) fn of(folder: &Path, splits: &[&[Example]]) -> Result<Self, Failure> {
        let base = base(folder).map_err(|source| TrainError::Io { path: folder.to_owned(), source })?;
        let mut hash = Sha256::new();
        for example in splits.iter().flat_map(|split| split.iter().map(Some).chain([None])) {
            hash.update(format!("{example:?}\n"));
        }
        Ok(Self { base, data: format!("{:x}", hash.finalize()) })
    }

    /// What has changed since `then`, in words.
    pub(crate) fn changes_since(&self, then: &Self) -> Vec<String> {
        let both = [("the base model", &then.base, &self.base), ("the data", &then.data, &self.data)];
        let short = |hash: &str| hash.get(..12).unwrap_or(hash).to_owned();
        let changed = both.into_iter().filter(|(_, then, now)| then != now);
        changed.map(|(what, then, now)| format!("{what}: {} -> {}", short(then), short(now))).collect()
    }
}

/// A hash of the configuration, and of names, sizes and headers of the weights: their values may be gigabytes, and a file
/// with the same tensors in the same places is rarely another.
fn base(folder: &Path) -> io::Result<String> {
    let mut files: Vec<_> = fs::read_dir(folder)?.flatten().map(|entry| entry.path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "safetensors"));
    files.sort();
    let mut hash = Sha256::new();
    hash.update(fs::read(folder.join("config.json"))?);
    for path in files {
        let mut file = File::open(&path)?;
        hash.update(format!("{:?} {}", path.file_name(), file.metadata()?.len()));
        let mut start = Vec::new();
        file.by_ref().take(1 << 20).read_to_end(&mut start)?;
        hash.update(start);
    }
    Ok(format!("{:x}", hash.finalize()))
}

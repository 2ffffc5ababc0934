//! The folder that a case works in.

use crate::{case::Case, edit};
use std::{
    fs, io,
    os::unix,
    path::{Path, PathBuf},
    process::Command,
};
use tempfile::TempDir;

/// A temporary folder with the files of a case.
pub(crate) struct Scene {
    cases: PathBuf,
    work: TempDir,
}

impl Scene {
    /// Lays out the base, the case's own files, copies, links and pipes, and changes what is to be changed.
    pub(crate) fn new(cases: &Path, folder: &Path, case: &Case) -> io::Result<Self> {
        let scene = Self { cases: cases.canonicalize()?, work: TempDir::new()? };
        if let Some(base) = &case.base {
            let base = cases.join("bases").join(base);
            copy(&base, &scene.path("model")).map_err(|error| naming(&base, &error))?;
        }
        copy(folder, scene.work.path())?;
        fs::remove_file(scene.path("case.toml"))?;
        for (to, from) in &case.copies {
            let from = scene.path(&scene.filled(from));
            copy(&from, &scene.path(to)).map_err(|error| naming(&from, &error))?;
        }
        for (link, target) in &case.links {
            unix::fs::symlink(scene.filled(target), scene.place(link)?)?;
        }
        for fifo in &case.fifos {
            let made = Command::new("mkfifo").arg(scene.place(fifo)?).status()?;
            assert!(made.success(), "mkfifo {fifo}");
        }
        edit::all(&case.edits, &scene)?;
        Ok(scene)
    }

    /// A path in the folder; an absolute one stays as it is.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.work.path().join(name)
    }

    /// The text with `{datasets}`, `{cases}` and `{work}` filled in: what ships, the folder of all cases, this folder.
    pub(crate) fn filled(&self, text: &str) -> String {
        let datasets = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../datasets");
        let places = [("{datasets}", &*datasets), ("{cases}", &self.cases), ("{work}", self.work.path())];
        places.iter().fold(text.to_owned(), |text, (name, path)| text.replace(name, &path.to_string_lossy()))
    }

    /// Where a new link or pipe is to lie, with the folders above it and nothing in its place.
    fn place(&self, name: &str) -> io::Result<PathBuf> {
        let path = self.path(name);
        path.parent().map_or(Ok(()), fs::create_dir_all)?;
        remove(&path)?;
        Ok(path)
    }
}

/// Removes a file or a folder, if it is there.
pub(crate) fn remove(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Ok(found) if found.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

/// Copies a file or a folder with all that is in it, through links, over what is there.
fn copy(from: &Path, to: &Path) -> io::Result<()> {
    if !from.is_dir() {
        to.parent().map_or(Ok(()), fs::create_dir_all)?;
        // Not `fs::copy`: the copy is to be changed even where the original is read-only.
        return fs::write(to, fs::read(from)?);
    }
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        copy(&entry.path(), &to.join(entry.file_name()))?;
    }
    Ok(())
}

fn naming(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

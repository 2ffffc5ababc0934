//! How a file's content gets into the cache.

use std::fs::{self, File};
use std::io::{ErrorKind, Seek, SeekFrom, Write};
use std::path::Path;
use std::time::Duration;

use super::folder::RepositoryFolder;
use super::remote::{Remote, RemoteFile};
use crate::HubError;
use crate::event::{Event, Progress};

impl<'a> Remote<'a> {
    /// Gets a file's content into the cache, where another process may be about to do the same.
    pub(crate) fn fetch(
        &'a self,
        file: &RemoteFile<'a>,
        folder: &RepositoryFolder,
        progress: &mut Progress<'_>,
    ) -> Result<(), HubError> {
        let _lock = folder.lock(&file.etag, || progress(Event::Waiting { file: file.name }))?;
        if !is_complete(&folder.blob(&file.etag), file.size) {
            self.fetch_locked(file, folder, progress)?;
        }
        Ok(())
    }

    fn fetch_locked(
        &'a self,
        file: &RemoteFile<'a>,
        folder: &RepositoryFolder,
        progress: &mut Progress<'_>,
    ) -> Result<(), HubError> {
        let partial = folder.partial(&file.etag)?;
        let mut is_second = false;
        loop {
            self.complete(file, &partial, progress)?;
            progress(Event::Verifying { file: file.name });
            // What is on the disk counts, whichever transfers and processes it came from.
            let got = file.etag.of_file(&partial);
            let got = got.map_err(|source| HubError::Io { path: partial.clone(), source })?;
            if got == file.etag {
                return folder.install(&partial, &file.etag);
            }
            fs::remove_file(&partial).map_err(|source| HubError::write(&partial, source))?;
            if is_second {
                let (expected, got) = (file.etag.as_str().into(), got.as_str().into());
                return Err(HubError::WrongHash { file: file.name.into(), expected, got });
            }
            is_second = true;
            self.give_up_xet(file);
        }
    }

    /// Continues the file at `partial` until it has its whole size.
    fn complete(&'a self, file: &RemoteFile<'a>, partial: &Path, progress: &mut Progress<'_>) -> Result<(), HubError> {
        let output = open_partial(partial).map_err(|source| HubError::write(partial, source))?;
        let mut part = Part { path: partial, output, size: 0 };
        part.size = part.output.metadata().map_err(|source| HubError::write(partial, source))?.len();

        let mut tries = self.client.network().tries();
        let mut furthest = part.size;
        while let Err(error) = self.continue_once(file, &mut part, progress) {
            if part.size > furthest {
                furthest = part.size;
                tries.reset();
            }
            if error.is_transient() && self.give_up_xet(file) {
                progress(Event::Retrying { error: &error, delay: Duration::ZERO });
                continue;
            }
            tries.again(error, progress)?;
        }
        Ok(())
    }

    fn continue_once(
        &'a self,
        file: &RemoteFile<'a>,
        part: &mut Part<'_>,
        progress: &mut Progress<'_>,
    ) -> Result<(), HubError> {
        if part.size > file.size {
            part.cut(0)?;
        }
        if part.size == file.size {
            return Ok(());
        }
        let mut content = self.open(file, part.size)?;
        if content.offset < part.size {
            part.cut(content.offset)?;
        }
        progress(Event::Started { file: file.name, offset: part.size, total: file.size });
        while part.size < file.size {
            let Some(bytes) = content.next()? else { return Err(self.ended_early()) };
            if bytes.len() as u64 > file.size - part.size {
                let got = part.size + bytes.len() as u64;
                part.cut(0)?;
                return Err(file.wrong_size(got));
            }
            part.append(&bytes)?;
            progress(Event::Advanced { file: file.name, done: part.size, total: file.size });
        }
        Ok(())
    }

    fn ended_early(&self) -> HubError {
        let host = self.client.endpoint().host_str().unwrap_or_default().into();
        HubError::Network { host, source: std::io::Error::from(ErrorKind::UnexpectedEof).into() }
    }
}

/// Opens a file that is continued, or makes it. What has its name but is no file, such as a link, was not made by a
/// program of the hub; it gives way, so that nothing is written elsewhere through it.
fn open_partial(path: &Path) -> std::io::Result<File> {
    match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_file() => return File::options().write(true).open(path),
        Ok(_) => fs::remove_file(path)?,
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    File::options().create_new(true).write(true).open(path)
}

/// A file that is being gathered.
struct Part<'a> {
    path: &'a Path,
    output: File,
    /// How much is there.
    size: u64,
}

impl Part<'_> {
    fn cut(&mut self, size: u64) -> Result<(), HubError> {
        self.output.set_len(size).map_err(|source| HubError::write(self.path, source))?;
        self.size = size;
        Ok(())
    }

    fn append(&mut self, bytes: &[u8]) -> Result<(), HubError> {
        let seek = self.output.seek(SeekFrom::Start(self.size));
        let written = seek.and_then(|_| self.output.write_all(bytes));
        written.map_err(|source| HubError::write(self.path, source))?;
        self.size += bytes.len() as u64;
        Ok(())
    }
}

fn is_complete(blob: &Path, size: u64) -> bool {
    fs::metadata(blob).is_ok_and(|metadata| metadata.is_file() && metadata.len() == size)
}

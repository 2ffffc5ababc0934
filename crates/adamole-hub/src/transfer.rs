//! How a file's content gets into the cache.

use std::fs::{self, File};
use std::io::{ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::Path;

use crate::HubError;
use crate::client::Answer;
use crate::event::{Event, Progress};
use crate::folder::RepositoryFolder;
use crate::remote::{Remote, RemoteFile};

impl Remote<'_> {
    /// Gets a file's content into the cache, where another process may be about to do the same.
    pub(crate) fn fetch(
        &self,
        file: &RemoteFile<'_>,
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
        &self,
        file: &RemoteFile<'_>,
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
        }
    }

    /// Continues the file at `partial` until it has its whole size.
    fn complete(&self, file: &RemoteFile<'_>, partial: &Path, progress: &mut Progress<'_>) -> Result<(), HubError> {
        let output = open_partial(partial).map_err(|source| HubError::write(partial, source))?;
        let mut part = Part { path: partial, output, size: 0 };
        part.size = part.output.metadata().map_err(|source| HubError::write(partial, source))?.len();

        let mut tries = self.client.tries();
        let mut furthest = part.size;
        while let Err(error) = self.continue_once(file, &mut part, progress) {
            if part.size > furthest {
                furthest = part.size;
                tries.reset();
            }
            tries.again(error, progress)?;
        }
        Ok(())
    }

    fn continue_once(
        &self,
        file: &RemoteFile<'_>,
        part: &mut Part<'_>,
        progress: &mut Progress<'_>,
    ) -> Result<(), HubError> {
        if part.size > file.size {
            part.cut(0)?;
        }
        if part.size == file.size {
            return Ok(());
        }
        let mut answer = self.open(file, part.size)?;
        let continues = answer.status() == 206 && continues_at(&answer, part.size, file.size);
        if !continues && answer.status() != 200 {
            // The server cannot continue this file.
            answer = self.open(file, 0)?;
        }
        if answer.status() == 200 {
            part.cut(0)?;
            let announced = answer.number("Content-Length").unwrap_or(file.size);
            if announced != file.size {
                return Err(file.wrong_size(announced));
            }
        }
        progress(Event::Started { file: file.name, offset: part.size, total: file.size });
        let url = answer.url.clone();
        let mut body = answer.body();
        let mut buffer = vec![0; 1 << 17];
        while part.size < file.size {
            let count = match body.read(&mut buffer) {
                Ok(0) => return Err(url.network(std::io::Error::from(ErrorKind::UnexpectedEof))),
                Ok(count) => count,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(url.network(error)),
            };
            if count as u64 > file.size - part.size {
                let got = part.size + count as u64;
                part.cut(0)?;
                return Err(file.wrong_size(got));
            }
            part.append(&buffer[..count])?;
            progress(Event::Advanced { file: file.name, done: part.size, total: file.size });
        }
        Ok(())
    }
}

impl RemoteFile<'_> {
    fn wrong_size(&self, got: u64) -> HubError {
        HubError::WrongSize { file: self.name.into(), expected: self.size, got }
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

/// Whether the answer is the rest of the file: its `Content-Range` is `bytes {offset}-{last}/{size}`.
fn continues_at(answer: &Answer, offset: u64, size: u64) -> bool {
    let range = answer.header("Content-Range").and_then(|range| range.trim().strip_prefix("bytes "));
    let Some((range, total)) = range.and_then(|range| range.split_once('/')) else { return false };
    let first = range.split_once('-').and_then(|(first, _)| first.parse().ok());
    first == Some(offset) && (total == "*" || total.parse() == Ok(size))
}

fn is_complete(blob: &Path, size: u64) -> bool {
    fs::metadata(blob).is_ok_and(|metadata| metadata.is_file() && metadata.len() == size)
}

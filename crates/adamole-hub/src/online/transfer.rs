//! The transfer of a file's content into the cache: resumed at its byte, and verified.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Seek, SeekFrom, Write};
use std::path::PathBuf;
use std::time::Duration;

use super::folder::RepositoryFolder;
use super::remote::{Remote, RemoteFile};
use crate::HubError;
use crate::event::{Event, Progress};

impl Remote<'_> {
    /// Gets a file's content into the cache, where another process may be doing the same.
    pub(crate) fn fetch(
        &self,
        file: &RemoteFile<'_>,
        folder: &RepositoryFolder,
        progress: &mut Progress<'_>,
    ) -> Result<(), HubError> {
        let _lock = folder.lock(&file.etag, || progress(Event::Waiting { file: file.name }))?;
        let blob = fs::metadata(folder.blob(&file.etag));
        if blob.is_ok_and(|blob| blob.is_file() && blob.len() == file.size) {
            return Ok(());
        }
        let mut part = Part::open(folder.partial(&file.etag)?)?;
        let mut is_second = false;
        loop {
            self.complete(file, &mut part, progress)?;
            progress(Event::Verifying { file: file.name });
            // What is on the disk counts, whichever transfers and processes it came from.
            let got = file.etag.of_file(&part.path);
            let got = got.map_err(|source| HubError::Io { path: part.path.clone(), source })?;
            if got == file.etag {
                return folder.install(&part.path, &file.etag);
            }
            if is_second {
                fs::remove_file(&part.path).map_err(|source| HubError::write(&part.path, source))?;
                let (expected, got) = (file.etag.as_str().into(), got.as_str().into());
                return Err(HubError::WrongHash { file: file.name.into(), expected, got });
            }
            is_second = true;
            part.cut(0)?;
            self.give_up_xet(file);
        }
    }

    /// Continues the transfer until the file has its whole size.
    fn complete(&self, file: &RemoteFile<'_>, part: &mut Part, progress: &mut Progress<'_>) -> Result<(), HubError> {
        let (mut failures, mut furthest) = (0, part.size);
        while let Err(error) = self.continue_once(file, part, progress) {
            if part.size > furthest {
                (failures, furthest) = (0, part.size);
            }
            if error.is_transient() && self.give_up_xet(file) {
                progress(Event::Retrying { error: &error, delay: Duration::ZERO });
            } else {
                self.client.hub.network.wait_after(error, &mut failures, progress)?;
            }
        }
        Ok(())
    }

    fn continue_once(
        &self,
        file: &RemoteFile<'_>,
        part: &mut Part,
        progress: &mut Progress<'_>,
    ) -> Result<(), HubError> {
        let (name, total) = (file.name, file.size);
        if part.size > total {
            part.cut(0)?;
        }
        if part.size == total {
            return Ok(());
        }
        let (offset, mut next) = self.open(file, part.size)?;
        part.cut(offset)?;
        progress(Event::Started { file: name, offset, total });
        while part.size < total {
            let Some(bytes) = next()? else {
                let host = self.client.endpoint.host_str().unwrap_or_default().into();
                return Err(HubError::Network { host, source: io::Error::from(ErrorKind::UnexpectedEof).into() });
            };
            let done = part.size + bytes.len() as u64;
            if done > total {
                part.cut(0)?;
                return Err(file.wrong_size(done));
            }
            part.append(&bytes)?;
            progress(Event::Advanced { file: name, done, total });
        }
        Ok(())
    }
}

/// The part of a file that has arrived.
struct Part {
    path: PathBuf,
    output: File,
    size: u64,
}

impl Part {
    /// Opens a file that is continued, or creates it. What has its name but is no file, such as a link, was not made by a
    /// program of the hub; it is removed, so that nothing is written elsewhere through it.
    fn open(path: PathBuf) -> Result<Self, HubError> {
        let removed = match fs::symlink_metadata(&path) {
            Ok(found) if !found.is_file() => fs::remove_file(&path),
            _ => Ok(()),
        };
        let opened = removed.and_then(|()| File::options().create(true).truncate(false).write(true).open(&path));
        let opened = opened.and_then(|output| Ok((output.metadata()?.len(), output)));
        let (size, output) = opened.map_err(|source| HubError::write(&path, source))?;
        Ok(Self { path, output, size })
    }

    fn cut(&mut self, size: u64) -> Result<(), HubError> {
        self.size = size;
        self.output.set_len(size).map_err(|source| HubError::write(&self.path, source))
    }

    fn append(&mut self, bytes: &[u8]) -> Result<(), HubError> {
        let seek = self.output.seek(SeekFrom::Start(self.size));
        let written = seek.and_then(|_| self.output.write_all(bytes));
        written.map_err(|source| HubError::write(&self.path, source))?;
        self.size += bytes.len() as u64;
        Ok(())
    }
}

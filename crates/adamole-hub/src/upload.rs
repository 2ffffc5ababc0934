//! Uploads.

use std::path::PathBuf;

/// Files for a repository of the hub, in one commit.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Upload {
    pub(crate) files: Vec<(String, Content)>,
    pub(crate) message: String,
    pub(crate) is_private: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Content {
    File(PathBuf),
    Text(String),
}

impl Upload {
    /// No files yet; `message` is the title of the commit.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), ..Self::default() }
    }

    /// Adds the file at `path` as `name`.
    #[must_use]
    pub fn with_file(mut self, name: impl Into<String>, path: impl Into<PathBuf>) -> Self {
        self.files.push((name.into(), Content::File(path.into())));
        self
    }

    /// Adds a file with this text.
    #[must_use]
    pub fn with_text(mut self, name: impl Into<String>, text: impl Into<String>) -> Self {
        self.files.push((name.into(), Content::Text(text.into())));
        self
    }

    /// Whether a new repository is private. One that exists and is public is refused then.
    #[must_use]
    pub fn private(self, is_private: bool) -> Self {
        Self { is_private, ..self }
    }

    /// The names of the files in the repository.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.files.iter().map(|(name, _)| name.as_str())
    }
}

/// The result of an upload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pushed {
    /// The page of the repository at the branch.
    pub url: String,
    /// The new commit.
    pub commit: String,
    /// Whether the repository was created.
    pub is_new: bool,
}

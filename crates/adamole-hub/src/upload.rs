//! What is put onto the hub.

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
    /// No files yet; `message` is what the commit is called.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), ..Self::default() }
    }

    /// With the file at `path`, which is called `name` in the repository.
    #[must_use]
    pub fn with_file(mut self, name: impl Into<String>, path: impl Into<PathBuf>) -> Self {
        self.files.push((name.into(), Content::File(path.into())));
        self
    }

    /// With a file of this text.
    #[must_use]
    pub fn with_text(mut self, name: impl Into<String>, text: impl Into<String>) -> Self {
        self.files.push((name.into(), Content::Text(text.into())));
        self
    }

    /// Whether a repository that is made for this is private. One that is there already and public is refused then.
    #[must_use]
    pub fn private(mut self, is_private: bool) -> Self {
        self.is_private = is_private;
        self
    }

    /// The names of the files in the repository.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.files.iter().map(|(name, _)| name.as_str())
    }
}

/// Where files were put.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pushed {
    /// The page of the repository at the branch.
    pub url: String,
    /// The commit that was made.
    pub commit: String,
    /// Whether the repository was made for it.
    pub is_new: bool,
}

//! Benchmarks. Each is a TOML file that says where its rows are and how they become multiple-choice questions.

mod answer;
mod builtin;
mod choices;
mod definition;
mod mark;
mod question;
mod template;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use serde::Deserialize;

use self::question::Form;
use crate::{DataError, Row, RowError, Split};

pub use self::definition::DefinitionError;
pub use self::question::{Choice, MultipleChoice};

/// A benchmark: where it is published, and how its rows become multiple-choice questions.
///
/// The prompts of the built-in benchmarks are those of the reference implementation (arXiv:2405.00361), character for character.
/// [`Benchmark::from_file`] reads a custom benchmark from a file like theirs.
#[derive(Debug, Clone)]
pub struct Benchmark {
    name: Arc<str>,
    hub: Option<HubPlace>,
    splits: Vec<Split>,
    labelled: Vec<Split>,
    folder: Option<String>,
    files: BTreeMap<Split, String>,
    published_letters: usize,
    content: Content,
}

#[derive(Debug, Clone)]
enum Content {
    Rows(Box<Form>),
    Mixture(Vec<Benchmark>),
}

/// The place of a data set on the Hugging Face Hub.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HubPlace {
    /// The data set, as in `super_glue`.
    pub id: String,
    /// The folder of its configuration, if it has several.
    pub config: Option<String>,
    /// The branch with the files, if it is not `main`.
    pub revision: Option<String>,
}

impl Benchmark {
    /// The built-in benchmarks: the ten of the paper's main table in its order, the four others that the reference implementation
    /// formats, and the mixture `super_glue`.
    pub fn all() -> &'static [Self] {
        builtin::all()
    }

    /// The built-in benchmark called `name`.
    ///
    /// Case, `_`, `-` and everything before the last `/` are ignored: `ScienceQA`, `science_qa`, `super_glue/copa` and
    /// `tau/commonsense_qa` are all found.
    ///
    /// # Errors
    ///
    /// [`DataError::UnknownBenchmark`] with the most similar name and all names.
    pub fn by_name(name: &str) -> Result<&'static Self, DataError> {
        builtin::by_name(Self::all(), name)
    }

    /// Reads a benchmark from a TOML file, whose format the documentation of the crate describes.
    ///
    /// # Errors
    ///
    /// [`DataError::MissingFile`], [`DataError::Io`] or [`DataError::Definition`].
    pub fn from_file(path: &Path) -> Result<Self, DataError> {
        let text = crate::files::read_text(path)?;
        Self::parse(&text, Self::all()).map_err(|source| DataError::Definition { path: path.into(), source })
    }

    /// The short name, as in `boolq`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its place on the hub; the parts of a mixture have their own places.
    pub fn hub(&self) -> Option<&HubPlace> {
        self.hub.as_ref()
    }

    /// The published splits.
    pub fn splits(&self) -> &[Split] {
        &self.splits
    }

    /// The splits that are published with labels.
    pub fn labelled_splits(&self) -> &[Split] {
        &self.labelled
    }

    /// The number of letters over which the reference implementation scores every item. This crate scores an item over its own
    /// choices. The two differ for ScienceQA and ARC, whose items have different numbers of choices.
    pub fn published_letters(&self) -> usize {
        self.published_letters
    }

    /// The benchmarks that it is read from: itself, or the parts of a mixture in their order.
    pub fn parts(&self) -> &[Self] {
        match &self.content {
            Content::Rows(_) => std::slice::from_ref(self),
            Content::Mixture(parts) => parts,
        }
    }

    /// The question of the row with this number; `None` of a row that is left out, such as a question about an image. A mixture has
    /// no rows of its own and leaves out every row.
    ///
    /// # Errors
    ///
    /// [`RowError`], which names the field.
    pub fn question(&self, row: &Row, number: usize) -> Result<Option<MultipleChoice>, RowError> {
        self.question_in(None, row, number)
    }

    /// [`Self::question`] of a row of `split`, which may be published without labels.
    pub(crate) fn question_in(
        &self,
        split: Option<Split>,
        row: &Row,
        number: usize,
    ) -> Result<Option<MultipleChoice>, RowError> {
        let Content::Rows(form) = &self.content else { return Ok(None) };
        let labelled = split.is_none_or(|split| self.labelled.contains(&split));
        form.read(&self.name, number, row, labelled)
    }

    /// Groups of glob patterns over the paths of a data set's files, in which a star does not match `/`. The first group that
    /// matches any file matches exactly the files that [`read_split`] reads.
    ///
    /// [`read_split`]: crate::read_split
    pub fn file_patterns(&self) -> Vec<Vec<String>> {
        crate::files::patterns(self)
    }

    /// The files that the definition names.
    pub fn named_files(&self) -> impl Iterator<Item = &str> {
        self.files.values().map(String::as_str)
    }

    /// The name of its folder in the archives of its authors.
    pub(crate) fn folder(&self) -> Option<&str> {
        self.folder.as_deref()
    }

    /// The file of a split, if the definition names it.
    pub(crate) fn file(&self, split: Split) -> Option<&str> {
        self.files.get(&split).map(String::as_str)
    }

    /// The fields that are read, and those of which only the presence is read.
    pub(crate) fn fields(&self) -> (Vec<&str>, &[String]) {
        match &self.content {
            Content::Rows(form) => (form.fields(), &form.skip_where),
            Content::Mixture(_) => (Vec::new(), &[]),
        }
    }
}

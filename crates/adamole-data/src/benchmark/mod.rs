//! Benchmarks, each a file that says where its rows are and how they become multiple-choice prompts.

mod answer;
mod builtin;
mod choices;
mod form;
mod mark;
mod template;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use serde::Deserialize;

use self::form::{Form, Question};
use crate::{DataError, MultipleChoice, Row, RowError, Split};

/// A benchmark: where it is published, and how its rows become multiple-choice prompts.
///
/// The prompts of the built-in ones are those of the AdaMoLE paper's published code (arXiv:2405.00361), character for
/// character. A benchmark of one's own is a file like theirs, which [`Benchmark::from_file`] reads.
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

/// Where the Hugging Face hub has a data set.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HubPlace {
    /// The data set, as in `super_glue`.
    pub id: String,
    /// The folder of its configuration, where it has several.
    pub config: Option<String>,
    /// The branch that has the rows as files, if it is not `main`.
    pub revision: Option<String>,
}

/// A benchmark's file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Definition {
    name: String,
    hub: Option<HubPlace>,
    #[serde(default = "all_splits")]
    splits: Vec<Split>,
    labelled: Option<Vec<Split>>,
    folder: Option<String>,
    #[serde(default)]
    files: BTreeMap<Split, String>,
    published_letters: Option<usize>,
    mixture: Option<Vec<String>>,

    #[serde(default)]
    skip_where: Vec<String>,
    prompt: Option<String>,
    passage: Option<String>,
    choices: Option<choices::Choices>,
    answer: Option<answer::Answer>,
    #[serde(default)]
    marks: Vec<mark::Mark>,
}

fn all_splits() -> Vec<Split> {
    vec![Split::Train, Split::Validation, Split::Test]
}

impl Benchmark {
    /// The built-in ones: the ten of the paper's main table in its order, the four more that its published code
    /// formats, and the mixture `super_glue`.
    pub fn all() -> &'static [Self] {
        builtin::all()
    }

    /// The ten of the paper's main table, in its order.
    pub fn of_the_paper() -> &'static [Self] {
        &Self::all()[..10]
    }

    /// The built-in benchmark called `name`.
    ///
    /// Case, `_` and `-` do not matter, nor does what stands before the last `/`: `ScienceQA`, `science_qa`,
    /// `super_glue/copa` and `tau/commonsense_qa` are all found.
    ///
    /// # Errors
    ///
    /// [`DataError::UnknownBenchmark`] with the nearest name and all names.
    pub fn by_name(name: &str) -> Result<&'static Self, DataError> {
        builtin::by_name(Self::all(), name)
    }

    /// Reads a benchmark from a TOML file; the crate's documentation describes it.
    ///
    /// # Errors
    ///
    /// [`DataError::MissingFile`] or [`DataError::Io`], and [`DataError::Definition`] with the line where it is
    /// not a benchmark.
    pub fn from_file(path: &Path) -> Result<Self, DataError> {
        let text = crate::files::read_text(path)?;
        Self::parse(&text, Self::all()).map_err(|message| DataError::Definition { path: path.into(), message })
    }

    /// Reads a definition; a mixture may be of those that are `known`.
    fn parse(text: &str, known: &[Self]) -> Result<Self, String> {
        let definition: Definition = toml::from_str(text).map_err(|error| error.to_string().trim_end().to_owned())?;
        let Definition { name, hub, splits, labelled, folder, files, published_letters, mixture, .. } = definition;
        if name.is_empty() || name.contains(['/', '\\']) {
            return Err(format!("`name`: expected a name without slashes, found {name:?}"));
        }
        let content = match (mixture, definition.prompt, definition.choices, definition.answer) {
            (Some(parts), None, None, None) => Content::Mixture(parts_of(&parts, known)?),
            (Some(_), ..) => return Err("expected `mixture` or a `prompt` with its fields, found both".into()),
            (None, Some(prompt), Some(choices), Some(answer)) => {
                let Definition { skip_where, passage, marks, .. } = definition;
                Content::Rows(Box::new(Form::parse(form::Written {
                    skip_where,
                    prompt,
                    passage,
                    choices,
                    answer,
                    marks,
                })?))
            }
            (None, prompt, choices, _) => {
                let missing = match (prompt, choices) {
                    (None, _) => "prompt",
                    (_, None) => "choices",
                    _ => "answer",
                };
                return Err(format!("`{missing}` is missing"));
            }
        };
        let letters = match &content {
            Content::Rows(form) => form.num_choices(),
            Content::Mixture(parts) => parts.iter().map(|part| part.published_letters).max(),
        };
        let published_letters = published_letters.or(letters).unwrap_or(26);
        if !(2..=26).contains(&published_letters) {
            return Err(format!("`published_letters`: expected 2 to 26, found {published_letters}"));
        }
        let labelled = labelled.unwrap_or_else(|| splits.clone());
        Ok(Self { name: name.into(), hub, splits, labelled, folder, files, published_letters, content })
    }

    /// The short name, as in `boolq`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where the hub has it; a mixture's parts have their own places.
    pub fn hub(&self) -> Option<&HubPlace> {
        self.hub.as_ref()
    }

    /// The splits that are published.
    pub fn splits(&self) -> &[Split] {
        &self.splits
    }

    /// Those of them that are published with labels.
    pub fn labelled_splits(&self) -> &[Split] {
        &self.labelled
    }

    /// Over how many letters the published code scores every item. Ours are scored over the item's own choices; the
    /// two differ for ScienceQA and ARC, whose items have different numbers of choices.
    pub fn published_letters(&self) -> usize {
        self.published_letters
    }

    /// What it is read from: itself, or the parts of a mixture one after another.
    pub fn parts(&self) -> &[Self] {
        match &self.content {
            Content::Rows(_) => std::slice::from_ref(self),
            Content::Mixture(parts) => parts,
        }
    }

    /// Makes a question of a row that stands at `number`; `None` for one that is left out, such as a question about an
    /// image. A mixture has no rows of its own and leaves out everything.
    ///
    /// # Errors
    ///
    /// [`RowError`] names the field that is not as this benchmark has it.
    pub fn question(&self, row: &Row, number: usize) -> Result<Option<MultipleChoice>, RowError> {
        self.question_in(None, row, number)
    }

    /// [`Self::question`], of a row of `split`, which may be one that is published without labels.
    pub(crate) fn question_in(
        &self,
        split: Option<Split>,
        row: &Row,
        number: usize,
    ) -> Result<Option<MultipleChoice>, RowError> {
        let Content::Rows(form) = &self.content else { return Ok(None) };
        let labelled = split.is_none_or(|split| self.labelled.contains(&split));
        let Some(Question { prompt, choices, answer }) = form.read(row, labelled)? else { return Ok(None) };
        Ok(Some(MultipleChoice {
            benchmark: self.name.clone(),
            row: number,
            prompt: prompt.text,
            passage: prompt.passage,
            choices,
            answer,
        }))
    }

    /// Patterns over the names of a data set's files; a star stands for any characters within a folder. The files of the
    /// splits match those of the first group that matches any file. What is fetched from the hub by them is what
    /// [`read_split`] finds in a folder, and the other way round.
    ///
    /// [`read_split`]: crate::read_split
    pub fn file_patterns(&self) -> Vec<Vec<String>> {
        crate::files::patterns(self)
    }

    /// The files of the splits of which the definition names the file.
    pub fn named_files(&self) -> impl Iterator<Item = &str> {
        self.files.values().map(String::as_str)
    }

    /// What its authors call its folder.
    pub(crate) fn folder(&self) -> Option<&str> {
        self.folder.as_deref()
    }

    /// The name of a split's file, where it is not the usual one.
    pub(crate) fn file(&self, split: Split) -> Option<&str> {
        self.files.get(&split).map(String::as_str)
    }

    /// The fields that are read, and those of them of which only their presence counts.
    pub(crate) fn fields(&self) -> (Vec<&str>, &[String]) {
        match &self.content {
            Content::Rows(form) => (form.fields(), form.presence()),
            Content::Mixture(_) => (Vec::new(), &[]),
        }
    }
}

fn parts_of(names: &[String], known: &[Benchmark]) -> Result<Vec<Benchmark>, String> {
    let part = |name: &String| {
        let part = builtin::by_name(known, name).map_err(|error| format!("`mixture`: {error}"))?;
        match part.content {
            Content::Rows(_) => Ok(part.clone()),
            Content::Mixture(_) => Err(format!("`mixture`: {name} is itself a mixture")),
        }
    };
    match names {
        [] => Err("`mixture`: expected the names of benchmarks, found none".into()),
        names => names.iter().map(part).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINIMAL: &str = "name = 'mine'\nprompt = \"{q}\\n{choices}\\nAnswer:\"\nchoices = ['a', 'b']\n\
                           answer = { index = 'label' }";

    fn refused(text: &str) -> String {
        Benchmark::parse(text, Benchmark::all()).unwrap_err()
    }

    #[test]
    fn a_minimal_benchmark() {
        let mine = Benchmark::parse(MINIMAL, &[]).unwrap();
        assert_eq!((mine.name(), mine.published_letters(), mine.splits().len()), ("mine", 2, 3));
        assert_eq!(mine.labelled_splits(), mine.splits());
        assert_eq!(mine.parts().len(), 1);
    }

    #[test]
    fn what_is_no_benchmark_is_refused_with_its_reason() {
        let with = |from: &str, to: &str| MINIMAL.replace(from, to);
        for (text, reason) in [
            (with("{q}", "{q"), "`{` without `}`"),
            (with("{choices}", ""), "expected a place for {choices}"),
            (with("Answer:", "Answer: "), "expected no space at its end"),
            (with("mine", "my/own"), "expected a name without slashes"),
            (with("'a', ", ""), "expected 2 to 26 choices, found 1"),
            (with("['a', 'b']", "3"), "expected a list of texts, or a table with the fields `texts`"),
            (with("index", "indx"), "expected a table with the field of the answer as `index`, `label` or `text`"),
            (with("choices = ['a', 'b']\n", ""), "`choices` is missing"),
            (with("prompt", "promt"), "unknown field `promt`"),
            (format!("passage = 'p'\n{MINIMAL}"), "expected a place for {p}"),
            (format!("splits = ['dev']\n{MINIMAL}"), "unknown variant `dev`"),
            (format!("published_letters = 1\n{MINIMAL}"), "expected 2 to 26, found 1"),
            (
                with("index = 'label'", "index = 'label', names = ['no', '1']"),
                "expected words that differ, found \"1\"",
            ),
            (format!("mixture = ['cb']\n{MINIMAL}"), "found both"),
            ("name = 'm'\nmixture = []".into(), "found none"),
            ("name = 'm'\nmixture = ['super_glue']".into(), "itself a mixture"),
            ("name = 'm'\nmixture = ['cbx']".into(), "did you mean `cb`?"),
            ("name = 3".into(), "line 1"),
        ] {
            assert!(refused(&text).contains(reason), "{text}\n{}", refused(&text));
        }
    }

    #[test]
    fn a_mixture_has_the_parts_of_its_name() {
        let mixture = Benchmark::parse("name = 'two'\nmixture = ['cb', 'copa']", Benchmark::all()).unwrap();
        assert_eq!(mixture.parts().iter().map(Benchmark::name).collect::<Vec<_>>(), ["cb", "copa"]);
        assert_eq!(mixture.published_letters(), 3);
    }
}

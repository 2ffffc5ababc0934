//! The TOML file of a benchmark.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::answer::Answer;
use super::choices::{Choices, MOST_CHOICES};
use super::mark::Mark;
use super::question::{CHOICES, Form};
use super::template::Template;
use super::{Benchmark, Content, HubPlace, builtin};
use crate::{DataError, Split};

/// What is wrong with the TOML file of a benchmark.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DefinitionError {
    /// The file is not TOML, a key is unknown, or a value has another type.
    #[error("{}", .0.to_string().trim_end())]
    Toml(Box<toml::de::Error>),
    /// A key is missing.
    #[error("`{0}` is missing")]
    Missing(&'static str),
    /// A mixture has a prompt of its own.
    #[error("expected `mixture` or a `prompt` with its fields, found both")]
    MixtureAndPrompt,
    /// A part of a mixture is not a benchmark.
    #[error("`mixture`: {0}")]
    Part(Box<DataError>),
    /// A value is not valid.
    #[error("`{key}`: {problem}")]
    Invalid {
        /// The key.
        key: &'static str,
        /// What was expected and found.
        problem: String,
    },
}

/// The content of the file.
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
    choices: Option<Choices>,
    answer: Option<Answer>,
    #[serde(default)]
    marks: Vec<Mark>,
}

fn all_splits() -> Vec<Split> {
    vec![Split::Train, Split::Validation, Split::Test]
}

pub(super) fn invalid(key: &'static str, problem: impl ToString) -> DefinitionError {
    DefinitionError::Invalid { key, problem: problem.to_string() }
}

impl Benchmark {
    /// Parses a definition. The parts of a mixture are among `known`.
    pub(super) fn parse(text: &str, known: &[Self]) -> Result<Self, DefinitionError> {
        let definition: Definition = toml::from_str(text).map_err(|error| DefinitionError::Toml(Box::new(error)))?;
        let Definition { name, hub, splits, labelled, folder, files, published_letters, mixture, .. } = definition;
        if name.is_empty() || name.contains(['/', '\\']) {
            return Err(invalid("name", format!("expected a name without slashes, found {name:?}")));
        }
        let (skip_where, passage, marks) = (definition.skip_where, definition.passage, definition.marks);
        let content = match (mixture, definition.prompt, definition.choices, definition.answer) {
            (Some(parts), None, None, None) => Content::Mixture(parts_of(&parts, known)?),
            (Some(_), ..) => return Err(DefinitionError::MixtureAndPrompt),
            (None, Some(prompt), Some(choices), Some(answer)) => {
                let prompt = parse_prompt(&prompt)?;
                let form = Form { skip_where, prompt, passage, choices, answer, marks };
                check(&form)?;
                Content::Rows(Box::new(form))
            }
            (None, None, ..) => return Err(DefinitionError::Missing("prompt")),
            (None, _, None, _) => return Err(DefinitionError::Missing("choices")),
            (None, ..) => return Err(DefinitionError::Missing("answer")),
        };
        let letters = match &content {
            Content::Rows(form) => form.choices.count(),
            Content::Mixture(parts) => parts.iter().map(|part| part.published_letters).max(),
        };
        let published_letters = published_letters.or(letters).unwrap_or(MOST_CHOICES);
        if !(2..=MOST_CHOICES).contains(&published_letters) {
            return Err(invalid("published_letters", format!("expected 2 to 26, found {published_letters}")));
        }
        let labelled = labelled.unwrap_or_else(|| splits.clone());
        Ok(Self { name: name.into(), hub, splits, labelled, folder, files, published_letters, content })
    }
}

fn parse_prompt(prompt: &str) -> Result<Template, DefinitionError> {
    if prompt.ends_with(char::is_whitespace) {
        return Err(invalid("prompt", "expected no space at its end; the answer follows after one"));
    }
    Template::parse(prompt).map_err(|error| invalid("prompt", error))
}

/// Checks that the prompt has a place for the choices and for every field that is marked or shortened.
fn check(form: &Form) -> Result<(), DefinitionError> {
    let fields: Vec<&str> = form.prompt.fields().collect();
    let expected = [CHOICES].into_iter().chain(form.passage.as_deref()).chain(form.marks.iter().map(Mark::field));
    match expected.into_iter().find(|field| !fields.contains(field)) {
        Some(field) => Err(invalid("prompt", format!("expected a place for {{{field}}}"))),
        None => form.answer.check(),
    }
}

fn parts_of(names: &[String], known: &[Benchmark]) -> Result<Vec<Benchmark>, DefinitionError> {
    let part = |name: &String| {
        let part = builtin::by_name(known, name).map_err(|error| DefinitionError::Part(Box::new(error)))?;
        match part.content {
            Content::Rows(_) => Ok(part.clone()),
            Content::Mixture(_) => Err(invalid("mixture", format!("{name} is itself a mixture"))),
        }
    };
    match names {
        [] => Err(invalid("mixture", "expected the names of benchmarks, found none")),
        names => names.iter().map(part).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINIMAL: &str = "name = 'mine'\nprompt = \"{q}\\n{choices}\\nAnswer:\"\nchoices = ['a', 'b']\n\
                           answer = { index = 'label' }";

    fn refused(text: &str) -> String {
        Benchmark::parse(text, Benchmark::all()).unwrap_err().to_string()
    }

    #[test]
    fn a_minimal_benchmark() {
        let mine = Benchmark::parse(MINIMAL, &[]).unwrap();
        assert_eq!((mine.name(), mine.published_letters(), mine.splits().len()), ("mine", 2, 3));
        assert_eq!(mine.labelled_splits(), mine.splits());
        assert_eq!(mine.parts().len(), 1);
    }

    #[test]
    fn an_invalid_definition_is_refused_with_its_reason() {
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

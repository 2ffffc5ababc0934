//! Patterns for the files of a repository.

use regex::RegexSet;

/// The files that a caller wants, by patterns over their names.
///
/// `*` stands for any characters within a folder, `**` for any characters: `*.json` is every such file at the top,
/// `super_glue/cb/*` every file right in that folder, and `data/**` everything below `data`. A pattern without a star
/// is the name of one file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wanted {
    required: Vec<String>,
    optional: Vec<String>,
    /// Groups of patterns; the first that matches a file is used.
    alternatives: Vec<Vec<String>>,
    /// The name of what is missing if no file is wanted.
    at_least: Option<String>,
}

impl Wanted {
    /// Files that have to exist: it is an error if one of the patterns matches none.
    pub fn new<P: Into<String>>(patterns: impl IntoIterator<Item = P>) -> Self {
        Self { required: patterns.into_iter().map(Into::into).collect(), ..Self::default() }
    }

    /// Also the files that these patterns match, if there are any.
    #[must_use]
    pub fn and_if_present<P: Into<String>>(mut self, patterns: impl IntoIterator<Item = P>) -> Self {
        self.optional.extend(patterns.into_iter().map(Into::into));
        self
    }

    /// Also the files that match the first of these groups of patterns that matches any.
    #[must_use]
    pub fn and_first_of(self, groups: Vec<Vec<String>>) -> Self {
        Self { alternatives: groups, ..self }
    }

    /// At least one file has to exist: `what` is reported as missing if none of the patterns matches any.
    #[must_use]
    pub fn at_least_one(self, what: impl Into<String>) -> Self {
        Self { at_least: Some(what.into()), ..self }
    }

    /// Whether the names of all the files are known without a list of what there is.
    pub(crate) fn is_exact(&self) -> bool {
        self.optional.is_empty()
            && self.alternatives.is_empty()
            && !self.required.iter().any(|pattern| pattern.contains('*'))
    }

    /// Those of `files` that are wanted.
    pub(crate) fn select<'a>(&self, files: &'a [String]) -> impl Iterator<Item = &'a str> {
        let first = self.alternatives.iter().map(|group| set(group));
        let first = first.into_iter().find(|group| files.iter().any(|file| group.is_match(file)));
        let sets: Vec<RegexSet> = [set(&self.required), set(&self.optional)].into_iter().chain(first).collect();
        files.iter().map(String::as_str).filter(move |file| sets.iter().any(|set| set.is_match(file)))
    }

    /// The required patterns that match none of `files`, and what is missing if none matches any.
    pub(crate) fn missing(&self, files: &[String]) -> Vec<String> {
        let is_missing = |pattern: &&String| {
            let set = set(std::slice::from_ref(*pattern));
            !files.iter().any(|file| set.is_match(file))
        };
        let none = self.at_least.iter().filter(|_| self.select(files).next().is_none());
        self.required.iter().filter(is_missing).chain(none).cloned().collect()
    }
}

/// The names that one of the patterns describes. Patterns too large for the crate `regex`, of megabytes, describe none.
fn set(patterns: &[String]) -> RegexSet {
    let expression = |pattern: &String| {
        let escaped = regex::escape(pattern).replace(r"\*\*", ".*").replace(r"\*", "[^/]*");
        format!("(?s)^{escaped}$")
    };
    RegexSet::new(patterns.iter().map(expression)).unwrap_or_else(|_| RegexSet::empty())
}

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_stay_in_a_folder_unless_doubled() {
        for (pattern, name, expected) in [
            ("config.json", "config.json", true),
            ("config.json", "config_json", false),
            ("*.json", "config.json", true),
            ("*.json", ".json", true),
            ("*.json", "original/params.json", false),
            ("*.json", "config.json.bak", false),
            ("**.json", "original/params.json", true),
            ("super_glue/cb/*", "super_glue/cb/train.parquet", true),
            ("super_glue/cb/*", "super_glue/cb/old/train.parquet", false),
            ("data/**", "data/a/b", true),
            ("**/b", "a/x/b", true),
            ("a*b*c", "aXbYbZc", true),
            ("a*b*c", "aXbYbZ", false),
            ("a.[b]*", "a.[b]c", true),
            ("a.[b]*", "axbc", false),
            ("*", "", true),
            ("", "", true),
            ("", "a", false),
        ] {
            assert_eq!(set(&[pattern.to_owned()]).is_match(name), expected, "{pattern} {name}");
        }
    }

    #[test]
    fn many_stars_are_quick() {
        assert!(!set(&["a*".repeat(50)]).is_match(&format!("{}b/", "a".repeat(5000))));
    }

    #[test]
    fn what_is_optional_is_never_missing() {
        let files = ["config.json".to_owned(), "README.md".to_owned()];
        let wanted = Wanted::new(["config.json", "*.safetensors"]).and_if_present(["*.md", "*.txt"]);
        assert_eq!(wanted.missing(&files), ["*.safetensors"]);
        assert_eq!(wanted.select(&files).collect::<Vec<_>>(), ["config.json", "README.md"]);
        let rows = Wanted::default().and_if_present(["*.csv"]).at_least_one("file with rows");
        assert_eq!(rows.missing(&files), ["file with rows"]);
        assert!(rows.missing(&["a.csv".to_owned()]).is_empty());
        let groups = [["a/*"], ["*.md"], ["*"]].map(|group| group.map(String::from).into());
        assert_eq!(Wanted::default().and_first_of(groups.into()).select(&files).collect::<Vec<_>>(), ["README.md"]);
        assert!(!wanted.is_exact() && Wanted::new(["config.json"]).is_exact());
    }
}

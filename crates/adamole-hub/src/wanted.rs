//! Which files of a repository are asked for.

/// The files that a caller wants, by patterns over their names.
///
/// `*` stands for any characters within a folder, `**` for any characters: `*.json` is every such file at the top,
/// `super_glue/cb/*` every file right in that folder, and `data/**` everything below `data`. A pattern without a star
/// is the name of one file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wanted {
    required: Vec<String>,
    optional: Vec<String>,
    /// Groups of patterns, of which the first counts that matches a file.
    alternatives: Vec<Vec<String>>,
    /// What is missing where no file is wanted.
    at_least: Option<String>,
}

impl Wanted {
    /// Files that have to be there: it is an error if one of the patterns matches none.
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

    /// At least one file has to be there: `what` is said to be missing if none of the patterns matches any.
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
    pub(crate) fn select<'a>(&'a self, files: &'a [String]) -> impl Iterator<Item = &'a str> {
        let matches_any =
            |group: &&Vec<String>| group.iter().any(|pattern| files.iter().any(|file| matches(pattern, file)));
        let group = self.alternatives.iter().find(matches_any).map(Vec::as_slice).unwrap_or_default();
        let patterns = move || self.required.iter().chain(&self.optional).chain(group);
        files.iter().map(String::as_str).filter(move |file| patterns().any(|pattern| matches(pattern, file)))
    }

    /// The required patterns that match none of `files`, and what is missing if none matches any.
    pub(crate) fn missing(&self, files: &[String]) -> Vec<String> {
        let is_missing = |pattern: &&String| !files.iter().any(|file| matches(pattern, file));
        let none = self.at_least.iter().filter(|_| self.select(files).next().is_none());
        self.required.iter().filter(is_missing).chain(none).cloned().collect()
    }
}

/// Whether `name` is what `pattern` describes.
fn matches(pattern: &str, name: &str) -> bool {
    // `reached[i]`: the part of the name so far is described by the first `i` bytes of the pattern.
    let pattern = pattern.as_bytes();
    let mut reached = vec![false; pattern.len() + 1];
    reached[0] = true;
    skip_stars(pattern, &mut reached);
    for &byte in name.as_bytes() {
        let mut next = vec![false; reached.len()];
        for (i, &expected) in pattern.iter().enumerate().filter(|&(i, _)| reached[i]) {
            match expected {
                b'*' => next[i] |= byte != b'/' || pattern[..i].ends_with(b"*") || pattern[i + 1..].starts_with(b"*"),
                _ => next[i + 1] |= byte == expected,
            }
        }
        if !next.contains(&true) {
            return false;
        }
        skip_stars(pattern, &mut next);
        reached = next;
    }
    reached[pattern.len()]
}

/// A star may stand for nothing.
fn skip_stars(pattern: &[u8], reached: &mut [bool]) {
    for (i, _) in pattern.iter().enumerate().filter(|&(_, &byte)| byte == b'*') {
        reached[i + 1] |= reached[i];
    }
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
            ("*", "", true),
            ("", "", true),
            ("", "a", false),
        ] {
            assert_eq!(matches(pattern, name), expected, "{pattern} {name}");
        }
    }

    #[test]
    fn many_stars_are_quick() {
        assert!(!matches(&"a*".repeat(50), &format!("{}b/", "a".repeat(5000))));
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

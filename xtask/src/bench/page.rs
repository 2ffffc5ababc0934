//! `docs/benchmarks.md`, with a section for each model, machine and day.

use crate::{Failure, root};
use std::fs;

/// Adds a section to the page, or replaces the one with the same heading.
pub(crate) fn write(heading: &str, body: &str) -> Result<(), Failure> {
    let path = root().join("docs/benchmarks.md");
    let page = fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    fs::write(&path, with_section(&page, heading, body))?;
    eprintln!("{}", path.display());
    Ok(())
}

fn with_section(page: &str, heading: &str, body: &str) -> String {
    let mut parts = page.split("\n## ");
    let introduction = parts.next().unwrap_or_default().trim_end().to_owned();
    let mut sections: Vec<String> = parts.map(|section| section.trim_end().to_owned()).collect();
    let new = format!("{heading}\n\n{}", body.trim_end());
    match sections.iter_mut().find(|section| section.lines().next() == Some(heading)) {
        Some(old) => *old = new,
        None => sections.push(new),
    }
    let sections: String = sections.iter().map(|section| format!("\n\n## {section}")).collect();
    format!("{introduction}{sections}\n")
}

#[cfg(test)]
mod tests {
    use super::with_section;

    #[test]
    fn a_section_is_appended_or_replaced() {
        let one = with_section("# Page\n\nText.\n", "one", "1\n");
        assert_eq!(one, "# Page\n\nText.\n\n## one\n\n1\n");
        let two = with_section(&one, "two", "2");
        assert_eq!(two, "# Page\n\nText.\n\n## one\n\n1\n\n## two\n\n2\n");
        assert_eq!(with_section(&two, "one", "3\n\n4\n"), "# Page\n\nText.\n\n## one\n\n3\n\n4\n\n## two\n\n2\n");
    }
}

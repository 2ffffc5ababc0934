//! The documentation: its links lead somewhere, the book has every page, blocks of commands say how they are tested, and the page of
//! benchmarks is that of their definitions.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use adamole::data::{Benchmark, OnBadRow, Split, read_split};
use adamole_tests::documents::{BLOCKS, Page, pages, root};
use std::{fmt::Write, fs, path::Path};

#[test]
fn every_link_leads_to_a_file_and_a_heading() {
    let all = pages();
    let mut broken = Vec::new();
    for page in &all {
        for (line, link) in page.links() {
            // Other sites, and items of the crates' documentation, which rustdoc checks.
            if link.contains("://") || link.starts_with("mailto:") || link.contains("::") {
                continue;
            }
            let (path, anchor) = link.split_once('#').unwrap_or((&link, ""));
            let target = root().join(page.path.parent().unwrap()).join(path);
            let target = if path.is_empty() { root().join(&page.path) } else { target };
            if !target.exists() {
                broken.push(format!("{}: {link} does not exist", page.at(line)));
            } else if !anchor.is_empty() && target.extension().is_some_and(|extension| extension == "md") {
                let text = fs::read_to_string(&target).unwrap();
                if !(Page { path: target, text }).anchors().iter().any(|found| found == anchor) {
                    broken.push(format!("{}: {link}: there is no such heading", page.at(line)));
                }
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn the_book_has_every_page() {
    let book = pages().into_iter().find(|page| page.path == Path::new("docs/SUMMARY.md")).unwrap();
    let listed: Vec<String> = book.links().into_iter().map(|(_, link)| link).collect();
    let in_docs = |page: &Page| page.path.parent() == Some(Path::new("docs")) && page.path != book.path;
    for page in pages().iter().filter(|page| in_docs(page)) {
        let name = page.path.file_name().unwrap().to_str().unwrap();
        assert!(listed.iter().any(|link| link == name), "docs/SUMMARY.md does not have {name}");
    }
}

#[test]
fn every_block_of_commands_says_how_it_is_tested() {
    let mut silent = Vec::new();
    for page in pages() {
        for block in page.blocks() {
            if !BLOCKS.iter().any(|(kind, _)| *kind == block.kind) {
                silent.push(format!("{}: `sh,{}`", page.at(block.line), block.kind));
            }
        }
    }
    let known: Vec<String> = BLOCKS.iter().map(|(kind, why)| format!("`sh,{kind}` {why}")).collect();
    assert!(silent.is_empty(), "{}\nexpected one of:\n{}", silent.join("\n"), known.join("\n"));
}

#[test]
fn the_page_of_benchmarks_is_that_of_their_definitions() {
    let path = root().join("docs/benchmark-pages.md");
    let documented = fs::read_to_string(&path).unwrap();
    let start = documented.find("## ").unwrap();
    let generated: String = Benchmark::all().iter().map(section).collect::<Vec<_>>().join("\n");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(&path, documented[..start].to_owned() + &generated).unwrap();
        return;
    }
    assert!(
        documented[start..] == generated,
        "docs/benchmark-pages.md is out of date: run this test with UPDATE_DOCS=1"
    );
}

/// A benchmark: what it asks, where it is, an item as a model sees it, and its definition.
fn section(benchmark: &Benchmark) -> String {
    let file = format!("crates/adamole-data/benchmarks/{}.toml", benchmark.name());
    let definition = fs::read_to_string(root().join(&file)).unwrap();
    let about = definition.lines().next().unwrap().trim_start_matches("# ");
    let mut text = format!("## {}\n\n{about}\n\n| | |\n|---|---|\n", benchmark.name());
    if let Some(hub) = benchmark.hub() {
        let config = hub.config.as_ref().map(|config| format!(", configuration `{config}`")).unwrap_or_default();
        writeln!(text, "| on the hub | `{}`{config} |", hub.id).unwrap();
    }
    let splits = |splits: &[Split]| splits.iter().map(|split| format!("`{split}`")).collect::<Vec<_>>().join(", ");
    writeln!(text, "| splits | {} |", splits(benchmark.splits())).unwrap();
    writeln!(text, "| of which have labels | {} |", splits(benchmark.labelled_splits())).unwrap();
    if benchmark.parts().len() > 1 {
        let parts: Vec<String> = benchmark.parts().iter().map(|part| format!("[{0}](#{0})", part.name())).collect();
        writeln!(text, "| one after another | {} |", parts.join(", ")).unwrap();
    }
    let samples = root().join("datasets").join(benchmark.name());
    if samples.exists() {
        let read = read_split(benchmark, &samples, Split::Test, None, OnBadRow::Fail).unwrap();
        let item = &read.items[0];
        let letters: Vec<usize> = read.items.iter().map(|item| item.choices.len()).collect();
        let (fewest, most) = (letters.iter().min().unwrap(), letters.iter().max().unwrap());
        let choices = if fewest == most { most.to_string() } else { format!("{fewest} to {most}") };
        writeln!(text, "| choices in the sample | {choices} |").unwrap();
        writeln!(text, "| sample | [`datasets/{0}`](../datasets/{0}) |", benchmark.name()).unwrap();
        let answer = item.text().unwrap();
        writeln!(text, "\nThe first item of the sample, with its answer:\n\n```text\n{answer}\n```").unwrap();
    }
    writeln!(text, "\nThe definition, [`{0}.toml`](../{file}):\n\n```toml\n{definition}```", benchmark.name()).unwrap();
    text
}

//! From the Jinja2 of chat templates to what the template engine reads.
//!
//! Text outside of tags stays as it is, and so do the signs for whitespace. Three things are written again: expressions
//! ([`expression`]), string literals with Python's escapes, and `{% generation %}` blocks, which become calls of a function
//! that the engine is given.

mod expression;
mod lexer;
mod postfix;
mod reader;
mod statement;

use lexer::Inside;
use reader::Reader;

/// What is wrong with the text of a template.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct SyntaxError {
    /// The line, counted from 1.
    pub(crate) line: usize,
    pub(crate) message: String,
}

impl SyntaxError {
    fn at(source: &str, at: usize, message: String) -> Self {
        Self { line: 1 + source[..at.min(source.len())].matches('\n').count(), message }
    }
}

/// A template that is written again.
pub(crate) struct Translated {
    pub(crate) source: String,
    /// Whether it has `{% generation %}` blocks.
    pub(crate) has_generation: bool,
}

/// Writes a template again for the engine.
pub(crate) fn translate(source: &str) -> Result<Translated, SyntaxError> {
    // Jinja2 reads all ends of lines as line feeds.
    let source = &source.replace("\r\n", "\n").replace('\r', "\n");
    let mut written = Translated { source: String::with_capacity(source.len() * 2), has_generation: false };
    let mut at = 0;
    while let Some(offset) = tag_start(&source[at..]) {
        let start = at + offset;
        written.source.push_str(&source[at..start]);
        let sign = usize::from(source[start + 2..].starts_with(['-', '+']));
        let inside = start + 2 + sign;
        let opening = &source[start..inside];
        at = match source.as_bytes()[start + 1] {
            b'#' => {
                let Some(length) = source[start + 2..].find("#}") else {
                    return Err(SyntaxError::at(source, start, "the comment has no end".into()));
                };
                let end = start + 2 + length + 2;
                written.source.push_str(&source[start..end]);
                end
            }
            b'{' => {
                let Inside { tokens, end, next } = lexer::read(source, inside, "}}")?;
                let mut reader = Reader::new(source, &tokens, next);
                let value = reader.tuple()?;
                reader.expect_end()?;
                written.source.push_str(&format!("{opening} {} {end}", value.text));
                next
            }
            _ => match raw_block(source, inside) {
                Some(end) => {
                    let end = end.ok_or_else(|| SyntaxError::at(source, start, "the raw block has no end".into()))?;
                    written.source.push_str(&source[start..end]);
                    end
                }
                None => {
                    let Inside { tokens, end, next } = lexer::read(source, inside, "%}")?;
                    let statement = statement::translate(source, &tokens, next)?;
                    written.has_generation |= statement == statement::GENERATION;
                    written.source.push_str(&format!("{opening} {statement} {end}"));
                    next
                }
            },
        };
    }
    written.source.push_str(&source[at..]);
    Ok(written)
}

/// The first tag of a text.
fn tag_start(text: &str) -> Option<usize> {
    let starts = text.match_indices('{');
    starts.map(|(at, _)| at).find(|at| matches!(text.as_bytes().get(at + 1), Some(b'{' | b'%' | b'#')))
}

/// Where a raw block ends, if one starts at `inside`, which is behind the sign of a tag.
fn raw_block(source: &str, inside: usize) -> Option<Option<usize>> {
    let is_tag = |text: &str, name: &str| {
        let rest = text.trim_start().strip_prefix(name)?.trim_start();
        let rest = rest.strip_prefix(['-', '+']).unwrap_or(rest).strip_prefix("%}")?;
        Some(text.len() - rest.len())
    };
    let start = inside + is_tag(&source[inside..], "raw")?;
    let end = source[start..].match_indices("{%").find_map(|(at, _)| {
        let inside = start + at + 2;
        let inside = inside + usize::from(source[inside..].starts_with(['-', '+']));
        Some(inside + is_tag(&source[inside..], "endraw")?)
    });
    Some(end)
}

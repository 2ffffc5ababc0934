//! Statements: what stands between `{%` and `%}`.

use super::{SyntaxError, lexer::Placed, reader::Reader};

/// What `{% generation %}` becomes: a call with the block as its caller.
pub(super) const GENERATION: &str = "call op_generation()";

/// Writes a statement again.
pub(super) fn translate(source: &str, tokens: &[Placed<'_>], end: usize) -> Result<String, SyntaxError> {
    let mut reader = Reader::new(source, tokens, end);
    let name = reader.name()?;
    let written = match name {
        "generation" => GENERATION.into(),
        "endgeneration" => "endcall".into(),
        "if" | "elif" => format!("{name} {}", reader.tuple()?.text),
        "for" => for_loop(&mut reader)?,
        "set" => set(&mut reader)?,
        "macro" => {
            let macro_name = reader.name()?;
            format!("macro {macro_name}({})", reader.arguments()?)
        }
        "call" => {
            let parameters = if reader.is_operator("(") { format!("({}) ", reader.arguments()?) } else { " ".into() };
            format!("call{parameters}{}", reader.expression()?.text)
        }
        "filter" => format!("filter {}", filter_chain(&mut reader)?),
        "with" => with(&mut reader)?,
        "else" | "endif" | "endfor" | "endmacro" | "endcall" | "endfilter" | "endwith" | "endset" | "break"
        | "continue" => {
            // The end of a macro may repeat its name.
            if name == "endmacro" && !reader.finished() {
                reader.name()?;
            }
            name.into()
        }
        _ => return Err(unknown(source, tokens, name)),
    };
    reader.expect_end()?;
    Ok(written)
}

fn unknown(source: &str, tokens: &[Placed<'_>], name: &str) -> SyntaxError {
    let at = tokens.first().map_or(0, |placed| placed.at);
    SyntaxError::at(source, at, format!("`{name}` is not a statement of chat templates"))
}

/// `targets in iterable if condition recursive`.
fn for_loop(reader: &mut Reader<'_, '_>) -> Result<String, SyntaxError> {
    let targets = targets(reader)?;
    reader.expect_keyword("in")?;
    // Checks that it can be gone over: the engine takes none for an empty list.
    let mut written = format!("for {targets} in ({})|op_iterate", reader.iterable()?.text);
    if reader.skip_name("if") {
        written += &format!(" if {}", reader.expression()?.text);
    }
    if reader.skip_name("recursive") {
        written += " recursive";
    }
    Ok(written)
}

/// Names with commas between them, perhaps in brackets.
fn targets(reader: &mut Reader<'_, '_>) -> Result<String, SyntaxError> {
    let mut written = String::new();
    loop {
        if reader.skip_operator("(") {
            written += &format!("({})", reader.nested(targets)?);
            reader.expect_operator(")")?;
        } else {
            written += reader.name()?;
            // An attribute of a namespace.
            if reader.skip_operator(".") {
                written += &format!(".{}", reader.name()?);
            }
        }
        if !reader.skip_operator(",") {
            return Ok(written);
        }
        written += ", ";
        if reader.is_name("in") || reader.is_operator("=") || reader.is_operator(")") {
            return Ok(written);
        }
    }
}

/// `target = value`, or the start of a block whose text is the value.
fn set(reader: &mut Reader<'_, '_>) -> Result<String, SyntaxError> {
    let targets = targets(reader)?;
    Ok(if reader.skip_operator("=") {
        format!("set {targets} = {}", reader.tuple()?.text)
    } else if reader.skip_operator("|") {
        format!("set {targets} | {}", filter_chain(reader)?)
    } else {
        format!("set {targets}")
    })
}

fn filter_chain(reader: &mut Reader<'_, '_>) -> Result<String, SyntaxError> {
    let mut written = reader.filter()?;
    while reader.skip_operator("|") {
        written += &format!("|{}", reader.filter()?);
    }
    Ok(written)
}

fn with(reader: &mut Reader<'_, '_>) -> Result<String, SyntaxError> {
    let mut assignments = Vec::new();
    while !reader.finished() {
        if !assignments.is_empty() {
            reader.expect_operator(",")?;
        }
        let target = reader.name()?;
        reader.expect_operator("=")?;
        assignments.push(format!("{target}={}", reader.expression()?.text));
    }
    Ok(format!("with {}", assignments.join(", ")))
}

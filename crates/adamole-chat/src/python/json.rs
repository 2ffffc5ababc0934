//! The filter `tojson`: Python's `json.dumps` with `ensure_ascii=False`.

use super::{arguments::bind, entries, items, refused, text::float, type_name, width};
use minijinja::{
    Error, Value,
    value::{Rest, ValueKind, ValueOrKwargs},
};

/// `tojson(ensure_ascii=False, indent=None, separators=None, sort_keys=False)`.
pub(super) fn tojson(value: &Value, arguments: Rest<ValueOrKwargs>) -> Result<String, Error> {
    let [ascii, indent, separators, sorted] =
        bind(&arguments.into_values(), ["ensure_ascii", "indent", "separators", "sort_keys"])?;
    let indent = indent.filter(|indent| !indent.is_none()).map(|indent| match indent.as_str() {
        Some(text) => Ok::<_, Error>(text.to_owned()),
        None => Ok(" ".repeat(width(&indent)?)),
    });
    let indent = indent.transpose()?;
    let default = (if indent.is_some() { "," } else { ", " }.to_owned(), ": ".to_owned());
    let (between, after_key) = match separators.filter(|separators| !separators.is_none()) {
        None => default,
        Some(separators) => match items(&separators)?.as_slice() {
            [between, after_key] => match (between.as_str(), after_key.as_str()) {
                (Some(between), Some(after_key)) => (between.to_owned(), after_key.to_owned()),
                _ => return Err(refused("separators are not strings")),
            },
            _ => return Err(refused("separators are not two strings")),
        },
    };
    let is_true = |flag: Option<Value>| flag.is_some_and(|flag| flag.is_true());
    let mut writer = Writer {
        written: String::new(),
        ascii: is_true(ascii),
        sorted: is_true(sorted),
        indent,
        between,
        after_key,
        depth: 0,
    };
    writer.value(value)?;
    Ok(writer.written)
}

struct Writer {
    written: String,
    ascii: bool,
    sorted: bool,
    /// What each level is indented by; on one line without it.
    indent: Option<String>,
    between: String,
    after_key: String,
    depth: usize,
}

impl Writer {
    fn value(&mut self, value: &Value) -> Result<(), Error> {
        match value.kind() {
            ValueKind::None => self.written += "null",
            ValueKind::Bool => self.written += if value.is_true() { "true" } else { "false" },
            ValueKind::Number => self.written += &number(value)?,
            ValueKind::String => self.text(value.as_str().unwrap_or_default()),
            ValueKind::Seq => self.container(['[', ']'], items(value)?, Self::value)?,
            ValueKind::Map => {
                let mut entries = entries(value)?;
                if self.sorted {
                    entries.sort_by(|(left, _), (right, _)| left.cmp(right));
                }
                self.container(['{', '}'], entries, |writer, (key, value)| {
                    let key = key_text(key)?;
                    writer.text(&key);
                    writer.written += &writer.after_key.clone();
                    writer.value(value)
                })?;
            }
            _ => return Err(refused(format!("Object of type {} is not JSON serializable", type_name(value)))),
        }
        Ok(())
    }

    fn container<T>(
        &mut self,
        [open, close]: [char; 2],
        items: Vec<T>,
        mut write: impl FnMut(&mut Self, &T) -> Result<(), Error>,
    ) -> Result<(), Error> {
        self.written.push(open);
        self.depth += 1;
        for (index, item) in items.iter().enumerate() {
            if index > 0 {
                self.written += &self.between;
            }
            self.line();
            write(self, item)?;
        }
        self.depth -= 1;
        if !items.is_empty() {
            self.line();
        }
        self.written.push(close);
        Ok(())
    }

    /// A new line at the current depth, where lines are indented.
    fn line(&mut self) {
        if let Some(indent) = &self.indent {
            self.written.push('\n');
            self.written += &indent.repeat(self.depth);
        }
    }

    fn text(&mut self, text: &str) {
        self.written.push('"');
        for character in text.chars() {
            match character {
                '"' | '\\' => self.written.extend(['\\', character]),
                '\n' => self.written += "\\n",
                '\r' => self.written += "\\r",
                '\t' => self.written += "\\t",
                '\u{8}' => self.written += "\\b",
                '\u{c}' => self.written += "\\f",
                '\0'..'\u{20}' => self.written += &format!("\\u{:04x}", u32::from(character)),
                '\u{7f}'.. if self.ascii && !character.is_ascii() => {
                    let mut units = [0; 2];
                    let units = character.encode_utf16(&mut units);
                    units.iter().for_each(|unit| self.written += &format!("\\u{unit:04x}"));
                }
                _ => self.written.push(character),
            }
        }
        self.written.push('"');
    }
}

fn number(value: &Value) -> Result<String, Error> {
    if value.is_integer() {
        return Ok(value.to_string());
    }
    let value = f64::try_from(value.clone())?;
    Ok(match () {
        () if value.is_nan() => "NaN".into(),
        () if value.is_infinite() => if value > 0.0 { "Infinity" } else { "-Infinity" }.into(),
        () => float(value),
    })
}

fn key_text(key: &Value) -> Result<String, Error> {
    Ok(match key.kind() {
        ValueKind::String => key.as_str().unwrap_or_default().into(),
        ValueKind::None => "null".into(),
        ValueKind::Bool => if key.is_true() { "true" } else { "false" }.into(),
        ValueKind::Number => number(key)?,
        _ => return Err(refused(format!("keys must be str, int, float, bool or None, not {}", type_name(key)))),
    })
}

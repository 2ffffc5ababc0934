//! Expressions of Jinja2, written again for the template engine with Python's operators.
//!
//! The grammar is Jinja2's `Parser` (`parse_expression` and below). Operators that the engine computes in another way than
//! Python become filters, which [`crate::python`] defines: `a + b` becomes `a|op_add(b)`, `a < b` becomes `a|op_lt(b)`.

use super::{SyntaxError, lexer::Token, reader::Reader};

/// An expression that is written again.
pub(super) struct Written {
    pub(super) text: String,
    binding: Binding,
}

/// What can follow an expression as it is.
#[derive(Clone, Copy, PartialEq)]
enum Binding {
    /// An attribute, an index, a call or a filter.
    Primary,
    /// A filter.
    Filtered,
    /// Nothing.
    Loose,
}

impl Written {
    pub(super) fn primary(text: String) -> Self {
        Self { text, binding: Binding::Primary }
    }

    pub(super) fn filtered(text: String) -> Self {
        Self { text, binding: Binding::Filtered }
    }

    pub(super) fn loose(text: String) -> Self {
        Self { text, binding: Binding::Loose }
    }

    /// Its text where a filter or an operator follows.
    pub(super) fn operand(self) -> String {
        if self.binding == Binding::Loose { format!("({})", self.text) } else { self.text }
    }

    /// Its text where an attribute, an index or a call follows.
    pub(super) fn called(self) -> String {
        if self.binding == Binding::Primary { self.text } else { format!("({})", self.text) }
    }
}

pub(super) type Parsed = Result<Written, SyntaxError>;

impl Reader<'_, '_> {
    /// An expression, or several with commas between them, which are a tuple.
    pub(super) fn tuple(&mut self) -> Parsed {
        self.tuple_of(Self::expression)
    }

    /// What a loop goes over: a tuple whose items have no `if` of their own.
    pub(super) fn iterable(&mut self) -> Parsed {
        self.tuple_of(Self::or)
    }

    fn tuple_of(&mut self, item: fn(&mut Self) -> Parsed) -> Parsed {
        let first = item(self)?;
        if !self.is_operator(",") {
            return Ok(first);
        }
        let mut items = first.text;
        while self.skip_operator(",") {
            items += ", ";
            if self.finished() || self.is_operator(")") || self.is_operator("]") || self.is_operator("=") {
                break;
            }
            items += &item(self)?.text;
        }
        Ok(Written::primary(format!("({items})")))
    }

    /// An expression, with conditions.
    pub(super) fn expression(&mut self) -> Parsed {
        self.nested(Self::condition)
    }

    fn condition(&mut self) -> Parsed {
        let mut written = self.or()?;
        while self.skip_name("if") {
            let condition = self.or()?.text;
            let then = written.operand();
            written = Written::loose(match self.skip_name("else") {
                true => format!("{then} if {condition} else {}", self.expression()?.operand()),
                false => format!("{then} if {condition}"),
            });
        }
        Ok(written)
    }

    fn or(&mut self) -> Parsed {
        self.joined("or", Self::and)
    }

    fn and(&mut self) -> Parsed {
        self.joined("and", Self::not)
    }

    fn joined(&mut self, word: &str, operand: fn(&mut Self) -> Parsed) -> Parsed {
        let mut left = operand(self)?;
        while self.skip_name(word) {
            left = Written::loose(format!("{} {word} {}", left.text, operand(self)?.text));
        }
        Ok(left)
    }

    fn not(&mut self) -> Parsed {
        let mut count = 0;
        while self.is_name("not") {
            self.next += 1;
            count += 1;
        }
        let written = self.compare()?;
        Ok(if count == 0 { written } else { Written::loose("not ".repeat(count) + &written.operand()) })
    }

    /// A chain of comparisons, each of which has to hold.
    fn compare(&mut self) -> Parsed {
        let mut left = self.sum()?;
        let mut comparisons = Vec::new();
        while let Some((operator, length)) = self.comparison() {
            self.next += length;
            let right = self.sum()?.operand();
            let operand = left.operand();
            comparisons.push(match operator {
                "==" | "!=" => format!("{operand} {operator} {right}"),
                "not in" => format!("not {operand}|op_in({right})"),
                _ => format!("{operand}|{}({right})", filter_of(operator)),
            });
            left = Written::filtered(right);
        }
        Ok(match comparisons.len() {
            0 => left,
            1 => Written::loose(comparisons.swap_remove(0)),
            _ => Written::primary(format!("(({}))", comparisons.join(") and ("))),
        })
    }

    /// The comparison that comes next, and how many tokens it is.
    fn comparison(&self) -> Option<(&'static str, usize)> {
        match self.peek()? {
            Token::Operator(operator @ ("==" | "!=" | "<" | "<=" | ">" | ">=")) => Some((operator, 1)),
            Token::Name("in") => Some(("in", 1)),
            Token::Name("not") if matches!(self.peek_at(1), Some(Token::Name("in"))) => Some(("not in", 2)),
            _ => None,
        }
    }

    fn sum(&mut self) -> Parsed {
        self.operators(&["+", "-"], Self::concatenation)
    }

    fn concatenation(&mut self) -> Parsed {
        self.operators(&["~"], Self::product)
    }

    fn product(&mut self) -> Parsed {
        self.operators(&["*", "/", "//", "%"], Self::power)
    }

    fn power(&mut self) -> Parsed {
        self.operators(&["**"], |reader| reader.unary(true))
    }

    /// Operators that group from left to right.
    fn operators(&mut self, operators: &[&'static str], operand: fn(&mut Self) -> Parsed) -> Parsed {
        let mut left = operand(self)?;
        while let Some(operator) = operators.iter().find(|operator| self.is_operator(operator)) {
            self.next += 1;
            let right = operand(self)?;
            left = match *operator {
                "-" | "*" | "/" | "//" | "**" => {
                    Written::loose(format!("{} {operator} {}", left.operand(), right.operand()))
                }
                _ => Written::filtered(format!("{}|{}({})", left.operand(), filter_of(operator), right.text)),
            };
        }
        Ok(left)
    }

    fn unary(&mut self, with_filters: bool) -> Parsed {
        let mut written = if self.skip_operator("-") {
            Written::loose(format!("-{}", self.nested(|reader| reader.unary(false))?.operand()))
        } else if self.skip_operator("+") {
            Written::loose(format!("0 + {}", self.nested(|reader| reader.unary(false))?.operand()))
        } else {
            self.primary()?
        };
        written = self.postfix(written)?;
        if with_filters { self.filters(written) } else { Ok(written) }
    }

    pub(super) fn primary(&mut self) -> Parsed {
        let Some(token) = self.peek() else { return Err(self.unexpected("an expression")) };
        let text = match token {
            Token::Name(name) => {
                self.next += 1;
                (*name).to_owned()
            }
            Token::Number(number) => {
                self.next += 1;
                (*number).to_owned()
            }
            Token::Text(_) => self.text(),
            Token::Operator("(") => self.brackets()?,
            Token::Operator("[") => self.list()?,
            Token::Operator("{") => self.map()?,
            Token::Operator(_) => return Err(self.unexpected("an expression")),
        };
        Ok(Written::primary(text))
    }

    /// String literals one after the other are one.
    fn text(&mut self) -> String {
        let mut value = String::new();
        while let Some(Token::Text(text)) = self.peek() {
            value += text;
            self.next += 1;
        }
        quoted(&value)
    }

    fn brackets(&mut self) -> Result<String, SyntaxError> {
        self.next += 1;
        if self.skip_operator(")") {
            return Ok("()".into());
        }
        let inside = self.tuple()?;
        self.expect_operator(")")?;
        Ok(format!("({})", inside.text))
    }

    fn list(&mut self) -> Result<String, SyntaxError> {
        self.next += 1;
        let items = self.separated("]", |reader| Ok(reader.expression()?.text))?;
        Ok(format!("[{items}]"))
    }

    fn map(&mut self) -> Result<String, SyntaxError> {
        self.next += 1;
        let entries = self.separated("}", |reader| {
            let key = reader.expression()?.text;
            reader.expect_operator(":")?;
            Ok(format!("{key}: {}", reader.expression()?.text))
        })?;
        Ok(format!("{{{entries}}}"))
    }

    /// Items with commas between them, and perhaps one at the end.
    pub(super) fn separated(
        &mut self,
        close: &str,
        mut item: impl FnMut(&mut Self) -> Result<String, SyntaxError>,
    ) -> Result<String, SyntaxError> {
        let mut items = Vec::new();
        while !self.skip_operator(close) {
            if !items.is_empty() {
                self.expect_operator(",")?;
                if self.skip_operator(close) {
                    break;
                }
            }
            items.push(item(self)?);
        }
        Ok(items.join(", "))
    }
}

/// The filter that computes an operator as Python does.
fn filter_of(operator: &str) -> &'static str {
    match operator {
        "+" => "op_add",
        "~" => "op_concat",
        "%" => "op_mod",
        "<" => "op_lt",
        "<=" => "op_le",
        ">" => "op_gt",
        ">=" => "op_ge",
        _ => "op_in",
    }
}

/// A string literal for the engine.
fn quoted(value: &str) -> String {
    let mut text = String::with_capacity(value.len() + 2);
    text.push('"');
    for character in value.chars() {
        match character {
            '"' | '\\' => text.extend(['\\', character]),
            '\n' => text.push_str("\\n"),
            '\r' => text.push_str("\\r"),
            _ => text.push(character),
        }
    }
    text.push('"');
    text
}

//! What follows an operand: attributes, indices, calls, filters and tests.

use super::{
    SyntaxError,
    expression::{Parsed, Written},
    lexer::Token,
    reader::Reader,
};

/// The methods of a dictionary, which an attribute names before a key of the dictionary.
const DICTIONARY_METHODS: [&str; 11] =
    ["clear", "copy", "fromkeys", "get", "items", "keys", "pop", "popitem", "setdefault", "update", "values"];

impl Reader<'_, '_> {
    pub(super) fn postfix(&mut self, mut written: Written) -> Parsed {
        loop {
            written = if self.skip_operator(".") {
                let name = match self.peek() {
                    Some(Token::Name(name) | Token::Number(name)) => name,
                    _ => return Err(self.unexpected("the name of an attribute")),
                };
                self.next += 1;
                match DICTIONARY_METHODS.contains(name) && !self.is_operator("(") {
                    true => Written::filtered(format!("{}|op_method(\"{name}\")", written.operand())),
                    false => Written::primary(format!("{}.{name}", written.called())),
                }
            } else if self.skip_operator("[") {
                let index = self.subscript()?;
                match index {
                    Subscript::Item(item) => Written::primary(format!("{}[{item}]", written.called())),
                    Subscript::Slice(bounds) => Written::filtered(format!("{}|op_slice({bounds})", written.operand())),
                }
            } else if self.is_operator("(") {
                Written::primary(format!("{}({})", written.called(), self.arguments()?))
            } else {
                return Ok(written);
            };
        }
    }

    fn subscript(&mut self) -> Result<Subscript, SyntaxError> {
        let mut bounds = Vec::new();
        let mut bound = String::from("none");
        let mut colons = 0;
        loop {
            if self.skip_operator(":") {
                colons += 1;
                bounds.push(std::mem::replace(&mut bound, "none".into()));
            } else if self.skip_operator("]") {
                bounds.push(bound);
                break;
            } else if bound == "none" && colons < 3 {
                bound = self.tuple()?.text;
            } else {
                return Err(self.unexpected("`]`"));
            }
        }
        match colons {
            0 => Ok(Subscript::Item(bounds.swap_remove(0))),
            1 | 2 => Ok(Subscript::Slice(bounds.join(", "))),
            _ => Err(self.unexpected("a slice of at most three parts")),
        }
    }

    /// The arguments of a call, from its opening to its closing bracket.
    pub(super) fn arguments(&mut self) -> Result<String, SyntaxError> {
        self.expect_operator("(")?;
        self.separated(")", |reader| {
            let prefix = if reader.skip_operator("**") {
                "**".to_owned()
            } else if reader.skip_operator("*") {
                "*".to_owned()
            } else if let (Some(Token::Name(name)), Some(Token::Operator("="))) = (reader.peek(), reader.peek_at(1)) {
                reader.next += 2;
                format!("{name}=")
            } else {
                String::new()
            };
            Ok(prefix + &reader.expression()?.text)
        })
    }

    /// Filters, tests and calls after an expression.
    pub(super) fn filters(&mut self, mut written: Written) -> Parsed {
        loop {
            written = if self.skip_operator("|") {
                Written::filtered(format!("{}|{}", written.operand(), self.filter()?))
            } else if self.skip_name("is") {
                Written::loose(format!("{} is {}", written.operand(), self.test()?))
            } else if self.is_operator("(") {
                Written::primary(format!("{}({})", written.called(), self.arguments()?))
            } else {
                return Ok(written);
            };
        }
    }

    /// A filter with its arguments.
    pub(super) fn filter(&mut self) -> Result<String, SyntaxError> {
        let name = self.name()?;
        Ok(match self.is_operator("(") {
            true => format!("{name}({})", self.arguments()?),
            false => name.to_owned(),
        })
    }

    /// A test with its arguments; one argument needs no brackets.
    fn test(&mut self) -> Result<String, SyntaxError> {
        let not = if self.skip_name("not") { "not " } else { "" };
        let name = self.name()?;
        if self.is_operator("(") {
            return Ok(format!("{not}{name}({})", self.arguments()?));
        }
        let has_argument = match self.peek() {
            Some(Token::Name(name)) => {
                !matches!(*name, "else" | "or" | "and" | "if" | "is" | "in" | "not" | "recursive")
            }
            Some(Token::Text(_) | Token::Number(_) | Token::Operator("[" | "{")) => true,
            _ => false,
        };
        if !has_argument {
            return Ok(format!("{not}{name}"));
        }
        let argument = self.primary()?;
        Ok(format!("{not}{name}({})", self.postfix(argument)?.text))
    }
}

enum Subscript {
    Item(String),
    /// Start, stop and perhaps step.
    Slice(String),
}

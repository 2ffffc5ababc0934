//! A reader over the tokens of one tag.

use super::{
    SyntaxError,
    lexer::{Placed, Token},
};

/// How deep expressions may be nested.
const DEPTH: usize = 100;

/// A reader of the tokens of one tag.
pub(super) struct Reader<'t, 'a> {
    source: &'a str,
    tokens: &'t [Placed<'a>],
    pub(super) next: usize,
    /// Where the tag ends, for errors.
    end: usize,
    /// How many expressions the current one is nested in.
    depth: usize,
}

impl<'t, 'a> Reader<'t, 'a> {
    pub(super) fn new(source: &'a str, tokens: &'t [Placed<'a>], end: usize) -> Self {
        Self { source, tokens, next: 0, end, depth: 0 }
    }

    /// Reads something within something, unless that is nested too deep.
    pub(super) fn nested<T>(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<T, SyntaxError>,
    ) -> Result<T, SyntaxError> {
        self.depth += 1;
        if self.depth > DEPTH {
            return Err(self.unexpected(&format!("at most {DEPTH} nested expressions")));
        }
        let read = read(self)?;
        self.depth -= 1;
        Ok(read)
    }

    pub(super) fn peek(&self) -> Option<&'t Token<'a>> {
        self.peek_at(0)
    }

    pub(super) fn peek_at(&self, ahead: usize) -> Option<&'t Token<'a>> {
        self.tokens.get(self.next + ahead).map(|placed| &placed.token)
    }

    pub(super) fn is_operator(&self, operator: &str) -> bool {
        matches!(self.peek(), Some(Token::Operator(found)) if *found == operator)
    }

    pub(super) fn is_name(&self, name: &str) -> bool {
        matches!(self.peek(), Some(Token::Name(found)) if *found == name)
    }

    pub(super) fn skip_operator(&mut self, operator: &str) -> bool {
        let found = self.is_operator(operator);
        self.next += usize::from(found);
        found
    }

    pub(super) fn skip_name(&mut self, name: &str) -> bool {
        let found = self.is_name(name);
        self.next += usize::from(found);
        found
    }

    pub(super) fn expect_operator(&mut self, operator: &str) -> Result<(), SyntaxError> {
        if self.skip_operator(operator) { Ok(()) } else { Err(self.unexpected(&format!("`{operator}`"))) }
    }

    pub(super) fn expect_keyword(&mut self, name: &str) -> Result<(), SyntaxError> {
        if self.skip_name(name) { Ok(()) } else { Err(self.unexpected(&format!("`{name}`"))) }
    }

    pub(super) fn name(&mut self) -> Result<&'a str, SyntaxError> {
        match self.peek() {
            Some(Token::Name(name)) => {
                self.next += 1;
                Ok(name)
            }
            _ => Err(self.unexpected("a name")),
        }
    }

    pub(super) fn finished(&self) -> bool {
        self.next == self.tokens.len()
    }

    pub(super) fn expect_end(&self) -> Result<(), SyntaxError> {
        if self.finished() { Ok(()) } else { Err(self.unexpected("the end of the tag")) }
    }

    pub(super) fn unexpected(&self, expected: &str) -> SyntaxError {
        let Some(placed) = self.tokens.get(self.next) else {
            return SyntaxError::at(self.source, self.end, format!("the tag ends, expected {expected}"));
        };
        let found = match &placed.token {
            Token::Name(text) | Token::Number(text) => format!("`{text}`"),
            Token::Operator(text) => format!("`{text}`"),
            Token::Text(_) => "a string".into(),
        };
        SyntaxError::at(self.source, placed.at, format!("{found} is unexpected, expected {expected}"))
    }
}

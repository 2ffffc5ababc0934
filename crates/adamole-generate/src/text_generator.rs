//! The texts of a generation's rows, piece by piece.

use crate::{Released, StopStrings, TextStream};
use adamole_data::{DataError, Tokenizer};
use adamole_llama::{Finish, Generator, ModelError, NewToken};

/// An error of a generation.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GenerateError {
    /// The model cannot continue a text.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// The tokens have no text.
    #[error(transparent)]
    Data(#[from] DataError),
}

/// A new token of one row, with the text that it adds.
#[derive(Debug, Clone, PartialEq)]
pub struct Piece {
    /// The token, with its row.
    pub token: NewToken,
    /// The text that the token completes: whole characters, empty for end and special tokens.
    pub token_text: String,
    /// The text to show now: what is certain not to be the beginning of a stop string. The texts of a row's pieces make up its
    /// text.
    pub text: String,
    /// Why the row ends with this piece; `None` if it does not.
    pub finish: Option<Finish>,
}

/// The whole text of one row.
#[derive(Debug, Clone, PartialEq)]
pub struct GeneratedText {
    /// The text, cut before a stop string.
    pub text: String,
    /// The number of new tokens, an end token and those of a stop string among them.
    pub tokens: usize,
    /// Why it ends.
    pub finish: Finish,
}

/// The texts of a [`Generator`]'s rows: an iterator whose items are the pieces of one step, one for each row that has not ended.
#[derive(Debug)]
pub struct TextGenerator<'a> {
    generator: Generator<'a>,
    rows: Vec<TextRow<'a>>,
}

/// The text of one row, token by token.
#[derive(Debug)]
pub struct TextRow<'a> {
    stream: TextStream<'a>,
    stop: StopStrings,
}

impl<'a> TextRow<'a> {
    /// A text that stands for itself, and ends before a stop string.
    pub fn answering(tokenizer: &'a Tokenizer, stop: StopStrings) -> Self {
        Self { stream: TextStream::new(tokenizer), stop }
    }

    /// A text that goes on after its prompt.
    ///
    /// # Errors
    /// The tokenizer's decoder fails on the prompt.
    pub fn continuing(tokenizer: &'a Tokenizer, prompt: &[u32], stop: StopStrings) -> Result<Self, GenerateError> {
        Ok(Self { stream: TextStream::after(tokenizer, prompt)?, stop })
    }

    /// The text of the next token. It ends the row where the token does, and where a stop string is complete.
    ///
    /// # Errors
    /// The tokenizer's decoder fails.
    pub fn piece(&mut self, token: NewToken) -> Result<Piece, GenerateError> {
        let mut token_text = if token.is_end { String::new() } else { self.stream.push(token.id)? };
        if token.finish.is_some() {
            token_text += &self.stream.finish()?;
        }
        let Released { mut text, stopped } = self.stop.push(&token_text);
        if !stopped && token.finish.is_some() {
            text += &self.stop.finish();
        }
        let finish = if stopped { Some(Finish::Stop) } else { token.finish };
        Ok(Piece { token, token_text, text, finish })
    }
}

impl<'a> TextGenerator<'a> {
    /// Texts that stand for themselves, such as answers.
    pub fn answering(generator: Generator<'a>, tokenizer: &'a Tokenizer, stop: &StopStrings) -> Self {
        let row = |_| TextRow::answering(tokenizer, stop.clone());
        Self { rows: (0..generator.rows()).map(row).collect(), generator }
    }

    /// Texts that go on after their prompts.
    ///
    /// # Errors
    /// The tokenizer's decoder fails on a prompt.
    pub fn continuing(
        generator: Generator<'a>,
        tokenizer: &'a Tokenizer,
        stop: &StopStrings,
    ) -> Result<Self, GenerateError> {
        let row = |row| TextRow::continuing(tokenizer, generator.text(row), stop.clone());
        let rows = (0..generator.rows()).map(row).collect::<Result<_, _>>()?;
        Ok(Self { rows, generator })
    }

    /// The generator of the tokens.
    pub fn into_generator(self) -> Generator<'a> {
        self.generator
    }

    /// Runs to the end and returns the text of each row.
    ///
    /// # Errors
    /// Activations overflow, or the tokenizer's decoder fails.
    pub fn finish(self) -> Result<Vec<GeneratedText>, GenerateError> {
        let none = GeneratedText { text: String::new(), tokens: 0, finish: Finish::Length };
        let mut texts = vec![none; self.rows.len()];
        for step in self {
            for piece in step? {
                let text = &mut texts[piece.token.row];
                text.text += &piece.text;
                text.tokens += 1;
                text.finish = piece.finish.unwrap_or(text.finish);
            }
        }
        Ok(texts)
    }

    fn piece(&mut self, token: NewToken) -> Result<Piece, GenerateError> {
        let row = token.row;
        let piece = self.rows[row].piece(token)?;
        if piece.finish.is_some() {
            self.generator.stop(row);
        }
        Ok(piece)
    }
}

impl Iterator for TextGenerator<'_> {
    type Item = Result<Vec<Piece>, GenerateError>;

    fn next(&mut self) -> Option<Self::Item> {
        let tokens = match self.generator.next()? {
            Ok(tokens) => tokens,
            Err(error) => return Some(Err(error.into())),
        };
        Some(tokens.into_iter().map(|token| self.piece(token)).collect())
    }
}

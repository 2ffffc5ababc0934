//! Tokens to text, one at a time.

use adamole_data::{DataError, Tokenizer};

/// What a decoder writes for bytes that are no character, or not yet.
const INCOMPLETE: char = '\u{fffd}';

/// The text of tokens that come one by one, in whole characters and without special tokens. Its parts make up what the tokenizer
/// gives for all tokens together.
///
/// The text of a token depends on those before it: it may be a part of a character, and a word at the beginning of a text loses the space
/// that the tokenizer writes before it. So each token is decoded with the last ones that had a text, and what these have alone is left out.
#[derive(Debug, Clone)]
pub struct TextStream<'t> {
    tokenizer: &'t Tokenizer,
    /// The last tokens that had a text, and those after them.
    recent: Vec<u32>,
    /// How many of them have been shown, and their text.
    shown: usize,
    text: String,
}

impl<'t> TextStream<'t> {
    /// A text that stands for itself.
    pub fn new(tokenizer: &'t Tokenizer) -> Self {
        Self { tokenizer, recent: Vec::new(), shown: 0, text: String::new() }
    }

    /// A text that goes on after that of a prompt.
    ///
    /// # Errors
    /// The tokenizer's decoder fails.
    pub fn after(tokenizer: &'t Tokenizer, prompt: &[u32]) -> Result<Self, DataError> {
        let text = tokenizer.decode(prompt)?;
        Ok(Self { tokenizer, recent: prompt.to_vec(), shown: prompt.len(), text })
    }

    /// The text that is known with a further token: empty for a special one, and within a character.
    ///
    /// # Errors
    /// The tokenizer's decoder fails.
    pub fn push(&mut self, id: u32) -> Result<String, DataError> {
        self.recent.push(id);
        let text = self.tokenizer.decode(&self.recent)?;
        if text.ends_with(INCOMPLETE) || text.len() <= self.text.len() {
            return Ok(String::new());
        }
        self.release(&text)
    }

    /// The rest of the text, where the last token ends within a character.
    ///
    /// # Errors
    /// The tokenizer's decoder fails.
    pub fn finish(&mut self) -> Result<String, DataError> {
        let text = self.tokenizer.decode(&self.recent)?;
        if text.len() <= self.text.len() { Ok(String::new()) } else { self.release(&text) }
    }

    /// What of `text`, that of the recent tokens, was not shown yet.
    fn release(&mut self, text: &str) -> Result<String, DataError> {
        let new = match text.strip_prefix(&self.text) {
            Some(new) => new.to_owned(),
            // Decoders of single bytes give up a whole run of them, with those that made sense before.
            None => self.tokenizer.decode(&self.recent[self.shown..])?,
        };
        self.recent.drain(..self.shown);
        self.shown = self.recent.len();
        self.text = self.tokenizer.decode(&self.recent)?;
        Ok(new)
    }
}

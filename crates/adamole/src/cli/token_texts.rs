//! Tokens as readers see them: text in place of the vocabulary's signs for spaces and bytes.

use adamole::{
    data::{DataError, Tokenizer},
    generate::TextStream,
};

/// The text of a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TokenText {
    /// What the token adds to the text; of a token within a character, the whole character; of a special token, its name.
    pub(crate) text: String,
    /// Which of the tokens of its character it is, counted from 1, and how many there are; both 1 for whole characters.
    pub(crate) part: (usize, usize),
}

impl TokenText {
    /// The text for a table, with line breaks and tabs as signs, and the part of a character.
    pub(super) fn label(&self) -> String {
        let text = self.text.replace('\n', "\u{21b5}").replace('\t', "\u{21e5}");
        match self.part {
            (_, 1) => text,
            (part, parts) => format!("{text} {part}/{parts}"),
        }
    }
}

/// The texts of the tokens of a text.
///
/// # Errors
/// The tokenizer's decoder fails.
pub(super) fn token_texts(tokenizer: &Tokenizer, ids: &[u32]) -> Result<Vec<TokenText>, DataError> {
    let mut stream = TextStream::new(tokenizer);
    let mut texts = Vec::with_capacity(ids.len());
    // The tokens of a character that is not complete yet.
    let mut open: Vec<u32> = Vec::new();
    let name = |id: u32| TokenText { text: tokenizer.names(&[id]).concat(), part: (1, 1) };
    for &id in ids {
        if tokenizer.is_special(id) {
            close(&mut stream, &mut open, &mut texts, name)?;
            stream = TextStream::new(tokenizer);
            texts.push(name(id));
            continue;
        }
        open.push(id);
        let text = stream.push(id)?;
        if !text.is_empty() {
            let parts = open.len();
            texts.extend((1..=parts).map(|part| TokenText { text: text.clone(), part: (part, parts) }));
            open.clear();
        }
    }
    close(&mut stream, &mut open, &mut texts, name)?;
    Ok(texts)
}

/// Tokens that never became a character have their names.
fn close(
    stream: &mut TextStream<'_>,
    open: &mut Vec<u32>,
    texts: &mut Vec<TokenText>,
    name: impl Fn(u32) -> TokenText,
) -> Result<(), DataError> {
    stream.finish()?;
    texts.extend(open.drain(..).map(name));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn tokens_are_shown_as_text_and_not_as_pieces_of_the_vocabulary() {
        let base = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../datasets/base");
        let tokenizer = Tokenizer::from_folder(&base).unwrap();
        let text = "The rope was cut, \u{4e16}.";
        let ids = tokenizer.encode_text(text).unwrap();
        let texts = token_texts(&tokenizer, &ids).unwrap();
        assert_eq!((texts.len(), texts[0].text.as_str()), (ids.len(), "<s>"));
        assert!(texts.iter().all(|it| !it.text.contains(['\u{120}', '\u{2581}'])), "{texts:?}");
        // Every character once, whatever the number of its tokens.
        let whole: String = texts[1..].iter().filter(|it| it.part.0 == it.part.1).map(|it| it.text.as_str()).collect();
        assert_eq!(whole, text);
        let of_character: Vec<String> = texts.iter().filter(|it| it.part.1 > 1).map(TokenText::label).collect();
        assert_eq!(of_character.first().map(String::as_str), Some("\u{4e16} 1/3"), "{texts:?}");
    }

    #[test]
    fn breaks_of_lines_are_signs_in_labels() {
        assert_eq!(TokenText { text: "\n\ta".into(), part: (1, 1) }.label(), "\u{21b5}\u{21e5}a");
    }
}

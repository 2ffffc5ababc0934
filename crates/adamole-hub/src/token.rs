//! The token that opens gated and private repositories.

use std::fmt;

use crate::HubError;

/// A token that can be sent, and that `Debug` does not show.
#[derive(Clone)]
pub(crate) struct Token {
    text: String,
}

impl Token {
    /// Takes visible ASCII. Space around it, such as the end of a line, does not count.
    pub(crate) fn parse(text: &str) -> Result<Self, HubError> {
        let text = text.trim();
        if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(HubError::InvalidToken);
        }
        Ok(Self { text: text.into() })
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.text
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_a_header_may_hold_is_a_token() {
        for text in ["", " \n", "hf_a\nb", "hf_a\r\nHost: evil", "hf a", "hf_\u{e9}", "hf_\0"] {
            assert!(matches!(Token::parse(text), Err(HubError::InvalidToken)), "{text:?}");
        }
        let token = Token::parse("hf_secret\n").expect("a token with the end of its line");
        assert_eq!(token.as_str(), "hf_secret");
        assert!(!format!("{token:?}").contains("secret"));
    }
}

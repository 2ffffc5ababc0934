//! The token that opens gated and private repositories.

use ureq::http::HeaderValue;

use crate::HubError;

/// A token that can be sent, and that `Debug` does not show.
#[derive(Debug, Clone)]
pub(crate) struct Token {
    header: HeaderValue,
}

impl Token {
    /// Takes visible ASCII. Space around it, such as the end of a line, does not count.
    pub(crate) fn parse(text: &str) -> Result<Self, HubError> {
        let text = text.trim();
        if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(HubError::InvalidToken);
        }
        let mut header = HeaderValue::from_str(&format!("Bearer {text}")).map_err(|_| HubError::InvalidToken)?;
        header.set_sensitive(true);
        Ok(Self { header })
    }

    /// The value of the header `Authorization`.
    pub(crate) fn header(&self) -> HeaderValue {
        self.header.clone()
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
        assert_eq!(token.header().as_bytes(), b"Bearer hf_secret");
        assert!(!format!("{token:?}").contains("secret"));
    }
}

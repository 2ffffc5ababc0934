//! The end of a text where one of some strings begins.

use adamole_core::SettingError;

/// Strings that end a text, for one text: what has come of it and may be the beginning of one is held back.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StopStrings {
    strings: Vec<String>,
    held: String,
}

/// What of a text is certain.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Released {
    /// The text that follows what was released before.
    pub text: String,
    /// Whether it ends here, since a stop string follows.
    pub stopped: bool,
}

impl StopStrings {
    /// A text ends before that of these strings which is complete first, and of those which are so at the same character,
    /// before the longest: where it ends does not depend on the pieces that it comes in.
    ///
    /// # Errors
    /// One of them is empty.
    pub fn new(strings: impl IntoIterator<Item = impl Into<String>>) -> Result<Self, SettingError> {
        let strings: Vec<String> = strings.into_iter().map(Into::into).collect();
        match strings.iter().any(String::is_empty) {
            true => Err(SettingError::invalid("stop", "an empty string", "at least one character")),
            false => Ok(Self { strings, held: String::new() }),
        }
    }

    /// Adds to the text.
    pub fn push(&mut self, text: &str) -> Released {
        self.held.push_str(text);
        let ends_and_starts = self.strings.iter().filter_map(|string| {
            let start = self.held.find(string)?;
            Some((start + string.len(), start))
        });
        if let Some((_, start)) = ends_and_starts.min() {
            self.held.truncate(start);
            return Released { text: self.finish(), stopped: true };
        }
        let may_begin = |(start, _): &(usize, char)| {
            let rest = &self.held[*start..];
            self.strings.iter().any(|string| string.starts_with(rest))
        };
        let certain = self.held.char_indices().find(may_begin).map_or(self.held.len(), |(start, _)| start);
        Released { text: self.held.drain(..certain).collect(), stopped: false }
    }

    /// What was held back, at the end of the text.
    pub fn finish(&mut self) -> String {
        std::mem::take(&mut self.held)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_text_ends_before_the_first_stop_string() {
        let mut stop = StopStrings::new(["\nUser:", "###"]).unwrap();
        let released = |text: &str, stopped| Released { text: text.into(), stopped };
        assert_eq!(stop.push("Yes.\nUs"), released("Yes.", false));
        assert_eq!(stop.push("ually #"), released("\nUsually ", false));
        assert_eq!(stop.push("#"), released("", false));
        assert_eq!(stop.push("4\nUser"), released("##4", false));
        assert_eq!(stop.push(": more ###"), released("", true));
        assert_eq!(stop.finish(), "");
    }

    #[test]
    fn a_stop_string_within_the_beginning_of_another_ends_the_text_whatever_follows() {
        for pieces in [&["one abc"][..], &["one ab"], &["one ", "a", "b"]] {
            let mut stop = StopStrings::new(["abc", "b"]).unwrap();
            let released: Vec<Released> = pieces.iter().map(|piece| stop.push(piece)).collect();
            let text: String = released.iter().map(|released| released.text.as_str()).collect();
            assert_eq!((text.as_str(), released.last().map(|last| last.stopped)), ("one a", Some(true)));
        }
    }

    #[test]
    fn an_empty_stop_string_is_refused() {
        let error = StopStrings::new(["a", ""]).expect_err("empty").to_string();
        assert_eq!(error, "stop is an empty string, expected at least one character");
    }

    proptest! {
        #[test]
        fn the_pieces_of_a_text_do_not_matter(
            pieces in prop::collection::vec("[abé]{0,4}", 0..12), strings in prop::collection::vec("[abé]{1,4}", 0..3),
        ) {
            let whole = pieces.concat();
            let end = strings.iter().filter_map(|string| whole.find(string.as_str()).map(|at| (at + string.len(), at))).min();
            let mut stop = StopStrings::new(strings).unwrap();
            let (mut text, mut stopped) = (String::new(), false);
            for piece in &pieces {
                let released = stop.push(piece);
                text += &released.text;
                stopped = released.stopped;
                if stopped {
                    break;
                }
            }
            text += &stop.finish();
            prop_assert_eq!(stopped, end.is_some());
            prop_assert_eq!(text, &whole[..end.map_or(whole.len(), |(_, start)| start)]);
        }
    }
}

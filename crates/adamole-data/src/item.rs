//! One multiple-choice question, whatever benchmark it came from.

/// One answer to choose from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    /// What the model is to say: `A`, `B`, ...
    pub letter: String,
    /// What the prompt shows after the letter.
    pub text: String,
}

/// A multiple-choice question with its prompt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// Row of the file, counted from 1; in JSON Lines, the line number.
    pub id: usize,
    /// The question with its choices, ending in `Answer:` without a space.
    pub prompt: String,
    /// The choices, in the order of their letters.
    pub choices: Vec<Choice>,
    /// Index of the right choice; `None` where the published file has no label.
    pub answer: Option<usize>,
}

impl Item {
    /// The prompt as the paper's code feeds it to the model, ending in `Answer: ` with a space.
    ///
    /// Many tokenizers turn that space into a token of its own, one that no training text has at this place.
    pub fn prompt_published(&self) -> String {
        format!("{} ", self.prompt)
    }

    /// The training text, prompt and letter of the right choice; `None` if the item is unlabelled.
    pub fn text(&self) -> Option<String> {
        let choice = self.choices.get(self.answer?)?;
        Some(self.text_with(&choice.letter))
    }

    /// The prompt followed by a space and `letter`.
    pub(crate) fn text_with(&self, letter: &str) -> String {
        format!("{} {letter}", self.prompt)
    }
}

/// What a benchmark reads from a row; [`Question::into_item`] puts it in the form that all share.
pub(crate) struct Question {
    /// Everything before the list of choices, without a final newline.
    pub(crate) text: String,
    pub(crate) choices: Vec<Choice>,
    pub(crate) answer: Option<usize>,
}

impl Question {
    pub(crate) fn into_item(self, id: usize) -> Item {
        let mut prompt = self.text;
        prompt.push_str("\nChoices:\n");
        for Choice { letter, text } in &self.choices {
            prompt.extend([letter, ". ", text, "\n"]);
        }
        prompt.push_str("Answer:");
        Item { id, prompt, choices: self.choices, answer: self.answer }
    }
}

/// Choices lettered `A`, `B`, ... in order. Texts beyond `Z` are dropped: [`crate::row::Row`] refuses such rows.
pub(crate) fn lettered<'a>(texts: impl IntoIterator<Item = &'a str>) -> Vec<Choice> {
    ('A'..='Z').zip(texts).map(|(letter, text)| Choice { letter: letter.into(), text: text.into() }).collect()
}

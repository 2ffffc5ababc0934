//! The texts that a run learns from or is measured by, whatever they were made of.

use super::{Collation, LabelScope};
use crate::Example;
use crate::text::TokenizedText;

/// Texts with labels, by their indices.
#[derive(Debug, Clone, Copy)]
pub enum DataSet<'a> {
    /// Of multiple-choice items.
    Choices(&'a [Example]),
    /// Of one's own data.
    Texts(&'a [TokenizedText]),
}

impl<'a> From<&'a [TokenizedText]> for DataSet<'a> {
    fn from(texts: &'a [TokenizedText]) -> Self {
        Self::Texts(texts)
    }
}

impl<'a> From<&'a [Example]> for DataSet<'a> {
    fn from(examples: &'a [Example]) -> Self {
        Self::Choices(examples)
    }
}

impl<'a> From<&'a Vec<Example>> for DataSet<'a> {
    fn from(examples: &'a Vec<Example>) -> Self {
        Self::Choices(examples)
    }
}

impl<'a, const N: usize> From<&'a [Example; N]> for DataSet<'a> {
    fn from(examples: &'a [Example; N]) -> Self {
        Self::Choices(examples)
    }
}

impl<'a> DataSet<'a> {
    /// The number of texts.
    pub fn len(self) -> usize {
        match self {
            Self::Choices(examples) => examples.len(),
            Self::Texts(texts) => texts.len(),
        }
    }

    /// Whether there are no texts.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// The tokens of a text.
    ///
    /// # Panics
    /// The index is not below [`Self::len`].
    pub fn text(self, index: usize) -> &'a [u32] {
        match self {
            Self::Choices(examples) => &examples[index].text,
            Self::Texts(texts) => &texts[index].ids,
        }
    }

    /// The number of tokens of each text.
    pub fn lengths(self) -> Vec<usize> {
        (0..self.len()).map(|index| self.text(index).len()).collect()
    }

    /// The indices of the tokens of a text that have a loss, ascending. The first token can only have one where it
    /// `follows_padding`.
    pub(super) fn labels(self, index: usize, collation: Collation, follows_padding: bool) -> Vec<usize> {
        match self {
            Self::Choices(examples) => {
                let Example { text, answer_at, .. } = &examples[index];
                let labelled = match (collation.labels, answer_at) {
                    (LabelScope::Answer, Some(answer)) => *answer..*answer + 1,
                    (LabelScope::Answer, None) => 0..0,
                    (LabelScope::Text, _) => usize::from(!follows_padding)..text.len(),
                };
                labelled.filter(|label| text[*label] != collation.pad_id).collect()
            }
            // The end of a text is a label, also where it is the padding token.
            Self::Texts(texts) => texts[index].labelled.iter().cloned().flatten().collect(),
        }
    }
}

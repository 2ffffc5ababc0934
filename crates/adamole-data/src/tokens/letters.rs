//! The token of each letter after a prompt.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::tokenizer::Pieces;
use crate::{DataError, MultipleChoice, Tokenizer};

/// The ids of a prompt and of the letters that may follow it.
///
/// The token of a letter is the one by which the texts "prompt letter" differ.
pub(crate) struct Aligned {
    /// The tokens that all texts share, including special tokens before the text.
    pub(crate) prompt: Vec<u32>,
    /// The number of special tokens before the text.
    pub(crate) leading: usize,
    /// The token of each choice.
    pub(crate) letters: Vec<u32>,
}

/// The tokens of the letters after the last line of a prompt, which all items of a benchmark share.
///
/// They allow an item to be encoded once instead of once per letter. A tokenizer merges adjacent text only, so that the letters
/// have the same tokens after the whole prompt as after its last line, provided that the item's own letter and the token before it
/// agree. Otherwise [`align`] encodes the prompt with every letter.
pub(crate) struct Endings<'a>(HashMap<&'a str, Ending<'a>>);

struct Ending<'a> {
    before: u32,
    letters: HashMap<&'a str, u32>,
}

impl<'a> Endings<'a> {
    pub(crate) fn of(tokenizer: &Tokenizer, items: &'a [MultipleChoice]) -> Result<Self, DataError> {
        let mut letters: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for item in items {
            let choices = item.choices.iter().map(|choice| choice.letter.as_str());
            letters.entry(last_line(&item.prompt)).or_default().extend(choices);
        }
        let mut endings = HashMap::new();
        for (ending, letters) in letters {
            let texts = letters.iter().map(|letter| tokenizer.pieces(&format!("{ending} {letter}")));
            let texts = texts.collect::<Result<Vec<_>, _>>()?;
            if let Ok(Aligned { prompt, letters: ids, .. }) = shared_prompt(&texts)
                && let Some(&before) = prompt.last()
            {
                endings.insert(ending, Ending { before, letters: letters.into_iter().zip(ids).collect() });
            }
        }
        Ok(Self(endings))
    }

    /// The tokens of `item`, from the text of its choice `sample`; `None` if they cannot be told from that text.
    fn align(&self, item: &MultipleChoice, sample: usize, text: &Pieces) -> Option<Aligned> {
        let ending = self.0.get(last_line(&item.prompt))?;
        let letters = item.choices.iter().map(|choice| ending.letters.get(choice.letter.as_str()).copied());
        let letters = letters.collect::<Option<Vec<u32>>>()?;
        let (&letter, prompt) = text.ids.split_last()?;
        let agrees = letter == letters[sample] && prompt.len() > text.leading && prompt.ends_with(&[ending.before]);
        (agrees && repeated(&letters).is_none()).then(|| Aligned {
            prompt: prompt.to_vec(),
            leading: text.leading,
            letters,
        })
    }
}

/// The tokens of the prompt and the letters of an item, which has at least two choices and an answer among them.
pub(crate) fn align(tokenizer: &Tokenizer, endings: &Endings<'_>, item: &MultipleChoice) -> Result<Aligned, DataError> {
    let sample = item.answer.unwrap_or(0);
    let text = tokenizer.pieces(&item.text_with(&item.choices[sample].letter))?;
    match endings.align(item, sample, &text) {
        Some(aligned) => Ok(aligned),
        None => align_every_letter(tokenizer, item),
    }
}

fn align_every_letter(tokenizer: &Tokenizer, item: &MultipleChoice) -> Result<Aligned, DataError> {
    let texts = item.choices.iter().map(|choice| tokenizer.pieces(&item.text_with(&choice.letter)));
    let texts = texts.collect::<Result<Vec<_>, _>>()?;
    shared_prompt(&texts).map_err(|Misfit { shared, letter, other }| {
        // One token of the shared prompt shows where the letters begin.
        let tokens = |i: usize| tokenizer.names(&texts[i].ids[shared.saturating_sub(1)..]);
        DataError::Unaligned {
            row: item.row,
            letter: item.choices[letter].letter.clone(),
            tokens: tokens(letter),
            other: item.choices[other].letter.clone(),
            other_tokens: tokens(other),
        }
    })
}

/// A text that is not the shared prompt and one token of its own, and a text to compare it with.
struct Misfit {
    shared: usize,
    letter: usize,
    other: usize,
}

fn shared_prompt(texts: &[Pieces]) -> Result<Aligned, Misfit> {
    let first = &texts[0];
    let same = |text: &Pieces| first.ids.iter().zip(&text.ids).take_while(|(a, b)| a == b).count();
    let shared = texts[1..].iter().map(same).min().unwrap_or(first.ids.len().saturating_sub(1));
    let misfit = |letter: usize, other: usize| Misfit { shared, letter, other };
    if let Some(i) = texts.iter().position(|text| text.ids.len() != shared + 1) {
        return Err(misfit(i, usize::from(i == 0 && texts.len() > 1)));
    }
    let letters: Vec<u32> = texts.iter().map(|text| text.ids[shared]).collect();
    if let Some((letter, other)) = repeated(&letters) {
        return Err(misfit(letter, other));
    }
    Ok(Aligned { prompt: first.ids[..shared].to_vec(), leading: first.leading, letters })
}

/// The first letter with the token of an earlier one, and the earlier one.
fn repeated(letters: &[u32]) -> Option<(usize, usize)> {
    (1..letters.len()).find_map(|i| Some((i, letters[..i].iter().position(|id| *id == letters[i])?)))
}

/// The prompt from its last line break on. The line break is kept, because many tokenizers put a space at the start of a text.
fn last_line(prompt: &str) -> &str {
    &prompt[prompt.rfind('\n').unwrap_or(0)..]
}

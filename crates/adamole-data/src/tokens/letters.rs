//! Which token stands for each letter after a prompt.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::tokenizer::Pieces;
use crate::{DataError, MultipleChoice, Tokenizer};

/// The ids of a prompt and of the letters that may follow it.
///
/// A letter's token is what training sees: the one token by which the texts "prompt letter" differ.
pub(crate) struct Aligned {
    /// The tokens that all texts share, special tokens before the text included.
    pub(crate) prompt: Vec<u32>,
    /// How many of them stand before the text.
    pub(crate) leading: usize,
    /// One token per choice.
    pub(crate) letters: Vec<u32>,
}

/// The letters' tokens after the last line of a prompt, which all items of a benchmark share.
///
/// With this, an item is tokenised once instead of once per letter. A tokenizer joins text only with its neighbours,
/// so that the letters of an item follow its prompt as they follow the prompt's last line, provided that the two
/// agree on the item's own letter and on the token before it. Where they do not, [`align`] takes the long way.
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

    /// The tokens of `item`, from the text of its choice `sample`; `None` if that text does not show them.
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

/// The tokens of an item's prompt and letters. The item has at least two choices and its answer is one of them.
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

/// The text that is not the shared prompt and one token of its own, and one to compare it with.
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

/// The first letter whose token an earlier one has, and that one.
fn repeated(letters: &[u32]) -> Option<(usize, usize)> {
    (1..letters.len()).find_map(|i| Some((i, letters[..i].iter().position(|id| *id == letters[i])?)))
}

/// The prompt from its last line break on. The line break is kept: without it the last line would be the beginning
/// of a text, where many tokenizers put a space.
fn last_line(prompt: &str) -> &str {
    &prompt[prompt.rfind('\n').unwrap_or(0)..]
}

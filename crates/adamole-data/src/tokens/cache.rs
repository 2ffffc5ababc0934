//! The cache of encoded items, in files that are named by a hash of everything that the encoding depends on.
//!
//! A file holds flat arrays: the concatenated lists of all examples, and the length of each list.

use std::io::Write;
use std::path::{Path, PathBuf};

use safetensors::tensor::{Dtype, TensorView};
use safetensors::{SafeTensors, serialize};
use sha2::{Digest, Sha256};

use super::encode::{EncodeOptions, Example};
use crate::{MultipleChoice, Tokenizer};

/// The version of the file layout and of the encoding.
const VERSION: &str = "1";

/// The names of an example's lists of token ids.
const LISTS: [&str; 3] = ["text", "prompt", "choice_ids"];

/// The number that stands for none.
const NONE: u32 = u32::MAX;

pub(super) fn path(folder: &Path, tokenizer: &Tokenizer, options: &EncodeOptions, items: &[MultipleChoice]) -> PathBuf {
    let mut hash = Sha256::new();
    hash.update(tokenizer.digest());
    hash.update(format!("{VERSION} {options:?} {}", items.len()));
    let mut text = |text: &str| {
        hash.update((text.len() as u64).to_le_bytes());
        hash.update(text);
    };
    for item in items {
        text(&item.prompt);
        text(&format!("{:?} {:?}", item.passage, item.answer));
        item.choices.iter().for_each(|choice| text(&choice.letter));
    }
    folder.join(format!("{:x}.safetensors", hash.finalize()))
}

/// The examples in `path`; `None` if the file is missing, damaged or does not hold `items` examples.
pub(super) fn read(path: &Path, items: usize) -> Option<Vec<Example>> {
    let bytes = std::fs::read(path).ok()?;
    let tensors = SafeTensors::deserialize(&bytes).ok()?;
    let numbers = |name: &str| -> Option<Vec<u32>> {
        let view = tensors.tensor(name).ok().filter(|view| view.dtype() == Dtype::U32)?;
        Some(view.data().as_chunks().0.iter().map(|bytes| u32::from_le_bytes(*bytes)).collect())
    };
    let lists = |name: &str| -> Option<Vec<Vec<u32>>> {
        let (all, lengths) = (numbers(name)?, numbers(&format!("{name}_lengths"))?);
        let mut rest = all.as_slice();
        let mut lists = Vec::with_capacity(lengths.len());
        for length in lengths {
            let (list, others) = rest.split_at_checked(length as usize)?;
            lists.push(list.to_vec());
            rest = others;
        }
        (rest.is_empty() && lists.len() == items).then_some(lists)
    };
    let one_each = |name: &str| numbers(name).filter(|numbers| numbers.len() == items);
    let [texts, prompts, choices] = LISTS.map(lists);
    let (answers, places, truncated) = (one_each("answer")?, one_each("answer_at")?, one_each("truncated")?);
    let number = |number: u32| (number != NONE).then_some(number as usize);
    let rest = answers.into_iter().zip(places).zip(truncated);
    let lists = texts?.into_iter().zip(prompts?).zip(choices?);
    let examples = lists.zip(rest).enumerate().map(|(item, (((text, prompt), choice_ids), ((answer, at), cut)))| {
        let (answer, answer_at) = (number(answer), number(at));
        Example { text, answer_at, prompt, choice_ids, answer, truncated: cut == 1, item }
    });
    let sound = |example: &Example| {
        !example.prompt.is_empty()
            && example.answer_at.is_none_or(|at| at < example.text.len())
            && example.answer.is_none_or(|answer| answer <= example.choice_ids.len())
    };
    Some(examples.collect()).filter(|examples: &Vec<Example>| examples.iter().all(sound))
}

/// Writes the examples, whole or not at all. A failure is ignored: the items are encoded again next time.
pub(super) fn write(path: &Path, examples: &[Example]) {
    let bytes = |numbers: &mut dyn Iterator<Item = u32>| numbers.flat_map(u32::to_le_bytes).collect::<Vec<u8>>();
    let optional = |number: Option<usize>| number.map_or(NONE, |number| number as u32);
    let mut arrays = vec![
        ("answer".to_owned(), bytes(&mut examples.iter().map(|example| optional(example.answer)))),
        ("answer_at".to_owned(), bytes(&mut examples.iter().map(|example| optional(example.answer_at)))),
        ("truncated".to_owned(), bytes(&mut examples.iter().map(|example| u32::from(example.truncated)))),
    ];
    for name in LISTS {
        let list = |example: &'_ Example| match name {
            "text" => example.text.clone(),
            "prompt" => example.prompt.clone(),
            _ => example.choice_ids.clone(),
        };
        arrays.push((name.to_owned(), bytes(&mut examples.iter().flat_map(list))));
        arrays.push((format!("{name}_lengths"), bytes(&mut examples.iter().map(|example| list(example).len() as u32))));
    }
    let views = arrays.iter().map(|(name, bytes)| {
        let view = TensorView::new(Dtype::U32, vec![bytes.len() / 4], bytes);
        view.map(|view| (name.as_str(), view))
    });
    let Ok(views) = views.collect::<Result<Vec<_>, _>>() else { return };
    let (Ok(bytes), Some(folder)) = (serialize(views, None), path.parent()) else { return };
    let write = || -> std::io::Result<()> {
        std::fs::create_dir_all(folder)?;
        let mut builder = tempfile::Builder::new();
        // Those of any new file: other users may share the cache.
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
        let mut file = builder.tempfile_in(folder)?;
        file.write_all(&bytes)?;
        file.persist(path)?;
        Ok(())
    };
    let _ = write();
}

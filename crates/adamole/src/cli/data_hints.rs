//! The remedies for data that cannot be read.

use adamole::data::{Content, DataError, RowError, text::ShapeError};
use std::path::Path;

/// Whether a row has the fields of text of one's own.
fn is_text(fields: &[String]) -> bool {
    let has = |names: &[&str]| names.iter().all(|name| fields.iter().any(|field| field == name));
    has(&["messages"]) || has(&["conversations"]) || has(&["prompt", "completion"]) || has(&["instruction", "output"])
}

/// The remedy for a file, a row or a tokenizer that cannot be read.
pub(super) fn data_hint(error: &DataError) -> Option<String> {
    let hint = match error {
        DataError::MissingFile { path, .. } if path.ends_with("tokenizer.json") => {
            "--model takes a Hugging Face folder: config.json, tokenizer.json and safetensors weights".into()
        }
        DataError::MissingFile { path, .. } if path.extension().is_some_and(|ending| ending == "toml") => return None,
        DataError::MissingFile { path, present: Some(present) } if has_training_part_only(path, present) => {
            "--data takes a folder with validation items too; without them part of the training items can choose the epoch: \
             --train-split train[100:] --validation-split train[:100]"
                .into()
        }
        DataError::MissingFile { .. } => {
            "--data takes the folder of a benchmark, with train.jsonl, validation.parquet, data/train-*.parquet or alike; \
             the TOML file of a benchmark of your own can name others under `files`"
                .into()
        }
        DataError::FileKind(path) if path.extension().is_some_and(|ending| ending == "txt" || ending == "md") => {
            "text of your own is rows: a file of JSON Lines (.jsonl) with {\"text\": \"...\"} in each line".into()
        }
        DataError::OtherTokenizer { folder, .. } => format!(
            "make tokenizer.json once with transformers: python -c \"from transformers import AutoTokenizer as T; \
             T.from_pretrained('{0}').save_pretrained('{0}')\"",
            folder.display()
        ),
        DataError::Tokenizer { .. } => "fetch tokenizer.json again, and compare it with the original".into(),
        DataError::DeadLink { .. } => "copy what the links lead to, as `cp -rL` does, or fetch the files again".into(),
        DataError::Content { found, .. } => content_hint(*found)?.into(),
        DataError::Header { .. } => {
            "the first line names the columns, separated by commas in a .csv file and by tabs in a .tsv file".into()
        }
        DataError::OpenQuote { .. } => {
            "in CSV a quote within a cell is doubled; save a table without quoting with tabs, as .tsv".into()
        }
        DataError::AmbiguousSplit { .. } => {
            "leave one of them, or name it under `files` in the TOML file of a benchmark of your own".into()
        }
        DataError::Row { problem: RowError::Shape(problem), .. } => shape_hint(problem)?.into(),
        DataError::EveryRow { problem: RowError::LabelOutOfRange { .. }, .. } => {
            "the TOML file of a benchmark of your own names its labels: \
             answer = { index = \"label\", names = [\"no\", \"yes\"] }"
                .into()
        }
        DataError::EveryRow { problem: RowError::MissingField { present, .. }, .. } if is_text(present) => {
            "these are rows of text of your own: leave --benchmark out".into()
        }
        DataError::EveryRow { .. } => {
            "the rows have other fields than this benchmark reads; name them in the TOML file of a benchmark of your own, \
             and give that to --benchmark"
                .into()
        }
        DataError::Indivisible { .. } => "give more rows, or rows for validation of their own".into(),
        DataError::InvalidUtf8 { .. } => {
            "save the file as UTF-8, or leave such rows out with --on-bad-row skip".into()
        }
        error if error.is_about_a_row() => "correct the row, or leave such rows out with --on-bad-row skip".into(),
        _ => return None,
    };
    Some(hint)
}

/// Whether the validation file is missing in a folder that has a training file.
fn has_training_part_only(path: &Path, present: &[String]) -> bool {
    path.file_stem().is_some_and(|stem| stem == "validation") && present.iter().any(|name| name.starts_with("train."))
}

/// The remedy for a row of text data that is not of the expected shape.
fn shape_hint(problem: &ShapeError) -> Option<&'static str> {
    Some(match problem {
        ShapeError::Unknown { .. } => {
            "a TOML file can name the fields: shape = \"completion\", and below [fields] prompt = \"question\", \
             completion = \"answer\""
        }
        ShapeError::Ambiguous { .. } => "a TOML file can set the shape, as in shape = \"text\"",
        ShapeError::Different { .. } => {
            "give each shape files of its own, or leave such rows out with --on-bad-row skip"
        }
        _ => return None,
    })
}

fn content_hint(found: Content) -> Option<&'static str> {
    Some(match found {
        Content::Utf16 | Content::Utf32 => "save the file as UTF-8",
        Content::Gzip => "give it a name that ends in .gz",
        Content::Zstandard => "give it a name that ends in .zst",
        Content::Parquet => "give it a name that ends in .parquet",
        Content::Zip => "unpack it, or save the spreadsheet as CSV in UTF-8",
        Content::LfsPointer => "get the file itself with `git lfs pull`",
        Content::LinkText => "copy what the links lead to, as `cp -rL` does, or fetch the files again",
        Content::WebPage => "fetch the file again, and look at the server's answer",
        _ => return None,
    })
}

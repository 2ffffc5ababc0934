//! Text of one's own: its settings, and from these to texts with labels.

use super::{
    Failure,
    fetching::text_folder,
    inputs::Base,
    reading::Reading,
    row_encoder::RowEncoder,
    settings::{Declared, FlagSet, Settings},
};
use adamole::{
    core::{SettingError, SettingGroup, settings},
    data::{
        Split, SplitPart,
        text::{Encoded, LossOn, TextData, TextFields, TextOptions, TextRow, TextSplits, TokenizedText, Validation},
    },
    hub::Source,
};
use serde::Serialize;
use std::path::{Path, PathBuf};

settings! {
    /// Text of one's own, in place of a benchmark.
    #[derive(Debug, Clone, Serialize)]
    pub(crate) struct OwnText {
        /// File or folder with rows for validation, where training is on text of one's own.
        validation_data: Option<String> = None, shown("the validation split of data, or a share of its rows"), free;
        /// Share of the rows that is drawn by seed for validation, where training is on text of one's own.
        validation_share: Option<f64> = None, shown("0.1, at most 1000 rows, where data has no validation split");
        /// Configuration of a data set of text, which is a folder of its own there.
        text_config: Option<String> = None, shown("none");
        /// Name of the training split, where training is on text of one's own.
        text_train_split: Option<String> = None, shown("train");
        /// Name of the validation split, where training is on text of one's own.
        text_validation_split: Option<String> = None, shown("validation, if there is one");
        /// TOML file with the shape of the rows and the names of their fields.
        text_fields: Option<PathBuf> = None, shown("those of the common formats");
        /// Tokens that have a loss. The completion is of a conversation its last answer, assistant is all of its
        /// answers, all is the whole text.
        pub(crate) loss_on: LossOn = LossOn::Completion, common;
        /// Chat template: a file, chatml, alpaca or plain. It renders conversations.
        pub(crate) chat_template: Option<String> = None, shown("the tokenizer's"), free, common;
    }
}

/// Settings of benchmarks that mean nothing for text of one's own.
const OF_BENCHMARKS: [&str; 9] = [
    // First: it sets some of the others.
    "compat",
    "train_split",
    "validation_split",
    "report_split",
    "shuffle_parts",
    "scoring",
    "truncation",
    "labels",
    "padding",
];

/// Settings that say how training and validation rows are divided, which only a run does.
const OF_RUNS: [&str; 2] = ["validation_data", "validation_share"];

/// Values that take the place of defaults where training is on text of one's own, unless one of these settings is given.
const DEFAULTS: [(&[&str], u64); 2] = [(&["max_tokens"], 2048), (&["micro_batch_tokens", "micro_batch_size"], 1024)];

/// The data of a command, as its flags describe it: a benchmark, or text of one's own.
#[derive(Debug, Clone)]
pub(crate) struct DataFlags(Settings);

/// What the flags describe.
pub(crate) enum Described {
    Benchmark(Reading),
    OwnText(Reading, OwnText),
}

impl FlagSet for DataFlags {
    fn has(it: &Declared) -> bool {
        let name = it.setting.name;
        let is_known = Reading::SETTINGS.iter().chain(OwnText::SETTINGS).any(|own| own.name == name);
        is_known && !OF_RUNS.contains(&name)
    }

    fn from_given(given: Settings) -> Result<Self, SettingError> {
        Ok(Self(given))
    }
}

impl DataFlags {
    /// # Errors
    /// A setting is not valid, or does not go with the others.
    pub(crate) fn described(&self) -> Result<Described, Failure> {
        let given = self.0.clone().with_compat();
        if !OwnText::is_meant(&given)? {
            return Ok(Described::Benchmark(Reading::from_settings(given.map())?));
        }
        let given = OwnText::with_defaults(given);
        let reading = Reading::from_settings(given.map())?;
        reading.validate()?;
        Ok(Described::OwnText(reading, OwnText::from_settings(given.map())?))
    }
}

/// Texts for training and validation, and what there is to say about them.
pub(crate) struct OwnTexts {
    pub(crate) train: Vec<TokenizedText>,
    pub(crate) validation: Vec<TokenizedText>,
    /// Rows of which truncation left no label.
    pub(crate) dropped: usize,
    pub(crate) truncated: usize,
    /// Rows in which one token spans the end of the prompt.
    pub(crate) spanned: usize,
}

impl OwnText {
    /// Whether the settings are of a run on text of one's own, which has data and no benchmark.
    ///
    /// # Errors
    /// There is neither, or settings of the one are given with the other.
    pub(crate) fn is_meant(given: &Settings) -> Result<bool, Failure> {
        // A default may be given: it is in every file that `adamole config init` prints.
        let default = |name: &str| Declared::named(name).and_then(|it| it.default_value(None));
        let is_given = |name: &&str| given.get(name).is_some_and(|value| Some(value) != default(name).as_ref());
        let own = || Self::SETTINGS.iter().map(|setting| setting.name);
        match (given.get("benchmark").is_some(), given.get("data").is_some()) {
            (true, _) => match own().find(|name| is_given(name)) {
                Some(name) => Err(Failure::Usage(format!(
                    "{name} is a setting of text of one's own, and benchmark says that this is multiple choice"
                ))),
                None => Ok(false),
            },
            (false, true) => match OF_BENCHMARKS.iter().copied().find(is_given) {
                Some(name) => Err(Failure::Usage(format!(
                    "{name} is a setting of benchmarks, and without a benchmark data is text of one's own"
                ))),
                None => Ok(true),
            },
            (false, false) => Err(Failure::Usage(
                "--benchmark NAME is needed, or --data FILE with text of one's own: JSON Lines, JSON, CSV, TSV or Parquet \
                 with messages, prompt and completion, instruction and output, or text"
                    .into(),
            )),
        }
    }

    /// Whether a run on text of one's own, or one on a benchmark, may have a setting.
    pub(crate) fn may_have(name: &str, is_own_text: bool) -> bool {
        match is_own_text {
            true => name != "benchmark" && !OF_BENCHMARKS.contains(&name),
            false => Self::SETTINGS.iter().all(|own| own.name != name),
        }
    }

    /// The default of a setting where it is another one with text of one's own.
    pub(crate) fn default_of(name: &str, given: &Settings) -> Option<u64> {
        let is_given = |names: &[&str]| names.iter().any(|name| given.get(name).is_some());
        let own = DEFAULTS.iter().find(|(names, _)| names[0] == name && !is_given(names));
        own.map(|(_, value)| *value)
    }

    /// The settings with those defaults that text of one's own has.
    pub(crate) fn with_defaults(given: Settings) -> Settings {
        DEFAULTS.iter().fold(given, |given, (names, _)| match Self::default_of(names[0], &given) {
            Some(value) => given.with(names[0], value),
            None => given,
        })
    }

    /// Reads the rows for training and validation. Those on the hub are fetched.
    ///
    /// # Errors
    /// The files or their rows cannot be read.
    pub(crate) fn read(&self, reading: &Reading, seed: u64) -> Result<TextData, Failure> {
        let splits = TextSplits {
            config: self.text_config.clone(),
            train: self.text_train_split.clone(),
            validation: self.text_validation_split.clone(),
        };
        let place = |name: &str| place(name, &splits);
        let validation = match (&self.validation_data, self.validation_share) {
            (Some(_), Some(_)) => {
                return Err(Failure::Usage("validation_data and validation_share exclude each other".into()));
            }
            (Some(data), None) => Validation::Files(vec![place(data)?]),
            (None, Some(share)) => Validation::Share(share),
            (None, None) => Validation::Split,
        };
        let (fields, on_bad_row) = (self.fields()?, reading.on_bad_row);
        let options =
            TextOptions { fields, splits: splits.clone(), validation, seed, on_bad_row, ..TextOptions::default() };
        Ok(TextData::read(&[place(data_of(reading)?)?], &options)?)
    }

    /// Reads the rows of a part of a file, or of a split of a folder or a data set, and says what was read.
    ///
    /// # Errors
    /// The files or their rows cannot be read.
    pub(crate) fn read_part(&self, reading: &Reading, part: SplitPart) -> Result<Vec<TextRow>, Failure> {
        let SplitPart { split, from, to } = part;
        let data = data_of(reading)?;
        let own_name = match split {
            Split::Train => self.text_train_split.clone(),
            Split::Validation => self.text_validation_split.clone(),
            Split::Test => None,
        };
        let split = (!Path::new(data).is_file()).then(|| own_name.unwrap_or_else(|| split.to_string()));
        let splits = TextSplits { config: self.text_config.clone(), train: split, validation: None };
        let place = place(data, &splits)?;
        let (fields, on_bad_row) = (self.fields()?, reading.on_bad_row);
        let options =
            TextOptions { fields, splits, validation: Validation::None, on_bad_row, ..TextOptions::default() };
        let TextData { train: mut rows, summary, .. } = TextData::read(&[place], &options)?;
        say!("{}", summary.to_string().trim_end());
        rows.truncate(to.unwrap_or(usize::MAX));
        rows.drain(..from.min(rows.len()));
        Ok(rows)
    }

    fn fields(&self) -> Result<TextFields, Failure> {
        Ok(self.text_fields.as_deref().map(TextFields::from_file).transpose()?.unwrap_or_default())
    }

    /// The token ids of all rows, with their labels.
    ///
    /// # Errors
    /// A conversation cannot be rendered, a text cannot be encoded, or nothing is left of a part.
    pub(crate) fn encode(&self, data: &TextData, max_tokens: usize, base: &Base) -> Result<OwnTexts, Failure> {
        let encoder = RowEncoder::new(self, max_tokens, &base.tokenizer, &base.folder)?;
        let [train, validation] = [&data.train, &data.validation].map(|rows| encoder.encode(rows));
        let (train, validation) = (train?, validation?);
        for (what, encoded) in [("training", &train), ("validation", &validation)] {
            base.model.check_tokens(encoded.texts.iter().flat_map(|text| &text.ids))?;
            if encoded.texts.is_empty() {
                return Err(Failure::Usage(format!(
                    "of {} rows for {what} none has a label within {max_tokens} tokens; a larger --max-tokens keeps more",
                    encoded.dropped.len()
                )));
            }
        }
        let both = |count: fn(&Encoded) -> usize| count(&train) + count(&validation);
        Ok(OwnTexts {
            dropped: both(|encoded| encoded.dropped.len()),
            truncated: both(|encoded| encoded.truncated),
            spanned: both(|encoded| encoded.spanned.len()),
            train: train.texts,
            validation: validation.texts,
        })
    }
}

fn data_of(reading: &Reading) -> Result<&str, Failure> {
    Ok(reading.data.as_deref().ok_or(SettingError::Missing { name: "data", help: "The rows." })?)
}

/// The file or folder of a name. What is called like a file is not looked for on the hub.
fn place(name: &str, splits: &TextSplits) -> Result<PathBuf, Failure> {
    let path = Path::new(name);
    let is_called_a_file = || path.extension().is_some_and(|ending| ENDINGS.iter().any(|known| ending == *known));
    match path.is_file() {
        true => Ok(path.into()),
        false if !path.exists() && is_called_a_file() => {
            Err(Failure::Usage(format!("{name} was not found: there is no such file")))
        }
        false => text_folder(&Source::parse(name)?, splits),
    }
}

/// How the names of files end, of rows and of what may be taken for rows.
const ENDINGS: [&str; 9] = ["jsonl", "json", "csv", "tsv", "parquet", "gz", "zst", "txt", "md"];

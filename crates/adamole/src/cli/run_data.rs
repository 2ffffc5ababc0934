//! The data of a run: items of a benchmark, or text of one's own.

use super::{Failure, inputs::Base, own_text::OwnTexts, reading::Items, settings::Resolved};
use adamole::data::{DataSet, Example, MultipleChoice, ReadReport, SplitItems, SplitPart, text::TextData};

/// What was read, before it is encoded.
pub(crate) enum ReadData {
    Choices(Box<ReadChoices>),
    Texts(Box<TextData>),
}

/// Items of a benchmark.
pub(crate) struct ReadChoices {
    items: Items,
    train: SplitItems,
    validation: SplitItems,
    reported: Option<(SplitPart, SplitItems)>,
}

/// What a run learns from and is measured by.
pub(crate) enum RunData {
    Choices(Choices),
    Texts(OwnTexts),
}

/// Encoded items of a benchmark.
pub(crate) struct Choices {
    /// The benchmark's name.
    pub(crate) benchmark: String,
    pub(crate) train: Vec<Example>,
    pub(crate) validation: Vec<Example>,
    /// The split that is reported beside the one that chooses the epoch.
    pub(crate) reported: Option<(SplitPart, Vec<Example>)>,
    pub(crate) train_rows: ReadReport,
    pub(crate) validation_rows: ReadReport,
}

impl ReadData {
    /// Reads the rows of a run.
    ///
    /// # Errors
    /// They cannot be read.
    pub(crate) fn of(config: &Resolved, located: &Resolved) -> Result<Self, Failure> {
        if let Some(own) = &located.own_text {
            let mut data = own.read(&located.reading, config.recipe.seed)?;
            say!("{}", data.summary.to_string().trim_end());
            let limits = [(&mut data.train, config.train_split), (&mut data.validation, config.validation_split)];
            for (rows, SplitPart { split, to, .. }) in limits {
                if let Some(limit) = to.filter(|limit| *limit < rows.len()) {
                    say!("{split}: the first {limit} rows of {}", rows.len());
                    rows.truncate(limit);
                }
            }
            return Ok(Self::Texts(Box::new(data)));
        }
        let items = located.reading.open()?;
        let train = items.read_labelled(config.train_split)?;
        let validation = items.read_labelled(config.validation_split)?;
        let reported = config.report_split.map(|part| Ok::<_, Failure>((part, items.read_labelled(part)?)));
        Ok(Self::Choices(Box::new(ReadChoices { train, validation, reported: reported.transpose()?, items })))
    }

    /// Encodes them for a model.
    ///
    /// # Errors
    /// A row cannot be encoded.
    pub(crate) fn encode(self, config: &Resolved, located: &Resolved, base: &Base) -> Result<RunData, Failure> {
        match self {
            Self::Texts(data) => {
                let own = located.own_text.as_ref().map(|own| own.encode(&data, config.reading.max_tokens, base));
                let texts = own.unwrap_or_else(|| unreachable!("the settings that the texts were read with"))?;
                if texts.dropped > 0 {
                    say!(
                        "warning: {} rows have no label within {} tokens and are left out",
                        texts.dropped,
                        config.reading.max_tokens
                    );
                }
                if texts.truncated > 0 {
                    say!("warning: {} rows are truncated to {} tokens", texts.truncated, config.reading.max_tokens);
                }
                if texts.spanned > 0 {
                    say!(
                        "warning: in {} rows one token spans the end of the prompt, as where it ends in a space: a prompt \
                         alone will end in other tokens; begin completions with the space",
                        texts.spanned
                    );
                }
                Ok(RunData::Texts(texts))
            }
            Self::Choices(read) => {
                let ReadChoices { items, train, validation, reported } = *read;
                let encode = |part: SplitPart, read: &[MultipleChoice]| base.encode(&items, part.split, read);
                let reported = reported.map(|(part, read)| Ok::<_, Failure>((part, encode(part, &read.items)?)));
                Ok(RunData::Choices(Choices {
                    train: encode(config.train_split, &train.items)?,
                    validation: encode(config.validation_split, &validation.items)?,
                    reported: reported.transpose()?,
                    benchmark: items.benchmark.name().to_owned(),
                    train_rows: train.report,
                    validation_rows: validation.report,
                }))
            }
        }
    }
}

impl RunData {
    /// What is learned from.
    pub(crate) fn train(&self) -> DataSet<'_> {
        match self {
            Self::Choices(choices) => DataSet::Choices(&choices.train),
            Self::Texts(texts) => DataSet::Texts(&texts.train),
        }
    }

    /// What the best epoch is chosen on.
    pub(crate) fn validation(&self) -> DataSet<'_> {
        match self {
            Self::Choices(choices) => DataSet::Choices(&choices.validation),
            Self::Texts(texts) => DataSet::Texts(&texts.validation),
        }
    }

    /// The split that is reported beside, where there is one.
    pub(crate) fn reported(&self) -> Option<&(SplitPart, Vec<Example>)> {
        match self {
            Self::Choices(choices) => choices.reported.as_ref(),
            Self::Texts(_) => None,
        }
    }

    /// The name of the data.
    pub(crate) fn name(&self, config: &Resolved) -> String {
        match self {
            Self::Choices(choices) => choices.benchmark.clone(),
            Self::Texts(_) => config.reading.name(),
        }
    }
}

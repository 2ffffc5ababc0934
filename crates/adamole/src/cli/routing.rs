//! The routing statistics of an evaluation, as files.

use super::{Failure, routing_facts::Facts, routing_page::page};
use adamole::{
    data::{Example, MultipleChoice},
    llama::{CausalLm, write_atomically},
    train::{Analysis, Evaluation, TrainError, Workers, evaluate},
};
use burn::tensor::Device;
use std::{collections::BTreeSet, path::Path};

/// One analysis for each benchmark of the items; those of a mixture are evaluated separately. `whole` is the evaluation of
/// all items.
pub(crate) fn by_benchmark(
    model: &CausalLm,
    (items, examples): (&[MultipleChoice], &[Example]),
    whole: &Evaluation,
    (workers, device): (&Workers, &Device),
) -> Result<Vec<Analysis>, TrainError> {
    let parts: BTreeSet<&str> = items.iter().map(|item| &*item.benchmark).collect();
    if let (Some(only), 1) = (parts.first(), parts.len()) {
        return Ok(Analysis::of(only, model, &whole.routing).into_iter().collect());
    }
    let analysis = |part: &str| {
        let of_part = |example: &&Example| *items[example.item].benchmark == *part;
        let examples: Vec<Example> = examples.iter().filter(of_part).cloned().collect();
        Ok(Analysis::of(part, model, &evaluate(model, &examples, workers, device)?.routing))
    };
    parts.into_iter().filter_map(|part| analysis(part).transpose()).collect()
}

/// Writes the analyses as JSON and as an HTML page that says what it is of, where a path is given.
pub(crate) fn write(
    analyses: &[Analysis],
    about: &Facts,
    (json, html): (Option<&Path>, Option<&Path>),
) -> Result<(), Failure> {
    if let Some(path) = json {
        let text = serde_json::to_vec_pretty(analyses).unwrap_or_default();
        write_atomically(path, &text)?;
    }
    if let Some(path) = html {
        write_atomically(path, page(analyses, about).as_bytes())?;
    }
    Ok(())
}

//! The loss of one's own texts.

use super::{
    super::{
        Failure,
        fingerprint::Fingerprint,
        inputs::{Base, warn_beyond_positions},
        output::{duration, print, size},
        own_text::OwnText,
        ranks::Crew,
        reading::Reading,
        row_encoder::RowEncoder,
    },
    EvaluateArguments,
    answers::{Answers, compare},
};
use adamole::{
    data::text::{Encoded, TextRow},
    device,
    train::{TextEvaluation, evaluate_texts, peak_memory_bytes},
};
use burn::tensor::Device;
use serde::Serialize;

#[derive(Serialize)]
struct Report {
    data: String,
    /// Mean cross-entropy of the labels, in nats.
    loss: f64,
    perplexity: f64,
    texts: usize,
    labels: usize,
    truncated_texts: usize,
    /// Rows of which truncation left no label.
    dropped_texts: usize,
    /// What the model generates, beside what the rows have.
    #[serde(skip_serializing_if = "Option::is_none")]
    answers: Option<Answers>,
    mean_active_experts: Option<f64>,
    mean_active_experts_per_site: Vec<f64>,
    seconds: f64,
    tokens_per_second: f64,
    peak_memory_bytes: Option<u64>,
}

pub(super) fn run(arguments: &EvaluateArguments, reading: &Reading, own: &OwnText, crew: &Crew) -> Result<(), Failure> {
    let given = [
        ("predictions", arguments.predictions.is_some()),
        ("routing", arguments.routing.is_some()),
        ("routing-page", arguments.routing_page.is_some()),
    ];
    if let Some((name, _)) = given.iter().find(|(_, given)| *given) {
        return Err(Failure::Usage(format!("--{name} is for benchmarks, and data is text of one's own")));
    }
    let adapter = arguments.adapter.as_deref();
    let ready = || {
        let device = device::open(&crew.device(&arguments.device)?)?;
        let rows = own.read_part(reading, arguments.split.limited(arguments.limit))?;
        let base = Base::load_with(&arguments.model, adapter, arguments.weights, &device)?;
        let encoder = RowEncoder::new(own, reading.max_tokens, &base.tokenizer, &base.folder)?;
        let encoded = encoder.trained_as(adapter).encode(&rows)?;
        base.model.check_tokens(encoded.texts.iter().flat_map(|text| &text.ids))?;
        if encoded.texts.is_empty() {
            return Err(Failure::Usage(format!("no row has a label within {} tokens", reading.max_tokens)));
        }
        Ok((device, rows, base, encoded))
    };
    let same = |(_, _, base, encoded): &(Device, Vec<TextRow>, Base, Encoded)| {
        Fingerprint::of(&base.folder, &[&encoded.texts[..]])
    };
    let (device, rows, base, encoded) = crew.agree(ready(), same, Fingerprint::changes_since)?;
    warn_beyond_positions(base.model.config(), encoded.texts.iter().map(|text| text.ids.len()));
    let workers = crew.workers(arguments.workers, device::is_cpu(&device));
    let evaluation = evaluate_texts(&base.model, &encoded.texts, &workers, &device, &|| false)?;
    if !crew.is_first() {
        return Ok(());
    }
    let per_site = evaluation.routing.mean_active_per_layer();
    let TextEvaluation { loss, perplexity, texts, labels, tokens, seconds, mean_active_experts, .. } = evaluation;
    let report = Report {
        data: reading.name(),
        loss,
        perplexity,
        texts,
        labels,
        truncated_texts: encoded.truncated,
        dropped_texts: encoded.dropped.len(),
        answers: compare(&arguments.answers, &rows, own, (&base, adapter), &device)?,
        mean_active_experts,
        mean_active_experts_per_site: per_site,
        seconds,
        tokens_per_second: tokens as f64 / seconds,
        peak_memory_bytes: peak_memory_bytes(),
    };
    print(arguments.format, &report, || text(&report))
}

fn text(report: &Report) -> String {
    let active = report.mean_active_experts.map(|mean| format!(", {mean:.2} experts active")).unwrap_or_default();
    let answers = report.answers.as_ref().map(|answers| format!("\n{}", answers.text())).unwrap_or_default();
    format!(
        "{}: loss {:.4}, perplexity {:.3} on {} texts with {} labels{active}{answers}\n{} at {:.0} tokens/s, peak memory {}",
        report.data,
        report.loss,
        report.perplexity,
        report.texts,
        report.labels,
        duration(report.seconds),
        report.tokens_per_second,
        size(report.peak_memory_bytes),
    )
}

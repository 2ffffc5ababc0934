//! The differences from the paper, with reasons.

use crate::results::Results;
use serde_json::Value;
use std::collections::BTreeSet;

/// The differences of every preset.
const ALWAYS: [(&str, &str); 10] = [
    (
        "Items, epochs and rates.",
        "The paper trains on all items, up to 20 epochs, at a rate of 1e-4 after 200 steps of warm-up. What these runs do stands \
         under Settings.",
    ),
    (
        "The reported items did not choose the epoch.",
        "The paper chooses the epoch by the accuracy on the validation split and reports that same accuracy. Here other items \
         choose; how they do there is shown apart.",
    ),
    (
        "Items are scored where training has the answer.",
        "The published evaluation asks after a lone space, where Llama's tokenizer gives a context that training never has. That \
         scoring (`reference`) is shown apart; an adapter that was trained on the answer's token alone has learned nothing there.",
    ),
    (
        "Scale.",
        "As in the scripts of the reference implementation experts have alpha / r = 4 and LoRA has 0.5, a factor of 8 between the methods that are \
         compared. \"LoRA, alpha matched\" has the experts' scale.",
    ),
    (
        "Initialisation.",
        "A is drawn as in the published code, uniform and bounded by 1 / sqrt(d_in); the paper says Gaussian. B is 0 in both.",
    ),
    (
        "Padding counts for nothing.",
        "The published code counts padding in the load balancing loss and in active experts.",
    ),
    ("Dropout.", "The experts of a layer share one mask; the published code draws one for each expert."),
    (
        "The last step of an epoch.",
        "Micro-batches that do not fill a step make a smaller one of their own; the published code carries them over into the \
         next epoch, and drops the last.",
    ),
    (
        "The load balancing loss of AdaMoLE.",
        "It takes p - tau, as the published code does and the paper does not say; it presses thresholds up.",
    ),
    (
        "SiRA.",
        "Neither its code nor its settings are published with AdaMoLE: capacity 1.25 (in evaluation too), dropout on the \
         gate 0.1 and the coefficient 1e-3 N are ours.",
    ),
];

/// The content of the section.
pub(crate) fn markdown(results: &Results<'_>) -> String {
    let mut lines: Vec<String> = ALWAYS.iter().map(|(what, why)| format!("- **{what}** {why}")).collect();
    let departures = departures(results);
    if !departures.is_empty() {
        lines.push("\nSettings of these runs that are not the published implementation's:\n".into());
        lines.push("| setting | here | published |\n|---|---|---|".into());
        lines.extend(
            departures.iter().map(|(setting, ours, published)| format!("| `{setting}` | {ours} | {published} |")),
        );
    }
    lines.join("\n") + "\n"
}

/// Each setting that differs in a run, with our value and that of the reference implementation.
fn departures(results: &Results<'_>) -> BTreeSet<(String, String, String)> {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let training = results.cells.iter().filter_map(|planned| planned.outcome()?.numbers()?.training.as_ref());
    training
        .flat_map(|training| &training.departures)
        .map(|departure| (text(&departure["setting"]), text(&departure["ours"]), text(&departure["published"])))
        .collect()
}

//! Model cards: the `README.md` of an adapter's folder, written from the files of the folder and its run.
//!
//! The part between the `---` is metadata that a hub indexes
//! (<https://huggingface.co/docs/hub/model-cards#model-card-metadata>). The licence is left for the author to state.

use super::output::percent;
use adamole::{data::Benchmark, hub::Source, llama::write_atomically, train::TrainError};
use serde_json::{Number, Value, json};
use std::{fmt::Write, fs, path::Path};

/// The card of an adapter or of a model with an adapter merged in.
pub(crate) struct Card {
    /// Its `adapter_config.json`.
    adapter: Value,
    /// The run's `config.json`; null without a run.
    config: Value,
    /// The run's `report.json`; null before its end.
    report: Value,
    /// The commit that the base was fetched at.
    commit: Option<String>,
}

/// What the card describes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Subject {
    Adapter,
    /// The base with the adapter merged in.
    Merged,
}

impl Card {
    /// The card of the adapter in `folder`, and of its run where the folder above is a run directory.
    pub(crate) fn of(folder: &Path) -> Result<Self, TrainError> {
        let run = folder.parent().filter(|_| folder.file_name().is_some_and(|name| name == "adapter"));
        let of_run = |name| run.map_or(Ok(Value::Null), |run| read(&run.join(name)));
        let adapter = read(&folder.join("adapter_config.json"))?;
        let config: Value = of_run("config.json")?;
        // A model's folder has a file of this name, too.
        let (config, report) = match config["recipe"].is_object() {
            true => (config, of_run("report.json")?),
            false => (Value::Null, Value::Null),
        };
        Ok(Self { adapter, config, report, commit: None })
    }

    /// The same with the folder of the base, which names its commit where it is a snapshot of a cache.
    pub(crate) fn on_base(mut self, folder: &Path) -> Self {
        let mut parts = folder.iter().rev().filter_map(|part| part.to_str());
        self.commit = match (parts.next(), parts.next()) {
            (Some(commit), Some("snapshots")) => Some(commit.to_owned()),
            _ => None,
        };
        self
    }

    /// Writes the card into the adapter's folder.
    pub(crate) fn write(&self, folder: &Path) -> Result<(), TrainError> {
        Ok(write_atomically(&folder.join("README.md"), self.text(Subject::Adapter).as_bytes())?)
    }

    /// The whole card.
    pub(crate) fn text(&self, subject: Subject) -> String {
        let sections = [
            self.title(subject),
            self.loading(subject),
            self.training(),
            self.results(),
            "## Licence\n\nTo be stated by the author, here and as `license` in the metadata above. What the base and the \
             data are licensed under counts, too.\n"
                .into(),
        ];
        format!(
            "---\n{}---\n\n{}",
            self.metadata(subject),
            sections.into_iter().filter(|text| !text.is_empty()).collect::<Vec<_>>().join("\n")
        )
    }

    fn metadata(&self, subject: Subject) -> String {
        let mut lines = String::new();
        // JSON is YAML.
        let mut put = |key: &str, value: Value| {
            let _ = writeln!(lines, "{key}: {value}");
        };
        if let Some(base) = self.base_on_hub() {
            put("base_model", json!(base));
            put("base_model_relation", json!(if subject == Subject::Merged { "finetune" } else { "adapter" }));
        }
        put(
            "library_name",
            json!(match (subject, self.is_lora()) {
                (Subject::Merged, _) => "transformers",
                (Subject::Adapter, true) => "peft",
                (Subject::Adapter, false) => "adamole",
            }),
        );
        put("pipeline_tag", json!("text-generation"));
        let data = self.data_on_hub();
        if !data.is_empty() {
            put("datasets", json!(data));
        }
        let mut tags = vec!["adamole".to_owned(), self.method().to_lowercase()];
        tags.dedup();
        put("tags", json!(tags));
        lines
    }

    fn title(&self, subject: Subject) -> String {
        let (method, base) = (self.method(), self.base());
        let on = self.benchmark().map(|name| format!(", trained on {name}")).unwrap_or_default();
        let at = self.commit.as_deref().or_else(|| self.base_revision());
        let at = at.map(|revision| format!(" at `{revision}`")).unwrap_or_default();
        match subject {
            Subject::Adapter => format!("# {method} adapter for {base}{on}\n\nBase: {base}{at}.\n"),
            Subject::Merged => {
                format!(
                    "# {base} with a {method} adapter{on}\n\nThe adapter is merged into the weights. Base: {base}{at}.\n"
                )
            }
        }
    }

    fn loading(&self, subject: Subject) -> String {
        let base = self.base_on_hub().unwrap_or_else(|| "BASE".into());
        let here = match subject {
            Subject::Adapter => format!("adamole generate --model {base} --adapter FOLDER_OR_NAME \"...\""),
            Subject::Merged => "adamole generate --model FOLDER_OR_NAME \"...\"".into(),
        };
        let mut text = format!("## Use\n\n```sh\n{here}\n```\n");
        if subject == Subject::Adapter && self.is_lora() {
            let _ = write!(
                text,
                "\nIn PEFT:\n\n```python\nfrom peft import PeftModel\nfrom transformers import AutoModelForCausalLM\n\n\
                 base = AutoModelForCausalLM.from_pretrained({})\nmodel = PeftModel.from_pretrained(base, \
                 \"FOLDER_OR_NAME\")\n```\n",
                json!(base)
            );
        }
        text
    }

    /// The method with its settings and, of a run, how it was trained.
    fn training(&self) -> String {
        let mut text = format!("## Training\n\n| setting | value |\n|---|---|\n| method | {} |\n", self.method());
        let mut row = |name: &str, value: &Value| {
            let value = match value {
                Value::Null => return,
                Value::String(text) => text.clone(),
                Value::Number(number) => decimal(number),
                Value::Array(values) if values.iter().all(Value::is_string) => {
                    values.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(", ")
                }
                other => other.to_string(),
            };
            let _ = writeln!(text, "| {name} | {} |", cell(&value));
        };
        for (name, key) in [
            ("rank", if self.is_lora() { "r" } else { "lora_rank" }),
            ("alpha", "lora_alpha"),
            ("dropout", "lora_dropout"),
            ("experts", "num_experts"),
            ("top-k", "top_k"),
            ("top-p", "top_p"),
            ("threshold", "threshold"),
            ("upper end of the threshold", "max_threshold"),
            ("capacity factor", "capacity_factor"),
            ("linears", "target_modules"),
        ] {
            row(name, &self.adapter[key]);
        }
        let (config, recipe) = (&self.config, &self.config["recipe"]);
        row("benchmark", &json!(self.benchmark()));
        row("data", &json!(self.data()));
        let of_data: &[_] = match self.is_of_texts() {
            true => &[("tokens that have a loss", "loss_on"), ("chat template", "chat_template")],
            false => &[("trained on", "train_split"), ("epoch chosen on", "validation_split")],
        };
        for (name, key) in of_data {
            row(name, &config[*key]);
        }
        row("training items", &self.report["train_items"]);
        row("training texts", &self.report["train_texts"]);
        for (name, key) in [
            ("epochs", "epochs"),
            ("examples per step", "batch_size"),
            ("learning rate", "learning_rate"),
            ("warm-up steps", "warmup_steps"),
            ("decay of the rate", "decay"),
            ("weight decay", "weight_decay"),
            ("weight of the load balancing loss", "balance_coefficient"),
            ("seed", "seed"),
        ] {
            row(name, &recipe[key]);
        }
        if !self.is_of_texts() {
            row("labels", &recipe["labels"]);
        }
        for (name, key) in [
            ("longest text in tokens", "max_tokens"),
            ("type of the base's weights", "dtype"),
            ("quantization", "quantize"),
            ("adamole", "version"),
        ] {
            row(name, &config[key]);
        }
        text
    }

    /// Accuracies with their standard errors; empty before the run's end.
    fn results(&self) -> String {
        let report = &self.report;
        if self.is_of_texts() {
            return self.losses();
        }
        let mut text = String::new();
        let mut row = |what: &str, split: &Value, accuracy: &Value, items: &Value| {
            let (Some(accuracy), Some(items)) = (accuracy.as_f64(), items.as_u64().filter(|&items| items > 0)) else {
                return;
            };
            let error = (accuracy * (1.0 - accuracy) / items as f64).sqrt();
            let split = split.as_str().unwrap_or("validation");
            let _ =
                writeln!(text, "| {what} | {} | {} | {items} | {} |", cell(split), percent(accuracy), percent(error));
        };
        let chosen = &report["selected_on"];
        row("before training", chosen, &report["accuracy_before"], &report["items"]);
        row("best epoch", chosen, &report["accuracy"], &report["items"]);
        let reported = &report["reported"];
        row(
            "best epoch, on items that did not choose it",
            &reported["split"],
            &reported["accuracy"],
            &reported["items"],
        );
        if text.is_empty() {
            return text;
        }
        format!("## Results\n\n| | split | accuracy | items | standard error |\n|---|---|---|---|---|\n{text}")
    }

    /// Losses on texts for validation; empty before the run's end.
    fn losses(&self) -> String {
        let number = |key: &str| self.report[key].as_f64();
        let row = |what: &str, loss: &str, perplexity: &str| {
            Some(format!("| {what} | {:.4} | {:.3} |\n", number(loss)?, number(perplexity)?))
        };
        let before = row("before training", "validation_loss_before", "perplexity_before");
        let Some(rows) = before.zip(row("best epoch", "validation_loss", "perplexity")) else { return String::new() };
        let texts = self.report["validation_texts"].as_u64().unwrap_or_default();
        let head = format!("On {texts} texts that were not trained on and chose the epoch.\n\n| | loss | perplexity |");
        format!("## Results\n\n{head}\n|---|---|---|\n{}{}", rows.0, rows.1)
    }

    /// Whether the run was on text of one's own.
    fn is_of_texts(&self) -> bool {
        self.config["loss_on"].is_string()
    }

    fn is_lora(&self) -> bool {
        self.method() == "LoRA"
    }

    fn method(&self) -> &str {
        match self.adapter["peft_type"].as_str() {
            Some("LORA") | None => "LoRA",
            Some("MOLE") => "MoLE",
            Some("ADAMOLE") => "AdaMoLE",
            Some("SIRA") => "SiRA",
            Some(other) => other,
        }
    }

    /// The base as it was named. Of a folder, only the last part of the name, which is the public one.
    fn base(&self) -> String {
        match (self.base_on_hub(), self.base_name()) {
            (Some(base), _) => base,
            (None, Some(name)) => format!("`{}`", last(name)),
            (None, None) => "a base that its config does not name".into(),
        }
    }

    /// The base, as the run or else the adapter names it.
    pub(super) fn base_name(&self) -> Option<&str> {
        self.config["model"].as_str().or(self.adapter["base_model_name_or_path"].as_str())
    }

    /// The repository of the base, where it is known.
    pub(super) fn base_on_hub(&self) -> Option<String> {
        on_hub(self.base_name()?)
    }

    /// The revision in the base's name.
    pub(super) fn base_revision(&self) -> Option<&str> {
        self.base_name()?.split_once('@').map(|(_, revision)| revision)
    }

    fn benchmark(&self) -> Option<String> {
        let name = self.config["benchmark"].as_str()?;
        Some(last(name).trim_end_matches(".toml").to_owned())
    }

    /// The data set as it was named, or that of the benchmark.
    fn data(&self) -> Option<String> {
        match self.config["data"].as_str() {
            Some(data) => Some(on_hub(data).unwrap_or_else(|| format!("`{}`", last(data)))),
            None => Some(self.data_on_hub().join(", ")).filter(|names| !names.is_empty()),
        }
    }

    fn data_on_hub(&self) -> Vec<String> {
        // A local folder may hold anything: it does not count as the benchmark's data set.
        if let Some(data) = self.config["data"].as_str() {
            return on_hub(data).into_iter().collect();
        }
        let benchmark = self.config["benchmark"].as_str().and_then(|name| Benchmark::by_name(name).ok());
        let parts = benchmark.into_iter().flat_map(|benchmark| benchmark.parts());
        let mut names: Vec<String> = parts.filter_map(|part| Some(part.hub()?.id.clone())).collect();
        names.sort();
        names.dedup();
        names
    }
}

/// The repository `org/name` that a name or the folder of a cached snapshot stands for; `None` for other folders.
fn on_hub(name: &str) -> Option<String> {
    let cached =
        |part: &str| part.strip_prefix("models--").or_else(|| part.strip_prefix("datasets--")).map(str::to_owned);
    if let Some(id) = Path::new(name).iter().find_map(|part| cached(part.to_str()?)) {
        return id.contains("--").then(|| id.replacen("--", "/", 1));
    }
    let id = name.split('@').next()?;
    (!is_local(name) && id.contains('/')).then(|| id.to_owned())
}

/// Whether this names a folder of this machine rather than a repository of the hub.
pub(crate) fn is_local(name: &str) -> bool {
    Path::new(name).is_dir() || !Source::parse(name).is_ok_and(|source| source.is_repository())
}

/// A number as it was written: one that came from single precision is as short as that allows, 0.05 rather than
/// 0.05000000074505806.
fn decimal(number: &Number) -> String {
    match number.as_f64().map(|wide| (wide, wide as f32)) {
        Some((wide, narrow)) if number.is_f64() && f64::from(narrow) == wide => narrow.to_string(),
        _ => number.to_string(),
    }
}

/// The last part of a path.
fn last(name: &str) -> String {
    Path::new(name).file_name().map_or_else(|| name.to_owned(), |name| name.to_string_lossy().into_owned())
}

/// Text that stays in its cell of a table.
fn cell(text: &str) -> String {
    text.replace(['\n', '\r'], " ").replace('|', "\\|")
}

/// A JSON file; null if there is none.
pub(super) fn read(path: &Path) -> Result<Value, TrainError> {
    let error = |source| TrainError::Io { path: path.to_owned(), source };
    match fs::read(path) {
        Ok(bytes) => serde_json::from_slice(&bytes).map_err(|source| error(source.into())),
        Err(source) if source.kind() == std::io::ErrorKind::NotFound => Ok(Value::Null),
        Err(source) => Err(error(source)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn card(peft_type: &str) -> Card {
        Card {
            adapter: json!({
                "peft_type": peft_type, "r": 8, "lora_rank": 2, "lora_alpha": 16.0, "lora_dropout": 0.05_f32, "num_experts": 4,
                "target_modules": ["q_proj", "v_proj"], "base_model_name_or_path": "org/base@v2",
            }),
            config: json!({
                "model": "org/base@v2", "benchmark": "copa", "data": null, "train_split": "train[:400]",
                "validation_split": "validation", "recipe": { "epochs": 3, "learning_rate": 1e-4 },
            }),
            report: json!({
                "accuracy": 0.8, "accuracy_before": 0.5, "items": 100, "selected_on": "validation",
                "reported": { "split": "test", "accuracy": 0.75, "items": 300 }, "train_items": 400,
            }),
            commit: None,
        }
    }

    #[test]
    fn a_hub_indexes_base_library_data_and_tags() {
        let text = card("ADAMOLE").text(Subject::Adapter);
        let (metadata, rest) = text.strip_prefix("---\n").unwrap().split_once("---\n").unwrap();
        let expected = "base_model: \"org/base\"\nbase_model_relation: \"adapter\"\nlibrary_name: \"adamole\"\n\
                        pipeline_tag: \"text-generation\"\ndatasets: [\"super_glue\"]\ntags: [\"adamole\"]\n";
        assert_eq!(metadata, expected);
        assert!(
            rest.starts_with("\n# AdaMoLE adapter for org/base, trained on copa\n\nBase: org/base at `v2`.\n"),
            "{rest}"
        );
        assert!(!metadata.contains("license"), "that is the author's to state");
    }

    #[test]
    fn results_have_their_items_and_standard_errors() {
        let text = card("LORA").text(Subject::Adapter);
        for line in [
            "| before training | validation | 50.0 % | 100 | 5.0 % |",
            "| best epoch | validation | 80.0 % | 100 | 4.0 % |",
            "| best epoch, on items that did not choose it | test | 75.0 % | 300 | 2.5 % |",
            "| rank | 8 |",
            "| linears | q_proj, v_proj |",
            "| trained on | train[:400] |",
            "| learning rate | 0.0001 |",
            "| dropout | 0.05 |",
        ] {
            assert!(text.contains(line), "{line} is not in {text}");
        }
    }

    #[test]
    fn a_plain_lora_says_how_peft_loads_it() {
        let text = card("LORA").text(Subject::Adapter);
        assert!(text.contains("library_name: \"peft\"") && text.contains("tags: [\"adamole\",\"lora\"]"), "{text}");
        assert!(text.contains("PeftModel.from_pretrained(base, \"FOLDER_OR_NAME\")"), "{text}");
        for other in [card("SIRA").text(Subject::Adapter), card("LORA").text(Subject::Merged)] {
            assert!(!other.contains("PeftModel"), "{other}");
        }
        assert!(card("LORA").text(Subject::Merged).contains("library_name: \"transformers\""));
    }

    #[test]
    fn folders_of_this_machine_are_not_told() {
        let mut card = card("LORA");
        card.config["model"] = json!("/home/me/models/base");
        card.config["data"] = json!("/home/me/copa");
        let text = card.text(Subject::Adapter);
        assert!(!text.contains("/home/me") && text.contains("`base`") && text.contains("| data | `copa` |"), "{text}");
        assert!(!text.contains("base_model:") && text.contains("--model BASE"), "{text}");
        assert!(!text.contains("datasets:") && !text.contains("super_glue"), "{text}");
        card.config["model"] = json!("/c/models--org--base/snapshots/0a0a");
        assert!(card.text(Subject::Adapter).contains("base_model: \"org/base\""), "a snapshot's folder has a name");
    }

    #[test]
    fn the_commit_of_the_base_is_that_of_its_snapshot() {
        let of = |folder: &str| card("LORA").on_base(Path::new(folder)).text(Subject::Adapter);
        assert!(of("/c/models--org--base/snapshots/0a0a").contains("Base: org/base at `0a0a`."));
        assert!(of("/models/base").contains("Base: org/base at `v2`."));
    }

    #[test]
    fn an_adapter_without_a_run_has_a_card() {
        let card = Card { config: Value::Null, report: Value::Null, ..card("LORA") };
        let text = card.text(Subject::Adapter);
        assert!(text.contains("# LoRA adapter for org/base\n") && !text.contains("## Results"), "{text}");
    }
}

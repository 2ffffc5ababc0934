//! The remedies for errors of models and adapters.

use adamole::llama::{AdapterRefusal, MismatchCause, ModelError};
use std::{io::ErrorKind, path::Path};

/// The remedy for a base that another program has quantised.
const TAKE_FLOATS: &str =
    "take the base from which it was quantised, with weights as floats; --quantize int8 or int4 quantises it here";

/// How to merge any adapter into its base.
const MERGE_WITH_PEFT: &str =
    "merge it into its base with PEFT (`merge_and_unload`, then `save_pretrained`), and give the result to --model";

/// The remedy, where the error does not name it itself.
pub(super) fn of(error: &ModelError) -> Option<String> {
    Some(match error {
        ModelError::NotAFile { .. } => "give a file, or a folder with files".into(),
        ModelError::DeadLink { .. } => {
            "a snapshot of a hub cache has links to its `blobs`: copy the files that they lead to (`cp -rL`), or fetch it \
             again"
                .into()
        }
        ModelError::LfsPointer { .. } => "fetch the file itself: `git lfs pull` in its repository".into(),
        ModelError::Safetensors { .. } => "fetch the file again, and compare its size with the original's".into(),
        ModelError::NoWeights { others, .. } => without_weights(others),
        ModelError::NoAdapterWeights { others, .. } if others.iter().any(|name| name == "adapters.safetensors") => {
            mlx()
        }
        ModelError::NoAdapterWeights { .. } => {
            "--adapter takes a folder that PEFT or this program wrote: adapter_config.json and \
             adapter_model.safetensors"
                .into()
        }
        ModelError::Io { path, source }
            if path.ends_with("adapter_config.json") && source.kind() == ErrorKind::NotFound =>
        {
            without_adapter(path.parent().unwrap_or(path))
        }
        ModelError::NamedAdapters { folder, names } => {
            let path = names.first().map(|name| folder.join(name)).unwrap_or_default();
            format!("--adapter {}", path.display())
        }
        ModelError::MlxAdapter { .. } => mlx(),
        ModelError::NotFinite { value, precision, .. } if value.is_finite() => {
            format!("the value is outside the range of {precision}: use --dtype float32 or bfloat16")
        }
        ModelError::NotFinite { .. } => {
            "the file itself holds this value: its training or conversion failed; take an earlier checkpoint, or the \
             file from its source"
                .into()
        }
        ModelError::ScoresNotFinite { .. } => {
            "the weights are finite, but the results overflow: use --dtype float32, or an adapter of a \
             smaller scale"
                .into()
        }
        ModelError::TokenOutsideVocabulary { .. } => {
            "take the tokenizer that came with the model, or resize the model's embedding where tokens were added".into()
        }
        ModelError::NotMergeable { .. } => {
            "keep the adapter beside its base, and give both to --model and --adapter, as of `adamole generate`; \
             `adamole export --python ADAPTER` adds what loads it in transformers"
                .into()
        }
        ModelError::NotInGguf { path, .. } if path.ends_with("tokenizer.json") => {
            "export a folder in place of a GGUF file (--merge --output), which llama.cpp's convert_hf_to_gguf.py may know \
             how to convert; a rule that it does not know either would give other tokens than in training"
                .into()
        }
        ModelError::NotInGguf { .. } => {
            "export a folder in place of a GGUF file (--merge --output), which llama.cpp's convert_hf_to_gguf.py may know \
             how to convert"
                .into()
        }
        ModelError::UnsupportedType { .. } => {
            "`adamole devices` lists the types of each device; --dtype float32 without --quantize works on all".into()
        }
        ModelError::UnequalCopies { .. } => "the file was put together from several: fetch the adapter again".into(),
        ModelError::NotQuantizable { .. } => "leave --quantize out".into(),
        ModelError::QuantizedBase { .. } => TAKE_FLOATS.into(),
        ModelError::AdapterField { refusal, .. } => return of_refusal(*refusal),
        ModelError::AmbiguousKeys { path, .. } => several(path),
        ModelError::Mismatch { what, cause, .. } => return of_mismatch(what, cause),
        _ => return None,
    })
}

/// The remedy for a folder that is no adapter's.
fn without_adapter(folder: &Path) -> String {
    let has = |name: &str| folder.join(name).is_file();
    if has("settings.json") {
        return "this is a run directory without an adapter: its first epoch has not ended yet".into();
    }
    if has("config.json") {
        return "this is a model: give it to --model; an adapter's folder has adapter_config.json".into();
    }
    "an adapter is a run directory, or a folder with adapter_config.json and adapter_model.safetensors".into()
}

fn without_weights(others: &[String]) -> String {
    let has = |end: &str| others.iter().any(|name| name.ends_with(end));
    if others.iter().any(|name| name.starts_with("adapter")) {
        return "this is an adapter: give it to --adapter, and its base to --model".into();
    }
    if has(".gguf") {
        return "take the repository that the GGUF file was made from: its weights are safetensors".into();
    }
    if has(".bin") || has(".pt") || has(".pth") {
        return "transformers makes safetensors weights of them: `AutoModelForCausalLM.from_pretrained(folder)`, then \
                `save_pretrained`"
            .into();
    }
    if has(".safetensors") {
        return "fetch model.safetensors.index.json as well, which lists the file of each tensor".into();
    }
    "--model takes a Hugging Face folder: config.json, tokenizer.json and safetensors weights".into()
}

fn mlx() -> String {
    "merge it into its base with MLX (`mlx_lm.fuse`), and give the result to --model".into()
}

fn several(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    match name.starts_with("adapter") {
        true => "the file holds several adapters: save the one that you mean on its own".into(),
        false => "save the model without its wrapper, so that each tensor has one name".into(),
    }
}

fn of_refusal(refusal: AdapterRefusal) -> Option<String> {
    Some(match refusal {
        AdapterRefusal::OtherType
        | AdapterRefusal::OtherMethod
        | AdapterRefusal::OtherParameters
        | AdapterRefusal::OtherLayers => MERGE_WITH_PEFT.into(),
        AdapterRefusal::ChangedBase => format!(
            "save it with PEFT's `path_initial_model_for_weight_conversion`, which makes a plain LoRA of it, or \
             {MERGE_WITH_PEFT}"
        ),
        AdapterRefusal::QuantizedBase => {
            format!(
                "give the base whose weights LoftQ has changed to --model, with this field true, or {MERGE_WITH_PEFT}"
            )
        }
        AdapterRefusal::Unknown => {
            format!("if the field changes nothing, take it out of adapter_config.json; if it does, {MERGE_WITH_PEFT}")
        }
        _ => return None,
    })
}

fn of_mismatch(what: &str, cause: &MismatchCause) -> Option<String> {
    Some(match cause {
        MismatchCause::OtherModel if what == "adapter" => {
            "an adapter fits only the base model that it was trained on; see base_model_name_or_path in its \
             adapter_config.json"
                .into()
        }
        MismatchCause::OtherModel => "config.json and the weights are not of one model: fetch both again".into(),
        MismatchCause::NoHead => {
            "set tie_word_embeddings to true in config.json if the output projection is the embedding; else fetch the \
             weights again"
                .into()
        }
        MismatchCause::Prefix(prefix) if prefix.starts_with("base_model.") => {
            "the model was saved from inside PEFT: merge its adapter (`merge_and_unload`) before it is saved".into()
        }
        MismatchCause::Prefix(_) => "save the language model alone".into(),
        MismatchCause::SavedModules(_) => MERGE_WITH_PEFT.into(),
        MismatchCause::Incomplete if what == "adapter" => {
            "the tensors are not those of adapter_config.json: save the adapter again, or take both files \
             from one place"
                .into()
        }
        MismatchCause::Incomplete => "fetch the weights again, and config.json from the same place".into(),
        _ => return None,
    })
}

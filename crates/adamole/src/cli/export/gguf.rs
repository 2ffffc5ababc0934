//! GGUF files of models and of plain LoRAs.

use super::{
    Failure, is_new,
    modelfile::{Contents, modelfile},
};
use crate::cli::{
    fetching::whole_model_folder,
    inputs::{Base, adapt, warn},
    output::{Format, print},
};
use adamole::{
    chat::ChatTemplates,
    device,
    llama::{
        GgufSource, GgufType, ModelError, Precision, end_tokens, merge, save_gguf, save_gguf_adapter, write_atomically,
    },
};
use serde::Serialize;
use std::{
    borrow::Cow,
    fs,
    path::{Path, PathBuf},
};

#[derive(Serialize)]
struct Report {
    gguf: PathBuf,
    modelfile: PathBuf,
    /// The type of the weights.
    gguf_type: &'static str,
    /// "model" or "adapter".
    content: &'static str,
    /// Linears with an adapter, merged or not.
    adapted_linears: usize,
    bytes: u64,
}

/// Writes the base `model` as GGUF, with the adapter merged in; or the adapter alone, where it is not to be merged.
pub(super) fn run(
    model: &str,
    adapter: Option<(&str, bool)>,
    file: &Path,
    kind: Option<GgufType>,
    format: Format,
) -> Result<(), Failure> {
    let of_ollama = file.with_extension("Modelfile");
    is_new(file, "file")?;
    is_new(&of_ollama, "file")?;
    let is_adapter = matches!(adapter, Some((_, false)));
    let kind = kind.unwrap_or(if is_adapter { GgufType::F32 } else { GgufType::F16 });
    if is_adapter && kind == GgufType::Q8_0 {
        return Err(Failure::Usage("--gguf-type q8_0 is for models, not for an adapter: give f32, f16 or bf16".into()));
    }
    let folder = whole_model_folder(model)?;
    let folder_name = folder.display().to_string();
    let mut base = Base::load(&folder_name, Precision::Float32, &device::open("cpu")?)?;
    let adapted_linears = match adapter {
        Some((adapter, _)) => adapt(&mut base.model, adapter)?.iter().count(),
        None => 0,
    };
    let chat_template = ChatTemplates::default_source(&folder)?;
    let source = GgufSource {
        folder: &folder,
        name: &name(model, &folder),
        bos: base.tokenizer.bos(),
        eos: base.tokenizer.eos(),
        chat_template: chat_template.as_deref(),
    };
    if is_adapter {
        save_gguf_adapter(&base.model, &source, kind, file)?;
    } else {
        warn(&save_gguf(&merge(base.model)?, &source, kind, file)?);
    }
    let mut ends = end_tokens(&folder)?;
    ends.extend(source.eos.filter(|eos| !ends.contains(eos)));
    let stops = base.tokenizer.names(&ends);
    let contents = Contents { file, adapter_of: is_adapter.then_some(&folder), has_template: chat_template.is_some() };
    write_atomically(&of_ollama, modelfile(&contents, &stops).as_bytes())?;
    let report = Report {
        gguf: file.to_owned(),
        modelfile: of_ollama,
        gguf_type: kind.name(),
        content: if is_adapter { "adapter" } else { "model" },
        adapted_linears,
        bytes: fs::metadata(file).map_err(|source| ModelError::Io { path: file.to_owned(), source })?.len(),
    };
    print(format, &report, || {
        let content = match (is_adapter, adapted_linears) {
            (true, count) => format!("an adapter of {count} linears"),
            (false, 0) => "the base".into(),
            (false, count) => format!("the base with {count} adapters merged into it"),
        };
        let (file, of_ollama) = (report.gguf.display(), report.modelfile.display());
        format!("{file}: {content}, in {kind}\n{of_ollama}: for `ollama create NAME -f {of_ollama}`")
    })
}

/// The name of a model, without organisation and revision.
fn name<'a>(model: &'a str, folder: &'a Path) -> Cow<'a, str> {
    let of_hub = model.rsplit('/').next().and_then(|name| name.split('@').next()).filter(|name| !name.is_empty());
    of_hub.map_or_else(|| folder.file_name().unwrap_or_default().to_string_lossy(), Cow::Borrowed)
}

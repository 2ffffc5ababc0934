//! Modelfiles, from which Ollama makes a model of GGUF files.

use std::path::Path;

/// What a Modelfile is about.
pub(super) struct Contents<'a> {
    /// The GGUF file beside it.
    pub(super) file: &'a Path,
    /// The folder of the base, where the file is an adapter.
    pub(super) adapter_of: Option<&'a Path>,
    /// Whether the model has a chat template.
    pub(super) has_template: bool,
}

/// The text of a Modelfile. Templates there are in another language than chat templates: without a chat template, a prompt
/// is continued as it is; else none is given, and Ollama takes the one that it knows for the template in the GGUF file.
pub(super) fn modelfile(contents: &Contents<'_>, stops: &[String]) -> String {
    let file = contents.file.file_name().unwrap_or_default().to_string_lossy();
    let mut lines = match contents.adapter_of {
        None => vec![format!("FROM ./{file}")],
        Some(base) => {
            let base = base.canonicalize().unwrap_or_else(|_| base.to_owned());
            vec![
                "# The base that the adapter was trained on; a GGUF file of it does as well.".into(),
                format!("FROM {}", base.display()),
                format!("ADAPTER ./{file}"),
            ]
        }
    };
    lines.push(if contents.has_template {
        "# TEMPLATE is left out: the model has a chat template of Jinja (tokenizer.chat_template), and Ollama recognises \
         known ones."
            .into()
    } else {
        "TEMPLATE \"\"\"{{ .Prompt }}\"\"\"".into()
    });
    lines.extend(stops.iter().map(|stop| format!("PARAMETER stop \"{}\"", stop.replace('"', "\\\""))));
    lines.join("\n") + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_without_chat_template_continues_its_prompt() {
        let contents = Contents { file: Path::new("out/tiny.gguf"), adapter_of: None, has_template: false };
        assert_eq!(
            modelfile(&contents, &["</s>".into()]),
            "FROM ./tiny.gguf\nTEMPLATE \"\"\"{{ .Prompt }}\"\"\"\nPARAMETER stop \"</s>\"\n"
        );
    }

    #[test]
    fn a_chat_template_is_not_translated_and_an_adapter_names_its_base() {
        let base = Path::new("/no/such/base");
        let contents = Contents { file: Path::new("a.gguf"), adapter_of: Some(base), has_template: true };
        let text = modelfile(&contents, &["<|im_end|>".into(), "\"".into()]);
        assert!(text.contains("\nFROM /no/such/base\nADAPTER ./a.gguf\n# TEMPLATE is left out"), "{text}");
        assert!(text.ends_with("PARAMETER stop \"<|im_end|>\"\nPARAMETER stop \"\\\"\"\n"), "{text}");
    }
}

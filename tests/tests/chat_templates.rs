//! Chat templates equal transformers, character for character: recorded renderings, spans of generation blocks, and the
//! tokens that they mark.
//!
//! `ADAMOLE_GOLDEN_CHAT` names the folder of the records; without it, `golden/chat` of the shared test material. Its
//! `cases` are arrays of records, whose templates and `tokenizer.json` lie beside them.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use adamole::chat::{ChatError, ChatTemplate, Conversation, Data, Record, RenderOptions, Rendered, SpecialTokens};
use serde::Deserialize;
use std::{
    collections::HashMap,
    fs,
    path::{Path, PathBuf},
};
use tokenizers::{AddedToken, Tokenizer};

/// What transformers made of a conversation.
#[derive(Deserialize)]
struct Case {
    conversation: String,
    template_file: String,
    messages: Data,
    #[serde(default)]
    tools: Option<Data>,
    #[serde(default)]
    documents: Option<Data>,
    add_generation_prompt: bool,
    #[serde(default)]
    extra: Option<Data>,
    bos_token: Option<String>,
    eos_token: Option<String>,
    #[serde(default)]
    now: Option<String>,
    expected: Option<String>,
    error: bool,
    #[serde(default)]
    error_text: Option<String>,
    generated_chars: Option<Vec<[usize; 2]>>,
    generated_bytes: Option<Vec<[usize; 2]>>,
    input_ids: Option<Vec<u32>>,
    assistant_masks: Option<Vec<u8>>,
}

impl Case {
    fn render(&self, template: &ChatTemplate) -> Result<Rendered, ChatError> {
        let lists = [
            ("messages", Some(&self.messages)),
            ("tools", self.tools.as_ref()),
            ("documents", self.documents.as_ref()),
        ];
        let lists = lists.into_iter().filter_map(|(name, list)| Some((name.to_owned(), list?.clone())));
        let mut tokens = SpecialTokens::default();
        for (name, text) in [("bos_token", &self.bos_token), ("eos_token", &self.eos_token)] {
            text.iter().for_each(|text| tokens.set(name, text));
        }
        let options = RenderOptions {
            add_generation_prompt: self.add_generation_prompt,
            variables: match &self.extra {
                Some(Data::Record(extra)) => extra.clone(),
                _ => Record::new(),
            },
            special_tokens: Some(tokens),
            now: self.now.as_ref().map(|now| now.parse().unwrap_or_else(|error| panic!("{now}: {error}"))),
        };
        template.render(&Conversation::take(&mut lists.collect())?, &options)
    }

    /// What differs from transformers.
    fn difference(&self, template: &ChatTemplate, tokenizer: Option<&Tokenizer>) -> Option<String> {
        let rendered = match self.render(template) {
            Ok(rendered) if self.error => return Some(format!("no error, but {:?}", rendered.text)),
            Ok(rendered) => rendered,
            Err(error) if !self.error => return Some(error.to_string()),
            Err(error) => return self.error_difference(&error),
        };
        if Some(&rendered.text) != self.expected.as_ref() {
            return Some(format!("{:?}, expected {:?}", rendered.text, self.expected));
        }
        let bytes = rendered.generated.as_ref().map(|spans| spans.iter().map(|span| [span.start, span.end]).collect());
        if bytes != self.generated_bytes {
            return Some(format!("bytes {bytes:?}, expected {:?}", self.generated_bytes));
        }
        let characters = |byte: usize| rendered.text[..byte].chars().count();
        let chars =
            bytes.as_ref().map(|spans: &Vec<[usize; 2]>| spans.iter().map(|span| span.map(characters)).collect());
        if chars != self.generated_chars {
            return Some(format!("characters {chars:?}, expected {:?}", self.generated_chars));
        }
        self.token_difference(&rendered, tokenizer?)
    }

    /// A template's own message has to be the recorded one.
    fn error_difference(&self, error: &ChatError) -> Option<String> {
        let recorded = self.error_text.as_deref().and_then(|text| text.strip_prefix("TemplateError: "))?;
        match error {
            ChatError::Raised { message } if message == recorded => None,
            other => Some(format!("{other}, expected the message {recorded:?}")),
        }
    }

    /// Every token that overlaps a span is marked.
    fn token_difference(&self, rendered: &Rendered, tokenizer: &Tokenizer) -> Option<String> {
        let (ids, masks) = (self.input_ids.as_ref()?, self.assistant_masks.as_ref()?);
        // A special token that the tokenizer does not have is added to it.
        let named = [&self.bos_token, &self.eos_token].into_iter().flatten().filter(|token| !token.is_empty());
        let mut tokenizer = tokenizer.clone();
        tokenizer.add_special_tokens(&named.map(|token| AddedToken::from(token.as_str(), true)).collect::<Vec<_>>());
        let encoding = tokenizer.encode(rendered.text.as_str(), false).unwrap_or_else(|error| panic!("{error}"));
        if encoding.get_ids() != ids.as_slice() {
            return Some(format!("ids {:?}, expected {ids:?}", encoding.get_ids()));
        }
        let spans = rendered.generated.as_deref().unwrap_or_default();
        let is_marked = |(start, end): &(usize, usize)| spans.iter().any(|span| *start < span.end && *end > span.start);
        let marked: Vec<u8> = encoding.get_offsets().iter().map(|token| u8::from(is_marked(token))).collect();
        (marked != *masks).then(|| format!("masks {marked:?}, expected {masks:?}"))
    }
}

fn folder() -> Option<PathBuf> {
    match std::env::var_os("ADAMOLE_GOLDEN_CHAT") {
        Some(folder) => Some(folder.into()),
        None => adamole_tests::shared("golden/chat"),
    }
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn chat_templates_render_as_transformers_does() {
    let Some(folder) = folder() else { return };
    let tokenizer = Tokenizer::from_file(folder.join("tokenizer.json")).ok();
    let mut files: Vec<_> = fs::read_dir(folder.join("cases")).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let mut templates: HashMap<String, ChatTemplate> = HashMap::new();
    let (mut differences, mut count) = (Vec::new(), 0);
    for file in files {
        let cases: Vec<Case> =
            serde_json::from_str(&read(&file)).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        for (index, case) in cases.iter().enumerate() {
            let template = templates.entry(case.template_file.clone()).or_insert_with(|| {
                let source = read(&folder.join(&case.template_file));
                ChatTemplate::from_source(&source, &case.template_file).unwrap_or_else(|error| panic!("{error}"))
            });
            count += 1;
            let place = format!("{}[{index}] {}", file.display(), case.conversation);
            differences.extend(case.difference(template, tokenizer.as_ref()).map(|what| format!("{place}: {what}")));
        }
    }
    assert!(count > 0, "{} has no records", folder.display());
    assert!(differences.is_empty(), "{} of {count} differ:\n{}", differences.len(), differences.join("\n"));
    eprintln!("{count} renderings");
}

#[test]
fn every_chat_template_can_be_read() {
    let Some(folder) = folder() else { return };
    let mut errors = Vec::new();
    for entry in fs::read_dir(folder.join("templates")).unwrap() {
        let path = entry.unwrap().path();
        errors.extend(ChatTemplate::from_source(&read(&path), &path.display().to_string()).err());
    }
    assert!(errors.is_empty(), "{errors:#?}");
}

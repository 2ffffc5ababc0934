//! The chat templates of a model folder.

use crate::{
    ChatError, ChatTemplate, Conversation, SpecialTokens,
    data::{Data, Record},
    special_tokens::read_record,
};
use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// The name of the template that is used unless another one is asked for.
const DEFAULT: &str = "default";
/// The name of the template for conversations with tools.
const TOOL_USE: &str = "tool_use";

/// The chat templates of a tokenizer, by their names.
#[derive(Clone, Debug)]
pub struct ChatTemplates(Vec<ChatTemplate>);

impl ChatTemplates {
    /// The templates of a model folder, with the special tokens of its tokenizer.
    ///
    /// `chat_template.jinja` is the default, and each file of `additional_chat_templates` has the name of its file. Where
    /// there are none, `chat_template` of `tokenizer_config.json` holds one template or a list of named ones.
    ///
    /// # Errors
    /// There is no template, a file cannot be read or understood, or a template has an error of syntax.
    pub fn from_model_folder(folder: &Path) -> Result<Self, ChatError> {
        let sources = sources(folder)?;
        if sources.is_empty() {
            return Err(ChatError::NoTemplate { folder: folder.into() });
        }
        let special_tokens = SpecialTokens::from_model_folder(folder)?;
        let template = |(name, source): (String, String)| {
            Ok(ChatTemplate::from_source(&source, &name)?.with_special_tokens(special_tokens.clone()))
        };
        sources.into_iter().map(template).collect::<Result<_, _>>().map(Self)
    }

    /// The source of the template of a model folder for conversations without tools; `None` where there is no template, or
    /// none of several is called `default`.
    ///
    /// # Errors
    /// A file cannot be read or understood.
    pub fn default_source(folder: &Path) -> Result<Option<String>, ChatError> {
        let mut sources = sources(folder)?;
        let only = sources.len() == 1;
        let place = sources.iter().position(|(name, _)| only || name == DEFAULT);
        Ok(place.map(|place| sources.swap_remove(place).1))
    }

    /// One template, which is the default.
    pub fn of(template: ChatTemplate) -> Self {
        Self(vec![template])
    }

    /// The names of the templates.
    pub fn names(&self) -> Vec<String> {
        self.0.iter().map(|template| template.name().to_owned()).collect()
    }

    /// The template of a name.
    ///
    /// # Errors
    /// There is none.
    pub fn named(&self, name: &str) -> Result<&ChatTemplate, ChatError> {
        let found = self.0.iter().find(|template| template.name() == name);
        found.ok_or_else(|| ChatError::UnknownTemplate { name: name.into(), known: self.names() })
    }

    /// The template for a conversation: the only one; or of several `tool_use` where the conversation has tools and there is
    /// one, else `default`.
    ///
    /// # Errors
    /// There are several, and none is called `default`.
    pub fn for_conversation(&self, conversation: &Conversation) -> Result<&ChatTemplate, ChatError> {
        if let [only] = self.0.as_slice() {
            return Ok(only);
        }
        let with_tools = conversation.tools.as_ref().and_then(|_| self.named(TOOL_USE).ok());
        with_tools.or_else(|| self.named(DEFAULT).ok()).ok_or_else(|| ChatError::NoDefault { names: self.names() })
    }
}

/// Names and sources of the templates of a folder.
fn sources(folder: &Path) -> Result<Vec<(String, String)>, ChatError> {
    let sources = template_files(folder)?;
    let path = folder.join("tokenizer_config.json");
    if !sources.is_empty() {
        return Ok(sources);
    }
    read_record(&path)?.map_or(Ok(sources), |config| config_templates(&config, &path))
}

/// The templates in files of their own.
fn template_files(folder: &Path) -> Result<Vec<(String, String)>, ChatError> {
    let mut files = vec![(DEFAULT.to_owned(), folder.join("chat_template.jinja"))];
    let additional = folder.join("additional_chat_templates");
    let read = |path: &Path, source: io::Error| ChatError::Read { path: path.into(), source };
    match fs::read_dir(&additional) {
        Ok(entries) => {
            let mut paths: Vec<PathBuf> = entries
                .map(|entry| entry.map(|entry| entry.path()))
                .collect::<Result<_, _>>()
                .map_err(|source| read(&additional, source))?;
            paths.sort();
            files.extend(paths.into_iter().filter_map(|path| {
                let name = path.file_name()?.to_str()?.strip_suffix(".jinja")?.to_owned();
                Some((name, path))
            }));
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(source) => return Err(read(&additional, source)),
    }
    let mut sources = Vec::new();
    for (name, path) in files {
        match fs::read_to_string(&path) {
            Ok(source) => sources.push((name, source)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(source) => return Err(read(&path, source)),
        }
    }
    Ok(sources)
}

/// The templates of `tokenizer_config.json`.
fn config_templates(config: &Record, path: &Path) -> Result<Vec<(String, String)>, ChatError> {
    let unexpected = |field: String, found: Option<&Data>, expected| ChatError::Field {
        path: path.into(),
        field,
        found: found.map_or("missing", Data::kind).into(),
        expected,
    };
    let items = match config.get("chat_template") {
        None | Some(Data::Null) => return Ok(Vec::new()),
        Some(Data::Text(source)) => return Ok(vec![(DEFAULT.into(), source.clone())]),
        Some(Data::List(items)) => items,
        other => return Err(unexpected("chat_template".into(), other, "a template, or an array of named ones")),
    };
    let mut sources = Vec::new();
    for (index, item) in items.iter().enumerate() {
        let Data::Record(item) = item else {
            return Err(unexpected(
                format!("chat_template[{index}]"),
                Some(item),
                "an object with `name` and `template`",
            ));
        };
        let text = |key: &str| match item.get(key) {
            Some(Data::Text(text)) => Ok(text.clone()),
            other => Err(unexpected(format!("chat_template[{index}].{key}"), other, "a string")),
        };
        sources.push((text("name")?, text("template")?));
    }
    Ok(sources)
}

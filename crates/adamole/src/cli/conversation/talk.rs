//! The state of a conversation, and its next answer.

use super::routing_view::RoutedToken;
use crate::cli::{Failure, chat_prompt::render_prompt, inputs::Base, sampling::warn_of_positions};
use adamole::{
    chat::{ChatTemplates, Conversation, Data, Record},
    generate::{Piece, StopStrings, TextGenerator},
    llama::{CachedText, Finish, Generation, Generator},
};
use burn::tensor::Device;

/// What answers.
pub(super) struct Answerer<'a> {
    pub(super) base: &'a Base,
    pub(super) device: &'a Device,
    pub(super) templates: &'a ChatTemplates,
    pub(super) options: Generation,
    pub(super) stop: StopStrings,
}

/// A conversation.
pub(super) struct Talk {
    /// The system message.
    pub(super) system: Option<String>,
    /// Roles and contents.
    turns: Vec<(&'static str, String)>,
    /// The text so far with its keys and values.
    cached: Option<CachedText>,
}

/// An answer of the model.
#[derive(Debug, Default)]
pub(super) struct Answer {
    pub(super) text: String,
    /// Its tokens with their routing, where it was asked for.
    pub(super) routed: Vec<RoutedToken>,
    /// Why it ended; `None` if it was stopped.
    pub(super) finish: Option<Finish>,
}

impl Talk {
    /// Begins with a system message, or without one.
    pub(super) fn new(system: Option<String>) -> Self {
        Self { system, turns: Vec::new(), cached: None }
    }

    /// Forgets all but the system message.
    pub(super) fn reset(&mut self) {
        self.turns.clear();
        self.cached = None;
    }

    /// The conversation with the system message.
    pub(super) fn conversation(&self) -> Conversation {
        let system = self.system.iter().map(|text| ("system", text.as_str()));
        Conversation::of_texts(system.chain(self.turns.iter().map(|(role, text)| (*role, text.as_str()))))
    }

    /// The conversation as a line of JSON, a row with `messages`.
    pub(super) fn row(&self) -> serde_json::Result<String> {
        let messages = self.conversation().messages().iter().cloned().map(Data::Record).collect();
        serde_json::to_string(&Data::Record(Record::from([("messages".to_owned(), Data::List(messages))])))
    }

    /// Answers a message, of which both join the conversation. Each piece of the answer is handed to `show`, which says whether
    /// to go on. Where the answer fails or is empty, the conversation stays as it was.
    ///
    /// # Errors
    /// The template refuses the conversation, the model fails, or `show` does.
    pub(super) fn answer(
        &mut self,
        answerer: &Answerer<'_>,
        message: String,
        show: impl FnMut(&Piece) -> Result<bool, Failure>,
    ) -> Result<Answer, Failure> {
        self.turns.push(("user", message));
        let answer = self.next_answer(answerer, show);
        match &answer {
            Ok(answer) if !answer.text.is_empty() => self.turns.push(("assistant", answer.text.clone())),
            _ => drop(self.turns.pop()),
        }
        answer
    }

    fn next_answer(
        &mut self,
        answerer: &Answerer<'_>,
        mut show: impl FnMut(&Piece) -> Result<bool, Failure>,
    ) -> Result<Answer, Failure> {
        let Answerer { base, device, templates, options, stop } = answerer;
        let prompt = base.encode_rendered(&render_prompt(templates, &self.conversation())?)?;
        warn_of_positions(base.model.config(), "the conversation has", prompt.len());
        let generator = match self.cached.take() {
            Some(cached) => Generator::after(cached, &base.model, &prompt, options, device)?,
            None => Generator::new(&base.model, &[prompt], options, device)?,
        };
        let mut pieces = TextGenerator::answering(generator, &base.tokenizer, stop);
        let mut answer = Answer::default();
        'answer: for step in pieces.by_ref() {
            for piece in step? {
                answer.text += &piece.text;
                answer.finish = piece.finish;
                let active = piece.token.routing.as_ref().and_then(|routing| routing.mean_active_experts());
                if let Some(active) = active.filter(|_| !piece.token.is_end) {
                    let name = base.tokenizer.names(&[piece.token.id]).concat();
                    answer.routed.push(RoutedToken { text: piece.token_text.clone(), name, active });
                }
                if !show(&piece)? {
                    break 'answer;
                }
            }
        }
        self.cached = pieces.into_generator().into_cached_text();
        Ok(answer)
    }
}

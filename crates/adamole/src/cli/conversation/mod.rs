//! `adamole chat`: a conversation on the terminal, or with the lines of stdin.

mod interrupt;
mod line;
mod routing_view;
mod talk;

use super::{
    Failure,
    chat::ChatTemplateFlag,
    headings::{PROMPT, RUN, SAMPLING},
    inputs::Base,
    sampling::SamplingFlags,
    weights::WeightFlags,
};
use crate::stdout;
use adamole::{device, llama::Finish};
use clap::Args;
use interrupt::Interrupt;
use line::{HELP, Line};
use routing_view::{RoutedLinears, view};
use std::{
    env,
    fs::File,
    io::{self, IsTerminal, Write},
    path::Path,
};
use talk::{Answer, Answerer, Talk};

/// What help ends with.
const EXAMPLES: &str = "\
Examples:
  adamole chat --model HuggingFaceTB/SmolLM2-135M-Instruct --adapter runs/chats
  adamole chat --model HuggingFaceTB/SmolLM2-135M-Instruct --temperature 0.7";

#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct ChatArguments {
    /// Base model: a Hugging Face folder, or org/name[@revision] on the hub
    #[arg(long, help_heading = RUN)]
    model: String,
    /// Adapter: a folder, a run directory, or org/name on the hub [the base alone]
    #[arg(long, value_name = "NAME", help_heading = RUN)]
    adapter: Option<String>,
    /// System message at the beginning
    #[arg(long, help_heading = PROMPT, value_name = "TEXT")]
    system: Option<String>,
    #[command(flatten)]
    template: ChatTemplateFlag,
    /// Largest number of tokens of an answer
    #[arg(long, value_name = "N", help_heading = SAMPLING, default_value_t = 512, value_parser = clap::value_parser!(u32).range(1..))]
    max_new_tokens: u32,
    #[command(flatten)]
    sampling: SamplingFlags,
    #[command(flatten)]
    weights: WeightFlags,
    /// Device: auto, cpu, cuda, vulkan or wgpu
    ///
    /// The last three may have an :INDEX.
    #[arg(long, help_heading = RUN, default_value = "auto")]
    device: String,
}

pub(crate) fn run(arguments: &ChatArguments) -> Result<(), Failure> {
    let (mut options, stop) = arguments.sampling.options(arguments.max_new_tokens as usize)?;
    let device = device::open(&arguments.device)?;
    // A base without a template is refused before its weights are read.
    let templates = arguments.template.open(arguments.adapter.as_deref(), Some(&arguments.model))?;
    let adapter = arguments.adapter.as_deref();
    let base = Base::load_with(&arguments.model, adapter, arguments.weights, &device)?;
    options.eos = base.answer_end_tokens(&templates)?;
    let mut session = Session {
        answerer: Answerer { base: &base, device: &device, templates: &templates, options, stop },
        talk: Talk::new(arguments.system.clone()),
        interrupt: Interrupt::follow().map_err(Failure::Signals)?,
        asks: io::stdin().is_terminal(),
    };
    match session.run() {
        Err(Failure::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => result,
    }
}

struct Session<'a> {
    answerer: Answerer<'a>,
    talk: Talk,
    interrupt: Interrupt,
    /// Whether a person is asked: what is wrong with a line is said, and the next line is asked for. Otherwise it ends the program.
    asks: bool,
}

impl Session<'_> {
    fn run(&mut self) -> Result<(), Failure> {
        if self.asks {
            say!("/help lists the commands, /quit ends");
        }
        loop {
            if self.asks {
                put("> ")?;
            }
            let mut line = String::new();
            match io::stdin().read_line(&mut line) {
                Ok(0) => break,
                Ok(_) => {}
                Err(error) => return Err(Failure::Usage(format!("stdin cannot be read: {error}"))),
            }
            match self.obey(&line) {
                Ok(true) => {}
                Ok(false) => return Ok(()),
                Err(failure @ Failure::Output(_)) => return Err(failure),
                Err(failure) if self.asks => say!("{failure}"),
                Err(failure) => return Err(failure),
            }
        }
        if self.asks { put("\n") } else { Ok(()) }
    }

    /// Does what a line says. False at the end of the conversation.
    fn obey(&mut self, line: &str) -> Result<bool, Failure> {
        match Line::parse(line).map_err(Failure::Usage)? {
            Line::Empty => {}
            Line::Message(message) => self.answer(message)?,
            Line::Reset => {
                self.talk.reset();
                say!("the conversation begins anew");
            }
            Line::System(text) => {
                say!("{}", if text.is_some() { "the system message is set" } else { "there is no system message" });
                self.talk.system = text;
            }
            Line::Routing => self.toggle_routing(),
            Line::Save(path) => {
                self.save(&path)?;
                say!("the conversation is a line of {}", path.display());
            }
            Line::Help => say!("{HELP}"),
            Line::Quit => return Ok(false),
        }
        Ok(true)
    }

    fn answer(&mut self, message: String) -> Result<(), Failure> {
        self.interrupt.arm();
        let interrupt = &self.interrupt;
        let answer = self.talk.answer(&self.answerer, message, |piece| {
            put(&piece.text)?;
            Ok(!interrupt.stops())
        });
        self.interrupt.disarm();
        let Answer { routed, finish, .. } = answer?;
        put("\n")?;
        match finish {
            Some(Finish::Length) => {
                say!("(cut after {} tokens: --max-new-tokens)", self.answerer.options.max_new_tokens)
            }
            None => say!("(stopped)"),
            Some(Finish::Stop) => {}
        }
        if let Some(linears) = RoutedLinears::of(&self.answerer.base.model).filter(|_| self.answerer.options.routing) {
            put(&format!("{}\n", view(&routed, linears, has_colours())))?;
        }
        Ok(())
    }

    fn toggle_routing(&mut self) {
        let routing = &mut self.answerer.options.routing;
        if RoutedLinears::of(&self.answerer.base.model).is_none() {
            say!("nothing is routed: the model has no mixture of experts");
            return;
        }
        *routing = !*routing;
        say!("the routing of answers is {}", if *routing { "shown" } else { "no longer shown" });
    }

    /// Appends the conversation to a file.
    fn save(&self, path: &Path) -> Result<(), Failure> {
        let row = self.talk.row().map_err(io::Error::from);
        let written = row.and_then(|row| {
            let mut file = File::options().append(true).create(true).open(path)?;
            writeln!(file, "{row}")
        });
        written.map_err(|error| Failure::Usage(format!("/save {}: {error}", path.display())))
    }
}

/// Writes to stdout at once.
fn put(text: &str) -> Result<(), Failure> {
    let written = stdout::open().and_then(|mut out| out.write_all(text.as_bytes()).and_then(|()| out.flush()));
    written.map_err(Failure::Output)
}

/// Whether answers may be coloured: on a terminal, unless `NO_COLOR` is set (no-color.org).
fn has_colours() -> bool {
    io::stdout().is_terminal() && env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

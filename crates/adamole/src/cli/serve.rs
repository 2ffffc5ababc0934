//! `adamole serve`: a base and its adapters over HTTP.

use super::{
    Failure,
    chat::{ChatTemplateFlag, templates},
    fetching::tokenizer_folder,
    headings,
    inputs::{Base, adapt},
    weights::WeightFlags,
};
use adamole::{
    chat::{ChatError, ChatTemplates},
    core::{AdapterConfig, MethodSettings},
    device,
    llama::{BlockCache, CausalLm},
    serve::{Access, Limits, Models, RoutedAdapter, Served, serve},
};
use clap::Args;
use std::{
    net::{IpAddr, TcpListener},
    path::Path,
    sync::Arc,
    time::Duration,
};
use tokio::signal::unix::{SignalKind, signal};

/// What help ends with.
const EXAMPLES: &str = "\
Examples:
  adamole serve --model HuggingFaceTB/SmolLM2-135M-Instruct --adapter chats=runs/chats
  adamole serve --model HuggingFaceTB/SmolLM2-135M-Instruct --host 0.0.0.0 --port 80 --api-key KEY";

#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct ServeArguments {
    /// Base model: a Hugging Face folder, or org/name[@revision] on the hub
    #[arg(long, help_heading = headings::RUN)]
    model: String,
    /// Adapter, by the name that requests choose it by; may be given several times
    ///
    /// It is a folder, a run directory, or org/name[@revision] on the hub.
    #[arg(long, help_heading = headings::RUN, value_name = "NAME=DIR", value_parser = named)]
    adapter: Vec<(String, String)>,
    /// Name of the base alone; without it, the last part of --model
    #[arg(long, help_heading = headings::RUN)]
    name: Option<String>,
    #[command(flatten)]
    template: ChatTemplateFlag,
    /// Address to listen at; any other than a loopback one lets other machines ask
    #[arg(long, help_heading = headings::NETWORK, default_value = "127.0.0.1")]
    host: IpAddr,
    /// Port to listen at; 0 for any that is free
    #[arg(long, help_heading = headings::NETWORK, default_value_t = 8000)]
    port: u16,
    /// Key that requests have to give, as Authorization: Bearer KEY; also by the variable ADAMOLE_API_KEY
    #[arg(long, help_heading = headings::NETWORK, value_name = "KEY")]
    api_key: Option<String>,
    /// Origin of web pages that may ask, beside the server's own page
    #[arg(long, help_heading = headings::NETWORK, value_name = "ORIGIN")]
    allow_origin: Option<String>,
    /// Most texts that are read and continued at once
    #[arg(long, value_name = "N", help_heading = headings::LIMITS, default_value_t = 32, value_parser = clap::value_parser!(u32).range(1..=1024))]
    max_active: u32,
    /// Most texts that wait beside them; further requests get status 503
    #[arg(long, value_name = "N", help_heading = headings::LIMITS, default_value_t = 128, value_parser = clap::value_parser!(u32).range(0..=100_000))]
    max_waiting: u32,
    /// Most prompt tokens that one pass reads
    #[arg(long, value_name = "N", help_heading = headings::LIMITS, default_value_t = 512, value_parser = clap::value_parser!(u32).range(1..))]
    step_tokens: u32,
    /// Memory for keys and values, in MiB
    #[arg(long, value_name = "MIB", help_heading = headings::LIMITS, default_value_t = 1024, value_parser = clap::value_parser!(u32).range(1..))]
    cache_memory: u32,
    /// Longest text, prompt and new tokens together; without it, the positions that the model was trained for
    #[arg(long, help_heading = headings::LIMITS, value_name = "TOKENS", value_parser = clap::value_parser!(u32).range(1..))]
    max_tokens: Option<u32>,
    /// Seconds that a request may take
    #[arg(long, value_name = "SECONDS", help_heading = headings::LIMITS, default_value_t = 600, value_parser = clap::value_parser!(u32).range(1..))]
    timeout: u32,
    /// Largest body of a request, in bytes
    #[arg(long, help_heading = headings::LIMITS, default_value_t = 4 << 20, value_name = "BYTES")]
    max_body: usize,
    /// Seconds that answers have to end after SIGTERM or Ctrl-C
    #[arg(long, value_name = "SECONDS", help_heading = headings::LIMITS, default_value_t = 30)]
    grace: u32,
    #[command(flatten)]
    weights: WeightFlags,
    /// Device: auto, cpu, cuda, vulkan or wgpu
    ///
    /// The last three may have an :INDEX.
    #[arg(long, help_heading = headings::RUN, default_value = "auto")]
    device: String,
}

/// A name and what it is the name of.
fn named(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, place)) if !name.is_empty() && !place.is_empty() => Ok((name.into(), place.into())),
        _ => Err("expected NAME=DIR".into()),
    }
}

pub(crate) fn run(arguments: &ServeArguments) -> Result<(), Failure> {
    let of_environment = || std::env::var("ADAMOLE_API_KEY").ok();
    let api_key = arguments.api_key.clone().or_else(of_environment).filter(|key| !key.is_empty());
    let is_local = arguments.host.is_loopback();
    // Before the weights are read: a port that is taken costs no time.
    let listener = TcpListener::bind((arguments.host, arguments.port)).map_err(|error| {
        Failure::Usage(format!(
            "cannot listen at {}:{}: {error}; choose another --port",
            arguments.host, arguments.port
        ))
    })?;
    let address = listener.local_addr().map_err(Failure::Output)?;
    let models = load(arguments)?;
    let limits = limits(arguments, &models.base);
    if !is_local && api_key.is_none() {
        say!("warning: every machine that reaches {address} can use the models; --api-key asks for a key");
    }
    let access = Access { api_key, origin: arguments.allow_origin.clone(), local_only: is_local };
    say!("serving {}", models.served.iter().map(|served| served.name.as_str()).collect::<Vec<_>>().join(", "));
    say!("listening at http://{address}");
    let grace = Duration::from_secs(arguments.grace.into());
    Ok(serve(models, limits, access, listener, grace, stopped())?)
}

/// Waits for SIGTERM or Ctrl-C; a second one ends the program at once.
async fn stopped() {
    let (Ok(mut terminate), Ok(mut interrupt)) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        say!("warning: signals cannot be caught: SIGTERM ends the server at once");
        return std::future::pending().await;
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    say!("stopping: no new requests");
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => std::process::exit(143),
            _ = interrupt.recv() => std::process::exit(130),
        }
    });
}

fn load(arguments: &ServeArguments) -> Result<Models, Failure> {
    let base_name = arguments.name.clone().unwrap_or_else(|| last_part(&arguments.model));
    let mut names = vec![base_name.as_str()];
    for (name, _) in &arguments.adapter {
        if names.contains(&name.as_str()) {
            return Err(Failure::Usage(format!("two models are named {name:?}; give --name or another NAME=DIR")));
        }
        names.push(name);
    }
    let device = device::open(&arguments.device)?;
    let base = Base::load(&arguments.model, arguments.weights, &device)?;
    let mut served = vec![served(&base, base_name.clone(), None, arguments)?];
    for (name, place) in &arguments.adapter {
        let mut model = base.model.clone();
        adapt(&mut model, place)?;
        served.push(self::served(&base, name.clone(), Some((&model, place)), arguments)?);
    }
    Ok(Models { base: base.model, tokenizer: base.tokenizer, served })
}

/// The last part of a path, or of a name on the hub without its revision.
fn last_part(model: &str) -> String {
    let path = Path::new(model).canonicalize().ok();
    let name = path.as_deref().and_then(Path::file_name).map(|name| name.to_string_lossy().into_owned());
    name.unwrap_or_else(|| model.split('@').next().unwrap_or(model).to_owned())
}

fn served(
    base: &Base,
    name: String,
    adapted: Option<(&CausalLm, &str)>,
    arguments: &ServeArguments,
) -> Result<Served, Failure> {
    let adapter = adapted.map(|(_, place)| place);
    let templates = templates_of(arguments, adapter)?;
    let answer_end_tokens = match &templates {
        Some(templates) => base.answer_end_tokens(templates)?,
        None => Vec::new(),
    };
    Ok(Served {
        name,
        adapters: adapted.map(|(model, _)| Arc::new(model.adapter_set())),
        routed: adapted.and_then(|(model, _)| routed(model)),
        templates,
        end_tokens: base.end_tokens()?,
        answer_end_tokens,
    })
}

/// The chat templates of the flag, of an adapter or of the base; `None` if there is none.
fn templates_of(arguments: &ServeArguments, adapter: Option<&str>) -> Result<Option<ChatTemplates>, Failure> {
    let folder = tokenizer_folder(&arguments.model)?;
    match templates(arguments.template.name(), adapter, Some(&folder)) {
        Ok(templates) => Ok(Some(templates)),
        Err(Failure::Chat(ChatError::NoTemplate { .. })) => Ok(None),
        Err(failure) => Err(failure),
    }
}

fn routed(model: &CausalLm) -> Option<RoutedAdapter> {
    let routed = model.routed();
    let (_, first, _) = routed.first()?;
    let method = &first.config().method;
    // FlyLoRA's experts are its ranks.
    let has_experts = method.kind().setting(MethodSettings::NUM_EXPERTS.name).is_some();
    let experts_of = |config: &AdapterConfig| if has_experts { config.num_experts() } else { config.rank.get() };
    Some(RoutedAdapter {
        method: method.kind().name.to_owned(),
        experts: routed.iter().map(|(_, adapter, _)| experts_of(adapter.config())).max()?,
        thresholds: method.gate_parameters().contains(&"threshold.weight"),
        linears: routed.iter().map(|(name, ..)| name.clone()).collect(),
    })
}

fn limits(arguments: &ServeArguments, model: &CausalLm) -> Limits {
    let config = model.config();
    let blocks = ((arguments.cache_memory as usize) << 20) / BlockCache::bytes_of_block(config);
    let positions = blocks.max(1) * BlockCache::BLOCK;
    let text_tokens = arguments.max_tokens.map_or(config.max_position_embeddings, |tokens| tokens as usize);
    if positions < text_tokens {
        say!(
            "warning: the cache has room for {positions} positions, fewer than a text may have; --cache-memory gives more"
        );
    }
    Limits {
        active: arguments.max_active as usize,
        waiting: arguments.max_waiting as usize,
        step_tokens: arguments.step_tokens as usize,
        positions,
        text_tokens,
        time: Duration::from_secs(arguments.timeout.into()),
        body: arguments.max_body,
    }
}

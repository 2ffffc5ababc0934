//! Which tokens need many experts: a text on the terminal, with a bar of the active experts under each token.
//!
//! `cargo run --release --example token_picture [-- ADAPTER_FOLDER]` in `crates/adamole`; without a folder it shows a gate
//! before training. `adamole inspect --html` makes a page of the same.

use adamole::{
    core::{AdaMole, AdapterConfig, ForwardContext, LayerRouting, RoutingDetail},
    data::Tokenizer,
    llama::{AdapterLayout, Targets, TokenBatch, load_adapter, load_base},
};
use burn::tensor::{Device, Tensor, TensorData};
use std::{error::Error, path::Path};

const TEXT: &str = "Leo ran a long race. What happened as a result? Leo was out of breath.";
/// From no active expert to all of them.
const BARS: [char; 9] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

fn main() -> Result<(), Box<dyn Error>> {
    let base = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../datasets/base");
    let device = Device::default();
    let mut model = load_base(&base, &device)?;
    match std::env::args().nth(1).filter(|folder| Path::new(folder).is_dir()) {
        Some(folder) => drop(load_adapter(&mut model, Path::new(&folder))?),
        None => {
            let config = AdapterConfig::new(AdaMole { num_experts: 8.try_into()?, tau_max: None }, 4, 16.0, 0.0)?;
            model.adapt(&AdapterLayout::uniform(config, &Targets::attention(), model.config())?, 0);
        }
    }

    let tokenizer = Tokenizer::from_folder(&base)?;
    let ids = tokenizer.encode_text(TEXT)?;
    let numbers = TensorData::new(ids.iter().map(|id| i64::from(*id)).collect::<Vec<_>>(), [1, ids.len()]);

    // The context goes through the model with the tokens, and comes out with the routing of each adapted linear.
    let mut context = ForwardContext::evaluation().recording(RoutingDetail::Distributions);
    model.hidden(&TokenBatch::causal(Tensor::from_data(numbers, &device)), &mut context);
    let layers = context.into_layers();
    let experts = layers.first().map_or(1, |layer| layer.active_tokens.dims()[1]);
    let shares = shares(layers, experts);
    assert_eq!(shares.len(), ids.len());

    let (mut text, mut bars) = (String::new(), String::new());
    for (id, share) in ids.iter().zip(&shares) {
        let token = tokenizer.decode_with_special_tokens(&[*id])?;
        let token = token.trim().to_owned() + " ";
        let bar = BARS[(share * (BARS.len() - 1) as f32).round() as usize];
        bars += &token.chars().map(|letter| if letter == ' ' { ' ' } else { bar }).collect::<String>();
        text += &token;
    }
    let mean = shares.iter().sum::<f32>() / shares.len() as f32 * experts as f32;
    eprintln!("{text}\n{bars}\n{mean:.2} of {experts} experts are active for a token, on average over all linears");
    Ok(())
}

/// The share of the experts that each token activates, the mean over the linears.
fn shares(layers: Vec<LayerRouting>, experts: usize) -> Vec<f32> {
    let columns: Vec<Tensor<2>> = layers.into_iter().filter_map(|layer| layer.active_experts).collect();
    let mean = Tensor::cat(columns, 1).mean_dim(1) / experts as f32; // [tokens, linears] to [tokens, 1]
    mean.into_data().iter::<f32>().collect()
}

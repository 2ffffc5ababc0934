//! Generation step by step: the routing of new tokens, texts whose keys and values are kept, rows and their draws.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use adamole::{
    core::{ForwardContext, RoutingDetail},
    llama::{
        CausalLm, Finish, Generation, Generator, NewToken, Sampling, SamplingSettings, TokenBatch, generate,
        load_adapter, load_base,
    },
};
use adamole_tests::{Case, device, values};
use burn::tensor::{Int, Tensor, TensorData};

fn model(name: &str) -> CausalLm {
    let case = Case::open(name);
    let mut model = load_base(&case.folder.join(case.json["base"].as_str().unwrap()), &device()).unwrap();
    load_adapter(&mut model, &case.folder).unwrap();
    model
}

fn drawn(seed: u64) -> Sampling {
    Sampling::new(SamplingSettings { temperature: Some(1.5), seed, ..SamplingSettings::default() }).unwrap()
}

#[test]
fn the_routing_of_a_new_token_is_that_of_its_place_in_the_text() {
    let device = device();
    for (name, routed) in [("llama_gqa__ada_1", true), ("gemma__mole_top2", true), ("llama_gqa__lora", false)] {
        let model = model(name);
        let prompts = [vec![5, 9, 70, 3], vec![11]];
        for cached in [true, false] {
            let options = Generation { routing: true, cached, ..Generation::greedy(6, Vec::new()) };
            let generator = Generator::new(&model, &prompts, &options, &device).unwrap();
            let new: Vec<NewToken> = generator.flat_map(Result::unwrap).collect();
            let plain = generate(&model, &prompts, &Generation::greedy(6, Vec::new()), &device).unwrap();
            for (row, prompt) in prompts.iter().enumerate() {
                let of_row: Vec<&NewToken> = new.iter().filter(|token| token.row == row).collect();
                assert_eq!(of_row.iter().map(|token| token.id).collect::<Vec<_>>(), plain[row], "{name}");
                let text: Vec<i32> = prompt.iter().chain(&plain[row]).map(|&id| id as i32).collect();
                let length = text.len();
                let ids = Tensor::<2, Int>::from_data(TensorData::new(text, [1, length]), &device);
                let mut context = ForwardContext::evaluation().recording(RoutingDetail::Distributions);
                model.hidden(&TokenBatch::causal(ids), &mut context);
                let layers: Vec<Vec<f32>> = context
                    .into_layers()
                    .into_iter()
                    .map(|layer| values(layer.active_experts.unwrap().into_data()))
                    .collect();
                assert_eq!(layers.len(), model.routed().len());
                for (place, token) in (prompt.len()..).zip(of_row) {
                    let routing = token.routing.as_ref().unwrap();
                    let expected: Vec<u32> = layers.iter().map(|layer| layer[place] as u32).collect();
                    assert_eq!((routing.token, &routing.active), (token.id, &expected), "{name}, place {place}");
                    assert_eq!(routing.mean_active_experts().is_some(), routed);
                }
            }
        }
    }
}

#[test]
fn a_cached_text_is_continued_as_a_new_one() {
    let device = device();
    for name in ["llama_gqa__ada_1", "llama2_mha__lora"] {
        let model = model(name);
        let options = Generation::greedy(8, Vec::new());
        let first = vec![5, 9, 70, 3, 22];
        let run = |mut generator: Generator<'_>| {
            let tokens: Vec<u32> = generator.by_ref().flat_map(Result::unwrap).map(|token| token.id).collect();
            (tokens, generator.into_cached_text().unwrap())
        };
        let (answer, cached) = run(Generator::new(&model, std::slice::from_ref(&first), &options, &device).unwrap());
        let whole = [&first[..], &answer, &[31, 8]].concat();
        // The whole text goes on, an earlier place of it does, another text begins, the same prompt is asked again.
        for prompt in [whole, vec![5, 9, 70, 40, 41, 42], vec![60, 61], first] {
            let (again, _) = run(Generator::after(cached.clone(), &model, &prompt, &options, &device).unwrap());
            assert_eq!(again, generate(&model, std::slice::from_ref(&prompt), &options, &device).unwrap()[0], "{name}");
        }
    }
}

#[test]
fn a_row_keeps_its_draws_by_its_number() {
    let (device, model) = (device(), model("llama_gqa__ada_1"));
    let prompts = [vec![5, 9, 70], vec![11], vec![1, 2, 3, 4]];
    let options = Generation { sampling: drawn(3), ..Generation::greedy(10, vec![2]) };
    let together = generate(&model, &prompts, &options, &device).unwrap();
    let alone = Generator::new(&model, &prompts[2..], &options, &device).unwrap().with_numbers([2]);
    assert_eq!(alone.flat_map(Result::unwrap).map(|token| token.id).collect::<Vec<_>>(), together[2]);
}

#[test]
fn rows_end_for_a_reason_or_are_stopped() {
    let (device, model) = (device(), model("llama_gqa__ada_1"));
    let prompts = [vec![5, 9, 70], vec![11]];
    let free = generate(&model, &prompts, &Generation::greedy(6, Vec::new()), &device).unwrap();
    // What the first row has third and not before is made the end.
    let end = free[0][2];
    assert!(!free[0][..2].contains(&end));
    let mut generator = Generator::new(&model, &prompts, &Generation::greedy(6, vec![end]), &device).unwrap();
    let mut ends = Vec::new();
    while let Some(step) = generator.next() {
        for token in step.unwrap() {
            if let Some(finish) = token.finish {
                ends.push((token.row, finish, token.is_end));
            }
        }
        if generator.text(1).len() == 1 + 4 {
            generator.stop(1);
        }
    }
    assert_eq!(ends, [(0, Finish::Stop, true)]);
    assert_eq!(generator.text(0), [&prompts[0][..], &free[0][..3]].concat());
    let last = Generator::new(&model, &prompts, &Generation::greedy(2, Vec::new()), &device).unwrap();
    let last: Vec<_> = last.flat_map(Result::unwrap).map(|token| token.finish).collect();
    assert_eq!(last, [None, None, Some(Finish::Length), Some(Finish::Length)]);
}

#[test]
fn a_penalty_keeps_tokens_from_being_repeated() {
    let (device, model) = (device(), model("llama_gqa__ada_1"));
    let settings = SamplingSettings { repetition_penalty: 1e6, ..SamplingSettings::default() };
    let options = Generation { sampling: Sampling::new(settings).unwrap(), ..Generation::greedy(12, Vec::new()) };
    // Padding is no part of a text: the short row may have token 0.
    let prompts = [vec![5, 9, 70, 3], vec![11]];
    for (prompt, new) in prompts.iter().zip(generate(&model, &prompts, &options, &device).unwrap()) {
        let mut text = [&prompt[..], &new].concat();
        text.sort_unstable();
        text.dedup();
        assert_eq!(text.len(), prompt.len() + 12);
    }
    let alone = generate(&model, &prompts[1..], &options, &device).unwrap();
    assert_eq!(alone[0], generate(&model, &prompts, &options, &device).unwrap()[1]);
}

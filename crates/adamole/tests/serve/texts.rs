//! The texts and scores of a server are those of the library.

use super::scene::{MODELS, Server, models};
use adamole::{
    core::ForwardContext,
    data::Tokenizer,
    llama::{CausalLm, Generation, TokenBatch, generate},
};
use burn::tensor::{Int, Tensor, TensorData, activation::log_softmax};
use serde_json::{Value, json};
use std::thread;

/// Prompts of different lengths.
const PROMPTS: [&str; 4] = [
    "The",
    "Question: Is it true that every word of this text is read?\nAnswer:",
    "A. yes B. no",
    "Once there was a short story about a long road, and it went on and on until the end of the page was near. It was not.",
];

fn tokenizer() -> Tokenizer {
    Tokenizer::from_folder(&super::scene::base()).unwrap()
}

fn greedy(model: usize, prompt: &str, new: usize) -> Value {
    json!({"model": MODELS[model], "prompt": prompt, "max_tokens": new, "temperature": 0})
}

/// What the library generates.
fn expected(model: &CausalLm, prompt: &str, new: usize) -> String {
    let tokenizer = tokenizer();
    let prompt = tokenizer.encode_text(prompt).unwrap();
    let eos = tokenizer.eos().into_iter().collect();
    let tokens =
        generate(model, std::slice::from_ref(&prompt), &Generation::greedy(new, eos), &adamole_tests::cpu()).unwrap();
    let tokens: Vec<u32> = tokens[0].iter().copied().filter(|id| Some(*id) != tokenizer.eos()).collect();
    let (before, after) = (tokenizer.decode(&prompt).unwrap(), tokenizer.decode(&[prompt, tokens].concat()).unwrap());
    after.strip_prefix(&before).unwrap().to_owned()
}

#[test]
fn requests_of_several_models_at_once_get_what_each_gets_alone() {
    // A cache that is too small for all of them: some are read anew.
    for cache in [&[][..], &["--cache-memory", "1", "--step-tokens", "7", "--max-active", "5"]] {
        let server = Server::start(cache);
        let models = models();
        thread::scope(|scope| {
            for (model, loaded) in models.iter().enumerate() {
                for prompt in PROMPTS {
                    let server = &server;
                    scope.spawn(move || {
                        let answer = server.post("/v1/completions", &greedy(model, prompt, 24));
                        assert_eq!(answer.status, 200, "{}", answer.body);
                        let body = answer.json();
                        let text = body["choices"][0]["text"].as_str().unwrap();
                        assert_eq!(text, expected(loaded, prompt, 24), "{} on {prompt:?}", MODELS[model]);
                        assert_eq!(body["model"], MODELS[model]);
                    });
                }
            }
        });
        let steps = server.metric("adamole_steps_total");
        assert!(steps < 12.0 * 24.0, "requests shared no step: {steps}");
    }
}

#[test]
fn scores_of_a_prompt_are_its_log_probabilities() {
    let server = Server::start(&[]);
    let tokenizer = tokenizer();
    for (index, model) in models().iter().enumerate() {
        let ids: Vec<Vec<u32>> = PROMPTS.iter().map(|prompt| tokenizer.encode_text(prompt).unwrap()).collect();
        let body = json!({
            "model": MODELS[index], "prompt": ids, "max_tokens": 1, "temperature": 0, "echo": true, "logprobs": 2,
        });
        let answer = server.post("/v1/completions", &body);
        assert_eq!(answer.status, 200, "{}", answer.body);
        let body = answer.json();
        for (ids, choice) in ids.iter().zip(body["choices"].as_array().unwrap()) {
            let tokens = ids.iter().map(|id| *id as i32).collect::<Vec<_>>();
            let tokens = Tensor::<2, Int>::from_data(TensorData::new(tokens, [1, ids.len()]), &adamole_tests::cpu());
            let hidden = model.hidden(&TokenBatch::causal(tokens), &mut ForwardContext::evaluation());
            let scores = log_softmax(model.logits(hidden), 1);
            let scores: Vec<f32> = scores.into_data().try_to_vec().unwrap();
            let logprobs = &choice["logprobs"];
            assert_eq!(logprobs["tokens"].as_array().unwrap().len(), ids.len() + 1);
            assert!(logprobs["token_logprobs"][0].is_null() && logprobs["top_logprobs"][0].is_null());
            let vocabulary = scores.len() / ids.len();
            for (place, id) in ids.iter().enumerate().skip(1) {
                let row = &scores[(place - 1) * vocabulary..place * vocabulary];
                let found = logprobs["token_logprobs"][place].as_f64().unwrap() as f32;
                assert!((found - row[*id as usize]).abs() < 2e-4, "{found} is not {}", row[*id as usize]);
                let top = logprobs["top_logprobs"][place].as_object().unwrap().values();
                let best = top.map(|value| value.as_f64().unwrap() as f32).fold(f32::MIN, f32::max);
                let largest = row.iter().copied().fold(f32::MIN, f32::max);
                assert!((best - largest).abs() < 2e-4, "{best} is not {largest}");
            }
            let text = choice["text"].as_str().unwrap();
            let (tokens, offsets) =
                (logprobs["tokens"].as_array().unwrap(), logprobs["text_offset"].as_array().unwrap());
            assert!(offsets.iter().map(|offset| offset.as_u64().unwrap()).is_sorted());
            let last: String = text.chars().skip(offsets.last().unwrap().as_u64().unwrap() as usize).collect();
            assert!(tokens.last().unwrap().as_str().unwrap() == last || last.is_empty());
        }
    }
}

/// Asserts that values are equal, and numbers up to rounding.
#[track_caller]
fn assert_same(what: &str, found: &Value, expected: &Value) {
    match (found, expected) {
        (Value::Number(found), Value::Number(expected)) => {
            let (found, expected) = (found.as_f64().unwrap(), expected.as_f64().unwrap());
            assert!((found - expected).abs() <= 1e-4, "{what}: {found} is not {expected}");
        }
        (Value::Array(found), Value::Array(expected)) => {
            assert_eq!(found.len(), expected.len(), "{what}");
            found.iter().zip(expected).for_each(|(found, expected)| assert_same(what, found, expected));
        }
        (Value::Object(found), Value::Object(expected)) => {
            assert_eq!(found.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>(), "{what}");
            found.iter().for_each(|(key, value)| assert_same(key, value, &expected[key]));
        }
        _ => assert_eq!(found, expected, "{what}"),
    }
}

#[test]
fn a_stream_makes_up_the_whole_answer() {
    let server = Server::start(&["--template", "chatml", "--max-tokens", "512"]);
    let messages = json!([{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Is it so?"}]);
    let body = |stream: bool| {
        json!({
            "model": "mixture", "messages": messages, "max_tokens": 20, "temperature": 0.8, "top_p": 0.9, "seed": 5,
            "routing": true, "logprobs": true, "top_logprobs": 2, "stream": stream,
            "stream_options": {"include_usage": true},
        })
    };
    let whole = server.post("/v1/chat/completions", &body(false));
    assert_eq!(whole.status, 200, "{}", whole.body);
    let whole = whole.json();
    let choice = &whole["choices"][0];
    let streamed = server.post("/v1/chat/completions", &body(true));
    assert_eq!(streamed.header("content-type"), Some("text/event-stream"));
    let events = streamed.events();
    assert_eq!(events.last().unwrap(), "[DONE]");
    let chunks: Vec<Value> =
        events[..events.len() - 1].iter().map(|event| serde_json::from_str(event).unwrap()).collect();
    let texts: String = chunks.iter().filter_map(|chunk| chunk["choices"][0]["delta"]["content"].as_str()).collect();
    assert_eq!(texts, choice["message"]["content"].as_str().unwrap());
    let list = |of: &dyn Fn(&Value) -> Value| {
        chunks
            .iter()
            .flat_map(|chunk| of(&chunk["choices"][0]).as_array().cloned().unwrap_or_default())
            .collect::<Vec<_>>()
    };
    // The second answer found the prompt in the cache: sums were made in another order.
    let same = |what: &str, found: Vec<Value>, expected: &Value| {
        assert_eq!(found.len(), expected.as_array().unwrap().len(), "{what}");
        found.iter().zip(expected.as_array().unwrap()).for_each(|(found, expected)| assert_same(what, found, expected));
    };
    same("routing", list(&|choice| choice["routing"].clone()), &choice["routing"]);
    same("scores", list(&|choice| choice["logprobs"]["content"].clone()), &choice["logprobs"]["content"]);
    let usage = &chunks.last().unwrap()["usage"];
    assert_eq!(usage["completion_tokens"], whole["usage"]["completion_tokens"]);
    assert_eq!(usage["total_tokens"], whole["usage"]["total_tokens"]);
    let routing = choice["routing"].as_array().unwrap();
    let linears = server.get("/v1/models/mixture").json()["adamole"]["linears"].as_array().unwrap().len();
    assert!(!routing.is_empty());
    for token in routing {
        assert_eq!(token["active"].as_array().unwrap().len(), linears);
        assert!(token["active"].as_array().unwrap().iter().all(|count| (1..=4).contains(&count.as_u64().unwrap())));
        let thresholds = token["thresholds"].as_array().unwrap();
        assert!(thresholds.iter().all(|it| (0.0..=0.25).contains(&it.as_f64().unwrap())), "{thresholds:?}");
    }
    // The next turn has the first one's tokens in the cache.
    let mut turns = messages.as_array().unwrap().clone();
    let filler = "It is as it is, and so on. ".repeat(4);
    turns.push(json!({"role": "assistant", "content": filler}));
    turns.push(json!({"role": "user", "content": "And then?"}));
    let turn = || server.post("/v1/chat/completions", &json!({"model": "mixture", "messages": turns, "max_tokens": 2}));
    turn();
    assert!(turn().json()["usage"]["prompt_tokens_details"]["cached_tokens"].as_u64().unwrap() >= 32);
}

#[test]
fn seeds_and_stop_strings_hold() {
    let server = Server::start(&[]);
    let ask = |more: Value| {
        let mut body = json!({"model": "plain", "prompt": "The", "max_tokens": 24, "temperature": 1.2});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let answer = server.post("/v1/completions", &body);
        assert_eq!(answer.status, 200, "{}", answer.body);
        answer.json()["choices"][0].clone()
    };
    let first = ask(json!({"seed": 3}));
    assert_eq!(first["text"], ask(json!({"seed": 3}))["text"]);
    assert_ne!(first["text"], ask(json!({"seed": 4}))["text"]);
    let text = first["text"].as_str().unwrap();
    let (start, _) = text.char_indices().nth(text.chars().count() / 2).unwrap();
    let stop: String = text[start..].chars().take(2).collect();
    let stopped = ask(json!({"seed": 3, "stop": [stop]}));
    assert_eq!(stopped["text"].as_str().unwrap(), text.split(&stop).next().unwrap());
    assert_eq!(stopped["finish_reason"], "stop");
    let several = server.post("/v1/completions", &json!({"model": "base", "prompt": ["The", "A"], "max_tokens": 3}));
    let several = several.json();
    assert_eq!(several["choices"].as_array().unwrap().len(), 2);
    assert_eq!(several["choices"][1]["index"], 1);
    assert_eq!(several["usage"]["completion_tokens"], 6);
}

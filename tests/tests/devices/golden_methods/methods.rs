//! Each method with the settings of a case.

use super::compare::{Largest, close, equals};
use super::sites::{Sites, frozen, rows_of};
use adamole::core::{
    AdaptedLinear, Adapter, AdapterConfig, CoMol, DynMole, FlyLora, ForwardContext, Goat, HydraLora, LdMole, Method,
    ReMole, RoutingDetail, Rows,
    router::{Feedback, JointLoss, Router, RouterInput, Routing},
};
use adamole_tests::{Case, device, values};
use burn::tensor::{Tensor, activation::softmax};

/// Compares everything that is recorded of a case.
pub(super) fn check(case: &Case) {
    eprintln!("{}", case.folder.display());
    match case.json["method"].as_str() {
        Some("hydralora") => hydralora(case),
        Some("ldmole") => ldmole(case),
        Some("dynmole") => dynmole(case),
        Some("remole") if case.json["kind"] == "remole_coefficient" => remole_coefficient(case),
        Some("remole") => remole(case),
        Some("comol") => comol(case),
        Some("flylora") => flylora(case),
        Some("goat") => goat(case),
        Some("mixlora") => super::blocks::mixlora(case),
        other => panic!("the method {other:?} is not implemented"),
    }
}

pub(super) fn integer(case: &Case, name: &str) -> usize {
    case.number(name) as usize
}

pub(super) fn config(case: &Case, method: impl Method + 'static) -> AdapterConfig {
    let config = AdapterConfig::new(method, integer(case, "/rank"), case.number("/alpha") as f32, 0.0).unwrap();
    assert_eq!(config.scale(), case.number("/scaling") as f32);
    config
}

/// The coefficients of a method with two auxiliary losses. The second is what both are multiplied by, so that it is not 0
/// here: where it is in the case, it is too small for any comparison.
fn coefficients(case: &Case, names: [&str; 2]) -> [f64; 2] {
    let [other, balance] = names.map(|name| case.number(&format!("/coefficient_{name}")));
    [other, balance.max(1e-9)]
}

fn hydralora(case: &Case) {
    let num_experts = integer(case, "/num_experts").try_into().unwrap();
    Sites::of(case, &config(case, HydraLora { num_experts })).check(1.0);
}

fn ldmole(case: &Case) {
    let [sparsity, balance] = coefficients(case, ["sparsity", "balance"]);
    let sites = |sparsity_loss: f64| {
        let method = LdMole {
            num_experts: integer(case, "/num_experts").try_into().unwrap(),
            sparsity_hidden: integer(case, "/sparsity_hidden"),
            sparsity_loss: sparsity_loss as f32,
        };
        Sites::of(case, &config(case, method))
    };
    sites(sparsity / balance).check(balance);
    let sites = sites(1.0);
    for (_, ending, linear) in &sites.linears {
        let lambda = LdMole::lambda(linear.adapter.as_ref().unwrap(), &sites.x());
        equals(case, &format!("lambda{ending}"), lambda);
    }
    let term = |index: usize| move |routing: &Routing, rows: &Rows| LdMole::losses(routing, rows)[index].clone();
    sites.check_terms(&[("balance", &term(0)), ("sparsity", &term(1))]);
}

fn dynmole(case: &Case) {
    let number = |name: &str| case.number(name) as f32;
    let [entropy, balance] = coefficients(case, ["entropy", "balance"]);
    let method = DynMole {
        num_experts: integer(case, "/num_experts").try_into().unwrap(),
        top_p: number("/top_p").try_into().unwrap(),
        keep_top_k: integer(case, "/keep_top_k").try_into().unwrap(),
        entropy_threshold: number("/entropy_threshold"),
        entropy_type: serde_json::from_value(case.json["entropy_type"].clone()).unwrap(),
        entropy_index: number("/entropy_index"),
        entropy_loss: (entropy / balance) as f32,
    };
    let sites = Sites::of(case, &config(case, method));
    sites.check(balance);
    let term = |index: usize| move |routing: &Routing, rows: &Rows| DynMole::losses(routing, rows)[index].clone();
    sites.check_terms(&[("entropy", &term(0)), ("balance", &term(1))]);

    let routing = sites.routing(&sites.linears[0].2, &sites.x()).unwrap();
    equals(case, "entropy", routing.row_loss.clone().unwrap());
    // One loss over the rows of all linears.
    let rows = sites.rows();
    let of_one = method.contribution(&routing, &rows);
    let loss = |sum, linears| values((method.of_sum(sum, linears) * balance).into_data());
    close("loss", &loss(of_one.clone(), 1), &[number("/aux_loss")], 1e-7, 1e-5);
    if case.tensors.shape("gate_logits_second_site").is_some() {
        let logits = case.tensor::<2>("gate_logits_second_site", &device().autodiff());
        let adapter = sites.linears[0].2.adapter.as_ref().unwrap();
        let input = RouterInput { x: &sites.x(), logits, adapter, gate_mask: None, rows: &rows };
        let both = of_one + method.contribution(&method.route(&input), &rows);
        close("loss of two", &loss(both, 2), &[number("/aux_loss_two_sites")], 1e-7, 1e-5);
    }
}

fn remole_method(case: &Case) -> ReMole {
    let [num_experts, top_k] = ["/num_experts", "/top_k"].map(|name| integer(case, name));
    ReMole {
        num_experts: num_experts.try_into().unwrap(),
        top_k: top_k.try_into().unwrap(),
        coefficient_factor: case.number("/multiplier") as f32,
    }
}

fn remole(case: &Case) {
    let (method, coefficient) = (remole_method(case), case.number("/coefficient"));
    let sites = Sites::of(case, &config(case, method));
    sites.check(coefficient);
    sites.check_terms(&[("", &|routing: &Routing, rows: &Rows| method.auxiliary_loss(routing, rows).unwrap())]);
    let active = sites.routing(&sites.linears[0].2, &sites.x()).unwrap().active;
    let mean_active = f64::from(values(active.sum_dim(1).mean().into_data())[0]);
    let next = method.next_coefficient(coefficient as f32, mean_active);
    close("coefficient", &[next], &[case.number("/coefficient_after") as f32], 0.0, 1e-6);
}

/// The coefficient over several steps, each of several layers and micro-batches.
fn remole_coefficient(case: &Case) {
    let method = remole_method(case);
    let [steps, layers, micro_batches] = ["/steps", "/layers", "/microbatches"].map(|name| integer(case, name));
    let device = device();
    let logits = case.tensor::<5>("gate_logits", &device);
    let [.., tokens, experts] = logits.dims();
    let logits = logits.reshape([steps, layers * micro_batches, tokens, experts]);
    let adapter = Adapter::new(AdapterConfig::new(method, 1, 1.0, 0.0).unwrap(), 1, 1, &[0], &device);
    let (x, rows) = (Tensor::zeros([tokens, 1], &device), Rows::new(tokens, 1, None));
    let mut coefficient = case.number("/coefficient_start") as f32;
    for step in 0..steps {
        close("before", &[coefficient], &[case.number(&format!("/coefficient_before/{step}")) as f32], 0.0, 1e-6);
        let mut active = 0.0;
        for layer in 0..layers * micro_batches {
            let logits = logits.clone().slice([step..step + 1, layer..layer + 1]).reshape([tokens, experts]);
            let routing = method.route(&RouterInput { x: &x, logits, adapter: &adapter, gate_mask: None, rows: &rows });
            let loss = values(method.auxiliary_loss(&routing, &rows).unwrap().into_data());
            close("loss", &loss, &[case.number(&format!("/aux_loss/{step}/{layer}")) as f32], 1e-6, 1e-5);
            active += f64::from(values(routing.active.sum().into_data())[0]);
        }
        coefficient = method.next_coefficient(coefficient, active / (tokens * layers * micro_batches) as f64);
        close("after", &[coefficient], &[case.floats("coefficient_after")[step]], 0.0, 1e-6);
    }
}

fn comol(case: &Case) {
    let num_experts = integer(case, "/num_experts").try_into().unwrap();
    let core_router = case.json["core_router"].as_bool().unwrap();
    let sites = Sites::of(case, &config(case, CoMol { num_experts, core_router }));
    sites.check(1.0);
    let adapter = sites.linears[0].2.adapter.as_ref().unwrap();
    let hidden = sites.x().matmul(adapter.a().transpose());
    equals(case, "hidden", hidden.clone());
    let seen = if core_router { hidden } else { sites.x() };
    let logits = seen.matmul(adapter.matrix("gate").transpose());
    equals(case, "gate_logits", logits.clone());
    equals(case, "core", CoMol::core(adapter, softmax(logits, 1)));
}

/// Start and pass. The signs of singular vectors are free, so the start is compared as products.
fn goat(case: &Case) {
    let number = |name: &str| case.number(name) as f32;
    let method = Goat {
        num_experts: integer(case, "/num_experts").try_into().unwrap(),
        top_k: integer(case, "/top_k").try_into().unwrap(),
        init_type: serde_json::from_value(case.json["init_type"].clone()).unwrap(),
        eta: case.json["eta"].as_f64().map(|eta| eta as f32),
    };
    let config = AdapterConfig::new(method, integer(case, "/rank"), number("/alpha"), 0.0).unwrap();
    let device = device().autodiff();
    let before: Tensor<2> = case.tensor("weight_before", &device);
    let mut linear = AdaptedLinear::frozen(before.clone(), None);
    linear.adapt(config.clone(), &[1]);
    assert_eq!(values(linear.weight.val().into_data()), case.floats("weight_before"), "frozen weights changed");
    let started = linear.adapter.unwrap();
    close("scale", &[started.scale()], &[number("/scaling")], 0.0, 1e-6);
    let ([d_out, d_in], rank) = (before.dims(), config.rank.get());
    let products: Vec<Tensor<2>> = (0..method.num_experts.get())
        .map(|expert| {
            let ranks = expert * rank..(expert + 1) * rank;
            started.b().slice([0..d_out, ranks.clone()]).matmul(started.a().slice([ranks, 0..d_in]))
        })
        .collect();
    equals(case, "expert_product", Tensor::cat(products, 0));
    equals(case, "param.base_layer.weight", before.clone() - method.subtracted(&started));

    let mut sites = Sites::of(case, &config);
    let linear = &mut sites.linears[0].2;
    linear.weight = AdaptedLinear::frozen(before, None).weight;
    let adapter = linear.adapter.as_mut().unwrap();
    for name in ["initial_a", "initial_b"] {
        adapter.set(name, started.matrix(name).into_data());
    }
    sites.check(case.number("/aux_coefficient"));
    sites.check_terms(&[("", &|routing: &Routing, rows: &Rows| method.auxiliary_loss(routing, rows).unwrap())]);
    let adapter = sites.linears[0].2.adapter.as_ref().unwrap();
    equals(case, "gate_logits", sites.x().matmul(adapter.matrix("gate").transpose()));
}

/// Several steps with the same A and B, after each of which the bias moves.
fn flylora(case: &Case) {
    let variant = serde_json::from_value(case.json["variant"].clone()).unwrap();
    let method = FlyLora {
        top_k: integer(case, "/top_k").try_into().unwrap(),
        bias_rate: case.number("/bias_rate") as f32,
        variant,
    };
    let (config, device) = (config(case, method), device().autodiff());
    let mut linear = frozen(case, "", &device);
    let [d_out, d_in] = linear.weight.dims();
    let rank = config.rank.get();
    let mut fresh = Adapter::new(config.clone(), d_in, d_out, &[1], &device);
    for row in values(fresh.a().into_data()).chunks(d_in) {
        assert_eq!(row.iter().filter(|it| **it != 0.0).count(), integer(case, "/nonzeros_per_row"));
    }
    for (name, key) in [("a", "param.lora_A.weight"), ("b", "param.lora_B.weight")] {
        fresh.set(name, case.tensor::<2>(key, &device).into_data());
    }
    linear.adapter = Some(fresh);

    let of_step = |key: &str, step: usize, width: usize| {
        let all = case.floats(key);
        all[step * width..(step + 1) * width].to_vec()
    };
    let rows = case.tensors.shape("x").unwrap()[1..3].iter().product::<usize>();
    let mut largest = Largest::default();
    for step in 0..integer(case, "/steps") {
        let x = Tensor::<1>::from_floats(&of_step("x", step, rows * d_in)[..], &device).reshape([rows, d_in]);
        let x = x.require_grad();
        let mut context = ForwardContext::evaluation().recording(RoutingDetail::Rows);
        let y = linear.forward(x.clone(), &mut context);
        let apart = close("y", &values(y.clone().into_data()), &of_step("y", step, rows * d_out), 5e-5, 0.0);
        largest.y = largest.y.max(apart);
        let layer = context.into_layers().remove(0);
        let selected: Vec<f32> = case.integers("selected").iter().map(|it| *it as f32).collect();
        let active = values(layer.decision.unwrap().active.into_data());
        assert_eq!(active, selected[step * rows * rank..(step + 1) * rows * rank], "step {step}");
        flylora_gradients(case, step, &linear, (x, y), &mut largest);

        let adapter = linear.adapter.as_mut().unwrap();
        let counts: Vec<f64> = values(layer.active_tokens.into_data()).into_iter().map(f64::from).collect();
        close("before", &values(adapter.vector("bias").into_data()), &of_step("d_before", step, rank), 1e-6, 0.0);
        let (name, moved) = method.next_state(adapter, &counts).unwrap();
        adapter.set(name, moved);
        close("after", &values(adapter.vector("bias").into_data()), &of_step("d_after", step, rank), 1e-6, 0.0);
    }
}

/// Compares the gradients of the task loss of a step; A and the bias have none.
fn flylora_gradients(
    case: &Case,
    step: usize,
    linear: &AdaptedLinear,
    (x, y): (Tensor<2>, Tensor<2>),
    largest: &mut Largest,
) {
    let upstream = rows_of(case, "upstream", &y.device());
    let gradients = (y * upstream).sum().backward();
    let of_x = x.grad(&gradients).map(|gradient| gradient.into_data());
    let adapter = linear.adapter.as_ref().unwrap();
    assert!(adapter.a().grad(&gradients).is_none() && adapter.vector("bias").grad(&gradients).is_none());
    let of_b = adapter.b().grad(&gradients).map(|gradient| gradient.into_data());
    for (key, found) in [("grad_task.x", of_x), ("grad_task.lora_B.weight", of_b)] {
        let found = values(found.unwrap());
        let expected = case.floats(key)[step * found.len()..(step + 1) * found.len()].to_vec();
        let apart = close(&format!("{key} of step {step}"), &found, &expected, 1e-5, 1e-4);
        largest.gradients = largest.gradients.max(apart / expected.iter().fold(1.0, |max: f32, it| max.max(it.abs())));
    }
}

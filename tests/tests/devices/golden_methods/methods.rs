//! Each method with the settings of a case.

use super::compare::{close, equals};
use super::sites::Sites;
use adamole::core::{
    Adapter, AdapterConfig, DynMole, HydraLora, LdMole, Method, ReMole, Rows,
    router::{JointLoss, Router, RouterInput, Routing},
};
use adamole_tests::{Case, device, values};
use burn::tensor::Tensor;

/// Compares everything that is recorded of a case.
pub(super) fn check(case: &Case) {
    eprintln!("{}", case.folder.display());
    match case.json["method"].as_str() {
        Some("hydralora") => hydralora(case),
        Some("ldmole") => ldmole(case),
        Some("dynmole") => dynmole(case),
        Some("remole") if case.json["kind"] == "remole_coefficient" => remole_coefficient(case),
        Some("remole") => remole(case),
        other => panic!("the method {other:?} is not implemented"),
    }
}

fn integer(case: &Case, name: &str) -> usize {
    case.number(name) as usize
}

fn config(case: &Case, method: impl Method + 'static) -> AdapterConfig {
    let config = AdapterConfig::new(method, integer(case, "/rank"), case.number("/alpha") as f32, 0.0).unwrap();
    assert_eq!(config.scale(), case.number("/scaling") as f32);
    config
}

fn hydralora(case: &Case) {
    let num_experts = integer(case, "/num_experts").try_into().unwrap();
    Sites::of(case, &config(case, HydraLora { num_experts })).check(1.0);
}

fn ldmole(case: &Case) {
    let [balance, sparsity] = ["balance", "sparsity"].map(|name| case.number(&format!("/coefficient_{name}")));
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
    let [entropy, balance] = ["entropy", "balance"].map(|name| case.number(&format!("/coefficient_{name}")));
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
    sites.check_terms(&[("", &|routing: &Routing, rows: &Rows| method.auxiliary_loss(routing, rows))]);
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
            let loss = values(method.auxiliary_loss(&routing, &rows).into_data());
            close("loss", &loss, &[case.number(&format!("/aux_loss/{step}/{layer}")) as f32], 1e-6, 1e-5);
            active += f64::from(values(routing.active.sum().into_data())[0]);
        }
        coefficient = method.next_coefficient(coefficient, active / (tokens * layers * micro_batches) as f64);
        close("after", &[coefficient], &[case.floats("coefficient_after")[step]], 0.0, 1e-6);
    }
}

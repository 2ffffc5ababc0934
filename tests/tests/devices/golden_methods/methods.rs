//! Each method with the settings of a case.

use super::compare::{close, equals};
use super::sites::Sites;
use adamole::core::{
    AdapterConfig, DynMole, HydraLora, LdMole, Method, Rows,
    router::{JointLoss, Router, RouterInput, Routing},
};
use adamole_tests::{Case, device, values};

/// Compares everything that is recorded of a case.
pub(super) fn check(case: &Case) {
    eprintln!("{}", case.folder.display());
    match case.json["method"].as_str() {
        Some("hydralora") => hydralora(case),
        Some("ldmole") => ldmole(case),
        Some("dynmole") => dynmole(case),
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
    assert_eq!(case.json["entropy_type"], "tsallis", "the only entropy that is implemented");
    let number = |name: &str| case.number(name) as f32;
    let [entropy, balance] = ["entropy", "balance"].map(|name| case.number(&format!("/coefficient_{name}")));
    let method = DynMole {
        num_experts: integer(case, "/num_experts").try_into().unwrap(),
        top_p: number("/top_p").try_into().unwrap(),
        keep_top_k: integer(case, "/keep_top_k").try_into().unwrap(),
        entropy_threshold: number("/entropy_threshold"),
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

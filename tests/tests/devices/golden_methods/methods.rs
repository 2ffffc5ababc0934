//! Each method with the settings of a case.

use super::compare::equals;
use super::sites::Sites;
use adamole::core::{AdapterConfig, HydraLora, LdMole, Method, Rows, router::Routing};
use adamole_tests::Case;

/// Compares everything that is recorded of a case.
pub(super) fn check(case: &Case) {
    eprintln!("{}", case.folder.display());
    match case.json["method"].as_str() {
        Some("hydralora") => hydralora(case),
        Some("ldmole") => ldmole(case),
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

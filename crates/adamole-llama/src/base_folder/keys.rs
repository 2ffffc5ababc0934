//! Tensor names of checkpoints that were saved from inside a wrapper.

/// What wrappers put between the parts of a name: `torch.compile`, FSDP, activation checkpointing.
const WRAPPERS: [&str; 3] = ["_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module"];

/// The parts of a name without what wrappers have put there: `_orig_mod.module.model.norm.weight` is
/// `model.norm.weight`.
pub(crate) fn unwrapped(name: &str) -> Vec<&str> {
    // `module` is what data parallelism puts before everything.
    let parts = name.split('.').filter(|part| !WRAPPERS.contains(part));
    parts.skip_while(|part| *part == "module").collect()
}

/// The name that a tensor of a base has in a checkpoint of the whole model, where it was saved from inside a wrapper,
/// from a field named `model`, or from the decoder alone.
pub(crate) fn of_base(name: &str) -> String {
    let parts = unwrapped(name);
    let parts = match parts[..] {
        ["model", "model" | "lm_head", ..] => &parts[1..],
        _ => &parts,
    };
    let before = if matches!(parts.first(), Some(&("layers" | "embed_tokens" | "norm"))) { "model." } else { "" };
    format!("{before}{}", parts.join("."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrappers_leave_the_name_as_it_was() {
        for name in [
            "model.layers.0.mlp.up_proj.weight",
            "_orig_mod.model.layers.0.mlp.up_proj.weight",
            "module._orig_mod.model.layers.0.mlp.up_proj.weight",
            "model.layers.0._orig_mod.mlp.up_proj.weight",
            "_fsdp_wrapped_module.model.layers.0._fsdp_wrapped_module.mlp.up_proj.weight",
            "layers.0.mlp.up_proj.weight",
            "model.model.layers.0.mlp.up_proj.weight",
        ] {
            assert_eq!(of_base(name), "model.layers.0.mlp.up_proj.weight", "{name}");
        }
        assert_eq!(of_base("model.lm_head.weight"), "lm_head.weight");
        assert_eq!(of_base("language_model.model.norm.weight"), "language_model.model.norm.weight");
    }
}

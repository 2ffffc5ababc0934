//! Tensor names of checkpoints that were saved with the prefixes of wrappers.

/// The names that wrappers insert: `torch.compile`, FSDP, activation checkpointing.
const WRAPPERS: [&str; 3] = ["_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module"];

/// The parts of a name without those of wrappers: `_orig_mod.module.model.norm.weight` is `model.norm.weight`.
pub(crate) fn unwrapped(name: &str) -> Vec<&str> {
    // Data parallelism puts `module` before everything.
    let parts = name.split('.').filter(|part| !WRAPPERS.contains(part));
    parts.skip_while(|part| *part == "module").collect()
}

/// The usual name of a tensor that was saved from a wrapper, from a field `model`, or from the decoder alone.
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
    fn names_from_wrappers_are_normalised() {
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

//! Keys of adapter files of MoE-PEFT, and of the MixLoRA adapters that its authors have published.
//!
//! Both begin with the name of the method. MoE-PEFT has `mixlora.layers.0.mlp.up_proj.experts.3.lora_A.weight` and
//! `mixlora.layers.0.mlp.moe_gate.weight` (TUDB-Labs/MoE-PEFT, moe_peft/model.py), the published files
//! `mixlora.layers.0.experts.3.up_proj.lora_A.weight` and `mixlora.layers.0.gate.weight` (TUDB-Labs/MixLoRA, mixlora/model.py).
//! Here the gate of a block is kept on the first of its linears that is adapted.

use adamole_core::MethodKind;
use std::collections::BTreeSet;

/// The linears of a block, in the order in which one of them has its gate.
const BLOCK: [&str; 3] = ["gate_proj", "up_proj", "down_proj"];

/// The keys of a file, those of MoE-PEFT in the spelling of other files.
pub(crate) fn respelled(keys: &[String]) -> Vec<String> {
    let names: Vec<String> = keys.iter().map(|key| of_linear(key).unwrap_or_else(|| key.clone())).collect();
    let adapted: BTreeSet<&str> = names.iter().filter_map(|name| Some(name.split_once(".experts.")?.0)).collect();
    let of_block = |name: &String| {
        let block = name.strip_suffix(".moe_gate.weight").filter(|block| block.ends_with(".mlp"))?;
        let first = BLOCK.into_iter().find(|linear| adapted.contains(format!("{block}.{linear}").as_str()))?;
        Some(format!("{block}.{first}.moe_gate.weight"))
    };
    names.iter().map(|name| of_block(name).unwrap_or_else(|| name.clone())).collect()
}

/// The name of the linear and of its tensor; for a gate of a block that of the block. `None` for keys of other files.
fn of_linear(key: &str) -> Option<String> {
    let parts: Vec<&str> = key.split('.').collect();
    let [method, "layers", layer, rest @ ..] = &parts[..] else { return None };
    MethodKind::all().find(|kind| kind.name == *method)?;
    let rest = match rest {
        ["gate", end] => format!("mlp.moe_gate.{end}"),
        ["experts", expert, linear, tensor @ ..] => format!("mlp.{linear}.experts.{expert}.{}", tensor.join(".")),
        rest => rest.join("."),
    };
    Some(format!("model.layers.{layer}.{rest}"))
}

#[cfg(test)]
mod tests {
    use super::respelled;

    #[test]
    fn both_spellings_of_a_block_are_that_of_its_linears() {
        let moe_peft = [
            "mixlora.layers.1.mlp.moe_gate.weight",
            "mixlora.layers.1.mlp.up_proj.experts.3.lora_A.weight",
            "mixlora.layers.1.self_attn.q_proj.lora_B.weight",
        ];
        let published = [
            "mixlora.layers.1.gate.weight",
            "mixlora.layers.1.experts.3.up_proj.lora_A.weight",
            "mixlora.layers.1.self_attn.q_proj.lora_B.weight",
        ];
        for keys in [moe_peft, published] {
            let expected = [
                "model.layers.1.mlp.up_proj.moe_gate.weight",
                "model.layers.1.mlp.up_proj.experts.3.lora_A.weight",
                "model.layers.1.self_attn.q_proj.lora_B.weight",
            ];
            assert_eq!(respelled(&keys.map(str::to_owned)), expected);
        }
        let of_dynmole = ["dynmole.layers.0.mlp.down_proj.moe_gate.weight".to_owned()];
        assert_eq!(respelled(&of_dynmole), ["model.layers.0.mlp.down_proj.moe_gate.weight"]);
    }

    #[test]
    fn other_files_keep_their_keys() {
        let keys = ["base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight", "other.layers.0.gate.weight"];
        assert_eq!(respelled(&keys.map(str::to_owned)), keys);
    }
}

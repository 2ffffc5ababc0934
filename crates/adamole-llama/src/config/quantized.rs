//! Whether another program has quantised the weights, as `config.json` says.

use serde_json::Value;

/// What the fields `quantization_config` of transformers and `quantization` of MLX say; `None` where they are empty.
pub(super) fn method(transformers: Option<&Value>, mlx: Option<&Value>) -> Option<String> {
    let is_set = |value: &&Value| !value.is_null() && value.as_object().is_none_or(|fields| !fields.is_empty());
    if let Some(fields) = mlx.filter(is_set) {
        return Some(named("MLX", fields));
    }
    let fields = transformers.filter(is_set)?;
    let name = match fields["quant_method"].as_str() {
        Some("bitsandbytes") => "bitsandbytes",
        Some("gptq") => "GPTQ",
        Some("awq") => "AWQ",
        Some("fp8" | "fbgemm_fp8") => "FP8",
        Some(other) => other,
        None if fields["load_in_4bit"].is_boolean() || fields["load_in_8bit"].is_boolean() => "bitsandbytes",
        None => "a method without a name",
    };
    Some(named(name, fields))
}

fn named(method: &str, fields: &Value) -> String {
    let bits = match (&fields["load_in_4bit"], &fields["load_in_8bit"]) {
        (Value::Bool(true), _) => Some(4),
        (_, Value::Bool(true)) => Some(8),
        _ => fields["bits"].as_u64(),
    };
    bits.map_or_else(|| method.to_owned(), |bits| format!("{method} to {bits} bits"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn methods_are_named_as_configs_name_them() {
        for (fields, expected) in [
            (json!({"quant_method": "gptq", "bits": 4, "group_size": 128}), Some("GPTQ to 4 bits")),
            (json!({"load_in_4bit": true, "bnb_4bit_quant_type": "nf4"}), Some("bitsandbytes to 4 bits")),
            (json!({"quant_method": "compressed-tensors"}), Some("compressed-tensors")),
            (json!({"quant_method": "fp8", "weight_block_size": [128, 128]}), Some("FP8")),
            (json!({}), None),
            (json!(null), None),
        ] {
            assert_eq!(method(Some(&fields), None).as_deref(), expected, "{fields}");
        }
        let mlx = json!({"group_size": 64, "bits": 4});
        assert_eq!(method(Some(&mlx), Some(&mlx)).as_deref(), Some("MLX to 4 bits"));
    }
}

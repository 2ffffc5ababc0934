#![no_main]

adamole_fuzz::target!("model_config");

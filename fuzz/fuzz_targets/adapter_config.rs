#![no_main]

adamole_fuzz::target!("adapter_config");

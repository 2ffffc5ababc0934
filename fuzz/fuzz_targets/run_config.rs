#![no_main]

adamole_fuzz::target!("run_config");

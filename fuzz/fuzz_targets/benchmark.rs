#![no_main]

adamole_fuzz::target!("benchmark");

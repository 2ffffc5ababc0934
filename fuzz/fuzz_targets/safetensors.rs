#![no_main]

adamole_fuzz::target!("safetensors");

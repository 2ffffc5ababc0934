#![no_main]

adamole_fuzz::target!("json_lines");

#![no_main]

adamole_fuzz::target!("shard_index");

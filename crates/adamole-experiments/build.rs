//! Rebuilds the crate when an embedded definition is added or removed.

fn main() {
    println!("cargo::rerun-if-changed=experiments");
}

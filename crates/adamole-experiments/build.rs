//! The definitions are embedded: one that is added or removed is seen.

fn main() {
    println!("cargo::rerun-if-changed=experiments");
}

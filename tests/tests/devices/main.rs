//! Tests that hold on every device. They are one program, so that a GPU backend compiles its kernels once;
//! `ADAMOLE_TEST_DEVICE` names the device. Tolerances are those of the golden files; others are stated with their reason.

mod families;
mod frozen;
mod gather;
mod generation;
mod golden_layers;
mod golden_methods;
mod golden_models;
mod loss;
mod loss_curve;
mod method_runs;
mod precision;
mod resumed;
mod several_devices;

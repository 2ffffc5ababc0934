//! What holds on every device, in one program, so that a GPU's backend compiles its kernels once: `ADAMOLE_TEST_DEVICE` names
//! the device. Tolerances are those of the golden files; where a device that rounds otherwise needs another, it is stated
//! with its reason.

mod frozen;
mod golden_layers;
mod golden_models;
mod loss;
mod loss_curve;
mod precision;
mod resumed;
mod several_devices;

//! The device of the tests.

use burn::tensor::Device;

/// The device that `ADAMOLE_TEST_DEVICE` names; the CPU by default.
pub(crate) fn device() -> Device {
    match std::env::var("ADAMOLE_TEST_DEVICE").as_deref() {
        Err(_) | Ok("cpu") => Device::flex(),
        #[cfg(feature = "cuda")]
        Ok("cuda") => Device::cuda(0),
        #[cfg(feature = "vulkan")]
        Ok("vulkan") => Device::vulkan(burn::tensor::DeviceKind::DefaultDevice),
        #[cfg(feature = "wgpu")]
        Ok("wgpu") => Device::wgpu(burn::tensor::DeviceKind::DefaultDevice),
        Ok(other) => panic!("the tests were built without {other}"),
    }
}

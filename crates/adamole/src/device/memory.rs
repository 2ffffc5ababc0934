//! The memory of the machine and of GPUs, from the system and from NVIDIA's library; Burn does not report it.

use std::fs;

/// The machine's memory in bytes, on Linux.
pub(super) fn of_machine() -> Option<u64> {
    let text = fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    Some(line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok()? * 1024)
}

/// The name of the processor; elsewhere than on Linux, its architecture.
pub(super) fn processor() -> String {
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = text.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'));
    name.map_or_else(|| std::env::consts::ARCH.into(), |(_, name)| name.trim().to_owned())
}

/// The memory of the card at this PCI address, in bytes: from AMD's driver in the kernel, or from NVIDIA's library.
#[cfg_attr(not(any(feature = "wgpu", feature = "vulkan", feature = "cuda")), allow(dead_code))]
pub(super) fn of_card(address: &str) -> Option<u64> {
    let path = format!("/sys/bus/pci/devices/{address}/mem_info_vram_total");
    let from_kernel = fs::read_to_string(path).ok().and_then(|text| text.trim().parse().ok());
    from_kernel.or_else(|| of_nvidia(address))
}

#[cfg(feature = "cuda")]
fn of_nvidia(address: &str) -> Option<u64> {
    let library = nvml_wrapper::Nvml::init().ok()?;
    Some(library.device_by_pci_bus_id(address).ok()?.memory_info().ok()?.total)
}

#[cfg(not(feature = "cuda"))]
#[cfg_attr(not(any(feature = "wgpu", feature = "vulkan")), allow(dead_code))]
fn of_nvidia(_: &str) -> Option<u64> {
    None
}

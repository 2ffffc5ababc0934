//! The memory of GPUs, from the system and from NVIDIA's library; Burn does not report it.

use std::fs;

/// The memory of the card at this PCI address, in bytes: from AMD's driver in the kernel, or from NVIDIA's library.
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
fn of_nvidia(_: &str) -> Option<u64> {
    None
}

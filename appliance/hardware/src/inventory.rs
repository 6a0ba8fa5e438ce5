//! What the machine consists of: asked once, for pages and reports.
//!
//! Why a library here and files elsewhere: the inventory is asked rarely and from many places;
//! the readings are asked every second and from few.
//! On failure: what the system does not tell stays empty.

use base::units::Bytes;
use serde::{Deserialize, Serialize};

/// The machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inventory {
    /// Host name.
    pub host: String,
    /// Name and version of the system.
    pub system: String,
    /// Kernel version.
    pub kernel: String,
    /// Processor model.
    pub processor: String,
    /// Logical processors.
    pub cores: usize,
    /// Memory.
    pub memory: Bytes,
    /// Swap space.
    pub swap: Bytes,
    /// Disks that are mounted.
    pub disks: Vec<DiskPart>,
    /// Network cards.
    pub cards: Vec<Card>,
}

/// A mounted disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiskPart {
    /// Device.
    pub name: String,
    /// Mount point.
    pub mount: String,
    /// File system type.
    pub kind: String,
    /// Size.
    pub total: Bytes,
}

/// A network card.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Card {
    /// Interface name.
    pub name: String,
    /// Hardware address.
    pub address: String,
    /// Largest packet in bytes.
    pub mtu: u64,
}

impl Inventory {
    /// Asks the machine. Takes some milliseconds; a dead disk may hold it longer, so call it where
    /// blocking is allowed.
    #[must_use]
    pub fn read() -> Self {
        let wanted = sysinfo::RefreshKind::nothing()
            .with_cpu(sysinfo::CpuRefreshKind::nothing())
            .with_memory(sysinfo::MemoryRefreshKind::everything());
        let system = sysinfo::System::new_with_specifics(wanted).ok();
        let cpus = system.as_ref().map(sysinfo::System::cpus).unwrap_or_default();
        let bytes = |of: fn(&sysinfo::System) -> u64| Bytes(system.as_ref().map_or(0, of));
        let text = |text: Result<String, sysinfo::Error>| text.unwrap_or_default();
        Self {
            host: text(sysinfo::System::host_name()),
            system: text(sysinfo::System::long_os_version()),
            kernel: text(sysinfo::System::kernel_version()),
            processor: cpus.first().map(|cpu| cpu.brand().to_owned()).unwrap_or_default(),
            cores: cpus.len(),
            memory: bytes(sysinfo::System::total_memory),
            swap: bytes(sysinfo::System::total_swap),
            disks: disks(),
            cards: cards(),
        }
    }
}

fn disks() -> Vec<DiskPart> {
    let Ok(disks) = sysinfo::Disks::new_with_refreshed_list() else { return Vec::new() };
    let mut parts: Vec<DiskPart> = disks
        .iter()
        .map(|disk| DiskPart {
            name: disk.name().to_string_lossy().into_owned(),
            mount: disk.mount_point().display().to_string(),
            kind: disk.file_system().to_string_lossy().into_owned(),
            total: Bytes(disk.total_space()),
        })
        .collect();
    parts.sort_by(|a, b| a.mount.cmp(&b.mount));
    parts
}

fn cards() -> Vec<Card> {
    let Ok(networks) = sysinfo::Networks::new_with_refreshed_list() else { return Vec::new() };
    let mut cards: Vec<Card> = networks
        .iter()
        .map(|(name, data)| Card {
            name: name.to_string_lossy().into_owned(),
            address: data.mac_address().to_string(),
            mtu: data.mtu(),
        })
        .collect();
    cards.sort_by(|a, b| a.name.cmp(&b.name));
    cards
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_has_a_processor_memory_and_loopback() {
        let inventory = Inventory::read();
        assert!(inventory.cores > 0 && inventory.memory.0 > 0);
        assert!(inventory.cards.iter().any(|card| card.name == "lo"), "{:?}", inventory.cards);
    }
}

//! What a temperature is of, told from the names that drivers use.
//!
//! Pure. A name nobody knows is `Other`, which the law treats as the board's. Source: names of
//! drivers below `drivers/hwmon` and `drivers/thermal` of the kernel.

use base::{reading::ThermalKind, units::Celsius};

/// Beginnings of chip and zone names.
const CHIPS: [(&str, ThermalKind); 37] = [
    ("coretemp", ThermalKind::Cpu),
    ("k10temp", ThermalKind::Cpu),
    ("k8temp", ThermalKind::Cpu),
    ("zenpower", ThermalKind::Cpu),
    ("fam15h", ThermalKind::Cpu),
    ("via_cputemp", ThermalKind::Cpu),
    ("x86_pkg_temp", ThermalKind::Cpu),
    ("cpu", ThermalKind::Cpu),
    ("soc", ThermalKind::Cpu),
    ("big", ThermalKind::Cpu),
    ("little", ThermalKind::Cpu),
    ("imx_thermal", ThermalKind::Cpu),
    ("bcm2835_thermal", ThermalKind::Cpu),
    ("scpi_sensors", ThermalKind::Cpu),
    ("tcpu", ThermalKind::Cpu),
    ("b0d4", ThermalKind::Cpu),
    ("nvme", ThermalKind::Disk),
    ("drivetemp", ThermalKind::Disk),
    ("emmc", ThermalKind::Disk),
    ("jc42", ThermalKind::Memory),
    ("spd5118", ThermalKind::Memory),
    ("ddr", ThermalKind::Memory),
    ("sfp", ThermalKind::Network),
    ("mlx", ThermalKind::Network),
    ("ixgbe", ThermalKind::Network),
    ("igb", ThermalKind::Network),
    ("i350", ThermalKind::Network),
    ("bnxt", ThermalKind::Network),
    ("tg3", ThermalKind::Network),
    ("iwlwifi", ThermalKind::Network),
    ("mt7", ThermalKind::Network),
    ("bat", ThermalKind::Battery),
    ("acpitz", ThermalKind::Board),
    ("pch", ThermalKind::Board),
    ("nct", ThermalKind::Board),
    ("it8", ThermalKind::Board),
    ("w83", ThermalKind::Board),
];

/// Parts of labels; they say more than the chip, which may measure a whole board.
const LABELS: [(&str, ThermalKind); 14] = [
    ("ambient", ThermalKind::Ambient),
    ("inlet", ThermalKind::Ambient),
    ("exhaust", ThermalKind::Ambient),
    ("cpu", ThermalKind::Cpu),
    ("package", ThermalKind::Cpu),
    ("tctl", ThermalKind::Cpu),
    ("tdie", ThermalKind::Cpu),
    ("core", ThermalKind::Cpu),
    ("dimm", ThermalKind::Memory),
    ("ssd", ThermalKind::Disk),
    ("composite", ThermalKind::Disk),
    ("phy", ThermalKind::Network),
    ("vrm", ThermalKind::Board),
    ("systin", ThermalKind::Board),
];

/// What the sensor `label` on `chip` measures.
pub(crate) fn of(chip: &str, label: &str) -> ThermalKind {
    let (chip, label) = (chip.to_ascii_lowercase(), label.to_ascii_lowercase());
    let by_label = LABELS.iter().find(|(part, _)| label.contains(part)).map(|(_, kind)| *kind);
    let by_chip = CHIPS.iter().find(|(begin, _)| chip.starts_with(begin)).map(|(_, kind)| *kind);
    by_chip
        .filter(|kind| *kind != ThermalKind::Board)
        .or(by_label)
        .or(by_chip)
        .unwrap_or(ThermalKind::Other)
}

/// A limit in thousandths of a degree; `None` for what cannot be one: chips without a limit answer
/// 0, 65261, 127 or 255 degrees.
pub(crate) fn limit(millis: i64) -> Option<Celsius> {
    #[expect(clippy::cast_precision_loss, reason = "temperatures are small")]
    (20_000..127_000).contains(&millis).then(|| Celsius(millis as f64 / 1e3))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(chip: &str, label: &str, expected: ThermalKind) {
        assert_eq!(of(chip, label), expected, "{chip} {label}");
    }

    #[test]
    fn sensors_are_told_apart_by_their_names() {
        check("coretemp", "Package id 0", ThermalKind::Cpu);
        check("k10temp", "Tctl", ThermalKind::Cpu);
        check("nvme", "Composite", ThermalKind::Disk);
        check("nct6779", "CPUTIN", ThermalKind::Cpu);
        check("nct6779", "SYSTIN", ThermalKind::Board);
        check("acpitz", "acpitz temp1", ThermalKind::Board);
        check("cpu-thermal", "cpu-thermal", ThermalKind::Cpu);
        check("pmbus", "Inlet", ThermalKind::Ambient);
        check("tmp102", "tmp102 temp1", ThermalKind::Other);
    }

    #[test]
    fn what_cannot_be_a_limit_is_none() {
        assert_eq!(limit(100_000), Some(Celsius(100.0)));
        assert_eq!(limit(0), None);
        assert_eq!(limit(65_261_850), None);
    }
}

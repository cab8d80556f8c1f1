//! Quantities with their units, as people write them: `50G` fuel, `512MiB`, `10min`.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// A quantity that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{given}` is not {what}")]
pub struct BadQuantity {
    given: String,
    what: &'static str,
}

/// Splits `12.5GiB` at the first letter. At most six decimals: more would be lost in the multiplication.
fn scaled(text: &str, units: &[(&str, u64)], what: &'static str) -> Result<u64, BadQuantity> {
    let bad = || BadQuantity { given: text.chars().take(40).collect(), what };
    let trimmed = text.trim();
    let at = trimmed.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(trimmed.len());
    let (number, unit) = trimmed.split_at(at);
    let unit = unit.trim();
    let factor = units.iter().find(|(name, _)| *name == unit).ok_or_else(bad)?.1;
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() || fraction.len() > 6 {
        return Err(bad());
    }
    let whole: u128 = whole.parse().map_err(|_| bad())?;
    let digits: u128 = if fraction.is_empty() { 0 } else { fraction.parse().map_err(|_| bad())? };
    let tenths = 10u128.pow(u32::try_from(fraction.len()).map_err(|_| bad())?);
    let total = whole.checked_mul(u128::from(factor)).ok_or_else(bad)? + digits * u128::from(factor) / tenths;
    u64::try_from(total).map_err(|_| bad())
}

macro_rules! quantity {
    ($(#[$doc:meta])* $name:ident, $what:literal, $units:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "Written", into = "u64")]
        pub struct $name(pub u64);

        impl FromStr for $name {
            type Err = BadQuantity;
            fn from_str(text: &str) -> Result<Self, BadQuantity> {
                scaled(text, $units, $what).map(Self)
            }
        }

        impl TryFrom<Written> for $name {
            type Error = BadQuantity;
            fn try_from(written: Written) -> Result<Self, BadQuantity> {
                match written {
                    Written::Number(n) => Ok(Self(n)),
                    Written::Text(text) => text.parse(),
                }
            }
        }

        impl From<$name> for u64 {
            fn from(quantity: $name) -> u64 {
                quantity.0
            }
        }
    };
}

/// A quantity in a file: text with a unit (people), or the bare base unit (our own rows).
#[derive(Debug, Deserialize)]
#[serde(untagged, expecting = "a number, or text with a unit such as \"512MiB\" or \"30s\"")]
enum Written {
    Number(u64),
    Text(String),
}

quantity!(
    /// Fuel, in wasmtime's unit: about one per executed instruction, one per byte of bulk memory.
    Fuel,
    "fuel: write a number with K, M, G or T, such as `50G`",
    &[("", 1), ("K", 1_000), ("M", 1_000_000), ("G", 1_000_000_000), ("T", 1_000_000_000_000)]
);
quantity!(
    /// A size, in bytes.
    Bytes,
    "a size: write a number with B, KiB, MiB, GiB, kB, MB or GB, such as `512MiB`",
    &[
        ("B", 1),
        ("KiB", 1 << 10),
        ("MiB", 1 << 20),
        ("GiB", 1 << 30),
        ("kB", 1_000),
        ("MB", 1_000_000),
        ("GB", 1_000_000_000)
    ]
);
quantity!(
    /// A span of time, in milliseconds.
    Millis,
    "a duration: write a number with ms, s, min, h or d, such as `30s`",
    &[("ms", 1), ("s", 1_000), ("min", 60_000), ("h", 3_600_000), ("d", 86_400_000)]
);

/// CPUs at once, in thousandths. Who writes `cpus = 1` means a whole one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct MilliCpus(pub u64);

impl Millis {
    /// As the standard library's duration.
    pub fn duration(self) -> std::time::Duration {
        std::time::Duration::from_millis(self.0)
    }
}

impl fmt::Display for MilliCpus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = format!("{}.{:03}", self.0 / 1000, self.0 % 1000);
        f.write_str(text.trim_end_matches('0').trim_end_matches('.'))
    }
}

impl fmt::Display for Fuel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            n if n > 0 && n.is_multiple_of(1_000_000_000) => write!(f, "{}G", n / 1_000_000_000),
            n if n > 0 && n.is_multiple_of(1_000_000) => write!(f, "{}M", n / 1_000_000),
            n => write!(f, "{n}"),
        }
    }
}

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (size, unit) = match self.0 {
            n if n >= 1 << 30 => (1u64 << 30, "GiB"),
            n if n >= 1 << 20 => (1 << 20, "MiB"),
            n if n >= 1 << 10 => (1 << 10, "KiB"),
            n => return write!(f, "{n} B"),
        };
        if self.0.is_multiple_of(size) {
            write!(f, "{} {unit}", self.0 / size)
        } else {
            // Formatting only: the value itself is never a float.
            write!(f, "{}.{} {unit}", self.0 / size, self.0 % size * 10 / size)
        }
    }
}

impl fmt::Display for Millis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            n if n >= 3_600_000 && n.is_multiple_of(3_600_000) => write!(f, "{} h", n / 3_600_000),
            n if n >= 60_000 && n.is_multiple_of(60_000) => write!(f, "{} min", n / 60_000),
            n if n >= 1_000 && n.is_multiple_of(1_000) => write!(f, "{} s", n / 1_000),
            n => write!(f, "{n} ms"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_read_with_their_units() {
        assert_eq!("50G".parse(), Ok(Fuel(50_000_000_000)));
        assert_eq!("1.5 KiB".parse(), Ok(Bytes(1536)));
        assert_eq!("10min".parse(), Ok(Millis(600_000)));
        for bad in ["", "12", "MiB", "1..5MiB", "-1B", "1mb", "99999999999GiB", "1.0000001MiB"] {
            assert!(bad.parse::<Bytes>().is_err(), "{bad}");
        }
    }

    #[test]
    fn cpus_are_shown_short() {
        assert_eq!([10, 500, 2_000, 10_000].map(|n| MilliCpus(n).to_string()), ["0.01", "0.5", "2", "10"]);
    }

    #[test]
    fn sizes_are_shown_short() {
        assert_eq!(Bytes(512 << 20).to_string(), "512 MiB");
        assert_eq!(Bytes(1_600).to_string(), "1.5 KiB");
        assert_eq!(Millis(90_000).to_string(), "90 s");
        assert_eq!([50_000_000_000, 3_000_000, 7].map(|n| Fuel(n).to_string()), ["50G", "3M", "7"]);
    }
}

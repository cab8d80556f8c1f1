//! The stock scorers, as the build script made them: components like any organizer's, with no way of their own.

include!(concat!(env!("OUT_DIR"), "/stock.rs"));

/// Their names, sorted.
pub fn names() -> impl Iterator<Item = &'static str> {
    STOCK.iter().map(|(name, _)| *name)
}

/// The component called `name`.
pub fn bytes(name: &str) -> Option<&'static [u8]> {
    STOCK.iter().find(|(has, _)| *has == name).map(|(_, bytes)| *bytes)
}

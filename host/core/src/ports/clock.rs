//! Time and randomness, for the use cases; the domain takes both as arguments.

use jiff::Timestamp;
use ulid::Ulid;

/// Time and randomness.
pub trait Clock: Send + Sync {
    /// Now.
    fn now(&self) -> Timestamp;
    /// An id that no other is equal to, made at `now`.
    fn id(&self, now: Timestamp) -> Ulid;
    /// 32 bytes that nobody can guess.
    fn secret(&self) -> [u8; 32];
}

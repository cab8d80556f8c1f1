//! adapters/clock_os

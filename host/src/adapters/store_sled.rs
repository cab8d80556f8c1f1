//! adapters/store_sled

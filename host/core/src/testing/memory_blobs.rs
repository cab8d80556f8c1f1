//! memory_blobs

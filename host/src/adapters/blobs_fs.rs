//! adapters/blobs_fs

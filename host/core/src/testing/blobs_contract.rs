//! blobs_contract

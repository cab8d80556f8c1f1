//! Zip archives, written byte by byte: stored entries under whatever names a test wants.

/// An archive of `files`; nothing is checked, so that names can be hostile.
pub fn zip(files: &[(&str, &[u8])]) -> Vec<u8> {
    let (mut bytes, mut directory) = (Vec::new(), Vec::new());
    let short = |len: usize| u16::try_from(len).expect("names and counts of tests are short");
    let long = |len: usize| u32::try_from(len).expect("files of tests are small");
    for (name, body) in files {
        let mut crc = flate2::Crc::new();
        crc.update(body);
        // From the version to the extra field's length: the same in both headers.
        let mut common = vec![20, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        common.extend(crc.sum().to_le_bytes());
        common.extend(long(body.len()).to_le_bytes());
        common.extend(long(body.len()).to_le_bytes());
        common.extend(short(name.len()).to_le_bytes());
        common.extend([0, 0]);
        directory.extend(b"PK\x01\x02\x14\x03");
        directory.extend(&common);
        directory.extend([0; 6]);
        directory.extend((0o100_644_u32 << 16).to_le_bytes());
        directory.extend(long(bytes.len()).to_le_bytes());
        directory.extend(name.as_bytes());
        bytes.extend(b"PK\x03\x04");
        bytes.extend(&common);
        bytes.extend(name.as_bytes());
        bytes.extend(*body);
    }
    let at = long(bytes.len());
    bytes.extend(&directory);
    bytes.extend(b"PK\x05\x06\0\0\0\0");
    bytes.extend(short(files.len()).to_le_bytes());
    bytes.extend(short(files.len()).to_le_bytes());
    bytes.extend(long(directory.len()).to_le_bytes());
    bytes.extend(at.to_le_bytes());
    bytes.extend([0, 0]);
    bytes
}

//! A commit's tree as a tar: files, and links as files with what they lead to. Submodules are left out.

use super::child::{Ask, Off, of_gix};
use gix::bstr::{BString, ByteSlice as _};
use gix::objs::tree::EntryKind;
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

/// Folders below each other, at most.
const MAX_DEPTH: usize = 64;
/// What pointers of large file storage begin with, and how long one is at most.
const POINTER: &[u8] = b"version https://git-lfs.github.com/spec/";
const POINTER_LEN: usize = 1_024;
/// Paths that are named of what somebody should know.
const NAMED: usize = 3;

/// What is not as somebody may think.
#[derive(Default)]
struct Noted {
    first: Vec<String>,
    all: usize,
}

impl Noted {
    fn note(&mut self, path: &[u8]) {
        self.all += 1;
        if self.first.len() < NAMED {
            self.first.push(path.to_str_lossy().chars().filter(|c| !c.is_control()).take(100).collect());
        }
    }

    fn told(&self, what: &str) -> Option<String> {
        let more = if self.all > self.first.len() {
            format!(" and {} more", self.all - self.first.len())
        } else {
            String::new()
        };
        (self.all > 0).then(|| format!("{what}: {}{more}", self.first.join(", ")))
    }
}

/// Writes the tree `root` to `out`. What somebody should know of it.
pub(super) fn write(
    repo: &gix::Repository,
    root: gix::ObjectId,
    ask: &Ask,
    out: impl Write,
) -> Result<Vec<String>, Off> {
    let mut tar = tar::Builder::new(io::BufWriter::with_capacity(256 << 10, out));
    let (mut entries, mut bytes) = (0usize, 0u64);
    let (mut modules, mut pointers, mut links) = (Noted::default(), Noted::default(), Noted::default());
    let mut rest = vec![(BString::default(), root, 0usize)];
    while let Some((folder, id, depth)) = rest.pop() {
        let tree = repo.find_tree(id).map_err(of_gix)?;
        let mut folders = Vec::new();
        for entry in tree.iter() {
            let entry = entry.map_err(of_gix)?;
            entries += 1;
            if entries > ask.entries {
                let reason = format!("the repository holds more than {} files and folders at this tag", ask.entries);
                return Err(Off::Refused("too-many-files", reason));
            }
            let name = entry.filename();
            let path: BString = [&folder[..], name].concat().into();
            if !is_a_name(name) {
                let path = path.to_str_lossy().chars().filter(|c| !c.is_control()).take(200).collect::<String>();
                return Err(Off::Refused("hostile-name", format!("`{path}` is no name that a file may have")));
            }
            match entry.mode().kind() {
                EntryKind::Tree if depth == MAX_DEPTH => {
                    return Err(Off::Refused("too-deep", format!("folders lie more than {MAX_DEPTH} deep")));
                }
                EntryKind::Tree => {
                    folders.push(([&path[..], b"/"].concat().into(), entry.object_id(), depth + 1));
                    continue;
                }
                EntryKind::Commit => {
                    modules.note(&path);
                    continue;
                }
                EntryKind::Link => links.note(&path),
                EntryKind::Blob | EntryKind::BlobExecutable => {}
            }
            let len = repo.find_header(entry.object_id()).map_err(of_gix)?.size();
            bytes = bytes.saturating_add(len);
            if len > ask.file || bytes > ask.bytes {
                let reason = "the repository's files at this tag are too large: large data do not belong there";
                return Err(Off::Refused("too-large", reason.to_owned()));
            }
            let blob = repo.find_object(entry.object_id()).map_err(of_gix)?;
            if blob.data.len() <= POINTER_LEN && blob.data.starts_with(POINTER) {
                pointers.note(&path);
            }
            let mut header = tar::Header::new_gnu();
            header.set_size(blob.data.len() as u64);
            header.set_mode(0o644);
            let path = Path::new(std::ffi::OsStr::from_bytes(&path));
            tar.append_data(&mut header, path, &blob.data[..])?;
        }
        rest.extend(folders.into_iter().rev());
    }
    tar.into_inner()?.flush()?;
    let told = [
        modules.told("submodules are left out"),
        pointers.told("files of large file storage are only pointers here"),
        links.told("links are files that hold where they lead"),
    ];
    Ok(told.into_iter().flatten().collect())
}

/// Whether a file or folder may be called so: what git itself would not check out is refused.
fn is_a_name(name: &[u8]) -> bool {
    let git = name.eq_ignore_ascii_case(b".git") || name.eq_ignore_ascii_case(b"git~1");
    !(name.is_empty()
        || name == b"."
        || name == b".."
        || git
        || name.iter().any(|byte| matches!(byte, b'/' | b'\\' | 0)))
}

//! What a scorer reads: predictions, template, reference data, parameters.
//!
//! In a component the bytes come from the host in bounded chunks, so that a file of 100 MB does not need 100 MB; in a
//! native test they come from memory. It does not interpret a file: see [`crate::table`].

use std::cell::OnceCell;
use std::io::{self, BufRead, Read};

use crate::params::Params;

/// How much of a file is asked for at a time.
const CHUNK: u32 = 256 << 10;

/// What a scorer reads.
#[derive(Debug)]
pub struct Data {
    /// The predictions, and what is known of the run that left them.
    predictions: OnceCell<(Vec<File>, Option<File>)>,
    template: OnceCell<Vec<File>>,
    reference: OnceCell<Vec<File>>,
    params: OnceCell<Params>,
    origin: Origin,
}

/// Where files that nobody has asked for yet would come from.
#[derive(Debug, Clone, Copy)]
enum Origin {
    Memory,
    #[cfg(target_family = "wasm")]
    Host,
}

/// Which tree.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Tree {
    Predictions,
    Template,
    Reference,
}

impl Data {
    /// Data for a test: no files, and `{}` for parameters.
    pub fn memory() -> Self {
        Self::of(Origin::Memory)
    }

    #[cfg(target_family = "wasm")]
    pub(crate) fn host() -> Self {
        Self::of(Origin::Host)
    }

    fn of(origin: Origin) -> Self {
        let (template, reference) = (OnceCell::new(), OnceCell::new());
        Self { predictions: OnceCell::new(), template, reference, params: OnceCell::new(), origin }
    }

    /// Adds a file to the predictions; `metadata` is what [`Data::run`] gives.
    #[must_use]
    pub fn with_prediction(mut self, path: impl Into<String>, bytes: impl Into<Vec<u8>>) -> Self {
        let (mut files, run) = self.predictions.take().unwrap_or_default();
        files.extend(run);
        files.push(File::memory(path, bytes));
        files.sort_by(|a, b| a.path().cmp(b.path()));
        self.predictions = OnceCell::from(apart(files));
        self
    }

    /// Adds a file to the sample submission.
    #[must_use]
    pub fn with_template(mut self, path: impl Into<String>, bytes: impl Into<Vec<u8>>) -> Self {
        add(&mut self.template, File::memory(path, bytes));
        self
    }

    /// Adds a file to the reference data.
    #[must_use]
    pub fn with_reference(mut self, path: impl Into<String>, bytes: impl Into<Vec<u8>>) -> Self {
        add(&mut self.reference, File::memory(path, bytes));
        self
    }

    /// Sets the parameters, a JSON object.
    #[must_use]
    pub fn with_params(mut self, json: impl Into<String>) -> Self {
        self.params = OnceCell::from(Params::new(json));
        self
    }

    /// The predictions, as they were handed in or as the participant's program left them; sorted by path.
    pub fn predictions(&self) -> &[File] {
        &self.handed_in().0
    }

    /// What is known of the run of the participant's program: a file `metadata` of YAML with `exitCode` and `elapsedTime`,
    /// in seconds. `None` when predictions were handed in as such.
    pub fn run(&self) -> Option<&File> {
        self.handed_in().1.as_ref()
    }

    fn handed_in(&self) -> &(Vec<File>, Option<File>) {
        self.predictions.get_or_init(|| apart(self.fetch(Tree::Predictions)))
    }

    /// The public sample submission; empty when the task names none.
    pub fn template(&self) -> &[File] {
        self.template.get_or_init(|| self.fetch(Tree::Template))
    }

    /// The hidden reference data, sorted by path; empty while validating.
    pub fn reference(&self) -> &[File] {
        self.reference.get_or_init(|| self.fetch(Tree::Reference))
    }

    /// The task's parameters for the scorer.
    pub fn params(&self) -> &Params {
        self.params.get_or_init(|| match self.origin {
            Origin::Memory => Params::default(),
            #[cfg(target_family = "wasm")]
            Origin::Host => Params::new(crate::guest::params()),
        })
    }

    fn fetch(&self, tree: Tree) -> Vec<File> {
        match (self.origin, tree) {
            (Origin::Memory, Tree::Predictions | Tree::Template | Tree::Reference) => Vec::new(),
            #[cfg(target_family = "wasm")]
            (Origin::Host, tree) => crate::guest::files(tree),
        }
    }
}

/// The predictions, and the file that the host puts beside what a program left. No participant can hand in one of its name.
fn apart(mut files: Vec<File>) -> (Vec<File>, Option<File>) {
    let run = files.iter().position(|file| file.path() == "metadata").map(|at| files.remove(at));
    (files, run)
}

fn add(cell: &mut OnceCell<Vec<File>>, file: File) {
    let mut files = cell.take().unwrap_or_default();
    files.push(file);
    files.sort_by(|a, b| a.path().cmp(b.path()));
    *cell = OnceCell::from(files);
}

/// A file, held by the host or by a test.
#[derive(Debug)]
pub struct File {
    path: String,
    size: u64,
    bytes: Bytes,
}

#[derive(Debug)]
enum Bytes {
    Memory(Vec<u8>),
    #[cfg(target_family = "wasm")]
    Host(crate::guest::HostFile),
}

impl File {
    /// A file for a test.
    pub fn memory(path: impl Into<String>, bytes: impl Into<Vec<u8>>) -> Self {
        let bytes = bytes.into();
        Self { path: path.into(), size: bytes.len() as u64, bytes: Bytes::Memory(bytes) }
    }

    #[cfg(target_family = "wasm")]
    pub(crate) fn host(path: String, size: u64, file: crate::guest::HostFile) -> Self {
        Self { path, size, bytes: Bytes::Host(file) }
    }

    /// Path inside its tree, with `/` between the names.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Length, in bytes.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The bytes from `offset` on: min(`len`, 1 MiB, what is left) of them; empty past the end.
    pub fn read_at(&self, offset: u64, len: u32) -> Vec<u8> {
        match &self.bytes {
            Bytes::Memory(bytes) => {
                let rest = usize::try_from(offset).ok().and_then(|start| bytes.get(start..)).unwrap_or_default();
                let len = rest.len().min(len as usize).min(1 << 20);
                rest.get(..len).unwrap_or_default().to_vec()
            }
            #[cfg(target_family = "wasm")]
            Bytes::Host(file) => file.read(offset, len),
        }
    }

    /// Reads from the start, a chunk at a time.
    pub fn reader(&self) -> Reader<'_> {
        Reader { file: self, offset: 0, chunk: Vec::new(), taken: 0 }
    }

    /// All of it, when it is no longer than `most` bytes.
    ///
    /// # Errors
    /// `InvalidData`, with its size and the bound, when it is longer.
    pub fn read_all(&self, most: u64) -> io::Result<Vec<u8>> {
        if self.size > most {
            let message = format!("`{}` has {} bytes; at most {most} are read", self.path, self.size);
            return Err(io::Error::new(io::ErrorKind::InvalidData, message));
        }
        let mut bytes = Vec::with_capacity(self.size as usize);
        self.reader().read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    /// All of it as text, when it is no longer than `most` bytes.
    ///
    /// # Errors
    /// `InvalidData`, saying why, when it is longer or not UTF-8.
    pub fn read_text(&self, most: u64) -> io::Result<String> {
        String::from_utf8(self.read_all(most)?).map_err(|_| {
            io::Error::new(io::ErrorKind::InvalidData, format!("`{}` is not UTF-8: save it as UTF-8", self.path))
        })
    }
}

/// Reads a file from the start; see [`File::reader`].
#[derive(Debug)]
pub struct Reader<'a> {
    file: &'a File,
    offset: u64,
    chunk: Vec<u8>,
    taken: usize,
}

impl BufRead for Reader<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.taken >= self.chunk.len() && self.offset < self.file.size {
            self.chunk = self.file.read_at(self.offset, CHUNK);
            self.taken = 0;
            self.offset += self.chunk.len() as u64;
        }
        Ok(self.chunk.get(self.taken..).unwrap_or_default())
    }

    fn consume(&mut self, amount: usize) {
        self.taken = self.taken.saturating_add(amount).min(self.chunk.len());
    }
}

impl Read for Reader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.fill_buf()?.read(buffer)?;
        self.consume(read);
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_sorted_and_read_in_bounds() {
        let data = Data::memory().with_prediction("b", *b"22").with_prediction("a", *b"1");
        let paths: Vec<_> = data.predictions().iter().map(File::path).collect();
        assert_eq!(paths, ["a", "b"]);
        assert!(data.reference().is_empty() && data.template().is_empty());
        let file = &data.predictions()[1];
        assert_eq!(file.read_at(1, 9), b"2");
        assert_eq!(file.read_at(2, 9), b"");
        assert_eq!(file.read_at(u64::MAX, 9), b"");
    }

    #[test]
    fn a_reader_crosses_chunks() {
        let bytes: Vec<u8> = (0..3 * CHUNK + 17).map(|at| at as u8).collect();
        let file = File::memory("x", bytes.clone());
        let mut read = Vec::new();
        file.reader().read_to_end(&mut read).unwrap();
        assert_eq!(read, bytes);
        assert_eq!(file.read_at(0, u32::MAX).len(), (3 * CHUNK + 17).min(1 << 20) as usize);
        assert!(file.read_all(10).unwrap_err().to_string().contains("at most 10"));
    }

    #[test]
    fn text_must_be_utf8() {
        assert_eq!(File::memory("x", "é").read_text(9).unwrap(), "é");
        assert!(File::memory("x", [0xff]).read_text(9).unwrap_err().to_string().contains("UTF-8"));
    }
}

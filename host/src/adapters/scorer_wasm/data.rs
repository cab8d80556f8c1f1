//! What a guest reads: files that the host holds, and the parameters.
//!
//! A handle is a number that says which file it is, so opening costs nothing and there is no table that could fill up.

use super::bindings::gradus::scoring::data::{Host, HostFile};
use super::bindings::gradus::scoring::types;
use super::limiter::Halt;
use super::run::State;
use gradus_core::ports::scorer::InputFile;
use wasmtime::Result;
use wasmtime::component::Resource;

/// The most that one call reads, bytes.
const CHUNK: u64 = 1 << 20;

/// Stands for a file in the types of handles; there is never a value.
#[derive(Debug)]
pub enum OpenFile {}

/// All that one run may read.
pub(super) struct Input {
    /// Predictions, template, reference.
    pub(super) trees: [Vec<InputFile>; 3],
    /// A JSON object.
    pub(super) params: String,
}

impl Input {
    /// How many files there are.
    pub(super) fn len(&self) -> usize {
        self.trees.iter().map(Vec::len).sum()
    }

    fn handles(&self, tree: u32) -> Result<Vec<Resource<OpenFile>>> {
        let count = u32::try_from(self.trees[tree as usize].len())?;
        Ok((0..count).map(|at| Resource::new_own(at * 3 + tree)).collect())
    }

    fn file(&self, handle: &Resource<OpenFile>) -> Result<&InputFile> {
        let rep = handle.rep();
        let file = self.trees[(rep % 3) as usize].get((rep / 3) as usize);
        file.ok_or_else(|| Halt::Platform("a file of the scorer's", None).into())
    }
}

/// Types only: nothing to call.
impl types::Host for State {}

impl Host for State {
    fn predictions(&mut self) -> Result<Vec<Resource<OpenFile>>> {
        self.input.handles(0)
    }

    fn template(&mut self) -> Result<Vec<Resource<OpenFile>>> {
        self.input.handles(1)
    }

    fn reference(&mut self) -> Result<Vec<Resource<OpenFile>>> {
        self.input.handles(2)
    }

    fn params(&mut self) -> Result<String> {
        Ok(self.input.params.clone())
    }
}

impl HostFile for State {
    fn path(&mut self, file: Resource<OpenFile>) -> Result<String> {
        Ok(self.input.file(&file)?.path.clone())
    }

    fn size(&mut self, file: Resource<OpenFile>) -> Result<u64> {
        Ok(self.input.file(&file)?.bytes.len())
    }

    fn read(&mut self, file: Resource<OpenFile>, offset: u64, len: u32) -> Result<Vec<u8>> {
        let source = &self.input.file(&file)?.bytes;
        let count = u64::from(len).min(CHUNK).min(source.len().saturating_sub(offset));
        let mut bytes = vec![0; usize::try_from(count)?];
        let mut at = 0;
        // The guest is promised exactly so many, and a source may give fewer.
        while at < bytes.len() {
            let got = source.read_at(offset + at as u64, &mut bytes[at..]);
            match got.map_err(|error| Halt::Platform("the scorer's data", Some(error.into())))? {
                0 => return Err(Halt::Platform("the scorer's data: a file is shorter than it was", None).into()),
                got => at += got,
            }
        }
        Ok(bytes)
    }

    fn drop(&mut self, _: Resource<OpenFile>) -> Result<()> {
        Ok(())
    }
}

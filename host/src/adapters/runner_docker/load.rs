//! Images that come with their run: loaded before it under a name of the run's, and removed after it.
//!
//! What the engine gets is written here, file by file: nothing of the participant's archive goes to it but the layers, as
//! plain tars that were looked through. So no name of an image of somebody else's can be taken over, and what is unpacked has
//! a bound. That bound is held against the disk while the engine unpacks, too.

use super::Shared;
use super::engine::{status, trouble};
use super::image::refused;
use crate::disk::free_space;
use crate::workspace::layers;
use bollard::errors::Error;
use bollard::query_parameters::{ImportImageOptions, ListImagesOptionsBuilder, RemoveImageOptions};
use bytes::Bytes;
use futures_util::StreamExt as _;
use gradus_core::domain::digest::Digest;
use gradus_core::domain::id::RunId;
use gradus_core::domain::run::ImageRef;
use gradus_core::ports::runner::{Ended, RefusalCode, Run, RunnerError, SavedImage};
use std::collections::HashMap;
use std::io::{self, ErrorKind, Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::Duration;
use tokio::sync::mpsc::Sender;

/// Bytes that go to the engine at once.
const PIECE: usize = 256 << 10;
/// The disk is looked at after so many bytes.
const LOOK: u64 = 32 << 20;
/// How long the engine has to take an image.
const PATIENCE: Duration = Duration::from_secs(1_800);
/// Between two looks at whether anybody still waits.
const PERIOD: Duration = Duration::from_millis(100);

impl Shared {
    /// What the names of images that came with runs begin with.
    fn images(&self) -> String {
        format!("gradus-{}", self.folders.owner)
    }

    /// The name of a run's image.
    fn image_name(&self, id: RunId) -> String {
        format!("{}:{id}", self.images())
    }

    /// Removes the image that came with a run. Whether there was one.
    pub(super) async fn remove_image(&self, id: RunId) -> Result<bool, RunnerError> {
        let removed = self.engine.docker.remove_image(&self.image_name(id), None::<RemoveImageOptions>, None).await;
        match removed {
            Ok(_) => Ok(true),
            Err(error) if status(&error) == Some(404) => Ok(false),
            Err(error) => Err(trouble("the engine did not remove an image")(error)),
        }
    }

    /// The runs of which there is an image.
    pub(super) async fn with_images(&self) -> Result<Vec<RunId>, RunnerError> {
        let of_ours = HashMap::from([("reference".to_owned(), vec![self.images()])]);
        let options = ListImagesOptionsBuilder::default().filters(&of_ours).build();
        let found = self.engine.docker.list_images(Some(options)).await;
        let found = found.map_err(trouble("the engine does not list its images"))?;
        let prefix = format!("{}:", self.images());
        let names = found.iter().flat_map(|image| &image.repo_tags);
        Ok(names.filter_map(|name| name.strip_prefix(&prefix)?.parse().ok()).collect())
    }
}

/// Has the engine take the image of `run`: its id there, or why it is not run. `None`: nobody waits any more.
pub(super) async fn load(
    shared: &Arc<Shared>,
    run: &Run,
    saved: &SavedImage,
    gone: &AtomicBool,
) -> Result<Option<Result<ImageRef, Ended>>, RunnerError> {
    let stopped = async {
        while !run.stop.load(SeqCst) && !gone.load(SeqCst) {
            tokio::time::sleep(PERIOD).await;
        }
    };
    tokio::select! {
        loaded = tokio::time::timeout(PATIENCE, loaded(shared, run.id, saved)) => {
            loaded.map_err(trouble("the engine did not take the image in its time"))?.map(Some)
        }
        () = stopped => Ok(None),
    }
}

async fn loaded(shared: &Arc<Shared>, id: RunId, saved: &SavedImage) -> Result<Result<ImageRef, Ended>, RunnerError> {
    let most = shared.settings.image;
    let image = saved.clone();
    let look = move || layers::look(&image.layers, &layers::limits(most));
    let lens = match tokio::task::spawn_blocking(look).await.map_err(trouble("looking at the image failed"))? {
        Ok(lens) => lens,
        Err(error) if error.is_ours() => return Err(trouble("the image could not be read")(error)),
        Err(error) => return Ok(Err(not_taken(&format!("its layers: {error}")))),
    };
    room(shared, lens.iter().sum())?;
    let (sender, mut receiver) = tokio::sync::mpsc::channel(4);
    let (here, image, name) = (Arc::clone(shared), saved.clone(), shared.image_name(id));
    let writer = tokio::task::spawn_blocking(move || {
        let mut sink = Sink { here, sender, piece: Vec::with_capacity(PIECE), since: 0 };
        let written = write(&image, &lens, &name, most, &mut sink);
        if let Err(error) = &written {
            // The engine sees an archive that breaks off.
            drop(sink.sender.blocking_send(Err(io::Error::new(error.kind(), "it broke off"))));
        }
        written
    });
    let body = futures_util::stream::poll_fn(move |context| receiver.poll_recv(context));
    let mut answers = shared.engine.docker.import_image_stream(ImportImageOptions::default(), body, None);
    let mut failed = None;
    while let Some(answer) = answers.next().await {
        if let Err(error) = answer {
            failed = Some(error);
            break;
        }
    }
    drop(answers);
    let written = writer.await.map_err(trouble("sending the image failed"))?;
    if let Some(error) = failed {
        let Error::DockerStreamError { error: said } = &error else {
            return match written {
                Err(full) if full.kind() == ErrorKind::StorageFull => Err(full_disk()),
                Ok(()) | Err(_) => Err(trouble("the engine did not take the image")(error)),
            };
        };
        if said.contains("no space left") || written.is_err() {
            return Err(trouble("the engine could not take the image")(error));
        }
        return Ok(Err(not_taken(&said.clone())));
    }
    written.map_err(trouble("the image could not be sent"))?;
    let found = shared.engine.docker.inspect_image(&shared.image_name(id)).await;
    let id = found.map_err(trouble("the engine lost the image"))?.id.unwrap_or_default();
    id.parse().map(Ok).map_err(trouble("the engine gave an image an id that is none"))
}

fn not_taken(why: &str) -> Ended {
    let shown: String = why.chars().filter(|c| !c.is_control()).take(300).collect();
    refused(RefusalCode::ImageRefused, format!("the image cannot be loaded: {shown}"))
}

fn full_disk() -> RunnerError {
    let what = "the disk is nearly full: there is no room for the image".to_owned();
    RunnerError { what, source: None }
}

/// Whether there is room for `more` bytes where the engine keeps its images.
fn room(shared: &Shared, more: u64) -> Result<(), RunnerError> {
    // Where it cannot be asked, the engine says it in the end.
    let free = free_space(&shared.engine.root).unwrap_or(u64::MAX);
    if free < more.saturating_add(shared.settings.reserve.0) { Err(full_disk()) } else { Ok(()) }
}

/// Writes the archive that the engine reads.
fn write(
    image: &SavedImage,
    lens: &[u64],
    name: &str,
    most: gradus_core::domain::units::Bytes,
    sink: &mut Sink,
) -> io::Result<()> {
    let mut archive = tar::Builder::new(sink);
    let config = format!("{}.json", Digest::of(&image.config).hex());
    let layer = |number: usize| format!("{number}.tar");
    let names: Vec<_> = (0..lens.len()).map(layer).collect();
    let manifest = serde_json::json!([{ "Config": config, "RepoTags": [name], "Layers": names }]).to_string();
    for (path, bytes) in [("manifest.json", manifest.as_bytes()), (&config, &image.config)] {
        archive.append_data(&mut header(bytes.len() as u64), path, bytes)?;
    }
    for ((layer, len), path) in image.layers.iter().zip(lens).zip(&names) {
        layers::open(&**layer, &layers::limits(most), |stream| {
            // Exactly so many, whatever the file has become since.
            archive.append_data(&mut header(*len), path, stream.take(*len))
        })?;
    }
    archive.into_inner()?.flush()
}

fn header(len: u64) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_size(len);
    header.set_mode(0o644);
    header
}

/// Sends what is written to the engine, in pieces, as long as there is room for what it makes of it.
struct Sink {
    here: Arc<Shared>,
    sender: Sender<io::Result<Bytes>>,
    piece: Vec<u8>,
    since: u64,
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.piece.extend_from_slice(bytes);
        if self.piece.len() >= PIECE {
            self.flush()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        let piece = std::mem::replace(&mut self.piece, Vec::with_capacity(PIECE));
        self.since += piece.len() as u64;
        if self.since >= LOOK {
            self.since = 0;
            room(&self.here, 0).map_err(|_| io::Error::from(ErrorKind::StorageFull))?;
        }
        // Nobody listens any more: the engine has said why, or the run is off.
        self.sender.blocking_send(Ok(piece.into())).map_err(|_| ErrorKind::BrokenPipe.into())
    }
}

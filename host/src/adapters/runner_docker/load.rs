//! Images that come with their run: loaded before it under a name of the run's, and removed after it.
//!
//! What the engine gets is written here, file by file: nothing of the participant's archive goes to it but the layers, as
//! plain tars that were looked through. So no name of an image of somebody else's can be taken over, and what is unpacked has
//! a bound. The disk is looked at before and while the engine unpacks, too.

use super::Shared;
use super::engine::{status, trouble};
use super::image::refused;
use crate::sink::Sink;
use crate::workspace::layers;
use crate::workspace::limits::ArchiveLimits;
use bollard::errors::Error;
use bollard::query_parameters::{ImportImageOptions, ListImagesOptionsBuilder, RemoveImageOptions};
use futures_util::StreamExt as _;
use gradus_core::domain::digest::Digest;
use gradus_core::domain::id::RunId;
use gradus_core::domain::run::ImageRef;
use gradus_core::ports::runner::{Ended, RefusalCode, Run, RunnerError, SavedImage};
use std::collections::HashMap;
use std::io::{self, Read as _, Write as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::Duration;

/// How long the engine has to take an image.
const PATIENCE: Duration = Duration::from_secs(1_800);
/// Between two looks at whether anybody still waits.
const PERIOD: Duration = Duration::from_millis(100);

impl Shared {
    /// What the names of images that came with runs begin with.
    pub(super) fn images(&self) -> String {
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

/// An image that was loaded.
pub(super) struct Loaded {
    /// Its id at the engine: this run's alone.
    pub(super) image: ImageRef,
    /// What is the same for whoever hands the same image in.
    pub(super) digest: String,
}

/// Has the engine take the image of `run`, or says why it is not run. `None`: nobody waits any more.
pub(super) async fn load(
    shared: &Arc<Shared>,
    run: &Run,
    saved: &SavedImage,
    gone: &AtomicBool,
) -> Result<Option<Result<Loaded, Ended>>, RunnerError> {
    tokio::select! {
        loaded = tokio::time::timeout(PATIENCE, loaded(shared, run.id, saved)) => {
            loaded.map_err(trouble("the engine did not take the image in its time"))?.map(Some)
        }
        () = stopped(run, gone) => Ok(None),
    }
}

/// Comes when nobody waits for the run any more.
pub(super) async fn stopped(run: &Run, gone: &AtomicBool) {
    while !run.stop.load(SeqCst) && !gone.load(SeqCst) {
        tokio::time::sleep(PERIOD).await;
    }
}

async fn loaded(shared: &Arc<Shared>, id: RunId, saved: &SavedImage) -> Result<Result<Loaded, Ended>, RunnerError> {
    let limits = layers::limits(shared.settings.image, PATIENCE);
    let (image, most) = (saved.clone(), limits.clone());
    let look = move || layers::look(&image.layers, &most);
    let lens = match tokio::task::spawn_blocking(look).await.map_err(trouble("looking at the image failed"))? {
        Ok(lens) => lens,
        Err(error) if error.is_ours() => return Err(trouble("the image could not be read")(error)),
        Err(error) => {
            return Ok(Err(refused(
                RefusalCode::ImageRefused,
                format!("the image cannot be loaded: its layers: {error}"),
            )));
        }
    };
    // One at a time: what each needs of the disk is seen by the next.
    let _turn = shared.loading.lock().await;
    // The engine keeps what it is sent until all of it is unpacked.
    room(shared, 2 * lens.iter().sum::<u64>())?;
    let config = own(&saved.config, id)?;
    let (sender, mut receiver) = tokio::sync::mpsc::channel(4);
    let (image, layers_len, name) = (SavedImage { config, ..saved.clone() }, lens, shared.image_name(id));
    let writer = tokio::task::spawn_blocking(move || {
        let mut sink = Sink::new(sender);
        let written = write(&image, &layers_len, &name, &limits, &mut sink);
        if let Err(error) = &written {
            // The engine sees an archive that breaks off.
            sink.break_off(error.kind());
        }
        written
    });
    let body = futures_util::stream::poll_fn(move |context| receiver.poll_recv(context));
    // It answers when it has unpacked all.
    let docker = shared.engine.docker.clone().with_timeout(PATIENCE);
    let answered = async {
        let mut answers = docker.import_image_stream(ImportImageOptions::default(), body, None);
        while let Some(answer) = answers.next().await {
            answer?;
        }
        Ok::<_, Error>(())
    };
    let filled = async {
        while room(shared, 0).is_ok() {
            tokio::time::sleep(PERIOD).await;
        }
    };
    let answered = tokio::select! {
        answered = answered => answered,
        () = filled => return Err(full_disk()),
    };
    let written = writer.await.map_err(trouble("sending the image failed"))?;
    match answered {
        Ok(()) => {}
        // What it says may be a name in the image: how the disk is tells whose doing it is.
        Err(error @ Error::DockerStreamError { .. }) if written.is_ok() && room(shared, 0).is_ok() => {
            tracing::info!(run = %id, %error, "the engine does not take an image that was handed in");
            let text = "the image cannot be loaded: the container engine does not take it; build and save it again";
            return Ok(Err(refused(RefusalCode::ImageRefused, text)));
        }
        Err(error) => return Err(trouble("the engine did not take the image")(error)),
    }
    written.map_err(trouble("the image could not be sent"))?;
    let found = shared.engine.docker.inspect_image(&shared.image_name(id)).await;
    let found = found.map_err(trouble("the engine lost the image"))?.id.unwrap_or_default();
    let image = found.parse().map_err(trouble("the engine gave an image an id that is none"))?;
    Ok(Ok(Loaded { image, digest: Digest::of(&saved.config).to_string() }))
}

/// `config` made this run's: two runs of one image have two, so that none is removed under another.
fn own(config: &[u8], id: RunId) -> Result<Vec<u8>, RunnerError> {
    let wrong = trouble("the image's configuration cannot be read");
    let mut config: serde_json::Value = serde_json::from_slice(config).map_err(wrong)?;
    config["comment"] = id.to_string().into();
    Ok(config.to_string().into_bytes())
}

fn full_disk() -> RunnerError {
    let what = "the disk is nearly full: there is no room for the image".to_owned();
    RunnerError { what, source: None }
}

/// Free bytes and files of each file system where the engine keeps images. Where it cannot be asked, the engine says it in
/// the end.
pub(super) fn free(shared: &Shared) -> Vec<(u64, u64)> {
    let stats = shared.engine.roots.iter().map(rustix::fs::statvfs);
    stats.flatten().map(|stat| (stat.f_bavail.saturating_mul(stat.f_frsize), stat.f_favail)).collect()
}

/// Whether there is room for `more` bytes where the engine keeps its images, and for files.
pub(super) fn room(shared: &Shared, more: u64) -> Result<(), RunnerError> {
    for stat in shared.engine.roots.iter().flat_map(rustix::fs::statvfs) {
        let free = stat.f_bavail.saturating_mul(stat.f_frsize);
        // Some file systems have no number of files.
        let files = stat.f_files == 0 || stat.f_favail > stat.f_files / 50;
        if free < more.saturating_add(shared.settings.reserve.0) || !files {
            return Err(full_disk());
        }
    }
    Ok(())
}

/// Writes the archive that the engine reads.
fn write(image: &SavedImage, lens: &[u64], name: &str, limits: &ArchiveLimits, sink: &mut Sink) -> io::Result<()> {
    let mut archive = tar::Builder::new(sink);
    let config = format!("{}.json", Digest::of(&image.config).hex());
    let layer = |number: usize| format!("{number}.tar");
    let names: Vec<_> = (0..lens.len()).map(layer).collect();
    let manifest = serde_json::json!([{ "Config": config, "RepoTags": [name], "Layers": names }]).to_string();
    for (path, bytes) in [("manifest.json", manifest.as_bytes()), (&config, &image.config)] {
        archive.append_data(&mut header(bytes.len() as u64), path, bytes)?;
    }
    for ((layer, len), path) in image.layers.iter().zip(lens).zip(&names) {
        layers::open(&*layer.bytes, limits, |stream| {
            // Exactly so many, whatever the file has become since.
            archive.append_data(&mut header(*len), path, stream.take(*len))
        })?;
    }
    archive.into_inner()?.flush()
}

fn header(len: u64) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(tar::EntryType::Regular);
    header.set_size(len);
    header.set_mode(0o644);
    header
}

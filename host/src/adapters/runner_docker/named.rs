//! Images that participants name: fetched for their run from where the operator lets them push, and removed after it.
//!
//! What is fetched gets a name of the run's and loses the one that it came by, so that it goes as an image does that came
//! with its run. One that the engine had before stays. The disk is looked at while the engine fetches and unpacks: what an
//! image is unpacked, nobody knows before.

use super::engine::{status, trouble};
use super::image::refused;
use super::load::{Loaded, free, room};
use super::registry::Fetched;
use super::{Registry, Shared};
use crate::workspace::layers;
use bollard::query_parameters::{
    ContainerArchiveInfoOptionsBuilder, ListImagesOptionsBuilder, RemoveImageOptions, TagImageOptionsBuilder,
};
use gradus_core::domain::id::ChallengeId;
use gradus_core::domain::run::{ImageName, ImageRef};
use gradus_core::ports::runner::{BadImage, Ended, RefusalCode, Run, RunnerError};
use std::sync::Arc;
use std::time::Duration;

/// How long a registry has to say whether it has an image, while somebody waits at the door.
const AT_THE_DOOR: Duration = Duration::from_secs(10);
/// How long fetching one may take: others wait for their turn.
const PATIENCE: Duration = Duration::from_secs(600);
/// It was there at the door.
const DENIED: &str =
    "the registry of the image does not show it to this server now; it is asked again from time to time";
/// What the engine opens before it starts a container, and its size at most; bytes.
const OPENED: [&str; 2] = ["/etc/passwd", "/etc/group"];
const MAX_OPENED: i64 = 1 << 20;
/// Links from one to the next, at most.
const MAX_LINKS: u32 = 8;
/// Bits of a mode as Go has it: a link, and everything that is no file.
const LINK: u32 = 1 << 27;
const KINDS: u32 = 1 << 31 | LINK | 1 << 26 | 1 << 25 | 1 << 24 | 1 << 21 | 1 << 19;
/// Of the disk, as many times what an image may be as fetching one may take: the archive and what is in it.
const SHARE: u64 = 2;

impl Shared {
    /// Why participants of `challenge` may not name `image`.
    fn not_allowed(&self, image: &ImageRef, challenge: Option<&ChallengeId>) -> Option<BadImage> {
        let name = image.as_str();
        // What it is fetched with says what may be named.
        if self.registry(name, challenge).is_some_and(|registry| registry.is_for_participants(name)) {
            return None;
        }
        let ours = |registry: &&Registry| {
            registry.challenges.is_empty() || challenge.is_some_and(|id| registry.challenges.contains(id))
        };
        let known: Vec<_> = self.settings.registries.iter().filter(ours).flat_map(Registry::for_participants).collect();
        let text = if known.is_empty() {
            "images are not taken by their names here; hand in the file that `docker save` writes".to_owned()
        } else {
            let known = known.join("…` or `");
            format!("images are taken from `{known}…`; push it there, and name it as it is named there")
        };
        Some(BadImage { code: RefusalCode::ImageNotAllowed, text })
    }

    /// Whether `image` may be run, by what is known without fetching it.
    pub(super) async fn may_name(
        &self,
        image: &ImageRef,
        challenge: Option<&ChallengeId>,
    ) -> Result<Result<(), BadImage>, RunnerError> {
        if let Some(bad) = self.not_allowed(image, challenge) {
            return Ok(Err(bad));
        }
        let name: ImageName = image.as_str().parse().map_err(trouble("an image has no name"))?;
        // Once: somebody waits at the door, or holds a place that others wait for.
        let asked = tokio::time::timeout(AT_THE_DOOR, self.at_registry(&name, challenge, 1));
        let found = asked.await.map_err(trouble("a registry did not answer in its time"))??;
        Ok(found.unwrap_or_else(|| Ok(image.clone())).map(drop))
    }

    /// Removes images that were fetched for runs of which nothing is left. Whether there was one.
    pub(super) async fn sweep_named(&self) -> Result<bool, RunnerError> {
        // Whoever fetches one has it without a name of the run's for a moment.
        let Ok(_turn) = self.fetching.try_lock() else { return Ok(false) };
        if self.settings.registries.iter().all(|registry| registry.participants.is_empty()) {
            return Ok(false);
        }
        let found =
            self.engine.docker.list_images(Some(ListImagesOptionsBuilder::default().digests(true).build())).await;
        let found = found.map_err(trouble("the engine does not list its images"))?;
        let of_participants = |name: &str| self.settings.registries.iter().any(|from| from.is_for_participants(name));
        let mut any = false;
        for image in found {
            // What has a name of its own, somebody wants.
            if image.repo_tags.iter().any(|tag| !tag.starts_with("<none>")) {
                continue;
            }
            let names = image.repo_digests.iter().filter_map(|name| name.parse::<ImageRef>().ok());
            for name in names.filter(|name| of_participants(name.as_str())) {
                any |= self.forget(name.as_str()).await?;
            }
        }
        Ok(any)
    }

    /// Takes an image's name away, and removes it if it has no other.
    pub(super) async fn forget(&self, image: &str) -> Result<bool, RunnerError> {
        let removed = self.engine.docker.remove_image(image, None::<RemoveImageOptions>, None).await;
        match removed {
            Ok(_) => Ok(true),
            // A container is of it, or it went by itself.
            Err(bollard::errors::Error::DockerResponseServerError { status_code: 404 | 409, .. }) => Ok(false),
            Err(error) => Err(trouble("the engine did not remove an image")(error)),
        }
    }
}

/// Has the engine fetch `image` for a run, if it does not have it; or says why it is not run.
pub(super) async fn named(
    shared: &Arc<Shared>,
    run: &Run,
    image: &ImageRef,
) -> Result<Result<Loaded, Ended>, RunnerError> {
    let challenge = run.challenge.as_ref();
    if let Some(BadImage { code, text }) = shared.not_allowed(image, challenge) {
        return Ok(Err(refused(code, text)));
    }
    let _turn = shared.fetching.lock().await;
    let docker = &shared.engine.docker;
    let had = match docker.inspect_image(image.as_str()).await {
        Err(error) if status(&error) == Some(404) => false,
        found => found.map(|_| true).map_err(trouble("an image could not be looked at"))?,
    };
    // What the engine has, it may have from another challenge's.
    if !had || shared.gives_some_more(image.as_str()) {
        // An image may be why it cannot be fetched; a registry that does not even say whether it has it, is why itself.
        match shared.may_name(image, challenge).await {
            Ok(Ok(())) => {}
            Ok(Err(BadImage { code: RefusalCode::RegistryAway, .. })) => {
                return Ok(Err(refused(RefusalCode::RegistryAway, DENIED)));
            }
            Ok(Err(BadImage { code, text })) => return Ok(Err(refused(code, text))),
            Err(error) => {
                tracing::warn!(image = image.as_str(), error = %gradus_core::ports::chain(&error), "an image waits");
                let text = "the registry of the image does not answer; it is asked again from time to time";
                return Ok(Err(refused(RefusalCode::RegistryAway, text)));
            }
        }
    }
    if !had && let Err(ended) = fetched(shared, image, challenge, PATIENCE).await? {
        return Ok(Err(ended));
    }
    let found = docker.inspect_image(image.as_str()).await.map_err(trouble("the engine lost an image"))?;
    let (size, most) = (u64::try_from(found.size.unwrap_or_default()).unwrap_or_default(), shared.settings.image.0);
    if size > most {
        if !had {
            shared.forget(image.as_str()).await?;
        }
        let text = format!("the image has {size} bytes unpacked; {most} at most");
        return Ok(Err(refused(RefusalCode::ImageTooBig, text)));
    }
    let tag = run.id.to_string();
    let options = TagImageOptionsBuilder::default().repo(&shared.images()).tag(&tag).build();
    let tagged = docker.tag_image(image.as_str(), Some(options)).await;
    tagged.map_err(trouble("the engine gave an image no name"))?;
    if !had {
        shared.forget(image.as_str()).await?;
    }
    let own = found.id.unwrap_or_default().parse().map_err(trouble("the engine gave an image an id that is none"))?;
    Ok(Ok(Loaded { image: own, digest: image.to_string() }))
}

/// Whether the engine can start a container of an image into which nobody has looked: what it opens itself are files, and
/// no pipes on which it would wait for ever.
pub(super) async fn is_plain(shared: &Shared, container: &str) -> Result<(), Ended> {
    for file in OPENED {
        if !is_file(shared, container, file).await {
            let text = format!("the image has a `{file}` that is no file, or too big a one; build it without");
            return Err(refused(RefusalCode::ImageRefused, text));
        }
    }
    Ok(())
}

/// Whether `path` in a container that was made and not started is a file of a moderate size, or is not there.
async fn is_file(shared: &Shared, container: &str, path: &str) -> bool {
    let docker = shared.engine.docker.clone().with_timeout(AT_THE_DOOR);
    let mut path = path.to_owned();
    for _ in 0..MAX_LINKS {
        let options = ContainerArchiveInfoOptionsBuilder::default().path(&path).build();
        match docker.get_container_archive_info(container, Some(options)).await {
            Ok(stat) if stat.file_mode & LINK != 0 => path = stat.link_target,
            Ok(stat) => return stat.file_mode & KINDS == 0 && stat.size <= MAX_OPENED,
            Err(error) => return status(&error) == Some(404),
        }
    }
    false
}

/// Whether more went from one of some disks than one image may take; each has so many free bytes and inodes.
fn too_much(before: &[(u64, u64)], now: &[(u64, u64)], bytes: u64) -> bool {
    let took = |before: u64, now: u64| before.saturating_sub(now);
    let mut disks = before.iter().zip(now);
    disks.any(|(before, now)| took(before.0, now.0) > bytes || took(before.1, now.1) > layers::INODES as u64)
}

/// Fetches it within its share of the disk, and within `patience`.
pub(super) async fn fetched(
    shared: &Arc<Shared>,
    image: &ImageRef,
    challenge: Option<&ChallengeId>,
    patience: Duration,
) -> Result<Result<(), Ended>, RunnerError> {
    let most = shared.settings.image.0;
    let before = free(shared);
    let bytes = most.saturating_mul(SHARE).saturating_add(shared.settings.reserve.0);
    let filled = async {
        loop {
            tokio::time::sleep(super::registry::PERIOD).await;
            if too_much(&before, &free(shared), bytes) || room(shared, 0).is_err() {
                return;
            }
        }
    };
    let fetched = tokio::select! {
        fetched = tokio::time::timeout(patience, shared.fetch_now(image, challenge, Some(most))) => match fetched {
            Ok(fetched) => fetched,
            Err(_) => {
                let text = format!("the image was not fetched and unpacked within {} s", patience.as_secs());
                return Ok(Err(refused(RefusalCode::NotStarted, text)));
            }
        },
        // Others write there, too: it counts as one try.
        () = filled => {
            let text = "the image is too big or has too many files, or others fill the server's disk: it was not fetched";
            return Ok(Err(refused(RefusalCode::NotStarted, text)));
        }
    };
    match fetched {
        Ok(Fetched::Here) => Ok(Ok(())),
        Ok(Fetched::Missing) => {
            Ok(Err(refused(RefusalCode::ImageMissing, format!("its registry has no image {image}"))))
        }
        Ok(Fetched::Denied) => Ok(Err(refused(RefusalCode::RegistryAway, DENIED))),
        Ok(Fetched::TooBig) => {
            let text = format!("the image has more than {most} bytes, packed; as much is taken at most");
            Ok(Err(refused(RefusalCode::ImageTooBig, text)))
        }
        Err(error) => {
            tracing::info!(image = image.as_str(), error = %gradus_core::ports::chain(&error), "an image is not fetched");
            let text = "the container engine could not fetch the image, though its registry has it";
            Ok(Err(refused(RefusalCode::NotStarted, text)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_that_takes_too_much_of_a_disk_is_seen() {
        let files = layers::INODES as u64;
        let before = [(1_000, 2 * files), (50, files)];
        for (now, too_much_now) in [
            (before, false),
            ([(900, files), (50, files)], false),
            ([(899, 2 * files), (50, files)], true),
            ([(1_000, files - 1), (50, files)], true),
            // Somebody made room meanwhile.
            ([(2_000, 3 * files), (51, files)], false),
            ([(1_000, 2 * files), (50, 0)], false),
        ] {
            assert_eq!(too_much(&before, &now, 100), too_much_now, "{now:?}");
        }
        assert!(too_much(&[(50, files + 1)], &[(50, 0)], 100));
    }
}

//! Looks an image over before a container is made of it: what it asks for that no run gets.
//!
//! Where it comes from if the engine does not have it, is `registry`'s matter.

use super::Shared;
use super::engine::{status, trouble};
use super::registry::TRIES;
use bollard::models::ImageConfig;
use gradus_core::domain::id::ChallengeId;
use gradus_core::domain::run::{ImageName, ImageRef};
use gradus_core::ports::runner::{BadImage, Ended, ImageFacts, RefusalCode, RunnerError};

/// An image that may be run.
#[derive(Debug)]
pub(super) struct Image {
    /// As it was asked for.
    pub(super) name: ImageRef,
    /// Its id.
    pub(super) id: Option<String>,
    /// Its variables.
    pub(super) environment: Vec<String>,
    /// The names of its labels.
    pub(super) labels: Vec<String>,
}

pub(super) fn refused(code: RefusalCode, text: impl Into<String>) -> Ended {
    Ended::Refused { code, text: text.into() }
}

/// What `name` stands for now, if a program can be run in it: at the engine, or at its registry.
pub(super) async fn pin(
    shared: &Shared,
    name: &ImageName,
    challenge: Option<&ChallengeId>,
) -> Result<Result<ImageRef, BadImage>, RunnerError> {
    // Also what the engine has: it was fetched for those whose it is.
    if let Some(bad) = shared.of_others(name.as_str(), challenge) {
        return Ok(Err(bad));
    }
    let engine = &shared.engine;
    let found = match engine.docker.inspect_image(name.as_str()).await {
        Err(error) if status(&error) == Some(404) => {
            if let Some(pinned) = shared.at_registry(name, challenge, TRIES).await? {
                return Ok(pinned);
            }
            let text = format!(
                "the container engine has no image `{name}`, and its registry is none of `[[runner.registries]]`; build or \
                 load it there first"
            );
            return Ok(Err(BadImage { code: RefusalCode::ImageMissing, text }));
        }
        other => other.map_err(trouble("the image could not be looked at"))?,
    };
    let names = [found.repo_tags, found.repo_digests.clone()].into_iter().flatten().flatten();
    if let Some(bad) = shared.is_of_others(&names.collect::<Vec<_>>(), challenge).await? {
        return Ok(Err(bad));
    }
    let (config, machine) = (found.config.unwrap_or_default(), found.architecture.unwrap_or_default());
    if let Some(bad) = refusal(&config, &machine, &engine.architecture, true) {
        return Ok(Err(bad));
    }
    // By what it can be fetched again, if it can be.
    if let Some(pinned) = shared.by_digest(name, challenge, found.repo_digests.as_deref().unwrap_or_default()) {
        return Ok(Ok(pinned));
    }
    let id = found.id.unwrap_or_default();
    id.parse().map(Ok).map_err(trouble("the engine gave an image an id that is none"))
}

/// The image, fetched if it is not here and may be; or why it is refused.
pub(super) async fn look(
    shared: &Shared,
    image: &ImageRef,
    challenge: Option<&ChallengeId>,
    has_command: bool,
) -> Result<Result<Image, Ended>, RunnerError> {
    let engine = &shared.engine;
    let mut found = engine.docker.inspect_image(image.as_str()).await;
    if found.as_ref().is_err_and(|error| status(error) == Some(404)) && shared.fetch(image, challenge).await? {
        found = engine.docker.inspect_image(image.as_str()).await;
    }
    let found = match found {
        Err(error) if status(&error) == Some(404) => return Ok(Err(missing(image))),
        other => other.map_err(trouble("the image could not be looked at"))?,
    };
    let config = found.config.unwrap_or_default();
    let machine = found.architecture.unwrap_or_default();
    if let Some(BadImage { code, text }) = refusal(&config, &machine, &engine.architecture, has_command) {
        return Ok(Err(refused(code, text)));
    }
    let labels = config.labels.unwrap_or_default().into_keys().collect();
    Ok(Ok(Image { name: image.clone(), id: found.id, environment: config.env.unwrap_or_default(), labels }))
}

pub(super) fn missing(image: &ImageRef) -> Ended {
    refused(RefusalCode::ImageMissing, format!("the image {image} is not on the server's engine"))
}

fn refusal(config: &ImageConfig, machine: &str, here: &str, has_command: bool) -> Option<BadImage> {
    let empty = |words: &Option<Vec<String>>| words.as_deref().unwrap_or_default().is_empty();
    let starts = has_command || !(empty(&config.entrypoint) && empty(&config.cmd));
    let workdir = if has_command { "" } else { config.working_dir.as_deref().unwrap_or_default() };
    let volumes = config.volumes.clone().unwrap_or_default();
    ImageFacts { architecture: machine, volumes, workdir, starts }.refusal(here)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_run_gets_is_refused() {
        let plain = ImageConfig { cmd: Some(vec!["/run".to_owned()]), ..ImageConfig::default() };
        assert_eq!(refusal(&plain, "amd64", "amd64", false), None);
        let code = |config: &ImageConfig, machine, command| refusal(config, machine, "amd64", command).unwrap().code;
        assert_eq!(code(&plain, "arm64", false), RefusalCode::WrongArchitecture);
        let volume = ImageConfig { volumes: Some(vec!["/data".to_owned()]), ..plain };
        assert_eq!(code(&volume, "amd64", true), RefusalCode::ImageRefused);
        let start = Some(vec!["/run".to_owned()]);
        let inside =
            ImageConfig { working_dir: Some("/proc/self/fd/8".to_owned()), cmd: start, ..ImageConfig::default() };
        assert_eq!(code(&inside, "amd64", false), RefusalCode::ImageRefused);
        assert_eq!(refusal(&inside, "amd64", "amd64", true), None, "its command has its own");
        assert_eq!(code(&ImageConfig::default(), "amd64", false), RefusalCode::NoEntryPoint);
        assert_eq!(refusal(&ImageConfig::default(), "amd64", "amd64", true), None);
    }
}

//! Registries that images may be fetched from: which, with what credentials, and how.
//!
//! A name becomes a digest when a challenge is published, by asking the registry; the image itself comes when a run needs it
//! and the engine does not have it. Credentials go to the engine with the request, and into no container, log or error.

use super::Shared;
use super::engine::{status, trouble};
use super::load::room;
use bollard::auth::DockerCredentials;
use bollard::errors::Error;
use bollard::models::CreateImageInfo;
use bollard::query_parameters::{CreateImageOptionsBuilder, ListImagesOptionsBuilder, TagImageOptionsBuilder};
use futures_util::StreamExt as _;
use gradus_core::domain::id::ChallengeId;
use gradus_core::domain::run::{ImageName, ImageRef};
use gradus_core::ports::runner::{BadImage, RefusalCode, RunnerError};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::time::{Duration, Instant};

/// The registry of names without one.
const USUAL: &str = "docker.io";
/// How long fetching an image may take.
const PATIENCE: Duration = Duration::from_secs(1_800);
/// How often a registry that does not answer well is asked, and the first pause in between.
pub(super) const TRIES: u32 = 3;
const PAUSE: Duration = Duration::from_secs(1);
/// How far it is, is told this often.
const TELL: Duration = Duration::from_secs(10);
/// Between two looks at the disk.
pub(super) const PERIOD: Duration = Duration::from_millis(200);

/// A registry.
#[derive(Clone)]
pub struct Registry {
    /// Its name, with its port if it has one: as images are named.
    pub host: String,
    /// Who we are there, and the password.
    pub credentials: Option<(String, String)>,
    /// What the names begin with, after the registry's, of images that participants may name.
    pub participants: Vec<String>,
    /// The challenges that it is for; all unless there are some.
    pub challenges: Vec<ChallengeId>,
}

/// What came of fetching an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fetched {
    /// The engine has it.
    Here,
    /// It may not be fetched, or is not there.
    Missing,
    /// The registry does not show it to us.
    Denied,
    /// It has more bytes, packed, than allowed.
    TooBig,
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let named = self.credentials.is_some();
        f.debug_struct("Registry").field("host", &self.host).field("has_credentials", &named).finish()
    }
}

/// The registry that an image's name begins with.
fn host(name: &str) -> &str {
    match name.split_once('/') {
        Some((first, _)) if first.contains(['.', ':']) || first == "localhost" => first,
        Some(_) | None => USUAL,
    }
}

/// A name without its tag and digest.
fn repository(name: &str) -> &str {
    let name = name.split_once('@').map_or(name, |(name, _)| name);
    match name.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => name,
        Some(_) | None => name,
    }
}

/// What a registry says of an image that it does not give.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Not {
    /// It has none.
    There,
    /// It does not show it to us, or has none.
    Shown,
}

fn not(error: &Error) -> Option<Not> {
    const THERE: [&str; 2] = ["manifest unknown", "not found"];
    const SHOWN: [&str; 4] =
        ["access denied", "access to the resource is denied", "unauthorized", "authentication required"];
    let (status, text) = if let Error::DockerResponseServerError { status_code, message } = error {
        (*status_code, message)
    } else if let Error::DockerStreamError { error } = error {
        (0, error)
    } else {
        return None;
    };
    let says = |words: &[&str]| words.iter().any(|words| text.contains(words));
    if matches!(status, 401 | 403) || says(&SHOWN) {
        return Some(Not::Shown);
    }
    (status == 404 || says(&THERE)).then_some(Not::There)
}

impl Shared {
    /// The registry of an image, if images may be fetched from there for `challenge`: the one that is its own, or one that
    /// is for all.
    pub(super) fn registry(&self, name: &str, challenge: Option<&ChallengeId>) -> Option<&Registry> {
        let host = host(name);
        let here = || self.settings.registries.iter().filter(|registry| registry.host == host);
        let own = |registry: &&Registry| challenge.is_some_and(|id| registry.challenges.contains(id));
        here().find(own).or_else(|| here().find(|registry| registry.challenges.is_empty()))
    }

    /// Why `challenge` has nothing from where `name` is, if that is for others.
    pub(super) fn of_others(&self, name: &str, challenge: Option<&ChallengeId>) -> Option<BadImage> {
        let host = host(name);
        let known = self.settings.registries.iter().any(|registry| registry.host == host);
        (known && self.registry(name, challenge).is_none()).then(|| BadImage {
            code: RefusalCode::ImageNotAllowed,
            text: format!("the registry `{host}` is for other challenges here; ask the operator"),
        })
    }

    /// Whether an image's registry gives some challenges more than others.
    pub(super) fn gives_some_more(&self, name: &str) -> bool {
        let host = host(name);
        self.settings.registries.iter().any(|registry| registry.host == host && registry.is_of_some())
    }

    /// Why `challenge` may not have an image that the engine has under `names`, if all of them are from registries that give
    /// others more than it: it may have been fetched for these, and an id tells nothing of that. So the registry is asked.
    pub(super) async fn is_of_others(
        &self,
        names: &[String],
        challenge: Option<&ChallengeId>,
    ) -> Result<Option<BadImage>, RunnerError> {
        let ours = |name: &str| repository(name) == self.images() || repository(name) == self.kept();
        let mut bad = None;
        for name in names.iter().filter(|name| !ours(name)) {
            let own = || self.registry(name, challenge).is_some_and(Registry::is_of_some);
            if !self.gives_some_more(name) || own() {
                return Ok(None);
            }
            let of_others = match self.of_others(name, challenge) {
                None => match name.parse() {
                    Ok(name) => self.at_registry(&name, challenge, TRIES).await?.and_then(Result::err),
                    Err(_) => continue,
                },
                of_others => of_others,
            };
            let Some(of_others) = of_others else { return Ok(None) };
            bad = bad.or(Some(of_others));
        }
        Ok(bad)
    }

    /// `name` by its digest, if its registry is one that images may be fetched from, and by what the engine says that it had
    /// from there.
    pub(super) fn by_digest(
        &self,
        name: &ImageName,
        challenge: Option<&ChallengeId>,
        had: &[String],
    ) -> Option<ImageRef> {
        let repository = repository(name.as_str());
        self.registry(name.as_str(), challenge)?;
        had.iter().find(|had| self::repository(had) == repository)?.parse().ok()
    }

    /// What `name` stands for at its registry now. `None`: images may not be fetched from there.
    pub(super) async fn at_registry(
        &self,
        name: &ImageName,
        challenge: Option<&ChallengeId>,
        most_tries: u32,
    ) -> Result<Option<Result<ImageRef, BadImage>>, RunnerError> {
        let Some(registry) = self.registry(name.as_str(), challenge) else { return Ok(None) };
        if self.engine.podman {
            let text = "Podman's service does not ask registries what they have; load the image there first";
            return Ok(Some(Err(BadImage { code: RefusalCode::ImageNotAllowed, text: text.to_owned() })));
        }
        let mut tries = 0;
        let found = loop {
            let found = self.engine.docker.inspect_registry_image(name.as_str(), registry.credentials()).await;
            match found {
                Err(error) if not(&error).is_none() && tries + 1 < most_tries => {
                    tokio::time::sleep(PAUSE * 4_u32.pow(tries)).await;
                    tries += 1;
                }
                found => break found,
            }
        };
        let found = match found {
            Ok(found) => found,
            Err(error) => {
                let code = match not(&error) {
                    Some(Not::There) => RefusalCode::ImageMissing,
                    Some(Not::Shown) => RefusalCode::RegistryAway,
                    None => {
                        return Err(trouble(format!("the registry `{}` did not answer well", registry.host))(error));
                    }
                };
                let text = format!(
                    "the registry `{}` has no image `{name}`, or does not show it to this server; push it there, or ask \
                     the operator for access",
                    registry.host
                );
                return Ok(Some(Err(BadImage { code, text })));
            }
        };
        let digest = found.descriptor.digest.unwrap_or_default();
        let pinned = format!("{}@{digest}", repository(name.as_str())).parse();
        Ok(Some(Ok(pinned.map_err(trouble("the registry gave an image a digest that is none"))?)))
    }

    /// Has the engine fetch `image` for a task. `false`: it may not be fetched, or is not there.
    pub(super) async fn fetch(&self, image: &ImageRef, challenge: Option<&ChallengeId>) -> Result<bool, RunnerError> {
        let name = image.as_str();
        // One at a time; who waits for the same finds it there.
        let _turn = self.fetching.lock().await;
        self.name_what_was_fetched().await?;
        if self.engine.docker.inspect_image(name).await.is_ok() {
            return Ok(true);
        }
        // Whoever starts after us knows of it, should we be killed before it has a name.
        self.folders.begin_fetching(name).map_err(trouble("the folder for runs could not be written to"))?;
        let here = self.fetch_now(image, challenge, None).await? == Fetched::Here;
        self.name_what_was_fetched().await?;
        Ok(here)
    }

    /// Gives the image that was last fetched for a task a name of ours, by which it is found again when none needs it any
    /// more.
    async fn name_what_was_fetched(&self) -> Result<(), RunnerError> {
        let name = self.folders.fetching().map_err(trouble("the folder for runs could not be read"))?;
        let Some((name, (_, tag))) = name.as_deref().and_then(|name| Some((name, name.rsplit_once(':')?))) else {
            return Ok(());
        };
        let options = TagImageOptionsBuilder::default().repo(&self.kept()).tag(tag).build();
        match self.engine.docker.tag_image(name, Some(options)).await {
            // It never came, or has gone.
            Err(error) if status(&error) == Some(404) => Ok(()),
            tagged => tagged.map_err(trouble("the engine gave an image no name")),
        }
    }

    /// The same, in its turn; of `most` bytes, packed.
    pub(super) async fn fetch_now(
        &self,
        image: &ImageRef,
        challenge: Option<&ChallengeId>,
        most: Option<u64>,
    ) -> Result<Fetched, RunnerError> {
        let name = image.as_str();
        let Some(registry) = self.registry(name, challenge).filter(|_| name.contains('@')) else {
            return Ok(Fetched::Missing);
        };
        for tried in 0..TRIES {
            match tokio::time::timeout(PATIENCE, self.fetched(name, registry, most)).await {
                Ok(Ok(true)) => return Ok(Fetched::Here),
                Ok(Ok(false)) => return Ok(Fetched::TooBig),
                Ok(Err(error)) if not(&error) == Some(Not::There) => return Ok(Fetched::Missing),
                Ok(Err(error)) if not(&error) == Some(Not::Shown) => return Ok(Fetched::Denied),
                Ok(Err(error)) if tried + 1 == TRIES => {
                    return Err(trouble(format!("an image was not fetched from `{}`", registry.host))(error));
                }
                Ok(Err(_)) => tokio::time::sleep(PAUSE * 4_u32.pow(tried)).await,
                Err(late) => {
                    return Err(trouble(format!("`{}` did not give an image in its time", registry.host))(late));
                }
            }
            room(self, 0)?;
        }
        Ok(Fetched::Missing)
    }

    /// `false`: it has more than `most` bytes.
    async fn fetched(&self, name: &str, registry: &Registry, most: Option<u64>) -> Result<bool, Error> {
        tracing::info!(image = name, "an image is fetched");
        let options = CreateImageOptionsBuilder::default().from_image(name).build();
        let docker = self.engine.docker.clone().with_timeout(PATIENCE);
        let fetched = async {
            let mut steps = docker.create_image(Some(options), None, registry.credentials());
            let mut layers = BTreeMap::new();
            let mut told = Instant::now();
            while let Some(CreateImageInfo { id, progress_detail, .. }) = steps.next().await.transpose()? {
                let number = |number: Option<i64>| u64::try_from(number?).ok();
                let step = progress_detail.and_then(|detail| Some((number(detail.current)?, number(detail.total)?)));
                let (Some(id), Some((done, of))) = (id, step) else { continue };
                // First fetched, then unpacked: the larger one of what is said.
                let known = layers.entry(id).or_insert((0, 0));
                *known = (done.max(known.0), of.max(known.1));
                let (done, of) = layers.values().fold((0, 0), |(done, of), layer| (done + layer.0, of + layer.1));
                if most.is_some_and(|most| of > most) {
                    return Ok(false);
                }
                if told.elapsed() >= TELL {
                    told = Instant::now();
                    tracing::info!(image = name, done, of, "an image is being fetched; bytes");
                }
            }
            tracing::info!(image = name, "an image was fetched");
            Ok(true)
        };
        let filled = async {
            while room(self, 0).is_ok() {
                tokio::time::sleep(PERIOD).await;
            }
        };
        tokio::select! {
            fetched = fetched => fetched,
            () = filled => Err(std::io::Error::from(std::io::ErrorKind::StorageFull).into()),
        }
    }
}

impl Shared {
    /// The name of images that were fetched for tasks; their tags are their digests.
    fn kept(&self) -> String {
        format!("gradus-{}-task", self.folders.owner)
    }

    /// Removes those that are none of `needed`, but for what containers are of.
    pub(super) async fn prune(&self, needed: &[ImageRef]) -> Result<u64, RunnerError> {
        // One that is being fetched has no name yet. Whoever prunes has more to do than to wait for it.
        let Ok(_turn) = self.fetching.try_lock() else { return Ok(0) };
        self.name_what_was_fetched().await?;
        let needed: BTreeSet<&str> = needed
            .iter()
            .chain(&self.settings.probe_image)
            .filter_map(|image| Some(image.as_str().rsplit_once(':')?.1))
            .collect();
        let of_ours = HashMap::from([("reference".to_owned(), vec![self.kept()])]);
        let options = ListImagesOptionsBuilder::default().filters(&of_ours).build();
        let found = self.engine.docker.list_images(Some(options)).await;
        let found = found.map_err(trouble("the engine does not list its images"))?;
        let mut removed = 0;
        for image in found {
            for name in &image.repo_tags {
                let Some(digest) = name.strip_prefix(&format!("{}:", self.kept())) else { continue };
                if needed.contains(digest) {
                    continue;
                }
                // Listed by one of its names, it has no others in the answer.
                let found = match self.engine.docker.inspect_image(name).await {
                    Err(error) if status(&error) == Some(404) => continue,
                    found => found.map_err(trouble("an image could not be looked at"))?,
                };
                for name in found.repo_digests.iter().flatten().filter(|name| name.ends_with(digest)) {
                    self.forget(name).await?;
                }
                // Last: what stays for a container's sake is found again.
                removed += u64::from(self.forget(name).await?);
            }
        }
        Ok(removed)
    }
}

impl Registry {
    /// What the names begin with of images that participants may name.
    pub(super) fn for_participants(&self) -> impl Iterator<Item = String> {
        self.participants.iter().map(|prefix| format!("{}/{prefix}", self.host))
    }

    /// Whether an image of this name is one of these.
    pub(super) fn is_for_participants(&self, name: &str) -> bool {
        self.for_participants().any(|prefix| repository(name).starts_with(&prefix))
    }

    /// Whether it is for some challenges, and not for all.
    fn is_of_some(&self) -> bool {
        !self.challenges.is_empty()
    }

    fn credentials(&self) -> Option<DockerCredentials> {
        let (username, password) = self.credentials.clone()?;
        Some(DockerCredentials {
            username: Some(username),
            password: Some(password),
            serveraddress: Some(self.host.clone()),
            ..DockerCredentials::default()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_says_its_registry_and_repository() {
        let digest = format!("sha256:{}", "0".repeat(64));
        for (name, at, plain) in [
            ("python".to_owned(), USUAL, "python"),
            ("python:3.12".to_owned(), USUAL, "python"),
            ("team/python:3".to_owned(), USUAL, "team/python"),
            ("localhost/x:1".to_owned(), "localhost", "localhost/x"),
            ("images.example.org:5000/a/b:1".to_owned(), "images.example.org:5000", "images.example.org:5000/a/b"),
            ("images.example.org:5000/a".to_owned(), "images.example.org:5000", "images.example.org:5000/a"),
            (format!("example.org/a@{digest}"), "example.org", "example.org/a"),
        ] {
            assert_eq!((host(&name), repository(&name)), (at, plain), "{name}");
        }
    }

    #[test]
    fn participants_name_what_lies_in_their_folders() {
        let registry = Registry {
            host: "example.org:5000".to_owned(),
            credentials: None,
            participants: vec!["teams/".to_owned()],
            challenges: Vec::new(),
        };
        let digest = format!("sha256:{}", "0".repeat(64));
        for (name, theirs) in [
            ("example.org:5000/teams/anna/x", true),
            ("example.org:5000/teamsters/x", false),
            ("example.org:5000/secret/teams/x", false),
            ("example.org/teams/x", false),
            ("teams/x", false),
        ] {
            assert_eq!(registry.is_for_participants(&format!("{name}@{digest}")), theirs, "{name}");
        }
    }

    #[test]
    fn a_password_is_shown_nowhere() {
        let registry = Registry {
            host: "h".to_owned(),
            credentials: Some(("me".to_owned(), "secret".to_owned())),
            participants: Vec::new(),
            challenges: Vec::new(),
        };
        let shown = format!("{registry:?}");
        assert!(!shown.contains("secret") && shown.contains("has_credentials: true"), "{shown}");
    }
}

//! Removing what is left of a run: after its end, after its failure, and after a crash of the host.
//!
//! Everything of a run is found by its id, so that the same code clears one that just ended and one of which nobody
//! remembers anything. All of it can be done again.

use super::Shared;
use super::engine::{status, trouble};
use super::request::filter;
use bollard::models::ContainerSummary;
use bollard::query_parameters::{ListContainersOptionsBuilder, RemoveContainerOptionsBuilder};
use gradus_core::domain::id::RunId;
use gradus_core::ports::runner::{RunnerError, Swept};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

/// Tries to list containers with an engine that fails at it.
const LISTED: u32 = 5;
/// Tries to remove a container that is already being removed.
const TRIES: u32 = 50;

impl Shared {
    /// Removes the container of a run, or `both`. Whether there was one.
    pub(super) async fn remove_containers(&self, id: RunId, both: bool) -> Result<bool, RunnerError> {
        let beside = if both { self.remove_named(&self.name_beside(id)).await } else { Ok(false) };
        // This one, whatever became of the other.
        let first = self.remove_named(&self.name(id)).await?;
        Ok(beside? || first)
    }

    async fn remove_named(&self, name: &str) -> Result<bool, RunnerError> {
        let mut tries = 0;
        loop {
            let options = RemoveContainerOptionsBuilder::default().force(true).v(true).build();
            match self.engine.docker.remove_container(name, Some(options)).await {
                Ok(()) => return Ok(true),
                Err(error) if status(&error) == Some(404) => return Ok(tries > 0),
                // Somebody else is at it.
                Err(error) if status(&error) == Some(409) && tries < TRIES => {
                    tries += 1;
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
                Err(error) => return Err(trouble("the engine did not remove a container")(error)),
            }
        }
    }

    /// Removes all of a run. What there was: container, anything else.
    pub(super) async fn clear(self: &Arc<Self>, id: RunId, both: bool) -> Result<(bool, bool), RunnerError> {
        let container = self.remove_containers(id, both).await;
        let (here, gone) = (Arc::clone(self), container.is_ok());
        let work = move || {
            if !gone {
                // Without its engine, too, nothing of it goes on, nor keeps a place.
                let killed = [here.name(id), here.name_beside(id)].map(|name| here.groups.kill(&name));
                killed.into_iter().collect::<Result<(), _>>().map_err(trouble("a run could not be ended"))?;
            }
            let beside = here.groups.remove(&here.name_beside(id));
            let group = here.groups.remove(&here.name(id)).and_then(|group| Ok(beside? || group));
            let folder = here.folders.remove(id).map_err(trouble("the folder of a run could not be removed"))?;
            let group = group.map_err(trouble("the control group of a run could not be removed"))?;
            Ok(folder || group)
        };
        let rest = tokio::task::spawn_blocking(work).await.map_err(trouble("removing a run failed"))?;
        Ok((container?, rest?))
    }

    /// The same of a run that nobody remembers, and of which there may be an image.
    async fn clear_all(self: &Arc<Self>, id: RunId, image: bool) -> Result<(bool, bool), RunnerError> {
        let (container, rest) = self.clear(id, true).await?;
        Ok((container, rest || (image && self.remove_image(id).await?)))
    }

    /// All containers of ours.
    async fn containers(&self) -> Result<Vec<ContainerSummary>, RunnerError> {
        let mut tries = 0;
        loop {
            let of_ours = filter(super::OWNER, &self.folders.owner);
            let options = ListContainersOptionsBuilder::default().all(true).filters(&of_ours).build();
            match self.engine.docker.list_containers(Some(options)).await {
                // Podman fails when one goes while it lists them, or was only half made: then they are found by their
                // folders alone.
                Err(error) if self.engine.podman && status(&error) == Some(500) => {
                    if tries == LISTED {
                        return Ok(Vec::new());
                    }
                    tries += 1;
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
                listed => return listed.map_err(trouble("the engine does not list its containers")),
            }
        }
    }

    /// Clears all runs of ours but those of `alive` and those under way here.
    pub(super) async fn sweep(self: &Arc<Self>, alive: Vec<RunId>) -> Result<Swept, RunnerError> {
        let (mut found, mut swept) = (BTreeSet::new(), Swept::default());
        for container in self.containers().await? {
            let labels = container.labels.unwrap_or_default();
            match (labels.get(super::RUN).and_then(|id| id.parse().ok()), container.id) {
                (Some(id), _) => {
                    found.insert(id);
                }
                // Ours by its label and no run's: nothing that we made.
                (None, Some(id)) => swept.containers += u64::from(self.remove_named(&id).await?),
                (None, None) => {}
            }
        }
        found.extend(self.folders.list().map_err(trouble("the folders of runs could not be listed"))?);
        let prefix = self.prefix();
        let groups = self.groups.named(&prefix).map_err(trouble("the control groups could not be listed"))?;
        found.extend(groups.iter().filter_map(|name| super::run_of(name.strip_prefix(&prefix)?)));
        found.extend(self.active().iter().filter(|(_, taken)| taken.left).map(|(id, _)| *id));
        let with_images: BTreeSet<RunId> = self.with_images().await?.into_iter().collect();
        found.extend(&with_images);
        let mut failed = None;
        for id in found {
            if alive.contains(&id) || self.is_active(id) {
                continue;
            }
            // One that cannot be removed leaves the others no place to hide.
            match self.clear_all(id, with_images.contains(&id)).await {
                Ok((container, rest)) => {
                    self.end(id);
                    swept.containers += u64::from(container);
                    swept.rest += u64::from(rest && !container);
                }
                Err(error) => failed = failed.or(Some(error)),
            }
        }
        swept.rest += u64::from(self.sweep_named().await?);
        match failed {
            Some(error) => Err(error),
            None => Ok(swept),
        }
    }
}

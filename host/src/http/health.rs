//! Health, readiness, version and metrics.

use super::auth::{Bearer, operator};
use super::described::{Failures, ReadRefusals};
use super::dto::{ReadyInfo, VersionInfo};
use super::problem::Problem;
use super::state::{Api, blocking};
use crate::disk::free_space;
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use gradus_core::app::chain;
use gradus_core::domain::units::Bytes;
use std::collections::BTreeMap;
use std::sync::PoisonError;
use std::time::{Duration, Instant};

/// An answer of the readiness check serves for so long.
const FRESH: Duration = Duration::from_secs(1);

/// The process lives. Looks at nothing else.
#[utoipa::path(get, path = "/livez", tag = "health", responses((status = 200, content_type = "text/plain")))]
pub async fn live() -> &'static str {
    "ok\n"
}

/// Whether submissions can be taken in now: the store takes writes, and the disk has room.
#[utoipa::path(get, path = "/readyz", tag = "health",
    responses((status = 200, body = ReadyInfo), (status = 503, body = ReadyInfo), Failures))]
pub async fn ready(State(api): State<Api>) -> Result<(StatusCode, Json<ReadyInfo>), Problem> {
    blocking(move || {
        // One at a time, and one a second: the probe writes, and anybody may ask.
        let mut last = api.ready.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, info)) = last.as_ref().filter(|(at, _)| at.elapsed() < FRESH) {
            return Ok((status(info), Json(info.clone())));
        }
        let mut checks = BTreeMap::new();
        let store = api.app.store.probe().map_or_else(
            |error| {
                tracing::error!(error = %chain(&error), "the store does not take writes");
                "does not take writes; the log says why".to_owned()
            },
            |()| "ok".to_owned(),
        );
        let disk = match free_space(&api.data) {
            Ok(free) if free >= api.limits.free.0 => "ok".to_owned(),
            Ok(free) => format!("{} left, {} needed", Bytes(free), api.limits.free),
            Err(error) => error.to_string(),
        };
        checks.insert("store".to_owned(), store);
        checks.insert("disk".to_owned(), disk);
        if api.app.is_stopping() {
            checks.insert("server".to_owned(), "it stops, and takes nothing in any more".to_owned());
        }
        // Where programs are not run, results are graded all the same. Why, is the operator's to read.
        let programs = if api.app.runs_programs() { "ok" } else { "no program is run now; the log says why" };
        let ready = checks.values().all(|check| check == "ok");
        let info = ReadyInfo { ready, checks, programs: programs.to_owned() };
        *last = Some((Instant::now(), info.clone()));
        Ok((status(&info), Json(info)))
    })
    .await
}

fn status(info: &ReadyInfo) -> StatusCode {
    if info.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }
}

/// The version of the server, and the engine that reports are comparable under.
#[utoipa::path(get, path = "/version", tag = "health", responses((status = 200, body = VersionInfo)))]
pub async fn version(State(api): State<Api>) -> Json<VersionInfo> {
    Json(VersionInfo { version: env!("CARGO_PKG_VERSION").to_owned(), engine: api.app.scorer.engine() })
}

/// Prometheus metrics, for the operator.
#[utoipa::path(get, path = "/metrics", tag = "health",
    responses((status = 200, body = String, content_type = "text/plain"), ReadRefusals), security(("token" = [])))]
pub async fn metrics(State(api): State<Api>, Bearer(token): Bearer) -> Result<String, Problem> {
    operator(&token)?;
    measured(api).await
}

/// All metrics, as they are now.
pub async fn measured(api: Api) -> Result<String, Problem> {
    blocking(move || {
        crate::worker::graphs::load(&api.app);
        if let Ok(free) = free_space(&api.data) {
            #[expect(clippy::cast_precision_loss, reason = "a gauge is a float, and what is lost of it is not seen")]
            metrics::gauge!("gradus_disk_free_bytes").set(free as f64);
        }
        Ok(api.metrics.render())
    })
    .await
}

//! Errors as RFC 9457 documents with a stable code. What is ours is logged here, once, and told without its insides.

use super::dto::ProblemInfo;
use crate::workspace::Refused;
use axum::Json;
use axum::http::{HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use gradus_core::app::check::lines;
use gradus_core::app::{Refusal, chain};
use gradus_core::domain::quota::Window;
use gradus_core::ports::blobs::BlobError;
use gradus_core::ports::store::StoreError;
use std::error::Error;

/// A refused or failed request.
#[derive(Debug)]
pub struct Problem {
    info: Box<ProblemInfo>,
    retry_after_s: Option<u64>,
}

impl Problem {
    /// One that is told in full.
    pub fn new(status: StatusCode, code: &str, detail: impl Into<String>) -> Self {
        let info = ProblemInfo {
            kind: "about:blank".into(),
            title: status.canonical_reason().unwrap_or("Error").into(),
            status: status.as_u16(),
            detail: detail.into(),
            code: code.into(),
            ..ProblemInfo::default()
        };
        Self { info: Box::new(info), retry_after_s: None }
    }

    /// One of ours: logged here, and told without its insides.
    pub fn internal(error: &dyn Error) -> Self {
        tracing::error!(error = %chain(error), "a request failed on our side");
        let detail = "something failed on our side; the operator's log says what";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", detail)
    }

    /// The body is malformed: a wrong field, a wrong parameter.
    pub fn bad_request(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad-request", detail)
    }

    /// To be tried again after so many seconds.
    pub fn after(self, seconds: u64) -> Self {
        Self { retry_after_s: Some(seconds), ..self }
    }
}

/// Whether somewhere below `error` the disk was full.
pub fn disk_full(error: &(dyn Error + 'static)) -> bool {
    let mut next: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(error) = next {
        let io = error.downcast_ref::<std::io::Error>();
        let full = [std::io::ErrorKind::StorageFull, std::io::ErrorKind::QuotaExceeded];
        if io.is_some_and(|io| full.contains(&io.kind())) {
            return true;
        }
        next = error.source();
    }
    false
}

/// The answer when the disk is, or is about to be, full.
pub fn no_space() -> Problem {
    let detail = "the server's disk is nearly full; nothing was stored; the operator has to make room";
    Problem::new(StatusCode::INSUFFICIENT_STORAGE, "disk-full", detail)
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let (code, detail) = (refusal.code(), refusal.to_string());
        let plain = |status| Self::new(status, code, detail.clone());
        match &refusal {
            Refusal::UnknownChallenge(_) | Refusal::UnknownPhase { .. } | Refusal::Unknown(_) => {
                plain(StatusCode::NOT_FOUND)
            }
            Refusal::Forbidden(_) => plain(StatusCode::FORBIDDEN),
            Refusal::Revoked | Refusal::Forged(_) => plain(StatusCode::UNAUTHORIZED),
            Refusal::NotOpen { .. } | Refusal::Draining(_) | Refusal::Transition(_) => plain(StatusCode::CONFLICT),
            Refusal::OtherRequest | Refusal::NoHook(_) | Refusal::NoSource(_) => {
                plain(StatusCode::UNPROCESSABLE_ENTITY)
            }
            Refusal::Unreadable(_) => plain(StatusCode::BAD_REQUEST),
            Refusal::Format(problems) => {
                let mut problem = plain(StatusCode::UNPROCESSABLE_ENTITY);
                problem.info.problems = Some(problems.clone());
                problem
            }
            Refusal::Challenge(problems) => {
                let mut problem = plain(StatusCode::UNPROCESSABLE_ENTITY);
                problem.info.errors = lines(problems);
                problem
            }
            Refusal::OverQuota(standing) => {
                let now = jiff::Timestamp::now();
                let wait = standing.resets_at.map(|at| at.duration_since(now).as_secs().max(0).unsigned_abs() + 1);
                let mut problem = plain(StatusCode::TOO_MANY_REQUESTS);
                let rule = match standing.rule.window {
                    Window::Day(_) => "day",
                    Window::Rolling(_) => "rolling",
                    Window::Total => "total",
                };
                problem.info.rule = Some(standing.into());
                metrics::counter!("gradus_quota_refusals_total", "rule" => rule).increment(1);
                Self { retry_after_s: wait, ..problem }
            }
            Refusal::TooManyOpen { .. } => plain(StatusCode::TOO_MANY_REQUESTS).after(5),
            Refusal::CheckFailed(what) => {
                tracing::warn!(what, "the organizer's format check failed at the door");
                plain(StatusCode::SERVICE_UNAVAILABLE)
            }
            Refusal::CheckSlow => plain(StatusCode::SERVICE_UNAVAILABLE).after(5),
            Refusal::Runner(_) => {
                tracing::warn!(error = %chain(&refusal), "the container engine failed a request");
                let detail = "the container engine does not do its part; nothing was stored; try again in a while";
                Self::new(StatusCode::SERVICE_UNAVAILABLE, code, detail).after(10)
            }
            Refusal::Contended => plain(StatusCode::SERVICE_UNAVAILABLE).after(1),
            Refusal::Store(StoreError::Closed) => plain(StatusCode::SERVICE_UNAVAILABLE).after(10),
            Refusal::Store(StoreError::Write(_)) | Refusal::Blob(BlobError::Write(_)) if disk_full(&refusal) => {
                tracing::error!(error = %chain(&refusal), "the disk is full");
                no_space()
            }
            Refusal::Store(_)
            | Refusal::Blob(_)
            | Refusal::Scorer(_)
            | Refusal::NoContainers(_)
            | Refusal::Stored { .. } => Self::internal(&refusal),
        }
    }
}

impl From<Refused> for Problem {
    fn from(refused: Refused) -> Self {
        if refused.is_ours() {
            return if disk_full(&refused) { no_space() } else { Self::internal(&refused) };
        }
        let detail = format!("{refused}; nothing was stored, your quota is untouched");
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, refused.code(), detail)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.info.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = (status, Json(&*self.info)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Some(seconds) = self.retry_after_s {
            headers.insert(header::RETRY_AFTER, seconds.into());
        }
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

/// There is no such path.
pub async fn no_route(uri: Uri) -> Problem {
    let path: String = uri.path().chars().take(200).collect();
    let detail = format!("there is nothing at {path}; /api/openapi.json lists what there is");
    Problem::new(StatusCode::NOT_FOUND, "no-such-path", detail)
}

/// The path does not know the method.
pub async fn no_method() -> Problem {
    let detail = "this path does not take this method; /api/openapi.json lists what there is";
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "no-such-method", detail)
}

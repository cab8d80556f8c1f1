//! A backup of the running server, for its operator.

use super::auth::{Bearer, operator};
use super::described::{BackupRefusals, Bytes};
use super::problem::{Problem, disk_full, no_space};
use super::state::{Api, blocking};
use crate::backup;
use crate::sink::Sink;
use axum::body::Body;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use gradus_core::app::chain;
use std::io::ErrorKind;
use std::sync::Arc;
use std::time::Duration;

/// Whoever takes nothing for so long gets no backup.
const TAKEN: Duration = Duration::from_secs(60);

/// All rows as they are at this moment, and all blobs, as a tar: what `gradus admin restore` reads. Submissions are taken in
/// and graded meanwhile, but for the moment in which the rows are read.
#[utoipa::path(get, path = "/api/v1/backup", tag = "health", operation_id = "make_backup",
    responses((status = 200, body = Bytes, content_type = "application/x-tar"), BackupRefusals),
    security(("token" = [])))]
pub async fn backup(State(api): State<Api>, Bearer(token): Bearer) -> Result<Response, Problem> {
    operator(&token)?;
    // It takes room on the disk, and time that others wait: one at a time.
    let Ok(turn) = Arc::clone(&api.backups).try_lock_owned() else {
        let detail = "another backup is being made; wait for it to end";
        return Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "busy", detail).after(30));
    };
    let shared = Arc::clone(&api);
    // The turn goes with the work: whoever asked may go away.
    let (begun, turn) = blocking(move || {
        let now = shared.app.clock.now();
        match backup::begin(&*shared.rows, &shared.data, shared.limits.free, now) {
            Ok(begun) => Ok((begun, turn)),
            Err(error) if disk_full(&error) => Err(no_space()),
            Err(error) => Err(Problem::internal(&error)),
        }
    })
    .await?;
    tracing::info!(by = %token.id, "a backup is made");
    let (sender, mut receiver) = tokio::sync::mpsc::channel(4);
    tokio::task::spawn_blocking(move || {
        let _turn = turn;
        let mut sink = Sink::new(sender).within(TAKEN);
        match begun.write(&*api.app.blobs, &mut sink) {
            Ok(end) => tracing::info!(blobs = end.blobs, bytes = end.bytes, "a backup was made"),
            Err(error) => {
                tracing::error!(error = %chain(&error), "a backup broke off");
                sink.break_off(ErrorKind::Other);
            }
        }
    });
    let body = Body::from_stream(futures_util::stream::poll_fn(move |context| receiver.poll_recv(context)));
    let headers = [
        (header::CONTENT_TYPE, "application/x-tar"),
        (header::CONTENT_DISPOSITION, "attachment; filename=\"gradus-backup.tar\""),
    ];
    Ok((headers, body).into_response())
}

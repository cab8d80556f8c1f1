//! Bodies on their way in: streamed to disk under a cap, an idle limit and a total one, whatever the client says of them.

use super::problem::{Problem, no_space};
use super::state::{Api, blocking, free_space};
use axum::body::Body;
use axum::extract::multipart::{Field, Multipart, MultipartError};
use axum::extract::{FromRequest, Request};
use axum::http::{StatusCode, header};
use bytes::Bytes;
use futures_util::{Stream, StreamExt as _};
use gradus_core::domain::submission::{About, Upload};
use gradus_core::domain::units;
use gradus_core::ports::blobs::PendingBlob;
use serde::Deserialize;
use std::io::Write as _;
use std::sync::Arc;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};

/// Text fields, at most; bytes each.
const MAX_TEXT: usize = 10_000;
/// Chunks between the socket and the disk.
const IN_FLIGHT: usize = 8;

/// What arrived.
pub struct Arrived {
    /// Name, length, digest.
    pub upload: Upload,
    /// The bytes.
    pub blob: Box<dyn PendingBlob>,
    /// What the participant says about it.
    pub about: About,
}

/// What a raw body says of itself in its query.
#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub struct RawQuery {
    /// The file's name; needed with a raw body, ignored with a multipart one.
    filename: Option<String>,
    /// Free text.
    description: Option<String>,
    /// Name of the method.
    method_name: Option<String>,
    /// What the method does.
    method_description: Option<String>,
    /// Where the project is.
    project_url: Option<String>,
    /// Where the publication is.
    publication_url: Option<String>,
}

/// Takes a submission's body in: multipart with a field `file`, or raw with a file name.
///
/// # Errors
/// Too big, too slow, cut off, without a file or a name.
pub async fn submission(api: &Api, request: Request, query: RawQuery) -> Result<Arrived, Problem> {
    let cap = api.limits.submission;
    let multipart = content_type(&request).is_some_and(|kind| kind.starts_with("multipart/form-data"));
    refuse_early(api, &request, cap)?;
    if !multipart {
        let name = query.filename.clone().ok_or_else(|| {
            Problem::bad_request("a raw body needs its file name: add `?filename=predictions.csv`, or send multipart")
        })?;
        let blob = receive(api, raw(request.into_body()), cap).await?;
        let mut about = About::default();
        for (field, value) in [
            ("description", query.description),
            ("method_name", query.method_name),
            ("method_description", query.method_description),
            ("project_url", query.project_url),
            ("publication_url", query.publication_url),
        ] {
            value.map_or(Ok(()), |value| set(&mut about, field, value))?;
        }
        return arrived(&name, blob, about);
    }
    let mut form =
        Multipart::from_request(request, api).await.map_err(|error| Problem::bad_request(error.body_text()))?;
    let (mut file, mut about) = (None, About::default());
    let deadline = Instant::now() + api.limits.total;
    while let Some(field) = next_field(&mut form, deadline, api).await? {
        let Some(name) = field.name().map(ToOwned::to_owned) else { continue };
        if name == "file" {
            if file.is_some() {
                return Err(Problem::bad_request("there are two fields `file`; send one file, or one archive"));
            }
            let given = field.file_name().map(ToOwned::to_owned);
            let given =
                given.ok_or_else(|| Problem::bad_request("the field `file` has no file name; send it as a file"))?;
            file = Some((given, receive(api, parts(field), cap).await?));
        } else {
            set(&mut about, &name, text(field, deadline, api).await?)?;
        }
    }
    let (name, blob) = file.ok_or_else(|| Problem::bad_request("the form has no field `file`"))?;
    arrived(&name, blob, about)
}

/// Takes a challenge's archive in.
///
/// # Errors
/// Too big, too slow, cut off.
pub async fn archive(api: &Api, request: Request) -> Result<Box<dyn PendingBlob>, Problem> {
    let cap = api.limits.challenge;
    refuse_early(api, &request, cap)?;
    receive(api, raw(request.into_body()), cap).await
}

fn content_type(request: &Request) -> Option<&str> {
    request.headers().get(header::CONTENT_TYPE)?.to_str().ok()
}

/// What is known to be refused before a byte of it is read.
fn refuse_early(api: &Api, request: &Request, cap: units::Bytes) -> Result<(), Problem> {
    let said = request.headers().get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if said.is_some_and(|said| said > cap.0.saturating_add(64 << 10)) {
        return Err(too_large(cap));
    }
    match free_space(&api.data) {
        Ok(free) if free < api.limits.free.0.saturating_add(said.unwrap_or(0)) => Err(no_space()),
        Ok(_) => Ok(()),
        Err(error) => Err(Problem::internal(&error)),
    }
}

fn too_large(cap: units::Bytes) -> Problem {
    let detail = format!("the body is larger than the {cap} that this server takes; nothing was stored");
    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too-large", detail)
}

fn too_slow(detail: &str) -> Problem {
    Problem::new(StatusCode::REQUEST_TIMEOUT, "too-slow", detail)
}

fn cut_off() -> Problem {
    Problem::bad_request("the body ended before it was complete; nothing was stored; please send it again")
}

/// A name without folders and control characters. `None`: nothing is left of it.
fn plain_name(given: &str) -> Option<String> {
    let name = given.rsplit(['/', '\\']).next()?.trim();
    let name: String = name.chars().filter(|c| !c.is_control()).take(200).collect();
    (!name.is_empty() && name != "." && name != "..").then_some(name)
}

fn arrived(name: &str, blob: Box<dyn PendingBlob>, about: About) -> Result<Arrived, Problem> {
    let name = plain_name(name).ok_or_else(|| Problem::bad_request("the file name is empty"))?;
    let upload = Upload { name, len: blob.len(), digest: blob.digest() };
    Ok(Arrived { upload, blob, about })
}

fn set(about: &mut About, field: &str, value: String) -> Result<(), Problem> {
    if value.len() > MAX_TEXT {
        return Err(Problem::bad_request(format!("`{field}` is longer than {MAX_TEXT} bytes")));
    }
    if field.ends_with("_url") && !(value.starts_with("https://") || value.starts_with("http://")) {
        return Err(Problem::bad_request(format!("`{field}` must begin with https:// or http://")));
    }
    let place = match field {
        "description" => &mut about.description,
        "method_name" => &mut about.method_name,
        "method_description" => &mut about.method_description,
        "project_url" => &mut about.project_url,
        "publication_url" => &mut about.publication_url,
        _ => {
            let field: String = field.chars().take(60).collect();
            let known = "file, description, method_name, method_description, project_url, publication_url";
            return Err(Problem::bad_request(format!("unknown field `{field}`; known are {known}")));
        }
    };
    *place = Some(value);
    Ok(())
}

fn raw(body: Body) -> impl Stream<Item = Result<Bytes, Problem>> + Send + Unpin {
    body.into_data_stream().map(|chunk| chunk.map_err(|_| cut_off()))
}

fn parts(field: Field<'_>) -> impl Stream<Item = Result<Bytes, Problem>> + Send + Unpin + '_ {
    field.map(|chunk| chunk.map_err(|error| malformed(&error)))
}

fn malformed(error: &MultipartError) -> Problem {
    if error.status() == StatusCode::PAYLOAD_TOO_LARGE {
        return Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too-large", error.body_text());
    }
    // What ends early and what is not a form look alike here.
    Problem::bad_request(format!("the form cannot be read, or ended early ({}); nothing was stored", error.body_text()))
}

async fn next_field<'a>(form: &'a mut Multipart, deadline: Instant, api: &Api) -> Result<Option<Field<'a>>, Problem> {
    let idle = Instant::now() + api.limits.idle;
    let next =
        timeout_at(idle.min(deadline), form.next_field()).await.map_err(|_| too_slow("the body came too slowly"))?;
    next.map_err(|error| malformed(&error))
}

async fn text(field: Field<'_>, deadline: Instant, api: &Api) -> Result<String, Problem> {
    let name: String = field.name().unwrap_or_default().chars().take(60).collect();
    let mut chunks = parts(field);
    let mut bytes = Vec::new();
    loop {
        let idle = (Instant::now() + api.limits.idle).min(deadline);
        let Some(chunk) = timeout_at(idle, chunks.next()).await.map_err(|_| too_slow("the body came too slowly"))?
        else {
            break;
        };
        bytes.extend_from_slice(&chunk?);
        if bytes.len() > MAX_TEXT {
            return Err(Problem::bad_request(format!("`{name}` is longer than {MAX_TEXT} bytes")));
        }
    }
    String::from_utf8(bytes).map_err(|_| Problem::bad_request(format!("`{name}` is not UTF-8")))
}

/// Streams `chunks` into a blob that is not kept yet. The disk is written by a thread that may block.
async fn receive(
    api: &Api,
    mut chunks: impl Stream<Item = Result<Bytes, Problem>> + Send + Unpin,
    cap: units::Bytes,
) -> Result<Box<dyn PendingBlob>, Problem> {
    let (sender, mut receiver) = mpsc::channel::<Bytes>(IN_FLIGHT);
    let app = Arc::clone(&api.app);
    let write = blocking(move || {
        let mut blob = app.blobs.create().map_err(gradus_core::app::Refusal::from)?;
        while let Some(chunk) = receiver.blocking_recv() {
            blob.write_all(&chunk)
                .map_err(|error| gradus_core::app::Refusal::from(gradus_core::ports::blobs::BlobError::Write(error)))?;
        }
        Ok(blob)
    });
    let write = tokio::spawn(write);
    let deadline = Instant::now() + api.limits.total;
    let mut len = 0u64;
    loop {
        let idle = Instant::now() + api.limits.idle;
        let chunk = timeout_at(idle.min(deadline), chunks.next()).await.map_err(|_| {
            let (idle, total) = (api.limits.idle.as_secs(), api.limits.total.as_secs());
            too_slow(&format!("the body paused for {idle} s, or took longer than {total} s; nothing was stored"))
        })?;
        let Some(chunk) = chunk else { break };
        let chunk = chunk?;
        len += chunk.len() as u64;
        if len > cap.0 {
            return Err(too_large(cap));
        }
        if sender.send(chunk).await.is_err() {
            // The writing side ended: its own error says why.
            break;
        }
    }
    drop(sender);
    write.await.unwrap_or_else(|error| Err(Problem::internal(&error)))
}

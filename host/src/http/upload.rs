//! Bodies on their way in: under a cap, an idle limit and a total one, whatever the client says of them. What is more than a
//! batch goes to the disk as it comes.

use super::counted::One;
use super::problem::{Problem, no_space};
use super::reserving::Reserving;
use super::state::{Api, blocking};
use crate::disk::free_space;
use axum::body::Body;
use axum::extract::DefaultBodyLimit;
use axum::extract::multipart::{Field, Multipart, MultipartError};
use axum::extract::{FromRequest, Request};
use axum::http::{StatusCode, header};
use bytes::Bytes;
use futures_util::{Stream, StreamExt as _};
use gradus_core::app::Refusal;
use gradus_core::domain::id::EntrantId;
use gradus_core::domain::submission::About;
use gradus_core::domain::token::Token;
use gradus_core::domain::units;
use gradus_core::ports::blobs::{BlobError, Blobs as _, PendingBlob};
use serde::Deserialize;
use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::time::{Instant, timeout_at};

/// Text fields, at most; bytes each.
const MAX_TEXT: usize = 10_000;
/// Fields of a form, at most.
const FIELDS: usize = 16;
/// Bytes that go to the disk at once.
const BATCH: usize = 256 << 10;
/// Bytes of a form that its reader may hold before it hands something on; that its framing and texts may have.
const HELD: u64 = 256 << 10;
const FRAMING: u64 = 1 << 20;
/// Bodies of one entrant, whatever their tokens, that are taken in or dealt with at once, and of all: each holds a batch in
/// memory, and an open file once it is more.
pub const OF_ONE: usize = 64;
/// The same of all.
pub const OF_ALL: usize = 256;

/// What arrived.
pub struct Arrived {
    /// Its name.
    pub name: String,
    /// The bytes.
    pub body: Received,
    /// What the participant says about it.
    pub about: About,
    /// It counts among the uploads until it was dealt with.
    pub place: Place,
}

/// The bytes of a body: what was written when there was much of it, and the rest. A small one takes no thread until it is
/// dealt with.
#[derive(Default)]
pub struct Received {
    begun: Option<Box<dyn PendingBlob>>,
    rest: Vec<u8>,
}

impl Received {
    /// All of it. Blocks.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn whole(self, intake: &Reserving) -> Result<Box<dyn PendingBlob>, Problem> {
        let mut blob = self.begun.map_or_else(|| intake.create().map_err(Refusal::from), Ok)?;
        if !self.rest.is_empty() {
            blob.write_all(&self.rest).map_err(|error| Refusal::from(BlobError::Write(error)))?;
        }
        Ok(blob)
    }
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

/// Takes a submission's body of up to `cap` bytes in: multipart with a field `file`, or raw with a file name.
///
/// # Errors
/// Too big, too slow, cut off, without a file or a name.
pub async fn submission(
    api: &Api,
    token: &Token,
    request: Request,
    query: RawQuery,
    cap: units::Bytes,
) -> Result<Arrived, Problem> {
    let place = place(api, token)?;
    let multipart = content_type(&request).is_some_and(|kind| kind.starts_with("multipart/form-data"));
    refuse_early(api, &request, cap)?;
    if !multipart {
        let name = query.filename.clone().ok_or_else(|| {
            Problem::bad_request("a raw body needs its file name: add `?filename=predictions.csv`, or send multipart")
        })?;
        let body = receive(api, raw(request.into_body()), cap).await?;
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
        return arrived(&name, body, about, place);
    }
    let held = Arc::new(AtomicU64::new(0));
    let mut request = request.map(|body| bounded(body, cap, &held));
    DefaultBodyLimit::disable().apply(&mut request);
    let mut form =
        Multipart::from_request(request, api).await.map_err(|error| Problem::bad_request(error.body_text()))?;
    let (mut file, mut about) = (None, About::default());
    let deadline = Instant::now() + api.limits.total;
    let mut fields = 0;
    while let Some(field) = next_field(&mut form, deadline, api).await? {
        held.store(0, Ordering::Relaxed);
        fields += 1;
        if fields > FIELDS {
            return Err(Problem::bad_request(format!("the form has more than {FIELDS} fields")));
        }
        let Some(name) = field.name().map(ToOwned::to_owned) else { continue };
        if name == "file" {
            if file.is_some() {
                return Err(Problem::bad_request("there are two fields `file`; send one file, or one archive"));
            }
            let given = field.file_name().map(ToOwned::to_owned);
            let given =
                given.ok_or_else(|| Problem::bad_request("the field `file` has no file name; send it as a file"))?;
            file = Some((given, receive(api, parts(field, &held), cap).await?));
        } else {
            set(&mut about, &name, text(field, &held, deadline, api).await?)?;
        }
    }
    let (name, body) = file.ok_or_else(|| Problem::bad_request("the form has no field `file`"))?;
    arrived(&name, body, about, place)
}

/// Takes a challenge's archive in.
///
/// # Errors
/// Too big, too slow, cut off.
pub async fn archive(api: &Api, token: &Token, request: Request) -> Result<(Received, Place), Problem> {
    let place = place(api, token)?;
    let cap = api.limits.challenge;
    refuse_early(api, &request, cap)?;
    Ok((receive(api, raw(request.into_body()), cap).await?, place))
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
    room(api, said.unwrap_or(0))
}

/// Whether the disk has room for `more` bytes.
fn room(api: &Api, more: u64) -> Result<(), Problem> {
    match free_space(&api.data) {
        Ok(free) if free < api.limits.free.0.saturating_add(more) => Err(no_space()),
        Ok(_) => Ok(()),
        Err(error) => Err(Problem::internal(&error)),
    }
}

/// What is said of a body that is too large.
pub(super) fn too_large(cap: units::Bytes) -> Problem {
    let detail = format!("the body is larger than the {cap} that this server takes; nothing was stored");
    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too-large", detail)
}

pub(super) fn too_slow(detail: &str) -> Problem {
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

fn arrived(name: &str, body: Received, about: About, place: Place) -> Result<Arrived, Problem> {
    let name = plain_name(name).ok_or_else(|| Problem::bad_request("the file name is empty"))?;
    Ok(Arrived { name, body, about, place })
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

fn parts<'f>(
    field: Field<'f>,
    held: &Arc<AtomicU64>,
) -> impl Stream<Item = Result<Bytes, Problem>> + Send + Unpin + use<'f> {
    let held = Arc::clone(held);
    field.map(move |chunk| {
        held.store(0, Ordering::Relaxed);
        chunk.map_err(|error| malformed(&error))
    })
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

async fn text(field: Field<'_>, held: &Arc<AtomicU64>, deadline: Instant, api: &Api) -> Result<String, Problem> {
    let name: String = field.name().unwrap_or_default().chars().take(60).collect();
    let mut chunks = parts(field, held);
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

/// Streams `chunks` into a blob that is not kept yet. A thread that may block is taken for each full batch and not for the
/// whole body, so that slow clients hold none.
async fn receive(
    api: &Api,
    mut chunks: impl Stream<Item = Result<Bytes, Problem>> + Send + Unpin,
    cap: units::Bytes,
) -> Result<Received, Problem> {
    let deadline = Instant::now() + api.limits.total;
    let (mut len, mut body) = (0u64, Received::default());
    loop {
        let idle = Instant::now() + api.limits.idle;
        let chunk = timeout_at(idle.min(deadline), chunks.next()).await.map_err(|_| {
            let (idle, total) = (api.limits.idle.as_secs(), api.limits.total.as_secs());
            too_slow(&format!("the body paused for {idle} s, or took longer than {total} s; nothing was stored"))
        })?;
        let Some(chunk) = chunk.transpose()? else { return Ok(body) };
        len += chunk.len() as u64;
        if len > cap.0 {
            return Err(too_large(cap));
        }
        body.rest.extend_from_slice(&chunk);
        if body.rest.len() >= BATCH {
            let shared = Arc::clone(api);
            let begun = blocking(move || body.whole(&shared.intake)).await?;
            body = Received { begun: Some(begun), rest: Vec::new() };
        }
    }
}

/// One of the bodies that are being taken in or dealt with.
pub type Place = One<EntrantId>;

fn place(api: &Api, token: &Token) -> Result<Place, Problem> {
    api.uploads.one(&token.subject).map_err(|(mine, all)| {
        let detail = format!("{mine} uploads of yours, {all} in all, are under way; wait for one to end");
        Problem::new(StatusCode::TOO_MANY_REQUESTS, "too-many-uploads", detail).after(5)
    })
}

/// The body of a form, bounded: in all, and in what may come before the form's reader hands something on, since that is
/// what it holds in memory.
fn bounded(body: Body, cap: units::Bytes, held: &Arc<AtomicU64>) -> Body {
    let (held, mut total) = (Arc::clone(held), 0u64);
    Body::from_stream(body.into_data_stream().map(move |chunk| {
        let chunk = chunk.map_err(std::io::Error::other)?;
        let len = chunk.len() as u64;
        total += len;
        let holding = held.fetch_add(len, Ordering::Relaxed) + len;
        if total > cap.0.saturating_add(FRAMING) || holding > HELD {
            return Err(std::io::Error::other("it is too large, or a part of it has no end"));
        }
        Ok(chunk)
    }))
}

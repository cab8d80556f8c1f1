//! What the description of the API says of more than one route, or of what other modules make: refusals, forms, reports.
//!
//! Only for the description: nothing in here is made or sent. A test compares it with what is.

use super::dto::ProblemInfo;
use std::collections::BTreeMap;
use utoipa::openapi::{ContentBuilder, OpenApi, Ref, RefOr, Response, ResponseBuilder};
use utoipa::{IntoResponses, ToSchema};

/// When a status is answered.
fn when(status: u16) -> &'static str {
    match status {
        400 => "A parameter, a header or the body is malformed",
        401 => "No token, or none that holds",
        403 => "The token does not let its bearer do that",
        404 => "Nothing of that name that the bearer may know of",
        408 => "The body came too slowly",
        409 => "Not in this state: the phase is not open, or it has ended already",
        413 => "The body is larger than is taken",
        422 => "It was understood, and is not taken: `problems` or `errors` say why",
        429 => "A quota is used up, or too much is under way; `Retry-After` says when to come again",
        500 => "Something failed on the server's side",
        503 => "Not now; `Retry-After` says when to come again",
        507 => "The server's disk is nearly full",
        _ => "Refused",
    }
}

fn refusals(statuses: &[u16]) -> BTreeMap<String, RefOr<Response>> {
    let refusal = |status: &u16| {
        let content = ContentBuilder::new().schema(Some(Ref::from_schema_name(ProblemInfo::name()))).build();
        let response = ResponseBuilder::new().description(when(*status)).content("application/problem+json", content);
        (status.to_string(), response.build().into())
    };
    statuses.iter().map(refusal).collect()
}

/// Brings what routes say into the form that the specification wants.
pub fn complete(api: &mut OpenApi) {
    // A path that takes the rest is written `{*path}` for the router, and has no word of its own in the description.
    let paths = std::mem::take(&mut api.paths.paths);
    api.paths.paths = paths.into_iter().map(|(path, item)| (path.replace("{*", "{"), item)).collect();
    for item in api.paths.paths.values_mut() {
        for operation in [&mut item.get, &mut item.put, &mut item.post, &mut item.delete].into_iter().flatten() {
            for response in operation.responses.responses.values_mut() {
                // Each response must be described, and a body describes itself.
                if let RefOr::T(response) = response
                    && response.description.is_empty()
                {
                    response.description = "Done, or under way".to_owned();
                }
            }
        }
    }
}

macro_rules! refusals {
    ($($(#[$about:meta])* $name:ident: $statuses:expr;)*) => {$(
        $(#[$about])*
        pub struct $name;

        impl IntoResponses for $name {
            fn responses() -> BTreeMap<String, RefOr<Response>> {
                refusals(&$statuses)
            }
        }
    )*};
}

refusals! {
    /// Of what is read.
    ReadRefusals: [400, 401, 403, 404, 500, 503];
    /// Of what is read and takes room.
    BackupRefusals: [400, 401, 403, 404, 500, 503, 507];
    /// Of what is followed.
    FollowRefusals: [400, 401, 403, 404, 429, 500, 503];
    /// Of what changes something.
    ChangeRefusals: [400, 401, 403, 404, 408, 409, 500, 503, 507];
    /// Of what makes a web hook.
    HookRefusals: [400, 401, 403, 404, 408, 409, 422, 500, 503, 507];
    /// Of what changes a forge.
    SourceRefusals: [400, 401, 403, 404, 408, 409, 422, 500, 503, 507];
    /// Of a forge's hook.
    HearRefusals: [400, 401, 404, 408, 413, 429, 500, 503, 507];
    /// Of what brings a file.
    UploadRefusals: [400, 401, 403, 404, 408, 409, 413, 422, 429, 500, 503, 507];
    /// Of what needs nothing but our own health.
    Failures: [500];
}

/// A submission as a form. The texts may also stand in the query of a raw body.
#[derive(ToSchema)]
pub struct SubmissionForm {
    /// The file, with its name.
    #[schema(value_type = String, format = Binary)]
    pub file: Vec<u8>,
    /// Free text.
    pub description: Option<String>,
    /// Name of the method.
    pub method_name: Option<String>,
    /// What the method does.
    pub method_description: Option<String>,
    /// Where the project is.
    pub project_url: Option<String>,
    /// Where the publication is.
    pub publication_url: Option<String>,
}

/// Bytes as they are.
pub struct Bytes;

impl utoipa::PartialSchema for Bytes {
    fn schema() -> RefOr<utoipa::openapi::Schema> {
        let format = utoipa::openapi::SchemaFormat::KnownFormat(utoipa::openapi::KnownFormat::Binary);
        let kind = utoipa::openapi::schema::Type::String;
        utoipa::openapi::ObjectBuilder::new().schema_type(kind).format(Some(format)).into()
    }
}

impl ToSchema for Bytes {}

/// What scoring a submission gave: the whole of it for organizers, cut for participants.
#[derive(ToSchema)]
pub struct ReportInfo {
    /// Version of the shape: 1.
    pub report: u32,
    /// `scored`, `invalid-submission`, `invalid-challenge`, `scorer-failed` or `limit`.
    pub outcome: String,
    /// With `limit`, for organizers: `fuel`, `memory`, `wall`, `stack`, `output` or `handles`.
    #[schema(required = false, nullable = false)]
    pub limit: Option<String>,
    /// With `limit`, for organizers: what was used, in the limit's unit.
    #[schema(required = false, nullable = false)]
    pub used: Option<u64>,
    /// With `limit`, for organizers: what was allowed, in the limit's unit.
    #[schema(required = false, nullable = false)]
    pub allowed: Option<u64>,
    /// Whose doing a failure is: `participant`, `challenge` or `platform`.
    #[schema(required = true)]
    pub fault: Option<String>,
    /// What that means for the participant, when it is not their doing.
    #[schema(required = false, nullable = false)]
    pub message: Option<String>,
    /// More words on a failure, for organizers.
    #[schema(required = false, nullable = false)]
    pub detail: Option<String>,
    /// The scores; for participants those of revealed splits, rounded.
    pub scores: Vec<ScoreInfo>,
    /// How each case went.
    pub cases: Vec<CaseInfo>,
    /// What is wrong with the submission.
    pub problems: ProblemsInfo,
    /// What the scorer said.
    pub notes: Vec<NoteInfo>,
    /// Files that the scorer made, to be had at `artifacts/{name}`.
    pub attachments: Vec<AttachmentInfo>,
    /// What the result depends on.
    pub digests: DigestsInfo,
    /// The engine's fingerprint: results are comparable under the same one.
    pub engine: String,
    /// What the run used; for participants once nobody can hand in any more.
    #[schema(required = false, nullable = false)]
    pub cost: Option<CostInfo>,
}

/// One value of one metric.
#[derive(ToSchema)]
pub struct ScoreInfo {
    /// Name of the metric.
    pub metric: String,
    /// Which part of the reference data it is of.
    #[schema(required = true)]
    pub split: Option<String>,
    /// The value; always finite.
    pub value: f64,
}

/// How one case went.
#[derive(ToSchema)]
pub struct CaseInfo {
    /// Names the case.
    pub id: String,
    /// The group that it belongs to.
    #[schema(required = true)]
    pub group: Option<String>,
    /// Values for this case alone.
    pub scores: Vec<ScoreInfo>,
    /// Whether it passed.
    #[schema(required = true)]
    pub passed: Option<bool>,
    /// A word on it.
    #[schema(required = true)]
    pub message: Option<String>,
    /// `participant` or `organizer`.
    pub audience: String,
}

/// What is wrong with a submission: the first problems, and how many there are.
#[derive(ToSchema)]
pub struct ProblemsInfo {
    /// The first.
    pub first: Vec<ProblemAt>,
    /// How many there are.
    pub total: u64,
}

/// One thing that is wrong with a submission.
#[derive(ToSchema)]
pub struct ProblemAt {
    /// The file that it is in.
    #[schema(required = true)]
    pub file: Option<String>,
    /// The line, from 1.
    #[schema(required = true)]
    pub line: Option<u64>,
    /// What is wrong, and what would be right.
    pub message: String,
}

/// Text of the scorer's.
#[derive(ToSchema)]
pub struct NoteInfo {
    /// `participant` or `organizer`.
    pub audience: String,
    /// What it says.
    pub text: String,
}

/// A file that the scorer made.
#[derive(ToSchema)]
pub struct AttachmentInfo {
    /// Plain file name, unique in the report.
    pub name: String,
    /// Media type that the scorer gave; it is never served as such.
    pub media_type: String,
    /// `participant` or `organizer`.
    pub audience: String,
    /// Length, bytes.
    pub len: u64,
    /// `sha256:…`
    pub digest: String,
}

/// Digests of what a result depends on, `sha256:…`.
#[derive(ToSchema)]
pub struct DigestsInfo {
    /// Of the predictions.
    pub predictions: String,
    /// Of the reference data; for organizers.
    #[schema(required = false, nullable = false)]
    pub reference: Option<String>,
    /// The same, keyed with a salt, in hexadecimal; for participants.
    #[schema(required = false, nullable = false)]
    pub reference_keyed: Option<String>,
    /// Of the scorer's component.
    pub scorer: String,
    /// Of the parameters.
    pub params: String,
}

/// What a run used.
#[derive(ToSchema)]
pub struct CostInfo {
    /// Fuel; comparable only under the same `engine`.
    pub fuel: u64,
    /// Largest linear memory, bytes.
    pub peak_memory: u64,
}

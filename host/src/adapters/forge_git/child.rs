//! The process that fetches. Bounded before it reads a byte: processor time, memory, what it writes; it ends with its parent.

use super::tree;
use crate::outside::is_public;
use crate::workspace::limits::ArchiveLimits;
use gix::bstr::ByteSlice as _;
use gix::remote::Direction;
use gix::remote::fetch::{Shallow, Tags};
use gradus_core::domain::forge::{ObjectId, TagName};
use gradus_core::domain::units::Bytes;
use gradus_core::ports::git::Wanted;
use rustix::process::{Resource, Rlimit, Signal, set_parent_process_death_signal, setrlimit};
use serde::{Deserialize, Serialize};
use std::cell::Cell;
use std::io::{self, Read as _, Write as _};
use std::net::ToSocketAddrs as _;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::atomic::AtomicBool;

/// What the child is called with.
pub const SUBCOMMAND: &str = "__fetch";
/// Memory of a child, beside one object.
const MEMORY: u64 = 1 << 30;
/// Processor time of a child, in seconds: well below what it may take by the clock, so that it is known whose doing it is.
const CPU_SECONDS: u64 = 60;
/// Bytes of what it is asked, at most.
const MAX_ASK: u64 = 64 << 10;

/// What a child is asked.
#[derive(Serialize, Deserialize)]
pub(super) struct Ask {
    url: String,
    /// `Authorization`, if somebody is to be told who we are.
    authorization: Option<String>,
    private: bool,
    tag: TagName,
    object: ObjectId,
    folder: PathBuf,
    /// Bytes that come over the network, at most.
    pack: u64,
    /// Bytes of one file, and of all.
    pub(super) file: u64,
    pub(super) bytes: u64,
    pub(super) entries: usize,
}

/// What a child says.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Told {
    /// So far: which commit the tag is.
    At {
        commit: ObjectId,
    },
    Fetched {
        commit: ObjectId,
        notes: Vec<String>,
    },
    Refused {
        code: String,
        reason: String,
    },
    Trouble {
        why: String,
    },
}

impl Told {
    /// The last word, and which commit the tag is if that was said before it.
    pub(super) fn read(said: &[u8]) -> (Option<Self>, Option<ObjectId>) {
        let (mut last, mut at) = (None, None);
        for told in said.lines().filter_map(|line| serde_json::from_slice(line).ok()) {
            match told {
                Self::At { commit } => at = Some(commit),
                Self::Fetched { .. } | Self::Refused { .. } | Self::Trouble { .. } => last = Some(told),
            }
        }
        (last, at)
    }

    fn say(&self) {
        let text = serde_json::to_string(self).unwrap_or_default();
        // Nobody reads it if that fails, and the parent says so.
        drop(writeln!(io::stderr(), "\n{text}"));
    }
}

/// Why a child has nothing.
pub(super) enum Off {
    Refused(&'static str, String),
    Trouble(String),
}

impl<E: std::error::Error> From<E> for Off {
    fn from(error: E) -> Self {
        Self::Trouble(gradus_core::ports::chain(&error))
    }
}

impl Ask {
    pub(super) fn new(wanted: &Wanted<'_>, folder: &Path, pack: Bytes, limits: &ArchiveLimits) -> Self {
        Self {
            url: wanted.url.to_owned(),
            authorization: wanted.access.map(gradus_core::domain::forge::Access::basic),
            private: wanted.private,
            tag: wanted.tag.clone(),
            object: wanted.object.clone(),
            folder: folder.to_owned(),
            pack: pack.0,
            file: limits.file.0,
            bytes: limits.bytes.0,
            entries: limits.entries,
        }
    }
}

/// The child's side; returns its exit code. The command line calls it for [`SUBCOMMAND`], before anything else.
pub fn fetch_child() -> i32 {
    let told = match fetch() {
        Ok(told) => told,
        Err(Off::Refused(code, reason)) => Told::Refused { code: code.to_owned(), reason },
        Err(Off::Trouble(why)) => Told::Trouble { why },
    };
    let well = matches!(told, Told::Fetched { .. });
    told.say();
    i32::from(!well)
}

fn fetch() -> Result<Told, Off> {
    // When the parent dies, so does this.
    set_parent_process_death_signal(Some(Signal::KILL)).map_err(io::Error::from)?;
    let mut text = Vec::new();
    io::stdin().lock().take(MAX_ASK).read_to_end(&mut text)?;
    let ask: Ask = serde_json::from_slice(&text)?;
    let memory = MEMORY.saturating_add(ask.file.saturating_mul(2));
    for (resource, most) in [
        (Resource::Cpu, CPU_SECONDS),
        (Resource::Data, memory),
        // The pack is the largest file that it writes.
        (Resource::Fsize, ask.pack),
        (Resource::Core, 0),
    ] {
        // Reached softly, a limit ends the child with a signal that says which.
        setrlimit(resource, Rlimit { current: Some(most), maximum: Some(most.saturating_add(5)) })
            .map_err(io::Error::from)?;
    }
    if !ask.private && !ask.url.starts_with("file://") {
        reachable(&ask.url)?;
    }
    let mut config = vec![
        "protocol.allow=never".to_owned(),
        "protocol.https.allow=always".to_owned(),
        "http.followRedirects=false".to_owned(),
        "gitoxide.credentials.terminalPrompt=false".to_owned(),
        format!("gitoxide.objects.allocLimit={}", ask.file),
    ];
    // What the operator said that the forge is at, and nothing else.
    if ask.private {
        config.push("protocol.http.allow=always".to_owned());
    }
    if ask.url.starts_with("file://") {
        config.push("protocol.file.allow=always".to_owned());
    }
    // As a header, since gix gives no credentials to a server without TLS, and the operator said that this one has them.
    config.extend(ask.authorization.as_ref().map(|value| format!("http.extraHeader=Authorization: {value}")));
    let options = gix::open::Options::isolated().config_overrides(config);
    let repo = gix::ThreadSafeRepository::init_opts(
        &ask.folder,
        gix::create::Kind::Bare,
        gix::create::Options { destination_must_be_empty: Some(true), ..Default::default() },
        options,
    )
    .map_err(of_gix)?
    .to_thread_local();
    let name = format!("refs/tags/{}", ask.tag);
    let object = receive(&repo, &ask, &name)?;
    let commit = repo.find_object(object).map_err(of_gix)?.peel_tags_to_end().map_err(of_gix)?;
    let commit = commit
        .try_into_commit()
        .map_err(|_| Off::Refused("no-commit", "the tag is of no commit: tag a commit".to_owned()))?;
    let id =
        ObjectId::try_from(commit.id.to_string()).map_err(|error| Off::Trouble(format!("the commit's id: {error}")))?;
    // Some forges tell of the tag's own object, some of the commit.
    if !is(&object, &ask.object) && ask.object != id {
        return Err(moved());
    }
    let root = commit.tree_id().map_err(of_gix)?.detach();
    let notes = tree::write(&repo, root, &ask, io::stdout().lock())?;
    Ok(Told::Fetched { commit: id, notes })
}

/// Fetches the tag; what it is there.
fn receive(repo: &gix::Repository, ask: &Ask, name: &str) -> Result<gix::ObjectId, Off> {
    let remote = repo.remote_at_without_url_rewrite(ask.url.as_str()).map_err(of_gix)?.with_fetch_tags(Tags::None);
    let remote = remote.with_refspecs([format!("+{name}:{name}").as_str()], Direction::Fetch).map_err(of_gix)?;
    // Who is asked has said no to what was sent.
    let turned_away = Rc::new(Cell::new(false));
    let asked = Rc::clone(&turned_away);
    let connection = remote.connect(Direction::Fetch).map_err(of_gix)?.with_credentials(move |_| {
        asked.set(true);
        Ok(None)
    });
    let options = gix::remote::ref_map::Options::default();
    let prepared =
        connection.prepare_fetch(gix::progress::Discard, options).map_err(|error| match turned_away.get() {
            true if ask.authorization.is_some() => {
                Off::Trouble("the forge does not take the token that it was given".to_owned())
            }
            true => Off::Trouble("the forge gives this repository only to who has a token".to_owned()),
            false => of_gix(error),
        })?;
    let there = prepared.ref_map().remote_refs.iter().find_map(|reference| {
        let (full, target, peeled) = reference.unpack();
        (full == name).then(|| (target.map(ToOwned::to_owned), peeled.map(ToOwned::to_owned)))
    });
    let Some((target, peeled)) = there else {
        return Err(Off::Refused("tag-gone", format!("there is no tag `{}` any more", ask.tag)));
    };
    let is_it = |id: Option<gix::ObjectId>| id.is_some_and(|id| is(&id, &ask.object));
    // Before anything is sent.
    if !is_it(target) && !is_it(peeled) {
        return Err(moved());
    }
    // So that a refusal can be told of it, too.
    if let Some(commit) = peeled.or(target).and_then(|id| ObjectId::try_from(id.to_string()).ok()) {
        Told::At { commit }.say();
    }
    let shallow = Shallow::DepthAtRemote(std::num::NonZeroU32::MIN);
    prepared.with_shallow(shallow).receive(gix::progress::Discard, &AtomicBool::new(false)).map_err(|error| {
        match of_gix(error) {
            // What gix says of an object beyond its limit; there is no kind of error for it.
            Off::Trouble(why) if why.contains("too large to fit in memory") => Off::Refused(
                "too-large",
                format!("the repository has a file of more than {} at this tag", Bytes(ask.file)),
            ),
            other @ (Off::Refused(..) | Off::Trouble(_)) => other,
        }
    })?;
    let reference = repo.find_reference(name).map_err(of_gix)?;
    Ok(reference.id().detach())
}

/// Whether git's id is that of ours.
fn is(id: &gix::ObjectId, ours: &ObjectId) -> bool {
    id.to_hex().to_string().as_str() == ours.as_str()
}

fn moved() -> Off {
    let reason = "the tag was moved before it was fetched; what it is by now is a push of its own".to_owned();
    Off::Refused("tag-moved", reason)
}

/// An error of gix, without what we told it.
pub(super) fn of_gix(error: impl std::error::Error) -> Off {
    Off::Trouble(format!("the repository could not be fetched: {}", gradus_core::ports::chain(&error)))
}

/// Whether the host is one that everybody reaches. A name that stands for something else a moment later is the doing of whoever
/// runs the forge, whom the operator trusts so far.
fn reachable(url: &str) -> Result<(), Off> {
    let refused = || Off::Trouble("its address is of a private network, or of this machine: say --private".to_owned());
    let url = gix::url::parse(url).map_err(of_gix)?;
    let (Some(host), Some(port)) = (url.host(), url.port_or_default()) else { return Err(refused()) };
    let host = host.trim_matches(['[', ']']);
    let mut all = (host, port).to_socket_addrs().map_err(|error| Off::Trouble(format!("`{host}`: {error}")))?;
    if all.all(|at| is_public(at.ip())) { Ok(()) } else { Err(refused()) }
}

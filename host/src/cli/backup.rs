//! `gradus admin backup`, `restore` and `check`: a copy of all that a server has, and whether what is stored is whole.

use super::{Context, Done, Json, Remote};
use crate::backup::{self, End, Looked};
use crate::config::Config;
use anyhow::Context as _;
use clap::Args;
use gradus_core::app::verify::Verified;
use gradus_core::domain::units::Bytes;
use serde_json::json;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

/// What is wrong that is shown, at most; all of it is counted.
const SHOWN: usize = 100;

/// Make a backup of a running server: all rows as they are at one moment, and all files.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  gradus admin backup /backups/gradus-2026-11-27.tar

It holds everything, reference data included: keep it where nobody else reads it. Submissions are taken in meanwhile.")]
pub struct Backup {
    /// The file to make; it must not be there yet.
    file: PathBuf,
    #[command(flatten)]
    json: Json,
    #[command(flatten)]
    remote: Remote,
}

/// Make a data folder of a backup, and look over what is in it. No server is needed.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  gradus admin restore /backups/gradus-2026-11-27.tar --data /var/lib/gradus

The first start of a server on it writes a new operator's token beside the data; all earlier tokens hold as well.")]
pub struct Restore {
    /// The backup.
    file: PathBuf,
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    json: Json,
}

/// Look over what is stored in a data folder: files against their digests, leaderboards against reports, quotas against
/// submissions. No server may have it open.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  gradus admin check --data /var/lib/gradus\n\nExit codes: 0 all of it is whole, 1 it is not."
)]
pub struct Check {
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    json: Json,
}

#[derive(Debug, Args)]
struct Place {
    /// The data folder [default: as configured, or gradus-data].
    #[arg(long, value_name = "DIR", env = "GRADUS_DATA")]
    data: Option<PathBuf>,
    /// Configuration file of the server.
    #[arg(long, value_name = "FILE", env = "GRADUS_CONFIG")]
    config: Option<PathBuf>,
}

impl Place {
    fn folder(self) -> anyhow::Result<PathBuf> {
        let config = Config::load(self.config.as_deref())?;
        Ok(config.place(self.data, None).0)
    }
}

impl Backup {
    pub(super) fn run(self, context: &mut Context) -> anyhow::Result<Done> {
        let (client, file) = (context.client(&self.remote)?, &self.file);
        if file.exists() {
            anyhow::bail!("{} is there already; name another file", file.display());
        }
        let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        // Under another name until it is whole, and nobody else's to read.
        let made = tempfile::Builder::new().permissions(Permissions::from_mode(0o600)).tempfile_in(folder);
        let mut made = made.with_context(|| format!("no file can be made in {}", folder.display()))?;
        client.backup(&mut made)?;
        made.as_file().sync_all().context("the backup could not be synced")?;
        let written = std::fs::File::open(made.path()).context("the backup cannot be read back")?;
        let mut spoilt = 0_u64;
        let (head, end) = backup::read(std::io::BufReader::new(written), &mut Looked, &mut |_| spoilt += 1)?;
        made.persist_noclobber(file)
            .map_err(|error| error.error)
            .with_context(|| format!("{} cannot be made", file.display()))?;
        std::fs::File::open(folder).and_then(|folder| folder.sync_all()).context("the folder could not be synced")?;
        if self.json.json {
            context.out.json(
                &json!({ "file": file, "rows": head.rows, "blobs": end.blobs, "bytes": end.bytes, "spoilt": spoilt }),
            )?;
        } else {
            let End { blobs, bytes } = end;
            context.out.line(format!("{}: {} rows, {blobs} blobs ({})", file.display(), head.rows, Bytes(bytes)))?;
        }
        if spoilt > 0 {
            context.out.note(format!(
                "{spoilt} files are spoilt on the server's disk, and so in the backup; all others are whole. Look after the \
                 disk; `gradus admin check`, with the server stopped, says which they are"
            ))?;
        }
        Ok(Done::well(spoilt == 0))
    }
}

/// Collects what is wrong.
#[derive(Default)]
struct Wrong {
    first: Vec<String>,
}

impl Wrong {
    fn take(&mut self, what: String) {
        if self.first.len() < SHOWN {
            self.first.push(what);
        }
    }

    /// Prints it, and how much was looked at.
    fn print(&self, context: &Context, verified: &Verified) -> anyhow::Result<()> {
        for what in &self.first {
            context.out.line(super::output::clean(what))?;
        }
        let Verified { challenges, versions, submissions, bodies, problems } = verified;
        let (count, bytes) = *bodies;
        context.out.note(format!(
            "looked at {challenges} challenges in {versions} versions, {submissions} submissions and {count} bodies ({}): {}",
            Bytes(bytes),
            if *problems == 0 { "all of it is whole".to_owned() } else { format!("{problems} problems") }
        ))?;
        if *problems > 0 {
            context.out.note("restore a backup from before, or publish and hand in again what is told here")?;
        }
        Ok(())
    }
}

fn document(verified: &Verified, wrong: &Wrong) -> serde_json::Value {
    json!({
        "challenges": verified.challenges,
        "versions": verified.versions,
        "submissions": verified.submissions,
        "bodies": verified.bodies.0,
        "bytes": verified.bodies.1,
        "problems": { "first": wrong.first, "total": verified.problems },
    })
}

impl Restore {
    pub(super) fn run(self, context: &mut Context) -> anyhow::Result<Done> {
        let data = self.place.folder()?;
        let mut wrong = Wrong::default();
        let (head, _, verified) = context.host.restore(&self.file, &data, &mut |what| wrong.take(what))?;
        if self.json.json {
            context
                .out
                .json(&json!({ "data": data, "made_at": head.made_at, "check": document(&verified, &wrong) }))?;
        } else {
            let (at, folder) = (head.made_at.strftime("%Y-%m-%d %H:%M:%S UTC"), data.display());
            context
                .out
                .line(format!("{folder} is as the server was at {at}; `gradus serve --data {folder}` starts it"))?;
            wrong.print(context, &verified)?;
        }
        Ok(Done::well(verified.problems == 0))
    }
}

impl Check {
    pub(super) fn run(self, context: &mut Context) -> anyhow::Result<Done> {
        let data = self.place.folder()?;
        let mut wrong = Wrong::default();
        let verified = context.host.verify(&data, &mut |what| wrong.take(what))?;
        if self.json.json {
            context.out.json(&document(&verified, &wrong))?;
        } else {
            wrong.print(context, &verified)?;
        }
        Ok(Done::well(verified.problems == 0))
    }
}

//! `gradus serve`: runs a server.

use super::{Context, Done, ServeOptions};
use clap::Args;
use std::net::SocketAddr;
use std::path::PathBuf;

/// Run a server: one process, one data folder.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  gradus serve
  gradus serve --data /var/lib/gradus --listen 0.0.0.0:8400 --config /etc/gradus.toml

The first start writes DIR/operator.token, a token for everything, readable by its owner only.")]
pub struct Serve {
    /// Folder of its store and blobs; made when there is none [default: as configured, or gradus-data].
    #[arg(long, value_name = "DIR", env = "GRADUS_DATA")]
    data: Option<PathBuf>,
    /// Address and port to listen on [default: as configured, or 127.0.0.1:8400].
    #[arg(long, value_name = "ADDR", env = "GRADUS_LISTEN")]
    listen: Option<SocketAddr>,
    /// Configuration file.
    #[arg(long, value_name = "FILE", env = "GRADUS_CONFIG")]
    config: Option<PathBuf>,
}

impl Serve {
    pub(super) fn run(self, context: &mut Context) -> anyhow::Result<Done> {
        let Self { data, listen, config } = self;
        context.host.serve(ServeOptions { data, listen, config })?;
        Ok(Done::Well)
    }
}

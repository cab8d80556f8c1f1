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
    /// Folder of its store and blobs; made when there is none.
    #[arg(long, value_name = "DIR", default_value = "gradus-data", env = "GRADUS_DATA")]
    data: PathBuf,
    /// Address and port to listen on.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8400", env = "GRADUS_LISTEN")]
    listen: SocketAddr,
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

//! `gradus doctor`: whether this computer is fit to run a server, a line for each thing looked at.

mod checks;

use super::{Context, Done, Json, Remote};
use checks::{Finding, Level};
use clap::Args;
use serde_json::json;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;

/// Look over this computer: folders, engine, clock, server; and say what to do.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  gradus doctor
  gradus doctor --config /etc/gradus.toml
  gradus doctor --data /var/lib/gradus --server https://gradus.example.org

Exit codes: 0 nothing that is needed fails, 1 something does.")]
pub struct Doctor {
    /// The data folder of the server [default: as configured, or gradus-data].
    #[arg(long, value_name = "DIR", env = "GRADUS_DATA")]
    data: Option<PathBuf>,
    /// Configuration file of the server.
    #[arg(long, value_name = "FILE", env = "GRADUS_CONFIG")]
    config: Option<PathBuf>,
    #[command(flatten)]
    json: Json,
    #[command(flatten)]
    remote: Remote,
}

impl Doctor {
    pub(super) fn run(self, context: &mut Context) -> anyhow::Result<Done> {
        let mut findings = Vec::new();
        let config = self.config.as_deref().map(|path| checks::config(path, &mut findings));
        let config = config.flatten().unwrap_or_default();
        let (data, _) = config.place(self.data, None);
        findings.extend([checks::data(&data), checks::space(&data, config.limits.free_disk)]);
        findings.push(checks::cache(context.environment.compiled().as_deref()));
        findings.push(checks::engine(context));
        findings.extend(checks::containers(context, &config.runner));
        findings.push(checks::builds());
        let mut remote = self.remote;
        // The server that the configuration is for.
        remote.server = remote.server.or_else(|| config.server.listen.map(at));
        let server = checks::server(context, &remote);
        findings.push(checks::clock());
        findings.push(server);
        let failed = findings.iter().any(|finding| finding.level == Level::Fail);
        if self.json.json {
            let item =
                |Finding { name, level, what }: &Finding| json!({ "check": name, "level": level.word(), "what": what });
            context.out.json(&findings.iter().map(item).collect::<Vec<_>>())?;
        } else {
            let out = &context.out;
            for Finding { name, level, what } in &findings {
                let word = format!("{:<4}", level.word());
                let word = match level {
                    Level::Ok => out.good(word),
                    Level::Warn => out.fair(word),
                    Level::Fail => out.bad(word),
                };
                out.line(format!("{word}  {name:<8}  {}", super::output::clean(what)))?;
            }
        }
        Ok(Done::well(!failed))
    }
}

/// Where a server answers on this computer that listens there.
fn at(listen: SocketAddr) -> String {
    let loopback: IpAddr = if listen.is_ipv4() { Ipv4Addr::LOCALHOST.into() } else { Ipv6Addr::LOCALHOST.into() };
    let ip = if listen.ip().is_unspecified() { loopback } else { listen.ip() };
    format!("http://{}", SocketAddr::new(ip, listen.port()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_listens_everywhere_answers_here() {
        for (listen, expected) in [
            ("0.0.0.0:80", "http://127.0.0.1:80"),
            ("[::]:8400", "http://[::1]:8400"),
            ("192.0.2.1:8400", "http://192.0.2.1:8400"),
        ] {
            assert_eq!(at(listen.parse().unwrap()), expected);
        }
    }
}

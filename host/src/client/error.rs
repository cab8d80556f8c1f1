//! Why a request did not do what was asked, in words for the one who typed the command.

use crate::http::dto::ProblemInfo;
use gradus_core::domain::report::Problem;
use std::fmt;
use std::io::ErrorKind;

/// Why a request did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The server said no, and why.
    #[error("{}", Words(.problem))]
    Refused {
        /// The HTTP status.
        status: u16,
        /// What it said.
        problem: Box<ProblemInfo>,
    },
    /// Nobody listens there.
    #[error("no server answers at {server}; start one with `gradus serve`, or name another with `--server`")]
    NoServer {
        /// Where.
        server: String,
    },
    /// There is no host of that name.
    #[error("there is no host of the name in {server}; check `--server`")]
    NoHost {
        /// Where.
        server: String,
    },
    /// The server's certificate is not trusted, or it speaks no TLS.
    #[error("no secure connection to {server}; check the address (is it http://?) and its certificate")]
    Tls {
        /// Where.
        server: String,
        /// Why.
        #[source]
        source: Box<ureq::Error>,
    },
    /// It took too long.
    #[error("{server} did not answer in time; try again, or look at its log")]
    Timeout {
        /// Where.
        server: String,
        /// What took too long.
        #[source]
        source: Box<ureq::Error>,
    },
    /// The connection broke. Whether the request arrived is not known.
    #[error("the connection to {server} broke; try again")]
    Lost {
        /// Where.
        server: String,
        /// Why.
        #[source]
        source: Box<ureq::Error>,
    },
    /// What was asked cannot be put into a request, or not by this way: nothing was sent, or nothing that helps.
    #[error("the request to {server} could not be made; check the address and the proxy settings")]
    Unable {
        /// Where.
        server: String,
        /// Why.
        #[source]
        source: Box<ureq::Error>,
    },
    /// What was to be said with a request is longer than a server takes. Nothing was sent.
    #[error("{what}; nothing was sent")]
    TooLong {
        /// What, and how long it may be.
        what: String,
    },
    /// Whatever answers there is no Gradus, or another version of it.
    #[error("what answers at {server} is no Gradus server of this version ({what}); check `--server`")]
    NotGradus {
        /// Where.
        server: String,
        /// What came.
        what: String,
    },
    /// A file of ours could not be read or written.
    #[error("could not {what}")]
    Local {
        /// What we were about.
        what: String,
        /// Why it did not work.
        #[source]
        source: std::io::Error,
    },
}

impl ClientError {
    /// Whether another try may go better.
    pub fn is_passing(&self) -> bool {
        match self {
            Self::NoServer { .. } | Self::Timeout { .. } | Self::Lost { .. } => true,
            Self::Refused { status, .. } => *status == 429 || *status >= 500,
            Self::NoHost { .. }
            | Self::Tls { .. }
            | Self::Unable { .. }
            | Self::TooLong { .. }
            | Self::NotGradus { .. }
            | Self::Local { .. } => false,
        }
    }

    pub(super) fn of(server: String, source: ureq::Error) -> Self {
        use ureq::Error as E;
        let source = Box::new(source);
        let kind = if let E::Io(error) = &*source { Some(error.kind()) } else { None };
        let nobody = [ErrorKind::ConnectionRefused, ErrorKind::NetworkUnreachable, ErrorKind::HostUnreachable];
        if kind.is_some_and(|kind| nobody.contains(&kind)) || matches!(*source, E::ConnectionFailed) {
            Self::NoServer { server }
        } else if matches!(kind, Some(ErrorKind::TimedOut | ErrorKind::WouldBlock)) || matches!(*source, E::Timeout(_))
        {
            Self::Timeout { server, source }
        } else if matches!(*source, E::HostNotFound) {
            Self::NoHost { server }
        } else if matches!(*source, E::Tls(_) | E::Pem(_) | E::Rustls(_)) {
            Self::Tls { server, source }
        } else if kind.is_some() {
            Self::Lost { server, source }
        } else if matches!(
            *source,
            E::Protocol(_)
                | E::RedirectFailed
                | E::TooManyRedirects
                | E::LargeResponseHeader(..)
                | E::BodyExceedsLimit(_)
                | E::BodyStalled
        ) {
            Self::NotGradus { server, what: source.to_string() }
        } else {
            // The same request would fail in the same way, however often it is sent.
            Self::Unable { server, source }
        }
    }

    /// Whether the same request may be sent again, as nobody knows whether it arrived.
    pub fn is_lost(&self) -> bool {
        match self {
            Self::Lost { .. } | Self::Timeout { .. } => true,
            Self::Refused { .. }
            | Self::NoServer { .. }
            | Self::NoHost { .. }
            | Self::Tls { .. }
            | Self::Unable { .. }
            | Self::TooLong { .. }
            | Self::NotGradus { .. }
            | Self::Local { .. } => false,
        }
    }

    /// The stable code of a refusal.
    pub fn code(&self) -> Option<&str> {
        match self {
            Self::Refused { problem, .. } => Some(&problem.code),
            Self::NoServer { .. }
            | Self::NoHost { .. }
            | Self::Tls { .. }
            | Self::Timeout { .. }
            | Self::Lost { .. }
            | Self::Unable { .. }
            | Self::TooLong { .. }
            | Self::NotGradus { .. }
            | Self::Local { .. } => None,
        }
    }

    /// What the server said when it refused.
    pub fn problem(&self) -> Option<&ProblemInfo> {
        if let Self::Refused { problem, .. } = self { Some(problem) } else { None }
    }

    /// The status of a refusal.
    pub fn status(&self) -> Option<u16> {
        if let Self::Refused { status, .. } = self { Some(*status) } else { None }
    }
}

/// A problem document as lines of text.
struct Words<'a>(&'a ProblemInfo);

impl fmt::Display for Words<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ProblemInfo { detail, title, problems, errors, status, .. } = self.0;
        f.write_str(if detail.is_empty() { title } else { detail })?;
        if *status == 401 {
            f.write_str("; `gradus login` stores a token, GRADUS_TOKEN_FILE names one")?;
        }
        if let Some(problems) = problems {
            for problem in &problems.first {
                write!(f, "\n  {}", line(problem))?;
            }
            let more = problems.total.saturating_sub(problems.first.len() as u64);
            if more > 0 {
                write!(f, "\n  … and {more} more")?;
            }
        }
        errors.iter().try_for_each(|error| write!(f, "\n  {error}"))
    }
}

/// A problem as `file:line: message`.
pub fn line(problem: &Problem) -> String {
    let Problem { file, line, message } = problem;
    match (file, line) {
        (Some(file), Some(line)) => format!("{file}:{line}: {message}"),
        (Some(file), None) => format!("{file}: {message}"),
        (None, Some(line)) => format!("line {line}: {message}"),
        (None, None) => message.clone(),
    }
}

//! A probe made ready to be asked: parsed once, asked often, with its text for people.

use std::time::Duration;

use super::endpoint::{Endpoint, reason};
use super::exec::Exec;
use super::http::Http;
use super::log::LogLine;
use super::{Contained, Context, Ownership};
use crate::domain::format_duration;
use crate::machine::Answer;
use crate::plan::{Probe, PublishPlan};

/// One question.
pub(super) struct Question {
    asked: String,
    kind: Kind,
}

enum Kind {
    Http(Box<Http>),
    Tcp(Endpoint),
    Exec(Exec),
    Log(Box<LogLine>),
    Notify,
    Port(u16, Endpoint),
    /// The container's own health check, and whether its ports lead inside.
    Own(Box<Contained>),
    /// A port that leads into the container.
    Published(Box<Contained>, PublishPlan),
    /// It cannot be asked, for this reason.
    Wrong(String),
}

impl Question {
    /// Makes a probe ready. What is wrong with it becomes its answer.
    pub(super) fn new(probe: &Probe, ctx: &Context) -> Self {
        let (asked, kind) = match probe {
            Probe::Http(http) => (Http::text(http), Http::new(http).map(|http| Kind::Http(Box::new(http)))),
            Probe::Tcp { host, port } if published(ctx, host, *port).is_some() => {
                let text = format!("connect to {}", Endpoint::new(host, *port).text());
                (text, published(ctx, host, *port).ok_or_else(String::new))
            }
            Probe::Port(port) if published(ctx, "localhost", *port).is_some() => (
                format!("a listener in its container behind port {port}"),
                published(ctx, "localhost", *port).ok_or_else(String::new),
            ),
            Probe::Tcp { host, port } => {
                let endpoint = Endpoint::new(host, *port);
                (format!("connect to {}", endpoint.text()), Ok(Kind::Tcp(endpoint)))
            }
            Probe::Exec(command) => {
                let exec = Exec::new(command);
                (exec.text(), Ok(Kind::Exec(exec)))
            }
            Probe::Log(pattern) => {
                let log = LogLine::new(pattern, ctx).map(|log| Kind::Log(Box::new(log)));
                (format!("a line in the log that matches /{pattern}/"), log)
            }
            Probe::Notify => ("READY=1 on its notify socket".to_owned(), Ok(Kind::Notify)),
            Probe::Port(port) => (
                format!("its own listener on port {port}"),
                Ok(Kind::Port(*port, Endpoint::new("localhost", *port))),
            ),
            Probe::Own => (
                "the health check of its image".to_owned(),
                ctx.contained
                    .clone()
                    .map(|contained| Kind::Own(Box::new(contained)))
                    .ok_or_else(|| "it is no container".to_owned()),
            ),
        };
        Self { asked, kind: kind.unwrap_or_else(Kind::Wrong) }
    }

    /// Asks once.
    pub(super) async fn ask(&mut self, timeout: Duration, ctx: &Context) -> Answer {
        let kind = &mut self.kind;
        let got = match tokio::time::timeout(timeout, kind.ask(ctx)).await {
            Ok(Ok(None)) => return Answer::Good,
            Ok(Ok(Some(foreign))) => return foreign,
            Ok(Err(got)) => got,
            Err(_) => format!("timed out after {}", format_duration(timeout)),
        };
        Answer::Bad { asked: self.asked.clone(), got }
    }

    /// Waits until it holds, where that is told by itself; false at once, where it must be asked again.
    pub(super) async fn happens(&mut self, ctx: &Context) -> Result<bool, Answer> {
        match &mut self.kind {
            Kind::Log(log) => {
                let told = log.happens().await;
                told.map(|()| true).map_err(|got| Answer::Bad { asked: self.asked.clone(), got })
            }
            Kind::Notify => match ctx.notified.clone().wait_for(|notified| *notified).await {
                Ok(_) => Ok(true),
                // Nobody is there any more who could tell.
                Err(_) => std::future::pending().await,
            },
            Kind::Own(contained) => {
                // Well already, and asked again only for its ports' sake.
                if contained.own().is_ok() {
                    return Ok(false);
                }
                contained.is_well().await;
                let told = contained.reaches_all().await;
                told.map(|()| true).map_err(|got| Answer::Bad { asked: self.asked.clone(), got })
            }
            // It stays wrong for ever.
            Kind::Wrong(_) => std::future::pending().await,
            Kind::Http(_) | Kind::Tcp(_) | Kind::Exec(_) | Kind::Port(..) | Kind::Published(..) => Ok(false),
        }
    }

    /// Whether asking starts a process.
    pub(super) fn is_costly(&self) -> bool {
        matches!(self.kind, Kind::Exec(_))
    }
}

impl Kind {
    /// Good (none), a foreign listener, or the answer in words.
    async fn ask(&mut self, ctx: &Context) -> Result<Option<Answer>, String> {
        match self {
            Self::Http(http) => {
                http.ask().await?;
                Ok(foreign(http.endpoint(), ctx))
            }
            Self::Tcp(endpoint) => {
                endpoint.answers().await.map_err(|error| reason(&error))?;
                Ok(foreign(endpoint, ctx))
            }
            Self::Exec(exec) => exec.ask(ctx).await.map(|()| None),
            Self::Log(log) => log.look().map(|()| None),
            Self::Notify => {
                let notified = *ctx.notified.borrow();
                if notified { Ok(None) } else { Err("not sent yet".to_owned()) }
            }
            Self::Port(port, endpoint) => match (ctx.owner)(*port) {
                Ownership::Own => Ok(None),
                Ownership::Foreign(holder) => Ok(Some(Answer::Foreign { port: *port, holder })),
                Ownership::Nobody => Err("nothing listens there".to_owned()),
                // Who it is cannot be seen on this system: that somebody answers must do.
                Ownership::Unknown => endpoint.answers().await.map(|()| None).map_err(|error| reason(&error)),
            },
            Self::Own(contained) => {
                contained.own()?;
                contained.reaches_all().await.map(|()| None)
            }
            Self::Published(contained, port) => contained.reaches(port).await.map(|()| None),
            Self::Wrong(why) => Err(why.clone()),
        }
    }
}

/// The question for a port that leads into the unit's own container.
fn published(ctx: &Context, host: &str, port: u16) -> Option<Kind> {
    let contained = ctx.contained.as_ref()?;
    let port = contained.published(host, port)?;
    Some(Kind::Published(Box::new(contained.clone()), port))
}

/// A port of this machine that somebody else answers on is a conflict, not health.
fn foreign(endpoint: &Endpoint, ctx: &Context) -> Option<Answer> {
    if !endpoint.is_local() {
        return None;
    }
    match (ctx.owner)(endpoint.port()) {
        Ownership::Foreign(holder) => Some(Answer::Foreign { port: endpoint.port(), holder }),
        // It answered a moment ago: a listener that takes one connection only, or one in another network namespace.
        Ownership::Own | Ownership::Nobody | Ownership::Unknown => None,
    }
}

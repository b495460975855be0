//! The supervisor's side of the API: it turns HTTP requests into calls to the loop, and answers into lines.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::connect_info::Connected;
use axum::extract::{ConnectInfo, DefaultBodyLimit, Json, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::serve::IncomingStream;
use http_body_util::channel::{Channel, Sender};
use tokio::net::unix::SocketAddr;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{mpsc, oneshot, watch};

use super::api::{CancelCall, DownCall, Told, UpCall, Version};
use crate::domain::{PastUsage, StackView, UnitView};
use crate::machine::{Reply, RequestId};
use crate::sys::descriptors::Spare;

/// A plan of 100,000 services is some tens of megabytes of JSON.
const LARGEST_BODY: usize = 256 << 20;

/// Views are sent at most so often: a client is a person, and 100 services change 600 times in a start.
const VIEW_PAUSE: Duration = Duration::from_millis(25);

/// The present view of all units, shared with every client that watches.
pub type Views = watch::Receiver<Arc<Vec<UnitView>>>;

/// What the loop is asked for.
#[derive(Debug)]
pub enum Call {
    /// An `up`.
    Up(Box<UpCall>, Peer, Answers),
    /// A `down`.
    Down(Box<DownCall>, Peer, Answers),
    /// Take a request back.
    Cancel(CancelCall),
    /// Write down anew what is missing of the state; answered when it is done.
    Restore(oneshot::Sender<()>),
    /// The stack with its processes.
    View(oneshot::Sender<StackView>),
    /// What its lives took at the last looks.
    Usage(oneshot::Sender<Vec<PastUsage>>),
}

/// Who is at the other end of a connection, as the kernel tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// The user who it runs as.
    pub uid: u32,
    /// Its process number.
    pub pid: Option<i32>,
}

impl Peer {
    /// This process itself.
    #[must_use]
    pub fn own() -> Self {
        Self { uid: rustix::process::geteuid().as_raw(), pid: i32::try_from(std::process::id()).ok() }
    }
}

impl Connected<IncomingStream<'_, Listener>> for Peer {
    fn connect_info(stream: IncomingStream<'_, Listener>) -> Self {
        match stream.io().peer_cred() {
            Ok(peer) => Self { uid: peer.uid(), pid: peer.pid() },
            // Nobody is let in of whom the kernel did not tell; he may have gone since.
            Err(_) => Self { pid: None, ..Self::own() },
        }
    }
}

/// Where the loop tells a request's number and its end.
#[derive(Debug)]
pub struct Answers {
    /// Told at once: its number, or why nothing could be begun.
    pub accepted: oneshot::Sender<Result<RequestId, String>>,
    /// Told at the end.
    pub reply: oneshot::Sender<Reply>,
}

#[derive(Clone)]
struct Api {
    calls: mpsc::UnboundedSender<Call>,
    views: Views,
}

/// Serves the API until `ending`, then ends when the answers under way have been read.
pub async fn serve(
    listener: Listener,
    calls: mpsc::UnboundedSender<Call>,
    views: Views,
    ending: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    let api = Api { calls, views };
    let router = Router::new()
        .route("/v1/version", get(version))
        .route("/v1/stack", get(stack))
        .route("/v1/usage", get(usage))
        .route("/v1/watch", get(watch_units))
        .route("/v1/up", post(up))
        .route("/v1/down", post(down))
        .route("/v1/cancel", post(cancel))
        .layer(DefaultBodyLimit::max(LARGEST_BODY))
        .with_state(api);
    let service = router.into_make_service_with_connect_info::<Peer>();
    axum::serve(listener, service).with_graceful_shutdown(ending).await
}

/// A listener that hangs up on every other user, whatever the socket's mode has become.
pub struct Listener {
    present: UnixListener,
    renewed: mpsc::UnboundedReceiver<UnixListener>,
    /// Given up for a client where no descriptor is left otherwise.
    spare: Spare,
}

/// One for a client, one for what it wants to know.
const SPARE: usize = 2;

impl Listener {
    /// One whose socket may be swept away: each that comes from `renewed` takes the place of the one before.
    #[must_use]
    pub fn renewable(present: UnixListener, renewed: mpsc::UnboundedReceiver<UnixListener>) -> Self {
        Self { present, renewed, spare: Spare::hold(SPARE) }
    }
}

impl From<UnixListener> for Listener {
    fn from(present: UnixListener) -> Self {
        Self::renewable(present, mpsc::unbounded_channel().1)
    }
}

impl axum::serve::Listener for Listener {
    type Io = UnixStream;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (UnixStream, SocketAddr) {
        if self.spare.is_empty() {
            self.spare = Spare::hold(SPARE);
        }
        loop {
            let accepted = tokio::select! {
                Some(renewed) = self.renewed.recv() => {
                    self.present = renewed;
                    continue;
                }
                accepted = self.present.accept() => accepted,
            };
            match accepted {
                Ok((stream, address)) => {
                    let own = rustix::process::geteuid().as_raw();
                    if stream.peer_cred().is_ok_and(|peer| peer.uid() == own || peer.uid() == 0) {
                        return (stream, address);
                    }
                }
                Err(_) if !self.spare.is_empty() => self.spare = Spare::default(),
                // Out of descriptors: the next one may be served once another client is gone.
                Err(error) => {
                    tracing::warn!(%error, "a client could not be accepted");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.present.local_addr()
    }
}

async fn version() -> Json<Version> {
    Json(Version { version: env!("CARGO_PKG_VERSION").to_owned(), pid: std::process::id() })
}

async fn stack(State(api): State<Api>) -> Response {
    let (answer, view) = oneshot::channel();
    if api.calls.send(Call::View(answer)).is_err() {
        return ending();
    }
    view.await.map_or_else(|_| ending(), |view| Json(view).into_response())
}

async fn usage(State(api): State<Api>) -> Response {
    let (answer, past) = oneshot::channel();
    if api.calls.send(Call::Usage(answer)).is_err() {
        return ending();
    }
    past.await.map_or_else(|_| ending(), |past| Json(past).into_response())
}

async fn watch_units(State(api): State<Api>) -> Response {
    lines(|sender| tell_changes(sender, api.views, std::future::pending()))
}

async fn up(
    State(api): State<Api>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    Json(call): Json<UpCall>,
) -> Response {
    ask(api, |answers| Call::Up(Box::new(call), peer, answers)).await
}

async fn down(
    State(api): State<Api>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    Json(call): Json<DownCall>,
) -> Response {
    ask(api, |answers| Call::Down(Box::new(call), peer, answers)).await
}

async fn cancel(State(api): State<Api>, Json(call): Json<CancelCall>) -> Response {
    match api.calls.send(Call::Cancel(call)) {
        Ok(()) => StatusCode::NO_CONTENT.into_response(),
        Err(_) => ending(),
    }
}

async fn ask(api: Api, call: impl FnOnce(Answers) -> Call) -> Response {
    let (accepted, id) = oneshot::channel();
    let (reply, end) = oneshot::channel();
    if api.calls.send(call(Answers { accepted, reply })).is_err() {
        return ending();
    }
    let id = match id.await {
        Ok(Ok(id)) => id,
        Ok(Err(why)) => return (StatusCode::INSUFFICIENT_STORAGE, why).into_response(),
        Err(_) => return ending(),
    };
    lines(move |mut sender| async move {
        if tell(&mut sender, &Told::Accepted { id }).await.is_err() {
            return;
        }
        tell_changes(sender, api.views, end).await;
    })
}

/// Tells changes until the reply comes, then the reply. A client that is gone ends it; its request goes on.
async fn tell_changes(
    mut sender: Sender<Bytes>,
    mut views: Views,
    end: impl Future<Output = Result<Reply, oneshot::error::RecvError>>,
) {
    let mut told = Arc::new(Vec::new());
    let mut end = std::pin::pin!(end);
    views.mark_changed();
    loop {
        let mut reply = tokio::select! {
            biased;
            reply = &mut end => Some(reply),
            changed = views.changed() => if changed.is_ok() { None } else { return },
        };
        if reply.is_none() {
            // The reply must not wait for the pause that views keep.
            reply = tokio::time::timeout(pause(&told), &mut end).await.ok();
        }
        let now = Arc::clone(&views.borrow_and_update());
        let units = changed(&told, &now);
        if !units.is_empty() && tell(&mut sender, &Told::Changed { units }).await.is_err() {
            return;
        }
        told = now;
        if let Some(reply) = reply {
            if let Ok(reply) = reply {
                let _ = tell(&mut sender, &Told::Reply(reply)).await;
            }
            return;
        }
    }
}

/// The first view goes out at once.
fn pause(told: &[UnitView]) -> Duration {
    if told.is_empty() { Duration::ZERO } else { VIEW_PAUSE }
}

/// The units that differ from what was told; the order of units hardly ever changes, so places are compared.
fn changed(told: &[UnitView], now: &[UnitView]) -> Vec<UnitView> {
    now.iter()
        .enumerate()
        .filter(|(place, unit)| told.get(*place) != Some(unit))
        .map(|(_, unit)| unit.clone())
        .collect()
}

async fn tell(sender: &mut Sender<Bytes>, told: &Told) -> Result<(), ()> {
    let mut line = serde_json::to_vec(told).map_err(|_| ())?;
    line.push(b'\n');
    sender.send_data(Bytes::from(line)).await.map_err(|_| ())
}

/// A response whose body is written line by line.
fn lines<F: Future<Output = ()> + Send + 'static>(write: impl FnOnce(Sender<Bytes>) -> F) -> Response {
    let (sender, body) = Channel::<Bytes, Infallible>::new(4);
    tokio::spawn(write(sender));
    ([("content-type", "application/x-ndjson")], Body::new(body)).into_response()
}

fn ending() -> Response {
    (StatusCode::SERVICE_UNAVAILABLE, "the supervisor is ending").into_response()
}

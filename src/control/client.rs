//! The command line's side of the API: one connection, one request.

use std::io;
use std::path::Path;

use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::net::UnixStream;

use super::api::Told;

/// Why a supervisor did not answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nobody listens: there is no supervisor.
    #[error("no supervisor runs")]
    Absent,
    /// The socket could not be reached.
    #[error("its socket cannot be reached: {0}")]
    Unreachable(io::Error),
    /// The connection broke: the supervisor died or was killed.
    #[error("the supervisor went away: {0}")]
    Broken(#[from] hyper::Error),
    /// It ended its answer before the last line.
    #[error("the supervisor went away in the middle of its answer")]
    CutOff,
    /// It cannot write its state: a full disk, a directory that became read-only. Nothing was begun.
    #[error("the state of the stack cannot be written: {0}")]
    NoRoom(String),
    /// It lives and says nothing.
    #[error("the supervisor does not answer")]
    Silent,
    /// It refused.
    #[error("the supervisor answered {0}: {1}")]
    Refused(u16, String),
    /// Its answer is not understood: it is of another version.
    #[error("the supervisor's answer is not understood (is it of another version?): {0}")]
    Garbled(#[from] serde_json::Error),
}

/// A connection to a supervisor.
#[derive(Debug)]
pub struct Client(SendRequest<Full<Bytes>>);

impl Client {
    /// Connects. [`ClientError::Absent`] where no supervisor lives.
    pub async fn connect(socket: &Path) -> Result<Self, ClientError> {
        let stream = UnixStream::connect(socket).await.map_err(|error| match error.kind() {
            // Reset: who listened ended before he took the call.
            io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused | io::ErrorKind::ConnectionReset => {
                ClientError::Absent
            }
            // So many callers wait already that the kernel takes no more.
            io::ErrorKind::WouldBlock => ClientError::Silent,
            _ => ClientError::Unreachable(error),
        })?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        Ok(Self(sender))
    }

    /// Asks for one document.
    pub async fn get<T: DeserializeOwned>(&mut self, path: &str) -> Result<T, ClientError> {
        let body = self.call(Method::GET, path, Bytes::new()).await?.collect().await?.to_bytes();
        Ok(serde_json::from_slice(&body)?)
    }

    /// Sends a document whose answer is empty.
    pub async fn post(&mut self, path: &str, body: &impl Serialize) -> Result<(), ClientError> {
        self.call(Method::POST, path, Bytes::from(serde_json::to_vec(body)?)).await.map(drop)
    }

    /// Sends a document and gives the lines of its answer.
    pub async fn ask(&mut self, path: &str, body: &impl Serialize) -> Result<Lines, ClientError> {
        let answer = self.call(Method::POST, path, Bytes::from(serde_json::to_vec(body)?)).await?;
        Ok(Lines { body: answer, rest: Vec::new() })
    }

    /// Asks for lines.
    pub async fn watch(&mut self, path: &str) -> Result<Lines, ClientError> {
        let answer = self.call(Method::GET, path, Bytes::new()).await?;
        Ok(Lines { body: answer, rest: Vec::new() })
    }

    async fn call(&mut self, method: Method, path: &str, body: Bytes) -> Result<Incoming, ClientError> {
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = method;
        *request.uri_mut() = path.parse().unwrap_or_default();
        request.headers_mut().insert("host", hyper::header::HeaderValue::from_static("devstack"));
        request
            .headers_mut()
            .insert("content-type", hyper::header::HeaderValue::from_static("application/json"));
        let response: Response<Incoming> = self.0.send_request(request).await?;
        let status = response.status();
        if status.is_success() {
            return Ok(response.into_body());
        }
        let text = response.into_body().collect().await?.to_bytes();
        let text = String::from_utf8_lossy(&text).into_owned();
        Err(match status {
            StatusCode::INSUFFICIENT_STORAGE => ClientError::NoRoom(text),
            _ => ClientError::Refused(status.as_u16(), text),
        })
    }
}

/// The lines of an answer that takes time.
#[derive(Debug)]
pub struct Lines {
    body: Incoming,
    rest: Vec<u8>,
}

impl Lines {
    /// The next line; none where the supervisor ended the answer.
    pub async fn next(&mut self) -> Result<Option<Told>, ClientError> {
        loop {
            if let Some(end) = self.rest.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.rest.drain(..=end).collect();
                return Ok(Some(serde_json::from_slice(&line)?));
            }
            match self.body.frame().await {
                None => return Ok(None),
                Some(frame) => {
                    if let Ok(data) = frame?.into_data() {
                        self.rest.extend_from_slice(&data);
                    }
                }
            }
        }
    }
}

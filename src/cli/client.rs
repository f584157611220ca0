//! Calls to a running endcap over its API.

use std::time::Duration;

use http_body_util::{BodyExt, StreamBody, combinators::BoxBody};
use hyper::body::{Bytes, Frame};
use hyper::{Request, Uri};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;

use crate::cli::output::{Failure, Outcome};

/// How long to wait for a connection.
const CONNECT_WITHIN: Duration = Duration::from_secs(5);

/// How long to wait for the head of an answer; imports answer within their own `wait_s`.
const ANSWER_WITHIN: Duration = Duration::from_mins(10);

/// Longest answer taken.
const ANSWER_BYTES_MAX: usize = 256 << 20;

/// Where the server is, and the key that opens it.
#[derive(Clone, Debug)]
pub(in crate::cli) struct Client {
    authority: String,
    key: Option<String>,
}

/// What the server said.
#[derive(Debug)]
pub(in crate::cli) struct Answer {
    /// HTTP status.
    pub(in crate::cli) status: u16,
    /// `ETag` of the object answered, as sent.
    pub(in crate::cli) etag: Option<String>,
    /// The body.
    pub(in crate::cli) body: Value,
}

/// A request's body: nothing, JSON, or a stream of bytes of some media type.
pub(in crate::cli) enum Payload {
    /// No body.
    Empty,
    /// A JSON document.
    Json(Value),
    /// Bytes that come piece by piece, with their media type.
    Stream(&'static str, Box<dyn Iterator<Item = std::io::Result<Vec<u8>>> + Send + Sync>),
}

impl Client {
    /// # Errors
    /// If the address is not `http://host:port`; TLS is left to a proxy in front of the server.
    pub(in crate::cli) fn new(url: &str, key: Option<String>) -> Outcome<Self> {
        let uri: Uri = url.parse().map_err(|_| Failure::usage(format!("\"{url}\" is no address")))?;
        if uri.scheme_str() != Some("http") {
            let why = format!("\"{url}\": only http:// addresses are understood; run this command beside the server or through a tunnel");
            return Err(Failure::usage(why));
        }
        let authority = uri.authority().map(ToString::to_string);
        let authority = authority.ok_or_else(|| Failure::usage(format!("\"{url}\" names no host")))?;
        Ok(Self { authority, key })
    }

    /// Gets an object.
    pub(in crate::cli) fn get(&self, path: &str) -> Outcome<Answer> {
        self.call("GET", path, Payload::Empty, &[])
    }

    /// Calls and turns every answer that is no success into the failure it stands for.
    pub(in crate::cli) fn call(
        &self,
        method: &str,
        path: &str,
        payload: Payload,
        headers: &[(&str, &str)],
    ) -> Outcome<Answer> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| Failure::failed(error.to_string()))?;
        let answer = runtime.block_on(self.exchange(method, path, payload, headers))?;
        if answer.status < 400 { Ok(answer) } else { Err(Failure::of_problem(&answer)) }
    }

    async fn exchange(
        &self,
        method: &str,
        path: &str,
        payload: Payload,
        headers: &[(&str, &str)],
    ) -> Outcome<Answer> {
        let unreachable = |why: &dyn std::fmt::Display| {
            Failure::unreachable(format!("no answer from http://{}: {why}", self.authority))
        };
        let address = match self.authority.contains(':') {
            true => self.authority.clone(),
            false => format!("{}:80", self.authority),
        };
        let stream = tokio::time::timeout(CONNECT_WITHIN, TcpStream::connect(&address)).await;
        let stream = stream.map_err(|_| unreachable(&"timed out"))?.map_err(|e| unreachable(&e))?;
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(|e| unreachable(&e))?;
        let driver = tokio::spawn(connection);
        let request = self.request(method, path, payload, headers)?;
        let answer = tokio::time::timeout(ANSWER_WITHIN, sender.send_request(request)).await;
        let answer = answer.map_err(|_| unreachable(&"timed out"))?.map_err(|e| unreachable(&e))?;
        let status = answer.status().as_u16();
        let header = |name| answer.headers().get(name).and_then(|v| v.to_str().ok()).map(str::to_owned);
        let etag = header("etag");
        let body = http_body_util::Limited::new(answer.into_body(), ANSWER_BYTES_MAX)
            .collect()
            .await
            .map_err(|error| Failure::unreachable(error.to_string()))?
            .to_bytes();
        driver.abort();
        let body = read_body(&body);
        Ok(Answer { status, etag, body })
    }

    fn request(
        &self,
        method: &str,
        path: &str,
        payload: Payload,
        headers: &[(&str, &str)],
    ) -> Outcome<Request<BoxBody<Bytes, std::io::Error>>> {
        let mut request = Request::builder().method(method).uri(path).header("host", &self.authority);
        if let Some(key) = &self.key {
            request = request.header("authorization", format!("Bearer {key}"));
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let (media, pieces) = match payload {
            Payload::Empty => (None, Box::new(std::iter::empty()) as Box<dyn Iterator<Item = _> + Send + Sync>),
            Payload::Json(value) => {
                let bytes = value.to_string().into_bytes();
                request = request.header("content-length", bytes.len());
                (Some("application/json"), Box::new(std::iter::once(Ok(bytes))) as _)
            }
            Payload::Stream(media, pieces) => (Some(media), pieces),
        };
        if let Some(media) = media {
            request = request.header("content-type", media);
        }
        let frames = pieces.map(|piece| piece.map(|bytes| Frame::data(Bytes::from(bytes))));
        let body = StreamBody::new(Pieces(frames)).boxed();
        request.body(body).map_err(|error| Failure::usage(error.to_string()))
    }
}

/// An iterator as a stream; it blocks its own little runtime only.
struct Pieces<I>(I);

impl<I: Iterator + Unpin> futures_core::Stream for Pieces<I> {
    type Item = I::Item;

    fn poll_next(
        mut self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<I::Item>> {
        std::task::Poll::Ready(self.0.next())
    }
}

/// JSON where it is JSON, else its text.
fn read_body(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes)
        .unwrap_or_else(|_| Value::String(String::from_utf8_lossy(bytes).into_owned()))
}

//! Calls to a running endcap over its API.
//!
//! One connection a call, on a little runtime of its own: a command makes a handful of calls. A
//! body that comes piece by piece blocks that runtime while a piece is read, which is harmless
//! where nothing else runs on it.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use http_body_util::{BodyExt, Limited};
use hyper::body::{Body, Bytes, Frame, Incoming, SizeHint};
use hyper::header::{CONTENT_TYPE, ETAG, HeaderMap, RETRY_AFTER};
use hyper::{Request, Response, Uri};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpStream;

use crate::cli::output::{Failure, Outcome};

/// How long to wait for a connection.
const CONNECT_WITHIN: Duration = Duration::from_secs(5);

/// How long to wait for an answer once no byte of the request moves; imports answer within their
/// `wait_s` of 30 s.
const ANSWER_WITHIN: Duration = Duration::from_mins(2);

/// Longest answer taken.
const ANSWER_BYTES_MAX: usize = 256 << 20;

/// Most rows of a page of a list.
const LIST_LIMIT: usize = 500;

/// Where the server is, and the key that opens it.
#[derive(Clone, Debug)]
pub(in crate::cli) struct Client {
    host: String,
    port: u16,
    /// Path that a proxy puts before ours; without a slash at its end.
    prefix: String,
    key: Option<String>,
}

/// What the server said.
#[derive(Debug, Default)]
pub(in crate::cli) struct Answer {
    /// HTTP status.
    pub(in crate::cli) status: u16,
    /// `ETag` of the object answered, as sent.
    pub(in crate::cli) etag: Option<String>,
    /// Seconds after which to try again, as sent.
    pub(in crate::cli) retry_after: Option<String>,
    /// The body: JSON where it is JSON, else its text.
    pub(in crate::cli) body: Value,
}

/// Bytes that come piece by piece.
pub(in crate::cli) type Pieces = Box<dyn Iterator<Item = io::Result<Vec<u8>>> + Send + Sync>;

/// A request's body.
pub(in crate::cli) enum Payload {
    /// No body.
    Empty,
    /// A JSON document.
    Json(Value),
    /// Bytes with their media type and, if it is known, their number.
    Stream(&'static str, Option<u64>, Pieces),
}

/// A request.
pub(in crate::cli) struct Call<'a> {
    method: &'static str,
    path: &'a str,
    if_match: Option<&'a str>,
    payload: Payload,
}

impl<'a> Call<'a> {
    /// A request without a body.
    pub(in crate::cli) fn new(method: &'static str, path: &'a str) -> Self {
        Self {
            method,
            path,
            if_match: None,
            payload: Payload::Empty,
        }
    }

    /// With this body.
    pub(in crate::cli) fn with(mut self, payload: Payload) -> Self {
        self.payload = payload;
        self
    }

    /// Only if the object is still what this `ETag` names.
    pub(in crate::cli) fn if_match(mut self, etag: &'a str) -> Self {
        self.if_match = Some(etag);
        self
    }
}

impl Client {
    /// A client for the server at `url`.
    ///
    /// # Errors
    /// If the address is not `http://host:port`; TLS is left to a proxy in front of the server.
    pub(in crate::cli) fn new(url: &str, key: Option<String>) -> Outcome<Self> {
        let uri: Uri = url
            .parse()
            .map_err(|_| Failure::usage(format!("\"{url}\" is no address")))?;
        if uri.scheme_str() != Some("http") {
            return Err(Failure::usage(format!(
                "\"{url}\": only http:// addresses are understood; \
                 run this command beside the server or through a tunnel"
            )));
        }
        let host = uri.host().filter(|host| !host.is_empty());
        let host = host.ok_or_else(|| Failure::usage(format!("\"{url}\" names no host")))?;
        Ok(Self {
            host: host.to_owned(),
            port: uri.port_u16().unwrap_or(80),
            prefix: uri.path().trim_end_matches('/').to_owned(),
            key,
        })
    }

    /// Gets an object.
    pub(in crate::cli) fn get(&self, path: &str) -> Outcome<Answer> {
        self.call(Call::new("GET", path))
    }

    /// All items of a list, page by page, in an object as the API answers one page.
    pub(in crate::cli) fn list(&self, path: &str) -> Outcome<Value> {
        let joint = if path.contains('?') { '&' } else { '?' };
        let mut items = Vec::new();
        let mut cursor = String::new();
        loop {
            let page = self
                .get(&format!("{path}{joint}limit={LIST_LIMIT}{cursor}"))?
                .body;
            items.extend(page["items"].as_array().into_iter().flatten().cloned());
            match page["next_cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={}", encode(next)),
                None => return Ok(json!({ "items": items })),
            }
        }
    }

    /// Calls, and turns every answer that is no success into the failure it stands for.
    pub(in crate::cli) fn call(&self, call: Call<'_>) -> Outcome<Answer> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| Failure::failed(error.to_string()))?;
        let answer = runtime.block_on(self.exchange(call))?;
        if answer.status < 400 {
            Ok(answer)
        } else {
            Err(Failure::of_problem(&answer))
        }
    }

    async fn exchange(&self, call: Call<'_>) -> Outcome<Answer> {
        let stream = self.connect().await?;
        let handshake = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await;
        let (mut sender, connection) = handshake.map_err(|error| self.silent(error))?;
        tokio::spawn(connection);
        let n_sent = Arc::new(AtomicU64::new(0));
        let request = self.request(call, &n_sent)?;
        let mut pending = std::pin::pin!(sender.send_request(request));
        let mut n_sent_before = 0;
        let response = loop {
            match tokio::time::timeout(ANSWER_WITHIN, &mut pending).await {
                Ok(Ok(response)) => break response,
                Ok(Err(error)) if error.is_user() => {
                    return Err(anyhow::Error::new(error).into());
                }
                Ok(Err(error)) => return Err(self.silent(error)),
                Err(_) if n_sent_before < n_sent.load(Ordering::Relaxed) => {
                    n_sent_before = n_sent.load(Ordering::Relaxed);
                }
                Err(elapsed) => return Err(self.silent(elapsed)),
            }
        };
        self.read(response).await
    }

    async fn connect(&self) -> Outcome<TcpStream> {
        let host = self.host.trim_start_matches('[').trim_end_matches(']');
        let connecting = TcpStream::connect((host, self.port));
        match tokio::time::timeout(CONNECT_WITHIN, connecting).await {
            Ok(Ok(stream)) => Ok(stream),
            Ok(Err(error)) if error.kind() == io::ErrorKind::ConnectionRefused => Err(self
                .silent(error)
                .hint("is the server running? Start one with: endcap serve")),
            Ok(Err(error)) => Err(self.silent(error)),
            Err(elapsed) => Err(self.silent(elapsed)),
        }
    }

    /// Nobody answers, and why.
    fn silent(&self, why: impl Into<anyhow::Error>) -> Failure {
        let why = why.into();
        Failure::unreachable(format!(
            "no answer from http://{}:{}: {why:#}",
            self.host, self.port
        ))
    }

    fn request(&self, call: Call<'_>, n_sent: &Arc<AtomicU64>) -> Outcome<Request<Upload>> {
        let mut request = Request::builder()
            .method(call.method)
            .uri(format!("{}{}", self.prefix, call.path))
            .header("host", format!("{}:{}", self.host, self.port))
            .header("user-agent", concat!("endcap/", env!("CARGO_PKG_VERSION")));
        if let Some(key) = &self.key {
            request = request.header("authorization", format!("Bearer {key}"));
        }
        if let Some(etag) = call.if_match {
            request = request.header("if-match", etag);
        }
        let (media, n_left, pieces): (_, _, Pieces) = match call.payload {
            Payload::Empty => (None, Some(0), Box::new(std::iter::empty())),
            Payload::Json(value) => {
                let bytes = value.to_string().into_bytes();
                let n_bytes = bytes.len() as u64;
                (
                    Some("application/json"),
                    Some(n_bytes),
                    Box::new(std::iter::once(Ok(bytes))),
                )
            }
            Payload::Stream(media, n_bytes, pieces) => (Some(media), n_bytes, pieces),
        };
        if let Some(media) = media {
            request = request.header(CONTENT_TYPE, media);
        }
        let body = Upload {
            pieces,
            n_left,
            n_sent: Arc::clone(n_sent),
        };
        request
            .body(body)
            .map_err(|error| Failure::usage(error.to_string()))
    }

    async fn read(&self, response: Response<Incoming>) -> Outcome<Answer> {
        let status = response.status().as_u16();
        let etag = header(response.headers(), &ETAG);
        let retry_after = header(response.headers(), &RETRY_AFTER);
        let body = Limited::new(response.into_body(), ANSWER_BYTES_MAX)
            .collect()
            .await;
        let bytes = body
            .map_err(|error| self.silent(anyhow::Error::from_boxed(error)))?
            .to_bytes();
        let body = serde_json::from_slice(&bytes)
            .unwrap_or_else(|_| Value::String(String::from_utf8_lossy(&bytes).into_owned()));
        Ok(Answer {
            status,
            etag,
            retry_after,
            body,
        })
    }
}

fn header(headers: &HeaderMap, name: &hyper::header::HeaderName) -> Option<String> {
    headers.get(name)?.to_str().ok().map(str::to_owned)
}

/// `path?name=value&…`, every value encoded; the path alone without parameters.
pub(in crate::cli) fn with_query(path: &str, parameters: &[(&str, String)]) -> String {
    let encoded = parameters
        .iter()
        .map(|(name, value)| format!("{name}={}", encode(value)));
    let query: Vec<String> = encoded.collect();
    let joint = if query.is_empty() { "" } else { "?" };
    format!("{path}{joint}{}", query.join("&"))
}

/// `text` as part of a path or query: all but RFC 3986's unreserved characters as `%XX`.
pub(in crate::cli) fn encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push('%');
            for digit in [byte >> 4, byte & 15] {
                let digit = char::from_digit(u32::from(digit), 16).unwrap_or('0');
                encoded.push(digit.to_ascii_uppercase());
            }
        }
    }
    encoded
}

/// A request's body under way.
struct Upload {
    pieces: Pieces,
    /// Bytes to come, if their number is known.
    n_left: Option<u64>,
    n_sent: Arc<AtomicU64>,
}

impl Body for Upload {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let piece = self.pieces.next().map(|piece| {
            let bytes = piece?;
            let n_bytes = bytes.len() as u64;
            self.n_left = self.n_left.map(|left| left.saturating_sub(n_bytes));
            self.n_sent.fetch_add(n_bytes, Ordering::Relaxed);
            Ok(Frame::data(Bytes::from(bytes)))
        });
        Poll::Ready(piece)
    }

    fn is_end_stream(&self) -> bool {
        self.n_left == Some(0)
    }

    fn size_hint(&self) -> SizeHint {
        self.n_left
            .map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader, Write};
    use std::net::TcpListener;
    use std::thread::JoinHandle;

    use super::*;

    /// A server that takes one request for each answer, and hands out what it was sent.
    fn serve(answers: Vec<&'static str>) -> (String, JoinHandle<Vec<String>>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let thread = std::thread::spawn(move || {
            let mut requests = Vec::new();
            for answer in answers {
                let (stream, _) = listener.accept().unwrap();
                requests.push(read_request(&mut BufReader::new(&stream)));
                (&stream).write_all(answer.as_bytes()).unwrap();
            }
            requests
        });
        (url, thread)
    }

    fn read_request(stream: &mut impl BufRead) -> String {
        let mut request = String::new();
        while !request.ends_with("\r\n\r\n") {
            stream.read_line(&mut request).unwrap();
        }
        let length = request
            .lines()
            .find_map(|line| line.strip_prefix("content-length: "));
        if let Some(length) = length {
            let mut body = vec![0; length.parse().unwrap()];
            stream.read_exact(&mut body).unwrap();
            request.push_str(&String::from_utf8(body).unwrap());
        }
        request
    }

    #[test]
    fn a_call_carries_key_etag_and_body() {
        let (url, server) = serve(vec![
            "HTTP/1.1 200 OK\r\netag: \"r7\"\r\ncontent-length: 10\r\n\r\n{\"id\":\"a\"}",
        ]);
        let client = Client::new(&format!("{url}/shop/"), Some("ec_opr_x".to_owned())).unwrap();
        let call = Call::new("PUT", "/v1/x").if_match("\"r6\"");
        let answer = client
            .call(call.with(Payload::Json(json!({ "n": 1 }))))
            .unwrap();
        assert_eq!(
            (answer.status, answer.etag.as_deref()),
            (200, Some("\"r7\""))
        );
        assert_eq!(answer.body, json!({ "id": "a" }));
        let request = &server.join().unwrap()[0];
        assert!(
            request.starts_with("PUT /shop/v1/x HTTP/1.1\r\n"),
            "{request}"
        );
        for part in [
            "authorization: Bearer ec_opr_x",
            "if-match: \"r6\"",
            "\r\n\r\n{\"n\":1}",
        ] {
            assert!(request.contains(part), "{request}");
        }
    }

    #[test]
    fn a_stream_of_known_length_is_sent_whole() {
        let (url, server) = serve(vec!["HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}"]);
        let client = Client::new(&url, None).unwrap();
        let pieces: Pieces = Box::new(["ab", "cde"].map(|piece| Ok(piece.into())).into_iter());
        let payload = Payload::Stream("text/csv", Some(5), pieces);
        client
            .call(Call::new("POST", "/v1/x").with(payload))
            .unwrap();
        let request = &server.join().unwrap()[0];
        assert!(request.contains("content-type: text/csv"), "{request}");
        assert!(request.ends_with("\r\n\r\nabcde"), "{request}");
    }

    #[test]
    fn a_stream_that_breaks_is_no_silence_of_the_server() {
        let (url, _server) = serve(vec!["HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}"]);
        let client = Client::new(&url, None).unwrap();
        let pieces: Pieces = Box::new(std::iter::once(Err(io::Error::other("disk gone"))));
        let payload = Payload::Stream("text/csv", Some(5), pieces);
        let failure = client
            .call(Call::new("POST", "/v1/x").with(payload))
            .unwrap_err();
        assert_eq!(failure.code(), 1);
        assert!(failure.text().contains("disk gone"), "{}", failure.text());
    }

    #[test]
    fn lists_are_read_page_by_page() {
        let (url, server) = serve(vec![
            "HTTP/1.1 200 OK\r\ncontent-length: 34\r\n\r\n{\"items\":[1,2],\"next_cursor\":\"a=\"} ",
            "HTTP/1.1 200 OK\r\ncontent-length: 32\r\n\r\n{\"items\":[3],\"next_cursor\":null} ",
        ]);
        let client = Client::new(&url, None).unwrap();
        assert_eq!(
            client.list("/v1/keys").unwrap(),
            json!({ "items": [1, 2, 3] })
        );
        let requests = server.join().unwrap();
        assert!(
            requests[0].starts_with("GET /v1/keys?limit=500 "),
            "{}",
            requests[0]
        );
        assert!(
            requests[1].starts_with("GET /v1/keys?limit=500&cursor=a%3D "),
            "{}",
            requests[1]
        );
    }

    #[test]
    fn a_problem_is_a_failure_with_its_code() {
        let (url, _server) = serve(vec![
            "HTTP/1.1 409 Conflict\r\ncontent-length: 39\r\n\r\n{\"code\":\"name-taken\",\"detail\":\"taken\"}  ",
        ]);
        let failure = Client::new(&url, None).unwrap().get("/v1/x").unwrap_err();
        assert_eq!((failure.code(), failure.text()), (4, "taken (name-taken)"));
    }

    #[test]
    fn silence_is_told_with_its_reason() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        drop(listener);
        let failure = Client::new(&url, None).unwrap().get("/v1/x").unwrap_err();
        assert_eq!(failure.code(), 6);
        assert!(
            failure.text().contains("endcap serve"),
            "{}",
            failure.text()
        );
    }

    #[test]
    fn only_plain_addresses_are_understood() {
        for url in [
            "https://a",
            "a",
            "ftp://a",
            "http://",
            "127.0.0.1:7700",
            "http:// a",
        ] {
            assert_eq!(Client::new(url, None).unwrap_err().code(), 2, "{url}");
        }
        let client = Client::new("http://[::1]:9", None).unwrap();
        assert_eq!((client.host.as_str(), client.port), ("[::1]", 9));
    }

    #[test]
    fn parts_of_paths_are_encoded() {
        assert_eq!(
            encode("main:rain wear/å~1"),
            "main%3Arain%20wear%2F%C3%A5~1"
        );
    }
}

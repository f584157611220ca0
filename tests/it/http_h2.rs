//! The same shell over HTTP/2.

use std::time::Duration;

use axum::body::Body;
use endcap::access::principal::Role;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::client::conn::http2::{SendRequest, handshake};
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::http_rig::{BRIEF, SOON, Server, key};

/// A client and its connection, which ends when the server ends it.
async fn connect(server: &Server) -> (SendRequest<Body>, JoinHandle<()>) {
    let socket = TcpStream::connect(server.address).await.unwrap();
    let (client, connection) = handshake(TokioExecutor::new(), TokioIo::new(socket))
        .await
        .unwrap();
    let driver = tokio::spawn(async move {
        let _ = connection.await;
    });
    (client, driver)
}

fn request(method: &str, path: &str, body: impl Into<Body>) -> Request<Body> {
    let key = format!("Bearer {}", key(Role::Operator));
    let uri = format!("http://a{path}");
    let request = Request::builder()
        .method(method)
        .uri(uri)
        .header("authorization", key);
    request.body(body.into()).unwrap()
}

async fn send(client: &mut SendRequest<Body>, request: Request<Body>) -> Response<Incoming> {
    timeout(SOON, client.send_request(request))
        .await
        .unwrap()
        .unwrap()
}

/// Status and body of an answer.
async fn ask(client: &mut SendRequest<Body>, request: Request<Body>) -> (u16, String) {
    let answer = send(client, request).await;
    assert!(!answer.headers().contains_key("connection"));
    assert!(answer.headers().contains_key("x-request-id"));
    let status = answer.status().as_u16();
    let body = timeout(SOON, answer.into_body().collect())
        .await
        .unwrap()
        .unwrap()
        .to_bytes();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

/// Status and code of a problem.
async fn refusal(client: &mut SendRequest<Body>, request: Request<Body>) -> (u16, String) {
    let (status, body) = ask(client, request).await;
    let problem: serde_json::Value = serde_json::from_str(&body).unwrap();
    assert_eq!(problem["status"], status);
    (status, problem["code"].as_str().unwrap().to_owned())
}

#[track_caller]
fn is((found, name): (u16, String), status: u16, code: &str) {
    assert_eq!((found, &*name), (status, code));
}

#[tokio::test]
async fn requests_are_answered_side_by_side() {
    let server = Server::plain().await;
    let (mut client, _driver) = connect(&server).await;
    let waiting = client.send_request(request("GET", "/wait", ()));
    let waiting = tokio::spawn(waiting);
    server.until_waiting(1).await;
    assert_eq!(
        ask(&mut client, request("POST", "/size", "{}")).await,
        (200, "2".to_owned())
    );
    is(
        refusal(&mut client, request("GET", "/panic", ())).await,
        500,
        "internal",
    );
    server.bell.rung.add_permits(1);
    assert_eq!(
        timeout(SOON, waiting)
            .await
            .unwrap()
            .unwrap()
            .unwrap()
            .status(),
        200
    );
}

#[tokio::test]
async fn the_same_is_refused_with_the_same_codes() {
    let server = Server::plain().await;
    let (mut client, _driver) = connect(&server).await;
    let path = |n: usize| format!("/open/{}", "x".repeat(n - 6));
    assert_eq!(
        ask(&mut client, request("GET", &path(8_192), ())).await.0,
        200
    );
    is(
        refusal(&mut client, request("GET", &path(8_193), ())).await,
        414,
        "uri-too-long",
    );
    let with = |n: usize, value: &str| {
        let mut request = request("GET", "/open/x", ());
        for place in 0..n {
            let name = hyper::header::HeaderName::try_from(format!("x-{place}")).unwrap();
            request.headers_mut().insert(name, value.parse().unwrap());
        }
        request
    };
    assert_eq!(ask(&mut client, with(63, "1")).await.0, 200);
    is(
        refusal(&mut client, with(64, "1")).await,
        431,
        "headers-too-large",
    );
    is(
        refusal(&mut client, with(1, &"x".repeat(16_384))).await,
        431,
        "headers-too-large",
    );
    is(
        refusal(&mut client, request("GET", "/open/..", ())).await,
        404,
        "not-found",
    );
    is(
        refusal(&mut client, request("GET", "/open//x", ())).await,
        404,
        "not-found",
    );
    let large = "x".repeat((1 << 20) + 1);
    is(
        refusal(&mut client, request("POST", "/size", large)).await,
        413,
        "body-too-large",
    );
    is(
        refusal(&mut client, request("DELETE", "/size", ())).await,
        405,
        "method-not-allowed",
    );
    // No fault was left on the connection that this could speak for.
    is(
        refusal(&mut client, request("ENDCAP-REFUSED", "/", ())).await,
        404,
        "not-found",
    );
    assert_eq!(
        ask(&mut client, request("POST", "/size", "{}")).await.0,
        200
    );
}

#[tokio::test]
async fn an_idle_connection_is_ended() {
    let server = Server::start(|settings| settings.accepting.times.idle = BRIEF).await;
    let (mut client, driver) = connect(&server).await;
    assert_eq!(ask(&mut client, request("GET", "/open/x", ())).await.0, 200);
    timeout(SOON, driver).await.unwrap().unwrap();
}

#[tokio::test]
async fn an_answer_that_nobody_takes_ends_the_connection() {
    let server = Server::start(|settings| settings.accepting.times.stalled = BRIEF).await;
    let (mut client, driver) = connect(&server).await;
    // The window of the stream is full long before the end of the body, and nobody opens it.
    let answer = send(&mut client, request("GET", "/pieces", ())).await;
    timeout(SOON, driver).await.unwrap().unwrap();
    drop(answer);
}

#[tokio::test]
async fn a_body_that_stops_is_answered() {
    let server = Server::start(|settings| settings.body.gap = BRIEF).await;
    let (mut client, _driver) = connect(&server).await;
    let (pieces, body) = tokio::sync::mpsc::channel::<Result<&str, std::io::Error>>(1);
    pieces.send(Ok("abc")).await.unwrap();
    let body = Body::from_stream(Received(body));
    is(
        refusal(&mut client, request("POST", "/size", body)).await,
        503,
        "deadline",
    );
    drop(pieces);
}

/// Pieces of a body as somebody sends them.
struct Received<T>(tokio::sync::mpsc::Receiver<T>);

impl<T> futures_core::Stream for Received<T> {
    type Item = T;

    fn poll_next(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<T>> {
        self.0.poll_recv(cx)
    }
}

#[tokio::test]
async fn the_end_finishes_what_is_under_way() {
    let server = Server::start(|settings| settings.accepting.grace = Duration::from_hours(1)).await;
    let (mut client, driver) = connect(&server).await;
    let waiting = tokio::spawn(client.send_request(request("GET", "/wait", ())));
    server.until_waiting(1).await;
    server.stop.begin();
    server
        .until(|server| std::net::TcpStream::connect(server.address).is_err())
        .await;
    server.bell.rung.add_permits(1);
    let answer = timeout(SOON, waiting).await.unwrap().unwrap().unwrap();
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(body, "waited");
    timeout(SOON, driver).await.unwrap().unwrap();
    assert_eq!(
        timeout(SOON, server.serving)
            .await
            .unwrap()
            .unwrap()
            .n_cut_off,
        0
    );
}

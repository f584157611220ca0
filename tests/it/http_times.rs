//! Clients that stop, at every stage of a connection. In each test one time is brief and all others
//! never come, so only that one can end the wait.

use std::sync::atomic::Ordering;

use crate::http_rig::{BRIEF, Server, request};

#[tokio::test]
async fn silence_before_the_first_byte_is_ended() {
    let server = Server::start(|settings| settings.accepting.times.first_byte = BRIEF).await;
    assert_eq!(server.connect().await.ended().await, b"");
}

#[tokio::test]
async fn half_a_head_is_ended() {
    let server = Server::start(|settings| settings.accepting.times.head = BRIEF).await;
    for half in ["G", "GET / HTTP/1.1\r\nHost: a\r\n", "PRI * HTTP/2.0\r\n"] {
        let mut raw = server.connect().await;
        raw.send(half).await;
        assert_eq!(raw.ended().await, b"", "{half:?}");
    }
    // Also behind an answered request.
    let mut raw = server.connect().await;
    raw.send("GET /open/x HTTP/1.1\r\nHost: a\r\n\r\nGET /open")
        .await;
    assert_eq!(raw.answer().await.text(), "x");
    assert_eq!(raw.ended().await, b"");
}

#[tokio::test]
async fn an_idle_connection_is_ended() {
    let server = Server::start(|settings| settings.accepting.times.idle = BRIEF).await;
    let mut raw = server.connect().await;
    raw.send("GET /open/x HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert_eq!(raw.answer().await.text(), "x");
    assert_eq!(raw.ended().await, b"");
}

#[tokio::test]
async fn a_connection_at_work_is_not_idle() {
    let server = Server::start(|settings| settings.accepting.times.idle = BRIEF).await;
    let mut raw = server.connect().await;
    raw.send(request("GET", "/wait", "", "")).await;
    server.until_waiting(1).await;
    // Another connection is opened, answered and ended meanwhile, so the time is over.
    let mut other = server.connect().await;
    other.send("GET /open/x HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert_eq!(other.answer().await.text(), "x");
    assert_eq!(other.ended().await, b"");
    server.bell.rung.add_permits(1);
    assert_eq!(raw.answer().await.text(), "waited");
}

#[tokio::test]
async fn a_body_that_stops_is_answered_and_ended() {
    let server = Server::start(|settings| settings.body.gap = BRIEF).await;
    for rest in ["Content-Length: 10\r\n", "Transfer-Encoding: chunked\r\n"] {
        let mut raw = server.connect().await;
        raw.send(request("POST", "/size", rest, "")).await;
        raw.send("3\r\n").await;
        let answer = raw.answer().await;
        assert_eq!(answer.code(), (503, "deadline".to_owned()));
        assert_eq!(
            (answer.header("retry-after"), answer.header("connection")),
            ("1", "close")
        );
        assert_eq!(raw.ended().await, b"");
    }
}

#[tokio::test]
async fn a_body_that_trickles_is_answered_and_ended() {
    let server = Server::start(|settings| settings.body.whole = BRIEF).await;
    let mut raw = server.connect().await;
    raw.send(request("POST", "/size", "Content-Length: 10\r\n", ""))
        .await;
    raw.send("abc").await;
    assert_eq!(raw.answer().await.code(), (503, "deadline".to_owned()));
}

#[tokio::test]
async fn a_feed_that_stops_is_answered_and_ended() {
    let server = Server::start(|settings| settings.body.stream_gap = BRIEF).await;
    let mut raw = server.connect().await;
    raw.send(request("POST", "/feed", "Content-Length: 10\r\n", ""))
        .await;
    raw.send("abc").await;
    assert_eq!(raw.answer().await.code(), (503, "deadline".to_owned()));
    assert_eq!(raw.ended().await, b"");
}

#[tokio::test]
async fn an_answer_that_nobody_takes_is_ended() {
    let server = Server::start(|settings| settings.accepting.times.stalled = BRIEF).await;
    let mut raw = server.connect().await;
    raw.send(request("GET", "/large", "", "")).await;
    server
        .until(|server| server.answered("/large", 200) == 1)
        .await;
    server
        .until(|server| server.metrics.connections.get() == 0)
        .await;
    assert!(raw.ended().await.len() < 64 << 20);
}

#[tokio::test]
async fn slow_bodies_hold_no_turn() {
    let server = Server::start(|settings| {
        settings.widths.desk.permits = 1;
        settings.widths.desk.queue = 1;
    })
    .await;
    let mut slow = Vec::new();
    for _ in 0..8 {
        let mut raw = server.connect().await;
        raw.send(request("POST", "/size", "Content-Length: 10\r\n", ""))
            .await;
        raw.send("abc").await;
        slow.push(raw);
    }
    assert_eq!(
        server.ask(request("POST", "/size", "", "{}")).await.text(),
        "2"
    );
    for mut raw in slow {
        raw.send("defghij").await;
        assert_eq!(raw.answer().await.text(), "10");
    }
    assert_eq!(server.bell.waiting.load(Ordering::SeqCst), 0);
}

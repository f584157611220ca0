//! Requests that two readers could read differently, over real sockets.

use crate::http_rig::{Server, request};

const HEAD: &str = "POST /size HTTP/1.1\r\nHost: a\r\n";

/// Refused with its code, the connection ends, and nothing behind it is answered.
async fn refused(server: &Server, bytes: &str, status: u16, code: &str) {
    let mut raw = server.connect().await;
    raw.send(bytes).await;
    let answer = raw.answer().await;
    assert_eq!(answer.code(), (status, code.to_owned()), "{bytes:?}");
    assert_eq!(answer.header("connection"), "close", "{bytes:?}");
    assert!(answer.header("x-request-id").starts_with("req_"));
    assert_eq!(
        answer.problem()["request_id"],
        answer.header("x-request-id")
    );
    assert_eq!(raw.ended().await, b"", "{bytes:?}");
}

#[tokio::test]
async fn malformed_heads_are_answered_and_end_the_connection() {
    let server = Server::plain().await;
    let smuggled = "GET /open/smuggled HTTP/1.1\r\nHost: a\r\n\r\n";
    for head in [
        "G@T\r\n\r\n".to_owned(),
        "GET /size\r\n\r\n".to_owned(),
        "GET /size HTTP/3.0\r\nHost: a\r\n\r\n".to_owned(),
        "GET  /size HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(),
        "GET /si\0ze HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(),
        "GET /size HTTP/1.1\nHost: a\n\n".to_owned(),
        "GET /size HTTP/1.1\r\n\r\n".to_owned(),
        "CONNECT a:80 HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(),
        "ENDCAP-REFUSED / HTTP/1.1\nHost: a\r\n\r\n".to_owned(),
        format!("{HEAD}X: 1\n\r\n"),
        format!("{HEAD}X: 1\r\n folded\r\n\r\n"),
        format!("{HEAD}X : 1\r\n\r\n"),
        format!("{HEAD}X: \0\r\n\r\n"),
        format!("{HEAD}Host: b\r\n\r\n"),
        format!("{HEAD}Content-Length: 1\r\nContent-Length: 1\r\n\r\nx"),
        format!("{HEAD}Content-Length: 1\r\nContent-Length: 2\r\n\r\nx"),
        format!("{HEAD}Content-Length: +1\r\n\r\nx"),
        format!("{HEAD}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
        format!("{HEAD}Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n"),
        format!("{HEAD}Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"),
        format!("{HEAD}Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n"),
        format!("{HEAD}Transfer-Encoding: identity\r\n\r\n"),
    ] {
        refused(&server, &format!("{head}{smuggled}"), 400, "bad-header").await;
    }
}

#[tokio::test]
async fn a_client_cannot_speak_for_the_guard() {
    let server = Server::plain().await;
    let answer = server
        .ask("ENDCAP-REFUSED / HTTP/1.1\r\nHost: a\r\n\r\n")
        .await;
    assert_eq!(answer.code(), (404, "not-found".to_owned()));
}

#[tokio::test]
async fn sizes_of_heads_are_bounded() {
    let server = Server::plain().await;
    // The pattern of the path fits any name.
    let uri = |n: usize| {
        format!(
            "GET /open/{} HTTP/1.1\r\nHost: a\r\n\r\n",
            "x".repeat(n - 6)
        )
    };
    assert_eq!(server.ask(uri(8_192)).await.status, 200);
    refused(&server, &uri(8_193), 414, "uri-too-long").await;
    let headers = |n: usize| {
        format!(
            "GET /open/x HTTP/1.1\r\nHost: a\r\n{}\r\n",
            "X: 1\r\n".repeat(n - 1)
        )
    };
    assert_eq!(server.ask(headers(64)).await.status, 200);
    refused(&server, &headers(65), 431, "headers-too-large").await;
    let long = |n: usize| {
        format!(
            "GET /open/x HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n",
            "x".repeat(n - 14)
        )
    };
    assert_eq!(server.ask(long(16_384)).await.status, 200);
    refused(&server, &long(16_385), 431, "headers-too-large").await;
}

#[tokio::test]
async fn bad_chunks_end_the_body_and_the_connection() {
    let server = Server::plain().await;
    let head = request("POST", "/size", "Transfer-Encoding: chunked\r\n", "");
    let smuggled = "0\r\n\r\nGET /open/smuggled HTTP/1.1\r\nHost: a\r\n\r\n";
    for chunk in [
        "xyz\r\n",
        "3\nabc\r\n",
        "3 \r\nabc\r\n",
        "3\r\nabcd\r\n",
        "0\r\nX : 1\r\n\r\n",
    ] {
        refused(
            &server,
            &format!("{head}{chunk}{smuggled}"),
            400,
            "bad-header",
        )
        .await;
    }
    // The same when the head has been read and the body is awaited.
    let mut raw = server.connect().await;
    raw.send(format!("{head}3\r\nabc\r\n")).await;
    server
        .until(|server| server.metrics.connections.get() == 1)
        .await;
    raw.send("oops\r\n").await;
    assert_eq!(raw.answer().await.code(), (400, "bad-header".to_owned()));
    assert_eq!(raw.ended().await, b"");
}

#[tokio::test]
async fn whole_requests_before_a_bad_one_are_answered_first() {
    let server = Server::plain().await;
    let good = request("POST", "/size", "", "{\"a\":1}");
    let chunked = request("POST", "/size", "Transfer-Encoding: chunked\r\n", "");
    let mut raw = server.connect().await;
    raw.send(format!(
        "{good}{chunked}4;x=y\r\nabcd\r\n0\r\nT: 1\r\n\r\n{good}X\r\n\r\n"
    ))
    .await;
    let mut bodies = Vec::new();
    for _ in 0..3 {
        let answer = raw.answer().await;
        assert_eq!(answer.status, 200);
        bodies.push(answer.text().to_owned());
    }
    assert_eq!(bodies, ["7", "4", "7"]);
    assert_eq!(raw.answer().await.code(), (400, "bad-header".to_owned()));
    assert_eq!(raw.ended().await, b"");
}

#[tokio::test]
async fn pieces_of_a_request_make_no_difference() {
    let server = Server::plain().await;
    let mut raw = server.connect().await;
    let chunked = request("POST", "/size", "Transfer-Encoding: chunked\r\n", "");
    let bytes = format!("\r\n{chunked}4\r\nabcd\r\n0\r\n\r\n");
    for _ in 0..2 {
        for byte in bytes.as_bytes().chunks(3) {
            raw.send(byte).await;
        }
        assert_eq!(raw.answer().await.text(), "4");
    }
}

#[tokio::test]
async fn paths_are_matched_as_sent() {
    let server = Server::plain().await;
    for path in [
        "/open//x",
        "/open/%2e%2e",
        "/open/..",
        "/open/a%2fb",
        "/open/a%00",
        "/open/%ff",
        "/open/%zz",
    ] {
        let answer = server.ask(request("GET", path, "", "")).await;
        assert_eq!(answer.code(), (404, "not-found".to_owned()), "{path}");
        assert_eq!(answer.problem()["instance"], path);
    }
    assert_eq!(
        server
            .ask(request("GET", "/open/a..b%20%C3%A9", "", ""))
            .await
            .text(),
        "a..b é"
    );
    let absolute = server
        .ask("GET http://a/open/x HTTP/1.1\r\nHost: a\r\n\r\n")
        .await;
    assert_eq!(absolute.text(), "x");
    let asterisk = server.ask("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert_eq!(asterisk.code(), (404, "not-found".to_owned()));
}

#[tokio::test]
async fn old_clients_are_answered_and_let_go() {
    let server = Server::plain().await;
    let mut raw = server.connect().await;
    raw.send("GET /open/x HTTP/1.0\r\n\r\n").await;
    assert_eq!(raw.answer().await.text(), "x");
    assert_eq!(raw.ended().await, b"");
}

#[tokio::test]
async fn a_client_that_ends_its_side_is_answered() {
    let server = Server::plain().await;
    let mut raw = server.connect().await;
    raw.send(request("GET", "/wait", "", "")).await;
    raw.finish().await;
    server.until_waiting(1).await;
    server.bell.rung.add_permits(1);
    assert_eq!(raw.answer().await.text(), "waited");
    assert_eq!(raw.ended().await, b"");
    // What never comes whole has no answer, and holds nothing.
    for half in ["GET /open", "POST /size HTTP/1.1\r\nHost: a\r\n"] {
        let mut raw = server.connect().await;
        raw.send(half).await;
        raw.finish().await;
        assert_eq!(raw.ended().await, b"");
    }
    server
        .until(|server| server.metrics.connections.get() == 0)
        .await;
}

/// Bytes that nobody would send on purpose: whatever they are, nothing panics, no answer is a 500,
/// and the connection ends or answers.
#[tokio::test]
async fn arbitrary_bytes_do_no_harm() {
    let server = Server::start(|settings| {
        settings.accepting.times.head = std::time::Duration::from_millis(5);
        settings.accepting.times.idle = std::time::Duration::from_millis(5);
        settings.body.gap = std::time::Duration::from_millis(5);
    })
    .await;
    let good = request("POST", "/json", "Transfer-Encoding: chunked\r\n", "");
    let good = format!("{good}7\r\n{{\"a\":1}}\r\n0\r\n\r\n").into_bytes();
    let mut dice = Dice(7);
    let mut statuses = std::collections::BTreeSet::new();
    for _ in 0..400 {
        let mut bytes = good.repeat(2);
        for _ in 0..=dice.roll(4) {
            let at = dice.roll(bytes.len());
            match dice.roll(4) {
                0 => bytes[at] = b"\r\n\0 :;,%{\"0fF\x80"[dice.roll(14)],
                1 => drop(bytes.remove(at)),
                2 => bytes.insert(at, b"\r\n\t:x0"[dice.roll(6)]),
                _ => bytes.truncate(at + 1),
            }
        }
        let mut raw = server.connect().await;
        raw.send(&bytes).await;
        raw.finish().await;
        let said = raw.ended().await;
        for line in String::from_utf8_lossy(&said).lines() {
            if let Some(status) = line.strip_prefix("HTTP/1.1 ") {
                statuses.insert(status[..3].to_owned());
            }
        }
    }
    assert_eq!(server.metrics.panics_caught.get(), 0);
    assert!(!statuses.contains("500"), "{statuses:?}");
    assert!(
        statuses.contains("400") && statuses.contains("200"),
        "{statuses:?}"
    );
}

/// Draws the same numbers every time.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        usize::try_from(self.0 >> 33).unwrap() % sides
    }
}

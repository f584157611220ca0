//! Panics, crowds, deadlines and the end.

use std::sync::atomic::Ordering;
use std::time::Duration;

use endcap::access::principal::Role;
use endcap::http::accept::Drained;

use crate::http_rig::{BRIEF, SOON, Server, key, request};

#[tokio::test]
async fn a_panic_is_an_answer_and_the_connection_stays() {
    let server = Server::plain().await;
    let mut raw = server.connect().await;
    raw.send(request("GET", "/panic", "", "")).await;
    let answer = raw.answer().await;
    assert_eq!(answer.code(), (500, "internal".to_owned()));
    assert!(!answer.text().contains("on purpose"));
    assert_eq!(server.metrics.panics_caught.get(), 1);
    raw.send(request("GET", "/open/x", "", "")).await;
    assert_eq!(raw.answer().await.text(), "x");
}

#[tokio::test]
async fn causes_are_never_sent() {
    let server = Server::plain().await;
    let answer = server.ask(request("GET", "/fails", "", "")).await;
    assert_eq!(answer.code(), (500, "internal".to_owned()));
    assert!(!answer.text().contains("secret"));
}

#[tokio::test]
async fn a_full_lane_refuses_at_once_and_others_go_on() {
    let server = Server::start(|settings| {
        settings.widths.desk.permits = 2;
        settings.widths.desk.queue = 3;
    })
    .await;
    let mut waiting = Vec::new();
    for _ in 0..5 {
        let mut raw = server.connect().await;
        raw.send(request("GET", "/wait", "", "")).await;
        waiting.push(raw);
    }
    server.until_waiting(2).await;
    // Three wait in the queue; whoever finds it full is refused, and told when to come back.
    let refused = async {
        loop {
            let answer = server.ask(request("POST", "/size", "", "{}")).await;
            if answer.status != 200 {
                return answer;
            }
        }
    };
    let refused = tokio::time::timeout(SOON, refused).await.unwrap();
    assert_eq!(refused.code(), (503, "overloaded".to_owned()));
    assert_eq!(refused.header("retry-after"), "1");
    assert!(1 <= server.n_refused("overloaded"));
    assert_eq!(
        server.ask(request("GET", "/rank", "", "")).await.status,
        200
    );
    assert_eq!(
        server.ask(request("POST", "/lines", "", "{}")).await.text(),
        "2"
    );
    assert_eq!(
        server
            .ask("GET /open/x HTTP/1.1\r\nHost: a\r\n\r\n")
            .await
            .text(),
        "x"
    );
    server.bell.rung.add_permits(5);
    for mut raw in waiting {
        assert_eq!(raw.answer().await.text(), "waited");
    }
    assert_eq!(
        server.ask(request("POST", "/size", "", "{}")).await.text(),
        "2"
    );
}

/// The class's own time, one second: the handler never comes to an end.
#[tokio::test]
async fn a_rank_that_takes_too_long_is_given_up() {
    let server = Server::plain().await;
    let mut raw = server.connect().await;
    raw.send(request("GET", "/wait-rank", "", "")).await;
    let answer = raw.answer().await;
    assert_eq!(answer.code(), (503, "deadline".to_owned()));
    assert_eq!(answer.header("retry-after"), "1");
    server.until_waiting(0).await;
    raw.send(request("GET", "/open/x", "", "")).await;
    assert_eq!(raw.answer().await.text(), "x");
}

#[tokio::test]
async fn a_rank_whose_time_passes_in_the_queue_is_not_begun() {
    let server = Server::start(|settings| settings.widths.rank.permits = 1).await;
    let mut first = server.connect().await;
    first.send(request("GET", "/wait-rank", "", "")).await;
    server.until_waiting(1).await;
    let mut second = server.connect().await;
    second.send(request("GET", "/wait-rank", "", "")).await;
    assert_eq!(first.answer().await.code(), (503, "deadline".to_owned()));
    assert_eq!(second.answer().await.code(), (503, "deadline".to_owned()));
    assert_eq!(server.n_refused("deadline"), 2);
}

#[tokio::test]
async fn connections_are_bounded_in_all_and_per_address() {
    for per_address in [true, false] {
        let server = Server::start(|settings| {
            let accepting = &mut settings.accepting;
            if per_address {
                accepting.connections_per_address_max = 2;
            } else {
                accepting.connections_max = 2;
            }
        })
        .await;
        let (mut first, _second) = (server.connect().await, server.connect().await);
        server
            .until(|server| server.metrics.connections.get() == 2)
            .await;
        assert_eq!(server.connect().await.ended().await, b"");
        assert_eq!(server.n_refused("too-many-connections"), 1);
        first
            .send("GET /open/x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            .await;
        assert_eq!(first.answer().await.text(), "x");
        server
            .until(|server| server.metrics.connections.get() == 1)
            .await;
        assert_eq!(
            server
                .ask("GET /open/y HTTP/1.1\r\nHost: a\r\n\r\n")
                .await
                .text(),
            "y"
        );
    }
}

#[tokio::test]
async fn a_trusted_proxy_has_as_many_connections_as_it_wants() {
    let server = Server::start(|settings| {
        settings.accepting.connections_per_address_max = 1;
        settings.trusted_proxies = vec!["127.0.0.1".parse().unwrap()];
    })
    .await;
    let mut open = Vec::new();
    for _ in 0..3 {
        let mut raw = server.connect().await;
        raw.send("GET /open/x HTTP/1.1\r\nHost: a\r\n\r\n").await;
        assert_eq!(raw.answer().await.text(), "x");
        open.push(raw);
    }
}

#[tokio::test]
async fn whole_bodies_find_room_or_are_refused() {
    let server = Server::start(|settings| settings.bodies_bytes_max = 1_000).await;
    let mut holding = server.connect().await;
    holding
        .send(request("POST", "/wait", "", &" ".repeat(900)))
        .await;
    server.until_waiting(1).await;
    let answer = server
        .ask(request("POST", "/size", "", &" ".repeat(101)))
        .await;
    assert_eq!(answer.code(), (503, "overloaded".to_owned()));
    assert_eq!(
        server
            .ask(request("POST", "/size", "", &" ".repeat(100)))
            .await
            .text(),
        "100"
    );
    server.bell.rung.add_permits(1);
    assert_eq!(holding.answer().await.text(), "waited");
    assert_eq!(
        server
            .ask(request("POST", "/size", "", &" ".repeat(901)))
            .await
            .text(),
        "901"
    );
}

#[tokio::test]
async fn the_end_finishes_what_is_under_way() {
    let server = Server::plain().await;
    let mut idle = server.connect().await;
    idle.send("GET /open/x HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert_eq!(idle.answer().await.text(), "x");
    let mut busy = server.connect().await;
    busy.send(request("GET", "/wait", "", "")).await;
    server.until_waiting(1).await;
    server.stop.begin();
    assert!(server.stop.has_begun());
    assert_eq!(idle.ended().await, b"");
    assert!(
        tokio::net::TcpStream::connect(server.address)
            .await
            .is_err()
    );
    assert!(!server.serving.is_finished());
    server.bell.rung.add_permits(1);
    let answer = busy.answer().await;
    assert_eq!(
        (answer.text(), answer.header("connection")),
        ("waited", "close")
    );
    let drained = tokio::time::timeout(SOON, server.serving)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(drained, Drained { n_cut_off: 0 });
}

#[tokio::test]
async fn connections_are_accepted_until_the_notice_is_over() {
    let server =
        Server::start(|settings| settings.accepting.notice = Duration::from_hours(1)).await;
    server.stop.begin();
    assert_eq!(
        server
            .ask("GET /open/x HTTP/1.1\r\nHost: a\r\n\r\n")
            .await
            .text(),
        "x"
    );
    assert!(!server.serving.is_finished());
    server.stop.now();
    tokio::time::timeout(SOON, server.serving)
        .await
        .unwrap()
        .unwrap();
}

#[tokio::test]
async fn the_end_comes_when_the_grace_is_over_or_at_the_second_word() {
    for second_word in [true, false] {
        let server = Server::start(|settings| {
            if !second_word {
                settings.accepting.grace = BRIEF;
            }
        })
        .await;
        let mut busy = server.connect().await;
        busy.send(request("GET", "/wait", "", "")).await;
        server.until_waiting(1).await;
        server.stop.begin();
        if second_word {
            server.stop.now();
        }
        let drained = tokio::time::timeout(SOON, server.serving)
            .await
            .unwrap()
            .unwrap();
        assert_eq!(drained, Drained { n_cut_off: 1 });
        assert_eq!(busy.ended().await, b"");
        assert_eq!(server.bell.waiting.load(Ordering::SeqCst), 0);
    }
}

#[tokio::test]
async fn one_key_over_its_limit_leaves_others_alone() {
    let server = Server::plain().await;
    let public = key(Role::StorefrontPublic);
    let rank =
        |key: &str| format!("GET /rank HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {key}\r\n\r\n");
    let mut raw = server.connect().await;
    let mut n_refused = 0;
    for _ in 0..200 {
        raw.send(rank(&public)).await;
        n_refused += u32::from(raw.answer().await.status == 429);
    }
    assert!(0 < n_refused);
    assert_eq!(server.n_refused("rate-limited"), u64::from(n_refused));
    raw.send(rank(&key(Role::StorefrontServer))).await;
    assert_eq!(raw.answer().await.status, 200);
}

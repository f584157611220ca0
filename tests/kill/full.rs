//! A volume without room, and a process without descriptors: ranks go on, nothing acknowledged is
//! lost, and writes come back by themselves.
//!
//! The volume is a small file system in memory, mounted for the test; where nobody may mount, the
//! run says so, and only the twin in `tests/it/full_disk.rs` runs, over a disk that counts bytes.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::kills::{Round, check, edit, set_up};
use crate::rig::{Answer, Client, Dice, Server, read_answer};

/// Bytes of the volume. Its low mark is 4 MiB, as that of every small one.
const VOLUME_MIB: usize = 24;
/// Slowest answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);
/// From a start on a full volume to the first rank.
const READY_WITHIN: Duration = Duration::from_secs(10);
/// From room to the first write.
const WRITES_WITHIN: Duration = Duration::from_secs(30);
/// Imports after which the volume must have been full.
const IMPORTS_MAX: u64 = 60;
/// Descriptors of the process that runs out of them.
const DESCRIPTORS: usize = 80;

/// A file system in memory, gone when dropped.
struct Volume {
    folder: tempfile::TempDir,
}

impl Volume {
    /// `None` where nobody may mount.
    fn mount() -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let size = format!("size={VOLUME_MIB}m,mode=700");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &size, "endcap-full"])
            .arg(folder.path())
            .output();
        let is_mounted = mounted.is_ok_and(|said| said.status.success());
        is_mounted.then_some(Self { folder })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Somebody else's file, as large as fits but for `left` MiB.
    fn fill(&self, name: &str, left: usize) {
        let mut file = std::fs::File::create(self.path(name)).unwrap();
        let block = vec![7; 1 << 20];
        let mut n_blocks = 0;
        while file.write_all(&block).is_ok() {
            n_blocks += 1;
        }
        assert!(left <= n_blocks, "no {left} MiB were free");
        if 0 < left {
            file.set_len((n_blocks - left) as u64 * (1 << 20)).unwrap();
        }
    }
}

impl Drop for Volume {
    fn drop(&mut self) {
        let path = self.folder.path();
        // Lazily, should a process that is being killed still look into it.
        let gone = Command::new("umount").arg("-l").arg(path).status();
        if !gone.is_ok_and(|status| status.success()) {
            println!("{} stays mounted", path.display());
        }
    }
}

/// A client that is answered in time, and by what is allowed on a full volume.
struct Watch {
    client: Client,
    slowest: Duration,
    n_ranks: u64,
}

impl Watch {
    fn new(server: &Server, key: &str) -> Self {
        Self {
            client: Client::new(&server.address, Some(key)),
            slowest: Duration::ZERO,
            n_ranks: 0,
        }
    }

    fn timed(&mut self, act: impl FnOnce(&Client) -> Option<Answer>) -> Answer {
        let began = Instant::now();
        let answer = act(&self.client).expect("answered");
        let took = began.elapsed();
        assert!(took < ANSWER_WITHIN, "{took:?}: {}", answer.body);
        self.slowest = self.slowest.max(took);
        let is_fine = answer.status < 500 || answer.status == 507;
        assert!(is_fine, "{} {}", answer.status, answer.body);
        answer
    }

    /// A write, again after 429: the answer was to wait a little.
    fn write(&mut self, method: &str, path: &str, body: &str, etag: &str) -> Answer {
        let media = if path.contains("imports") {
            "application/x-ndjson"
        } else {
            "application/json"
        };
        let began = Instant::now();
        loop {
            let headers = [("if-match", etag)];
            let headers = if etag.is_empty() { &[][..] } else { &headers };
            let answer = self.timed(|client| client.send(method, path, (media, body), headers));
            if answer.status != 429 {
                return answer;
            }
            assert!(began.elapsed() < WRITES_WITHIN, "limited for too long");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// The first places, always answered.
    fn rank(&mut self) -> String {
        let asked = json!({ "limit": 60 });
        let answer =
            self.timed(|client| client.call("POST", "/v1/markets/se/rank", Some(&asked), &[]));
        assert_eq!(answer.status, 200, "{}", answer.body);
        self.n_ranks += 1;
        let items = answer.body["items"].as_array().unwrap().iter();
        let keys = items.filter_map(|item| item["variant"].as_str());
        keys.collect::<Vec<_>>().join(" ")
    }

    fn refused_as_full(answer: &Answer) {
        let code = answer.body["code"].as_str();
        assert_eq!((answer.status, code), (507, Some("storage-full")));
    }
}

/// Goods of which no byte repeats: product n stands at another place in each feed.
fn feed(n: u64) -> String {
    let mut dice = Dice(n);
    let mut lines = String::new();
    for product in 0..600_u64 {
        let mut noise = || {
            let words = (0..15).map(|_| format!("{:016x}", dice.below(u64::MAX)));
            words.collect::<String>()
        };
        let named = (0..8).map(|n| (format!("noise{n}"), json!(noise())));
        let attributes: serde_json::Map<_, _> = named.collect();
        let score = (product + 61 * n) % 600;
        let variant = json!({ "list_price": "1.00", "score": score.to_string() });
        let line = json!({
            "op": "replace", "product": format!("p{product:03}"),
            "attributes": attributes, "variants": { format!("v{product:03}"): variant },
        });
        lines += &line.to_string();
        lines.push('\n');
    }
    lines
}

const IMPORT: &str = "/v1/markets/se/imports?kind=catalogue&mode=full&format=ndjson&force=true";

/// Imports until there is no room; the one that is refused leaves the order of the last one taken.
fn fill_by_imports(watch: &mut Watch) {
    let mut ranked = watch.rank();
    for n in 1..=IMPORTS_MAX {
        let fed = watch.write("POST", IMPORT, &feed(n), "");
        let now = watch.rank();
        if fed.status == 507 {
            Watch::refused_as_full(&fed);
            assert_eq!(now, ranked, "a refused import changes nothing");
            assert!(1 < n, "full before anything was imported");
            println!("full after {} imports", n - 1);
            return;
        }
        assert_eq!(fed.status, 200, "{}", fed.body);
        assert_ne!(now, ranked);
        ranked = now;
    }
    panic!("{IMPORTS_MAX} imports, and still room");
}

/// Below the mark only what helps is taken.
fn only_relief(watch: &mut Watch, round: &mut Round) {
    let [first, second, ..] = round.histories.as_mut_slice() else {
        panic!("two promotions");
    };
    let path = format!("/v1/promotions/{}", first.promotion);
    let refused = watch.write("PATCH", &path, &edit(0, 1).to_string(), &first.etag);
    Watch::refused_as_full(&refused);
    let path = format!("/v1/promotions/{}/suspend", second.promotion);
    let suspended = watch.write("POST", &path, "", &second.etag);
    assert_eq!(suspended.status, 200, "{}", suspended.body);
    let ready = watch.timed(|client| client.call("GET", "/health/ready", None, &[]));
    assert_eq!((ready.status, &ready.body["writes"]), (200, &json!("full")));
}

/// Writes until one is taken.
fn writes_again(watch: &mut Watch, round: &mut Round) {
    let history = &mut round.histories[0];
    let path = format!("/v1/promotions/{}", history.promotion);
    let began = Instant::now();
    loop {
        let body = edit(0, history.sent + 1).to_string();
        let answer = watch.write("PATCH", &path, &body, &history.etag);
        if answer.status == 200 {
            history.sent += 1;
            history.acknowledged = history.sent;
            break;
        }
        Watch::refused_as_full(&answer);
        assert!(began.elapsed() < WRITES_WITHIN, "no writes with room");
        std::thread::sleep(Duration::from_millis(100));
    }
    println!("writes {:?} after there was room", began.elapsed());
}

#[test]
fn a_full_volume_ranks_on_and_writes_come_back() {
    let Some(volume) = Volume::mount() else {
        println!("nobody may mount here: the full volume runs over a counting disk only");
        return;
    };
    let data = volume.path("data");
    let (key, mut round) = set_up(&data);
    volume.fill("others", 9);
    let server = Server::start(&data);
    let mut watch = Watch::new(&server, &key);
    fill_by_imports(&mut watch);
    only_relief(&mut watch, &mut round);
    let ranked_suspended = watch.rank();
    volume.fill("more of others", 0);
    let path = format!("/v1/promotions/{}/suspend", round.histories[2].promotion);
    let refused = watch.write("POST", &path, "", &round.histories[2].etag);
    Watch::refused_as_full(&refused);
    assert_eq!(watch.rank(), ranked_suspended);
    server.kill();
    let began = Instant::now();
    let server = Server::start(&data);
    let took = began.elapsed();
    assert!(took < READY_WITHIN, "{took:?}");
    let (slowest, n_ranks) = (watch.slowest, watch.n_ranks);
    let mut watch = Watch::new(&server, &key);
    assert_eq!(watch.rank(), ranked_suspended);
    let still = watch.write("POST", &path, "", &round.histories[2].etag);
    Watch::refused_as_full(&still);
    std::fs::remove_file(volume.path("more of others")).unwrap();
    std::fs::remove_file(volume.path("others")).unwrap();
    writes_again(&mut watch, &mut round);
    let slowest = slowest.max(watch.slowest);
    println!("ready on a full volume in {took:?}, slowest answer {slowest:?}, {n_ranks} ranks");
    assert_eq!(server.terminate(1), Some(0));
    check(&data, &key, &mut round);
    suspended_is_kept(&data, &key, &round);
}

/// What was taken on the full volume is still there.
fn suspended_is_kept(data: &Path, key: &str, round: &Round) {
    let server = Server::start(data);
    let client = Client::new(&server.address, Some(key));
    for (place, suspended) in [(1, true), (2, false)] {
        let path = format!("/v1/promotions/{}", round.histories[place].promotion);
        let stored = client.call("GET", &path, None, &[]).unwrap();
        assert_eq!(
            stored.body["suspended"],
            json!(suspended),
            "{}",
            stored.body
        );
    }
    server.kill();
}

#[test]
fn without_descriptors_it_waits_to_accept_and_serves_on() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let (key, _) = set_up(&data);
    let limited = format!("ulimit -n {DESCRIPTORS}; exec \"$@\"");
    let wrapper = ["sh", "-c", limited.as_str(), "sh"];
    let server = Server::of(Server::spawn(&data, &wrapper));
    let mut kept = TcpStream::connect(&server.address).unwrap();
    let rank = |kept: &mut TcpStream| ask_on(kept, &server.address, &key);
    assert_eq!(rank(&mut kept).status, 200);
    // More than it can ever hold: the rest waits in the queue of the kernel.
    let idle: Vec<TcpStream> = (0..2 * DESCRIPTORS)
        .map(|_| TcpStream::connect(&server.address).unwrap())
        .collect();
    for _ in 0..50 {
        assert_eq!(
            rank(&mut kept).status,
            200,
            "an accepted connection is served"
        );
    }
    drop(idle);
    let began = Instant::now();
    let client = Client::new(&server.address, Some(&key));
    let asked = json!({ "limit": 5 });
    let answer = client.call("POST", "/v1/markets/se/rank", Some(&asked), &[]);
    assert_eq!(answer.expect("accepted again").status, 200);
    println!("accepted again after {:?}", began.elapsed());
    assert_eq!(rank(&mut kept).status, 200);
    assert_eq!(server.terminate(1), Some(0));
}

/// One rank on a connection that stays.
fn ask_on(stream: &mut TcpStream, address: &str, key: &str) -> Answer {
    let body = json!({ "limit": 5 }).to_string();
    let head = format!(
        "POST /v1/markets/se/rank HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {key}\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    stream.set_read_timeout(Some(ANSWER_WITHIN)).unwrap();
    stream
        .write_all(format!("{head}{body}").as_bytes())
        .unwrap();
    let mut bytes = Vec::new();
    let mut part = [0; 8_192];
    loop {
        let read = stream.read(&mut part).unwrap();
        assert!(0 < read, "the connection was closed");
        bytes.extend_from_slice(&part[..read]);
        if let Some(answer) = read_answer(&bytes) {
            return answer;
        }
    }
}

//! The binary as a process that can be killed, and a client that notices when an answer is cut off.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

const START_WITHIN: Duration = Duration::from_mins(1);
const ANSWER_WITHIN: Duration = Duration::from_secs(20);

pub(crate) fn seed() -> u64 {
    std::env::var("ENDCAP_SEED")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(1)
}

/// `SplitMix64` (Steele, Lea, Flood 2014): enough to choose moments.
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % n
    }
}

pub(crate) fn binary() -> PathBuf {
    let named = std::env::var_os("ENDCAP_KILL_BIN").map(PathBuf::from);
    let built = || PathBuf::from(env!("CARGO_BIN_EXE_endcap"));
    named.filter(|path| path.exists()).unwrap_or_else(built)
}

/// A served data directory.
pub(crate) struct Server {
    pub(crate) process: Child,
    pub(crate) address: String,
}

impl Server {
    /// Starts it and does not wait.
    pub(crate) fn spawn(data: &Path, wrapper: &[&str]) -> Child {
        let mut command = Self::command(data, wrapper);
        command.stderr(Stdio::null()).spawn().unwrap()
    }

    /// What starts it; errors go wherever the caller says.
    pub(crate) fn command(data: &Path, wrapper: &[&str]) -> Command {
        let mut words: Vec<String> = wrapper.iter().map(ToString::to_string).collect();
        words.push(binary().display().to_string());
        let arguments = ["serve", "--listen", "127.0.0.1:0", "--data"];
        words.extend(arguments.map(str::to_owned));
        words.push(data.display().to_string());
        let mut command = Command::new(&words[0]);
        command
            .args(&words[1..])
            .current_dir(data.parent().unwrap())
            .env_remove("ENDCAP_SEED")
            .stdin(Stdio::null())
            .stdout(Stdio::piped());
        command
    }

    /// Starts it and waits until it can rank.
    pub(crate) fn start(data: &Path) -> Self {
        Self::of(Self::spawn(data, &[]))
    }

    pub(crate) fn of(mut process: Child) -> Self {
        let began = Instant::now();
        let Some(address) = listening(&mut process) else {
            panic!("the server ended before it listened: {:?}", process.wait());
        };
        let server = Self { process, address };
        loop {
            let ready = Client::new(&server.address, None).call("GET", "/health/ready", None, &[]);
            if ready.is_some_and(|answer| answer.status == 200) {
                return server;
            }
            assert!(began.elapsed() < START_WITHIN, "not ready in time");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    pub(crate) fn kill(mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// The served process: the child where another program traces it.
    pub(crate) fn pid(&self) -> u32 {
        let own = self.process.id();
        let children = std::fs::read_to_string(format!("/proc/{own}/task/{own}/children"));
        let child = children
            .ok()
            .and_then(|pids| pids.split_whitespace().next()?.parse().ok());
        child.unwrap_or(own)
    }

    /// SIGTERM; the exit code.
    pub(crate) fn terminate(mut self, times: usize) -> Option<i32> {
        let pid = self.pid().to_string();
        for _ in 0..times {
            Command::new("kill").args(["-TERM", &pid]).status().unwrap();
            std::thread::sleep(Duration::from_millis(20));
        }
        let began = Instant::now();
        loop {
            if let Some(status) = self.process.try_wait().unwrap() {
                return status.code();
            }
            if Duration::from_secs(30) < began.elapsed() {
                self.process.kill().unwrap();
                panic!("it did not stop within its grace");
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

/// The address that a process says it listens at; `None` if it ended before.
pub(crate) fn listening(process: &mut Child) -> Option<String> {
    let began = Instant::now();
    let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
    let line = loop {
        let line = lines.next()?.unwrap();
        if line.contains("http://") {
            break line;
        }
        assert!(began.elapsed() < START_WITHIN, "not listening in time");
    };
    // Whatever else it prints is read and dropped, so that it never waits for a reader.
    std::thread::spawn(move || lines.for_each(drop));
    let address = line.split("http://").nth(1).unwrap();
    Some(address.split_whitespace().next().unwrap().to_owned())
}

pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) etag: String,
    pub(crate) revision: u64,
    pub(crate) replayed: bool,
    pub(crate) body: Value,
}

/// One connection a call; `None` if the whole answer did not come.
pub(crate) struct Client {
    pub(crate) address: String,
    key: Option<String>,
}

impl Client {
    pub(crate) fn new(address: &str, key: Option<&str>) -> Self {
        Self {
            address: address.to_owned(),
            key: key.map(str::to_owned),
        }
    }

    pub(crate) fn call(
        &self,
        method: &str,
        path: &str,
        body: Option<&Value>,
        headers: &[(&str, &str)],
    ) -> Option<Answer> {
        let text = body.map(Value::to_string);
        self.send(
            method,
            path,
            ("application/json", text.as_deref().unwrap_or("")),
            headers,
        )
    }

    pub(crate) fn send(
        &self,
        method: &str,
        path: &str,
        (media, body): (&str, &str),
        headers: &[(&str, &str)],
    ) -> Option<Answer> {
        let mut stream = TcpStream::connect(&self.address).ok()?;
        stream.set_read_timeout(Some(ANSWER_WITHIN)).ok()?;
        let mut lines = vec![
            format!("{method} {path} HTTP/1.1"),
            format!("host: {}", self.address),
            "connection: close".to_owned(),
        ];
        let key = self.key.iter();
        lines.extend(key.map(|key| format!("authorization: Bearer {key}")));
        if !body.is_empty() {
            lines.push(format!("content-type: {media}"));
            lines.push(format!("content-length: {}", body.len()));
        }
        let named = headers.iter();
        lines.extend(named.map(|(name, value)| format!("{name}: {value}")));
        let head = lines.join("\r\n");
        stream
            .write_all(format!("{head}\r\n\r\n{body}").as_bytes())
            .ok()?;
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).ok()?;
        read_answer(&bytes)
    }
}

pub(crate) fn read_answer(bytes: &[u8]) -> Option<Answer> {
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")?;
    let head = String::from_utf8_lossy(&bytes[..end]);
    let mut lines = head.lines();
    let status: u16 = lines.next()?.split(' ').nth(1)?.parse().ok()?;
    let headers: BTreeMap<String, String> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    let header = |name: &str| headers.get(name).cloned().unwrap_or_default();
    let body = &bytes[end + 4..];
    let length: usize = header("content-length").parse().ok()?;
    if body.len() < length {
        return None;
    }
    Some(Answer {
        status,
        etag: header("etag"),
        revision: header("x-endcap-revision").parse().unwrap_or(0),
        replayed: header("idempotency-replayed") == "true",
        body: serde_json::from_slice(&body[..length]).unwrap_or(Value::Null),
    })
}

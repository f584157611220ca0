//! Bodies on their way in: timed, counted, unpacked, and never more of them than there is room for.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use async_compression::tokio::bufread::{GzipDecoder, ZstdDecoder};
use async_compression::zstd::DParameter;
use axum::body::Body;
use futures_core::Stream;
use hyper::body::{Body as _, Bytes};
use tokio::io::{AsyncRead, ReadBuf};
use tokio::runtime::Handle;
use tokio::time::Instant;
use tokio_util::io::StreamReader;

use crate::http::alarm::Alarm;
use crate::http::head::Unreadable;
use crate::http::lanes::overloaded;
use crate::http::problem::Problem;
use crate::http::problem::code::Code;

/// Unpacked bytes from which on the ratio counts.
const RATIO_FREE_BYTES: u64 = 1 << 20;

/// How many times its packed size a body may have.
const RATIO_MAX: u64 = 100;

/// Unpacked at once.
const PIECE_BYTES: usize = 16 << 10;

/// Base 2 logarithm of the longest window that a zstd body may ask memory for: 8 MiB (RFC 9659).
const ZSTD_WINDOW_LOG_MAX: u32 = 23;

/// How long a body may be on its way.
#[derive(Clone, Copy, Debug)]
pub struct BodyTimes {
    /// Between its bytes.
    pub gap: Duration,
    /// From its head to its last byte.
    pub whole: Duration,
    /// Between the bytes of one that is read as a stream; the whole of it takes what it takes.
    pub stream_gap: Duration,
}

impl Default for BodyTimes {
    fn default() -> Self {
        Self {
            gap: Duration::from_secs(10),
            whole: Duration::from_secs(30),
            stream_gap: Duration::from_mins(1),
        }
    }
}

/// How a body is packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::http) enum Coding {
    Plain,
    Gzip,
    Zstd,
}

/// Why a body did not come whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BodyFault {
    /// Longer than its path takes, or unpacking to more than a hundred times its size.
    #[error(
        "the body is longer than {limit_bytes} bytes, or unpacks to more than 100 times its size"
    )]
    TooLarge {
        /// Most bytes, unpacked.
        limit_bytes: u64,
    },
    /// Too slow.
    #[error("the body did not come in time")]
    Late,
    /// Not framed as HTTP wants it.
    #[error("a chunk of the body cannot be read")]
    Unreadable,
    /// Not packed as its `Content-Encoding` says.
    #[error("the body is not packed as its Content-Encoding says")]
    Coding,
    /// The client is gone.
    #[error("the client ended the connection inside the body")]
    Gone,
}

impl From<BodyFault> for Problem {
    fn from(fault: BodyFault) -> Self {
        let problem = match fault {
            BodyFault::TooLarge { limit_bytes } => Self::body_too_large(limit_bytes),
            BodyFault::Late => Self::new(Code::Deadline, fault.to_string()),
            BodyFault::Unreadable | BodyFault::Gone => {
                Self::new(Code::BadHeader, fault.to_string())
            }
            BodyFault::Coding => Self::new(Code::UnsupportedMediaType, fault.to_string()),
        };
        problem.closing()
    }
}

/// A body that comes piece by piece, unpacked.
pub struct Upload {
    source: Source,
    limit_bytes: u64,
    n_unpacked: u64,
}

enum Source {
    Plain(Arriving),
    Gzip(Box<GzipDecoder<StreamReader<Arriving, Bytes>>>),
    Zstd(Box<ZstdDecoder<StreamReader<Arriving, Bytes>>>),
}

impl Upload {
    /// A body of at most `limit_bytes`, packed or not.
    pub(in crate::http) fn new(
        body: Body,
        coding: Coding,
        limit_bytes: u64,
        gap: Duration,
        whole: Option<Duration>,
    ) -> Self {
        let arriving = Arriving::new(body, limit_bytes, gap, whole);
        let source = match coding {
            Coding::Plain => Source::Plain(arriving),
            Coding::Gzip => {
                let mut decoder = GzipDecoder::new(StreamReader::new(arriving));
                decoder.multiple_members(true);
                Source::Gzip(Box::new(decoder))
            }
            Coding::Zstd => {
                let window = [DParameter::window_log_max(ZSTD_WINDOW_LOG_MAX)];
                let reader = StreamReader::new(arriving);
                let mut decoder = ZstdDecoder::with_params(reader, &window);
                decoder.multiple_members(true);
                Source::Zstd(Box::new(decoder))
            }
        };
        Self {
            source,
            limit_bytes,
            n_unpacked: 0,
        }
    }

    /// The next piece; `None` at the end.
    ///
    /// # Errors
    /// [`BodyFault`], after which there is no more.
    pub async fn next(&mut self) -> Result<Option<Bytes>, BodyFault> {
        std::future::poll_fn(|cx| self.poll_piece(cx))
            .await
            .transpose()
    }

    /// A reader for a blocking thread, and the place where it leaves word should it fail: whoever
    /// gets its error may wrap it until nobody knows it again.
    ///
    /// Call it on the runtime's threads; the reader waits for that runtime.
    pub fn into_reader(self) -> (UploadReader, Arc<OnceLock<BodyFault>>) {
        let fault = Arc::new(OnceLock::new());
        let reader = UploadReader {
            upload: self,
            piece: Bytes::new(),
            runtime: Handle::current(),
            fault: Arc::clone(&fault),
        };
        (reader, fault)
    }

    /// The whole of it, in one piece. One that comes in one piece is not copied.
    ///
    /// # Errors
    /// What [`BodyFault`] stands for; `overloaded` if there is no room for more bodies.
    pub(in crate::http) async fn collect(
        mut self,
        room: &BodyRoom,
    ) -> Result<(Bytes, Held<'_>), Problem> {
        let mut held = room.hold();
        let Some(first) = self.next().await? else {
            return Ok((Bytes::new(), held));
        };
        held.grow(first.len())?;
        let Some(second) = self.next().await? else {
            return Ok((first, held));
        };
        held.grow(second.len())?;
        let mut whole = Vec::with_capacity(2 * (first.len() + second.len()));
        whole.extend_from_slice(&first);
        whole.extend_from_slice(&second);
        while let Some(piece) = self.next().await? {
            held.grow(piece.len())?;
            whole.extend_from_slice(&piece);
        }
        Ok((whole.into(), held))
    }

    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, BodyFault>>> {
        let (read, n_packed) = match &mut self.source {
            Source::Plain(arriving) => return arriving.poll_bytes(cx),
            Source::Gzip(decoder) => (
                ready!(unpack(Pin::new(&mut **decoder), cx)),
                decoder.get_ref().get_ref().n_bytes,
            ),
            Source::Zstd(decoder) => (
                ready!(unpack(Pin::new(&mut **decoder), cx)),
                decoder.get_ref().get_ref().n_bytes,
            ),
        };
        let piece = match read {
            Ok(piece) if piece.is_empty() => return Poll::Ready(None),
            Ok(piece) => piece,
            Err(fault) => return Poll::Ready(Some(Err(fault))),
        };
        self.n_unpacked += piece.len() as u64;
        let ratio_max = RATIO_FREE_BYTES.max(RATIO_MAX * n_packed);
        if self.limit_bytes.min(ratio_max) < self.n_unpacked {
            return Poll::Ready(Some(Err(BodyFault::TooLarge {
                limit_bytes: self.limit_bytes,
            })));
        }
        Poll::Ready(Some(Ok(piece)))
    }
}

/// One piece of what a decoder unpacks; an empty one is the end.
fn unpack<D: AsyncRead>(
    decoder: Pin<&mut D>,
    cx: &mut Context<'_>,
) -> Poll<Result<Bytes, BodyFault>> {
    let mut piece = vec![0; PIECE_BYTES];
    let mut buffer = ReadBuf::new(&mut piece);
    let read = ready!(decoder.poll_read(cx, &mut buffer));
    let n = buffer.filled().len();
    Poll::Ready(match read {
        Ok(()) => {
            piece.truncate(n);
            Ok(piece.into())
        }
        Err(error) => {
            let inner = error
                .get_ref()
                .and_then(|inner| inner.downcast_ref::<BodyFault>());
            Err(inner.copied().unwrap_or(BodyFault::Coding))
        }
    })
}

/// A body as it comes from the connection.
struct Arriving {
    body: Body,
    limit_bytes: u64,
    n_bytes: u64,
    gap: Duration,
    last_at: Instant,
    ends_at: Option<Instant>,
    alarm: Alarm,
}

impl Arriving {
    fn new(body: Body, limit_bytes: u64, gap: Duration, whole: Option<Duration>) -> Self {
        let now = Instant::now();
        Self {
            body,
            limit_bytes,
            n_bytes: 0,
            gap,
            last_at: now,
            ends_at: whole.map(|whole| now + whole),
            alarm: Alarm::default(),
        }
    }

    fn poll_bytes(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, BodyFault>>> {
        loop {
            let frame = match Pin::new(&mut self.body).poll_frame(cx) {
                Poll::Ready(Some(Ok(frame))) => frame,
                Poll::Ready(Some(Err(error))) => return Poll::Ready(Some(Err(fault_of(&error)))),
                Poll::Ready(None) => return Poll::Ready(None),
                Poll::Pending => {
                    let next_by = self.last_at + self.gap;
                    let deadline = self.ends_at.map_or(next_by, |ends_at| ends_at.min(next_by));
                    if self.alarm.has_come(cx, deadline) {
                        return Poll::Ready(Some(Err(BodyFault::Late)));
                    }
                    return Poll::Pending;
                }
            };
            // Trailers say nothing to anybody.
            let Ok(bytes) = frame.into_data() else {
                continue;
            };
            self.last_at = Instant::now();
            self.n_bytes += bytes.len() as u64;
            if self.limit_bytes < self.n_bytes {
                let limit_bytes = self.limit_bytes;
                return Poll::Ready(Some(Err(BodyFault::TooLarge { limit_bytes })));
            }
            if !bytes.is_empty() {
                return Poll::Ready(Some(Ok(bytes)));
            }
        }
    }
}

impl Stream for Arriving {
    type Item = io::Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.poll_bytes(cx).map_err(io::Error::other)
    }
}

/// What an error of the connection means for a body. The guard's own fault lies inside the error of
/// the read that it ended.
fn fault_of(error: &axum::Error) -> BodyFault {
    let mut source = std::error::Error::source(error);
    while let Some(inner) = source {
        let read = inner
            .downcast_ref::<io::Error>()
            .and_then(io::Error::get_ref);
        if read
            .and_then(|fault| fault.downcast_ref::<Unreadable>())
            .is_some()
        {
            return BodyFault::Unreadable;
        }
        source = inner.source();
    }
    BodyFault::Gone
}

/// Reads an upload on a blocking thread.
pub struct UploadReader {
    upload: Upload,
    piece: Bytes,
    runtime: Handle,
    fault: Arc<OnceLock<BodyFault>>,
}

impl io::Read for UploadReader {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.piece.is_empty() {
            match self.runtime.block_on(self.upload.next()) {
                Ok(piece) => self.piece = piece.unwrap_or_default(),
                Err(fault) => {
                    let _ = self.fault.set(fault);
                    return Err(io::Error::other(fault));
                }
            }
        }
        let n = self.piece.len().min(out.len());
        out[..n].copy_from_slice(&self.piece.split_to(n));
        Ok(n)
    }
}

/// Bytes of whole bodies that may lie in memory at once.
#[derive(Debug)]
pub(in crate::http) struct BodyRoom(AtomicUsize);

impl BodyRoom {
    /// Room for so many bytes.
    pub(in crate::http) fn new(bytes: usize) -> Self {
        Self(AtomicUsize::new(bytes))
    }

    fn hold(&self) -> Held<'_> {
        Held { room: self, n: 0 }
    }
}

/// A body's share of the room, until it is dropped.
#[derive(Debug)]
pub(in crate::http) struct Held<'a> {
    room: &'a BodyRoom,
    n: usize,
}

impl Held<'_> {
    fn grow(&mut self, n: usize) -> Result<(), Problem> {
        let take = |left: usize| left.checked_sub(n);
        let taken = self
            .room
            .0
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, take);
        taken.map_err(|_| overloaded().closing())?;
        self.n += n;
        Ok(())
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.room.0.fetch_add(self.n, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};

    use super::*;

    const GAP: Duration = Duration::from_secs(10);

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    async fn zstd(bytes: &[u8]) -> Vec<u8> {
        use tokio::io::AsyncReadExt as _;
        let mut out = Vec::new();
        let mut encoder = async_compression::tokio::bufread::ZstdEncoder::new(bytes);
        encoder.read_to_end(&mut out).await.unwrap();
        out
    }

    async fn collect(body: Vec<u8>, coding: Coding, limit: u64) -> Result<usize, Code> {
        let room = BodyRoom::new(64 << 20);
        let upload = Upload::new(body.into(), coding, limit, GAP, None);
        let collected = upload.collect(&room).await;
        collected
            .map(|(bytes, _)| bytes.len())
            .map_err(|problem| problem.code())
    }

    /// Bytes that pack badly: 4 of them a step.
    fn noise(n: usize) -> Vec<u8> {
        let mut state = 1_u32;
        let step = |_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        };
        (0..n).map(step).collect()
    }

    #[tokio::test]
    async fn a_body_may_have_its_limit_and_no_byte_more() {
        for n in [0, 1, 99, 100] {
            assert_eq!(collect(noise(n), Coding::Plain, 100).await, Ok(n));
            assert_eq!(
                collect(gzip(&vec![b'x'; n]), Coding::Gzip, 100).await,
                Ok(n)
            );
            assert_eq!(
                collect(zstd(&vec![b'x'; n]).await, Coding::Zstd, 100).await,
                Ok(n)
            );
        }
        let refused = Err(Code::BodyTooLarge);
        assert_eq!(collect(noise(101), Coding::Plain, 100).await, refused);
        assert_eq!(
            collect(gzip(&[b'x'; 101]), Coding::Gzip, 100).await,
            refused
        );
        assert_eq!(
            collect(zstd(&[b'x'; 101]).await, Coding::Zstd, 100).await,
            refused
        );
    }

    #[tokio::test]
    async fn a_body_that_unpacks_to_a_hundred_times_its_size_is_refused_after_a_mebibyte() {
        let mib = 1 << 20;
        let limit = 64 << 20;
        let bomb = |n| gzip(&vec![0; n]);
        assert!(bomb(mib).len() < mib / 100);
        assert_eq!(collect(bomb(mib), Coding::Gzip, limit).await, Ok(mib));
        let refused = Err(Code::BodyTooLarge);
        assert_eq!(collect(bomb(mib + 1), Coding::Gzip, limit).await, refused);
        assert_eq!(
            collect(zstd(&vec![0; 9 * mib]).await, Coding::Zstd, limit).await,
            refused
        );
        let honest = noise(3 * mib);
        assert_eq!(
            collect(gzip(&honest), Coding::Gzip, limit).await,
            Ok(3 * mib)
        );
    }

    #[tokio::test]
    async fn what_is_not_packed_as_it_says_is_refused() {
        let refused = Err(Code::UnsupportedMediaType);
        assert_eq!(
            collect(b"{\"a\":1}".to_vec(), Coding::Gzip, 100).await,
            refused
        );
        assert_eq!(
            collect(b"{\"a\":1}".to_vec(), Coding::Zstd, 100).await,
            refused
        );
        let mut cut = gzip(&noise(1_000));
        cut.truncate(500);
        assert_eq!(collect(cut, Coding::Gzip, 10_000).await, refused);
    }

    #[tokio::test]
    async fn packed_members_follow_each_other() {
        let mut two = gzip(b"abc");
        two.extend(gzip(b"de"));
        assert_eq!(collect(two, Coding::Gzip, 100).await, Ok(5));
    }

    #[tokio::test]
    async fn bodies_find_room_or_are_refused() {
        let room = BodyRoom::new(150);
        let body = |n| Upload::new(noise(n).into(), Coding::Plain, 200, GAP, None);
        let first = body(100).collect(&room).await.unwrap();
        let refused = body(51).collect(&room).await.unwrap_err();
        assert_eq!(refused.code(), Code::Overloaded);
        assert!(body(50).collect(&room).await.is_ok());
        drop(first);
        assert!(body(150).collect(&room).await.is_ok());
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn a_blocking_reader_leaves_word_of_its_fault() {
        let read = |body: Vec<u8>| {
            let upload = Upload::new(body.into(), Coding::Plain, 100, GAP, None);
            let (mut reader, fault) = upload.into_reader();
            tokio::task::spawn_blocking(move || {
                let mut out = Vec::new();
                let read = reader.read_to_end(&mut out).is_ok();
                (read, out.len(), fault.get().copied())
            })
        };
        assert_eq!(read(noise(100)).await.unwrap(), (true, 100, None));
        let fault = Some(BodyFault::TooLarge { limit_bytes: 100 });
        assert_eq!(read(noise(101)).await.unwrap(), (false, 0, fault));
    }
}

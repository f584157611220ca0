//! From bytes to physical lines: gzip and zstd, bounds, encodings.

use std::io::{self, BufRead, BufReader, Chain, Cursor, Read};

use flate2::read::MultiGzDecoder;

use crate::domain::complaint::Fault;
use crate::feed::result::FeedError;

/// Most bytes of a line, and of a CSV record over several lines.
pub const LINE_BYTES_MAX: usize = 1 << 20;

/// Most bytes of an unpacked feed.
pub const FEED_BYTES_MAX: u64 = 8 << 30;

/// How many times its packed size a feed may have after its first unpacked MiB.
pub const UNPACKING_RATIO_MAX: u64 = 100;

/// Bytes read at once.
const BUFFER_BYTES: usize = 64 << 10;

/// How characters are written as bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Encoding {
    /// With or without a byte order mark.
    #[default]
    Utf8,
    /// One byte a character; ISO 8859-1 is read as this, as browsers do.
    Windows1252,
}

impl Encoding {
    /// Reads a label, without regard to case.
    ///
    /// # Errors
    /// `unknown-value`.
    pub fn parse(label: &str) -> Result<Self, Fault> {
        match label.to_ascii_lowercase().as_str() {
            "utf-8" | "utf8" => Ok(Self::Utf8),
            "windows-1252" | "cp1252" | "iso-8859-1" | "latin1" => Ok(Self::Windows1252),
            other => Err(Fault::unknown_value(
                other,
                &["utf-8", "windows-1252", "iso-8859-1"],
            )),
        }
    }
}

/// Characters of the bytes 0x80 to 0x9F in windows-1252; the five unassigned ones stay controls.
/// Source: the WHATWG encoding standard, index windows-1252.
const WINDOWS_1252_HIGH: [char; 32] = [
    '€', '\u{81}', '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', '\u{8d}', 'Ž', '\u{8f}',
    '\u{90}', '‘', '’', '“', '”', '•', '–', '—', '˜', '™', 'š', '›', 'œ', '\u{9d}', 'ž', 'Ÿ',
];

/// Why unpacking stopped.
#[derive(Debug, thiserror::Error)]
#[error("longer than {limit_bytes} bytes")]
pub struct Oversize {
    /// Most bytes of this feed.
    pub limit_bytes: u64,
}

/// First bytes of a zstd frame.
const ZSTD: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// Largest window of a zstd feed: 2^27 bytes, what `zstd` makes without `--ultra`.
const ZSTD_WINDOW_LOG_MAX: u32 = 27;

/// Plain bytes of a feed that may be gzip or zstd, known by its first bytes.
///
/// # Errors
/// Whatever stops the first read; [`FeedError::Utf16`].
pub fn unpack<R: Read>(mut input: R) -> Result<impl BufRead, FeedError> {
    let mut head = Vec::with_capacity(4);
    input.by_ref().take(4).read_to_end(&mut head)?;
    let is_gzip = head.starts_with(&[0x1f, 0x8b]);
    let is_zstd = head == ZSTD;
    let whole = Counted {
        inner: Cursor::new(head).chain(input),
        n_bytes: 0,
    };
    let source = if is_gzip {
        Source::Gzip(MultiGzDecoder::new(whole))
    } else if is_zstd {
        let mut decoder = zstd::Decoder::new(whole)?;
        decoder.window_log_max(ZSTD_WINDOW_LOG_MAX)?;
        Source::Zstd(Box::new(decoder))
    } else {
        Source::Plain(whole)
    };
    let bounded = Bounded { source, n_bytes: 0 };
    let mut unpacked = BufReader::with_capacity(BUFFER_BYTES, bounded);
    match unpacked.fill_buf()? {
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => Err(FeedError::Utf16),
        _ => Ok(unpacked),
    }
}

struct Counted<R> {
    inner: R,
    n_bytes: u64,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n_read = self.inner.read(buffer)?;
        self.n_bytes += n_read as u64;
        Ok(n_read)
    }
}

type Whole<R> = Counted<Chain<Cursor<Vec<u8>>, R>>;

enum Source<R> {
    Plain(Whole<R>),
    Gzip(MultiGzDecoder<Whole<R>>),
    Zstd(Box<zstd::Decoder<'static, BufReader<Whole<R>>>>),
}

struct Bounded<R> {
    source: Source<R>,
    /// Unpacked so far.
    n_bytes: u64,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let (n_read, n_packed) = match &mut self.source {
            Source::Plain(plain) => (plain.read(buffer)?, None),
            Source::Gzip(gzip) => (gzip.read(buffer)?, Some(gzip.get_ref().n_bytes)),
            Source::Zstd(zstd) => (zstd.read(buffer)?, Some(zstd.get_ref().get_ref().n_bytes)),
        };
        self.n_bytes += n_read as u64;
        let grown = n_packed.map_or(FEED_BYTES_MAX, |packed| {
            (1 << 20) + packed.saturating_mul(UNPACKING_RATIO_MAX)
        });
        let limit_bytes = grown.min(FEED_BYTES_MAX);
        if limit_bytes < self.n_bytes {
            return Err(io::Error::other(Oversize { limit_bytes }));
        }
        Ok(n_read)
    }
}

/// Physical lines of a feed, numbered from 1.
pub struct Lines<R> {
    input: R,
    encoding: Encoding,
    /// Number of the line last read.
    row: u64,
    line: Vec<u8>,
    decoded: String,
}

impl<R: BufRead> Lines<R> {
    /// The lines of `input`.
    pub fn new(input: R, encoding: Encoding) -> Self {
        Self {
            input,
            encoding,
            row: 0,
            line: Vec::new(),
            decoded: String::new(),
        }
    }

    /// The next line with its number and terminator, as UTF-8 if the feed is what it says; `None`
    /// at the end. A byte order mark is left out.
    ///
    /// # Errors
    /// [`FeedError::LineTooLong`], or whatever stops the reading.
    pub fn next_line(&mut self) -> Result<Option<(u64, &[u8])>, FeedError> {
        self.line.clear();
        self.row += 1;
        let bound = LINE_BYTES_MAX as u64 + 1;
        let mut line = self.input.by_ref().take(bound);
        if line.read_until(b'\n', &mut self.line)? == 0 {
            return Ok(None);
        }
        if LINE_BYTES_MAX < self.line.len() {
            return Err(FeedError::LineTooLong {
                row: self.row,
                limit_bytes: LINE_BYTES_MAX as u64,
            });
        }
        if self.encoding == Encoding::Windows1252 {
            self.decoded.clear();
            self.decoded
                .extend(self.line.iter().copied().map(windows_1252));
            return Ok(Some((self.row, self.decoded.as_bytes())));
        }
        let text = self.line.as_slice();
        let mark = if self.row == 1 { "\u{feff}" } else { "" };
        let text = text.strip_prefix(mark.as_bytes()).unwrap_or(text);
        Ok(Some((self.row, text)))
    }
}

/// The character of a byte.
pub(super) fn windows_1252(byte: u8) -> char {
    match byte {
        0x80..=0x9f => WINDOWS_1252_HIGH[usize::from(byte - 0x80)],
        _ => char::from(byte),
    }
}

/// The line without its terminator, and the terminator.
pub(super) fn split_terminator(line: &[u8]) -> (&[u8], &[u8]) {
    let n_end = match line {
        [.., b'\r', b'\n'] => 2,
        [.., b'\n'] => 1,
        _ => 0,
    };
    line.split_at(line.len() - n_end)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        packed.write_all(bytes).unwrap();
        packed.finish().unwrap()
    }

    fn lines(bytes: &[u8], encoding: Encoding) -> Result<Vec<(u64, String)>, FeedError> {
        let mut lines = Lines::new(unpack(bytes)?, encoding);
        let mut found = Vec::new();
        while let Some((row, line)) = lines.next_line()? {
            let (text, _) = split_terminator(line);
            found.push((row, String::from_utf8_lossy(text).into_owned()));
        }
        Ok(found)
    }

    #[test]
    fn lines_are_numbered_from_one_and_lose_mark_and_terminator() {
        let expected = vec![(1, "ä".to_owned()), (2, String::new()), (3, "b".to_owned())];
        let plain = "\u{feff}ä\r\n\nb".as_bytes();
        assert_eq!(lines(plain, Encoding::Utf8).unwrap(), expected);
        assert_eq!(lines(&gzip(plain), Encoding::Utf8).unwrap(), expected);
        let zstd = zstd::encode_all(plain, 3).unwrap();
        assert_eq!(lines(&zstd, Encoding::Utf8).unwrap(), expected);
        assert_eq!(lines(b"", Encoding::Utf8).unwrap(), vec![]);
    }

    #[test]
    fn gzip_members_follow_each_other() {
        let both = [gzip(b"a\n"), gzip(b"b\n")].concat();
        assert_eq!(lines(&both, Encoding::Utf8).unwrap().len(), 2);
    }

    #[test]
    fn old_encodings_are_read() {
        let found = lines(b"\x80 5,- f\xfcr\n", Encoding::Windows1252).unwrap();
        assert_eq!(found[0].1, "€ 5,- für");
        assert_eq!(Encoding::parse("ISO-8859-1"), Ok(Encoding::Windows1252));
        assert_eq!(
            Encoding::parse("utf-7").unwrap_err().did_you_mean(),
            Some("utf-8")
        );
    }

    #[test]
    fn oversize_is_refused() {
        let longest = [vec![b'x'; LINE_BYTES_MAX - 1], b"\n".to_vec()].concat();
        assert_eq!(lines(&longest, Encoding::Utf8).unwrap().len(), 1);
        let longer = vec![b'x'; LINE_BYTES_MAX + 1];
        let refused = lines(&longer, Encoding::Utf8).unwrap_err();
        assert!(matches!(refused, FeedError::LineTooLong { row: 1, .. }));
        let bomb = gzip(&b"\n".repeat(16 << 20));
        let refused = lines(&bomb, Encoding::Utf8).unwrap_err();
        assert!(matches!(refused, FeedError::TooLarge { .. }));
        let bomb = zstd::encode_all(&*b"\n".repeat(16 << 20), 3).unwrap();
        let refused = lines(&bomb, Encoding::Utf8).unwrap_err();
        assert!(matches!(refused, FeedError::TooLarge { .. }));
    }

    #[test]
    fn damaged_and_foreign_packings_are_refused() {
        let whole = gzip(b"a\nb\n");
        let cut = lines(&whole[..whole.len() - 5], Encoding::Utf8);
        assert!(matches!(cut.unwrap_err(), FeedError::Io(_)));
        let zstd = lines(b"\x28\xb5\x2f\xfd...", Encoding::Utf8);
        assert!(matches!(zstd.unwrap_err(), FeedError::Io(_)));
        let whole = zstd::encode_all(&b"a\nb\n"[..], 3).unwrap();
        let cut = lines(&whole[..whole.len() - 3], Encoding::Utf8);
        assert!(matches!(cut.unwrap_err(), FeedError::Io(_)));
        for mark in [b"\xff\xfea\0", b"\xfe\xff\0a"] {
            let utf16 = lines(mark, Encoding::Utf8);
            assert!(matches!(utf16.unwrap_err(), FeedError::Utf16));
        }
    }
}

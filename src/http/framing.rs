//! Follows where requests begin and end on a connection, so that nothing that cannot be read in
//! one way reaches hyper.

use crate::http::head::{Framing, HEADER_BYTES_MAX, HEADERS_MAX, Head, Unreadable, field};

/// What an HTTP/2 client sends first (RFC 9113 section 3.4).
const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Most hexadecimal digits of a chunk's size.
const SIZE_DIGITS_MAX: usize = 15;

/// Most bytes of a chunk's extension, which nobody reads.
const EXTENSION_BYTES_MAX: usize = 256;

/// Where a connection stands.
#[derive(Debug)]
pub(in crate::http) enum Scanner {
    /// Nothing is known yet: HTTP/1 or 2.
    Opening,
    /// Before or inside a head.
    Head(Head),
    /// So many bytes of a body are to come.
    Body(u64),
    /// Inside a body of chunks.
    Chunks(Chunks),
    /// HTTP/2, whose frames say where they end: everything passes.
    Http2,
    /// Something could not be read; nothing passes any more.
    Broken,
}

/// What may pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::http) struct Passed {
    /// So many bytes from the front; the others stay behind until more have come.
    pub(in crate::http) n_bytes: usize,
    /// Why nothing passes after them.
    pub(in crate::http) fault: Option<Unreadable>,
    /// Whether the fault lies in a body, whose head has passed.
    pub(in crate::http) is_amid_body: bool,
}

impl Scanner {
    /// Looks at bytes: those that stayed behind before, and what has come since.
    pub(in crate::http) fn scan(&mut self, bytes: &[u8]) -> Passed {
        let mut n_bytes = 0;
        loop {
            let rest = &bytes[n_bytes..];
            match self.step(rest) {
                Ok(0) => {
                    return Passed {
                        n_bytes,
                        fault: None,
                        is_amid_body: false,
                    };
                }
                Ok(n) => n_bytes += n,
                Err(fault) => {
                    let is_amid_body = self.is_amid_body();
                    *self = Self::Broken;
                    return Passed {
                        n_bytes,
                        fault: Some(fault),
                        is_amid_body,
                    };
                }
            }
        }
    }

    /// Whether a request is under way: a broken one, or a body that has not come to its end.
    pub(in crate::http) fn is_amid_body(&self) -> bool {
        matches!(self, Self::Body(_) | Self::Chunks(_) | Self::Broken)
    }

    /// Lets as much pass as belongs to what is being read; 0 if that takes more bytes.
    fn step(&mut self, rest: &[u8]) -> Result<usize, Unreadable> {
        if rest.is_empty() {
            return Ok(0);
        }
        match self {
            Self::Opening => {
                let n = rest.len().min(PREFACE.len());
                if rest[..n] != PREFACE[..n] {
                    *self = Self::Head(Head::default());
                } else if n == PREFACE.len() {
                    *self = Self::Http2;
                } else {
                    return Ok(0);
                }
                self.step(rest)
            }
            Self::Head(head) => match head.read(rest)? {
                None => Ok(0),
                Some((n, framing)) => {
                    *self = Self::after_head(framing);
                    Ok(n)
                }
            },
            Self::Body(left) => {
                let n = rest.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
                *left -= n as u64;
                if *left == 0 {
                    *self = Self::Head(Head::default());
                }
                Ok(n)
            }
            Self::Chunks(chunks) => {
                let n = chunks.read(rest)?;
                if chunks.is_over() {
                    *self = Self::Head(Head::default());
                }
                Ok(n)
            }
            Self::Http2 => Ok(rest.len()),
            Self::Broken => Ok(0),
        }
    }

    fn after_head(framing: Framing) -> Self {
        match framing {
            Framing::NoBody => Self::Head(Head::default()),
            Framing::Length(length) => Self::Body(length),
            Framing::Chunked => Self::Chunks(Chunks::default()),
        }
    }
}

/// A body of chunks (RFC 9112 section 7.1), byte by byte but for the chunks' content.
#[derive(Debug, Default)]
pub(in crate::http) struct Chunks {
    place: ChunkPlace,
    /// Size of the chunk being read, or what is left of it.
    size: u64,
    /// Digits or extension bytes of the line being read.
    n_line: usize,
    n_trailers: usize,
    trailer_bytes: usize,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum ChunkPlace {
    #[default]
    Size,
    Extension,
    SizeEnd,
    Content,
    ContentReturn,
    ContentEnd,
    Trailers,
    Over,
}

impl Chunks {
    fn is_over(&self) -> bool {
        self.place == ChunkPlace::Over
    }

    /// Lets bytes pass up to the end of the body. Lines of trailers stay behind until they are
    /// whole.
    fn read(&mut self, bytes: &[u8]) -> Result<usize, Unreadable> {
        let mut n = 0;
        while n < bytes.len() && !self.is_over() {
            match self.part(&bytes[n..]) {
                Ok(0) => break,
                Ok(length) => n += length,
                // What was read before the fault passes; the next call meets the fault again.
                Err(_) if 0 < n => break,
                Err(fault) => return Err(fault),
            }
        }
        Ok(n)
    }

    fn part(&mut self, bytes: &[u8]) -> Result<usize, Unreadable> {
        match self.place {
            ChunkPlace::Content => Ok(self.content(bytes)),
            ChunkPlace::Trailers => self.trailer(bytes),
            _ => self.byte(bytes[0]).map(|()| 1),
        }
    }

    fn content(&mut self, bytes: &[u8]) -> usize {
        let n = bytes
            .len()
            .min(usize::try_from(self.size).unwrap_or(usize::MAX));
        self.size -= n as u64;
        if self.size == 0 {
            self.place = ChunkPlace::ContentReturn;
        }
        n
    }

    fn byte(&mut self, byte: u8) -> Result<(), Unreadable> {
        self.place = match (self.place, byte) {
            (ChunkPlace::Size, b';') if 0 < self.n_line => {
                self.n_line = 0;
                ChunkPlace::Extension
            }
            (ChunkPlace::Size, b'\r') if 0 < self.n_line => ChunkPlace::SizeEnd,
            (ChunkPlace::Size, digit) if self.n_line < SIZE_DIGITS_MAX => {
                let digit = char::from(digit).to_digit(16).ok_or(Unreadable::Chunk)?;
                self.size = self.size << 4 | u64::from(digit);
                self.n_line += 1;
                ChunkPlace::Size
            }
            (ChunkPlace::Extension, b'\r') => ChunkPlace::SizeEnd,
            (ChunkPlace::Extension, other)
                if self.n_line < EXTENSION_BYTES_MAX
                    && (other == b'\t' || !other.is_ascii_control()) =>
            {
                self.n_line += 1;
                ChunkPlace::Extension
            }
            (ChunkPlace::SizeEnd, b'\n') if self.size == 0 => ChunkPlace::Trailers,
            (ChunkPlace::SizeEnd, b'\n') => ChunkPlace::Content,
            (ChunkPlace::ContentReturn, b'\r') => ChunkPlace::ContentEnd,
            (ChunkPlace::ContentEnd, b'\n') => {
                (self.size, self.n_line) = (0, 0);
                ChunkPlace::Size
            }
            _ => return Err(Unreadable::Chunk),
        };
        Ok(())
    }

    /// Bytes of a whole trailer line, or of the empty one that ends the body; 0 if it is not whole.
    fn trailer(&mut self, bytes: &[u8]) -> Result<usize, Unreadable> {
        let Some(end) = bytes.iter().position(|&byte| byte == b'\n') else {
            let is_too_long = HEADER_BYTES_MAX < self.trailer_bytes + bytes.len();
            return if is_too_long {
                Err(Unreadable::HeadersTooLarge)
            } else {
                Ok(0)
            };
        };
        let line = bytes[..end]
            .strip_suffix(b"\r")
            .ok_or(Unreadable::BareLineFeed)?;
        if line.is_empty() {
            self.place = ChunkPlace::Over;
            return Ok(end + 1);
        }
        field(line)?;
        self.n_trailers += 1;
        self.trailer_bytes += end + 1;
        if HEADERS_MAX < self.n_trailers || HEADER_BYTES_MAX < self.trailer_bytes {
            return Err(Unreadable::HeadersTooLarge);
        }
        Ok(end + 1)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HEAD: &str = "POST / HTTP/1.1\r\nHost: a\r\n";

    /// All that passes of `stream`, given piece by piece, and the fault.
    fn run(stream: &[u8], pieces: &[usize]) -> (usize, Option<Unreadable>) {
        let mut scanner = Scanner::Opening;
        let (mut passed, mut come) = (0, 0);
        let mut sizes = pieces.iter().copied().cycle();
        while come < stream.len() {
            come = stream.len().min(come + sizes.next().unwrap_or(1));
            let found = scanner.scan(&stream[passed..come]);
            passed += found.n_bytes;
            if found.fault.is_some() {
                return (passed, found.fault);
            }
        }
        (passed, None)
    }

    #[track_caller]
    fn check(stream: &str, passed: usize, fault: Option<Unreadable>) {
        for pieces in [[usize::MAX].as_slice(), &[1], &[2, 3], &[7]] {
            assert_eq!(
                run(stream.as_bytes(), pieces),
                (passed, fault),
                "{stream:?} by {pieces:?}"
            );
        }
    }

    #[track_caller]
    fn chunked(body: &str, fault: Option<Unreadable>) {
        let head = format!("{HEAD}Transfer-Encoding: chunked\r\n\r\n");
        let stream = format!("{head}{body}");
        let (passed, found) = run(stream.as_bytes(), &[usize::MAX]);
        assert_eq!(found, fault, "{body:?}");
        assert_eq!(
            run(stream.as_bytes(), &[1]),
            (passed, fault),
            "{body:?} byte by byte"
        );
        if fault.is_none() {
            assert_eq!(passed, stream.len(), "{body:?}");
        }
    }

    #[test]
    fn bodies_end_where_their_length_says() {
        let first = format!("{HEAD}Content-Length: 3\r\n\r\nabc");
        let second = format!("{first}GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        check(&second, second.len(), None);
        check(
            &format!("{first}xx\n"),
            first.len(),
            Some(Unreadable::BareLineFeed),
        );
        check(&format!("{first}GET / HTTP/1.1\r\nHo"), first.len(), None);
    }

    #[test]
    fn chunks_are_followed_to_their_end() {
        chunked("3\r\nabc\r\n0\r\n\r\n", None);
        chunked(
            "0003;name=\"v\"\r\nabc\r\nA\r\n0123456789\r\n0\r\n\r\n",
            None,
        );
        chunked(
            "0\r\nX: 1\r\nY: 2\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
            None,
        );
    }

    #[test]
    fn chunks_that_cannot_be_read_end_everything() {
        for body in [
            "g\r\n",
            "\r\n",
            ";x\r\n",
            "3 \r\nabc\r\n",
            "0x3\r\nabc\r\n",
            "-1\r\n",
            "3\nabc\r\n",
            "3\r\nabcd\r\n",
            "3\r\nabc\n0\r\n\r\n",
            "3\rabc",
            "3;\nabc\r\n",
            "3;\0\r\nabc\r\n",
            "1234567890abcdef\r\n",
        ] {
            chunked(body, Some(Unreadable::Chunk));
        }
        chunked(
            &format!("3;{}\r\nabc\r\n0\r\n\r\n", "x".repeat(EXTENSION_BYTES_MAX)),
            None,
        );
        let long = format!("3;{}\r\n", "x".repeat(EXTENSION_BYTES_MAX + 1));
        chunked(&long, Some(Unreadable::Chunk));
        chunked("0\r\nX : 1\r\n\r\n", Some(Unreadable::SpaceBeforeColon));
        chunked("0\r\nX: 1\n\r\n", Some(Unreadable::BareLineFeed));
        chunked(&format!("0\r\n{}\r\n", "X: 1\r\n".repeat(64)), None);
        let many = format!("0\r\n{}", "X: 1\r\n".repeat(65));
        chunked(&many, Some(Unreadable::HeadersTooLarge));
    }

    #[test]
    fn a_preface_opens_http_2() {
        let mut stream = PREFACE.to_vec();
        stream.extend([0, 0, 0, 4, 0, 0, 0, 0, 0, 10, 13]);
        assert_eq!(run(&stream, &[5]), (stream.len(), None));
        check(
            "PRI * HTTP/2.0\r\nHost: a\r\n\r\n",
            0,
            Some(Unreadable::RequestLine),
        );
    }

    proptest! {
        /// However the bytes are cut, the same ones pass, and whatever they are, nothing panics.
        #[test]
        fn pieces_make_no_difference(
            body in prop::collection::vec(prop_oneof![Just(b'\r'), Just(b'\n'), Just(b'0'), any::<u8>()], 0..60),
            pieces in prop::collection::vec(1_usize..9, 1..5),
            framing in prop_oneof![Just("Content-Length: 7"), Just("Transfer-Encoding: chunked")],
        ) {
            let mut stream = format!("{HEAD}{framing}\r\n\r\n").into_bytes();
            stream.extend(body);
            prop_assert_eq!(run(&stream, &pieces), run(&stream, &[usize::MAX]));
        }
    }
}

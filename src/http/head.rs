//! Reads the head of an HTTP/1 request strictly, line by line, before hyper sees it.
//!
//! hyper takes bare line feeds, two equal lengths, and a length beside chunks; another reader in
//! front may not, and where two readers disagree about the end of a request, the bytes in between
//! become a request of their own. So only heads pass here that can be read in one way (RFC 9112):
//! what hyper gets is a subset of what it takes.

use crate::http::problem::Problem;
use crate::http::problem::code::Code;

/// Most bytes of a request's target.
pub(in crate::http) const URI_BYTES_MAX: usize = 8 << 10;

/// Most bytes of all header lines with their ends.
pub(in crate::http) const HEADER_BYTES_MAX: usize = 16 << 10;

/// Most header lines.
pub(in crate::http) const HEADERS_MAX: usize = 64;

/// Most letters of a method.
const METHOD_BYTES_MAX: usize = 32;

/// Bytes of a request line beside its method and target: two spaces and the version.
const REQUEST_LINE_REST: usize = 10;

/// Most digits of a length, so that it always fits into 64 bits.
const LENGTH_DIGITS_MAX: usize = 18;

/// Why a request cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(in crate::http) enum Unreadable {
    /// Not `METHOD target HTTP/1.1`.
    #[error("the request line must be METHOD /path HTTP/1.1")]
    RequestLine,
    /// A line ends with a line feed alone.
    #[error("lines must end with carriage return and line feed")]
    BareLineFeed,
    /// A line continues the one before.
    #[error("a header must not continue on a second line")]
    Folding,
    /// White space between a header's name and its colon.
    #[error("no space may stand before the colon of a header")]
    SpaceBeforeColon,
    /// A header without a name or with a strange one.
    #[error("a header's name may hold letters, digits and hyphens only")]
    HeaderName,
    /// NUL or another control character.
    #[error("a header's value must not hold control characters")]
    HeaderValue,
    /// No host, or two of them.
    #[error("a request names one Host")]
    Host,
    /// A length that is no plain number.
    #[error("Content-Length must be a number")]
    Length,
    /// Two lengths, even if they are equal.
    #[error("a request has one Content-Length")]
    TwoLengths,
    /// A length beside a transfer coding.
    #[error("a request has a Content-Length or a Transfer-Encoding, not both")]
    LengthAndCoding,
    /// Another coding than one `chunked`.
    #[error("the only Transfer-Encoding is one chunked")]
    Coding,
    /// A chunk without a readable size or end.
    #[error("a chunk of the body cannot be read")]
    Chunk,
    /// A longer target than there may be.
    #[error("path and query may have 8192 bytes")]
    UriTooLong,
    /// More headers, or longer ones, than there may be.
    #[error("headers may be 64 in number and have 16384 bytes")]
    HeadersTooLarge,
}

impl Unreadable {
    /// The answer, after which the connection ends.
    pub(in crate::http) fn problem(self) -> Problem {
        let code = match self {
            Self::UriTooLong => Code::UriTooLong,
            Self::HeadersTooLarge => Code::HeadersTooLarge,
            _ => Code::BadHeader,
        };
        Problem::new(code, self.to_string()).closing()
    }
}

/// Where the body of a request ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::http) enum Framing {
    /// There is none.
    NoBody,
    /// After so many bytes; at least one.
    Length(u64),
    /// After its last chunk.
    Chunked,
}

/// A head being read.
#[derive(Debug, Default)]
pub(in crate::http) struct Head {
    /// Bytes looked at so far.
    seen: usize,
    /// Where the line being read begins.
    line_start: usize,
    /// Where the first header begins; 0 until the request line is read.
    headers_start: usize,
    n_headers: usize,
    is_http_10: bool,
    n_hosts: usize,
    length: Option<u64>,
    is_chunked: bool,
}

impl Head {
    /// Goes on with the bytes of the head that have come so far, those of earlier calls included.
    /// `Some` with the head's size and the body's framing once it is whole.
    ///
    /// # Errors
    /// As soon as it cannot be read.
    pub(in crate::http) fn read(
        &mut self,
        bytes: &[u8],
    ) -> Result<Option<(usize, Framing)>, Unreadable> {
        while let Some(length) = bytes[self.seen..].iter().position(|&byte| byte == b'\n') {
            let end = self.seen + length;
            let line = &bytes[self.line_start..end];
            let line = line.strip_suffix(b"\r").ok_or(Unreadable::BareLineFeed)?;
            (self.seen, self.line_start) = (end + 1, end + 1);
            if self.line(line)? {
                return Ok(Some((self.seen, self.framing()?)));
            }
            self.check_size(0)?;
        }
        self.seen = bytes.len();
        // What has begun may be the empty line, which does not count.
        self.check_size(2)?;
        Ok(None)
    }

    /// Reads one line without its end; true if it is the empty one behind the headers.
    fn line(&mut self, line: &[u8]) -> Result<bool, Unreadable> {
        if self.headers_start == 0 {
            // One empty line before the request line is what some clients leave behind a body.
            if !line.is_empty() || 2 < self.seen {
                self.request_line(line)?;
                self.headers_start = self.seen;
            }
            return Ok(false);
        }
        if line.is_empty() {
            return Ok(true);
        }
        self.n_headers += 1;
        let (name, value) = field(line)?;
        self.note(name, value)?;
        Ok(false)
    }

    fn request_line(&mut self, line: &[u8]) -> Result<(), Unreadable> {
        let mut words = line.split(|&byte| byte == b' ');
        let (method, target) = (words.next().unwrap_or(b""), words.next().unwrap_or(b""));
        let version = words.next().unwrap_or(b"");
        if URI_BYTES_MAX < target.len() {
            return Err(Unreadable::UriTooLong);
        }
        let is_method = (1..=METHOD_BYTES_MAX).contains(&method.len())
            && method.iter().all(|&byte| is_name_byte(byte));
        self.is_http_10 = version == b"HTTP/1.0";
        let is_version = self.is_http_10 || version == b"HTTP/1.1";
        if is_method && is_version && words.next().is_none() && is_target(target) {
            Ok(())
        } else {
            Err(Unreadable::RequestLine)
        }
    }

    /// Keeps what says where the request ends.
    fn note(&mut self, name: &[u8], value: &[u8]) -> Result<(), Unreadable> {
        if name.eq_ignore_ascii_case(b"content-length") {
            if self.length.is_some() {
                return Err(Unreadable::TwoLengths);
            }
            self.length = Some(length(value)?);
        } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
            if self.is_chunked || !value.eq_ignore_ascii_case(b"chunked") {
                return Err(Unreadable::Coding);
            }
            self.is_chunked = true;
        } else if name.eq_ignore_ascii_case(b"host") {
            self.n_hosts += 1;
        }
        Ok(())
    }

    fn framing(&self) -> Result<Framing, Unreadable> {
        let hosts_min = usize::from(!self.is_http_10);
        match (self.length, self.is_chunked) {
            _ if self.n_hosts < hosts_min || 1 < self.n_hosts => Err(Unreadable::Host),
            (Some(_), true) => Err(Unreadable::LengthAndCoding),
            (None, true) if self.is_http_10 => Err(Unreadable::Coding),
            (None, true) => Ok(Framing::Chunked),
            (Some(0) | None, false) => Ok(Framing::NoBody),
            (Some(length), false) => Ok(Framing::Length(length)),
        }
    }

    /// Stops a head that is too long already, whatever may follow; `slack` bytes do not count.
    fn check_size(&self, slack: usize) -> Result<(), Unreadable> {
        if self.headers_start == 0 {
            let max = METHOD_BYTES_MAX + URI_BYTES_MAX + REQUEST_LINE_REST + 2;
            return if max < self.seen - self.line_start {
                Err(Unreadable::UriTooLong)
            } else {
                Ok(())
            };
        }
        if HEADERS_MAX < self.n_headers || HEADER_BYTES_MAX + slack < self.seen - self.headers_start
        {
            return Err(Unreadable::HeadersTooLarge);
        }
        Ok(())
    }
}

/// Name and trimmed value of a header line.
pub(in crate::http) fn field(line: &[u8]) -> Result<(&[u8], &[u8]), Unreadable> {
    if line.starts_with(b" ") || line.starts_with(b"\t") {
        return Err(Unreadable::Folding);
    }
    let colon = line
        .iter()
        .position(|&byte| byte == b':')
        .ok_or(Unreadable::HeaderName)?;
    let (name, value) = (&line[..colon], &line[colon + 1..]);
    if name.ends_with(b" ") || name.ends_with(b"\t") {
        return Err(Unreadable::SpaceBeforeColon);
    }
    if name.is_empty() || !name.iter().all(|&byte| is_name_byte(byte)) {
        return Err(Unreadable::HeaderName);
    }
    if value
        .iter()
        .any(|&byte| byte.is_ascii_control() && byte != b'\t')
    {
        return Err(Unreadable::HeaderValue);
    }
    Ok((name, value.trim_ascii()))
}

fn length(value: &[u8]) -> Result<u64, Unreadable> {
    let is_number =
        (1..=LENGTH_DIGITS_MAX).contains(&value.len()) && value.iter().all(u8::is_ascii_digit);
    if !is_number {
        return Err(Unreadable::Length);
    }
    let digits = value.iter().map(|&digit| u64::from(digit - b'0'));
    Ok(digits.fold(0, |number, digit| number * 10 + digit))
}

/// Bytes of tokens (RFC 9110 section 5.6.2): methods and names of headers.
fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// A path with its query, the asterisk, or an absolute form; what else hyper takes is refused.
fn is_target(target: &[u8]) -> bool {
    match target {
        [b'/', ..] => target.iter().all(|&byte| is_target_byte(byte)),
        b"*" => true,
        _ => hyper::Uri::try_from(target)
            .is_ok_and(|uri| uri.scheme().is_some() && uri.path().starts_with('/')),
    }
}

/// Printable ASCII without what no path or query may hold unencoded. Braces and bars are let through
/// as hyper does, since browsers send them.
fn is_target_byte(byte: u8) -> bool {
    byte.is_ascii_graphic() && !b"\"#<>\\^`".contains(&byte)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(bytes: &[u8]) -> Result<Option<(usize, Framing)>, Unreadable> {
        Head::default().read(bytes)
    }

    #[track_caller]
    fn check(head: &str, expected: Result<Framing, Unreadable>) {
        let expected = expected.map(|framing| Some((head.len(), framing)));
        assert_eq!(read(head.as_bytes()), expected, "{head:?}");
        // The same whatever pieces it comes in.
        let mut piecewise = Head::default();
        let mut last = Ok(None);
        for end in 0..=head.len() {
            last = piecewise.read(&head.as_bytes()[..end]);
            if last != Ok(None) {
                break;
            }
        }
        assert_eq!(last, expected, "{head:?} in pieces");
    }

    #[track_caller]
    fn with(headers: &str, expected: Result<Framing, Unreadable>) {
        check(
            &format!("POST /v1/events HTTP/1.1\r\nHost: a\r\n{headers}\r\n"),
            expected,
        );
    }

    #[test]
    fn ordinary_heads_pass() {
        check("GET / HTTP/1.1\r\nHost: a\r\n\r\n", Ok(Framing::NoBody));
        check("GET / HTTP/1.0\r\n\r\n", Ok(Framing::NoBody));
        check(
            "\r\nGET /a?b=%20c{|} HTTP/1.1\r\nhost:a\r\n\r\n",
            Ok(Framing::NoBody),
        );
        check("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", Ok(Framing::NoBody));
        check(
            "GET http://a/b HTTP/1.1\r\nHost: a\r\n\r\n",
            Ok(Framing::NoBody),
        );
        with("Content-Length: 0\r\n", Ok(Framing::NoBody));
        with("content-length:\t12 \r\n", Ok(Framing::Length(12)));
        with("Transfer-Encoding: Chunked\r\n", Ok(Framing::Chunked));
        with("X-Name: caf\u{e9}\tau lait\r\n", Ok(Framing::NoBody));
    }

    #[test]
    fn what_two_readers_could_read_differently_is_refused() {
        with(
            "Content-Length: 5\r\nContent-Length: 5\r\n",
            Err(Unreadable::TwoLengths),
        );
        with(
            "Content-Length: 5\r\ncontent-length: 6\r\n",
            Err(Unreadable::TwoLengths),
        );
        with("Content-Length: 5, 5\r\n", Err(Unreadable::Length));
        with("Content-Length: +5\r\n", Err(Unreadable::Length));
        with("Content-Length: 0x5\r\n", Err(Unreadable::Length));
        with("Content-Length:\r\n", Err(Unreadable::Length));
        with(
            "Content-Length: 9999999999999999999\r\n",
            Err(Unreadable::Length),
        );
        let both = Err(Unreadable::LengthAndCoding);
        with("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", both);
        with("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", both);
        for coding in [
            "gzip",
            "gzip, chunked",
            "chunked, chunked",
            "identity",
            "xchunked",
            "",
        ] {
            with(
                &format!("Transfer-Encoding: {coding}\r\n"),
                Err(Unreadable::Coding),
            );
        }
        let twice = "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n";
        with(twice, Err(Unreadable::Coding));
        let old = "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n";
        check(old, Err(Unreadable::Coding));
    }

    #[test]
    fn malformed_lines_are_refused() {
        with("X: 1\r\n 2\r\n", Err(Unreadable::Folding));
        with("X: 1\r\n\t2\r\n", Err(Unreadable::Folding));
        with("X : 1\r\n", Err(Unreadable::SpaceBeforeColon));
        with("X: 1\nY: 2\r\n", Err(Unreadable::BareLineFeed));
        with("X: 1\0\r\n", Err(Unreadable::HeaderValue));
        with("X: 1\rY: 2\r\n", Err(Unreadable::HeaderValue));
        with("X: \u{7f}\r\n", Err(Unreadable::HeaderValue));
        with("X(: 1\r\n", Err(Unreadable::HeaderName));
        with(": 1\r\n", Err(Unreadable::HeaderName));
        with("X\r\n", Err(Unreadable::HeaderName));
        with("Host: b\r\n", Err(Unreadable::Host));
        check("GET / HTTP/1.1\r\n\r\n", Err(Unreadable::Host));
        for line in [
            "GET /",
            "GET  / HTTP/1.1",
            "GET / HTTP/1.1 ",
            "GET / HTTP/2.0",
            "GET / http/1.1",
            "G(T / HTTP/1.1",
            "GET a HTTP/1.1",
            "GET /\u{e9} HTTP/1.1",
            "GET /a\0 HTTP/1.1",
            "GET /a#b HTTP/1.1",
            " GET / HTTP/1.1",
            "GET\t/\tHTTP/1.1",
            "CONNECT a:1 HTTP/1.1",
        ] {
            check(
                &format!("{line}\r\nHost: a\r\n\r\n"),
                Err(Unreadable::RequestLine),
            );
        }
        check(
            "\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
            Err(Unreadable::RequestLine),
        );
        check("GET / HTTP/1.1\nHost: a\n\n", Err(Unreadable::BareLineFeed));
    }

    #[test]
    fn sizes_are_bounded_at_their_limit_and_not_before() {
        let uri = |n: usize| format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "x".repeat(n - 1));
        check(&uri(URI_BYTES_MAX), Ok(Framing::NoBody));
        check(&uri(URI_BYTES_MAX + 1), Err(Unreadable::UriTooLong));
        let endless = format!("GET /{}", "x".repeat(9_000));
        assert_eq!(read(endless.as_bytes()), Err(Unreadable::UriTooLong));
        let headers = |n: usize| {
            format!(
                "GET / HTTP/1.1\r\nHost: a\r\n{}\r\n",
                "X: 1\r\n".repeat(n - 1)
            )
        };
        check(&headers(HEADERS_MAX), Ok(Framing::NoBody));
        check(&headers(HEADERS_MAX + 1), Err(Unreadable::HeadersTooLarge));
        // "Host: a" and its end are 9 bytes, "X: " with its end are 5.
        let long = |n: usize| {
            format!(
                "GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n",
                "x".repeat(n - 14)
            )
        };
        check(&long(HEADER_BYTES_MAX), Ok(Framing::NoBody));
        check(
            &long(HEADER_BYTES_MAX + 1),
            Err(Unreadable::HeadersTooLarge),
        );
    }

    proptest! {
        /// hyper answers what it cannot parse without a problem document, so nothing may pass here
        /// that it refuses.
        #[test]
        fn targets_that_pass_are_targets_to_hyper(target in "/[ -~]{0,40}|[ -~]{1,40}") {
            if is_target(target.as_bytes()) {
                prop_assert!(hyper::Uri::try_from(target.as_bytes()).is_ok());
            }
        }
    }
}

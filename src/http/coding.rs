//! Which packing an answer gets.

use hyper::header::{self, HeaderMap, HeaderValue};

use crate::http::problem::Problem;
use crate::http::problem::code::Code;

/// Packings of answers, the cheapest for what it saves first.
const CODINGS: [&str; 3] = ["zstd", "br", "gzip"];

/// Leaves of `Accept-Encoding` the one packing that the answer shall have, or nothing if it stays
/// as it is. What packs the answers would otherwise find out about an impossible wish only after
/// the request was handled.
///
/// # Errors
/// `not-acceptable` if neither one of ours nor a plain answer will do.
pub(in crate::http) fn choose_coding(headers: &mut HeaderMap) -> Result<(), Problem> {
    if !headers.contains_key(header::ACCEPT_ENCODING) {
        return Ok(());
    }
    let chosen = chosen(headers);
    match chosen {
        Some("identity") => {
            headers.remove(header::ACCEPT_ENCODING);
            Ok(())
        }
        Some(coding) => {
            headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static(coding));
            Ok(())
        }
        None => {
            let detail = "answers are plain or packed with zstd, br or gzip";
            Err(Problem::new(Code::NotAcceptable, detail))
        }
    }
}

/// The coding of greatest weight (RFC 9110 section 12.5.3); among equals ours come first.
fn chosen(headers: &HeaderMap) -> Option<&'static str> {
    let mut best = None;
    let mut best_weight = 0;
    for coding in CODINGS {
        let weight = weight(headers, coding)
            .or_else(|| weight(headers, "*"))
            .unwrap_or(0);
        if best_weight < weight {
            (best, best_weight) = (Some(coding), weight);
        }
    }
    let plain = weight(headers, "identity");
    match plain.or_else(|| weight(headers, "*")) {
        Some(plain_weight) if plain_weight <= best_weight => best,
        Some(0) => None,
        None if best.is_some() => best,
        _ => Some("identity"),
    }
}

/// Weight of a coding in thousandths; `None` if it is not named.
fn weight(headers: &HeaderMap, coding: &str) -> Option<u32> {
    let lines = headers.get_all(header::ACCEPT_ENCODING).iter();
    let words = lines
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(','));
    for word in words {
        let (name, rest) = word.split_once(';').unwrap_or((word, ""));
        if name.trim().eq_ignore_ascii_case(coding) {
            let text = rest
                .trim()
                .strip_prefix("q=")
                .or_else(|| rest.trim().strip_prefix("Q="));
            return Some(text.map_or(1_000, thousandths));
        }
    }
    None
}

/// `0.5` as 500; what is no weight counts as none.
fn thousandths(text: &str) -> u32 {
    let (whole, rest) = text.split_once('.').unwrap_or((text, ""));
    let digits = rest.bytes().chain(std::iter::repeat(b'0')).take(3);
    let mut digits = digits.map(|byte| char::from(byte).to_digit(10));
    let fraction = digits.try_fold(0, |sum, digit| Some(sum * 10 + digit?));
    match (whole, fraction) {
        ("0", Some(fraction)) => fraction,
        ("1", Some(0)) => 1_000,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(accepted: &str, expected: Result<Option<&str>, Code>) {
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT_ENCODING, accepted.parse().unwrap());
        let chosen = choose_coding(&mut headers).map_err(|problem| problem.code());
        let left = headers
            .get(header::ACCEPT_ENCODING)
            .map(|value| value.to_str().unwrap());
        assert_eq!(chosen.map(|()| left), expected, "{accepted:?}");
    }

    #[test]
    fn the_heaviest_coding_is_chosen() {
        check("gzip", Ok(Some("gzip")));
        check("gzip, deflate, br, zstd", Ok(Some("zstd")));
        check("gzip;q=1.0, br;q=0.5", Ok(Some("gzip")));
        check("br;q=0.001, identity;q=0", Ok(Some("br")));
        check("*", Ok(Some("zstd")));
        check("*;q=0.5, gzip;q=0.6", Ok(Some("gzip")));
        check("gzip;q=0.5, identity", Ok(None));
        check("deflate", Ok(None));
        check("gzip;q=0", Ok(None));
        check("", Ok(None));
        check("gzip;q=2, br;q=x", Ok(None));
    }

    #[test]
    fn an_impossible_wish_is_refused() {
        check("identity;q=0", Err(Code::NotAcceptable));
        check("*;q=0", Err(Code::NotAcceptable));
        check("gzip;q=0, *;q=0", Err(Code::NotAcceptable));
        check("deflate, identity;q=0", Err(Code::NotAcceptable));
        check("*;q=0, identity;q=0.1", Ok(None));
    }
}

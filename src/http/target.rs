//! Paths as they were sent, and queries as pairs.
//!
//! A path is matched byte for byte and never cleaned up, so one that another reader could clean up
//! into a different one names nothing: it is not found.

use std::borrow::Cow;

/// Whether a path can name something: it begins with a slash, its escapes are UTF-8, and none of
/// its segments is empty, `.` or `..`, or holds a slash or NUL in disguise.
pub(in crate::http) fn is_plain_path(path: &str) -> bool {
    let Some(rest) = path.strip_prefix('/') else {
        return false;
    };
    if !path.contains(['%', '.']) && !path.contains("//") {
        return true;
    }
    let mut segments = rest.split('/').peekable();
    while let Some(segment) = segments.next() {
        // An empty last one is the slash at the end; such a path is a name of its own.
        let is_last = segments.peek().is_none();
        if segment.is_empty() && !is_last || !is_plain_segment(segment) {
            return false;
        }
    }
    true
}

fn is_plain_segment(segment: &str) -> bool {
    match decoded(segment, Plus::IsPlus) {
        Some(name) => !matches!(&*name, "." | "..") && !name.contains(['/', '\0']),
        None => false,
    }
}

/// Names and values of a query, decoded as forms are (`+` is a space), in their order. `None` if
/// they are no percent-encoded UTF-8.
pub(in crate::http) fn pairs(query: &str) -> Option<Vec<(String, String)>> {
    let decode = |text| decoded(text, Plus::IsSpace).map(Cow::into_owned);
    let words = query.split('&').filter(|word| !word.is_empty());
    let pairs = words.map(|word| {
        let (name, value) = word.split_once('=').unwrap_or((word, ""));
        Some((decode(name)?, decode(value)?))
    });
    pairs.collect()
}

/// What a plus stands for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Plus {
    IsPlus,
    IsSpace,
}

/// Text without its escapes; `None` if one is no two hexadecimal digits, or all are no UTF-8.
fn decoded(text: &str, plus: Plus) -> Option<Cow<'_, str>> {
    let is_space = |byte: u8| byte == b'+' && plus == Plus::IsSpace;
    if !text.bytes().any(|byte| byte == b'%' || is_space(byte)) {
        return Some(Cow::Borrowed(text));
    }
    let mut bytes = text.bytes();
    let mut out = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        out.push(match byte {
            b'%' => digit(bytes.next()?)? << 4 | digit(bytes.next()?)?,
            byte if is_space(byte) => b' ',
            byte => byte,
        });
    }
    String::from_utf8(out).ok().map(Cow::Owned)
}

fn digit(byte: u8) -> Option<u8> {
    char::from(byte)
        .to_digit(16)
        .and_then(|digit| u8::try_from(digit).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_that_could_be_cleaned_up_name_nothing() {
        for path in [
            "/",
            "/v1/markets/se/rank",
            "/v1/a.b/..c",
            "/a/",
            "/v1/caf%C3%A9",
            "/a%20b",
        ] {
            assert!(is_plain_path(path), "{path}");
        }
        for path in [
            "",
            "*",
            "v1",
            "//",
            "/a//b",
            "/a/../b",
            "/a/..",
            "/./a",
            "/%2e%2e/a",
            "/.%2E/a",
            "/a%2fb",
            "/a%2Fb",
            "/a%00",
            "/%",
            "/%2",
            "/%zz",
            "/%ff",
            "/a//",
        ] {
            assert!(!is_plain_path(path), "{path}");
        }
    }

    #[track_caller]
    fn check(query: &str, expected: Option<&[(&str, &str)]>) {
        let owned = |pair: &(&str, &str)| (pair.0.to_owned(), pair.1.to_owned());
        let expected = expected.map(|pairs| pairs.iter().map(owned).collect::<Vec<_>>());
        assert_eq!(pairs(query), expected, "{query}");
    }

    #[test]
    fn queries_are_pairs() {
        check("", Some(&[]));
        check("a=1&b=2&a=3", Some(&[("a", "1"), ("b", "2"), ("a", "3")]));
        check(
            "q=red+shoes%26more&x",
            Some(&[("q", "red shoes&more"), ("x", "")]),
        );
        check("f.brand=Fj%C3%A4ll&&", Some(&[("f.brand", "Fjäll")]));
        check("a=b=c", Some(&[("a", "b=c")]));
        check("a=%f", None);
        check("%ff=1", None);
    }
}

//! Under which names this server may be addressed.
//!
//! A key is sent by whoever means to; a cookie goes along by itself. A page elsewhere whose name is
//! made to point here (DNS rebinding) could so have a browser ask with the session of whoever looks
//! at it. Such a request names that page's host, so what comes with a session's cookie must name
//! one of ours. An address in digits is nobody's name, and `localhost` always means this machine.

use std::net::IpAddr;

use hyper::header::{self, HeaderMap, HeaderValue};
use hyper::{Request, Uri};

use crate::domain::complaint::Fault;

/// The cookie of console sessions.
const SESSION_COOKIE: &str = "endcap_session";

/// Where shops reach the server: scheme, host and port, without a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicUrl {
    text: String,
    authority: String,
}

impl PublicUrl {
    /// Reads `http://` or `https://` with a host, and a port if it is not the scheme's own.
    ///
    /// # Errors
    /// `bad-format`.
    pub fn parse(text: &str) -> Result<Self, Fault> {
        let expected = "http:// or https:// and a host, such as https://endcap.shop.example";
        let bad = || Fault::bad_format(expected, text);
        let uri: Uri = text.parse().map_err(|_| bad())?;
        let scheme = uri.scheme_str().unwrap_or_default();
        let authority = uri.authority().ok_or_else(bad)?.as_str();
        let is_bare = uri.path() == "/" && uri.query().is_none() && !text.contains('#');
        let is_web = ["http", "https"].contains(&scheme);
        if !is_bare || !is_web || authority.contains('@') {
            return Err(bad());
        }
        let authority = without_own_port(authority, scheme).to_ascii_lowercase();
        Ok(Self {
            text: format!("{scheme}://{authority}"),
            authority,
        })
    }

    /// Without a slash at the end.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

/// A port that the scheme has anyway is not sent.
fn without_own_port<'a>(authority: &'a str, scheme: &str) -> &'a str {
    let own = if scheme == "https" { ":443" } else { ":80" };
    authority.strip_suffix(own).unwrap_or(authority)
}

/// Whether a request that comes with a session's cookie addresses this server by another name than
/// its own. The target's authority counts like the header: whichever is there must be ours.
pub(in crate::http) fn is_foreign<B>(request: &Request<B>, public: Option<&PublicUrl>) -> bool {
    if !has_session(request.headers()) {
        return false;
    }
    let target = request.uri().authority().map(|own| own.as_str().as_bytes());
    let hosts = request.headers().get_all(header::HOST);
    let mut named = target
        .into_iter()
        .chain(hosts.iter().map(HeaderValue::as_bytes));
    !named.all(|name| std::str::from_utf8(name).is_ok_and(|name| is_ours(name, public)))
}

fn is_ours(name: &str, public: Option<&PublicUrl>) -> bool {
    let name = name.to_ascii_lowercase();
    let host = match name.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        _ => &name,
    };
    let bare = host.strip_prefix('[').and_then(|own| own.strip_suffix(']'));
    let is_public = |own: &PublicUrl| {
        let scheme = own.text.split("://").next().unwrap_or_default();
        own.authority == without_own_port(&name, scheme)
    };
    host == "localhost"
        || bare.unwrap_or(host).parse::<IpAddr>().is_ok()
        || public.is_some_and(is_public)
}

fn has_session(headers: &HeaderMap) -> bool {
    let cookies = headers.get_all(header::COOKIE).into_iter();
    let mut pairs = cookies.flat_map(|line| line.as_bytes().split(|&byte| byte == b';'));
    pairs.any(|pair| {
        let name = pair.split(|&byte| byte == b'=').next().unwrap_or_default();
        name.trim_ascii() == SESSION_COOKIE.as_bytes()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_url(text: &str, expected: Option<&str>) {
        let read = PublicUrl::parse(text).ok();
        assert_eq!(read.as_ref().map(PublicUrl::as_str), expected, "{text}");
    }

    #[test]
    fn a_public_url_is_scheme_and_host() {
        check_url("https://shop.example", Some("https://shop.example"));
        check_url("https://Shop.example:443/", Some("https://shop.example"));
        check_url("https://shop.example:80", Some("https://shop.example:80"));
        check_url("http://[::1]:7700", Some("http://[::1]:7700"));
        for odd in [
            "shop.example",
            "ftp://shop.example",
            "https://",
            "https://shop.example/endcap",
            "https://shop.example?a",
            "https://shop.example/#a",
            "https://ada@shop.example",
            "/",
            "",
        ] {
            check_url(odd, None);
        }
    }

    #[track_caller]
    fn check(target: &str, host: &str, cookie: &str, foreign: bool) {
        let request = Request::get(target)
            .header("host", host)
            .header("cookie", cookie)
            .body(())
            .unwrap();
        let public = PublicUrl::parse("https://shop.example").unwrap();
        assert_eq!(is_foreign(&request, Some(&public)), foreign, "{host}");
    }

    #[test]
    fn sessions_come_to_names_of_our_own() {
        let session = "a=b; endcap_session=x";
        for host in [
            "shop.example",
            "SHOP.example:443",
            "localhost:7700",
            "127.0.0.1:7700",
            "[::1]:7700",
            "10.1.2.3",
        ] {
            check("/", host, session, false);
        }
        for host in [
            "evil.example",
            "shop.example.evil.example",
            "shop.example:80",
            "localhost.evil.example:7700",
            "127.0.0.1.evil.example",
            "",
        ] {
            check("/", host, session, true);
            check("/", host, "endcap_sessions=x; b=endcap_session", false);
        }
        check("http://evil.example/", "shop.example", session, true);
        check("https://shop.example/", "shop.example", session, false);
    }
}

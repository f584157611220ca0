//! Who calls: the address at the other end, or the one that trusted proxies vouch for.

use std::net::{IpAddr, SocketAddr};

use hyper::HeaderMap;

/// What proxies add to.
const FORWARDED_FOR: &str = "x-forwarded-for";

/// The client's address: the peer's, or, if the peer is a trusted proxy, the right-most address in
/// `X-Forwarded-For` that is none.
///
/// Whatever stands further left was written by somebody nobody trusts. A word that is no address
/// ends the reading at the proxy that passed it on.
pub(in crate::http) fn client_address(
    peer: IpAddr,
    headers: &HeaderMap,
    trusted: &[IpAddr],
) -> IpAddr {
    let mut client = peer;
    if trusted.is_empty() {
        return client;
    }
    let lines = headers.get_all(FORWARDED_FOR).into_iter().rev();
    let words = lines.flat_map(|line| line.as_bytes().rsplit(|&byte| byte == b','));
    for word in words {
        if !trusted.contains(&client) {
            break;
        }
        match parse(word) {
            Some(address) => client = address,
            None => break,
        }
    }
    client
}

/// An address with or without a port; IPv4 in IPv6 is IPv4.
fn parse(word: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(word.trim_ascii()).ok()?;
    let bare = text
        .strip_prefix('[')
        .and_then(|text| text.strip_suffix(']'))
        .unwrap_or(text);
    let address = bare.parse::<IpAddr>().ok();
    let address = address.or_else(|| Some(text.parse::<SocketAddr>().ok()?.ip()));
    address.map(|address| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(peer: &str, lines: &[&str], expected: &str) {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(FORWARDED_FOR, line.parse().unwrap());
        }
        let trusted = ["10.0.0.1", "10.0.0.2", "::1"].map(|text| text.parse().unwrap());
        let found = client_address(peer.parse().unwrap(), &headers, &trusted);
        assert_eq!(found, expected.parse::<IpAddr>().unwrap(), "{lines:?}");
    }

    #[test]
    fn only_trusted_proxies_are_believed() {
        check("192.0.2.1", &["198.51.100.1"], "192.0.2.1");
        check("10.0.0.1", &[], "10.0.0.1");
        check("10.0.0.1", &["198.51.100.1"], "198.51.100.1");
        check("10.0.0.1", &["203.0.113.9, 198.51.100.1"], "198.51.100.1");
        check(
            "10.0.0.1",
            &["203.0.113.9, 198.51.100.1 ,10.0.0.2"],
            "198.51.100.1",
        );
        check(
            "10.0.0.1",
            &["203.0.113.9", "198.51.100.1", "10.0.0.2"],
            "198.51.100.1",
        );
        check("10.0.0.1", &["10.0.0.2"], "10.0.0.2");
    }

    #[test]
    fn words_that_are_no_address_end_the_reading() {
        check("10.0.0.1", &["198.51.100.1, unknown"], "10.0.0.1");
        check("10.0.0.1", &["198.51.100.1, unknown, 10.0.0.2"], "10.0.0.2");
        check("10.0.0.1", &[""], "10.0.0.1");
    }

    #[test]
    fn ports_brackets_and_mapped_addresses_are_read() {
        check("::1", &["198.51.100.1:8080"], "198.51.100.1");
        check("::1", &["[2001:db8::1]:8080"], "2001:db8::1");
        check("::1", &["[2001:db8::1]"], "2001:db8::1");
        check("::1", &["::ffff:198.51.100.1"], "198.51.100.1");
    }
}

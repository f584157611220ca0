//! Writes JSON straight into a buffer, for answers too frequent to build a tree of values first.

/// Appends `text` as a JSON string (RFC 8259 section 7).
///
/// Copies runs of plain bytes at once; only quotes, backslashes and control characters are
/// escaped, so other text stays UTF-8.
pub(crate) fn string(out: &mut Vec<u8>, text: &str) {
    Plain::new(text).write(out);
}

/// A text and whether it can be written as it is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plain<'a> {
    text: &'a str,
    is_plain: bool,
}

impl<'a> Plain<'a> {
    /// Reads the text once.
    pub(crate) fn new(text: &'a str) -> Self {
        let specials = text.bytes().fold(false, |any, byte| any | is_special(byte));
        Self {
            text,
            is_plain: !specials,
        }
    }

    /// The text.
    pub(crate) fn text(&self) -> &'a str {
        self.text
    }

    /// Appends it as [`string`] does.
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        let bytes = self.text.as_bytes();
        out.push(b'"');
        if self.is_plain {
            out.extend_from_slice(bytes);
        } else {
            escaped(bytes, out);
        }
        out.push(b'"');
    }
}

#[expect(
    clippy::needless_bitwise_bool,
    reason = "short cuts would keep the loop over it from becoming vector comparisons"
)]
fn is_special(byte: u8) -> bool {
    (byte < b' ') | (byte == b'"') | (byte == b'\\')
}

fn escaped(bytes: &[u8], out: &mut Vec<u8>) {
    let mut from = 0;
    for (at, &byte) in bytes.iter().enumerate() {
        if is_special(byte) {
            out.extend_from_slice(&bytes[from..at]);
            escape(out, byte);
            from = at + 1;
        }
    }
    out.extend_from_slice(&bytes[from..]);
}

fn escape(out: &mut Vec<u8>, byte: u8) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    match byte {
        b'"' => out.extend_from_slice(b"\\\""),
        b'\\' => out.extend_from_slice(b"\\\\"),
        b'\n' => out.extend_from_slice(b"\\n"),
        b'\r' => out.extend_from_slice(b"\\r"),
        b'\t' => out.extend_from_slice(b"\\t"),
        other => {
            out.extend_from_slice(b"\\u00");
            out.push(HEX[usize::from(other >> 4)]);
            out.push(HEX[usize::from(other & 15)]);
        }
    }
}

/// Appends a whole number.
pub(crate) fn integer(out: &mut Vec<u8>, number: impl itoa::Integer) {
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

/// Appends `"name":`, with a comma before it unless an object or list has just begun.
pub(crate) fn name(out: &mut Vec<u8>, name: &str) {
    comma(out);
    string(out, name);
    out.push(b':');
}

/// Appends a comma unless an object or list has just begun.
pub(crate) fn comma(out: &mut Vec<u8>) {
    if !matches!(out.last(), None | Some(b'{' | b'[')) {
        out.push(b',');
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn strings_read_back_as_they_were(text in any::<String>()) {
            let mut out = Vec::new();
            string(&mut out, &text);
            prop_assert_eq!(serde_json::from_slice::<String>(&out).unwrap(), text);
        }
    }

    #[test]
    fn commas_stand_between() {
        let mut out = b"{".to_vec();
        for number in [1, 20] {
            name(&mut out, &format!("n{number}"));
            integer(&mut out, number);
        }
        out.push(b'}');
        assert_eq!(out, br#"{"n1":1,"n20":20}"#);
    }
}

//! Source text as code: comments, strings and what only tests see are blanked.

/// Ends each line that only tests see.
const UNSEEN: char = '\0';

/// The code of a source, line by line where it was.
pub(crate) fn code_of(source: &str) -> String {
    let mut code = blank_words(source);
    while let Some(start) = code.find("#[cfg(test)]") {
        let end = start + item_end(&code[start..]);
        let lines = code[start..end].matches('\n').count();
        code.replace_range(start..end, &format!("{UNSEEN}\n").repeat(lines));
    }
    code
}

/// Number of lines that the product is made of.
pub(crate) fn n_lines(code: &str) -> usize {
    code.lines().filter(|line| !line.ends_with(UNSEEN)).count()
}

/// Length of the item at the start of `code`: up to its semicolon or its closing brace.
fn item_end(code: &str) -> usize {
    let mut depth = 0;
    for (at, c) in code.char_indices() {
        match c {
            ';' if depth == 0 => return at + 1,
            '{' => depth += 1,
            '}' if depth == 1 => return at + 1,
            '}' => depth -= 1,
            _ => {}
        }
    }
    code.len()
}

/// The source without comments, strings and characters; line breaks stay.
pub(crate) fn blank_words(source: &str) -> String {
    let mut code = String::with_capacity(source.len());
    let mut rest = source;
    while let Some(c) = rest.chars().next() {
        let silent = silent_start(rest);
        if silent == 0 {
            code.push(c);
            rest = &rest[c.len_utf8()..];
        } else {
            code.push(' ');
            code.extend(rest[..silent].chars().filter(|&c| c == '\n'));
            rest = &rest[silent..];
        }
    }
    code
}

/// Length of the comment, string or character at the start of `rest`, 0 if there is none.
fn silent_start(rest: &str) -> usize {
    let up_to = |from: usize, end: &str| {
        let found = rest[from..].find(end);
        found.map_or(rest.len(), |at| from + at + end.len())
    };
    let hashes = rest.bytes().skip(1).take_while(|&b| b == b'#').count();
    match rest.as_bytes() {
        [b'/', b'/', ..] => rest.find('\n').unwrap_or(rest.len()),
        [b'/', b'*', ..] => up_to(2, "*/"),
        [b'r', ..] if rest[1 + hashes..].starts_with('"') => {
            up_to(2 + hashes, &format!("\"{}", "#".repeat(hashes)))
        }
        [b'"', ..] => string_len(rest),
        [b'\'', b'\\', ..] => up_to(3, "'"),
        [b'\'', ..] => char_len(rest),
        _ => 0,
    }
}

fn string_len(rest: &str) -> usize {
    let mut escaped = false;
    for (at, byte) in rest.bytes().enumerate().skip(1) {
        if byte == b'"' && !escaped {
            return at + 1;
        }
        escaped = byte == b'\\' && !escaped;
    }
    rest.len()
}

/// Length of a character; 0 for a lifetime or a label.
fn char_len(rest: &str) -> usize {
    let mut chars = rest.char_indices().skip(2);
    match chars.next() {
        Some((at, '\'')) => at + 1,
        _ => 0,
    }
}

/// Offsets of `word` where it is not part of a longer one.
pub(crate) fn hits<'a>(code: &'a str, word: &'a str) -> impl Iterator<Item = usize> + 'a {
    let joins = |inner: Option<char>, outer: Option<char>| {
        inner.is_some_and(is_word) && outer.is_some_and(is_word)
    };
    code.match_indices(word)
        .map(|(at, _)| at)
        .filter(move |&at| {
            !joins(word.chars().next(), code[..at].chars().next_back())
                && !joins(
                    word.chars().next_back(),
                    code[at + word.len()..].chars().next(),
                )
        })
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// The word at the start of `code`, empty if there is none.
pub(crate) fn first_word(code: &str) -> &str {
    &code[..code.find(|c| !is_word(c)).unwrap_or(code.len())]
}

/// Line of an offset, counted from 1.
pub(crate) fn line_of(code: &str, at: usize) -> usize {
    1 + code[..at].matches('\n').count()
}

//! Rust source as tokens, with its comments set aside by line.
//!
//! Promise: nothing inside a comment, a string or a character literal passes for code, nor the other way round. Gives
//! up: macros are read as written, not expanded.

use std::ops::Range;

/// A piece of code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Token<'a> {
    /// A word, a number, one of `::`, `=>`, `&&`, or a single character.
    pub(crate) text: &'a str,
    /// The line it is on, from zero.
    pub(crate) line: usize,
    /// Where it starts, in bytes.
    pub(crate) at: usize,
}

/// A file, taken apart.
#[derive(Debug)]
pub(crate) struct Source<'a> {
    /// The whole text.
    pub(crate) text: &'a str,
    /// The code.
    pub(crate) tokens: Vec<Token<'a>>,
    /// For each line, the comments on it.
    pub(crate) comments: Vec<String>,
}

fn is_word(byte: u8) -> bool {
    byte == b'_' || byte.is_ascii_alphanumeric() || byte >= 0x80
}

/// The end of a raw string whose hashes start at `at`, or nothing if no such string starts there.
fn raw_string(bytes: &[u8], at: usize) -> Option<usize> {
    let hashes = bytes[at..].iter().take_while(|b| **b == b'#').count();
    if bytes.get(at + hashes) != Some(&b'"') {
        return None;
    }
    let mut end = at + hashes + 1;
    while end < bytes.len() {
        if bytes[end] == b'"' && bytes[end + 1..].iter().take_while(|b| **b == b'#').count() >= hashes {
            return Some(end + 1 + hashes);
        }
        end += 1;
    }
    Some(end)
}

/// The end of a literal that `quote` closes and whose first content byte is at `at`.
fn quoted(bytes: &[u8], mut at: usize, quote: u8) -> usize {
    while at < bytes.len() && bytes[at] != quote {
        at += if bytes[at] == b'\\' { 2 } else { 1 };
    }
    at + 1
}

/// The end of a comment that starts at `at`; block comments nest.
fn comment(bytes: &[u8], at: usize) -> usize {
    if bytes[at + 1] == b'/' {
        return at + bytes[at..].iter().take_while(|b| **b != b'\n').count();
    }
    let (mut end, mut depth) = (at + 2, 1);
    while end < bytes.len() && depth > 0 {
        match &bytes[end..bytes.len().min(end + 2)] {
            b"/*" => (depth, end) = (depth + 1, end + 2),
            b"*/" => (depth, end) = (depth - 1, end + 2),
            _ => end += 1,
        }
    }
    end
}

impl<'a> Source<'a> {
    /// Takes `text` apart.
    pub(crate) fn new(text: &'a str) -> Self {
        let bytes = text.as_bytes();
        let lines = text.lines().count() + 1;
        let mut this = Self { text, tokens: Vec::new(), comments: vec![String::new(); lines] };
        let (mut at, mut line) = (0, 0);
        while at < bytes.len() {
            let next = bytes.get(at + 1).copied().unwrap_or(0);
            let end = match bytes[at] {
                b'\n' => {
                    line += 1;
                    at += 1;
                    continue;
                }
                b if b.is_ascii_whitespace() => {
                    at += 1;
                    continue;
                }
                b'/' if next == b'/' || next == b'*' => {
                    let end = comment(bytes, at).min(bytes.len());
                    for (i, part) in text[at..end].split('\n').enumerate() {
                        this.comments[line + i].push_str(part);
                    }
                    line += text[at..end].matches('\n').count();
                    at = end;
                    continue;
                }
                b'"' => quoted(bytes, at + 1, b'"'),
                b'\'' => {
                    let width = text[at + 1..].chars().next().map_or(0, char::len_utf8);
                    if next == b'\\' {
                        quoted(bytes, at + 1, b'\'')
                    } else if bytes.get(at + 1 + width) == Some(&b'\'') {
                        at + width + 2
                    } else {
                        at + 1
                    }
                }
                b if is_word(b) => {
                    let end = at + bytes[at..].iter().take_while(|b| is_word(**b)).count();
                    match (&text[at..end], bytes.get(end)) {
                        ("r" | "br" | "cr", Some(b'"' | b'#')) => raw_string(bytes, end).unwrap_or(end),
                        ("b" | "c", Some(b'"')) => quoted(bytes, end + 1, b'"'),
                        ("b", Some(b'\'')) => quoted(bytes, end + 1, b'\''),
                        _ => end,
                    }
                }
                b => at + if matches!([b, next], [b':', b':'] | [b'=', b'>'] | [b'&', b'&']) { 2 } else { 1 },
            };
            let end = end.min(bytes.len());
            // A literal stands as its opening quote (or prefix) alone.
            let piece = &text[at..end];
            let literal = piece.len() > 1 && piece.contains(['"', '\'']);
            this.tokens.push(Token { text: if literal { &piece[..1] } else { piece }, line, at });
            line += piece.matches('\n').count();
            at = end;
        }
        this
    }

    /// The text of token `i`, or nothing past the end.
    pub(crate) fn word(&self, i: usize) -> &'a str {
        self.tokens.get(i).map_or("", |t| t.text)
    }

    /// The texts from token `i` on are `words`.
    pub(crate) fn reads(&self, i: usize, words: &[&str]) -> bool {
        words.iter().enumerate().all(|(n, word)| self.word(i + n) == *word)
    }

    /// The token that closes the bracket at token `open`.
    pub(crate) fn closing(&self, open: usize) -> usize {
        let mut depth = 0;
        for (i, token) in self.tokens.iter().enumerate().skip(open) {
            match token.text {
                "(" | "[" | "{" => depth += 1,
                ")" | "]" | "}" => {
                    depth -= 1;
                    if depth == 0 {
                        return i;
                    }
                }
                _ => {}
            }
        }
        self.tokens.len()
    }

    /// The last token of the item that starts at token `i`.
    fn item_end(&self, mut i: usize) -> usize {
        while i < self.tokens.len() {
            match self.word(i) {
                ";" => return i,
                "{" => return self.closing(i),
                "(" | "[" => i = self.closing(i) + 1,
                _ => i += 1,
            }
        }
        i
    }

    /// Whether the `cfg` predicate at token `i` holds in test builds only.
    fn needs_test(&self, i: usize) -> bool {
        let end = if self.word(i + 1) == "(" { self.closing(i + 1) } else { i };
        let parts = || {
            let mut starts = vec![i + 2];
            let mut at = i + 2;
            while at < end {
                match self.word(at) {
                    "(" => at = self.closing(at),
                    "," => starts.push(at + 1),
                    _ => {}
                }
                at += 1;
            }
            starts.into_iter().filter(move |at| *at < end)
        };
        match self.word(i) {
            "test" => true,
            "all" => parts().any(|at| self.needs_test(at)),
            "any" => parts().all(|at| self.needs_test(at)),
            _ => false,
        }
    }

    /// The token ranges of items that exist in test builds only, and the out-of-line modules among them as paths
    /// relative to the file's directory (`#[path]`) or as names.
    pub(crate) fn test_items(&self) -> (Vec<Range<usize>>, Vec<String>) {
        let (mut ranges, mut files) = (Vec::new(), Vec::new());
        for start in 0..self.tokens.len() {
            if !self.reads(start, &["#", "[", "cfg", "("]) || !self.needs_test(start + 4) {
                continue;
            }
            let mut i = start;
            let mut path = None;
            while self.word(i) == "#" {
                let close = self.closing(i + 1);
                if self.word(i + 2) == "path" {
                    let attribute = &self.text[self.tokens[i].at..self.tokens[close].at];
                    path = attribute.split('"').nth(1).map(str::to_owned);
                }
                i = close + 1;
            }
            let end = self.item_end(i);
            if let Some(name) = (i..end).find(|i| self.word(*i) == "mod").map(|i| self.word(i + 1)) {
                if self.word(end) == ";" {
                    files.push(path.unwrap_or_else(|| name.to_owned()));
                }
            }
            ranges.push(start..end + 1);
        }
        (ranges, files)
    }

    /// The paths that start at token `i`, which is followed by `::`, as the words after it; a group gives one each.
    pub(crate) fn paths(&self, i: usize) -> Vec<Vec<&'a str>> {
        let mut words = Vec::new();
        let mut at = i + 1;
        while self.word(at) == "::" {
            if self.word(at + 1) == "{" {
                let close = self.closing(at + 1);
                let mut paths = Vec::new();
                let mut part = at + 1;
                while part < close {
                    // `part` is a brace or a comma; what follows is a path, as if it came after a `::`.
                    let mut path = vec![self.word(part + 1)];
                    if self.word(part + 2) == "::" {
                        for rest in self.paths(part + 1) {
                            paths.push([words.clone(), path.clone(), rest].concat());
                        }
                    } else if !path[0].is_empty() && part + 1 < close {
                        path.splice(0..0, words.iter().copied());
                        paths.push(path);
                    }
                    part += 1;
                    while part < close && self.word(part) != "," {
                        part = if self.word(part) == "{" { self.closing(part) + 1 } else { part + 1 };
                    }
                }
                return paths;
            }
            words.push(self.word(at + 1));
            at += 2;
        }
        vec![words]
    }

    /// Whether a comment with `marker` explains the code from line `first` to line `last`: on one of these lines, or
    /// ending at most `reach` lines above with no other function's head in between.
    pub(crate) fn explained(&self, marker: &str, first: usize, last: usize, reach: usize) -> bool {
        if (first..=last).any(|line| self.comments[line].contains(marker)) {
            return true;
        }
        let head = |i: &usize| self.word(*i) == "fn" && self.word(i + 1) != "(";
        let heads: Vec<usize> = (0..self.tokens.len()).filter(head).map(|i| self.tokens[i].line).collect();
        // What a comment stands above: the next code that is no attribute.
        let starts = |line: usize| self.tokens.iter().find(|t| t.line == line).is_some_and(|t| t.text != "#");
        (0..first).rev().filter(|line| self.comments[*line].contains(marker)).any(|line| {
            let end = (line..first).take_while(|l| !self.comments[*l].is_empty()).last().unwrap_or(line);
            let next = (end + 1..=first).find(|l| starts(*l));
            let strangers = heads.iter().any(|head| (end + 1..=first).contains(head) && Some(*head) != next);
            first - end <= reach && !strangers
        })
    }
}

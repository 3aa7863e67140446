//! What goes over the wire: requests as lines of text or as Redis' arrays of bulk strings, answers as Redis' (RESP2), so that
//! `nc` and `redis-cli` are clients.
//!
//! | request | answer |
//! |---|---|
//! | `GET key` | the value, or nil (`$-1`) |
//! | `SET key value` | `+OK`; in a line the value is all that follows the key |
//! | `DEL key` | `:1`, or `:0` if there was none |
//! | `INCR key` | the new number; what is not there counts as 0 |
//! | `STATS`, `PING` | lines of `name number`; `+PONG` |
//! | `QUIT`, `SHUTDOWN` | `+OK`, and the connection, or the whole server, ends |
//! | `PANIC key` | fails the key's shard, if the server was started with `--chaos` |
//!
//! All of it is UTF-8. A bad request is answered by an error, and the next one is read; only what breaks the array's own form
//! ends the connection, for nobody can tell where the next one begins.

use std::fmt;
use std::io::Write;
use std::sync::Arc;

/// Bytes of a key, at most.
pub const MAX_KEY: usize = 256;
/// Bytes of a value, at most.
pub const MAX_VALUE: usize = 64 << 10;
/// Bytes of a request that is a line, at most.
pub const MAX_LINE: usize = MAX_VALUE + MAX_KEY + 16;
/// Parts of an array, at most; no request has as many.
const MAX_PARTS: usize = 8;
/// Bytes of a number in an array's form, with its mark.
const MAX_HEAD: usize = 16;

/// A key or a value.
pub type Text = Arc<str>;

/// What a client may ask for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// A value.
    Get(Text),
    /// To set a value.
    Set(Text, Text),
    /// To remove a value.
    Del(Text),
    /// To add one.
    Incr(Text),
    /// To fail the key's shard.
    Panic(Text),
    /// Counts of the server.
    Stats,
    /// An answer.
    Ping,
    /// The end of the connection.
    Quit,
    /// The end of the server.
    Shutdown,
}

/// What is wrong with a request.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum BadRequest {
    /// No such command.
    Unknown(String),
    /// Too few parts, or too many.
    Parts {
        /// How the command is written.
        usage: &'static str,
    },
    /// No byte of a key, or too many.
    Key(usize),
    /// Too many bytes of a value.
    Value(usize),
    /// A line that does not end in time.
    Line,
    /// Not UTF-8.
    NotText,
    /// An array in a form that is none; what follows cannot be told apart.
    Form(&'static str),
    /// A command that this server does not take.
    Disabled(&'static str),
}

impl BadRequest {
    /// Whether the connection ends with it.
    #[must_use]
    pub fn is_fatal(&self) -> bool {
        matches!(self, Self::Form(_))
    }
}

impl fmt::Display for BadRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown(name) => {
                let begin: String = name.chars().filter(|c| !c.is_control()).take(32).collect();
                write!(f, "unknown command '{begin}': GET, SET, DEL, INCR, STATS, PING, QUIT and SHUTDOWN are known")
            }
            Self::Parts { usage } => write!(f, "wrong number of arguments: {usage}"),
            Self::Key(len) => write!(f, "a key of {len} bytes: 1 to {MAX_KEY} are allowed"),
            Self::Value(len) => write!(f, "a value of {len} bytes: at most {MAX_VALUE} are allowed"),
            Self::Line => write!(f, "a line of more than {MAX_LINE} bytes"),
            Self::NotText => f.write_str("not UTF-8"),
            Self::Form(what) => write!(f, "protocol error: {what}"),
            Self::Disabled(name) => write!(f, "{name} is for servers that were started with --chaos"),
        }
    }
}

impl std::error::Error for BadRequest {}

impl Command {
    /// Reads a request's parts.
    pub fn parse(parts: &[&str]) -> Result<Self, BadRequest> {
        let Some((name, rest)) = parts.split_first() else { return Err(BadRequest::Unknown(String::new())) };
        let one = |usage| match rest {
            [key] => checked(key),
            _ => Err(BadRequest::Parts { usage }),
        };
        let none = |command, usage| if rest.is_empty() { Ok(command) } else { Err(BadRequest::Parts { usage }) };
        match name.to_ascii_uppercase().as_str() {
            "GET" => one("GET key").map(Self::Get),
            "SET" => match rest {
                [_, value] if value.len() > MAX_VALUE => Err(BadRequest::Value(value.len())),
                [key, value] => Ok(Self::Set(checked(key)?, (*value).into())),
                _ => Err(BadRequest::Parts { usage: "SET key value" }),
            },
            "DEL" => one("DEL key").map(Self::Del),
            "INCR" => one("INCR key").map(Self::Incr),
            "PANIC" => one("PANIC key").map(Self::Panic),
            "STATS" => none(Self::Stats, "STATS"),
            "PING" => none(Self::Ping, "PING"),
            "QUIT" => none(Self::Quit, "QUIT"),
            "SHUTDOWN" => none(Self::Shutdown, "SHUTDOWN"),
            _ => Err(BadRequest::Unknown((*name).to_owned())),
        }
    }
}

fn checked(key: &str) -> Result<Text, BadRequest> {
    if (1..=MAX_KEY).contains(&key.len()) { Ok(key.into()) } else { Err(BadRequest::Key(key.len())) }
}

/// Why a request could not be served, although there is nothing wrong with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Trouble {
    /// The shard failed: a write may have been done or not.
    Failed,
    /// The shard has failed too often and is gone.
    Down,
    /// The shard has as much to do as it may have: nothing was done.
    Overloaded,
    /// No answer in time: a write may still be done.
    Late,
    /// The value is no number.
    NotANumber,
    /// The number is the largest.
    Overflow,
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// Done.
    Ok,
    /// Here.
    Pong,
    /// The value that was asked for.
    Value(Text),
    /// There is none.
    Nil,
    /// A number.
    Number(i64),
    /// It was not done.
    Bad(BadRequest),
    /// It was not done, or perhaps it was.
    Trouble(Trouble),
}

impl Reply {
    /// Writes it down.
    pub fn encode(&self, out: &mut Vec<u8>) {
        // A `Vec` takes everything.
        let _ = match self {
            Self::Ok => write!(out, "+OK"),
            Self::Pong => write!(out, "+PONG"),
            Self::Value(text) => write!(out, "${}\r\n{text}", text.len()),
            Self::Nil => write!(out, "$-1"),
            Self::Number(number) => write!(out, ":{number}"),
            Self::Bad(bad) => write!(out, "-ERR {bad}"),
            Self::Trouble(Trouble::Failed) => {
                write!(out, "-FAILED the shard failed; a write may have been done or not")
            }
            Self::Trouble(Trouble::Down) => write!(out, "-DOWN the shard has failed too often"),
            Self::Trouble(Trouble::Overloaded) => {
                write!(out, "-OVERLOADED the shard has too much to do; nothing was done")
            }
            Self::Trouble(Trouble::Late) => write!(out, "-LATE no answer in time; a write may still be done"),
            Self::Trouble(Trouble::NotANumber) => write!(out, "-ERR the value is not a whole number of 64 bits"),
            Self::Trouble(Trouble::Overflow) => write!(out, "-ERR the number cannot grow beyond {}", i64::MAX),
        };
        out.extend_from_slice(b"\r\n");
    }
}

/// Finds requests in what has come so far. Holds no more than the longest request and what was fed at once.
#[derive(Debug, Default)]
pub struct Decoder {
    bytes: Vec<u8>,
    /// Where the next request begins.
    at: usize,
    /// Inside a line that is too long.
    skips: bool,
}

/// What a look at the bytes found.
enum Found {
    /// A request that ends there.
    Request(usize, Result<Command, BadRequest>),
    /// An empty line that ends there.
    Nothing(usize),
    /// More must come.
    Part,
}

impl Decoder {
    /// Adds what has come.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.bytes.drain(..self.at);
        self.at = 0;
        self.bytes.extend_from_slice(bytes);
    }

    /// Takes the next request, if it is there as a whole.
    pub fn next_request(&mut self) -> Option<Result<Command, BadRequest>> {
        loop {
            let rest = &self.bytes[self.at..];
            if self.skips {
                let end = rest.iter().position(|&byte| byte == b'\n');
                self.at = end.map_or(self.bytes.len(), |end| self.at + end + 1);
                self.skips = end.is_none();
                if self.skips {
                    return None;
                }
                continue;
            }
            let found = if rest.first() == Some(&b'*') { array(rest) } else { line(rest) };
            match found {
                Found::Part if rest.len() > MAX_LINE && rest[0] != b'*' => {
                    self.skips = true;
                    return Some(Err(BadRequest::Line));
                }
                Found::Part => return None,
                Found::Nothing(len) => self.at += len,
                Found::Request(len, request) => {
                    self.at += len;
                    return Some(request);
                }
            }
        }
    }
}

/// The bytes before the next end of a line, and where the next line begins.
fn up_to_the_end(bytes: &[u8]) -> Option<(&[u8], usize)> {
    let end = bytes.iter().position(|&byte| byte == b'\n')?;
    let line = &bytes[..end];
    Some((line.strip_suffix(b"\r").unwrap_or(line), end + 1))
}

fn line(bytes: &[u8]) -> Found {
    let Some((line, len)) = up_to_the_end(bytes) else { return Found::Part };
    if len > MAX_LINE {
        return Found::Request(len, Err(BadRequest::Line));
    }
    let Ok(text) = str::from_utf8(line) else { return Found::Request(len, Err(BadRequest::NotText)) };
    let text = text.trim_ascii_start();
    if text.is_empty() {
        return Found::Nothing(len);
    }
    let parts: Vec<&str> = text.splitn(3, ' ').collect();
    Found::Request(len, Command::parse(&parts))
}

/// A number after its mark, and where the next line begins. `None` if more must come.
fn head(bytes: &[u8], mark: u8) -> Result<Option<(usize, usize)>, BadRequest> {
    let Some((line, len)) = up_to_the_end(&bytes[..bytes.len().min(MAX_HEAD)]) else {
        return if bytes.len() < MAX_HEAD { Ok(None) } else { Err(BadRequest::Form("a length without end")) };
    };
    let digits = line.strip_prefix(&[mark]).ok_or(BadRequest::Form("a length without its mark"))?;
    let number = str::from_utf8(digits).ok().and_then(|digits| digits.parse().ok());
    Ok(Some((number.ok_or(BadRequest::Form("a length that is no number"))?, len)))
}

fn array(bytes: &[u8]) -> Found {
    match parts(bytes) {
        Ok(None) => Found::Part,
        Ok(Some((parts, len))) if parts.is_empty() => Found::Nothing(len),
        Ok(Some((parts, len))) => {
            let texts: Result<Vec<&str>, _> = parts.into_iter().map(str::from_utf8).collect();
            Found::Request(len, texts.map_err(|_| BadRequest::NotText).and_then(|texts| Command::parse(&texts)))
        }
        // Where it ends is not known, and does not matter any more.
        Err(error) => Found::Request(bytes.len(), Err(error)),
    }
}

/// The parts of an array, and its length.
type Whole<'a> = (Vec<&'a [u8]>, usize);

/// An array, if it is there as a whole.
fn parts(bytes: &[u8]) -> Result<Option<Whole<'_>>, BadRequest> {
    let Some((count, mut at)) = head(bytes, b'*')? else { return Ok(None) };
    if count > MAX_PARTS {
        return Err(BadRequest::Form("an array of too many parts"));
    }
    let mut parts = Vec::with_capacity(count);
    for _ in 0..count {
        let Some((len, begin)) = head(&bytes[at..], b'$')? else { return Ok(None) };
        if len > MAX_VALUE {
            return Err(BadRequest::Form("a part that is too long"));
        }
        let (begin, end) = (at + begin, at + begin + len);
        match bytes.get(end..end + 2) {
            None => return Ok(None),
            Some(b"\r\n") => parts.push(&bytes[begin..end]),
            Some(_) => return Err(BadRequest::Form("a part that is longer than it says")),
        }
        at = end + 2;
    }
    Ok(Some((parts, at)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All requests in `bytes`, which come in pieces of `piece`.
    fn decode(bytes: &[u8], piece: usize) -> Vec<Result<Command, BadRequest>> {
        let (mut decoder, mut found) = (Decoder::default(), Vec::new());
        for piece in bytes.chunks(piece) {
            decoder.feed(piece);
            found.extend(std::iter::from_fn(|| decoder.next_request()));
        }
        found
    }

    #[track_caller]
    fn check(bytes: &[u8], expected: &[Result<Command, BadRequest>]) {
        for piece in [1, 2, 3, 7, bytes.len()] {
            assert_eq!(decode(bytes, piece), expected, "in pieces of {piece}");
        }
    }

    #[test]
    fn lines_and_arrays() {
        let requests =
            "GET a\r\n\n  set ä  two words \r\n*2\r\n$3\r\nDEL\r\n$2\r\n\r\n\r\n*0\r\n*1\r\n$4\r\nPING\r\nINCR 7\n";
        let expected = [
            Command::Get("a".into()),
            Command::Set("ä".into(), " two words ".into()),
            Command::Del("\r\n".into()),
            Command::Ping,
            Command::Incr("7".into()),
        ];
        check(requests.as_bytes(), &expected.map(Ok));
    }

    #[test]
    fn bad_requests_between_good_ones() {
        let ping = || Ok(Command::Ping);
        let unknown = |name: &str| Err(BadRequest::Unknown(name.into()));
        check(b"FLY\nPING\n", &[unknown("FLY"), ping()]);
        check(b"GET\nPING\n", &[Err(BadRequest::Parts { usage: "GET key" }), ping()]);
        check(b"PING PING\nPING\n", &[Err(BadRequest::Parts { usage: "PING" }), ping()]);
        check(b"GET \xff\nPING\n", &[Err(BadRequest::NotText), ping()]);
        check(b"*2\r\n$3\r\nGET\r\n$1\r\n\xff\r\nPING\n", &[Err(BadRequest::NotText), ping()]);
        check(b"*2\r\n$3\r\nGET\r\n$0\r\n\r\nPING\n", &[Err(BadRequest::Key(0)), ping()]);
        let long = format!("GET {}\nPING\n", "k".repeat(MAX_KEY + 1));
        check(long.as_bytes(), &[Err(BadRequest::Key(MAX_KEY + 1)), ping()]);
    }

    #[test]
    fn as_long_as_can_be() {
        let (key, value) = ("k".repeat(MAX_KEY), "v".repeat(MAX_VALUE));
        let set = Ok(Command::Set(key.as_str().into(), value.as_str().into()));
        for request in [
            format!("SET {key} {value}\r\nPING\n"),
            format!("*3\r\n$3\r\nSET\r\n${}\r\n{key}\r\n${}\r\n{value}\r\nPING\n", key.len(), value.len()),
        ] {
            assert_eq!(decode(request.as_bytes(), 4096), [set.clone(), Ok(Command::Ping)]);
        }
        let one_more = format!("SET k {value}v\nPING\n");
        assert_eq!(decode(one_more.as_bytes(), 4096), [Err(BadRequest::Value(MAX_VALUE + 1)), Ok(Command::Ping)]);
        let endless = format!("{}\nPING\n", "x".repeat(10 * MAX_LINE));
        for piece in [1000, endless.len()] {
            assert_eq!(decode(endless.as_bytes(), piece), [Err(BadRequest::Line), Ok(Command::Ping)]);
        }
    }

    #[test]
    fn an_endless_line_is_not_kept() {
        let mut decoder = Decoder::default();
        for _ in 0..1000 {
            decoder.feed(&[b'x'; 4096]);
            while decoder.next_request().is_some() {}
            assert!(decoder.bytes.len() <= MAX_LINE + 4096);
        }
    }

    #[test]
    fn broken_arrays_are_fatal() {
        for (bytes, what) in [
            (&b"*x\r\n"[..], "a length that is no number"),
            (b"*-1\r\n", "a length that is no number"),
            (b"*9\r\n", "an array of too many parts"),
            (b"*1\r\nPING\r\n", "a length without its mark"),
            (b"*1\r\n$1\r\nPING\r\n", "a part that is longer than it says"),
            (b"*1\r\n$65537\r\n", "a part that is too long"),
            (b"*1\r\n$000000000000000000000", "a length without end"),
        ] {
            let found = decode(bytes, bytes.len());
            assert_eq!(found, [Err(BadRequest::Form(what))]);
            assert!(found[0].as_ref().is_err_and(BadRequest::is_fatal));
        }
    }

    #[test]
    fn answers() {
        let mut out = Vec::new();
        for reply in [Reply::Ok, Reply::Value("ä".into()), Reply::Nil, Reply::Number(-7)] {
            reply.encode(&mut out);
        }
        Reply::Bad(BadRequest::Unknown("a\r\nb".into())).encode(&mut out);
        let text = String::from_utf8(out).unwrap();
        assert!(text.starts_with("+OK\r\n$2\r\nä\r\n$-1\r\n:-7\r\n-ERR unknown command 'ab': "), "{text:?}");
        assert_eq!(text.matches('\n').count(), 6, "{text:?}");
    }
}

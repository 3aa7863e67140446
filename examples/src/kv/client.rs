//! A client that blocks.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// How long it waits for an answer.
const PATIENCE: Duration = Duration::from_secs(60);

/// An answer, as it comes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// `+` and a word.
    Status(String),
    /// `-` and a text.
    Error(String),
    /// `:` and a number.
    Number(i64),
    /// A text that was stored.
    Value(String),
    /// Nothing is stored.
    Nil,
}

impl Answer {
    /// Whether it is an error of this kind, which is its first word.
    #[must_use]
    pub fn is_error(&self, kind: &str) -> bool {
        matches!(self, Self::Error(text) if text.split_once(' ').is_some_and(|(first, _)| first == kind))
    }
}

/// A connection to the service.
#[derive(Debug)]
pub struct Client {
    stream: BufReader<TcpStream>,
    out: Vec<u8>,
}

impl Client {
    /// Connects.
    pub fn connect(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        stream.set_nodelay(true)?;
        Ok(Self { stream: BufReader::new(stream), out: Vec::new() })
    }

    /// Adds a request to those that [`flush`](Self::flush) sends.
    pub fn push(&mut self, parts: &[&str]) {
        self.out.extend_from_slice(format!("*{}\r\n", parts.len()).as_bytes());
        for part in parts {
            self.out.extend_from_slice(format!("${}\r\n{part}\r\n", part.len()).as_bytes());
        }
    }

    /// Adds bytes as they are.
    pub fn push_raw(&mut self, bytes: &[u8]) {
        self.out.extend_from_slice(bytes);
    }

    /// Sends what was added.
    pub fn flush(&mut self) -> io::Result<()> {
        self.stream.get_mut().write_all(&self.out)?;
        self.out.clear();
        Ok(())
    }

    /// Sends a request, and waits for its answer.
    pub fn ask(&mut self, parts: &[&str]) -> io::Result<Answer> {
        self.push(parts);
        self.flush()?;
        self.answer()
    }

    /// Waits for the next answer.
    pub fn answer(&mut self) -> io::Result<Answer> {
        let line = self.line()?;
        let odd = || io::Error::new(io::ErrorKind::InvalidData, format!("no answer: {line:?}"));
        let mut chars = line.chars();
        let (mark, rest) = (chars.next().ok_or_else(odd)?, chars.as_str());
        match mark {
            '+' => Ok(Answer::Status(rest.into())),
            '-' => Ok(Answer::Error(rest.into())),
            ':' => rest.parse().map(Answer::Number).map_err(|_| odd()),
            '$' if rest == "-1" => Ok(Answer::Nil),
            '$' => {
                let len: usize = rest.parse().map_err(|_| odd())?;
                let mut bytes = vec![0; len + 2];
                self.stream.read_exact(&mut bytes)?;
                bytes.truncate(len);
                String::from_utf8(bytes).map(Answer::Value).map_err(|_| odd())
            }
            _ => Err(odd()),
        }
    }

    fn line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        if self.stream.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        line.truncate(line.trim_end().len());
        Ok(line)
    }
}

//! The command lines.

use std::ffi::OsString;
use std::fmt;
use std::net::{SocketAddr, ToSocketAddrs};

use super::load::Plan;
use super::server::Config;

/// How the server is called.
pub const SERVER_USAGE: &str = "\
usage: kv_server [--address HOST:PORT] [--shards N] [--queue N] [--workers N] [--connections N] [--chaos] [--keep]

  --address A      where it listens (default: 127.0.0.1:6400; port 0 is any)
  --shards N       actors among which the keys are divided (default: 4)
  --queue N        requests that wait for a shard, at most (default: 1024)
  --workers N      worker threads (default: as many as the machine offers)
  --connections N  connections at a time, at most (default: 256)
  --chaos          lets clients fail a shard by PANIC
  --keep           goes on when the standard input has ended
  --help           prints this";

/// How the load generator is called.
pub const LOAD_USAGE: &str = "\
usage: kv_load [--address HOST:PORT] [--connections N] [--requests N] [--pipeline N] [--failures N]

Loads a server and checks all its answers; without an address, one of its own, which it then ends.

  --address A      the server (started with --chaos if it is to fail)
  --connections N  connections at a time (default: 8)
  --requests N     requests of each (default: 5000)
  --pipeline N     requests of each in flight (default: 16)
  --failures N     failures of shards meanwhile (default: 0; of its own server: 40, in a second round)
  --help           prints this";

/// The most shards, connections or requests in flight that make sense.
const MOST: usize = 4096;

/// What is wrong with a command line.
#[derive(Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum UsageError {
    /// An option that does not exist.
    Unknown(String),
    /// An option without its value.
    Missing(String),
    /// A value that is not what its option takes.
    Bad {
        /// The option.
        option: String,
        /// The value.
        value: String,
        /// What it takes.
        wanted: String,
    },
}

impl fmt::Display for UsageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown(option) => write!(f, "there is no option {option}"),
            Self::Missing(option) => write!(f, "{option} needs a value"),
            Self::Bad { option, value, wanted } => write!(f, "{option} cannot be {value}: {wanted}"),
        }
    }
}

impl std::error::Error for UsageError {}

/// Options and their values, one after the other.
struct Options<I>(I);

impl<I: Iterator<Item = OsString>> Options<I> {
    fn next(&mut self) -> Option<String> {
        self.0.next().map(|option| option.to_string_lossy().into_owned())
    }

    fn value(&mut self, option: &str) -> Result<String, UsageError> {
        self.next().ok_or_else(|| UsageError::Missing(option.into()))
    }

    fn number(&mut self, option: &str, least: usize, most: usize) -> Result<usize, UsageError> {
        let value = self.value(option)?;
        let number = value.parse().ok().filter(|number| (least..=most).contains(number));
        let wanted = format!("a number from {least} to {most}");
        number.ok_or(UsageError::Bad { option: option.into(), value, wanted })
    }

    fn address(&mut self, option: &str) -> Result<SocketAddr, UsageError> {
        let value = self.value(option)?;
        let address = value.to_socket_addrs().ok().and_then(|mut all| all.next());
        let wanted = "a host and a port, as in 127.0.0.1:6400".into();
        address.ok_or(UsageError::Bad { option: option.into(), value, wanted })
    }
}

/// What the server is to do; `None` is to print its usage.
pub fn server(args: impl IntoIterator<Item = OsString>) -> Result<Option<(Config, bool)>, UsageError> {
    let (mut config, mut keep) = (Config::default(), false);
    let mut options = Options(args.into_iter());
    while let Some(option) = options.next() {
        match option.as_str() {
            "--help" | "-h" => return Ok(None),
            "--address" => config.address = options.address(&option)?,
            "--shards" => config.shards = options.number(&option, 1, MOST)?,
            "--queue" => config.queue = options.number(&option, 1, 1 << 20)?,
            "--workers" => config.workers = Some(options.number(&option, 1, 1024)?),
            "--connections" => config.connections = options.number(&option, 1, MOST)?,
            "--chaos" => config.chaos = true,
            "--keep" => keep = true,
            _ => return Err(UsageError::Unknown(option)),
        }
    }
    Ok(Some((config, keep)))
}

/// What the load generator is to do, and on which server, if not its own; `None` is to print its usage.
pub fn load(args: impl IntoIterator<Item = OsString>) -> Result<Option<(Plan, Option<SocketAddr>)>, UsageError> {
    let mut plan = Plan { connections: 8, requests: 5000, pipeline: 16, failures: 0, prefix: "load" };
    let mut address = None;
    let mut options = Options(args.into_iter());
    while let Some(option) = options.next() {
        match option.as_str() {
            "--help" | "-h" => return Ok(None),
            "--address" => address = Some(options.address(&option)?),
            "--connections" => plan.connections = options.number(&option, 1, MOST)?,
            "--requests" => plan.requests = options.number(&option, 1, usize::MAX)?,
            "--pipeline" => plan.pipeline = options.number(&option, 1, MOST)?,
            "--failures" => plan.failures = options.number(&option, 0, usize::MAX)?,
            _ => return Err(UsageError::Unknown(option)),
        }
    }
    Ok(Some((plan, address)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(line: &str) -> Vec<OsString> {
        line.split_whitespace().map(OsString::from).collect()
    }

    #[test]
    fn lines_are_read() {
        let (config, keep) = server(args("--address 127.0.0.1:0 --shards 7 --chaos --keep")).unwrap().unwrap();
        assert_eq!((config.address.port(), config.shards, config.chaos, keep), (0, 7, true, true));
        let (plan, address) = load(args("--requests 9 --address [::1]:1")).unwrap().unwrap();
        assert_eq!((plan.requests, address), (9, Some("[::1]:1".parse().unwrap())));
        assert!(server(args("--chaos --help")).unwrap().is_none() && load(args("-h")).unwrap().is_none());
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (line, message) in [
            ("--fast", "there is no option --fast"),
            ("--shards", "--shards needs a value"),
            ("--shards 0", "--shards cannot be 0: a number from 1 to 4096"),
            ("--address here", "--address cannot be here: a host and a port, as in 127.0.0.1:6400"),
        ] {
            assert_eq!(server(args(line)).unwrap_err().to_string(), message);
        }
        assert_eq!(
            load(args("--pipeline x")).unwrap_err().to_string(),
            "--pipeline cannot be x: a number from 1 to 4096"
        );
    }
}

//! The command line.

use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;

/// How the program is called.
pub const USAGE: &str = "\
usage: wordcount [FOLDER] [--workers N] [--top N] [--shards N]

Counts the words in the files of FOLDER (default: cuelight's own sources).

  --workers N   worker threads (default: as many as the machine offers)
  --top N       how many of the most frequent words to print (default: 10)
  --shards N    actors among which the words are divided (default: as workers)
  --help        prints this";

/// The most shards that make sense; each chunk keeps a list for each.
pub const MAX_SHARDS: usize = 1024;

/// What was asked for.
#[derive(Debug, PartialEq, Eq)]
pub enum Command {
    /// To print [`USAGE`].
    Help,
    /// To count.
    Count(Options),
}

/// What to count, and how.
#[derive(Debug, PartialEq, Eq)]
pub struct Options {
    /// The folder, or file, to read.
    pub folder: Option<PathBuf>,
    /// Worker threads, if not as many as the machine offers.
    pub workers: Option<usize>,
    /// How many words to print.
    pub top: usize,
    /// Counting actors, if not as many as workers.
    pub shards: Option<usize>,
}

/// What is wrong with the command line.
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
    },
    /// More than one folder.
    Extra(String),
}

impl fmt::Display for UsageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown(option) => write!(f, "there is no option {option}"),
            Self::Missing(option) => write!(f, "{option} needs a number"),
            Self::Bad { option, value } => write!(f, "{option} cannot be {value}"),
            Self::Extra(value) => write!(f, "one folder at a time, please: {value} is too many"),
        }
    }
}

impl std::error::Error for UsageError {}

/// Reads the arguments, without the program's name. `--` ends the options.
pub fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Command, UsageError> {
    let mut options = Options { folder: None, workers: None, top: 10, shards: None };
    let mut args = args.into_iter();
    let mut only_folders = false;
    while let Some(arg) = args.next() {
        match arg.to_str() {
            Some("--") if !only_folders => only_folders = true,
            Some("--help" | "-h") if !only_folders => return Ok(Command::Help),
            Some(option @ "--workers") if !only_folders => {
                options.workers = Some(number(option, args.next(), 1..=usize::MAX)?);
            }
            Some(option @ "--top") if !only_folders => {
                options.top = number(option, args.next(), 0..=usize::MAX)?;
            }
            Some(option @ "--shards") if !only_folders => {
                options.shards = Some(number(option, args.next(), 1..=MAX_SHARDS)?);
            }
            Some(option) if !only_folders && option.starts_with('-') => {
                return Err(UsageError::Unknown(option.into()));
            }
            _ if options.folder.is_some() => {
                return Err(UsageError::Extra(arg.to_string_lossy().into_owned()));
            }
            _ => options.folder = Some(arg.into()),
        }
    }
    Ok(Command::Count(options))
}

fn number(
    option: &str,
    value: Option<OsString>,
    allowed: std::ops::RangeInclusive<usize>,
) -> Result<usize, UsageError> {
    let value = value.ok_or_else(|| UsageError::Missing(option.into()))?;
    let number = value.to_str().and_then(|value| value.parse().ok());
    number
        .filter(|number| allowed.contains(number))
        .ok_or_else(|| UsageError::Bad { option: option.into(), value: value.to_string_lossy().into_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Command, UsageError> {
        super::parse(line.split_whitespace().map(OsString::from))
    }

    #[test]
    fn options_in_any_order() {
        let expected =
            Command::Count(Options { folder: Some("here".into()), workers: Some(3), top: 0, shards: Some(2) });
        for line in [
            "here --workers 3 --top 0 --shards 2",
            "--top 5 --shards 2 --top 0 here --workers 3",
            "--workers 3 --top 0 --shards 2 -- here",
        ] {
            assert_eq!(parse(line).as_ref(), Ok(&expected), "{line}");
        }
        assert_eq!(parse("here --help --nonsense"), Ok(Command::Help));
    }

    #[test]
    fn mistakes_are_named() {
        for (line, message) in [
            ("--speed 3", "there is no option --speed"),
            ("--top", "--top needs a number"),
            ("--top many", "--top cannot be many"),
            ("--workers 0", "--workers cannot be 0"),
            ("--shards 1025", "--shards cannot be 1025"),
            ("a b", "one folder at a time, please: b is too many"),
        ] {
            let error = parse(line).expect_err(line);
            assert_eq!(error.to_string(), message);
        }
        let dashed = super::parse([OsString::from("--"), OsString::from("--top")]);
        assert!(matches!(dashed, Ok(Command::Count(o)) if o.folder == Some("--top".into())));
    }
}

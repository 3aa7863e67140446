//! The texts to count, and the files of a folder.
//!
//! A walk follows no symbolic link below the path it was given, so it ends, and opens only regular
//! files, so it blocks on no pipe. What cannot be listed is noted, and the walk goes on. The list
//! of files is in memory at once, sorted; their contents are not.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// Where a document's bytes come from.
pub type Source = Box<dyn Read + Send>;

/// A text that can be read once, from its start to its end.
pub trait Document: Send + 'static {
    /// What to call it in a complaint.
    fn name(&self) -> String;

    /// Opens it. The reader should hand out much at once: nothing else buffers it.
    fn open(&self) -> io::Result<Source>;
}

impl Document for PathBuf {
    fn name(&self) -> String {
        self.display().to_string()
    }

    fn open(&self) -> io::Result<Source> {
        Ok(Box::new(File::open(self)?))
    }
}

/// A document, folder or part of one that could not be read.
#[derive(Debug)]
pub struct Skipped {
    /// Its name.
    pub name: String,
    /// Why not.
    pub error: io::Error,
}

impl fmt::Display for Skipped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot read {}: {}", self.name, self.error)
    }
}

impl std::error::Error for Skipped {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.error)
    }
}

/// What a walk found.
#[derive(Debug, Default)]
pub struct Found {
    /// The regular files, in the order of their paths.
    pub files: Vec<PathBuf>,
    /// How long they were when they were found, together.
    pub bytes: u64,
    /// What could not be listed.
    pub skipped: Vec<Skipped>,
}

/// Finds the regular files at and below `root`, a file or a folder, without the folders and files
/// that bear a name in `but`.
pub fn walk(root: &Path, but: &[&str]) -> Result<Found, Skipped> {
    let mut found = Found::default();
    let mut folders = Vec::new();
    let missing = |error| skipped(root, error);
    let meta = fs::metadata(root).map_err(missing)?;
    if meta.is_dir() {
        // Listed here once, as the root's failure is the caller's, not one of many.
        fs::read_dir(root).map_err(missing)?;
        folders.push(root.to_path_buf());
    } else if meta.is_file() {
        File::open(root).map_err(missing)?;
        found.bytes = meta.len();
        found.files.push(root.to_path_buf());
    } else {
        let neither = io::Error::new(io::ErrorKind::InvalidInput, "it is neither a file nor a folder");
        return Err(missing(neither));
    }
    while let Some(folder) = folders.pop() {
        if let Err(error) = list(&folder, but, &mut folders, &mut found) {
            found.skipped.push(skipped(&folder, error));
        }
    }
    found.files.sort_unstable();
    Ok(found)
}

fn list(folder: &Path, but: &[&str], folders: &mut Vec<PathBuf>, found: &mut Found) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if but.iter().any(|name| entry.file_name() == *name) {
            continue;
        }
        let kind = match entry.file_type() {
            Ok(kind) => kind,
            Err(error) => {
                found.skipped.push(skipped(&entry.path(), error));
                continue;
            }
        };
        if kind.is_dir() {
            folders.push(entry.path());
        } else if kind.is_file() {
            // The length is for the progress bar alone.
            found.bytes += entry.metadata().map_or(0, |meta| meta.len());
            found.files.push(entry.path());
        }
    }
    Ok(())
}

fn skipped(path: &Path, error: io::Error) -> Skipped {
    let name = path.display().to_string();
    Skipped { name, error }
}

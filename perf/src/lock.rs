//! The lock file this binary was built with: versions of the peers, and a hash to tell two builds apart.

const LOCK: &str = include_str!("../../Cargo.lock");

/// The version of a package, or of the newest of several.
pub(crate) fn version(package: &str) -> Option<&'static str> {
    find(LOCK, package)
}

fn find<'l>(lock: &'l str, package: &str) -> Option<&'l str> {
    let name = format!("name = \"{package}\"");
    let mut lines = lock.lines();
    let mut found = None;
    while let Some(line) = lines.next() {
        if line == name {
            found = lines.next()?.strip_prefix("version = \"")?.strip_suffix('"');
        }
    }
    found
}

/// FNV-1a (Fowler, Noll, Vo) of the whole file, in hexadecimal. It tells builds apart; it proves nothing.
pub(crate) fn hash() -> String {
    format!("{:016x}", fnv(LOCK.as_bytes()))
}

fn fnv(bytes: &[u8]) -> u64 {
    let step = |hash: u64, &byte: &u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, step)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_found() {
        let lock =
            "[[package]]\nname = \"a-b\"\nversion = \"1.2.3\"\n\n[[package]]\nname = \"a\"\nversion = \"4.5.6\"\n";
        assert_eq!(find(lock, "a"), Some("4.5.6"));
        assert_eq!(find(lock, "a-b"), Some("1.2.3"));
        assert_eq!(find(lock, "b"), None);
        assert!(version("mimalloc").is_some());
    }

    #[test]
    fn the_hash_is_the_published_one() {
        assert_eq!(fnv(b""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(fnv(b"a"), 0xaf63_dc4c_8601_ec8c);
    }
}

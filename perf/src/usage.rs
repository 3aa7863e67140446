//! What this process has used: processor time and memory, read from the system.

use rustix::time::{ClockId, clock_gettime};
use std::fs;

/// Processor time of all threads so far, in nanoseconds.
pub(crate) fn cpu_ns() -> u64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// The most memory resident at once so far, in KiB.
pub(crate) fn peak_kib() -> Option<u64> {
    field(&fs::read_to_string("/proc/self/status").ok()?, "VmHWM:")
}

/// Memory resident now, in KiB. The rollup is exact where the cheaper counters lag behind by some pages a thread.
pub(crate) fn resident_kib() -> Option<u64> {
    fs::read_to_string("/proc/self/smaps_rollup")
        .ok()
        .and_then(|text| field(&text, "Rss:"))
        .or_else(|| field(&fs::read_to_string("/proc/self/status").ok()?, "VmRSS:"))
}

fn field(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_by_name() {
        let text = "VmPeak:\t  900 kB\nVmHWM:\t    1234 kB\nRss:   7 kB\n";
        assert_eq!(field(text, "VmHWM:"), Some(1234));
        assert_eq!(field(text, "Rss:"), Some(7));
        assert_eq!(field(text, "VmSwap:"), None);
    }

    #[test]
    fn processor_time_moves_on() {
        let before = cpu_ns();
        let mut x = 0_u64;
        while cpu_ns() == before {
            x = std::hint::black_box(x + 1);
        }
        assert!(cpu_ns() > before);
    }
}

//! The CPU quota of the control groups this process is in.
//!
//! Promise: the smallest quota on the way from the process's group to the root, in CPUs; `None` when there is none, when
//! it cannot be read, and on systems without control groups. Never an error.
//!
//! How: `/proc/self/cgroup` names the groups. Version 2 keeps a group's quota in `cpu.max`, version 1 in
//! `cpu.cfs_quota_us` and `cpu.cfs_period_us` below the mount of its `cpu` controller. In a container the path may be
//! the host's; then only the mounts' roots exist, which are the container's own groups.
//!
//! Gives up: mounts in unusual places, and changes after it was read.

use std::fs;
use std::path::Path;

/// The quota in CPUs. `root` is `/`, elsewhere in tests.
pub(super) fn read(root: &Path) -> Option<f64> {
    let groups = fs::read_to_string(root.join("proc/self/cgroup")).ok()?;
    let mounts = root.join("sys/fs/cgroup");
    groups.lines().filter_map(|line| of_hierarchy(line, &mounts)).reduce(f64::min)
}

/// A line is `id:controllers:path`; version 2 has no controllers.
fn of_hierarchy(line: &str, mounts: &Path) -> Option<f64> {
    let mut fields = line.splitn(3, ':').skip(1);
    let (controllers, path) = (fields.next()?, fields.next()?);
    if controllers.is_empty() {
        let unified = smallest(&mounts.join("unified"), path, version_2);
        smallest(mounts, path, version_2).into_iter().chain(unified).reduce(f64::min)
    } else if controllers.split(',').any(|controller| controller == "cpu") {
        smallest(&mounts.join(controllers), path, version_1).or_else(|| smallest(&mounts.join("cpu"), path, version_1))
    } else {
        None
    }
}

/// The smallest quota from the group at `path` up to the mount's root.
fn smallest(mount: &Path, path: &str, quota: fn(&Path) -> Option<f64>) -> Option<f64> {
    // A path that leaves the group namespace is of no use to us.
    let path = if path.split('/').any(|part| part == "..") { "" } else { path.trim_start_matches('/') };
    Path::new(path).ancestors().filter_map(|group| quota(&mount.join(group))).reduce(f64::min)
}

/// `150000 100000`, or `max 100000`.
fn version_2(group: &Path) -> Option<f64> {
    let text = fs::read_to_string(group.join("cpu.max")).ok()?;
    let mut fields = text.split_whitespace();
    ratio(fields.next()?, fields.next().unwrap_or("100000"))
}

/// A quota of -1 is none.
fn version_1(group: &Path) -> Option<f64> {
    let quota = fs::read_to_string(group.join("cpu.cfs_quota_us")).ok()?;
    let period = fs::read_to_string(group.join("cpu.cfs_period_us")).ok()?;
    ratio(quota.trim(), period.trim())
}

fn ratio(quota: &str, period: &str) -> Option<f64> {
    let (quota, period): (u64, u64) = (quota.parse().ok()?, period.parse().ok()?);
    (quota > 0 && period > 0).then(|| quota as f64 / period as f64)
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::super::machine::tests::Tree;
    use super::*;

    #[test]
    fn version_2_takes_the_smallest_on_the_way_up() {
        let tree = Tree::new();
        tree.file("proc/self/cgroup", "0::/a/b/c\n");
        assert_eq!(read(tree.root()), None);
        tree.file("sys/fs/cgroup/a/b/c/cpu.max", "400000 100000\n");
        assert_eq!(read(tree.root()), Some(4.0));
        tree.file("sys/fs/cgroup/a/b/cpu.max", "max 100000\n");
        tree.file("sys/fs/cgroup/a/cpu.max", "150000 100000\n");
        assert_eq!(read(tree.root()), Some(1.5));
        tree.file("sys/fs/cgroup/cpu.max", "50000\n");
        assert_eq!(read(tree.root()), Some(0.5));
    }

    #[test]
    fn version_1_reads_its_cpu_controller() {
        let tree = Tree::new();
        tree.file("proc/self/cgroup", "5:cpuset:/x\n4:cpu,cpuacct:/docker/0a\n3:memory:/docker/0a\n");
        tree.file("sys/fs/cgroup/cpuset/x/cpu.cfs_quota_us", "1");
        tree.file("sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "-1\n");
        tree.file("sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us", "100000\n");
        assert_eq!(read(tree.root()), None);
        // The container's own group is mounted at the root.
        tree.file("sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "250000\n");
        assert_eq!(read(tree.root()), Some(2.5));
        tree.file("sys/fs/cgroup/cpu,cpuacct/docker/0a/cpu.cfs_quota_us", "100000\n");
        tree.file("sys/fs/cgroup/cpu,cpuacct/docker/0a/cpu.cfs_period_us", "100000\n");
        assert_eq!(read(tree.root()), Some(1.0));
    }

    #[test]
    fn both_versions_at_once() {
        let tree = Tree::new();
        tree.file("proc/self/cgroup", "2:cpu:/\n0::/\n");
        tree.file("sys/fs/cgroup/cpu/cpu.cfs_quota_us", "300000");
        tree.file("sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000");
        assert_eq!(read(tree.root()), Some(3.0));
        tree.file("sys/fs/cgroup/unified/cpu.max", "200000 100000");
        assert_eq!(read(tree.root()), Some(2.0));
    }

    #[test]
    fn nonsense_is_no_quota() {
        let tree = Tree::new();
        assert_eq!(read(tree.root()), None);
        for cgroup in ["", "\n\n", "0", "0:", ":::::", "0::", "x:cpu", "0::/../../secret\n", "0::/no/such\n1:cpu:/no"] {
            tree.file("proc/self/cgroup", cgroup);
            for max in ["", "max", "0 100000", "1 0", "-1 100000", "100000 x", "99999999999999999999 1", "1.5 1"] {
                tree.file("sys/fs/cgroup/cpu.max", max);
                assert_eq!(read(tree.root()), None, "{cgroup:?} {max:?}");
            }
        }
        tree.file("secret/cpu.max", "1 1");
        tree.file("proc/self/cgroup", "0::/../../secret\n");
        assert_eq!(read(tree.root()), None);
    }

    #[test]
    fn this_machine_has_a_sensible_one() {
        assert!(read(Path::new("/")).is_none_or(|quota| quota > 0.0));
    }
}

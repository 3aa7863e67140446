//! The CPUs we may use, how near they are to each other, and how much of them is ours.
//!
//! Promise: what can be found out, and no error for what cannot: on systems without `/sys` all CPUs are equally far.
//!
//! How: the allowed CPUs through core_affinity, the topology from `/sys/devices/system/cpu`, the quota from the control
//! groups. core_affinity reads the mask of the *calling thread*: [`Machine::read`] must come before anything is pinned,
//! and on a thread that is pinned it finds one CPU.
//!
//! Gives up: CPUs that come, go or change their mask while we run.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use super::quota;

/// How far two CPUs are apart: the same one.
pub(crate) const SAME: u8 = 0;
/// Two threads of one physical core.
pub(crate) const SIBLING: u8 = 1;
/// They share a third-level cache.
pub(crate) const SAME_L3: u8 = 2;
/// They share a memory node.
pub(crate) const SAME_NODE: u8 = 3;
/// Nothing is shared, or nothing is known.
pub(crate) const REMOTE: u8 = 4;

/// See the [module](self).
#[derive(Clone, Debug, Default)]
pub(crate) struct Machine {
    /// CPUs that this process may use, ascending; empty if unknown.
    pub(crate) allowed: Vec<usize>,
    /// The CPU quota, in CPUs.
    pub(crate) quota: Option<f64>,
    /// Where the allowed CPUs are.
    pub(crate) places: BTreeMap<usize, Place>,
}

/// Where a CPU is. Cores and caches are named by the first CPU that belongs to them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) core: usize,
    pub(crate) l3: Option<usize>,
    /// The memory node, or the package where nodes are unknown.
    pub(crate) node: Option<usize>,
}

impl Machine {
    /// Looks at this machine, from a thread that is not pinned.
    pub(crate) fn read() -> Self {
        let ids = core_affinity::get_core_ids().unwrap_or_default();
        Self::read_from(Path::new("/"), ids.into_iter().map(|core| core.id).collect())
    }

    fn read_from(root: &Path, mut allowed: Vec<usize>) -> Self {
        allowed.sort_unstable();
        allowed.dedup();
        let places = allowed.iter().filter_map(|&cpu| Some((cpu, place(root, cpu)?))).collect();
        Machine { allowed, quota: quota::read(root), places }
    }

    /// How far two CPUs are apart: [`SAME`], [`SIBLING`], [`SAME_L3`], [`SAME_NODE`] or [`REMOTE`].
    pub(crate) fn distance(&self, a: usize, b: usize) -> u8 {
        if a == b {
            return SAME;
        }
        let (Some(a), Some(b)) = (self.places.get(&a), self.places.get(&b)) else { return REMOTE };
        let same = |a: Option<usize>, b: Option<usize>| a.is_some() && a == b;
        if a.core == b.core {
            SIBLING
        } else if same(a.l3, b.l3) {
            SAME_L3
        } else if same(a.node, b.node) {
            SAME_NODE
        } else {
            REMOTE
        }
    }

    /// The allowed CPUs in the order in which workers should get them: one thread of each core before the second ones,
    /// and near ones together.
    pub(crate) fn cores_first(&self) -> Vec<usize> {
        let mut threads = BTreeMap::<usize, usize>::new();
        let mut order: Vec<_> = self
            .allowed
            .iter()
            .map(|&cpu| {
                let place = self.places.get(&cpu);
                let taken = threads.entry(place.map_or(cpu, |place| place.core)).or_default();
                *taken += 1;
                (*taken, place.and_then(|place| place.node), place.and_then(|place| place.l3), cpu)
            })
            .collect();
        order.sort_unstable();
        order.into_iter().map(|(.., cpu)| cpu).collect()
    }

    /// Whether the quota keeps the process from using all its CPUs at once.
    pub(crate) fn is_throttled(&self) -> bool {
        self.quota.is_some_and(|quota| quota < self.allowed.len() as f64)
    }
}

/// A CPU's place, if the kernel tells it.
fn place(root: &Path, cpu: usize) -> Option<Place> {
    let directory = root.join(format!("sys/devices/system/cpu/cpu{cpu}"));
    let first = |file: &str| first_number(&fs::read_to_string(directory.join(file)).ok()?);
    let core = first("topology/thread_siblings_list")?;
    let node = fs::read_dir(&directory).ok()?.filter_map(Result::ok).find_map(|entry| {
        let name = entry.file_name();
        name.to_str()?.strip_prefix("node")?.parse().ok()
    });
    Some(Place {
        core,
        l3: first("cache/index3/shared_cpu_list"),
        node: node.or_else(|| first("topology/physical_package_id")),
    })
}

/// The first number of a list such as `0-3,8`: all that is needed to name a group of CPUs.
fn first_number(list: &str) -> Option<usize> {
    list.trim().split(['-', ',']).next()?.parse().ok()
}

#[cfg(all(test, not(loom)))]
pub(super) mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::sync::atomic::{AtomicUsize, Ordering};

    /// A directory that stands for `/` and goes away.
    pub(in super::super) struct Tree(PathBuf);

    impl Tree {
        pub(in super::super) fn new() -> Self {
            static NEXT: AtomicUsize = AtomicUsize::new(0);
            // Ordering: Relaxed, only the number matters.
            let name = format!("cuelight-tree-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
            Tree(std::env::temp_dir().join(name))
        }

        pub(in super::super) fn root(&self) -> &Path {
            &self.0
        }

        pub(in super::super) fn file(&self, path: &str, text: &str) {
            let path = self.0.join(path);
            fs::create_dir_all(path.parent().expect("a file is in a directory")).expect("a writable directory");
            fs::write(path, text).expect("a writable file");
        }

        fn cpu(&self, cpu: usize, siblings: &str, l3: &str, node: usize) {
            let at = |file: &str| format!("sys/devices/system/cpu/cpu{cpu}/{file}");
            self.file(&at("topology/thread_siblings_list"), siblings);
            self.file(&at("topology/physical_package_id"), "0\n");
            self.file(&at("cache/index3/shared_cpu_list"), l3);
            self.file(&at(&format!("node{node}/cpulist")), "");
        }
    }

    impl Drop for Tree {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn distances_follow_the_topology() {
        let tree = Tree::new();
        // Two nodes; on node 0 two caches of two cores with two threads each, siblings eight apart.
        for core in 0..8 {
            for cpu in [core, core + 8] {
                let l3 = ["0-1,8-9\n", "2-3,10-11\n", "4-7,12-15\n"][(core / 2).min(2)];
                tree.cpu(cpu, &format!("{core},{}\n", core + 8), l3, core / 4);
            }
        }
        tree.file("sys/devices/system/cpu/cpu99/topology/thread_siblings_list", "junk");
        let machine = Machine::read_from(tree.root(), (0..16).rev().chain([99, 3]).collect());
        assert_eq!(machine.allowed.len(), 17);
        assert_eq!(machine.quota, None);
        let near = |a, b| {
            assert_eq!(machine.distance(a, b), machine.distance(b, a));
            machine.distance(a, b)
        };
        assert_eq!(near(0, 0), SAME);
        assert_eq!(near(0, 8), SIBLING);
        assert_eq!(near(0, 1), SAME_L3);
        assert_eq!(near(0, 9), SAME_L3);
        assert_eq!(near(0, 2), SAME_NODE);
        assert_eq!(near(0, 4), REMOTE);
        assert_eq!(near(0, 99), REMOTE);
        assert_eq!(near(98, 99), REMOTE);
        assert_eq!(near(99, 99), SAME);
        let machine = Machine::read_from(tree.root(), (0..16).collect());
        assert_eq!(machine.cores_first(), (0..16).collect::<Vec<_>>());
    }

    #[test]
    fn siblings_that_are_neighbours_come_last() {
        let tree = Tree::new();
        (0..4).for_each(|cpu| tree.cpu(cpu, &format!("{}-{}\n", cpu / 2 * 2, cpu / 2 * 2 + 1), "0-3\n", 0));
        assert_eq!(Machine::read_from(tree.root(), (0..4).collect()).cores_first(), [0, 2, 1, 3]);
        assert_eq!(Machine::read_from(tree.root(), vec![1, 3]).cores_first(), [1, 3]);
        assert_eq!(Machine::read_from(tree.root(), vec![1, 2, 3]).cores_first(), [1, 2, 3]);
    }

    #[test]
    fn knows_nothing_and_says_so() {
        let tree = Tree::new();
        let machine = Machine::read_from(tree.root(), vec![3, 1]);
        assert_eq!(machine.allowed, [1, 3]);
        assert_eq!(machine.cores_first(), [1, 3]);
        assert_eq!(machine.distance(1, 3), REMOTE);
        assert!(!machine.is_throttled());
    }

    #[test]
    fn this_machine_can_be_read() {
        let machine = Machine::read();
        assert_eq!(machine.cores_first().len(), machine.allowed.len());
        assert!(machine.places.len() <= machine.allowed.len());
    }
}

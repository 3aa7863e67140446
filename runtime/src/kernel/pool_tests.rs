use super::*;
use std::collections::VecDeque;

const CLASS: Class = Class(1);

fn slabs() -> usize {
    POOL.with(|pool| pool.shelf(CLASS, |shelf| shelf.slabs))
}

fn take(count: usize) -> VecDeque<NonNull<u8>> {
    (0..count).map(|_| allocate(CLASS)).collect()
}

fn give(nodes: impl IntoIterator<Item = NonNull<u8>>) {
    for node in nodes {
        // SAFETY: from `take`, once.
        unsafe { free(node, CLASS) };
    }
}

/// A backlog that stands, and traffic that goes round it: what the traffic needs does not depend on how long it lasts.
#[test]
fn a_standing_backlog_does_not_make_the_pool_grow() {
    let per_slab = take(1).len().max(1000);
    for standing in [6, 40, 200] {
        // Standing messages lie in groups between memory that is free again.
        let mut backlog = Vec::new();
        let mut holes = Vec::new();
        for _ in 0..standing / 6 + 1 {
            backlog.extend(take(6 * per_slab));
            holes.extend(take(4 * per_slab));
        }
        give(holes);
        let mut traffic = take(4 * per_slab);
        let before = slabs();
        let mut most = before;
        for round in 0..5_000_000 {
            if let Some(oldest) = traffic.pop_front() {
                give([oldest]);
            }
            traffic.push_back(allocate(CLASS));
            if round % 1000 == 0 {
                most = most.max(slabs());
            }
        }
        eprintln!("standing {standing}: {before} slabs, at most {most}");
        give(traffic);
        give(backlog);
        release_thread();
    }
    panic!();
}

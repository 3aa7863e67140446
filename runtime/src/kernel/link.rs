//! Links: actors that end together.
//!
//! Promise: of two linked actors the end of one stops the other, or sends it one notice if it traps; exactly once for each
//! link, also if the other has ended before. A link is there for both or for neither.
//!
//! How: each has a list of its peers under a lock, beside the cell. To link and to unlink takes both locks, the one of the
//! lower identity first, and changes both lists. An end takes its own list, marks it, and then, one lock at a time, takes
//! itself off each peer's list and tells the peer.
//!
//! **Link against the end of the target.** A, the link first: the end finds the linker in its list, and tells it. B, the
//! end's mark first: the link finds it, and tells the linker. Once either way: the list is taken once, and has each peer
//! once.
//!
//! **Both end at once.** Each takes its own list, and finds the other one marked or not. A, marked: it has ended, and is
//! told nothing. B, not yet: it is stopped or told, and that comes too late: a stop changes nothing any more, a notice is
//! dead-lettered. Neither holds one lock and waits for another.
//!
//! Gives up: speed, with many links of one actor: lists are searched.

use super::cell::{CellRef, Header, control};
use super::outbox;
use super::parcel::Port;
use super::watch::{StopReason, Terminated};
use crate::sync::Mutex;

/// The links of one actor.
pub(super) struct Links(Mutex<State>);

struct State {
    peers: Vec<CellRef>,
    /// Where notices go, if the actor traps.
    trap: Option<Port<Terminated>>,
    ended: Option<StopReason>,
}

impl State {
    fn find(&self, peer: usize) -> Option<usize> {
        self.peers.iter().position(|each| each.address() == peer)
    }

    fn insert(&mut self, peer: &mut Option<CellRef>) {
        if let Some(new) = peer.take_if(|peer| self.find(peer.address()).is_none()) {
            self.peers.push(new);
        }
    }

    fn remove(&mut self, peer: usize) -> Option<CellRef> {
        self.find(peer).map(|at| self.peers.swap_remove(at))
    }
}

impl Links {
    pub(super) fn new() -> Self {
        Self(Mutex::new(State { peers: Vec::new(), trap: None, ended: None }))
    }

    /// Has notices sent to `trap` instead of stops, or stops again. Returns what was there, to be dropped.
    #[must_use = "to be dropped outside the lock"]
    pub(super) fn set_trap(&self, trap: Option<Port<Terminated>>) -> Option<Port<Terminated>> {
        std::mem::replace(&mut self.0.lock().trap, trap)
    }

    /// Ends the list: the caller tells those that it gets.
    pub(super) fn end(&self, reason: StopReason) -> Vec<CellRef> {
        let mut state = self.0.lock();
        state.ended = Some(reason);
        let (peers, trap) = (std::mem::take(&mut state.peers), state.trap.take());
        drop(state);
        drop(trap);
        peers
    }

    /// Runs `f` with both lists. They must be of two actors.
    fn both<R>(&self, other: &Self, first: bool, f: impl FnOnce(&mut State, &mut State) -> R) -> R {
        if first {
            let mut mine = self.0.lock();
            f(&mut mine, &mut other.0.lock())
        } else {
            let mut theirs = other.0.lock();
            f(&mut self.0.lock(), &mut theirs)
        }
    }
}

/// The order in which locks are taken: by identity, and by address for actors of two systems that have the same. (Models,
/// and simulation, do not follow addresses.)
fn comes_first(one: &CellRef, other: &CellRef) -> bool {
    (one.header().id(), one.address()) < (other.header().id(), other.address())
}

/// Links an actor, in its own turn, with another one.
pub(super) fn link(me: &CellRef, target: &CellRef) {
    if me.address() == target.address() {
        return;
    }
    // Counted before the locks, and given back after them.
    let (mut one, mut other) = (Some(me.clone()), Some(target.clone()));
    let ended = match (me.header().links(), target.header().links()) {
        (Some(mine), Some(theirs)) => mine.both(theirs, comes_first(me, target), |mine, theirs| {
            if theirs.ended.is_none() {
                mine.insert(&mut other);
                theirs.insert(&mut one);
            }
            theirs.ended.clone()
        }),
        _ => Some(target.header().reason()),
    };
    if let Some(reason) = ended {
        tell(target.header(), me, reason);
    }
}

/// Takes a link back, in the turn of an actor.
pub(super) fn unlink(me: &CellRef, target: &CellRef) {
    if me.address() == target.address() {
        return;
    }
    let (Some(mine), Some(theirs)) = (me.header().links_if_any(), target.header().links_if_any()) else { return };
    let gone = mine.both(theirs, comes_first(me, target), |mine, theirs| {
        (mine.remove(target.address()), theirs.remove(me.address()))
    });
    drop(gone);
}

/// Tells `peer` that an actor has ended with which it was, or is to be, linked.
pub(super) fn tell(ended: &Header, peer: &CellRef, reason: StopReason) {
    let Some(links) = peer.header().links_if_any() else { return };
    let mut state = links.0.lock();
    if state.ended.is_some() {
        return;
    }
    let gone = state.remove(std::ptr::from_ref(ended).addr());
    let trap = state.trap.clone();
    drop(state);
    drop(gone);
    let Some(trap) = trap else {
        outbox::flush();
        peer.stop(control::LINK);
        return;
    };
    let hub = peer.header().hub();
    hub.count_sent(1);
    match trap.parcel(Terminated { id: ended.id(), reason }).send_after_flush() {
        Ok(None) => {}
        Ok(Some(runnable)) => hub.schedule(runnable),
        Err(refused) => refused.bury(),
    }
}

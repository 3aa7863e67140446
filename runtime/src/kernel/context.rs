//! The kernel's part of a context: what a running actor may do to its own cell.
//!
//! A context exists while its actor's turn runs, on the thread that has the right to run; it is lent to handlers and does
//! not outlive them. That is what its methods rely on (C2).

use super::cell::{Address, CellRef, Header, Under, control};
use super::credits::{Credits, Writable};
use super::schedule::Receive;
use super::timers::Timers;
use super::watch::{ActorId, Terminated, Watch};
use std::marker::PhantomData;
use std::ptr::NonNull;

/// What a handler knows of its actor and its system.
///
/// A `&mut Context<Self>` comes with every message; it is lent, and never outlives the handler:
/// ```compile_fail
/// # use cuelight::{Actor, Context, Handler};
/// struct Keeper(Option<&'static mut Context<Keeper>>);
/// impl Actor for Keeper {}
/// impl Handler<()> for Keeper {
///     type Reply = ();
///     fn handle(&mut self, (): (), ctx: &mut Context<Self>) { self.0 = Some(ctx) }
/// }
/// ```
///
/// Nor does it leave the worker:
/// ```compile_fail,E0277
/// # use cuelight::{Actor, Context};
/// struct Sharer;
/// impl Actor for Sharer {
///     fn started(&mut self, ctx: &mut Context<Self>) {
///         std::thread::scope(|scope| scope.spawn(|| ctx.stop()).join().unwrap());
///     }
/// }
/// ```
// Transparent: the kernel lends one of any `A` as a pointer, to code that was made for the right one.
#[repr(transparent)]
pub struct Context<A> {
    cell: NonNull<Header>,
    actor: PhantomData<fn(A)>,
}

impl<A> Context<A> {
    /// Asks for one notice when `target` ends.
    pub(crate) fn add_watch(&self, target: &CellRef)
    where
        A: Receive<Terminated>,
    {
        let me = self.address();
        let watch = Watch { notice: me.notices::<Terminated>().reserve() };
        let target = target.header();
        let late = match target.watchers() {
            Some(watchers) => watchers.add(watch).err(),
            None => Some((watch, target.reason())),
        };
        if let Some((watch, reason)) = late {
            super::turn::notify(target, watch, reason);
        }
    }

    /// Asks for one notice when there is room in the mailbox of `target`.
    pub(crate) fn add_writable(&self, target: &CellRef)
    where
        A: Receive<Writable>,
    {
        let notice = self.address().notices::<Writable>().reserve();
        let header = target.header();
        match header.credits() {
            Some(credits) => credits.notify(notice, header.id()),
            None => Credits::always(notice, header.id()),
        }
    }

    /// Has this actor and `target` end together.
    pub(crate) fn add_link(&mut self, target: &CellRef) {
        super::link::link(self.address().cell(), target);
    }

    /// Takes that back.
    pub(crate) fn remove_link(&mut self, target: &CellRef) {
        super::link::unlink(self.address().cell(), target);
    }

    /// Has ends of linked actors sent as messages, or stop this one again.
    pub(crate) fn set_trap(&mut self, trap: bool)
    where
        A: Receive<Terminated>,
    {
        let port = trap.then(|| self.address().notices::<Terminated>());
        if let Some(links) = self.header().links() {
            drop(links.set_trap(port));
        }
    }

    /// Takes the watches of `target` back that have not been answered.
    pub(crate) fn remove_watch(&self, target: &CellRef) {
        let target = target.header();
        // An actor that nobody has watched needs no list for this.
        if let Some(watchers) = target.watchers_if_any() {
            drop(watchers.remove(self.address().cell()));
        }
    }
}

impl<A> Context<A> {
    /// # Safety
    /// 1. The caller has the right to run the cell for as long as the context lives, and the cell's state is an `A`, or
    ///    the context is only passed on to code that was made for the right `A`.
    pub(super) unsafe fn new(cell: NonNull<Header>) -> Self {
        Self { cell, actor: PhantomData }
    }

    /// The cell; alive because it is being activated (C1).
    #[inline(always)]
    pub(crate) fn header(&self) -> &Header {
        // SAFETY: C1 and the duty of `new`.
        unsafe { self.cell.as_ref() }
    }

    /// The actor's own address.
    pub(crate) fn address(&self) -> Address<A> {
        // SAFETY: the duty of `new`: the cell is there, and its state is an `A` wherever this can be called.
        unsafe { Address::of_running(self.cell) }
    }

    /// Whether the actor has been stopped: it handles no further message. One that drains does, and may need children for it.
    pub(crate) fn stopping(&self) -> bool {
        self.header().stop_bits() & control::ENDS != 0
    }

    /// Asks for the end after this message.
    pub(crate) fn request_stop(&mut self) {
        self.header().stop_self();
    }

    /// The actor's timers. `f` is the layer above's own.
    pub(crate) fn timers<R>(&mut self, f: impl FnOnce(&mut Timers) -> R) -> R {
        // SAFETY: C2: the context is lent to the holder of the right to run.
        unsafe { self.header().with_timers(f) }
    }

    /// Whether it may have any; `timers` makes room for them.
    pub(crate) fn may_have_timers(&self) -> bool {
        self.header().may_have_timers()
    }

    /// Whether turns are to note when the actor becomes idle.
    pub(crate) fn note_idleness(&mut self, wanted: bool) {
        if wanted {
            self.header().note_bits(control::IDLE);
        } else {
            self.header().clear_bits(control::IDLE);
        }
    }

    /// The place of a child of this actor.
    pub(crate) fn under(&self) -> Under {
        Under::Parent(self.cell)
    }

    /// Puts a new child on the list.
    pub(crate) fn adopt(&mut self, child: CellRef) {
        self.header().children.with_mut(|children| {
            // SAFETY: C2: the context is lent to the holder of the right to run.
            let children = unsafe { &mut *children };
            child.header().slot.set(children.len() as u32);
            children.push(child);
        });
    }

    /// The children that have not ended, as far as this activation knows.
    pub(crate) fn each_child(&self, mut f: impl FnMut(ActorId)) {
        self.header().children.with(|children| {
            // SAFETY: C2, as above; `f` is the layer above's own.
            for child in unsafe { &*children }.iter() {
                f(child.header().id);
            }
        });
    }

    /// The parent, unless this is an actor of the root.
    pub(crate) fn parent_id(&self) -> Option<ActorId> {
        // SAFETY: C4: a parent outlives its children.
        unsafe { self.header().parent.as_ref() }.map(Header::id)
    }
}

//! The actor in front of a pool: the members' parent, through which every message goes.

use super::{Plan, PoolStatus, Routing};
use crate::actor::{Actor, ActorRef, Handler, ReplyTo};
use crate::error::{SpawnError, TellError};
use crate::kernel::context::Context;
use crate::kernel::guard::guarded;
use crate::kernel::watch::Terminated;
use crate::sync::Arc;
use crate::sync::atomic::{AtomicUsize, Ordering};
use std::cmp::Reverse;
use std::hash::{DefaultHasher, Hash, Hasher};

/// Whom a message is for.
#[derive(Clone, Copy)]
pub(super) enum To {
    Any,
    Key(u64),
}

impl To {
    /// On the sender's thread: hashes are user code.
    pub(super) fn of(key: &impl Hash) -> Self {
        // The same in each process: a simulation follows it.
        let mut hasher = DefaultHasher::new();
        key.hash(&mut hasher);
        Self::Key(hasher.finish())
    }
}

pub(super) struct Job<M> {
    pub(super) message: M,
    pub(super) to: To,
}

pub(super) struct Question<M, R> {
    pub(super) job: Job<M>,
    pub(super) reply: ReplyTo<R>,
}

pub(super) struct Broadcast<M>(pub(super) M);

pub(super) struct Status;

/// It is time to look whether the pool is to grow.
struct Grow;

/// Or to shrink.
struct Shrink;

/// Messages on their way to one member.
#[derive(Clone, Default)]
struct Load(Arc<AtomicUsize>);

/// One of them.
struct Unit(Load);

impl Load {
    fn unit(&self) -> Unit {
        // Ordering: Relaxed: a figure, which nothing else is read by.
        self.0.fetch_add(1, Ordering::Relaxed);
        Unit(self.clone())
    }

    fn get(&self) -> usize {
        // Ordering: Relaxed: as above.
        self.0.load(Ordering::Relaxed)
    }
}

impl Drop for Unit {
    fn drop(&mut self) {
        // Ordering: Relaxed: as above.
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}

struct Member<A> {
    actor: ActorRef<A>,
    load: Load,
    /// What keys pick by: the smallest that was free.
    number: u64,
}

impl<A: Actor> Member<A> {
    fn tell<M: Send + 'static>(&self, message: M) -> Result<(), M>
    where
        A: Handler<M>,
    {
        self.actor.tell_holding(message, self.load.unit()).map_err(TellError::into_message)
    }
}

pub(super) type Spawn<A> = Box<dyn FnMut(Option<A>, &mut Context<Lead<A>>) -> Result<ActorRef<A>, SpawnError> + Send>;

/// The actor in front.
pub(super) struct Lead<A: Actor> {
    plan: Plan,
    /// The first members, the last one first, until it has started.
    made: Vec<A>,
    spawn: Spawn<A>,
    members: Vec<Member<A>>,
    next: usize,
    /// A look is on its way.
    growing: bool,
    shrinking: bool,
    /// At the last look there was little to do.
    calm: bool,
    status: PoolStatus,
}

impl<A: Actor> Lead<A> {
    pub(super) fn new(plan: Plan, made: Vec<A>, spawn: Spawn<A>) -> Self {
        Self {
            plan,
            made,
            spawn,
            members: Vec::new(),
            next: 0,
            growing: false,
            shrinking: false,
            calm: false,
            status: PoolStatus::default(),
        }
    }

    /// Spawns a member. `None`: this actor is ending.
    fn member(&mut self, number: u64, ctx: &mut Context<Self>) -> Option<Member<A>> {
        match (self.spawn)(self.made.pop(), ctx) {
            Ok(actor) => {
                ctx.watch(&actor);
                Some(Member { actor, load: Load::default(), number })
            }
            Err(error @ SpawnError::FactoryPanicked(_)) => panic!("no new member: {error}"),
            Err(_) => {
                ctx.stop();
                None
            }
        }
    }

    /// Adds a member under the smallest free number.
    fn add(&mut self, ctx: &mut Context<Self>) -> bool {
        let mut taken: Vec<u64> = self.members.iter().map(|member| member.number).collect();
        taken.sort_unstable();
        let number =
            (0..).zip(&taken).find(|(free, taken)| free != *taken).map_or(taken.len() as u64, |(free, _)| free);
        let Some(member) = self.member(number, ctx) else { return false };
        self.members.push(member);
        true
    }

    /// Replaces a member that has ended, or refuses because it is about to.
    fn replace(&mut self, index: usize, ctx: &mut Context<Self>) -> bool {
        let number = self.members[index].number;
        let Some(member) = self.member(number, ctx) else { return false };
        self.members[index] = member;
        self.status.replaced += 1;
        true
    }

    fn load(&self) -> usize {
        self.members.iter().map(|member| member.load.get()).sum()
    }

    fn pick(&mut self, to: To) -> usize {
        let count = self.members.len();
        match (to, self.plan.routing) {
            (To::Key(key), _) => {
                let by_hash = |&index: &usize| mix(key ^ mix(self.members[index].number));
                (0..count).max_by_key(by_hash).unwrap_or(0)
            }
            (To::Any, Routing::RoundRobin) => {
                self.next = (self.next + 1) % count;
                self.next
            }
            (To::Any, Routing::LeastLoaded) => {
                // Of equals the one whose turn it is.
                self.next = (self.next + 1) % count;
                let around = (0..count).map(|step| (self.next + step) % count);
                around.max_by_key(|&index| Reverse(self.members[index].load.get())).unwrap_or(0)
            }
        }
    }

    /// Gives something to a member, or to the one that replaces it. `send` gives it back if that one refuses.
    fn give<T>(
        &mut self,
        index: usize,
        mut what: T,
        ctx: &mut Context<Self>,
        mut send: impl FnMut(&Member<A>, T) -> Result<(), T>,
    ) -> Result<(), T> {
        loop {
            match send(&self.members[index], what) {
                Ok(()) => return Ok(()),
                Err(refused) => what = refused,
            }
            if !self.replace(index, ctx) {
                return Err(what);
            }
        }
    }

    /// Gives something to the member that it is for.
    fn assign<T>(
        &mut self,
        to: To,
        what: T,
        ctx: &mut Context<Self>,
        send: impl FnMut(&Member<A>, T) -> Result<(), T>,
    ) -> Result<(), T> {
        let index = self.pick(to);
        self.give(index, what, ctx, send)?;
        self.see_load(ctx);
        Ok(())
    }

    /// Whether there is enough to do for one more.
    fn is_loaded(&self) -> bool {
        self.members.len() < self.plan.most && self.load() >= self.plan.grow.0.saturating_mul(self.members.len())
    }

    /// Grows, or looks again later, if there is enough to do.
    fn see_load(&mut self, ctx: &mut Context<Self>) {
        let (_, after) = self.plan.grow;
        if self.growing || !self.is_loaded() {
            return;
        }
        if after.is_zero() {
            self.grow(ctx);
        } else {
            self.growing = true;
            ctx.send_after(after, Grow);
        }
    }

    fn grow(&mut self, ctx: &mut Context<Self>) {
        if self.add(ctx) {
            self.status.grown += 1;
            self.calm = false;
            self.see_calm(ctx);
        }
    }

    fn see_calm(&mut self, ctx: &mut Context<Self>) {
        if !self.shrinking && self.members.len() > self.plan.least {
            self.shrinking = true;
            ctx.send_after(self.plan.shrink, Shrink);
        }
    }
}

/// Spreads a number (Steele, Lea and Flood 2014).
fn mix(n: u64) -> u64 {
    let n = n.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let n = (n ^ (n >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let n = (n ^ (n >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    n ^ (n >> 31)
}

impl<A: Actor> Actor for Lead<A> {
    fn started(&mut self, ctx: &mut Context<Self>) {
        while !self.made.is_empty() && self.add(ctx) {}
    }
}

impl<A: Handler<M>, M: Send + 'static> Handler<Job<M>> for Lead<A> {
    type Reply = ();

    fn handle(&mut self, Job { message, to }: Job<M>, ctx: &mut Context<Self>) {
        if let Err(message) = self.assign(to, message, ctx, Member::tell) {
            // Nobody will be there any more: it ends, and this is buried with what is queued.
            ctx.put_back([Job { message, to }]);
        }
    }
}

impl<A: Handler<M>, M: Send + 'static> Handler<Question<M, A::Reply>> for Lead<A> {
    type Reply = ();

    fn handle(&mut self, question: Question<M, A::Reply>, ctx: &mut Context<Self>) {
        let Question { job: Job { message, to }, reply } = question;
        let send = |member: &Member<A>, (message, reply)| {
            member.actor.forward_holding(message, reply, member.load.unit()).map_err(TellError::into_message)
        };
        if let Err((message, reply)) = self.assign(to, (message, reply), ctx, send) {
            ctx.put_back([Question { job: Job { message, to }, reply }]);
        }
    }
}

impl<A: Handler<M>, M: Clone + Send + 'static> Handler<Broadcast<M>> for Lead<A> {
    type Reply = ();

    fn handle(&mut self, Broadcast(message): Broadcast<M>, ctx: &mut Context<Self>) {
        for index in 0..self.members.len() {
            // The members' parent must not fail by it.
            let Ok(copy) = guarded(|| message.clone()) else { return };
            if let Err(copy) = self.give(index, copy, ctx, Member::tell) {
                ctx.put_back([Job { message: copy, to: To::Any }]);
                return;
            }
        }
    }
}

impl<A: Actor> Handler<Terminated> for Lead<A> {
    type Reply = ();

    fn handle(&mut self, notice: Terminated, ctx: &mut Context<Self>) {
        // One that has been replaced is not among them any more, and one that was let go is not watched.
        if let Some(index) = self.members.iter().position(|member| member.actor.id() == notice.id) {
            self.replace(index, ctx);
        }
    }
}

impl<A: Actor> Handler<Status> for Lead<A> {
    type Reply = PoolStatus;

    fn handle(&mut self, Status: Status, _: &mut Context<Self>) -> PoolStatus {
        PoolStatus { members: self.members.len(), load: self.load(), ..self.status }
    }
}

impl<A: Actor> Handler<Grow> for Lead<A> {
    type Reply = ();

    fn handle(&mut self, Grow: Grow, ctx: &mut Context<Self>) {
        self.growing = false;
        if self.is_loaded() {
            self.grow(ctx);
            self.see_load(ctx);
        }
    }
}

impl<A: Actor> Handler<Shrink> for Lead<A> {
    type Reply = ();

    fn handle(&mut self, Shrink: Shrink, ctx: &mut Context<Self>) {
        self.shrinking = false;
        let is_calm = self.load() < self.members.len();
        let was_calm = std::mem::replace(&mut self.calm, is_calm);
        let idle = self.members.iter().rposition(|member| member.load.get() == 0);
        if let (true, true, Some(index)) = (was_calm, is_calm, idle) {
            let member = self.members.remove(index);
            ctx.unwatch(&member.actor);
            member.actor.drain();
            self.status.shrunk += 1;
        }
        self.see_calm(ctx);
    }
}

//! A tree of actors that make each other: ten children a node, a number at each leaf, sums on the way up.

use super::triangle;
use crate::{
    runtimes::{Behaviour, Runtime},
    stage::Stage,
    tally::{Gate, Totals},
};
use std::sync::Arc;

const CHILDREN: u64 = 10;

/// A sum on its way up holds the number of leaves above this bit.
const LEAVES: u32 = 40;

enum Above<R: Runtime> {
    Parent(R::Ref<Node<R>>),
    Outside(Arc<Gate>),
}

struct Node<R: Runtime> {
    above: Above<R>,
    /// Leaves below it, and the number of the first.
    leaves: u64,
    first: u64,
    missing: u64,
    sum: u64,
}

enum Grow {
    Start,
    Sum(u64),
}

impl<R: Runtime> Node<R> {
    fn new(above: Above<R>, leaves: u64, first: u64) -> Self {
        Self { above, leaves, first, missing: CHILDREN, sum: 0 }
    }

    fn end(&self, sum: u64, ctx: &mut R::Context<Self>) {
        R::stop(ctx);
        match &self.above {
            Above::Parent(parent) => R::send::<Self>(parent, Grow::Sum(sum)),
            Above::Outside(gate) => gate.done.arrive(sum >> LEAVES, sum & ((1 << LEAVES) - 1)),
        }
    }
}

impl<R: Runtime> Behaviour<R> for Node<R> {
    type Message = Grow;

    fn handle(&mut self, message: Grow, ctx: &mut R::Context<Self>) {
        match message {
            Grow::Start if self.leaves == 1 => self.end((1 << LEAVES) | self.first, ctx),
            Grow::Start => {
                let each = self.leaves / CHILDREN;
                for child in 0..CHILDREN {
                    let above = Above::Parent(R::me(ctx));
                    let child = Self::new(above, each, self.first + child * each);
                    let child = R::spawn_child::<Self, Self>(ctx, child);
                    R::send::<Self>(&child, Grow::Start);
                }
            }
            Grow::Sum(sum) => {
                self.sum += sum;
                self.missing -= 1;
                if self.missing == 0 {
                    self.end(self.sum, ctx);
                }
            }
        }
    }
}

pub(super) fn skynet<R: Runtime>(stage: &mut Stage<'_, R>) -> Result<(), String> {
    let depth = (6.0 + stage.scale().log10()).round().clamp(1.0, 6.0) as u32;
    let leaves = CHILDREN.pow(depth);
    let actors = (leaves * CHILDREN - 1) / (CHILDREN - 1);
    let before = stage.runtime.live();
    let gate = Gate::new(0, 1, 0);
    let root = Node::new(Above::Outside(Arc::clone(&gate)), leaves, 0);
    stage.time("skynet", actors, &gate.done, || {
        let root = stage.runtime.spawn(root);
        R::send::<Node<R>>(&root, Grow::Start);
    })?;
    let want = Totals { count: leaves, sum: triangle(leaves) };
    gate.done.check("skynet", want)?;
    let runtime = stage.runtime;
    stage.until("every actor has stopped", || runtime.live() <= before)
}

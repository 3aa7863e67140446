//! Tokens round a ring of a thousand actors.

use super::{Starter, triangle};
use crate::{
    runtimes::{Behaviour, Runtime},
    stage::Stage,
    tally::{Gate, Totals},
};
use std::sync::Arc;

const NODES: u64 = 1000;

struct Node<R: Runtime> {
    next: Option<R::Ref<Self>>,
    got: u64,
    sum: u64,
    gate: Arc<Gate>,
}

enum Pass<R: Runtime> {
    Next(R::Ref<Node<R>>),
    Token(u64),
    Report,
}

impl<R: Runtime> Behaviour<R> for Node<R> {
    type Message = Pass<R>;

    fn handle(&mut self, message: Pass<R>, _: &mut R::Context<Self>) {
        match message {
            Pass::Next(next) => {
                self.next = Some(next);
                self.gate.ready.arrive(1, 0);
            }
            Pass::Token(left) => {
                self.got += 1;
                self.sum = self.sum.wrapping_add(left);
                match &self.next {
                    Some(next) if left > 0 => R::send::<Self>(next, Pass::Token(left - 1)),
                    _ => self.gate.done.arrive(1, 0),
                }
            }
            Pass::Report => self.gate.report.arrive(self.got, self.sum),
        }
    }
}

fn tokens<R: Runtime>(stage: &mut Stage<'_, R>, name: &str, tokens: u64, hops: u64) -> Result<(), String> {
    let gate = Gate::new(NODES, tokens, NODES);
    let node = || Node::<R> { next: None, got: 0, sum: 0, gate: Arc::clone(&gate) };
    let nodes: Vec<R::Ref<Node<R>>> = (0..NODES).map(|_| stage.spawn(node())).collect();
    for (node, next) in nodes.iter().zip(nodes.iter().cycle().skip(1)) {
        R::send::<Node<R>>(node, Pass::Next(next.clone()));
    }
    let spaced = nodes.iter().step_by((NODES / tokens) as usize);
    let first = spaced.map(|node| (node.clone(), Pass::Token(hops - 1)));
    let starter = stage.spawn(Starter::<R, Node<R>> { first: first.collect() });
    stage.wait(&gate.ready)?;
    stage.time(name, tokens * hops, &gate.done, || {
        R::send::<Starter<R, Node<R>>>(&starter, 0);
    })?;
    for node in &nodes {
        R::send::<Node<R>>(node, Pass::Report);
    }
    stage.wait(&gate.report)?;
    let want = Totals { count: tokens * hops, sum: tokens.wrapping_mul(triangle(hops)) };
    gate.report.check(name, want)
}

pub(super) fn ring<R: Runtime>(stage: &mut Stage<'_, R>) -> Result<(), String> {
    let hops = stage.scaled(2_000_000);
    tokens(stage, "ring", 1, hops)
}

pub(super) fn ring_many<R: Runtime>(stage: &mut Stage<'_, R>) -> Result<(), String> {
    let hops = stage.scaled(40_000);
    tokens(stage, "ring_many", 100, hops)
}

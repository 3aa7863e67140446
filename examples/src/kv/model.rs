//! What a client that owns its keys may be answered: exactly one thing, unless a shard has failed.

use super::client::Answer;

/// A request about one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Op {
    /// `GET`.
    Get,
    /// `SET`.
    Set(String),
    /// `DEL`.
    Del,
    /// `INCR`.
    Incr,
}

/// What an answer comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is right.
    Right,
    /// It says that a shard failed: a write may have been done or not.
    Failed,
    /// It says that a shard has too much to do: nothing was done.
    Refused,
    /// It cannot be.
    Wrong,
}

/// What a key may hold, as far as its only writer can know: one value or none, or, after failures, one of several.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key(Vec<Option<String>>);

impl Default for Key {
    fn default() -> Self {
        Self(vec![None])
    }
}

fn number(held: &Option<String>) -> Option<i64> {
    held.as_ref().map_or(Some(0), |text| text.parse().ok())
}

/// What is held after `op`.
fn after(held: &Option<String>, op: &Op) -> Option<String> {
    match op {
        Op::Get => held.clone(),
        Op::Set(value) => Some(value.clone()),
        Op::Del => None,
        Op::Incr => number(held).map_or_else(|| held.clone(), |number| Some((number + 1).to_string())),
    }
}

/// Whether `op` on what is held is answered so.
fn fits(held: &Option<String>, op: &Op, answer: &Answer) -> bool {
    match (op, answer) {
        (Op::Get, Answer::Value(value)) => held.as_ref() == Some(value),
        (Op::Get, Answer::Nil) => held.is_none(),
        (Op::Set(_), Answer::Status(status)) => status == "OK",
        (Op::Del, Answer::Number(count)) => *count == i64::from(held.is_some()),
        (Op::Incr, Answer::Number(sum)) => number(held).is_some_and(|number| number + 1 == *sum),
        (Op::Incr, Answer::Error(_)) => answer.is_error("ERR") && number(held).is_none(),
        _ => false,
    }
}

impl Key {
    /// Notes an answer, and judges it.
    pub fn answered(&mut self, op: &Op, answer: &Answer) -> Verdict {
        if answer.is_error("FAILED") {
            for held in self.0.clone() {
                let then = after(&held, op);
                if !self.0.contains(&then) {
                    self.0.push(then);
                }
            }
            return Verdict::Failed;
        }
        if answer.is_error("OVERLOADED") {
            return Verdict::Refused;
        }
        let possible: Vec<_> = self.0.iter().filter(|held| fits(held, op, answer)).collect();
        if possible.is_empty() {
            return Verdict::Wrong;
        }
        let mut then: Vec<Option<String>> = possible.into_iter().map(|held| after(held, op)).collect();
        then.sort_unstable();
        then.dedup();
        self.0 = then;
        Verdict::Right
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(text: &str) -> Answer {
        Answer::Value(text.into())
    }

    #[test]
    fn without_failures_there_is_one_answer() {
        let mut key = Key::default();
        for (op, answer, verdict) in [
            (Op::Get, Answer::Nil, Verdict::Right),
            (Op::Incr, Answer::Number(1), Verdict::Right),
            (Op::Get, value("2"), Verdict::Wrong),
            (Op::Get, Answer::Nil, Verdict::Wrong),
            (Op::Set("x".into()), Answer::Status("OK".into()), Verdict::Right),
            (Op::Incr, Answer::Number(1), Verdict::Wrong),
            (Op::Incr, Answer::Error("ERR no number".into()), Verdict::Right),
            (Op::Del, Answer::Number(0), Verdict::Wrong),
            (Op::Del, Answer::Number(1), Verdict::Right),
            (Op::Get, Answer::Error("DOWN".into()), Verdict::Wrong),
        ] {
            assert_eq!(key.answered(&op, &answer), verdict, "{op:?}, {answer:?}");
        }
    }

    #[test]
    fn a_failure_leaves_two_possibilities_until_one_is_seen() {
        let failed = Answer::Error("FAILED the shard".into());
        let mut key = Key::default();
        assert_eq!(key.answered(&Op::Incr, &failed), Verdict::Failed);
        assert_eq!(key.answered(&Op::Incr, &failed), Verdict::Failed);
        assert_eq!(key.clone().answered(&Op::Get, &Answer::Nil), Verdict::Right);
        assert_eq!(key.clone().answered(&Op::Get, &value("3")), Verdict::Wrong);
        assert_eq!(key.answered(&Op::Get, &value("2")), Verdict::Right);
        assert_eq!(key.answered(&Op::Get, &value("1")), Verdict::Wrong);
        assert_eq!(key.answered(&Op::Get, &failed), Verdict::Failed);
        assert_eq!(key, Key(vec![Some("2".into())]));
    }
}

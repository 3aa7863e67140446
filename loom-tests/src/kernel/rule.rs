//! The rule of a model: what fails is made anew, after a wait that the model ends when it likes.

use super::ledger::Ledger;
use super::probe::Probe;
use cuelight::Decision;
use cuelight::dev_hooks::kernel::{Restarts, Rule};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Waker;
use std::time::Duration;

/// Where alarms are left. Kept with `std`'s locks, which loom does not see.
#[derive(Clone)]
pub struct Waits {
    alarm: Arc<Mutex<Option<Waker>>>,
    decision: Decision,
    delay: Duration,
    at_once: Option<Arc<dyn Fn(Waker) + Send + Sync>>,
}

impl std::fmt::Debug for Waits {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Waits")
    }
}

impl Waits {
    /// Restarts that wait for their alarm.
    #[must_use]
    pub fn new() -> Self {
        Self { alarm: Arc::default(), decision: Decision::Restart, delay: Duration::from_secs(1), at_once: None }
    }

    /// Restarts that hand over their alarm before they wait for it.
    #[must_use]
    pub fn handing(to: impl Fn(Waker) + Send + Sync + 'static) -> Self {
        Self { at_once: Some(Arc::new(to)), ..Self::new() }
    }

    /// Restarts without a wait.
    #[must_use]
    pub fn none() -> Self {
        Self { delay: Duration::ZERO, ..Self::new() }
    }

    /// Failures that are escalated.
    #[must_use]
    pub fn escalates() -> Self {
        Self { decision: Decision::Escalate, ..Self::none() }
    }

    /// Takes the alarm of the actor that waits.
    #[must_use]
    pub fn take(&self) -> Option<Waker> {
        self.alarm.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl Default for Waits {
    fn default() -> Self {
        Self::new()
    }
}

impl Rule for Waits {
    fn failed(&mut self) -> (Decision, Duration) {
        (self.decision, self.delay)
    }

    fn suspended(&mut self, alarm: Waker) {
        match &self.at_once {
            Some(to) => to(alarm),
            None => *self.alarm.lock().unwrap_or_else(PoisonError::into_inner) = Some(alarm),
        }
    }

    fn resumed(&mut self) {
        drop(self.take());
    }
}

/// A probe, and what it is restarted by.
#[must_use]
pub fn restarts(id: u64, ledger: &Ledger, waits: &Waits) -> (Probe, Restarts<Probe>) {
    let (books, rule) = (ledger.clone(), waits.clone());
    (Probe::new(id, ledger), Restarts::new(move || Probe::new(id, &books), rule))
}

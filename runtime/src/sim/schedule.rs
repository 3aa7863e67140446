//! The choices that make a run, as a value to keep.

use crate::engine::sim::choice::Choice;
use std::error::Error;
use std::fmt;
use std::str::FromStr;

/// The choices that make a run of a [`Simulation`](crate::Simulation): those that were not the plain ones.
///
/// A simulation has one sequence of choices: whom to run next, and which faults happen. The plain choice is the actor that has
/// waited longest, and no fault. A schedule is the positions at which something else was chosen, and what. It prints as
/// `3:1,17:2`, and is read from that. It fits the program and the faults that it was recorded with.
///
/// # Examples
/// ```
/// use cuelight::{Actor, Context, Handler, Schedule, Simulation};
/// # struct Sum(u64);
/// # impl Actor for Sum {}
/// # impl Handler<u64> for Sum { type Reply = (); fn handle(&mut self, n: u64, _: &mut Context<Self>) { self.0 += n } }
///
/// let run = |sim: &Simulation| {
///     let sums: Vec<_> = (0..3).map(|_| sim.spawn(Sum(0))).collect();
///     sums.iter().for_each(|sum| sum.tell(1).unwrap());
///     sim.run_until_idle().unwrap();
///     sim.signature()
/// };
/// let sim = Simulation::builder().seed(7).trace(true).build()?;
/// let signature = run(&sim);
/// let text = sim.schedule().to_string();
/// let again = Simulation::builder().schedule(text.parse::<Schedule>()?).build()?;
/// assert_eq!(run(&again), signature);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Schedule(pub(crate) Vec<Choice>);

impl Schedule {
    /// Returns how many choices are not the plain ones.
    ///
    /// # Examples
    /// ```
    /// assert_eq!("3:1,17:2".parse::<cuelight::Schedule>()?.len(), 2);
    /// # Ok::<(), cuelight::ParseScheduleError>(())
    /// ```
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Returns whether all choices are plain.
    ///
    /// # Examples
    /// ```
    /// assert!("".parse::<cuelight::Schedule>()?.is_empty());
    /// # Ok::<(), cuelight::ParseScheduleError>(())
    /// ```
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, (position, choice)) in self.0.iter().enumerate() {
            let comma = if place == 0 { "" } else { "," };
            write!(f, "{comma}{position}:{choice}")?;
        }
        Ok(())
    }
}

/// A text that is no [`Schedule`].
///
/// # Examples
/// ```
/// use cuelight::Schedule;
/// let error = "3:1,x".parse::<Schedule>().unwrap_err();
/// assert_eq!(error.to_string(), "\"x\" is no choice of a schedule: \"position:choice\" with rising positions is");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParseScheduleError {
    part: String,
}

impl fmt::Display for ParseScheduleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} is no choice of a schedule: \"position:choice\" with rising positions is", self.part)
    }
}

impl Error for ParseScheduleError {}

impl FromStr for Schedule {
    type Err = ParseScheduleError;

    fn from_str(text: &str) -> Result<Self, ParseScheduleError> {
        let mut choices: Vec<Choice> = Vec::new();
        for part in text.split(',').filter(|_| !text.is_empty()) {
            let choice = part.split_once(':').and_then(|(at, choice)| Some((at.parse().ok()?, choice.parse().ok()?)));
            let rising = |&(at, _): &Choice| choices.last().is_none_or(|&(last, _)| last < at);
            match choice.filter(rising) {
                Some(choice) => choices.push(choice),
                None => return Err(ParseScheduleError { part: part.to_owned() }),
            }
        }
        Ok(Self(choices))
    }
}

//! The console owns the terminal: complaints, and a progress bar if anyone can see it.

use std::io::{self, Write};
use std::time::{Duration, Instant};

use cuelight::{Actor, Context, Handler, ReplyTo};

use super::document::Skipped;
use super::job::Outcome;

/// How often the bar is drawn at most.
const FRAME: Duration = Duration::from_millis(100);

const BAR: usize = 30;

/// What the console is told.
pub enum Event {
    /// So many bytes have been read.
    Read(u64),
    /// A document could not be read.
    Skipped(Skipped),
    /// The job is over; its outcome goes on to who asked for it, once the bar is gone.
    Over(Outcome, ReplyTo<Outcome>),
}

/// See the module.
pub struct Console {
    out: Box<dyn Write + Send>,
    bar: Option<Bar>,
}

struct Bar {
    begun: Instant,
    drawn: Instant,
    total: u64,
    done: u64,
}

impl Console {
    /// Makes a console that writes complaints to `out`.
    pub fn new(out: impl Write + Send + 'static) -> Self {
        let out = Box::new(out);
        Self { out, bar: None }
    }

    /// Adds a progress bar, for `total` bytes.
    pub fn with_bar(mut self, total: u64) -> Self {
        let begun = Instant::now();
        self.bar = Some(Bar { begun, drawn: begun, total, done: 0 });
        self
    }

    fn write(&mut self, event: &Event, now: Instant) -> io::Result<()> {
        match (event, &mut self.bar) {
            (Event::Read(bytes), Some(bar)) => {
                bar.done += bytes;
                if now.saturating_duration_since(bar.drawn) < FRAME {
                    return Ok(());
                }
                bar.drawn = now;
                write!(self.out, "\r{}\x1b[K", bar.line(now))?;
            }
            (Event::Read(_), None) => return Ok(()),
            (Event::Skipped(skipped), bar) => {
                let clear = if bar.is_some() { "\r\x1b[K" } else { "" };
                writeln!(self.out, "{clear}{skipped}")?;
            }
            (Event::Over(..), Some(_)) => write!(self.out, "\r\x1b[K")?,
            (Event::Over(..), None) => {}
        }
        self.out.flush()
    }
}

impl Bar {
    fn line(&self, now: Instant) -> String {
        const MEGA: f64 = 1e6;
        // Files grow while they are read.
        let total = self.total.max(self.done).max(1);
        let part = self.done as f64 / total as f64;
        let full = (part * BAR as f64) as usize;
        let seconds = now.saturating_duration_since(self.begun).as_secs_f64();
        format!(
            "[{}{}] {:3.0} %  {:.1} of {:.1} MB  {:.0} MB/s",
            "#".repeat(full),
            ".".repeat(BAR - full),
            part * 100.0,
            self.done as f64 / MEGA,
            total as f64 / MEGA,
            self.done as f64 / MEGA / seconds.max(1e-9),
        )
    }
}

impl Actor for Console {}

impl Handler<Event> for Console {
    type Reply = ();

    fn handle(&mut self, event: Event, ctx: &mut Context<Self>) {
        // A terminal that has gone away must not end the count.
        let _ = self.write(&event, ctx.now());
        if let Event::Over(outcome, asker) = event {
            asker.send(outcome);
        }
    }
}

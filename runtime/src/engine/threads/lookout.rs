//! The lookout: a thread that sees what no worker may be left to see.
//!
//! Promise: it is there only where a watchdog or a memory alarm was asked for, looks at both as often as either wants, and
//! ends with the workers. Gives up: a hook that blocks holds up the other's reports, too.

use super::shutdown::Leaving;
use super::watchdog::Watch;
use crate::engine::core::Core;
use crate::engine::memory::INTERVAL;
use crate::kernel::hub::Hub;
use crate::sync::thread::{self, JoinHandle};
use std::io;

/// Starts the lookout, if there is to be one.
pub(crate) fn start(hub: &Hub<Core>) -> io::Result<Option<JoinHandle<()>>> {
    if hub.config.watchdog.is_none() && hub.config.alarm.is_none() {
        return Ok(None);
    }
    hub.threads.expect_one();
    let own = hub.clone();
    let body = move || {
        let _leaving = Leaving(&own.threads);
        own.threads.own_this_thread();
        live(&own);
    };
    let name = format!("{}-lookout", hub.config.name);
    let started = thread::Builder::new().name(name).spawn(body);
    if started.is_err() {
        hub.threads.never_began(1);
    }
    started.map(Some)
}

fn live(core: &Core) {
    let mut watch = core.config.watchdog.as_ref().map(Watch::new);
    let alarm = core.config.alarm.as_ref();
    let pause = watch.as_ref().map(Watch::pause).into_iter().chain(alarm.map(|_| INTERVAL)).min();
    let mut alarmed = false;
    loop {
        let over = core.threads.is_terminated();
        if let Some(watch) = &mut watch {
            watch.look(core, over);
        }
        if let Some(alarm) = alarm {
            alarm.look(&mut alarmed);
        }
        if over {
            return;
        }
        core.threads.watch.park(pause);
    }
}

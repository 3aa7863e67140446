//! The engine's parts: parking, sleep, the sentinel, timers, the slot, the workers' end.

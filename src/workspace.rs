//! Life as a container's first process.

pub mod reaper;
pub mod side_process;
pub mod signals;

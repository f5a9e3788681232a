//! Life as a container's first process.

pub mod reaper;

//! Life as a container's first process.

pub mod condition;
pub mod home;
pub mod hooks;
pub mod last_end;
pub mod leftovers;
pub mod life;
pub mod memory;
pub mod passwd;
pub mod reaper;
pub mod side_process;
pub mod signals;
pub(crate) mod spawn;

//! podssh: an SSH server for one place, inside a development container on Kubernetes.

pub mod activity;
pub mod admin;
pub mod allocator;
pub mod channel;
pub mod cli;
pub mod cluster;
pub mod commands;
pub mod config;
pub mod control;
pub mod descriptors;
pub mod doctor;
pub mod exit_code;
pub mod forward;
#[cfg(any(test, feature = "fuzz"))]
pub mod fuzz;
pub mod keys;
pub mod logging;
pub mod metrics;
pub mod runtime_dir;
pub mod server;
pub mod session;
pub mod sftp;
pub mod shutdown;
pub mod user;
pub mod workers;
pub mod workspace;

//! podssh: an SSH server for one place, inside a development container on Kubernetes.

pub mod channel;
pub mod keys;

//! The fuzzer: libFuzzer around the target that PODSSH_FUZZ names. tests/fuzz/main.rs builds and runs it.
#![no_main]
#![allow(
    unsafe_code,
    reason = "libFuzzer is called by name and calls back by name"
)]
#![allow(
    clippy::expect_used,
    clippy::panic,
    reason = "a fuzzer that cannot start says why"
)]

use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;
use podssh::fuzz::{TARGETS, Target};

static TARGET: OnceLock<Target> = OnceLock::new();

fn chosen() -> Target {
    let name = std::env::var("PODSSH_FUZZ").expect("PODSSH_FUZZ names the target");
    let found = TARGETS.iter().find(|(known, _)| *known == name);
    found
        .unwrap_or_else(|| panic!("PODSSH_FUZZ={name}: no such target"))
        .1
}

fuzz_target!(init: { TARGET.set(chosen()).ok(); }, |data: &[u8]| {
    if let Some(target) = TARGET.get() {
        target(data);
    }
});

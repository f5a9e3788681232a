//! What a client said, to be asserted on and shown.

use std::process::Output;

/// Standard output as text.
pub(crate) fn out(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Standard error as text.
pub(crate) fn err(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Asserts exit code 0 and yields standard output.
#[track_caller]
pub(crate) fn ok(output: &Output) -> String {
    assert!(output.status.success(), "{}", show(output));
    out(output)
}

/// Asserts an exit code and yields standard error.
#[track_caller]
pub(crate) fn failed(output: &Output, code: i32) -> String {
    assert_eq!(output.status.code(), Some(code), "{}", show(output));
    err(output)
}

/// Both streams and the status, the start of each.
pub(crate) fn show(output: &Output) -> String {
    let start = |text: String| text.chars().take(4000).collect::<String>();
    format!(
        "{}\n--- stdout, {} bytes ---\n{}\n--- stderr ---\n{}",
        output.status,
        output.stdout.len(),
        start(out(output)),
        start(err(output))
    )
}

/// `size` bytes with every value, in no simple order.
pub(crate) fn noise(size: u32) -> Vec<u8> {
    let byte = |i: u32| (i.wrapping_mul(2_654_435_761) >> 13) as u8;
    (0..=255).chain((256..size).map(byte)).collect()
}

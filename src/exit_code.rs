//! Exit codes of the binary, from sysexits(3).

/// The command line is wrong.
pub const USAGE: u8 = 64;
/// A file or directory that was named is not there or cannot be read.
pub const NO_INPUT: u8 = 66;
/// Something needed is not available: a port in use, a gateway that does not answer.
pub const UNAVAILABLE: u8 = 69;
/// A fault of our own.
pub const SOFTWARE: u8 = 70;
/// A right is missing.
pub const NO_PERMISSION: u8 = 77;
/// The configuration is wrong.
pub const CONFIG: u8 = 78;

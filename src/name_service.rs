//! How a statically linked podssh asks for users and hosts: from files and by DNS, never through the
//! modules of glibc's name service switch.
//!
//! Those are shared libraries of the image's own glibc; loaded into a static program they crash it.

use std::ffi::{CStr, c_char, c_int};

/// What podssh asks for, and the ways to it that are built into glibc (2.34 and newer).
const WAYS: [(&CStr, &CStr); 5] = [
    (c"passwd", c"files"),
    (c"group", c"files"),
    (c"initgroups", c"files"),
    (c"hosts", c"files dns"),
    (c"services", c"files"),
];

#[expect(unsafe_code, reason = "glibc's own function, which no crate declares")]
unsafe extern "C" {
    fn __nss_configure_lookup(database: *const c_char, ways: *const c_char) -> c_int;
}

/// Set it for the whole process. Call it first, while there is one thread.
///
/// Left out of a dynamically linked podssh, where the image's modules are the right ones.
#[expect(
    unsafe_code,
    reason = "the only way past /etc/nsswitch.conf, which may name modules that cannot be loaded"
)]
pub(crate) fn use_files_and_dns() {
    for (database, ways) in WAYS {
        // SAFETY: both are constant C strings, which glibc copies from; no other thread runs yet. A
        // failure (no memory, an unknown database) leaves nsswitch.conf in force.
        unsafe { __nss_configure_lookup(database.as_ptr(), ways.as_ptr()) };
    }
}

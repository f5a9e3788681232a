//! How much freed memory glibc's allocator keeps.

use nix::libc;

/// Freed memory at the end of a thread's heap is kept up to here. glibc's own 128 KiB are less than
/// the packets of a connection in bulk: their memory went back to the kernel and was faulted in
/// again, 40 % of the CPU of an upload.
const KEEP: libc::c_int = 4 << 20;
/// From here on an allocation is mapped and unmapped by itself. glibc moves this figure as it learns,
/// but no longer once the other one is set.
const MAP: libc::c_int = 1 << 20;

/// Set both, for the whole process; a few megabytes after a transfer, nothing before.
#[expect(
    unsafe_code,
    reason = "mallopt(3) has no safe wrapper, and its environment variables would reach sessions"
)]
pub fn keep_freed_memory() {
    // SAFETY: mallopt takes two integers, checks the first and is thread-safe; an unknown parameter
    // or a bad value is refused by its result, after which the allocator works as before.
    #[cfg(target_env = "gnu")]
    unsafe {
        libc::mallopt(libc::M_TRIM_THRESHOLD, KEEP);
        libc::mallopt(libc::M_MMAP_THRESHOLD, MAP);
    }
}

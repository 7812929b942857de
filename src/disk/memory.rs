//! How much memory this machine has.

use sysinfo::System;

/// Bytes of memory of this machine, or of the container that it is; `None` where the system does not tell. A limit of a
/// group inside (a systemd slice, a batch job) is not seen.
pub fn total_memory() -> Option<u64> {
    let mut system = System::new();
    system.refresh_memory();
    let limit = system.cgroup_limits().map(|limits| limits.total_memory).filter(|limit| *limit > 0);
    let total = Some(system.total_memory()).filter(|total| *total > 0)?;
    Some(limit.map_or(total, |limit| limit.min(total)))
}

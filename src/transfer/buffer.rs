//! A fixed number of segment buffers. Taking one waits until one is free, which is what slows the network down to the
//! speed of the disk.

use crate::digest::SEGMENT_LEN;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

#[derive(Clone)]
pub(super) struct Pool(Arc<Inner>);

struct Inner {
    buffers: usize,
    keep: usize,
    permits: Arc<Semaphore>,
    /// For buffers that are kept after they were written. Fewer, so that the others always go round.
    keeping: Arc<Semaphore>,
    free: Mutex<Vec<Vec<u8>>>,
}

/// One segment's worth of memory; goes back to its pool when dropped.
pub(super) struct Buffer {
    data: Vec<u8>,
    pool: Arc<Inner>,
    _permit: OwnedSemaphorePermit,
}

/// A buffer whose segment is written and needed once more.
pub(super) struct Kept {
    buffer: Buffer,
    _permit: OwnedSemaphorePermit,
}

impl Pool {
    /// A pool of so many buffers, of which `keep` at most are kept.
    pub(super) fn new(buffers: usize, keep: usize) -> Self {
        let (permits, keeping) = (Arc::new(Semaphore::new(buffers)), Arc::new(Semaphore::new(keep)));
        Self(Arc::new(Inner { buffers, keep, permits, keeping, free: Mutex::new(Vec::new()) }))
    }

    /// An empty buffer.
    pub(super) async fn take(&self) -> Buffer {
        let permit = self.0.permits.clone().acquire_owned().await.expect("the pool is never closed");
        let data = self.0.free.lock().unwrap_or_else(PoisonError::into_inner).pop();
        Buffer { data: data.unwrap_or_else(|| Vec::with_capacity(SEGMENT_LEN as usize)), pool: self.0.clone(), _permit: permit }
    }

    /// Keeps a buffer, or frees it where too many are kept already for each of `connections` to have one.
    pub(super) fn keep(&self, buffer: Buffer, connections: usize) -> Option<Kept> {
        let kept = self.0.keep - self.0.keeping.available_permits();
        if kept + connections >= self.0.buffers {
            return None;
        }
        let permit = self.0.keeping.clone().try_acquire_owned().ok()?;
        Some(Kept { buffer, _permit: permit })
    }
}

impl AsRef<[u8]> for Kept {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl std::ops::Deref for Kept {
    type Target = Vec<u8>;
    fn deref(&self) -> &Vec<u8> {
        &self.buffer
    }
}

impl std::ops::Deref for Buffer {
    type Target = Vec<u8>;
    fn deref(&self) -> &Vec<u8> {
        &self.data
    }
}

impl std::ops::DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut Vec<u8> {
        &mut self.data
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let mut data = std::mem::take(&mut self.data);
        data.clear();
        self.pool.free.lock().unwrap_or_else(PoisonError::into_inner).push(data);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn as_many_are_kept_as_leave_one_for_each_connection() {
        for (connections, most) in [(4, 16), (8, 16), (16, 8), (24, 0)] {
            let pool = Pool::new(24, 16);
            let mut kept = Vec::new();
            for _ in 0..20 {
                kept.extend(pool.keep(pool.take().await, connections));
            }
            assert_eq!(kept.len(), most, "{connections} connections");
            kept.clear();
            assert_eq!(pool.0.permits.available_permits(), 24);
        }
    }
}

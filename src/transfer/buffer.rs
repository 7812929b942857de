//! A fixed number of segment buffers. Taking one waits until one is free, which is what slows the network down to the
//! speed of the disk.

use crate::digest::SEGMENT_LEN;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

#[derive(Clone)]
pub(super) struct Pool(Arc<Inner>);

struct Inner {
    permits: Arc<Semaphore>,
    free: Mutex<Vec<Vec<u8>>>,
}

/// One segment's worth of memory; goes back to its pool when dropped.
pub(super) struct Buffer {
    data: Vec<u8>,
    pool: Arc<Inner>,
    _permit: OwnedSemaphorePermit,
}

impl Pool {
    pub(super) fn new(buffers: usize) -> Self {
        Self(Arc::new(Inner { permits: Arc::new(Semaphore::new(buffers)), free: Mutex::new(Vec::new()) }))
    }

    /// An empty buffer.
    pub(super) async fn take(&self) -> Buffer {
        let permit = self.0.permits.clone().acquire_owned().await.expect("the pool is never closed");
        let data = self.0.free.lock().unwrap_or_else(PoisonError::into_inner).pop();
        Buffer { data: data.unwrap_or_else(|| Vec::with_capacity(SEGMENT_LEN as usize)), pool: self.0.clone(), _permit: permit }
    }

    /// How many buffers are free now.
    pub(super) fn free(&self) -> usize {
        self.0.permits.available_permits()
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

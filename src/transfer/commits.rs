//! Publishing what is complete while the rest arrives.
//!
//! Syncing a file costs the disk about as much as syncing many. So small files that become complete while others are
//! being published wait for these and are then published together: the slower the disk, the larger the groups.

use super::{Run, TransferError, job::FileTransfer};
use crate::{digest::SEGMENT_LEN, store::Blob};
use std::sync::Arc;
use tokio::task::{Id, JoinError, JoinSet};

/// A larger file is published at once and alone: the sync of its data may take long.
const SMALL: u64 = 4 * SEGMENT_LEN;

/// What became of a job.
type Outcome = (usize, Result<Blob, TransferError>);

#[derive(Default)]
pub(super) struct Commits {
    tasks: JoinSet<Vec<Outcome>>,
    /// Small files that are complete. There are some only while a group is under way.
    gathered: Vec<usize>,
    /// The group that is under way.
    group: Option<Id>,
}

impl Commits {
    /// Publishes a complete job now or with the next group.
    pub(super) fn add(&mut self, number: usize, run: &Arc<Run>) {
        if run.jobs[number].size() > SMALL {
            self.begin(vec![number], run);
            return;
        }
        self.gathered.push(number);
        if self.group.is_none() {
            self.begin_group(run);
        }
    }

    /// Waits for the next that ends; `None` when all have. Cancel-safe.
    pub(super) async fn next(&mut self, run: &Arc<Run>) -> Option<Result<Vec<Outcome>, JoinError>> {
        let ended = self.tasks.join_next_with_id().await?;
        let id = ended.as_ref().map_or_else(JoinError::id, |(id, _)| *id);
        if self.group == Some(id) {
            self.group = None;
            if !self.gathered.is_empty() {
                self.begin_group(run);
            }
        }
        Some(ended.map(|(_, outcomes)| outcomes))
    }

    fn begin_group(&mut self, run: &Arc<Run>) {
        let numbers = std::mem::take(&mut self.gathered);
        self.group = Some(self.begin(numbers, run));
    }

    fn begin(&mut self, numbers: Vec<usize>, run: &Arc<Run>) -> Id {
        let jobs: Vec<Arc<FileTransfer>> = numbers.iter().map(|number| run.jobs[*number].clone()).collect();
        let task = self.tasks.spawn_blocking(move || numbers.into_iter().zip(FileTransfer::commit(&jobs)).collect());
        task.id()
    }
}

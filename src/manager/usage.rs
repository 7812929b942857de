//! Tells what takes the room of a store.

use super::{BlobUser, ModelManager, UsageGroup, UsageReport};
use crate::{
    error::Result,
    store::{GcOptions, RootOwner, StoreError},
};
use std::{
    cmp::Reverse,
    collections::{BTreeMap, HashMap},
    time::SystemTime,
};
use uuid::Uuid;

impl ModelManager {
    /// What takes the room of the store: its blobs by who needs them, so that what several share is said once.
    ///
    /// # Errors
    /// Where there is no store, or a root cannot be read.
    pub fn usage(&self) -> Result<UsageReport> {
        let store = self.existing_store()?.ok_or_else(|| StoreError::Absent { path: self.store_dir() })?;
        let users = store.users()?;
        let mut names: HashMap<Uuid, String> = HashMap::new();
        let mut groups: BTreeMap<Vec<(Uuid, String)>, UsageGroup> = BTreeMap::new();
        let mut report = UsageReport { store: store.layout().root().to_owned(), ..UsageReport::default() };
        for digest in store.blobs()? {
            let Some(stat) = store.stat(&digest)? else { continue };
            report.totals.stored_bytes += stat.allocated;
            let mut of_blob: Vec<(Uuid, String, &RootOwner)> =
                users.get(&digest).into_iter().flatten().map(|(project, owner)| (*project, owner.to_string(), owner)).collect();
            of_blob.sort_by(|a, b| (&a.0, &a.1).cmp(&(&b.0, &b.1)));
            of_blob.dedup_by(|a, b| (&a.0, &a.1) == (&b.0, &b.1));
            let key = of_blob.iter().map(|(project, owner, _)| (*project, owner.clone())).collect();
            let group = groups.entry(key).or_insert_with(|| {
                let user = |(project, _, owner): &(Uuid, String, &RootOwner)| BlobUser {
                    project: self.project_name(&store, project, &mut names),
                    owner: (*owner).clone(),
                };
                UsageGroup { users: of_blob.iter().map(user).collect(), blobs: 0, disk_bytes: 0 }
            });
            group.blobs += 1;
            group.disk_bytes += stat.allocated;
        }
        report.groups = groups.into_values().collect();
        report.groups.sort_by_key(|group| Reverse(group.disk_bytes));
        report.totals.partial_bytes = store.partials()?.iter().map(|partial| partial.allocated).sum();
        report.totals.collectable_bytes = store.plan_collection(GcOptions::default(), SystemTime::now())?.frees();
        let space = store.disk().space(store.layout().root())?;
        (report.totals.free_bytes, report.totals.volume_bytes) = (space.available, space.total);
        Ok(report)
    }
}

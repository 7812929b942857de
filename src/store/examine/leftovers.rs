//! What interrupted commands left.

use super::{Findings, IN_THE_WAY, Severity};
use crate::{
    disk::Kind,
    hint::{Action, Hint, Verb},
    store::{
        Result, StoreError,
        ingest::journal,
        layout::{Dir, IngestKey, Layout},
    },
};

impl Findings<'_> {
    pub(super) fn leftovers(&mut self) -> Result<()> {
        let layout = self.store.layout();
        for entry in self.names(&layout.dir(Dir::Temp))?.into_iter().filter(|entry| entry.kind != Kind::File) {
            self.add(Severity::Leftover, layout.dir(Dir::Temp).join(entry.name), IN_THE_WAY, Hint::MoveElsewhere);
        }
        for partial in self.partials()? {
            let Some(record) = &partial.record else {
                self.add(
                    Severity::Leftover,
                    partial.paths.dir,
                    "a partial download without a readable record",
                    Hint::Run(Action::new(Verb::Gc)),
                );
                continue;
            };
            let found = self.store.disk().find(&partial.paths.journal).map_err(StoreError::from);
            let len = self.reported(found)?.flatten().map_or(0, |stat| stat.len);
            if len > journal::longest(record.size) {
                self.add(
                    Severity::Leftover,
                    partial.paths.dir,
                    "its journal is longer than it can have become",
                    Hint::Run(Action::new(Verb::Gc)),
                );
            }
        }
        for entry in self.names(&layout.dir(Dir::Ingest))? {
            if entry.name.parse::<IngestKey>().is_err() {
                self.add(
                    Severity::Leftover,
                    layout.dir(Dir::Ingest).join(entry.name),
                    "not a partial download; it is left alone",
                    Hint::MoveElsewhere,
                );
            }
        }
        for entry in self.names(&layout.dir(Dir::Trash))? {
            self.add(
                Severity::Leftover,
                layout.dir(Dir::Trash).join(entry.name),
                "moved here by a collection that did not end",
                Hint::Run(Action::new(Verb::Gc)),
            );
        }
        for entry in self.names(&layout.dir(Dir::Damaged))? {
            // Damage is reported with the blobs; here only marks without a blob are.
            match Layout::digest_of_damage(&entry.name).filter(|_| entry.kind == Kind::File) {
                Some(digest) if matches!(self.store.stat(&digest), Ok(None)) => {
                    let what = "tells of damage of a blob that is gone";
                    self.add(Severity::Leftover, layout.dir(Dir::Damaged).join(entry.name), what, Hint::Run(Action::new(Verb::Gc)));
                    continue;
                }
                Some(_) => continue,
                None => {}
            }
            self.add(
                Severity::Leftover,
                layout.dir(Dir::Damaged).join(entry.name),
                "damaged content that was put aside",
                Hint::RemoveWhenUnused,
            );
        }
        Ok(())
    }
}

//! Looks for repositories by words.

use super::ModelManager;
use crate::{
    error::{Error, ErrorKind, Result},
    hint::Hint,
    source::{FoundRepo, SearchQuery},
};

impl ModelManager {
    /// Repositories of the Hub, or of the program's own source in its place, whose names have these words.
    ///
    /// # Errors
    /// Where the source cannot be asked, as offline, or cannot be searched.
    pub fn search(&self, query: &SearchQuery) -> Result<Vec<FoundRepo>> {
        if self.settings.network.offline {
            return Err(Error::new(ErrorKind::Network, "offline, and the Hub is to be searched").hint(Hint::AllowNetwork));
        }
        let sources = self.sources()?;
        self.ask(async { Ok(sources.search(query).await?) })
    }
}

//! `path`: where a model is.

use crate::{
    cli::{
        args::Form,
        context::Context,
        output::{Answer, Page},
    },
    error::Result,
};
use serde_json::{Value, json};
use std::path::PathBuf;

/// Print the path of a model that is here, to give to a backend
///
/// It is the file of a GGUF (part 1 of a split one) or the folder of a set such as safetensors. Nothing is downloaded.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The model by its name: an id, a repository such as owner/repo:Q4_K_M, a path or a digest
    pub model: String,
    #[command(flatten)]
    pub form: Form,
}

/// The path of a model.
pub struct Found(PathBuf);

impl Args {
    pub fn run(&self, context: &Context<'_>) -> Result<Found> {
        context.manager()?.path(&self.form.of(&self.model)?).map(Found)
    }
}

impl Answer for Found {
    fn json(&self) -> Value {
        json!({ "path": self.0 })
    }

    fn write(&self, page: &mut Page) {
        page.line(page.plain_path(&self.0));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::output::{document, testing};

    #[test]
    fn the_path_can_be_pasted_into_a_backends_settings() {
        let found = Found("/srv/models/phi-2/gguf/q4_k_m/phi-2.Q4_K_M.gguf".into());
        assert_eq!(testing::piped(&found).0, "models/phi-2/gguf/q4_k_m/phi-2.Q4_K_M.gguf\n");
        let path = "/srv/models/phi-2/gguf/q4_k_m/phi-2.Q4_K_M.gguf";
        assert_eq!(document(&found), json!({ "version": 1, "path": path }));
    }
}

//! `path`: where a model is.

use crate::{
    cli::{
        args::Form,
        context::Context,
        output::{Answer, Output},
    },
    error::Result,
};
use serde_json::{Value, json};
use std::path::PathBuf;

/// Print the path of a model that is here, to give to a backend
///
/// It is the file of a GGUF (part 1 of a split one) or the folder of a set such as safetensors; of several models, a line each, and
/// none where one of them is not here. Nothing is downloaded.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Models by their names: an id, a repository such as owner/repo:Q4_K_M, a path or a digest
    #[arg(value_name = "MODEL", required = true)]
    pub models: Vec<String>,
    #[command(flatten)]
    pub form: Form,
}

/// The paths of models, in the order in which they were named.
pub struct FoundPath(Vec<PathBuf>);

impl Args {
    pub fn run(&self, context: &Context<'_>) -> Result<FoundPath> {
        let path = |model: &String| context.manager()?.path(&self.form.of(model)?);
        self.models.iter().map(path).collect::<Result<_>>().map(FoundPath)
    }
}

impl Answer for FoundPath {
    fn json(&self) -> Value {
        json!({ "paths": self.0.iter().map(|path| json!({ "path": path })).collect::<Vec<_>>() })
    }

    fn write(&self, output: &mut Output) {
        self.0.iter().for_each(|path| output.line(output.plain_path(path)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::output::{document, testing};

    #[test]
    fn the_path_can_be_pasted_into_a_backends_settings() {
        let found = FoundPath(vec!["/srv/models/phi-2/gguf/q4_k_m/phi-2.Q4_K_M.gguf".into()]);
        assert_eq!(testing::piped(&found).0, "models/phi-2/gguf/q4_k_m/phi-2.Q4_K_M.gguf\n");
        let path = "/srv/models/phi-2/gguf/q4_k_m/phi-2.Q4_K_M.gguf";
        assert_eq!(document(&found), json!({ "version": 1, "paths": [{ "path": path }] }));
    }
}

//! `add`: a repository of the Hub as an entry of the registry, pinned.

use crate::{
    cli::{
        commands::download::origin,
        context::Context,
        notices,
        output::{Answer, Output, STRONG, printable, styled},
        units,
    },
    digest::Sha256Digest,
    error::{Error, ErrorKind, Result},
    hint::Hint,
    manager::{AddReport, AddRequest, Companions},
    names::{Format, ModelId, Quant, Revision},
    source::hub::Companion,
};
use serde_json::{Value, json};

/// Add models of the Hub to the registry, with commit, sizes and hashes
///
/// Asks the Hub for the repository's files and writes a complete entry into the project's configs/models.yaml. Comments,
/// order and everything else in the file stay as they are. Where the project has no such file yet, it is made from the
/// built-in registry.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// What to add: owner/repo:Q4_K_M, hf://owner/repo@revision/file, or an address; with --update also an id or `id:quant`
    #[arg(value_name = "REFERENCE", required = true)]
    pub references: Vec<String>,
    /// The id in the registry [default: the repository's name in lower case, without -GGUF]
    #[arg(long, value_name = "ID")]
    pub id: Option<ModelId>,
    /// The format [default: gguf, or safetensors where there is no GGUF file]
    #[arg(long, value_name = "FORMAT")]
    pub format: Option<Format>,
    /// The quantization, such as q4_k_m
    #[arg(long, value_name = "QUANT", visible_alias = "quantization")]
    pub quant: Option<Quant>,
    /// A branch, tag or commit; the commit it stands for is written [default: main]
    #[arg(long, value_name = "REVISION")]
    pub revision: Option<Revision>,
    /// The projector (mmproj) with this name or quantization beside a multimodal GGUF model [default: f16, else bf16, f32 or q8_0,
    /// where the repository has one]
    #[arg(long, value_name = "NAME", num_args = 0..=1, require_equals = true, default_missing_value = "", conflicts_with = "update")]
    pub mmproj: Option<String>,
    /// Only the model, although the repository has a projector
    #[arg(long, conflicts_with_all = ["update", "mmproj"])]
    pub no_mmproj: bool,
    /// What else of the repository stands beside a GGUF model: draft, tokenizer, encoder or vae; the best choice, or
    /// the one with this name, label or quantization
    #[arg(long, value_name = "ROLE[=NAME]", value_parser = Companion::parse, conflicts_with = "update")]
    pub with: Vec<Companion>,
    /// What the model is, in a line
    #[arg(long, value_name = "TEXT", conflicts_with = "update")]
    pub description: Option<String>,
    /// The SHA-256 that the publisher of a file gives, which is named by its address on any web server
    #[arg(long, value_name = "HEX", conflicts_with = "update")]
    pub sha256: Option<Sha256Digest>,
    /// Pin an entry that is there anew: revision, sizes and hashes
    #[arg(long)]
    pub update: bool,
    /// Only show the change, as a unified diff
    #[arg(long)]
    pub dry_run: bool,
}

/// What was added.
pub struct Added {
    reports: Vec<AddReport>,
    update: bool,
    /// Why some of several were not.
    failed: Vec<Error>,
}

impl Args {
    pub fn run(&self, context: &Context<'_>) -> Result<Added> {
        let of_one =
            [("--id", self.id.is_some()), ("--description", self.description.is_some()), ("--sha256", self.sha256.is_some())];
        if let ([_, _, ..], Some((option, _))) = (self.references.as_slice(), of_one.iter().find(|(_, is_given)| *is_given)) {
            let text = format!("`{option}` is of one model, and {} are named", self.references.len());
            return Err(Error::new(ErrorKind::Usage, text).hint(Hint::SeeHelp));
        }
        // All names are read before anything is written.
        let requests = self.references.iter().map(|name| self.request(name, context)).collect::<Result<Vec<_>>>()?;
        let manager = context.worker()?;
        let mut added = Added { reports: Vec::new(), update: self.update, failed: Vec::new() };
        for request in &requests {
            match manager.add(request) {
                Ok(report) => added.reports.push(report),
                Err(error) if requests.len() == 1 || error.kind() == ErrorKind::Interrupted => return Err(error),
                Err(error) => added.failed.push(error),
            }
        }
        Ok(added)
    }

    fn request(&self, reference: &str, context: &Context<'_>) -> Result<AddRequest> {
        let projector = self.mmproj.as_deref().map(|name| Companion::projector(Some(name)));
        let companions = Companions {
            wanted: projector.into_iter().chain(self.with.iter().cloned()).collect(),
            projector_if_any: !self.no_mmproj,
        };
        Ok(AddRequest {
            reference: reference.parse()?,
            id: self.id.clone(),
            format: self.format.clone(),
            quant: self.quant.clone(),
            revision: self.revision.clone(),
            description: self.description.clone(),
            sha256: self.sha256,
            companions,
            update: self.update,
            dry_run: self.dry_run,
            new_registry: context.root()?.join("configs/models.yaml"),
        })
    }
}

impl Answer for Added {
    fn json(&self) -> Value {
        json!({ "models": self.reports })
    }

    fn write(&self, output: &mut Output) {
        self.reports.iter().for_each(|report| self.write_one(output, report));
    }

    fn failures(&self) -> &[Error] {
        &self.failed
    }
}

impl Added {
    fn write_one(&self, output: &mut Output, report: &AddReport) {
        for notice in &report.notices {
            output.note(printable(&notices::words(notice)));
        }
        let name = match &report.quant {
            Some(quant) => format!("{}:{quant}", report.model),
            None => format!("{} --format {}", report.model, report.format),
        };
        if report.dry_run {
            // For `patch`, byte for byte.
            match output.people {
                true => report.diff.lines().for_each(|line| output.line(printable(line))),
                false => output.out.push_str(&report.diff),
            }
            if !report.changed {
                output.note(format!("Nothing would change: {name} is pinned at {} already.", report.pin()));
            }
            return;
        }
        let place = format!("{}:{}", output.path(&report.registry), report.line);
        if !report.changed {
            output.line(format!("Unchanged: {} is pinned at {} already ({place})", styled(STRONG, &name), report.pin()));
            return;
        }
        let verb = if self.update { "Updated" } else { "Added" };
        output.line(format!("{verb} {} in {place}", styled(STRONG, &name)));
        output.detail(format!("  from     {}", origin(&report.origin)));
        let license = report.license.as_deref().unwrap_or("not known");
        let gate = if report.gated { "; access must be asked for on the Hub, and a token is needed" } else { "" };
        output.detail(format!("  licence  {}{gate}", printable(license)));
        for projector in &report.projectors {
            output.detail(format!("  mmproj   {}", printable(projector.repo_path.as_str())));
        }
        for companion in &report.companions {
            output.detail(format!("  beside   {}", printable(companion.repo_path.as_str())));
        }
        output.detail(format!("  size     {}", units::size(report.total_bytes)));
        output.note(format!("Fetch it with `model-manager download {name}`."));
    }
}

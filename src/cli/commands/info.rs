//! `info`: what the registry knows, and what files say about themselves.

use super::choose;
use crate::{
    cli::{
        args::Form,
        context::Context,
        output::{Answer, FAINT, Output, STRONG, printable, styled},
        table::Table,
        units,
    },
    error::Result,
    manager::{InfoForm, InfoModel, WeightsInfo},
};
use serde_json::{Value, json};

/// Show the models of the registry, or all about one
///
/// Quantizations that are here are marked with `*`; whether a model fits the memory of this machine is said of what
/// `download` takes without a choice. Into a pipe the overview writes one line per model with tabs between model,
/// parameters, memory, forms, description and whether it fits. Of one model that is here, its files are asked too: architecture,
/// context length, parameters, quantization and chat template (whole with `--json`). For a reference to the Hub nothing
/// but the headers of its files is fetched.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A model by its name: an id, a repository such as owner/repo:Q4_K_M, a path or a digest [default: all models]
    pub model: Option<String>,
    #[command(flatten)]
    pub form: Form,
    /// Ask the Hub for the headers of files that are not here
    #[arg(long, requires = "model")]
    pub remote: bool,
}

/// What the registry knows.
pub struct Info {
    models: Vec<InfoModel>,
    one: bool,
}

impl Args {
    pub fn run(&self, context: &Context<'_>) -> Result<Info> {
        let manager = context.manager()?;
        let models = match &self.model {
            None => manager.info()?,
            Some(model) => vec![manager.info_of(&self.form.of(model)?, self.remote)?],
        };
        Ok(Info { models, one: self.model.is_some() })
    }
}

impl Answer for Info {
    fn json(&self) -> Value {
        json!({ "models": self.models })
    }

    fn write(&self, output: &mut Output) {
        if self.one {
            self.models.iter().for_each(|model| write_one(output, model));
        } else if self.models.is_empty() {
            output.note(
                "The registry has no models. Add one to configs/models.yaml, or download a reference such as owner/repo:Q4_K_M.",
            );
        } else if output.people {
            self.overview(output);
        } else {
            for model in &self.models {
                let text = |field: &Option<String>| field.clone().unwrap_or_default();
                let forms = forms_text(model);
                output.fields([
                    model.model.clone(),
                    text(&model.params),
                    text(&model.ram),
                    forms,
                    about(model).unwrap_or_default(),
                    fits(model).to_owned(),
                ]);
            }
        }
    }
}

/// The guide's three tables, and one for what fits none of them.
const GROUPS: [(&str, &[&str]); 4] = [
    ("Small Models (Development/Testing)", &["tiny", "small"]),
    ("Production Models (7-8B)", &["medium"]),
    ("Large Models (High Quality)", &["large", "xlarge"]),
    ("Other Models", &[]),
];

/// The group of a size class.
fn group(model: &InfoModel) -> usize {
    let class = model.size_class.as_deref().unwrap_or_default().to_ascii_lowercase();
    GROUPS.iter().position(|(_, classes)| classes.contains(&class.as_str())).unwrap_or(GROUPS.len() - 1)
}

impl Info {
    fn overview(&self, output: &mut Output) {
        let mut table = Table::new(&["model", "size", "ram", "fits", "forms"]).elastic(4, 12).keep(&[4, 3, 1]);
        for model in &self.models {
            let known = |field: &Option<String>| field.clone().unwrap_or_else(|| "?".into());
            table.row([model.model.clone(), known(&model.params), known(&model.ram), fits(model).into(), forms_text(model)]);
        }
        // One table, so that the columns of all groups stand below each other.
        let mut lines = table.lines(output.width.map(|width| width.saturating_sub(2))).into_iter();
        let heading = lines.next().unwrap_or_default();
        let rows: Vec<(usize, &InfoModel, String)> =
            self.models.iter().zip(lines).map(|(model, line)| (group(model), model, line)).collect();
        for (number, (title, _)) in GROUPS.iter().enumerate() {
            let mut of_group = rows.iter().filter(|(group, ..)| *group == number).peekable();
            if of_group.peek().is_none() {
                continue;
            }
            output.line(styled(STRONG, title));
            output.line(format!("  {heading}"));
            for (_, model, line) in of_group {
                output.line(format!("  {line}"));
                if let Some(about) = about(model) {
                    output.line(format!("    {}", styled(FAINT, printable(&about))));
                }
            }
            output.line("");
        }
        output.note("* is here. `model-manager info <model>` tells more, `model-manager download <model>` fetches.");
    }
}

/// Whether what a download takes where nothing else is said fits this machine.
fn fits(model: &InfoModel) -> &'static str {
    model.forms.iter().find(|form| form.is_default).map_or("?", |form| choose::fits(&form.memory))
}

/// Description, and use case where that does not say the same.
fn about(model: &InfoModel) -> Option<String> {
    let lower = |text: &str| text.to_lowercase();
    match (&model.description, &model.use_case) {
        (Some(text), Some(case)) if !lower(text).contains(&lower(case)) => Some(format!("{text}. For: {case}")),
        (Some(text), _) | (None, Some(text)) => Some(text.clone()),
        (None, None) => None,
    }
}

/// `gguf: q4_k_m* q5_k_m; safetensors*`, a star for what is here.
fn forms_text(model: &InfoModel) -> String {
    let mut formats: Vec<(String, Vec<String>)> = Vec::new();
    for form in &model.forms {
        let star = if form.present { "*" } else { "" };
        let format = form.format.to_string();
        let quant = form.quant.as_ref().map(|quant| format!("{quant}{star}"));
        match (formats.iter_mut().find(|(name, _)| *name == format), quant) {
            (Some((_, quants)), Some(quant)) => quants.push(quant),
            (Some(_), None) => {}
            (None, Some(quant)) => formats.push((format, vec![quant])),
            (None, None) => formats.push((format!("{format}{star}"), vec![])),
        }
    }
    let text = |(format, quants): (String, Vec<String>)| {
        if quants.is_empty() { format } else { format!("{format}: {}", quants.join(" ")) }
    };
    formats.into_iter().map(text).collect::<Vec<_>>().join("; ")
}

fn write_one(output: &mut Output, model: &InfoModel) {
    output.line(styled(STRONG, printable(&model.model)));
    if let Some(text) = &model.description {
        output.line(format!("  {}", printable(text)));
    }
    output.line("");
    let gated = model.forms.iter().any(|form| form.gated);
    let license = model.license.clone().or_else(|| model.forms.iter().find_map(|form| form.license.clone()));
    let gate = if gated { "; the repository asks for access, and a token is needed" } else { "" };
    let license = license.map(|license| format!("{license}{gate}")).or_else(|| gated.then(|| gate[2..].to_owned()));
    let repo = model.repo.as_ref().map(ToString::to_string);
    let facts = [
        ("repository", &repo),
        ("licence", &license),
        ("parameters", &model.params),
        ("RAM", &model.ram),
        ("use case", &model.use_case),
    ];
    for (name, value) in facts {
        if let Some(value) = value {
            output.line(format!("  {name:<11} {}", printable(value)));
        }
    }
    output.line("");
    if !model.labels.is_empty() {
        let mut table = Table::new(&["label", "role", "size", "bits/weight", "memory", "files", "here"]);
        table = table.right(2).right(3).keep(&[2, 4, 6, 3, 1]);
        for label in &model.labels {
            let here = if label.present { "*" } else { "" };
            let files = label.files.len().to_string();
            let size = units::size(label.total_bytes);
            let (bits, fits) = match &label.memory {
                Some(memory) => (choose::bits(label.bits_per_weight), choose::fits(memory)),
                None => (String::new(), ""),
            };
            table.row([label.label.to_string(), label.role.as_str().into(), size, bits, fits.into(), files, here.into()]);
        }
        table.write(output, "  ");
        output.line("");
        let usual = model.labels.iter().find(|label| label.is_default && !label.present);
        if let Some(first) = usual.or_else(|| model.labels.iter().find(|label| !label.present)).or(model.labels.first()) {
            output.note(format!("Fetch one with its label: `model-manager download {}:{}`.", printable(&model.model), first.label));
        }
    }
    if model.forms.is_empty() {
        return;
    }
    let mut table = Table::new(&["format", "quant", "size", "memory", "source", "here", "status"]);
    table = table.right(2).elastic(6, 20).keep(&[1, 2, 3, 5]);
    for form in &model.forms {
        let size = form.total_bytes.map_or("?".into(), units::size);
        let quant = form.quant.as_ref().map_or("-".into(), ToString::to_string);
        let here = if form.present { "*" } else { "" };
        let fits = choose::fits(&form.memory).to_owned();
        table.row([form.format.to_string(), quant, size, fits, source(form).into(), here.into(), status(form)]);
    }
    table.write(output, "  ");
    for form in &model.forms {
        let name = form.quant.as_ref().map_or(form.format.to_string(), |quant| format!("{}/{quant}", form.format));
        if model.repo.as_ref().is_none_or(|repo| *repo != form.origin.repo) {
            output.line(format!("  {name}: from {}", form.origin.repo));
        }
        if let Some(note) = &form.note {
            output.line(format!("  {name}: {}", printable(note)));
        }
        if let Some(weights) = &form.weights {
            output.line(format!("  {name}: {}", printable(&weights_text(weights))));
        }
        if let Some(note) = &form.weights_note {
            output.line(format!("  {name}: {}", printable(note)));
        }
    }
    let open = model.forms.iter().find(|form| !form.present && form.status == "active");
    if let Some(form) = open.filter(|_| model.labels.is_empty()) {
        let quant = form.quant.as_ref().map(|quant| format!(" --quant {quant}")).unwrap_or_default();
        let command = format!("model-manager download {} --format {}{quant}", model.model, form.format);
        output.note(format!("Fetch one with `{}`.", printable(&command)));
    }
}

/// What files say about themselves, in one line.
fn weights_text(weights: &WeightsInfo) -> String {
    let mut facts = Vec::new();
    facts.extend(weights.role.map(|role| format!("a companion ({}) and no model", role.as_str())));
    facts.extend(weights.architecture.clone());
    facts.extend(weights.parameters.map(|count| format!("{} parameters", units::short_count(count))));
    facts.extend(weights.context_length.map(|tokens| format!("context of {tokens} tokens")));
    facts.extend(weights.quantization.clone());
    facts.push(if weights.chat_template.is_some() { "chat template" } else { "no chat template" }.into());
    facts.join(", ")
}

/// How well the registry knows what it will get.
fn source(form: &InfoForm) -> &'static str {
    match (form.pinned, form.verified) {
        (true, _) => "pinned",
        (false, true) => "hash known",
        (false, false) if form.origin.revision.is_some() || form.origin.commit.is_some() => "revision known",
        (false, false) => "not pinned",
    }
}

fn status(form: &InfoForm) -> String {
    match &form.superseded_by {
        Some(better) => format!("{}, take {better}", form.status),
        None => form.status.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        cli::output::{document, testing},
        manager::{MemoryReport, MemoryVerdict, ModelOrigin},
        names::SourceId,
    };

    fn form(format: &str, quant: Option<&str>, present: bool) -> InfoForm {
        InfoForm {
            format: format.parse().expect("a format"),
            quant: quant.map(|quant| quant.parse().expect("a quantization")),
            origin: ModelOrigin {
                repo: repo(),
                revision: None,
                commit: Some("5a454d977c6438bb9fb2df233c8ca70f21c87420".parse().expect("a commit")),
            },
            files: vec![],
            total_bytes: quant.map(|_| 1_789_239_136),
            pinned: quant.is_some(),
            verified: quant.is_some(),
            present,
            is_default: quant == Some("q4_k_m"),
            bits_per_weight: None,
            memory: MemoryReport {
                verdict: MemoryVerdict::Tight,
                weights_bytes: None,
                required_bytes: None,
                recommended_bytes: None,
                ram: None,
                memory_bytes: None,
                is_estimate: false,
            },
            status: "active",
            superseded_by: None,
            gated: false,
            license: None,
            note: None,
            weights: None,
            weights_note: None,
        }
    }

    fn repo() -> SourceId {
        "TheBloke/phi-2-GGUF".parse().expect("a repository")
    }

    fn phi(class: &str) -> InfoModel {
        InfoModel {
            model: "phi-2".into(),
            description: Some("Microsoft Phi-2: small, good at reasoning".into()),
            size_class: Some(class.into()),
            params: Some("2.7B".into()),
            ram: Some("4-8 GB".into()),
            use_case: Some("Development, good reasoning".into()),
            repo: Some(repo()),
            license: Some("mit".into()),
            forms: vec![form("gguf", Some("q4_k_m"), true), form("gguf", Some("q8_0"), false), form("safetensors", None, true)],
            labels: vec![],
        }
    }

    #[test]
    fn the_overview_groups_models_as_the_guide_does_and_marks_what_is_here() {
        let info = Info { models: vec![phi("xlarge"), phi("small"), phi("giant")], one: false };
        let (out, notes) = testing::seen(&info);
        let titles: Vec<&str> = out.lines().filter(|line| line.contains("Models")).collect();
        assert_eq!(titles, ["Small Models (Development/Testing)", "Large Models (High Quality)", "Other Models"]);
        assert!(out.contains("  phi-2  2.7B  4-8 GB  tight  gguf: q4_k_m* q8_0; safetensors*\n"), "{out}");
        assert!(out.contains("    Microsoft Phi-2: small, good at reasoning. For: Development, good reasoning\n"), "{out}");
        assert!(notes.contains("* is here"), "{notes}");
    }

    #[test]
    fn one_model_shows_facts_and_forms() {
        let mut model = phi("small");
        model.forms[1].status = "superseded";
        model.forms[1].superseded_by = Some("phi-4".into());
        model.forms[0].gated = true;
        model.forms[0].weights = Some(WeightsInfo {
            architecture: Some("phi2".into()),
            parameters: Some(2_779_683_840),
            context_length: Some(2048),
            quantization: Some("Q4_K_M".into()),
            ..WeightsInfo::default()
        });
        let (out, notes) = testing::seen(&Info { models: vec![model], one: true });
        for text in [
            "  repository  TheBloke/phi-2-GGUF\n",
            "  licence     mit; the repository asks for access, and a token is needed\n",
            "  RAM         4-8 GB\n",
            "gguf         q4_k_m  1.79 GB  tight   pinned          *     active\n",
            "gguf         q8_0    1.79 GB  tight   pinned                superseded, take phi-4\n",
            "safetensors  -             ?  tight   revision known  *     active\n",
            "  gguf/q4_k_m: phi2, 2.78B parameters, context of 2048 tokens, Q4_K_M, no chat template\n",
        ] {
            assert!(out.contains(text), "{text:?} is missing:\n{out}");
        }
        assert_eq!(notes, "", "nothing active is left to fetch");
    }

    #[test]
    fn a_pipe_gets_one_line_a_model() {
        let info = Info { models: vec![phi("small")], one: false };
        let (out, _) = testing::piped(&info);
        assert_eq!(out.lines().count(), 1);
        assert!(out.starts_with("phi-2\t2.7B\t4-8 GB\tgguf: q4_k_m* q8_0; safetensors*\tMicrosoft"), "{out}");
    }

    #[test]
    fn json_has_every_form() {
        let document = document(&Info { models: vec![phi("small")], one: true });
        assert_eq!(document["models"][0]["forms"][2]["format"], "safetensors");
        assert_eq!(document["models"][0]["forms"][0]["present"], true);
    }
}

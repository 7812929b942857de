//! The values that can stand at the cursor.

use super::walk::{Cursor, Place, takes_value};
use crate::{config::table::Setting, manager::NameableModel, names::App};
use clap::Arg;
use std::collections::BTreeSet;

/// A word that can stand at the cursor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// The whole word.
    pub word: String,
    /// What it is, in a few words.
    pub about: String,
}

impl Candidate {
    fn new(word: impl Into<String>, about: impl ToString) -> Self {
        Self { word: word.into(), about: about.to_string().lines().next().unwrap_or_default().to_owned() }
    }
}

/// What is known where the command line acts. It is asked only for what is wanted.
pub trait Known {
    /// The models that are here, and with `of_registry` those of the registry, whose ids begin so.
    fn models(&self, of_registry: bool, beginning: &str) -> Vec<NameableModel>;
    /// The models directories of the projects of the store.
    fn projects(&self) -> Vec<String>;
}

/// What can stand at the cursor, in order. Nothing where it is a file, or anything.
pub fn candidates(cursor: &Cursor<'_>, known: &dyn Known) -> Vec<Candidate> {
    let mut found = match &cursor.place {
        Place::Nothing => Vec::new(),
        Place::Option => options(cursor),
        Place::Value(arg) => values(cursor, arg, known),
        Place::Word(arg) => {
            let mut words = commands(cursor);
            if let Some(arg) = arg {
                words.extend(values(cursor, arg, known));
            }
            words
        }
    };
    found.retain(|candidate| candidate.word.to_lowercase().starts_with(&cursor.typed.to_lowercase()));
    let mut seen = BTreeSet::new();
    found.retain(|candidate| seen.insert(candidate.word.clone()));
    for candidate in &mut found {
        candidate.word.insert_str(0, &cursor.before);
    }
    found
}

fn commands(cursor: &Cursor<'_>) -> Vec<Candidate> {
    let commands = cursor.command.get_subcommands().filter(|command| !command.is_hide_set());
    commands.map(|command| Candidate::new(command.get_name(), command.get_about().cloned().unwrap_or_default())).collect()
}

fn options(cursor: &Cursor<'_>) -> Vec<Candidate> {
    // Its own first: built commands have the options of every command too.
    let (common, own): (Vec<&Arg>, Vec<&Arg>) = cursor.command.get_arguments().partition(|arg| arg.is_global_set());
    let is_free = |arg: &&&Arg| !takes_value(arg) || !cursor.given.contains_key(arg.get_id().as_str()) || is_list(arg);
    let long = |arg: &&Arg| Some(Candidate::new(format!("--{}", arg.get_long()?), arg.get_help().cloned().unwrap_or_default()));
    own.iter().chain(&common).filter(is_free).filter_map(long).collect()
}

fn is_list(arg: &Arg) -> bool {
    matches!(arg.get_action(), clap::ArgAction::Append)
}

fn values(cursor: &Cursor<'_>, arg: &Arg, known: &dyn Known) -> Vec<Candidate> {
    let possible = arg.get_possible_values();
    if !possible.is_empty() {
        let shown = possible.iter().filter(|value| !value.is_hide_set());
        return shown.map(|value| Candidate::new(value.get_name(), value.get_help().cloned().unwrap_or_default())).collect();
    }
    // Of other models nothing is asked: a folder of models may have thousands.
    let id = cursor.typed.split(':').next().unwrap_or_default();
    match (cursor.path.as_slice(), arg.get_id().as_str()) {
        (["download" | "info"], "models" | "model") => names(cursor, &known.models(true, id)),
        (["add"], "references") => names(cursor, &known.models(true, id)),
        (["verify" | "remove" | "path" | "lock" | "use" | "why" | "expose" | "unexpose"], "models" | "model" | "what") => {
            names(cursor, &known.models(false, id))
        }
        (["registry", "remove"], _) => names(cursor, &known.models(true, id)),
        (_, "format") => formats(cursor, &known.models(true, "")),
        (_, "quant") => quants(cursor, &known.models(true, "")),
        (["adopt" | "unexpose"], "from") | (["expose"], "to") => {
            App::ALL.into_iter().map(|app| Candidate::new(app.as_str(), "")).collect()
        }
        (["config", "set" | "unset"], "values") => setting_words(cursor),
        (["projects", "forget"] | ["gc"], "project") => known.projects().into_iter().map(|path| Candidate::new(path, "")).collect(),
        _ => Vec::new(),
    }
}

/// Ids; after a colon the quantizations of that id.
fn names(cursor: &Cursor<'_>, models: &[NameableModel]) -> Vec<Candidate> {
    let about = |model: &NameableModel| match (model.is_here, &model.about) {
        (true, Some(about)) => format!("here; {about}"),
        (true, None) => "here".to_owned(),
        (false, about) => about.clone().unwrap_or_default(),
    };
    match cursor.typed.split_once(':') {
        None => {
            let mut sorted: Vec<&NameableModel> = models.iter().collect();
            // Of the forms of one model, one that is here speaks for it.
            sorted.sort_by_key(|model| (&model.model, !model.is_here));
            sorted.into_iter().map(|model| Candidate::new(&model.model, about(model))).collect()
        }
        Some((id, _)) => {
            let of_id = models.iter().filter(|model| model.model == id && model.format == "gguf");
            of_id.filter_map(|model| Some(Candidate::new(format!("{id}:{}", model.quant.as_ref()?), about(model)))).collect()
        }
    }
}

/// Whether a model is among those that the command line names so far, if it names any that is known.
fn is_named<'m>(cursor: &'m Cursor<'_>, models: &'m [NameableModel]) -> impl Fn(&NameableModel) -> bool + 'm {
    let ids = ["models", "model", "what"].into_iter().filter_map(|id| cursor.given.get(id)).flatten();
    let named: Vec<&str> = ids.map(|name| name.split(':').next().unwrap_or(name)).collect();
    let is_known = models.iter().any(|model| named.contains(&model.model.as_str()));
    move |model| !is_known || named.contains(&model.model.as_str())
}

fn formats(cursor: &Cursor<'_>, models: &[NameableModel]) -> Vec<Candidate> {
    let is_named = is_named(cursor, models);
    let known = models.iter().filter(|model| is_named(model)).map(|model| model.format.as_str());
    let all: BTreeSet<&str> = known.chain(["gguf", "safetensors"]).collect();
    all.into_iter().map(|format| Candidate::new(format, "")).collect()
}

fn quants(cursor: &Cursor<'_>, models: &[NameableModel]) -> Vec<Candidate> {
    let is_named = is_named(cursor, models);
    let format = cursor.given.get("format").and_then(|given| given.last());
    let fits = |model: &&NameableModel| is_named(model) && format.is_none_or(|format| *format == model.format);
    let all: BTreeSet<&str> = models.iter().filter(fits).filter_map(|model| model.quant.as_deref()).collect();
    all.into_iter().map(|quant| Candidate::new(quant, "")).collect()
}

fn setting_words(cursor: &Cursor<'_>) -> Vec<Candidate> {
    let setting = cursor.given.get("key").and_then(|keys| keys.first()).and_then(|key| Setting::of_key(key));
    setting.into_iter().flat_map(|setting| setting.words).map(|word| Candidate::new(*word, "")).collect()
}

#[cfg(test)]
mod tests {
    use super::super::walk;
    use super::*;
    use crate::cli::args::Cli;
    use clap::CommandFactory;

    struct Shelf;

    impl Known for Shelf {
        fn models(&self, of_registry: bool, beginning: &str) -> Vec<NameableModel> {
            let model = |model: &str, quant: &str, is_here: bool| NameableModel {
                model: model.into(),
                format: "gguf".into(),
                quant: Some(quant.into()),
                is_here,
                about: None,
            };
            let all = [model("tiny", "q4_k_m", true), model("tiny", "q8_0", false), model("mistral", "q5_k_m", false)];
            all.into_iter().filter(|model| (of_registry || model.is_here) && model.model.starts_with(beginning)).collect()
        }
        fn projects(&self) -> Vec<String> {
            vec!["/srv/game/models".into()]
        }
    }

    fn words(line: &str) -> Vec<String> {
        let mut root = Cli::command();
        root.build();
        let typed: Vec<String> = line.split(' ').map(str::to_owned).collect();
        candidates(&walk::read(&root, &typed), &Shelf).into_iter().map(|candidate| candidate.word).collect()
    }

    #[test]
    fn commands_options_and_their_values_are_completed_at_every_level() {
        assert_eq!(words("model-manager dow"), ["download"]);
        assert_eq!(words("model-manager projects fo"), ["forget"]);
        assert_eq!(words("model-manager list --so"), ["--sort"]);
        assert_eq!(words("model-manager list --sort "), ["name", "size", "used", "added"]);
        assert_eq!(words("model-manager list --sort=u"), ["--sort=used"]);
        assert!(words("model-manager list --off").contains(&"--offline".to_owned()));
    }

    #[test]
    fn ids_quantizations_formats_and_what_is_here_are_completed() {
        assert_eq!(words("model-manager download "), ["mistral", "tiny"]);
        assert_eq!(words("model-manager remove "), ["tiny"]);
        assert_eq!(words("model-manager download tiny:"), ["tiny:q4_k_m", "tiny:q8_0"]);
        assert_eq!(words("model-manager remove tiny:q"), ["tiny:q4_k_m"]);
        assert_eq!(words("model-manager download mistral --quant "), ["q5_k_m"]);
        assert_eq!(words("model-manager download --quant q4"), ["q4_k_m"]);
        assert_eq!(words("model-manager download tiny --format "), ["gguf", "safetensors"]);
        assert_eq!(words("model-manager projects forget "), ["/srv/game/models"]);
    }

    #[test]
    fn settings_and_their_words_are_completed() {
        assert_eq!(words("model-manager config get lin"), ["link"]);
        assert_eq!(words("model-manager config set link h"), ["hardlink"]);
    }
}

//! Finds the path of a model that is here, without a lock and without the network.

use super::{
    ListedFileState, ListedModel, ListedState, ModelManager, Selector,
    name::listed_name,
    name::{Named, Subject, forms},
};
use crate::{
    disk::Kind,
    error::{Error, ErrorKind, Result},
    event::Event,
    hint::{self, Action, Hint, Invocation, Verb},
    names::{Format, RelPath},
    notice::Notice,
    store::ViewKey,
    view::ViewError,
    weights::format_of,
};
use std::path::PathBuf;

impl ModelManager {
    /// The path to give to a backend: of a model that is whole, as far as that can be told without reading it.
    pub fn path(&self, what: &Selector) -> Result<PathBuf> {
        self.path_asked_by(what, Invocation::new(Verb::Path))
    }

    /// The same for another command that needs it.
    pub(super) fn path_asked_by(&self, what: &Selector, command: Invocation<'_>) -> Result<PathBuf> {
        let named = self.named(what, command)?;
        let form = self.form_of(&named, command)?;
        let store = self.existing_store()?;
        let here = self.list_model(store.as_ref(), &form.folder, form.format.as_ref())?;
        let mut found: Vec<&ListedModel> = here.iter().filter(|listed| form.fits_listed(listed)).collect();
        if found.len() > 1 && form.format.is_none() && found.iter().any(|listed| listed.format == Format::gguf().as_str()) {
            found.retain(|listed| listed.format == Format::gguf().as_str());
        }
        if found.len() > 1
            && let Some(best) = found.iter().find(|listed| listed.quant.as_deref() == Some("q4_k_m"))
        {
            found = vec![best];
        }
        match found.as_slice() {
            [listed] => {
                self.tell_choice(&named, listed, &here);
                self.require_whole_view(listed)?;
                self.note_use(store.as_ref(), listed);
                // Which of several plain files is the model, the registry may know.
                let registered = if listed.state == ListedState::Foreign { self.registered_path(&named, listed)? } else { None };
                Ok(registered.unwrap_or_else(|| listed.path.clone()))
            }
            [] => Err(self.not_present(&form, &here, command)),
            several => {
                let all = several.iter().map(|listed| command.of(&listed_name(listed))).collect();
                let text = format!("`{}` is here in several forms: {}", form.folder, forms(several));
                Err(Error::new(ErrorKind::Usage, text).hint(Hint::ChooseForm(all)))
            }
        }
    }

    /// Reports which quantization it is, where none was named and another is here too, or is the one that the registry would
    /// choose.
    fn tell_choice(&self, named: &Named, chosen: &ListedModel, here: &[ListedModel]) {
        let (None, false, Some(view)) = (&named.quant, named.is_view, &chosen.view) else { return };
        let Some(quant) = &view.quant else { return };
        let of_format = here.iter().filter_map(|listed| listed.view.as_ref()).filter(|other| other.format == view.format);
        let mut choices: Vec<_> = of_format.filter_map(|other| other.quant.clone()).collect();
        if let Ok(registry) = self.registry()
            && let Ok(usual) = registry.select(view.model.as_str(), Some(&view.format), None)
        {
            choices.extend(usual.quant.cloned());
        }
        choices.sort();
        choices.dedup();
        if choices.iter().any(|choice| choice != quant) {
            self.report(&Event::Notice(Notice::QuantChosen { model: view.model.clone(), quant: quant.clone(), choices }));
        }
    }

    /// Refuses a view of which a file is missing, or known not to be what it should be.
    fn require_whole_view(&self, listed: &ListedModel) -> Result<()> {
        let ListedModel { model, format, quant, path, .. } = listed;
        let (missing, damaged) = (listed.files_that_are(ListedFileState::Missing), listed.files_that_are(ListedFileState::Damaged));
        let name = forms(&[listed]);
        let repair = hint::repair(model, format, quant.as_deref());
        if missing.is_empty() {
            let text = format!("`{model}` ({name}) is damaged: {}", crate::text::list(&damaged));
            let error = Error::new(ErrorKind::Damaged, text).hint(Hint::Run(repair));
            return if damaged.is_empty() { Ok(()) } else { Err(error) };
        }
        let text = match self.disk.find(path)?.is_some_and(|stat| stat.kind == Kind::Symlink) {
            true if missing.len() == 1 && path.ends_with(missing[0]) => {
                format!("{} leads nowhere: its content is not where the link leads", path.display())
            }
            _ => format!("`{model}` ({name}) is not complete: {} is missing", crate::text::list(&missing)),
        };
        let is_registered = listed.view.as_ref().is_some_and(|view| {
            self.registry()
                .is_ok_and(|registry| registry.select(view.model.as_str(), Some(&view.format), view.quant.as_ref()).is_ok())
        });
        // A download leaves alone what is in the way.
        let is_free = self.is_free(listed)?;
        let command = if is_registered && is_free { Action::new(Verb::Download).name(listed_name(listed)) } else { repair };
        Err(Error::new(ErrorKind::NotFound, text).hint(Hint::Run(command)))
    }

    /// Whether nothing foreign stands where the missing files of a view belong.
    fn is_free(&self, listed: &ListedModel) -> Result<bool> {
        let missing: Vec<RelPath> =
            listed.files_that_are(ListedFileState::Missing).into_iter().filter_map(|file| file.parse().ok()).collect();
        let Some(view) = &listed.view else { return Ok(true) };
        match self.views(self.existing_store()?).require_free(view, &missing) {
            Err(ViewError::Foreign { .. }) => Ok(false),
            free => Ok(free.map(|()| true)?),
        }
    }

    /// The registry's own path among the files of a view.
    fn registered_path(&self, named: &Named, listed: &ListedModel) -> Result<Option<PathBuf>> {
        let Subject::Entry(id) = &named.subject else { return Ok(None) };
        let selection = self.registry()?.select(id.as_str(), named.format.as_ref(), named.quant.as_ref());
        let Ok(selection) = selection else { return Ok(None) };
        let view =
            ViewKey { model: selection.model.id.clone(), format: selection.format.format.clone(), quant: selection.quant.cloned() };
        let names: Option<Vec<RelPath>> = selection.artifact.files.iter().map(|file| file.path.file_name().parse().ok()).collect();
        let is_here = |names: &Vec<RelPath>| {
            let is_shown = listed.view.as_ref().is_some_and(|shown| (&shown.format, &shown.quant) == (&view.format, &view.quant));
            let all = names.iter().all(|name| listed.files.iter().any(|file| file.file == name.as_str()));
            view.format.is_single_file() && is_shown && all && !names.is_empty()
        };
        Ok(names.filter(is_here).map(|names| self.shown_path(&view, &names.iter().collect::<Vec<_>>())))
    }

    /// Resolves a name among the local views: a file of a repository becomes the label of the view that has it.
    pub(super) fn form_of(&self, named: &Named, command: Invocation<'_>) -> Result<Named> {
        match &named.subject {
            Subject::Repository { path: Some(path), .. } if named.quant.is_none() && format_of(path).is_some() => {
                let view = self.target_of(named, None, command)?.0.view;
                Ok(Named { quant: view.quant, ..named.clone() })
            }
            _ => Ok(named.clone()),
        }
    }
}

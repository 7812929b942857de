//! The scripts that a shell loads. They ask this program at each press of the key, so that models are completed too.

use super::Shell;

/// Bash splits words at `:` and `=`, so it gives its line as it is, and is given the last part of a word.
const BASH: &str = r#"_model_manager() {
    local line
    COMPREPLY=()
    while IFS= read -r line; do
        COMPREPLY+=("$line")
    done < <("$1" complete bash --breaks "$COMP_WORDBREAKS" -- "${COMP_LINE:0:COMP_POINT}" 2>/dev/null)
}
complete -o bashdefault -o default -F _model_manager model-manager
"#;

const ZSH: &str = r#"#compdef model-manager
_model_manager() {
    local -a found
    found=("${(@f)$("${(Q)words[1]}" complete zsh -- "${(@Q)words[1,CURRENT]}" 2>/dev/null)}")
    if [[ -n "${found[1]}" ]]; then
        _describe -V 'model-manager' found
    else
        _files
    fi
}
if [[ "${funcstack[1]}" == _model_manager ]]; then
    _model_manager "$@"
else
    compdef _model_manager model-manager
fi
"#;

const FISH: &str = r#"function __model_manager_complete
    set -l words (commandline --tokenize-at-cursor 2>/dev/null; or commandline -opc)
    set -l found ($words[1] complete fish -- $words (commandline -ct) 2>/dev/null)
    if test (count $found) -gt 0
        printf '%s\n' $found
    else
        __fish_complete_path (commandline -ct)
    end
end
complete -c model-manager -f -a '(__model_manager_complete)'
"#;

/// The script of a shell that asks this program.
pub fn of(shell: Shell) -> &'static str {
    match shell {
        Shell::Bash => BASH,
        Shell::Zsh => ZSH,
        Shell::Fish => FISH,
    }
}

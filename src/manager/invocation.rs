//! Commands that notes name.

use crate::{hint::view_name, text};

/// The command that downloads a view.
pub(super) fn download_command(model: &str, format: &str, quant: Option<&str>) -> String {
    format!("`model-manager download {}`", text::shell_word(&view_name(model, format, quant)))
}

/// The command that makes a view whole again.
pub(super) fn repair_command(model: &str, format: &str, quant: Option<&str>) -> String {
    format!("`model-manager verify {} --repair`", text::shell_word(&view_name(model, format, quant)))
}

//! The `model-manager` command.

fn main() -> std::process::ExitCode {
    model_manager::command_line()
}

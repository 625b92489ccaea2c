//! The `llm` binary; everything is in the library beside it.
fn main() -> std::process::ExitCode {
    llm_cli::main()
}

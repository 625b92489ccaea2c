//! The `llm` binary once more, because cargo builds no other package's binary for a test.
fn main() -> std::process::ExitCode {
    llm_cli::main()
}

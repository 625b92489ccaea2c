//! Models by name, from a configuration file and a provider of one's own.
//!
//! `cargo run -p llm-tests --example manager`

use std::io::Write as _;
use std::sync::Arc;

use llm_client::{HttpClient, ModelClient, ModelClientExt as _};
use llm_manager::config::{Sources, load};
use llm_mock::MockServer;
use llm_provider::{ModelConfig, Provider};
use llm_types::Error;

/// Two methods make a provider.
#[derive(Debug)]
struct InHouse(String);

impl Provider for InHouse {
    fn name(&self) -> &str {
        "in-house"
    }

    fn create_client(&self, model: &ModelConfig) -> Result<Arc<dyn ModelClient>, Error> {
        Ok(Arc::new(HttpClient::builder(&self.0, &model.name).provider(self.name()).build()?))
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let server = MockServer::start().await;
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("llm.toml");
    let text = format!(
        "default = \"fast\"\n[aliases]\nfast = \"local/echo\"\n[providers.local]\nbase_url = \"{}\"\nmodels.echo = {{}}\n",
        server.base_url()
    );
    std::fs::write(&file, text)?;

    let env = |name: &str| std::env::var(name).ok();
    let mut sources = Sources::new(&env, folder.path());
    sources.config = Some(file);
    let manager = load(&sources)?.manager;
    manager.register_provider(Arc::new(InHouse(server.base_url())))?;

    let mut out = std::io::stdout();
    writeln!(out, "{}", manager.client("fast")?.ask("by its alias").await?)?;
    writeln!(out, "{}", manager.client("in-house/any")?.ask("by its provider").await?)?;
    let mistake = manager.client("fsat").err().map(|error| error.to_string());
    writeln!(out, "{}", mistake.unwrap_or_default())?;
    manager.close_all().await;
    Ok(())
}

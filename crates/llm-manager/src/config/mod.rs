//! The configuration: files, environment and command line, made into a manager.
//!
//! ```no_run
//! # fn example() -> Result<(), llm_types::Error> {
//! use llm_manager::config::{Sources, load};
//! let env = |name: &str| std::env::var(name).ok();
//! let sources = Sources { home: std::env::home_dir(), ..Sources::new(&env, ".") };
//! let loaded = load(&sources)?;
//! let choice = loaded.choose(Some("openai/gpt-x"))?;
//! let client = loaded.client(&choice)?;
//! # Ok(()) }
//! ```
//! Settings stand at the top of a file for all models, under a provider, or under a model; the nearest wins. Above them
//! stand `LLM_RS_<KEY>` and `--set`.

mod build;
mod choose;
mod default_line;
mod edit;
mod files;
mod findings;
mod formats;
mod groups;
mod key_line;
mod keys;
mod layers;
mod load;
mod load_seed;
mod outline;
mod outside;
mod places;
mod reader;
mod schema;
mod search;
mod seeds;
mod site;
mod sources;
mod spending;
mod tree;

pub use self::choose::Choice;
pub use self::default_line::with_default_as;
pub use self::edit::{create_new, with_default, write};
pub use self::files::user_config;
pub use self::findings::load_or_all_errors;
pub use self::key_line::{Kept, with_key_line, without_key_line};
pub use self::keys::{KeyForm, KeyState, KeyView, keyring_key, remove_keyring_key, set_keyring_key};
pub use self::layers::SetBy;
pub use self::load::{Loaded, load};
pub use self::load_seed::{load_seed, load_seed_text};
pub use self::outline::{ModelOutline, Outline, PlaceOutline, ProviderOutline, Said, Table};
pub use self::places::{KeyClient, Target};
pub use self::search::{Candidate, Role, search};
pub use self::seeds::SeedKind;
pub use self::sources::{Sources, StartServer};

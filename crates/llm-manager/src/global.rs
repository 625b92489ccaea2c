//! The process-wide manager. Nothing else in this workspace touches it.

use std::sync::OnceLock;

use llm_types::{Error, ErrorKind};

use crate::registry::Manager;

static MANAGER: OnceLock<Manager> = OnceLock::new();

/// The manager of the whole process, the same for every caller. It is empty until something is registered or
/// [`install`] put a filled one there.
pub fn manager() -> &'static Manager {
    MANAGER.get_or_init(Manager::new)
}

/// Makes a manager, built from a configuration say, the process-wide one.
///
/// # Errors
/// Kind `Config`, when [`manager`] was used or another was installed before.
pub fn install(manager: Manager) -> Result<(), Error> {
    MANAGER.set(manager).map_err(|_| {
        let message = "the process-wide manager is in use already; install another before the first use, or register \
                       with it";
        Error::new(ErrorKind::Config, message)
    })
}

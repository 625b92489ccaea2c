//! Taking over another configuration while calls are running.

use std::mem;
use std::sync::Arc;

use llm_types::Error;

use crate::registry::Manager;

impl Manager {
    /// Marks everything that is registered so far as a configuration's: the next [`reload`](Self::reload) takes it out
    /// again. What is registered by hand afterwards stays.
    pub fn seal(&self) {
        self.change().names.seal();
    }

    /// Takes over what another manager, made from a new configuration, knows: providers, clients, aliases and the default,
    /// all in one step, so that every look-up finds either the old names or the new. Of the old names only those stay that
    /// were registered by hand.
    ///
    /// Calls that are running go on, and clients that were handed out go on working. The new clients of models that were
    /// in use are made at once, so that limits and keys that have changed hold for running calls too: lane state belongs to
    /// endpoints and key pools, not to clients, where both managers were built over the same
    /// [`Shared`](llm_provider::Shared). Gives the errors of making them; such a model fails when it is asked for. A manager
    /// that was closed stays closed.
    pub fn reload(&self, fresh: &Manager) -> Vec<Error> {
        fresh.seal();
        let used: Vec<String> = {
            let state = self.read();
            let mut ids: Vec<String> = state
                .clients
                .iter()
                .filter(|(_, slot)| slot.made().is_some())
                .map(|(id, _)| id.clone())
                .collect();
            ids.sort();
            ids
        };
        let mut newer = mem::take(&mut *fresh.change());
        let mut state = self.change();
        let older = mem::take(&mut state.names);
        state.names = mem::take(&mut newer.names).succeed(older);
        let by_hand: Vec<(String, Arc<_>)> = mem::take(&mut state.clients)
            .into_iter()
            .filter(|(id, slot)| {
                !newer.clients.contains_key(id) && state.names.still_leads_to(slot.provider())
            })
            .collect();
        state.clients = newer.clients;
        state.clients.extend(by_hand);
        state.others.append(&mut newer.others);
        state.default_model = newer.default_model;
        drop(state);
        // After the change, so that nobody who still looks an old name up has the last word on keys and limits. Only what
        // still has a name; the rest is gone with its configuration.
        used.iter().filter(|id| self.resolve(id).is_ok()).filter_map(|id| self.client(id).err()).collect()
    }
}

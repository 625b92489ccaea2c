//! Several behind one name: what holds for all of them together, pools and chains.

use std::sync::Arc;

use llm_client::Settings;
use llm_types::{Error, ErrorKind};

use super::Builder;
use crate::config::groups::Groups;
use crate::config::schema::{Balance, ChainEntry, PoolEntry, Setting};
use crate::config::site::{Balanced, Site};
use crate::config::spending::Spending;
use crate::registry::Manager;

pub(super) fn balanced(sites: Vec<Site>, balance: &Balance, settings: Settings) -> Balanced {
    let strategy = balance.strategy.as_ref().map(|strategy| strategy.value);
    Balanced { sites, strategy, fallback: balance.fallback, settings }
}

fn is_cap(key: &str) -> bool {
    ["max_concurrent_calls", "requests_per_minute", "tokens_per_minute"].contains(&key)
}

impl Builder<'_> {
    /// The settings of several together: those of their level, but for the caps, which are each one's own unless they
    /// are said of the whole.
    pub(super) fn whole(
        &self,
        levels: &[&[Setting]],
        balance: &Balance,
        whose: &str,
    ) -> Result<Settings, Error> {
        let (settings, _) = self.layers.over(levels, whose)?;
        self.capped(settings, &balance.settings, whose)
    }

    pub(super) fn capped(
        &self,
        mut settings: Settings,
        own: &[Setting],
        whose: &str,
    ) -> Result<Settings, Error> {
        for key in ["max_concurrent_calls", "requests_per_minute", "tokens_per_minute"] {
            settings.set(key, "none")?;
        }
        let outside = |key: &str| self.layers.above.iter().any(|set| set.key == key && !is_cap(key));
        for setting in own.iter().filter(|setting| !outside(setting.key)) {
            settings.set(setting.key, &setting.value)?;
        }
        settings.check().map_err(|e| Error::new(ErrorKind::Config, format!("{whose}: {e}")))?;
        Ok(settings)
    }

    /// `[pools]` and `[chains]`.
    pub(super) fn groups(
        &self,
        pools: Vec<PoolEntry>,
        chains: Vec<ChainEntry>,
        spending: Arc<Spending>,
    ) -> Result<Arc<Groups>, Error> {
        let (top, _) = self.layers.over(&[&self.top], "the settings")?;
        let settings = |own: &[Setting], whose: String| self.capped(top.clone(), own, &whose);
        let pools = pools
            .into_iter()
            .map(|pool| Ok((settings(&pool.balance.settings, format!("pool/{}", pool.name))?, pool)))
            .map(|pair| pair.map(|(settings, pool)| (pool, settings)))
            .collect::<Result<_, Error>>()?;
        let chains = chains
            .into_iter()
            .map(|chain| Ok((settings(&chain.settings, format!("chain/{}", chain.name))?, chain)))
            .map(|pair| pair.map(|(settings, chain)| (chain, settings)))
            .collect::<Result<_, Error>>()?;
        Ok(Groups::new(pools, chains, self.shared.clone(), spending))
    }

    /// A pool is often named like the model that its members serve: the bare name is the pool's then.
    pub(super) fn names_of_groups(&self, manager: &Manager, groups: &Groups) -> Result<(), Error> {
        let models = manager.models();
        for (word, name) in groups.names() {
            if models.iter().any(|model| model.name == name && model.provider != word) {
                manager.set_alias(name, format!("{word}/{name}"))?;
            }
        }
        Ok(())
    }
}

//! The prices in force: those of the configuration, and over them those that operators have set.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use ailayer_store::{Store, StoreError};

use crate::domain::price::Price;
use crate::known::Known;
use crate::store::prices;

/// How long what was read is believed: a new price counts everywhere within that.
const FRESH: Duration = Duration::from_secs(1);

/// A price and where it is from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InForce {
    /// The price.
    pub price: Price,
    /// True if an operator has set it, false if it is the configuration's.
    pub set: bool,
}

/// The prices by model name. Cloned freely.
#[derive(Clone, Debug)]
pub struct Prices {
    store: Store,
    configured: Arc<HashMap<String, Price>>,
    in_force: Known<Arc<BTreeMap<String, InForce>>>,
}

impl Prices {
    /// Those of the configuration, and those in `store`.
    pub fn new(store: Store, configured: HashMap<String, Price>) -> Self {
        Self { store, configured: Arc::new(configured), in_force: Known::new(FRESH) }
    }

    /// The price of a model; none if it is not for sale.
    pub async fn of(&self, model: &str) -> Result<Option<Price>, StoreError> {
        Ok(self.all().await?.get(model).map(|in_force| in_force.price))
    }

    /// All of them.
    pub async fn all(&self) -> Result<Arc<BTreeMap<String, InForce>>, StoreError> {
        self.in_force.get(async || self.read().await).await
    }

    /// Reads them ahead of need.
    pub async fn refresh(&self) -> Result<(), StoreError> {
        self.in_force.refresh(async || self.read().await).await
    }

    async fn read(&self) -> Result<Arc<BTreeMap<String, InForce>>, StoreError> {
        let configured = self.configured.iter();
        let mut all: BTreeMap<String, InForce> =
            configured.map(|(model, price)| (model.clone(), InForce { price: *price, set: false })).collect();
        let set = prices::all(self.store.pool()).await?;
        all.extend(set.into_iter().map(|(model, price)| (model, InForce { price, set: true })));
        Ok(Arc::new(all))
    }

    /// Sets a price. Durable when this returns, and in force here at once.
    pub async fn set(&self, model: &str, price: &Price) -> Result<(), StoreError> {
        prices::set(self.store.pool(), model, price).await?;
        self.in_force.forget();
        Ok(())
    }

    /// Forgets a price that was set. Durable when this returns, and in force here at once.
    pub async fn remove(&self, model: &str) -> Result<(), StoreError> {
        prices::remove(self.store.pool(), model).await?;
        self.in_force.forget();
        Ok(())
    }
}

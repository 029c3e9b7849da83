//! Readiness as the sum of named components.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::watch;

/// The readiness of one process. Ready when every component is; a process without components is ready.
#[derive(Debug, Clone)]
pub struct Health {
    components: Arc<watch::Sender<BTreeMap<String, Option<String>>>>,
    /// What `grpc.health.v1` is asked about besides the server and its services.
    names: Arc<watch::Sender<BTreeMap<String, bool>>>,
}

/// One thing a service needs before it can serve, such as `database`. Starts not ready.
#[derive(Debug, Clone)]
pub struct Component {
    name: String,
    components: Arc<watch::Sender<BTreeMap<String, Option<String>>>>,
}

impl Health {
    /// No components yet.
    pub fn new() -> Self {
        Self { components: Arc::default(), names: Arc::default() }
    }

    /// Registers a component, not ready, with the reason `starting`.
    pub fn component(&self, name: impl Into<String>) -> Component {
        let component = Component { name: name.into(), components: Arc::clone(&self.components) };
        component.set_unready("starting");
        component
    }

    /// True when every component is ready.
    pub fn is_ready(&self) -> bool {
        self.components.borrow().values().all(Option::is_none)
    }

    /// The components that are not ready, with their reasons, in order of name.
    pub fn unready(&self) -> Vec<(String, String)> {
        let components = self.components.borrow();
        components.iter().filter_map(|(name, why)| Some((name.clone(), why.clone()?))).collect()
    }

    /// Says of a name, such as a model's, whether it can serve: `grpc.health.v1` answers so from then on.
    ///
    /// It changes nothing about the readiness of the process. None forgets the name: NOT_FOUND again.
    pub fn set_name(&self, name: &str, serving: Option<bool>) {
        self.names.send_if_modified(|names| match serving {
            Some(serving) => names.insert(name.to_owned(), serving) != Some(serving),
            None => names.remove(name).is_some(),
        });
    }

    /// Waits for the next change of a name.
    pub fn subscribe_names(&self) -> watch::Receiver<BTreeMap<String, bool>> {
        self.names.subscribe()
    }

    /// Waits for the next change of any component.
    pub fn subscribe(&self) -> watch::Receiver<BTreeMap<String, Option<String>>> {
        self.components.subscribe()
    }
}

impl Default for Health {
    fn default() -> Self {
        Self::new()
    }
}

impl Component {
    /// The component can serve.
    pub fn set_ready(&self) {
        self.set(None);
    }

    /// The component cannot serve, and why.
    pub fn set_unready(&self, reason: impl Into<String>) {
        self.set(Some(reason.into()));
    }

    /// Forgets the component: it counts no more, whatever it said. Clones that speak later bring it back.
    pub fn remove(self) {
        self.components.send_if_modified(|components| components.remove(&self.name).is_some());
    }

    fn set(&self, state: Option<String>) {
        self.components.send_if_modified(|components| {
            if components.get(&self.name) == Some(&state) {
                return false;
            }
            match &state {
                None => tracing::info!(component = %self.name, "component ready"),
                Some(reason) => tracing::info!(component = %self.name, %reason, "component not ready"),
            }
            components.insert(self.name.clone(), state);
            true
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ready_only_when_all_are() {
        let health = Health::new();
        assert!(health.is_ready());
        let (a, b) = (health.component("a"), health.component("b"));
        assert!(!health.is_ready());
        a.set_ready();
        assert_eq!(health.unready(), vec![("b".to_owned(), "starting".to_owned())]);
        b.set_ready();
        assert!(health.is_ready());
        a.set_unready("gone");
        assert_eq!(health.unready(), vec![("a".to_owned(), "gone".to_owned())]);
        a.remove();
        assert!(health.is_ready());
    }
}

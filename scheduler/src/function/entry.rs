//! Everything that goes by one function's name.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{
    Alias, EventInvoke, Function, FunctionUrl, LATEST, Provisioning, RecursiveLoop, RuntimeUpdates,
    Version,
};
use crate::policy::Policy;

/// A function in all its versions.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// What updates change.
    pub latest: Arc<Function>,
    /// What has been published and not been deleted, by number.
    pub versions: BTreeMap<u64, Arc<Function>>,
    /// What is said of the function as a whole.
    pub settings: Settings,
}

/// What is kept of a function besides its versions. What is absent in a stored one has its default.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Settings {
    /// The number of the version published last, also when that is gone.
    pub version_max: u64,
    /// By name.
    pub aliases: BTreeMap<String, Alias>,
    /// At most 50.
    pub tags: BTreeMap<String, String>,
    /// How many invocations may be under way at once, where that is bounded.
    pub reserved_concurrency: Option<u32>,
    /// Of asynchronous invocations, by qualifier: $LATEST for those without.
    pub event_invoke: BTreeMap<String, EventInvoke>,
    /// Who may use it: for the function as a whole under "", for a version or an alias under its qualifier.
    pub policies: BTreeMap<String, Policy>,
    /// Its endpoint under "", those of aliases under their names.
    pub urls: BTreeMap<String, FunctionUrl>,
    /// By version.
    pub runtime_updates: BTreeMap<String, RuntimeUpdates>,
    /// Environments to be kept, by version or alias.
    pub provisioned: BTreeMap<String, Provisioning>,
    /// What is to become of it where it invokes itself.
    pub recursive_loop: RecursiveLoop,
}

impl Settings {
    /// Forgets what is said of a version or an alias that is gone.
    pub fn forget(&mut self, qualifier: &str) {
        self.policies.remove(qualifier);
        self.urls.remove(qualifier);
        self.event_invoke.remove(qualifier);
        self.runtime_updates.remove(qualifier);
        self.provisioned.remove(qualifier);
    }
}

impl Entry {
    /// One version.
    pub fn get(&self, version: Version) -> Option<&Arc<Function>> {
        match version {
            Version::Latest => Some(&self.latest),
            Version::Published(number) => self.versions.get(&number),
        }
    }

    /// The version that runs an invocation of what `qualifier` names, by 32 bits that are random for each.
    pub fn route(&self, qualifier: &str, random: u32) -> Option<&Arc<Function>> {
        match self.settings.aliases.get(qualifier) {
            Some(alias) => self.get(alias.route(random)),
            None => self.get(qualifier.parse().ok()?),
        }
    }

    /// The version that `qualifier` names.
    pub fn find(&self, qualifier: &str) -> Option<&Arc<Function>> {
        match self.settings.aliases.get(qualifier) {
            Some(alias) => self.get(alias.version),
            None => self.get(qualifier.parse().ok()?),
        }
    }

    /// How many environments are to be kept, by version: what is asked for in several names adds up.
    pub fn provisioned(&self) -> BTreeMap<u64, u32> {
        let mut all: BTreeMap<u64, u32> = BTreeMap::new();
        for (qualifier, provisioning) in &self.settings.provisioned {
            if let Some(Version::Published(number)) = self.find(qualifier).map(|one| one.version) {
                let sum = all.entry(number).or_default();
                *sum = sum.saturating_add(provisioning.count);
            }
        }
        all
    }

    /// How many that are, of all versions together.
    pub fn provisioned_total(&self) -> u32 {
        self.provisioned().values().fold(0, |sum, count| sum.saturating_add(*count))
    }

    /// Memory that they take, MiB.
    pub fn provisioned_mib(&self) -> u64 {
        let memory =
            |number| self.versions.get(number).map_or(0, |one| one.configuration.memory_mib);
        let all = self.provisioned();
        all.iter().map(|(number, count)| u64::from(memory(number)) * u64::from(*count)).sum()
    }

    /// What is said of asynchronous invocations of what `qualifier` names.
    pub fn event_invoke(&self, qualifier: Option<&str>) -> EventInvoke {
        self.settings.event_invoke.get(qualifier.unwrap_or(LATEST)).cloned().unwrap_or_default()
    }

    /// The revision of what `qualifier` names: an alias has one of its own.
    pub fn revision_id(&self, qualifier: Option<&str>) -> Option<&str> {
        let Some(qualifier) = qualifier else { return Some(&self.latest.revision_id) };
        match self.settings.aliases.get(qualifier) {
            Some(alias) => Some(&alias.revision_id),
            None => self.get(qualifier.parse().ok()?).map(|function| &*function.revision_id),
        }
    }

    /// Gives what `qualifier` names another revision; the version, if it is one.
    pub fn set_revision_id(
        &mut self,
        qualifier: Option<&str>,
        revision_id: String,
    ) -> Option<Arc<Function>> {
        let version = match qualifier {
            None => Version::Latest,
            Some(qualifier) => match self.settings.aliases.get_mut(qualifier) {
                Some(alias) => {
                    alias.revision_id = revision_id;
                    return None;
                }
                None => qualifier.parse().ok()?,
            },
        };
        let function = match version {
            Version::Latest => &mut self.latest,
            Version::Published(number) => self.versions.get_mut(&number)?,
        };
        *function = Arc::new(Function { revision_id, ..(**function).clone() });
        Some(Arc::clone(function))
    }

    /// $LATEST, then the others in the order of their numbers.
    pub fn all(&self) -> impl Iterator<Item = &Arc<Function>> {
        [&self.latest].into_iter().chain(self.versions.values())
    }

    /// The version published last, if neither code nor configuration has changed since.
    pub fn unchanged(&self) -> Option<&Arc<Function>> {
        let last = self.versions.get(&self.settings.version_max)?;
        let mut configuration = last.configuration.clone();
        // A version may have a description of its own, which is no change of $LATEST.
        if self.latest.modified_ms <= last.modified_ms {
            configuration.description = self.latest.configuration.description.clone();
        }
        let is_same = last.code_sha256 == self.latest.code_sha256
            && configuration == self.latest.configuration;
        is_same.then_some(last)
    }
}

//! Values that are attached to a request or a session, one of each type.

use std::any::{Any, TypeId};
use std::fmt;
use std::sync::Arc;

/// Values by their type. An empty set takes no memory of its own.
#[derive(Clone, Default)]
pub struct Attributes(Vec<(TypeId, Arc<dyn Any + Send + Sync>)>);

impl Attributes {
    /// Attaches a value, in place of any other of the same type.
    pub fn set<T: Any + Send + Sync>(&mut self, value: T) {
        self.put(TypeId::of::<T>(), Arc::new(value));
    }

    /// These, and a value that others have, too.
    pub(crate) fn with_shared<T: Any + Send + Sync>(mut self, value: Arc<T>) -> Attributes {
        self.put(TypeId::of::<T>(), value);
        self
    }

    /// Attaches all values of another set.
    pub(crate) fn extend(&mut self, others: Attributes) {
        others.0.into_iter().for_each(|(id, value)| self.put(id, value));
    }

    fn put(&mut self, id: TypeId, value: Arc<dyn Any + Send + Sync>) {
        self.0.retain(|(other, _)| *other != id);
        self.0.push((id, value));
    }

    /// The value of this type.
    #[must_use]
    pub fn get<T: Any + Send + Sync>(&self) -> Option<Arc<T>> {
        let (_, value) = self.0.iter().find(|(id, _)| *id == TypeId::of::<T>())?;
        value.clone().downcast().ok()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for Attributes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Attributes").field("count", &self.0.len()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_one_value_of_each_type() {
        let mut attributes = Attributes::default();
        attributes.set(1u8);
        attributes.set("text");
        attributes.set(2u8);
        assert_eq!(attributes.get::<u8>().as_deref(), Some(&2));
        assert_eq!(attributes.get::<&str>().as_deref(), Some(&"text"));
        assert!(attributes.get::<u16>().is_none() && !attributes.is_empty());
    }
}

//! A new certificate for a running server.

use super::Reactor;
use super::mailbox::Letter;
use super::service::Service;
use crate::transport::{Identity, IdentityError};

impl<S: Service> Reactor<S> {
    /// Has certificate and key read again, on another thread: the disk may be slow.
    pub(super) fn begin_reload(&mut self) {
        let Some(files) = self.identity_files.clone() else {
            return tracing::info!("nothing to reload: no certificate is configured");
        };
        let mailbox = self.turn.mailbox.clone();
        let load = move || mailbox.post(Letter::Reloaded(Identity::load(&files)));
        if let Err(error) = std::thread::Builder::new().name("foghorn-reload".to_owned()).spawn(load) {
            tracing::error!(%error, "certificate and key stay as they are: no thread to read them");
        }
    }

    /// From now on newcomers are shown the new certificate; whoever is connected stays so.
    pub(super) fn finish_reload(&mut self, identity: Result<Identity, IdentityError>) {
        match identity {
            Ok(identity) => {
                self.identity = Some(identity);
                tracing::info!("certificate and key were reloaded");
            }
            Err(error) => tracing::error!(%error, "certificate and key stay as they are"),
        }
    }
}

//! Where the database is: the URL as an operator writes it, checked before anything is asked.

use std::time::Duration;

use mongodb::options::{Acknowledgment, ClientOptions, ServerAddress};
use tokio::runtime::Runtime;

use crate::store::error::OpenError;
use crate::store::options::MongoDb;

/// The database of a URL that names none, as with the programs whose chats are kept there.
const DATABASE: &str = "test";
/// Connections at most, if the URL does not say: each thread of the store uses one at a time, the driver a few besides.
const CONNECTIONS_MAX: u32 = 32;

/// What a URL says.
pub(super) struct Place {
    pub(super) options: ClientOptions,
    pub(super) database: String,
    /// Servers and database, without a name or a password.
    pub(super) text: Box<str>,
}

impl Place {
    /// Reads a URL; one of `mongodb+srv` is looked up in the DNS.
    pub(super) fn find(runtime: &Runtime, location: &MongoDb) -> Result<Place, OpenError> {
        let refused = |reason: String| OpenError::Address { reason };
        let parsing = async {
            let parsing = ClientOptions::parse(location.url.reveal());
            tokio::time::timeout(location.timeout.max(DNS_PATIENCE), parsing).await
        };
        let mut options = match runtime.block_on(parsing) {
            Ok(Ok(options)) => options,
            // What the driver says may repeat the URL, and the password with it.
            Ok(Err(error)) => return Err(refused(told_without(&error.to_string(), location.url.reveal()))),
            Err(_) => return Err(refused("the DNS does not say where its servers are".to_owned())),
        };
        if let Some(concern) = &options.write_concern
            && matches!(concern.w, Some(Acknowledgment::Nodes(0)))
        {
            return Err(refused("w=0 would not say whether a message is stored (leave it out)".to_owned()));
        }
        let database = options.default_database.clone().unwrap_or_else(|| DATABASE.to_owned());
        let servers: Vec<String> = options.hosts.iter().map(ServerAddress::to_string).collect();
        let text = format!("{}/{database}", servers.join(",")).into();
        options.app_name.get_or_insert_with(|| "foghorn".to_owned());
        options.max_pool_size.get_or_insert(CONNECTIONS_MAX);
        // Who waits for an answer waits no longer, whatever the URL says.
        options.server_selection_timeout = Some(location.timeout);
        options.connect_timeout = Some(location.timeout);
        Ok(Place { options, database, text })
    }
}

/// How long the DNS may take at least.
const DNS_PATIENCE: Duration = Duration::from_secs(10);

/// What was said of a URL, unless it repeats what must not be shown.
fn told_without(said: &str, url: &str) -> String {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let credentials = rest.rsplit_once('@').map(|(credentials, _)| credentials);
    let parts = credentials.into_iter().flat_map(|credentials| credentials.split(':'));
    let tells = parts.filter(|part| !part.is_empty()).any(|part| said.contains(part));
    if tells || said.contains(url) { "it is no URL of MongoDB".to_owned() } else { said.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Secret;

    fn find(url: &str) -> Result<Place, OpenError> {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        Place::find(&runtime, &MongoDb { url: Secret::new(url), ..MongoDb::default() })
    }

    #[test]
    fn a_url_names_servers_and_a_database_and_nothing_shows_its_password() {
        let place = find("mongodb://ann:s3cret@one:27018,two/chat?replicaSet=rs0").unwrap();
        assert_eq!((&*place.text, &*place.database), ("one:27018,two:27017/chat", "chat"));
        assert_eq!(find("mongodb://one").unwrap().database, "test");
        assert_eq!(find("mongodb://one/?w=majority").unwrap().database, "test");
        for (url, reason) in [
            ("mongodb://one/chat?w=0", "w=0"),
            ("mongodb://ann:s3cret@", ""),
            ("mongodb://ann:s3cret@one/?readPreference=s3cret", ""),
            ("mongodb://ann:s3c/ret@one", ""),
            ("mongodb://one/?tls=maybe", "tls"),
        ] {
            let error = find(url).err().unwrap_or_else(|| panic!("{url} is taken")).to_string();
            assert!(error.contains(reason) && !error.contains("s3c"), "{url}: {error}");
        }
    }
}

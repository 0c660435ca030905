//! How the server's metrics are read.

use std::time::Duration;

use super::modes::Common;
use crate::bench::MetricsSource;
use crate::cli::failure::Failure;
use crate::cli::remote::{AccessArgs, Remote};

const PATH: &str = "/metrics";

/// What `--metrics` and its like say; `None` if they are to be left alone.
pub(super) fn source(common: &Common) -> Option<MetricsSource> {
    if common.no_metrics {
        return None;
    }
    let access = AccessArgs::new(common.metrics_token.clone(), common.ca.clone(), common.insecure);
    // Whoever names the whole path means the same.
    let elsewhere = common.metrics.as_deref().map(|url| url.strip_suffix(PATH).unwrap_or(url).to_owned());
    Some(MetricsSource::new(common.scrape.map(Duration::from_secs_f64), move |server| {
        read(elsewhere.as_deref().unwrap_or(server), &access).map_err(|failure| failure.text)
    }))
}

fn read(url: &str, access: &AccessArgs) -> Result<String, Failure> {
    let mut remote = Remote::connect(url, access)?;
    let answer = remote.ask("GET", PATH)?;
    match answer.status {
        200 => Ok(String::from_utf8_lossy(&answer.body).into_owned()),
        404 => {
            Err(Failure::new(format!("{url} has no {PATH} (with admin.listen it is there alone: --metrics)")))
        }
        401 => Err(Failure::new(format!("{url} wants a token for its metrics (--metrics-token)"))),
        _ => Err(remote.refusal(&answer)),
    }
}

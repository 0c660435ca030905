//! The dashboard for operators at `/admin`: a page inside the binary, and what it is told over the server's own WebSocket.
//!
//! Where keys for tokens are configured, the page is open and its data need an administrator of all rooms; elsewhere
//! everything below `/admin` is for this machine alone ([`is_local`](crate::http::is_local)).
//!
//! | file | subject |
//! |---|---|
//! | `page` | the files of the page, who asks, recordings |
//! | `live` | the sessions of `/admin/live`: figures each second, and what a dashboard asks for |
//! | `command` | what that is, as JSON |
//! | `sampler` | the figures of a moment, taken once for all dashboards |
//! | `search` | rooms, members and sessions are looked for, part by part |
//! | `ended` | the sessions that have ended last, as JSON |
//! | `recording` | what a room has recorded, as JSON Lines |

mod command;
mod ended;
mod live;
mod page;
mod recording;
mod sampler;
mod search;

use self::live::Live;
use self::page::{PATH, Page};
use crate::config::Config;
use crate::http::Origins;
use crate::server::{Audience, Endpoint, Router};

const LIVE_PATH: &str = "/admin/live";

/// Bytes of what a dashboard asks for: names and a few words.
const MESSAGE_BYTES: usize = 4096;
/// Questions of one dashboard in a second: more than a person types.
const MESSAGES_PER_SECOND: usize = 50;

/// Adds the dashboard.
#[must_use]
pub fn routes(router: Router, config: &Config) -> Router {
    let has_keys = config.auth.is_on();
    // A page that may chat is no page that may throw others out.
    let live = Endpoint::new(Live::new(has_keys)).origins(Origins::SameOrigin);
    let live = live.message_bytes(MESSAGE_BYTES).messages_per_second(MESSAGES_PER_SECOND);
    router.audience(PATH, Audience::Operators).api(PATH, Page::new(has_keys)).endpoint(LIVE_PATH, live)
}

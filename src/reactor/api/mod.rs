//! Plain types that an application sees. They know nothing of the loop.
//!
//! | file | subject |
//! |---|---|
//! | [`answer`] | the answer to a request, given at once or later |
//! | [`attributes`] | values attached to a request or a session |
//! | [`background`] | work that goes on over several turns |
//! | [`disconnect`] | how a session ended |
//! | [`handshake`] | the request that a session began with |
//! | [`join`] | the wish to enter a room, the place in it |
//! | [`peer_info`] | where a request came from |
//! | [`stream_response`] | a response that goes on with the messages of a room |
//! | [`ticket`] | names a request that is answered later |
//! | [`timer`] | names a timer of a session |
//! | [`user_state`] | what the reactor keeps for a handler |

pub(super) mod answer;
pub(super) mod attributes;
pub(super) mod background;
pub(super) mod disconnect;
pub(super) mod handshake;
pub(super) mod join;
pub(super) mod peer_info;
pub(super) mod stream_response;
pub(super) mod ticket;
pub(super) mod timer;
pub(super) mod user_state;

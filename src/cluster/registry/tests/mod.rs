//! The registry against a Redis of its own, beside the other stores: all of them answer alike.
//!
//! | file | subject |
//! |---|---|
//! | `server` | a Redis that ends with its test |
//! | `alike` | the same questions for all stores |
//! | `redis` | what stands in Redis after all that, and what others put there |

mod alike;
mod redis;
mod server;

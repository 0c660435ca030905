//! The nodes: each joins, serves, ends one way or another, and is followed by another one.

use std::time::Duration;

use foghorn::config::Config;
use foghorn::simulation::{Joining, Node, Reach, World};
use foghorn::store::StoreThreads;

use crate::run::start_over;

/// What a node is about.
pub(crate) enum Life {
    /// Nothing is there before this.
    Down {
        until: Duration,
    },
    Joining(Joining),
    Up {
        node: Box<Node>,
        threads: StoreThreads,
    },
    /// It ends in good order; `is_left`: its reactor has.
    Stopping {
        node: Box<Node>,
        threads: StoreThreads,
        is_left: bool,
    },
    /// Its way to the engine ends.
    Leaving,
}

/// A place at which a node is, one after the other.
pub(crate) struct Place {
    pub(crate) life: Life,
    /// What the world calls the node that is there now.
    pub(crate) name: usize,
    /// It stands still.
    pub(crate) paused_until: Duration,
    /// It does not reach the engine.
    pub(crate) cut_off_until: Duration,
}

/// Names of nodes at one place are this far apart.
pub(crate) const PLACES_MAX: usize = 16;

impl Place {
    pub(crate) fn new(number: usize) -> Place {
        let life = Life::Down { until: Duration::ZERO };
        Place { life, name: number, paused_until: Duration::ZERO, cut_off_until: Duration::ZERO }
    }

    /// The server, if one is there that does something.
    pub(crate) fn node(&mut self) -> Option<&mut Node> {
        match &mut self.life {
            Life::Up { node, .. } | Life::Stopping { node, .. } => Some(node),
            Life::Down { .. } | Life::Joining(_) | Life::Leaving => None,
        }
    }

    pub(crate) fn serves(&self) -> bool {
        matches!(self.life, Life::Up { .. })
    }

    /// Goes on with what it is about; true if that was something.
    pub(crate) fn tend(&mut self, world: &World, config: &Config) -> bool {
        if self.serves() {
            return false;
        }
        let life = std::mem::replace(&mut self.life, Life::Leaving);
        let (life, is_other) = match life {
            Life::Down { until } if world.elapsed() >= until => {
                self.name += PLACES_MAX;
                (Life::Joining(world.join(self.name, config)), true)
            }
            Life::Joining(joining) => match joining.take() {
                None => (Life::Joining(joining), false),
                Some(Ok(joined)) => {
                    let node = Box::new(start_over(world, config, joined.store));
                    (Life::Up { node, threads: joined.threads }, true)
                }
                Some(Err(_)) => (Life::Down { until: world.elapsed() + Duration::from_millis(500) }, true),
            },
            Life::Stopping { mut node, threads, is_left: false } if node.is_over() => {
                node.abandon_workers();
                (Life::Stopping { node, threads, is_left: true }, true)
            }
            Life::Stopping { mut node, threads, is_left: true } => {
                if node.have_workers_ended() {
                    drop(node);
                    world.leave(self.name, threads);
                    (Life::Leaving, true)
                } else {
                    (Life::Stopping { node, threads, is_left: true }, false)
                }
            }
            Life::Leaving if world.threads().iter().all(|thread| thread.node() != self.name) => {
                (Life::Down { until: world.elapsed() + Duration::from_millis(100) }, true)
            }
            other => (other, false),
        };
        self.life = life;
        is_other
    }

    /// It is told to end in good order.
    pub(crate) fn stop(&mut self) {
        let life = std::mem::replace(&mut self.life, Life::Leaving);
        self.life = match life {
            Life::Up { node, threads } => {
                node.handle().shutdown();
                Life::Stopping { node, threads, is_left: false }
            }
            other => other,
        };
    }

    /// It ends here and now.
    pub(crate) fn kill(&mut self, world: &World, until: Duration) {
        world.kill(self.name);
        world.set_reach(self.name, Reach::Open);
        let life = std::mem::replace(&mut self.life, Life::Down { until });
        if let Life::Up { mut node, threads } | Life::Stopping { mut node, threads, .. } = life {
            node.crash();
            drop(node);
            // None is there any more that would be waited for.
            drop(threads);
        }
    }
}

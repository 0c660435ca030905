//! What must be true when everything has come to rest.

use std::collections::BTreeSet;
use std::time::Duration;

use foghorn::simulation::Line;

use super::Run;
use crate::client::Client;
use crate::model::{Logs, Wrong};
use crate::plan::{ClientPlan, ROOMS, USERS};
use crate::run::STAY_MAX;

/// How long a node may take to be there again.
const RETURN_MAX: Duration = Duration::from_secs(60);
/// Within this, nodes have found out what they have not heard: they compare where logs stand every ten seconds.
const CATCH_UP_MAX: Duration = Duration::from_secs(14);

impl Run<'_> {
    pub(super) fn end(&mut self) -> Result<(), Wrong> {
        self.end_faults();
        self.clients.iter_mut().for_each(Client::settle);
        self.settle("what was begun comes to an end")?;
        self.see_all_nodes()?;
        self.pass_until_quiet(CATCH_UP_MAX + self.plan.lease * 2, "everybody is served")?;
        self.check_rooms()?;
        self.check_online()?;
        for client in &self.clients {
            client.check_served(&self.model, self.world.elapsed())?;
        }
        self.model.check_acknowledged(&*self.redis.borrow())?;
        self.serve_witnesses()?;
        self.see_everybody_go()?;
        self.check_presence()
    }

    pub(super) fn see_all_nodes(&mut self) -> Result<(), Wrong> {
        let until = self.world.elapsed() + RETURN_MAX;
        while !self.places.iter().all(|place| place.serves()) {
            if self.world.elapsed() > until {
                return Err("a node does not come back".into());
            }
            self.pass_until_quiet(Duration::from_secs(1), "the nodes are there")?;
        }
        Ok(())
    }

    /// Whoever is in a room is in the one that the engine has under its name: there is no other.
    fn check_rooms(&self) -> Result<(), Wrong> {
        for follower in self.clients.iter().filter_map(Client::member) {
            let kept = self.redis.borrow().log(&follower.room).map(|(epoch, _)| epoch);
            if kept != Some(follower.epoch) {
                let (room, epoch) = (&follower.room, follower.epoch);
                return Err(format!("somebody is in {room} {epoch:016x}, and {kept:016x?} is kept"));
            }
        }
        Ok(())
    }

    /// Those who are in a room are online in it, and nobody else is.
    fn check_online(&self) -> Result<(), Wrong> {
        if self.troubles.has_evicted {
            return Ok(());
        }
        for (number, room) in ROOMS.iter().enumerate() {
            let stays = self.redis.borrow().present(room).0;
            let online: BTreeSet<&str> = stays.iter().filter_map(|stay| stay.splitn(4, '|').nth(3)).collect();
            let here = self.clients.iter().filter(|client| client.plan.room == number);
            let lines: BTreeSet<&str> = here
                .clone()
                .filter(|client| client.line.is_some())
                .map(|client| USERS[client.plan.user])
                .collect();
            let members: BTreeSet<&str> = here
                .filter(|client| client.member().is_some())
                .map(|client| USERS[client.plan.user])
                .collect();
            if let Some(user) = members.difference(&online).next() {
                return Err(format!("{user} is in {room} and not online: {stays:?}"));
            }
            // Nodes look after the stays of others in rooms that they have open; in others when somebody asks.
            if let Some(user) = online.difference(&lines).next().filter(|_| !members.is_empty()) {
                return Err(format!("{user} is online in {room} and not there: {stays:?}"));
            }
        }
        Ok(())
    }

    /// Whoever comes now is shown everything that is kept, in each room, at each node.
    fn serve_witnesses(&mut self) -> Result<(), Wrong> {
        let first = self.clients.len();
        for place in 0..self.places.len() {
            for (room, name) in ROOMS.iter().enumerate() {
                if self.redis.borrow().log(name).is_some() {
                    self.clients.push(Client::new(self.clients.len(), ClientPlan::witness(room)));
                    self.homes.push(place);
                }
            }
        }
        self.settle("witnesses are served")?;
        self.pass_until_quiet(CATCH_UP_MAX, "witnesses are served")?;
        for witness in &self.clients[first..] {
            witness.check_served(&self.model, self.world.elapsed())?;
            let room = ROOMS[witness.plan.room];
            let Some((epoch, log)) = self.redis.borrow().log(room) else { continue };
            let tail = log.first().map_or(0, |first| first.seq);
            let shown = witness.follower.as_ref().map(|follower| (follower.epoch, follower.seq));
            let entries = witness.follower.as_ref().map_or(0, |follower| follower.entries);
            let kept = log.last().map(|last| (epoch, last.seq));
            // What was forgotten may be noticed as late as now, by the first who says something.
            let has_all =
                self.troubles.has_forgotten || kept.is_none_or(|(_, seq)| entries == seq + 1 - tail);
            if (shown != kept || !has_all) && self.plan.base.on_lag == "catch-up" {
                return Err(format!(
                    "a witness is shown {entries} up to {shown:?} of {room}, where {kept:?} is kept"
                ));
            }
        }
        Ok(())
    }

    /// Everybody goes; nothing is left of them once their time is up.
    fn see_everybody_go(&mut self) -> Result<(), Wrong> {
        self.story.tell(|| "everybody goes".to_owned());
        for client in &mut self.clients {
            client.stop_coming_back();
            client.fall_silent();
            client.line.take().iter().for_each(Line::close);
        }
        let until = self.world.elapsed() + STAY_MAX;
        loop {
            let burdens: Vec<_> =
                self.places.iter_mut().filter_map(|place| place.node().map(|node| node.burden())).collect();
            if burdens.iter().all(|burden| *burden == (0, 0)) {
                break;
            }
            if self.world.elapsed() > until {
                return Err(format!("silent clients are still here: {burdens:?}"));
            }
            self.pass_until_quiet(Duration::from_secs(1), "the silent are given up")?;
        }
        self.pass_until_quiet(self.plan.lease * 2 + Duration::from_secs(2), "what is left of them is stored")
    }

    /// Nobody is left, and everybody who came has gone.
    fn check_presence(&self) -> Result<(), Wrong> {
        let redis = self.redis.borrow();
        for room in ROOMS {
            let (stays, users) = redis.present(room);
            if (!stays.is_empty() || users > 0) && !self.troubles.has_evicted {
                return Err(format!("{room}: {stays:?} are left, {users} users are counted"));
            }
            let Some((_, log)) = redis.log(room).filter(|_| !self.troubles.has_forgotten) else { continue };
            let notices: Vec<_> =
                log.into_iter().map(|logged| (logged.kind, logged.user, logged.online)).collect();
            self.model.check_presence(room, &notices)?;
        }
        Ok(())
    }
}

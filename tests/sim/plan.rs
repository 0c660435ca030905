//! What follows from a seed before anything happens: the server's options, the clients and what they are going to do, the
//! faults that there are, how often each kind of step has its turn.

use std::collections::BTreeSet;

use crate::random::Random;

pub(crate) const ROOMS: [&str; 3] = ["a", "b", "c"];
/// The last of them are witnesses, one for each room, of whom nobody else knows.
pub(crate) const USERS: [&str; 7] = ["ann", "bob", "cleo", "dan", "walt", "wendy", "wilma"];
const SPEAKERS: usize = USERS.len() - ROOMS.len();

/// What can go wrong, besides what clients do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Fault {
    /// Events come for no reason.
    SpuriousEvents,
    /// A write finds little memory.
    ShortMemory,
    /// The clock on the wall is set.
    WallJumps,
    /// The process stands still for a while.
    Standstill,
    /// Transactions fail for a while.
    StoreUnavailable,
    /// The disk does not confirm: nothing is stored until a restart.
    StoreFails,
    /// Pages cannot be read for a while.
    ReadsFail,
    /// Accepting fails for a while.
    AcceptFails,
    /// `kill -9`, and a new process.
    Kill,
    /// The machine loses power, and is started again.
    PowerLoss,
    /// An end in good order, and a new process.
    Restart,
    /// The operator changes limits, and has them read.
    Reload,
}

pub(crate) const FAULTS: [Fault; 12] = [
    Fault::SpuriousEvents,
    Fault::ShortMemory,
    Fault::WallJumps,
    Fault::Standstill,
    Fault::StoreUnavailable,
    Fault::StoreFails,
    Fault::ReadsFail,
    Fault::AcceptFails,
    Fault::Kill,
    Fault::PowerLoss,
    Fault::Restart,
    Fault::Reload,
];

/// The door that a client comes through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Door {
    Chat,
    Raw,
    Stomp,
    Sse,
    Poll,
    /// REST, whatever it is used for.
    Rest,
}

/// Where a newcomer wants to begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum From {
    Live,
    /// After this number, whatever the epoch.
    Seq(u64),
    /// After the last position that it knows.
    Position,
    /// Later than the time of the last frame that it saw.
    Time,
    Last(u64),
}

/// One thing that a client does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Command {
    Come(From),
    Say {
        bytes: usize,
        with_id: bool,
    },
    /// This number of short messages at once.
    Flood(usize),
    /// The last message with an id, once more.
    Repeat,
    Ping,
    /// Something that is no message.
    Nonsense(u8),
    StopReading,
    ReadOn,
    /// Says that nothing more will come.
    Finish,
    /// With a Close frame, where there is such a thing.
    Leave,
    /// Closes the socket.
    Close,
    /// Cuts the line.
    Cut,
    /// Never reads, never says anything again, and does not close either.
    Vanish,
    // REST.
    Create(usize),
    Delete(usize),
    Post {
        room: usize,
        bytes: usize,
        with_id: bool,
    },
    History {
        room: usize,
        after: Option<u64>,
    },
    Online(usize),
    Kick {
        room: usize,
        user: usize,
    },
    Ban {
        room: usize,
        user: usize,
        seconds: usize,
    },
    Lift {
        room: usize,
        user: usize,
    },
    Stats,
}

/// What there is more of than usual: what is rare everywhere meets nothing else that is rare.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Theme {
    Usual,
    /// Clients come and go all the time.
    Churn,
    /// Rooms are deleted while they are opened.
    Deletions,
    /// The process ends again and again, and what was said is said again.
    Crashes,
}

const THEMES: [Theme; 6] =
    [Theme::Usual, Theme::Usual, Theme::Usual, Theme::Churn, Theme::Deletions, Theme::Crashes];

#[derive(Clone, Debug)]
pub(crate) struct ClientPlan {
    pub(crate) door: Door,
    pub(crate) user: usize,
    pub(crate) room: usize,
    pub(crate) deflate: bool,
    /// Whether it comes back by itself when the line is lost.
    pub(crate) comes_back: bool,
    /// Bytes that each direction of its line has room for.
    pub(crate) line_bytes: usize,
    pub(crate) commands: Vec<Command>,
}

/// The kinds of steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Reactor,
    Worker,
    Commit,
    Read,
    Answer,
    Deliver,
    Command,
    Receive,
    Fault,
    Time,
}

pub(crate) const STEPS: [Step; 10] = [
    Step::Reactor,
    Step::Worker,
    Step::Commit,
    Step::Read,
    Step::Answer,
    Step::Deliver,
    Step::Command,
    Step::Receive,
    Step::Fault,
    Step::Time,
];

#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) seed: u64,
    /// 0: the reactor runs the only shard.
    pub(crate) workers: usize,
    pub(crate) durability: &'static str,
    pub(crate) on_lag: &'static str,
    pub(crate) window_messages: usize,
    pub(crate) messages_max: usize,
    /// Whether the store is a database, or what one does in memory: which is quicker, and can lose what was not synced.
    pub(crate) has_database: bool,
    /// Jobs that the store takes at a time.
    pub(crate) jobs_max: usize,
    pub(crate) messages_per_second: usize,
    pub(crate) sessions_per_user: usize,
    pub(crate) faults: BTreeSet<Fault>,
    pub(crate) weights: [usize; STEPS.len()],
    pub(crate) clients: Vec<ClientPlan>,
}

/// What is left out of a plan, to make a failing run smaller.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Trim {
    pub(crate) clients: BTreeSet<usize>,
    pub(crate) commands: BTreeSet<(usize, usize)>,
    pub(crate) faults: BTreeSet<Fault>,
}

impl std::fmt::Display for Plan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Plan { seed, workers, durability, on_lag, window_messages, messages_max, jobs_max, .. } = self;
        let Plan { messages_per_second, sessions_per_user, has_database, .. } = self;
        writeln!(
            f,
            "seed {seed}: workers = {workers}, history.durability = {durability}, rooms.on_lag = {on_lag},"
        )?;
        writeln!(
            f,
            "  rooms.window_messages = {window_messages}, history.messages_max = {messages_max}, {jobs_max} jobs at a time, a database: {has_database},"
        )?;
        writeln!(
            f,
            "  limits.messages_per_second = {messages_per_second}, limits.sessions_per_user = {sessions_per_user},"
        )?;
        writeln!(f, "  faults: {:?}, weights: {:?}", self.faults, self.weights)?;
        for (number, client) in
            self.clients.iter().enumerate().filter(|(_, client)| !client.commands.is_empty())
        {
            let ClientPlan { door, user, room, deflate, comes_back, line_bytes, commands } = client;
            let (user, room) = (USERS[*user], ROOMS[*room]);
            writeln!(
                f,
                "  {number}: {user} at {door:?}, {room}, deflate {deflate}, comes back {comes_back}, \
                 {line_bytes} bytes: {commands:?}"
            )?;
        }
        Ok(())
    }
}

impl Plan {
    pub(crate) fn of(seed: u64) -> Plan {
        let mut random = Random::new(seed, 1);
        let durability = random.pick(&["commit", "commit", "commit", "async", "fsync"]);
        let count = random.between(1, 8);
        let mut faults = BTreeSet::new();
        // Some runs have none, most have some: what is rare among many does not show.
        for _ in 0..random.pick(&[0, 1, 1, 2, 3, 5]) {
            faults.insert(random.pick(&FAULTS));
        }
        let theme = random.pick(&THEMES);
        if theme == Theme::Crashes {
            faults.insert(random.pick(&[Fault::Kill, Fault::Restart]));
        }
        let has_database = random.once_in(8) && cfg!(feature = "store");
        if has_database {
            // Of a directory that goes on existing nothing is lost, and reading does not fail.
            faults.retain(|fault| !matches!(fault, Fault::PowerLoss | Fault::ReadsFail));
        }
        let rooms = if theme == Theme::Deletions { 1 } else { random.between(1, ROOMS.len()) };
        Plan {
            seed,
            workers: random.pick(&[0, 1, 1, 2, 3]),
            durability,
            on_lag: random.pick(&["catch-up", "catch-up", "catch-up", "gap", "close"]),
            window_messages: random.pick(&[1, 2, 4, 16, 256]),
            messages_max: random.pick(&[0, 0, 0, 0, 3, 10]),
            jobs_max: random.pick(&[1, 2, 8, 4096, 4096, 4096]),
            has_database,
            messages_per_second: random.pick(&[0, 0, 0, 0, 20]),
            sessions_per_user: random.pick(&[0, 0, 0, 0, 1, 2]),
            faults,
            weights: std::array::from_fn(|_| random.pick(&[1, 2, 4, 8, 16, 32])),
            clients: (0..count).map(|_| ClientPlan::of(&mut random, rooms, theme)).collect(),
        }
    }

    pub(crate) fn trimmed(&self, trim: &Trim) -> Plan {
        let mut plan = self.clone();
        plan.faults.retain(|fault| !trim.faults.contains(fault));
        for (number, client) in plan.clients.iter_mut().enumerate() {
            let is_gone = trim.clients.contains(&number);
            let kept = client.commands.iter().enumerate();
            let kept = kept.filter(|(index, _)| !is_gone && !trim.commands.contains(&(number, *index)));
            client.commands = kept.map(|(_, command)| *command).collect();
        }
        plan
    }
}

impl ClientPlan {
    /// Somebody who wants to see all of a room, and reads it.
    pub(crate) fn witness(room: usize) -> ClientPlan {
        ClientPlan {
            door: Door::Chat,
            user: SPEAKERS + room,
            room,
            deflate: false,
            comes_back: false,
            line_bytes: 65_536,
            commands: vec![Command::Come(From::Seq(0))],
        }
    }

    fn of(random: &mut Random, rooms: usize, theme: Theme) -> ClientPlan {
        let deletions = [Door::Chat, Door::Chat, Door::Rest, Door::Rest, Door::Stomp];
        let usual = [
            Door::Chat,
            Door::Chat,
            Door::Chat,
            Door::Chat,
            Door::Sse,
            Door::Poll,
            Door::Rest,
            Door::Rest,
            Door::Stomp,
            Door::Raw,
        ];
        let door = if theme == Theme::Deletions { random.pick(&deletions) } else { random.pick(&usual) };
        let count = random.between(2, 24);
        let commands = match door {
            Door::Rest => (0..count).map(|_| Command::rest(random, rooms, theme)).collect(),
            Door::Chat | Door::Raw | Door::Stomp | Door::Sse | Door::Poll => {
                Command::stays(random, door, count, theme)
            }
        };
        ClientPlan {
            door,
            user: random.below(SPEAKERS),
            room: random.below(rooms),
            deflate: random.once_in(3),
            comes_back: !random.once_in(3),
            line_bytes: random.pick(&[300, 1_000, 4_096, 65_536, 65_536]),
            commands,
        }
    }
}

impl Command {
    /// A client that comes, says something, goes, and comes again.
    fn stays(random: &mut Random, door: Door, count: usize, theme: Theme) -> Vec<Command> {
        let mut commands = vec![Command::Come(Command::start(random, true))];
        while commands.len() < count {
            let goes = matches!(theme, Theme::Churn | Theme::Deletions) && random.once_in(3);
            let command = match random.below(20) {
                8..=12 if theme == Theme::Crashes => Command::Repeat,
                0 | 7..=19 if goes => {
                    commands.push(Command::ending(random));
                    Command::Come(Command::start(random, false))
                }
                0 => {
                    commands.push(Command::ending(random));
                    Command::Come(Command::start(random, false))
                }
                1 => Command::StopReading,
                2 => Command::ReadOn,
                3 => Command::Ping,
                4 if random.once_in(4) => Command::Nonsense(u8::try_from(random.below(256)).unwrap()),
                5 | 6 => Command::Repeat,
                _ if matches!(door, Door::Sse | Door::Poll) => continue,
                7 if random.once_in(3) => Command::Flood(random.between(2, 40)),
                _ => Command::Say { bytes: random.pick(&[0, 5, 40, 300, 2_000]), with_id: random.once_in(2) },
            };
            commands.push(command);
        }
        if random.once_in(4) {
            commands.push(Command::ending(random));
        }
        commands
    }

    fn start(random: &mut Random, is_first: bool) -> From {
        match random.below(8) {
            0 => From::Seq(u64::try_from(random.below(30)).unwrap()),
            1 => From::Last(u64::try_from(random.below(20)).unwrap()),
            2 | 3 if !is_first => From::Time,
            4..=6 if !is_first => From::Position,
            _ => From::Live,
        }
    }

    fn ending(random: &mut Random) -> Command {
        random.pick(&[Command::Leave, Command::Close, Command::Cut, Command::Finish, Command::Vanish])
    }

    fn rest(random: &mut Random, rooms: usize, theme: Theme) -> Command {
        let (room, user) = (random.below(rooms), random.below(SPEAKERS));
        if theme == Theme::Deletions && random.once_in(2) {
            return Command::Delete(room);
        }
        match random.below(20) {
            0 | 1 => Command::Create(room),
            2 => Command::Delete(room),
            3..=9 => Command::Post { room, bytes: random.pick(&[0, 40, 1_000]), with_id: random.once_in(2) },
            10..=13 => {
                let after = random.once_in(2).then(|| u64::try_from(random.below(20)).unwrap());
                Command::History { room, after }
            }
            14 => Command::Online(room),
            15 => Command::Kick { room, user },
            16 => Command::Ban { room, user, seconds: random.between(1, 20) },
            17 => Command::Lift { room, user },
            18 => Command::Repeat,
            _ => Command::Stats,
        }
    }
}

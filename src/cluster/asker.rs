//! One who asks Redis and waits for the answers, over connections of its own that are made anew when they break.

use std::sync::Arc;
use std::time::{Duration, Instant};

use redis::{RedisError, RedisResult, ServerErrorKind, Value, cmd};

use super::connection::{Connection, connect_timeout};
use super::counters::RequestTimes;
use super::error::unavailable;
use super::layout::{Layout, Master, redirection};
use super::question::{Ask, Question};
use super::topology::Topology;
use crate::store::StoreError;
use crate::system::instant;
use crate::system::threads::park_timeout;

/// How long a connection may rest before it is looked at.
const REST: Duration = Duration::from_millis(500);

/// How long it takes to ask again where a partition is on its way to another master.
const PAUSE: Duration = Duration::from_millis(20);

/// How often a question is sent at most, apart from that.
const ATTEMPTS: u32 = 8;

/// One who asks.
pub(super) struct Asker {
    topology: Arc<Topology>,
    timeout: Duration,
    times: RequestTimes,
    lines: Vec<Line>,
}

/// The way to one master.
struct Line {
    master: Arc<Master>,
    connection: Option<Connection>,
    /// Whether the connection was there before this round.
    is_kept: bool,
}

/// A question that is to be sent, again or for the first time.
struct Open {
    index: usize,
    /// Where to, if not to the master of its partition: to one that is to get it.
    asking: Option<Arc<Master>>,
    with_source: bool,
    attempts: u32,
}

/// One that asks nothing twice that may have been done.
pub(super) struct Once<'a>(&'a mut Asker);

impl Ask for Once<'_> {
    fn ask_each(&mut self, questions: &[Question]) -> Vec<RedisResult<Value>> {
        self.0.exchange(questions, false)
    }
}

/// One that asks again over another connection if one breaks.
impl Ask for Asker {
    fn ask_each(&mut self, questions: &[Question]) -> Vec<RedisResult<Value>> {
        self.exchange(questions, true)
    }
}

/// What is to be done next.
enum Next {
    Done(usize, RedisResult<Value>),
    Again(Open),
    /// The same, after a pause.
    Later(Open),
}

fn cluster_down() -> RedisError {
    RedisError::from((ServerErrorKind::ClusterDown.into(), "no master has the partition"))
}

impl Asker {
    pub(super) fn new(topology: Arc<Topology>, timeout: Duration, times: RequestTimes) -> Asker {
        Asker { topology, timeout, times, lines: Vec::new() }
    }

    /// Asks something that may be asked twice, as it is if a connection breaks.
    pub(super) fn ask(&mut self, question: &Question) -> Result<Value, StoreError> {
        let answer = self.exchange(std::slice::from_ref(question), true).pop();
        answer.unwrap_or_else(|| Err(cluster_down())).map_err(|error| unavailable(&error))
    }

    /// For what must not be asked twice.
    pub(super) fn once(&mut self) -> Once<'_> {
        Once(self)
    }

    fn exchange(&mut self, questions: &[Question], may_repeat: bool) -> Vec<RedisResult<Value>> {
        let until = instant() + self.timeout;
        let mut answers: Vec<RedisResult<Value>> = questions.iter().map(|_| Err(cluster_down())).collect();
        let to_open = |index| Open { index, asking: None, with_source: false, attempts: 0 };
        let mut open: Vec<Open> = (0..questions.len()).map(to_open).collect();
        self.lines.iter_mut().for_each(|line| line.is_kept = line.connection.is_some());
        while !open.is_empty() {
            let (mut again, mut must_pause) = (Vec::new(), false);
            // Masters whose connections broke that had been there before: all that went over one is asked again.
            let mut stale = Vec::new();
            let began = instant();
            let answered = self.round(questions, open, until);
            self.times.note(began);
            for (asked, answer, master) in answered {
                let next = match answer {
                    Ok(answer) => self.next(&questions[asked.index], asked, answer, &master, may_repeat),
                    Err(error) if may_repeat && self.may_try(&master, &error, &mut stale) => {
                        Next::Again(asked)
                    }
                    Err(error) => Next::Done(asked.index, Err(error)),
                };
                match next {
                    Next::Done(index, answer) => answers[index] = answer,
                    Next::Again(asked) => again.push(Open { attempts: asked.attempts + 1, ..asked }),
                    Next::Later(asked) => {
                        must_pause = true;
                        again.push(asked);
                    }
                }
            }
            again.retain(|asked| asked.attempts < ATTEMPTS);
            if again.is_empty() || instant() >= until {
                break;
            }
            if must_pause {
                park_timeout(PAUSE);
            }
            open = again;
        }
        answers
    }

    /// Sends all that is open, then hears the answers: one round trip, whichever masters are asked.
    fn round(
        &mut self,
        questions: &[Question],
        open: Vec<Open>,
        until: Instant,
    ) -> Vec<(Open, RedisResult<Value>, Arc<Master>)> {
        let layout = self.topology.layout();
        self.lines.retain(|line| line.is_of(&layout) || open.iter().any(|asked| asked.is_for(&line.master)));
        let mut groups: Vec<(Arc<Master>, Vec<Open>)> = Vec::new();
        for asked in open {
            let home = layout.home(questions[asked.index].partition);
            let Some(master) = asked.asking.as_ref().or(home).cloned() else {
                self.topology.suspect();
                continue;
            };
            match groups.iter_mut().find(|(of, _)| Arc::ptr_eq(of, &master)) {
                Some((_, group)) => group.push(asked),
                None => groups.push((master, vec![asked])),
            }
        }
        let sent: Vec<RedisResult<()>> =
            groups.iter().map(|(master, group)| self.send(master, group, questions)).collect();
        let mut answered = Vec::new();
        for ((master, group), mut sent) in groups.into_iter().zip(sent) {
            for asked in group {
                let answer = match &sent {
                    Ok(()) => self.receive(&master, asked.asking.is_some(), until),
                    Err(error) => Err(error.clone()),
                };
                if let Err(error) = &answer {
                    sent = Err(error.clone());
                }
                answered.push((asked, answer, master.clone()));
            }
        }
        answered
    }

    fn line(&mut self, master: &Arc<Master>) -> &mut Line {
        let place = self.lines.iter().position(|line| Arc::ptr_eq(&line.master, master));
        let place = place.unwrap_or_else(|| {
            self.lines.push(Line { master: master.clone(), connection: None, is_kept: false });
            self.lines.len() - 1
        });
        &mut self.lines[place]
    }

    fn send(&mut self, master: &Arc<Master>, group: &[Open], questions: &[Question]) -> RedisResult<()> {
        let mut packed = Vec::new();
        for asked in group {
            if asked.asking.is_some() {
                cmd("ASKING").write_packed_command(&mut packed);
            }
            let question = &questions[asked.index];
            if asked.with_source {
                question.pack_with_source(&mut packed);
            } else {
                question.pack(&mut packed);
            }
        }
        let timeout = self.timeout;
        let sent = self.line(master).connected(timeout).and_then(|connection| connection.send(&packed));
        sent.map_err(|error| self.lost(master, error))
    }

    fn receive(&mut self, master: &Arc<Master>, is_asking: bool, until: Instant) -> RedisResult<Value> {
        let line = self.line(master);
        let Some(connection) = &mut line.connection else {
            return Err(RedisError::from((redis::ErrorKind::Client, "there is no connection")));
        };
        let ready = if is_asking { connection.answer_until(until).map(drop) } else { Ok(()) };
        ready.and_then(|()| connection.answer_until(until)).map_err(|error| self.lost(master, error))
    }

    /// The way to a master is broken.
    fn lost(&mut self, master: &Arc<Master>, error: RedisError) -> RedisError {
        let line = self.line(master);
        line.connection = None;
        // One that was kept may have been of no use for long.
        if !line.is_kept {
            self.topology.failed(master, &unavailable(&error));
        }
        error
    }

    /// What is to be done after an answer of a server.
    fn next(
        &self,
        question: &Question,
        asked: Open,
        answer: Value,
        master: &Arc<Master>,
        may_repeat: bool,
    ) -> Next {
        let Value::ServerError(error) = answer else {
            // Another master may have given other answers since.
            let is_late =
                may_repeat && asked.asking.is_none() && !self.topology.is_home(question.partition, master);
            return if is_late { Next::Again(asked) } else { Next::Done(asked.index, Ok(answer)) };
        };
        if question.is_unknown(&error) && !asked.with_source {
            return Next::Again(Open { with_source: true, ..asked });
        }
        let place = error.details().and_then(|details| redirection(details, &master.address));
        match (error.kind(), place) {
            // All that has moved is found at once by who looks after that.
            (Some(ServerErrorKind::Moved), Some(_)) => {
                self.topology.suspect();
                Next::Later(Open { asking: None, ..asked })
            }
            (Some(ServerErrorKind::Ask), Some((_, address))) => {
                let asking = Some(self.topology.layout().at(&address));
                // One that has not got all yet sends it back.
                Next::Again(Open { asking, attempts: asked.attempts.saturating_sub(1), ..asked })
            }
            (Some(ServerErrorKind::TryAgain), _) => Next::Later(Open { asking: None, ..asked }),
            (kind, _) => {
                if matches!(kind, Some(ServerErrorKind::ReadOnly | ServerErrorKind::ClusterDown)) {
                    self.topology.suspect();
                }
                Next::Done(asked.index, Err(error.into()))
            }
        }
    }

    /// Whether a connection that was there broke, which may have happened long ago.
    fn may_try(&mut self, master: &Arc<Master>, error: &RedisError, stale: &mut Vec<Arc<Master>>) -> bool {
        if std::mem::take(&mut self.line(master).is_kept) && is_broken(error) && !error.is_timeout() {
            stale.push(master.clone());
        }
        stale.iter().any(|one| Arc::ptr_eq(one, master))
    }
}

impl Open {
    fn is_for(&self, master: &Arc<Master>) -> bool {
        self.asking.as_ref().is_some_and(|asking| Arc::ptr_eq(asking, master))
    }
}

impl Line {
    fn is_of(&self, layout: &Layout) -> bool {
        layout.masters().iter().any(|master| Arc::ptr_eq(master, &self.master))
    }

    /// The connection, which is made if there is none.
    fn connected(&mut self, timeout: Duration) -> RedisResult<&mut Connection> {
        let kept = self.connection.take();
        let kept = kept.and_then(|mut kept| (kept.rest() <= REST || !kept.has_ended()).then_some(kept));
        let connection = match kept {
            Some(kept) => kept,
            None => {
                self.is_kept = false;
                open(&self.master, timeout)?
            }
        };
        Ok(self.connection.insert(connection))
    }
}

/// Connects to a master, unless somebody has just found that this is in vain.
fn open(master: &Master, timeout: Duration) -> RedisResult<Connection> {
    if let Some(error) = master.contact.trouble() {
        return Err(error);
    }
    let opened = Connection::open(&master.address, connect_timeout(timeout));
    match opened {
        Ok(connection) => {
            master.contact.connected();
            Ok(connection.with_timeout(timeout))
        }
        Err(error) => {
            master.contact.not_connected(&error);
            Err(error)
        }
    }
}

fn is_broken(error: &RedisError) -> bool {
    error.is_io_error() || error.is_unrecoverable_error()
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};
    use std::thread::spawn;

    use super::super::address::Address;
    use super::super::partition::Partition;
    use super::*;
    use crate::store::Monitor;

    /// A server that answers to each command that holds a text of this table with what stands beside it.
    fn server(answers: impl Fn(&str, u32) -> String + Send + 'static) -> Address {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let serve = move |mut socket: TcpStream, asked: &mut u32| {
            let mut buffer = [0; 4_096];
            while let Ok(count @ 1..) = socket.read(&mut buffer) {
                let text = String::from_utf8_lossy(&buffer[..count]).into_owned();
                let answer = if text.contains("HELLO") {
                    "%0\r\n".to_owned()
                } else {
                    *asked += 1;
                    answers(&text, *asked)
                };
                if answer.is_empty() || socket.write_all(answer.as_bytes()).is_err() {
                    return;
                }
            }
        };
        spawn(move || {
            let mut asked = 0;
            listener.incoming().for_each(|socket| serve(socket.unwrap(), &mut asked));
        });
        Address { host: "127.0.0.1".into(), port, login: Arc::default() }
    }

    fn asker(address: &Address) -> (Asker, Arc<Topology>) {
        let layout = Layout::empty().moved_to(address);
        let topology = Arc::new(Topology::new(layout, Arc::new(Monitor::default())));
        (Asker::new(topology.clone(), Duration::from_secs(5), RequestTimes::default()), topology)
    }

    fn question() -> Question {
        Question::new(Partition::of("lobby"), "GET").arg("lobby")
    }

    #[test]
    fn a_question_follows_its_partition() {
        let to =
            server(|text, _| if text.contains("ASKING") { "+OK\r\n:2\r\n" } else { ":3\r\n" }.to_owned());
        let (slot, port) = (Partition::of("lobby").slot(), to.port);
        let from = server(move |_, asked| match asked {
            1 => "-TRYAGAIN later\r\n".to_owned(),
            2 => format!("-ASK {slot} 127.0.0.1:{port}\r\n"),
            _ => format!("-MOVED {slot} :{port}\r\n"),
        });
        let (mut asker, topology) = asker(&from);
        assert_eq!(asker.ask(&question()), Ok(Value::Int(2)));
        assert_eq!(topology.version(), 0, "it is still where it was");
        let looks = spawn({
            let topology = topology.clone();
            move || {
                assert!(topology.wait(Duration::from_secs(60)), "somebody suspects something");
                topology.replace(topology.layout().moved_to(&to));
            }
        });
        assert_eq!(asker.ask(&question()), Ok(Value::Int(3)));
        looks.join().unwrap();
    }

    #[test]
    fn redirections_in_a_circle_come_to_an_end() {
        let slot = Partition::of("lobby").slot();
        let (mut asker, _) = asker(&server(move |_, _| format!("-MOVED {slot} :1\r\n")));
        asker.timeout = Duration::from_millis(200);
        assert!(asker.ask(&question()).is_err());
        let (mut asker, _) = self::asker(&server(|_, _| "-MOVED x\r\n".to_owned()));
        assert!(asker.ask(&question()).is_err());
    }

    #[test]
    fn only_what_may_be_done_twice_is_asked_twice() {
        // Each second question breaks its connection.
        let address = server(|_, asked| if asked % 2 == 0 { String::new() } else { format!(":{asked}\r\n") });
        let (mut asker, _) = asker(&address);
        assert_eq!(asker.ask(&question()), Ok(Value::Int(1)));
        assert_eq!(asker.ask(&question()), Ok(Value::Int(3)));
        assert!(asker.once().ask_each(&[question()])[0].is_err());
        assert_eq!(asker.once().ask_each(&[question()])[0].as_ref().ok(), Some(&Value::Int(5)));
    }

    #[test]
    fn all_that_went_over_a_connection_that_broke_is_asked_again() {
        let address = server(|text, asked| match asked {
            2 => String::new(),
            _ => ":7\r\n".repeat(text.matches("GET").count()),
        });
        let (mut asker, _) = asker(&address);
        assert!(asker.ask(&question()).is_ok());
        assert!(asker.ask_each(&[question(), question(), question()]).iter().all(Result::is_ok));
    }
}

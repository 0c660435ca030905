//! A Redis that ends with its test.

use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use ::redis::{Client, Connection, ConnectionLike, RedisResult, Value};

use crate::cluster::question::{Ask, Question};
use crate::system::instant;

/// For a machine that is busy.
const PATIENCE: Duration = Duration::from_secs(60);

/// Listens on a socket in its own directory, and on a port of this machine for those who need one.
pub(super) struct Server {
    child: Child,
    dir: tempfile::TempDir,
    port: u16,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

impl Server {
    pub(super) fn start() -> Server {
        eventually(|| {
            let mut server = Server::start_at(free_port());
            // Another program may have taken the port meanwhile.
            eventually(|| match server.child.try_wait().unwrap() {
                Some(_) => Some(false),
                None => server.socket().exists().then_some(true),
            })
            .then_some(server)
        })
    }

    fn start_at(port: u16) -> Server {
        let dir = tempfile::tempdir().unwrap();
        let port_text = port.to_string();
        let server = std::env::var("FOGHORN_REDIS_SERVER").unwrap_or_else(|_| "redis-server".to_owned());
        let child = Command::new(server)
            .args(["--bind", "127.0.0.1", "--port", &port_text, "--save", "", "--appendonly", "no"])
            .arg("--unixsocket")
            .arg(dir.path().join("socket"))
            .arg("--dir")
            .arg(dir.path())
            .stdout(Stdio::null())
            .spawn()
            .expect("a Redis: tests/cluster/run installs one");
        Server { child, dir, port }
    }

    pub(super) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    pub(super) fn kill(&mut self) {
        let _it_may_be_gone = self.child.kill();
        let _status = self.child.wait();
    }

    pub(super) fn socket(&self) -> std::path::PathBuf {
        self.dir.path().join("socket")
    }

    /// A connection that speaks this version of the protocol.
    pub(super) fn connect(&self, protocol: u8) -> Connection {
        let path = self.socket();
        let url = format!("redis+unix://{}?protocol=resp{protocol}", path.display());
        let client = Client::open(url).unwrap();
        eventually(|| {
            let mut conn = client.get_connection().ok()?;
            ::redis::cmd("PING").query::<String>(&mut conn).ok()?;
            conn.set_read_timeout(Some(PATIENCE)).unwrap();
            Some(conn)
        })
    }
}

/// As `Asker` does it, over one connection.
impl Ask for Connection {
    fn ask_each(&mut self, questions: &[Question]) -> Vec<RedisResult<Value>> {
        let mut packed = Vec::new();
        questions.iter().for_each(|question| question.pack(&mut packed));
        let answers = match self.req_packed_commands(&packed, 0, questions.len()) {
            Ok(answers) => answers,
            Err(error) => return questions.iter().map(|_| Err(error.clone())).collect(),
        };
        let answers = answers.into_iter().zip(questions).map(|(answer, question)| match answer {
            Value::ServerError(error) if question.is_unknown(&error) => {
                let mut packed = Vec::new();
                question.pack_with_source(&mut packed);
                self.req_packed_command(&packed)
            }
            Value::ServerError(error) => Err(error.into()),
            answer => Ok(answer),
        });
        answers.collect()
    }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Asks until there is an answer.
pub(super) fn eventually<T>(mut answer: impl FnMut() -> Option<T>) -> T {
    let start = instant();
    loop {
        if let Some(answer) = answer() {
            return answer;
        }
        assert!(start.elapsed() < PATIENCE, "it did not happen in time");
        std::thread::yield_now();
    }
}

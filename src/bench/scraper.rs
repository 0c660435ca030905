//! The server's metrics are looked at while it is measured: by a thread of its own, so that the load waits for no answer.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};

use super::exposition::Scrape;
use super::inside::{Inside, Way};
use crate::system::instant;

/// How long the last answer is waited for once the load has ended.
const PATIENCE: Duration = Duration::from_secs(5);
/// Maximum number of looks that are kept for a curve: an hour of seconds is more than a plot can show.
const SLICES_MAX: usize = 3_600;
/// As long as no look is due, the end is waited for in parts of this.
const IDLE: Duration = Duration::from_secs(3_600);

type Fetch = dyn Fn(&str) -> Result<String, String> + Send + Sync;

/// How a server's metrics are read, and how often.
#[derive(Clone)]
pub struct MetricsSource {
    fetch: Arc<Fetch>,
    every: Option<Duration>,
}

impl MetricsSource {
    /// `fetch` is called with the URL of the server (`http://HOST:PORT`) and returns its metrics in the text format of
    /// Prometheus, or says why it has none: when the load is being measured begins and when it ends, and in between after each
    /// `every`. It is called on a thread of its own.
    #[must_use]
    pub fn new(
        every: Option<Duration>,
        fetch: impl Fn(&str) -> Result<String, String> + Send + Sync + 'static,
    ) -> MetricsSource {
        MetricsSource { fetch: Arc::new(fetch), every }
    }
}

impl fmt::Debug for MetricsSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MetricsSource").field("every", &self.every).finish_non_exhaustive()
    }
}

/// Looks at the metrics of one server until the measurement ends.
#[derive(Debug)]
pub(super) struct Scraper {
    end: Sender<()>,
    inside: Receiver<Inside>,
}

/// What will be known when the last answer has come.
#[derive(Debug)]
pub(super) struct PendingInside(Receiver<Inside>);

impl Scraper {
    /// The measurement begins.
    pub(super) fn begin(source: &MetricsSource, url: String) -> Scraper {
        let (end, ended) = bounded(1);
        let (tell, inside) = bounded(1);
        let source = source.clone();
        let unheard = tell.clone();
        let watch = move || {
            let watched = watch(&source, &url, &ended);
            let inside =
                watched.map_or_else(|why| Inside::Unknown { why }, |way| Inside::Known(Box::new(way)));
            let _run_has_failed = tell.try_send(inside);
        };
        if let Err(error) = std::thread::Builder::new().name("scraper".to_owned()).spawn(watch) {
            let _there_is_room = unheard.try_send(Inside::Unknown { why: error.to_string() });
        }
        Scraper { end, inside }
    }

    /// The measurement ends.
    pub(super) fn end(self) -> PendingInside {
        let _thread_has_ended = self.end.try_send(());
        PendingInside(self.inside)
    }
}

impl PendingInside {
    /// Waits for it, but not for long.
    pub(super) fn wait(&self) -> Inside {
        let silent = || Inside::Unknown { why: "it does not answer".to_owned() };
        self.0.recv_timeout(PATIENCE).unwrap_or_else(|_| silent())
    }
}

fn watch(source: &MetricsSource, url: &str, ended: &Receiver<()>) -> Result<Way, String> {
    let look = || (source.fetch)(url).map(|text| Scrape::parse(&text));
    let began = instant();
    let first = look()?;
    // A server that has no metrics of this kind is not asked again and again.
    Way::between(&first, &first)?;
    let (mut over_time, mut last) = (Vec::new(), None);
    let mut due = source.every.map(|every| began + every);
    loop {
        match ended.recv_deadline(due.unwrap_or_else(|| instant() + IDLE)) {
            Ok(()) => break,
            Err(RecvTimeoutError::Disconnected) => return Err("the run has failed".to_owned()),
            Err(RecvTimeoutError::Timeout) => {}
        }
        let Some(every) = source.every else { continue };
        // A look that fails, or takes longer than until the next one, is left out; the next one covers its time.
        due = Some(due.unwrap_or(began).max(instant().checked_sub(every).unwrap_or(began)) + every);
        if let Ok(scrape) = look()
            && let Ok(way) = Way::between(last.as_ref().unwrap_or(&first), &scrape)
        {
            if over_time.len() < SLICES_MAX {
                over_time.push(way.slice(instant().duration_since(began).as_secs_f64()));
            }
            last = Some(scrape);
        }
    }
    let at_end = look()?;
    Ok(Way { over_time, ..Way::between(&first, &at_end)? })
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    /// Turns that grow with each look, each of which takes 5 ms; and a message for each look.
    fn growing(every: Option<Duration>) -> (MetricsSource, Receiver<u64>) {
        let looks = AtomicU64::new(0);
        let (told, tells) = bounded(1_000);
        let source = MetricsSource::new(every, move |_| {
            let n = looks.fetch_add(1, Ordering::SeqCst);
            let _nobody_listens_any_more = told.try_send(n);
            let name = "foghorn_reactor_turn_seconds";
            Ok(format!(
                "{name}_sum {}\n{name}_bucket{{le=\"0.01\"}} {n}\n{name}_bucket{{le=\"+Inf\"}} {n}\n\
                 foghorn_reactor_turns_total {}\n",
                n as f64 * 0.005,
                8 * n
            ))
        });
        (source, tells)
    }

    #[test]
    fn two_looks_are_a_difference() {
        let (source, looks) = growing(None);
        let Inside::Known(way) = Scraper::begin(&source, String::new()).end().wait() else {
            panic!("it is known")
        };
        assert_eq!((way.turns, way.turn.map(|turn| turn.count), looks.len()), (8, Some(1), 2));
        assert!(way.over_time.is_empty());
    }

    #[test]
    fn looks_in_between_are_a_curve() {
        let (source, looks) = growing(Some(Duration::from_millis(1)));
        let scraper = Scraper::begin(&source, String::new());
        let seen = (0..5).map(|_| looks.recv_timeout(10 * PATIENCE).unwrap());
        assert!(seen.eq(0..5));
        let Inside::Known(way) = scraper.end().wait() else { panic!("it is known") };
        assert!(way.over_time.len() >= 3, "{way:?}");
        assert!(way.over_time.windows(2).all(|pair| pair[0].at <= pair[1].at), "{way:?}");
        drop(source);
        assert_eq!(way.turns, 8 * looks.iter().last().unwrap());
    }

    #[test]
    fn a_server_without_metrics_is_asked_once_and_says_why() {
        let looks = Arc::new(AtomicU64::new(0));
        let counted = looks.clone();
        let source = MetricsSource::new(Some(Duration::from_millis(1)), move |url| {
            counted.fetch_add(1, Ordering::SeqCst);
            Err(format!("{url} answered 404"))
        });
        let scraper = Scraper::begin(&source, "http://h:1".to_owned());
        assert_eq!(scraper.end().wait(), Inside::Unknown { why: "http://h:1 answered 404".to_owned() });
        assert_eq!(looks.load(Ordering::SeqCst), 1);
    }
}

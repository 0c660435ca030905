//! The lines of the screen.

use std::fmt::Write;
use std::time::Duration;

use super::figures::{ClusterNode, Distribution, Figures, History, Rates};
use crate::cli::escape::escaped;

/// An answer that is older than this is said to be old.
const OLD_AFTER: Duration = Duration::from_secs(3);
/// From nothing to the highest value.
const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// How a line looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Style {
    Plain,
    Heading,
    Alarm,
}

/// A line, no longer than the terminal is wide.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ScreenLine {
    pub(super) style: Style,
    pub(super) text: String,
}

/// The screen: what is known of the server at `url`, which has answered `silent` ago and has this `trouble`.
pub(super) fn lines(
    url: &str,
    history: &History,
    silent: Option<Duration>,
    trouble: Option<&str>,
    columns: usize,
) -> Vec<ScreenLine> {
    let mut lines = Vec::new();
    let mut line = |style, text: String| {
        lines.push(ScreenLine { style, text: escaped(&text).chars().take(columns).collect() });
    };
    match history.now() {
        Some(now) => {
            let (version, up) = (&now.version, long_time(now.uptime_micros / 1_000_000));
            line(Style::Heading, format!("foghorn {version}  {url}  up {up}  (q ends)"));
        }
        None => line(Style::Heading, format!("foghorn  {url}  (q ends)")),
    }
    match (trouble, silent) {
        (Some(why), _) => line(Style::Alarm, format!("{why}; trying again each second")),
        (None, Some(silent)) if silent >= OLD_AFTER => {
            line(Style::Alarm, format!("no answer for {} s", silent.as_secs()));
        }
        (None, _) => line(Style::Plain, String::new()),
    }
    let Some(now) = history.now() else { return lines };
    if now.store != "healthy" {
        line(Style::Alarm, format!("the store is {}", now.store));
    }
    if let Some(cluster) = now.cluster.as_ref().filter(|cluster| !cluster.contact) {
        let unsettled = count(cluster.unsettled);
        line(Style::Alarm, format!("cluster: Redis does not answer, {unsettled} batches are in doubt"));
    }
    let readout = Readout { now, rates: history.rates() };
    readout.traffic().into_iter().chain(readout.load()).for_each(|text| line(Style::Plain, text));
    let hit: Vec<_> = now.limits.iter().filter(|(_, hits)| **hits > 0).collect();
    if !hit.is_empty() {
        let hits = |(key, hits): (&String, &u64)| format!("{key} {}", count(*hits));
        let text: Vec<_> = hit.into_iter().map(hits).collect();
        line(Style::Plain, format!("limits hit   {}", text.join("   ")));
    }
    line(Style::Plain, String::new());
    let label = "deliveries/s ";
    let curve: Vec<f64> = history.curve(columns.saturating_sub(label.len())).collect();
    line(Style::Plain, format!("{label}{}", bars(&curve)));
    lines
}

/// An answer and what has happened since the one before, in words.
struct Readout<'f> {
    now: &'f Figures,
    rates: Option<&'f Rates>,
}

impl Readout<'_> {
    fn rate(&self, count: fn(&Figures) -> u64) -> Option<f64> {
        self.rates.map(|rates| rates.of(self.now, count))
    }

    fn per_second(&self, count: fn(&Figures) -> u64) -> String {
        self.rate(count).map_or("-".to_owned(), |rate| format!("{}/s", grouped(rate)))
    }

    fn bytes_per_second(&self, count: fn(&Figures) -> u64) -> String {
        self.rate(count).map_or("-".to_owned(), |rate| format!("{}/s", bytes(rate)))
    }

    fn spread(&self, of: fn(&Figures) -> &Distribution) -> String {
        let spread = self.rates.map(|rates| rates.spread(self.now, of)).unwrap_or_default();
        format!("  half in {}, 99 % in {}", within(&spread, 0.5), within(&spread, 0.99))
    }

    fn busy(&self, of: impl Fn(&Figures) -> Option<u64>) -> String {
        let percent = self.rates.and_then(|rates| rates.busy(self.now, of));
        percent.map_or("-".to_owned(), |percent| format!("{percent:.0} %"))
    }

    /// Who is there, and what they say and are sent.
    fn traffic(&self) -> Vec<String> {
        let Readout { now, .. } = self;
        let connections = [
            ("all", count(now.connections)),
            ("sessions", count(now.sessions)),
            ("streams", count(now.streams)),
            ("accepted", self.per_second(|figures| figures.traffic.accepted)),
        ];
        let rooms = [
            ("all", count(now.rooms)),
            ("members", count(now.members)),
            ("on their way", count(now.openings)),
        ];
        let messages = [
            ("in", self.per_second(|figures| figures.traffic.messages_received)),
            ("out", self.per_second(|figures| figures.traffic.messages_sent)),
            ("published", self.per_second(|figures| figures.messages)),
            ("delivered", self.per_second(|figures| figures.traffic.deliveries)),
        ];
        let bytes = [
            ("in", self.bytes_per_second(|figures| figures.traffic.bytes_received)),
            ("out", self.bytes_per_second(|figures| figures.traffic.bytes_sent)),
        ];
        let lag = [("members", count(now.lags.above_first())), ("messages at most", count(now.lag_max))];
        vec![
            cells("connections", &connections),
            cells("rooms", &rooms),
            cells("messages", &messages),
            cells("bytes", &bytes),
            cells("lag", &lag),
        ]
    }

    /// What it costs.
    fn load(&self) -> Vec<String> {
        let Readout { now, .. } = self;
        let commits = self.rate(|figures| figures.commits.count).filter(|commits| *commits > 0.0);
        let batch = commits.zip(self.rate(|figures| figures.commits.messages));
        let commits = [
            ("all", self.per_second(|figures| figures.commits.count)),
            ("of messages", grouped(batch.map_or(0.0, |(commits, messages)| messages / commits))),
            ("waiting", count(now.unstored)),
        ];
        let turns = [("all", self.per_second(|figures| figures.reactor.turns))];
        let memory = [
            ("resident", now.memory.resident.map_or("-".to_owned(), |resident| bytes(resident as f64))),
            ("waiting", bytes(now.memory.waiting as f64)),
            ("windows", bytes(now.memory.windows as f64)),
        ];
        let reactor = self.busy(|of| of.reactor.busy_micros);
        let shard = |number: usize| self.busy(|of| of.shards.get(number)?.busy_micros);
        let shards: Vec<_> = (0..now.shards.len()).map(shard).collect();
        let closes: Vec<_> =
            now.closes.iter().map(|(code, closes)| format!("{code} {}", count(*closes))).collect();
        vec![
            cells("commits", &commits) + &self.spread(|figures| &figures.commits.micros),
            cells("turns", &turns) + &self.spread(|figures| &figures.reactor.turn_micros),
            self.way(),
            cells("memory", &memory),
            format!("processor    reactor {reactor}   shards {}", shards.join("  ")),
            format!("closed with  {}", if closes.is_empty() { "-".to_owned() } else { closes.join("   ") }),
        ]
        .into_iter()
        .chain(now.cluster.as_ref().filter(|cluster| cluster.contact).map(cluster))
        .collect()
    }

    /// How long 99 of 100 messages take for each step of their way.
    fn way(&self) -> String {
        let step = |of: fn(&Figures) -> &Distribution| {
            within(&self.rates.map(|rates| rates.spread(self.now, of)).unwrap_or_default(), 0.99)
        };
        let steps = [
            ("read to shard", step(|figures| &figures.way.read_to_shard)),
            ("shard to commit", step(|figures| &figures.way.shard_to_commit)),
            ("commit to send", step(|figures| &figures.way.commit_to_send)),
        ];
        cells("way, 99 %", &steps)
    }
}

/// A node that Redis answers.
fn cluster(ClusterNode { contact_micros, nodes, unsettled, .. }: &ClusterNode) -> String {
    let cluster = [
        ("nodes", count(*nodes)),
        ("Redis answers for", long_time(contact_micros / 1_000_000)),
        ("batches in doubt", count(*unsettled)),
    ];
    cells("cluster", &cluster)
}

/// A label and its values, in columns.
fn cells(label: &str, cells: &[(&str, String)]) -> String {
    let mut text = format!("{label:<12}");
    for (name, value) in cells {
        let _infallible = write!(text, " {name} {value:<10}");
    }
    text.trim_end().to_owned()
}

fn count(count: u64) -> String {
    grouped(count as f64)
}

/// One line for a program that reads, `key=value`.
pub(super) fn plain(history: &History) -> String {
    let Some(now) = history.now() else { return String::new() };
    let mut text = format!(
        "connections={} sessions={} streams={} rooms={} members={} lag_max={} unstored={} waiting_bytes={} store={}",
        now.connections,
        now.sessions,
        now.streams,
        now.rooms,
        now.members,
        now.lag_max,
        now.unstored,
        now.memory.waiting,
        escaped(&now.store),
    );
    if let Some(ClusterNode { contact, nodes, unsettled, .. }) = &now.cluster {
        let _infallible = write!(
            text,
            " cluster_contact={} cluster_nodes={nodes} cluster_unsettled={unsettled}",
            u64::from(*contact)
        );
    }
    if let Some(rates) = history.rates() {
        let rate = |count: fn(&Figures) -> u64| rates.of(now, count);
        let _infallible = write!(
            text,
            " received_per_second={:.0} sent_per_second={:.0} published_per_second={:.0} deliveries_per_second={:.0} \
             received_bytes_per_second={:.0} sent_bytes_per_second={:.0}",
            rate(|figures| figures.traffic.messages_received),
            rate(|figures| figures.traffic.messages_sent),
            rate(|figures| figures.messages),
            rate(|figures| figures.traffic.deliveries),
            rate(|figures| figures.traffic.bytes_received),
            rate(|figures| figures.traffic.bytes_sent),
        );
    }
    text
}

/// The time that this part of a spread of microseconds (0 to 1) stays within.
fn within(spread: &Distribution, part: f64) -> String {
    match spread.quantile(part) {
        None => "-".to_owned(),
        Some(None) => "more".to_owned(),
        Some(Some(micros @ ..1_000)) => format!("{micros} \u{b5}s"),
        Some(Some(micros @ ..1_000_000)) => format!("{} ms", micros as f64 / 1e3),
        Some(Some(micros)) => format!("{} s", micros as f64 / 1e6),
    }
}

/// `12,345`; below ten with one digit behind the point, if there is anything there.
fn grouped(number: f64) -> String {
    if number < 9.95 && (number - number.round()).abs() > 0.05 {
        return format!("{number:.1}");
    }
    let digits = format!("{number:.0}");
    let mut out = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

fn bytes(mut number: f64) -> String {
    for unit in ["B", "KiB", "MiB", "GiB"] {
        if number < 1023.5 {
            return format!("{} {unit}", grouped(number));
        }
        number /= 1024.0;
    }
    format!("{} TiB", grouped(number))
}

fn long_time(seconds: u64) -> String {
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    let clock = format!("{:02}:{:02}:{:02}", rest / 3_600, rest / 60 % 60, rest % 60);
    if days > 0 { format!("{days} d {clock}") } else { clock }
}

/// The values as bars, the highest one full.
fn bars(values: &[f64]) -> String {
    let highest = values.iter().copied().fold(0.0, f64::max);
    let bar = |value: &f64| {
        let part = if highest > 0.0 { value / highest * 7.0 } else { 0.0 };
        // From 0 to 7 by the line above.
        BARS.into_iter()
            .enumerate()
            .rfind(|(number, _)| *number as f64 <= part)
            .map_or(BARS[0], |(_, bar)| bar)
    };
    values.iter().map(bar).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn history(json: &str, later: &str) -> History {
        let base = r#"{"version":"1.2","uptimeMicros":90061000000,"connections":1234,"sessions":1200,"streams":3,"rooms":2,
            "openings":0,"members":1200,"messages":10,"unstored":0,"lagMax":7,"store":"healthy","limits":{"rooms":0},
            "memory":{"resident":1048576,"waiting":0,"windows":512},"traffic":{"accepted":1,"bytesReceived":0,"bytesSent":0,
            "messagesReceived":0,"messagesSent":0,"deliveries":100},"closes":{},"commits":{"count":0,"messages":0,"micros":
            {"bounds":[50,2500],"counts":[0,0,0]}},"reactor":{"turns":0,"turnMicros":{"bounds":[10],"counts":[0,0]},
            "busyMicros":0},"lags":{"bounds":[0,1],"counts":[1190,6,4]},"shards":[{"busyMicros":0},{"busyMicros":null}]}"#;
        let mut history = History::default();
        history.push(serde_json::from_str(base).unwrap());
        let next = base.replace("90061000000", "90062000000").replace(json, later);
        history.push(serde_json::from_str(&next).unwrap());
        history
    }

    #[test]
    fn the_screen_says_what_was_answered_and_what_happened_in_between() {
        let history = history(r#""deliveries":100"#, r#""deliveries":5100"#);
        let lines = lines("http://h", &history, Some(Duration::ZERO), None, 100);
        let text: Vec<_> = lines.iter().map(|line| &*line.text).collect();
        assert_eq!(text[0], "foghorn 1.2  http://h  up 1 d 01:01:02  (q ends)");
        assert_eq!(
            text[2],
            "connections  all 1,234      sessions 1,200      streams 3          accepted 0/s"
        );
        assert!(text[4].ends_with("delivered 5,000/s"), "{text:?}");
        assert_eq!(text[6], "lag          members 10         messages at most 7");
        assert_eq!(
            text[9],
            "way, 99 %    read to shard -          shard to commit -          commit to send -"
        );
        assert_eq!(text[11], "processor    reactor 0 %   shards 0 %  -");
        assert_eq!(text.last(), Some(&"deliveries/s █"));
        assert!(!text.iter().any(|line| line.starts_with("limits")), "{text:?}");
    }

    #[test]
    fn what_is_wrong_stands_out() {
        let history = history(r#""healthy","limits":{"rooms":0}"#, r#""failed","limits":{"rooms":2}"#);
        let alarms = |silent, trouble| {
            let lines = lines("u\u{1b}[31m", &history, Some(Duration::from_secs(silent)), trouble, 60);
            assert!(
                lines.iter().all(|line| line.text.chars().count() <= 60 && !line.text.contains('\u{1b}'))
            );
            assert!(lines.iter().any(|line| line.text == "limits hit   rooms 2"));
            let alarms = lines.into_iter().filter(|line| line.style == Style::Alarm);
            alarms.map(|line| line.text).collect::<Vec<_>>()
        };
        assert_eq!(alarms(0, None), ["the store is failed"]);
        assert_eq!(alarms(9, None), ["no answer for 9 s", "the store is failed"]);
        assert_eq!(alarms(9, Some("gone")), ["gone; trying again each second", "the store is failed"]);
    }

    #[test]
    fn a_node_says_whether_its_cluster_answers() {
        let cluster = |contact, micros| {
            format!(
                r#""shards":[],"cluster":{{"contact":{contact},"contactMicros":{micros},"nodes":3,"unsettled":2}},
                "way":{{"readToShard":{{"bounds":[50,100],"counts":[0,9,0]}},"shardToCommit":{{"bounds":[],"counts":[]}},
                "commitToSend":{{"bounds":[50],"counts":[1,0]}}}},"was":["#
            )
        };
        let shown = |json: &str| {
            let history = history(r#""shards":["#, json);
            let lines = lines("u", &history, Some(Duration::ZERO), None, 100);
            let text: Vec<_> = lines.into_iter().map(|line| (line.style, line.text)).collect();
            (text, plain(&history))
        };
        let (there, line) = shown(&cluster(true, 61_000_000));
        let expected = "cluster      nodes 3          Redis answers for 00:01:01   batches in doubt 2";
        assert!(there.contains(&(Style::Plain, expected.to_owned())), "{there:?}");
        let way = "way, 99 %    read to shard 100 µs     shard to commit -          commit to send 50 µs";
        assert!(there.contains(&(Style::Plain, way.to_owned())), "{there:?}");
        assert!(line.contains(" cluster_contact=1 cluster_nodes=3 cluster_unsettled=2 "), "{line}");
        let (gone, line) = shown(&cluster(false, 0));
        let expected = "cluster: Redis does not answer, 2 batches are in doubt";
        assert!(gone.contains(&(Style::Alarm, expected.to_owned())), "{gone:?}");
        assert!(line.contains(" cluster_contact=0 "), "{line}");
    }

    #[test]
    fn numbers_are_short_and_readable() {
        let cases = [(0.0, "0"), (0.25, "0.2"), (9.0, "9"), (999.6, "1,000"), (1_234_567.0, "1,234,567")];
        cases.into_iter().for_each(|(number, text)| assert_eq!(grouped(number), text));
        assert_eq!(
            (bytes(1000.0), bytes(1536.0), bytes(3e15)),
            ("1,000 B".into(), "1.5 KiB".into(), "2,728 TiB".into())
        );
        assert_eq!(bars(&[0.0, 1.0, 8.0]), "▁▁█");
        assert_eq!(bars(&[0.0]), "▁");
    }
}

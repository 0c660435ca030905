use std::collections::{BTreeMap, BTreeSet};

use super::figures::StoreFigures;
use super::*;
use crate::histogram::Histogram;
use crate::http::ResponseFraming;
use crate::limit_hits::Limit;
use crate::reactor::ReactorStats;
use crate::server::{Disconnect, ShardStats};
use crate::store::{ClusterEvent, ClusterStats, CommitStats};
use crate::ws::CloseCode;

fn figures() -> Figures {
    let mut reactor = ReactorStats::default();
    reactor.counters.accepted = 7;
    reactor.counters.sessions = 5;
    reactor.counters.count_close(Disconnect::PeerClosed(None), None);
    reactor.counters.count_close(Disconnect::Closed(CloseCode::KICKED), Some(CloseCode::KICKED));
    reactor.counters.count_handshake(Status::SWITCHING_PROTOCOLS);
    reactor.counters.count_response(Status::NOT_FOUND);
    reactor.connections = 4;
    Figures {
        reactor,
        rooms: ShardStats { members: 3, deliveries: 12, ..ShardStats::default() },
        store: StoreFigures {
            is_healthy: true,
            commits: CommitStats::default(),
            waiting_jobs: 0,
            waiting_bytes: 0,
        },
        cluster: Some(cluster()),
        limit_hits: Limit::ALL.iter().map(|limit| (limit.full_key(), 1)).collect(),
        log_lines_dropped: 0,
        started_at: std::time::Duration::from_millis(1_500),
        resident_bytes: Some(4096),
        recorder_bytes: 0,
    }
}

/// Every event as often as its place says.
fn cluster() -> ClusterStats {
    let times = Histogram::new(&[50, 100]);
    let mut requests = ["append", "read", "keep"].map(|kind| (kind, times));
    requests[1].1.note(70);
    ClusterStats {
        contact: Some(std::time::Duration::from_millis(2_500)),
        nodes: 2,
        unsettled: 1,
        requests,
        append_scripts: times,
        script_messages: times,
        events: (0..).take(ClusterEvent::ALL.len()).collect(),
    }
}

fn text(figures: Figures) -> String {
    let response = answer(figures);
    let mut bytes = Vec::new();
    response.encode(&mut bytes, ResponseFraming { head_only: false, keep_alive: true }, "").unwrap();
    let whole = String::from_utf8(bytes).unwrap();
    assert!(whole.contains("Content-Type: text/plain; version=0.0.4; charset=utf-8\r\n"), "{whole}");
    whole.split_once("\r\n\r\n").unwrap().1.to_owned()
}

#[test]
fn each_metric_has_one_help_one_type_and_no_series_twice() {
    let text = text(figures());
    let (mut types, mut helps, mut series) = (BTreeMap::new(), BTreeSet::new(), BTreeSet::new());
    let mut current = "";
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, help) = rest.split_once(' ').unwrap();
            assert!(helps.insert(name), "{name} has two helps");
            assert!(help.ends_with('.') && help.len() > 10, "{line}");
            current = name;
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').unwrap();
            assert_eq!(name, current, "the type follows the help");
            assert!(types.insert(name, kind).is_none(), "{name} has two types");
            assert_eq!(name.ends_with("_total"), kind == "counter", "{line}");
        } else {
            let (id, value) = line.rsplit_once(' ').unwrap();
            assert!(value.parse::<f64>().unwrap() >= 0.0, "{line}");
            assert!(series.insert(id), "{id} is there twice");
            let name = id.split('{').next().unwrap();
            let family = match types[current] {
                "histogram" => ["_bucket", "_sum", "_count"].iter().find_map(|part| name.strip_suffix(part)),
                _ => Some(name),
            };
            assert_eq!(family, Some(current), "{line}");
        }
    }
    assert_eq!(helps.len(), types.len());
    assert!(types.len() > 25, "{text}");
    assert!(text.ends_with('\n'));
    for name in types.keys() {
        let is_named = name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
        assert!(is_named && (name.starts_with("foghorn_") || name.starts_with("process_")), "{name}");
    }
}

#[test]
fn values_stand_where_they_belong() {
    let text = text(figures());
    for line in [
        concat!("foghorn_build_info{version=\"", env!("CARGO_PKG_VERSION"), "\"} 1"),
        "process_start_time_seconds 1.5",
        "process_resident_memory_bytes 4096",
        "foghorn_connections_accepted_total 7",
        "foghorn_connections{kind=\"websocket\"} 3",
        "foghorn_connections{kind=\"stream\"} 0",
        "foghorn_connections{kind=\"other\"} 1",
        "foghorn_sessions_closed_total{cause=\"client\",code=\"1005\"} 1",
        "foghorn_sessions_closed_total{cause=\"server\",code=\"4001\"} 1",
        "foghorn_sessions_closed_total{cause=\"lost\",code=\"1006\"} 0",
        "foghorn_handshakes_total{status=\"101\"} 1",
        "foghorn_http_responses_total{status=\"404\"} 1",
        "foghorn_deliveries_total 12",
        "foghorn_sent_messages_total 12",
        "foghorn_limit_hits_total{limit=\"limits.message_bytes\"} 1",
        "foghorn_store_healthy 1",
    ] {
        assert!(text.lines().any(|other| other == line), "no {line} in\n{text}");
    }
}

#[test]
fn each_event_of_a_cluster_is_counted_in_one_place() {
    let with = text(figures());
    for line in [
        "foghorn_cluster_contact 1",
        "foghorn_cluster_contact_seconds 2.5",
        "foghorn_cluster_request_seconds_bucket{kind=\"read\",le=\"0.0001\"} 1",
        "foghorn_cluster_request_seconds_count{kind=\"keep\"} 0",
    ] {
        assert!(with.lines().any(|other| other == line), "no {line} in\n{with}");
    }
    let of_cluster = |line: &&str| line.starts_with("foghorn_cluster_");
    let counted = with.lines().filter(of_cluster).filter(|line| line.contains("_total"));
    let values: BTreeSet<usize> =
        counted.map(|line| line.rsplit_once(' ').unwrap().1.parse().unwrap()).collect();
    assert_eq!(values, (0..ClusterEvent::ALL.len()).collect());
    let without = text(Figures { cluster: None, ..figures() });
    assert!(!without.contains("foghorn_cluster"), "{without}");
}

/// The page has the metrics of a cluster that the program has; `tests/it/metrics.rs` compares all others.
#[test]
fn the_page_has_the_metrics_of_a_cluster() {
    let text = text(figures());
    let mut shown = BTreeSet::new();
    for described in text.lines().filter_map(|line| line.strip_prefix("# TYPE foghorn_cluster_")) {
        let (name, kind) = described.split_once(' ').unwrap();
        let series = text.lines().find_map(|line| line.strip_prefix(&*format!("foghorn_cluster_{name}")));
        let series = series.unwrap();
        let labels = ["code", "kind", "outcome", "reason"];
        let found: Vec<_> = labels.iter().filter(|label| series.contains(&format!("{label}=\""))).collect();
        let label = found.first().map_or("", |label| **label);
        shown.insert((name.to_owned(), kind.to_owned(), label.to_owned()));
    }
    let page = include_str!("../../docs/metrics.md");
    let rows = page.lines().filter_map(|line| line.strip_prefix("| `foghorn_cluster_"));
    let named: BTreeSet<_> = rows
        .map(|row| {
            let cells: Vec<_> = row.split('|').map(|cell| cell.trim().replace('`', "")).collect();
            (cells[0].clone(), cells[1].clone(), cells[2].clone())
        })
        .collect();
    assert_eq!(shown, named);
}

#[test]
fn a_histogram_is_cumulative_and_in_base_units() {
    let mut figures = figures();
    let turns = &mut figures.reactor.counters.turn_micros;
    [40, 60, 2_000_000].into_iter().for_each(|micros| turns.note(micros));
    let text = text(figures);
    for line in [
        "foghorn_reactor_turn_seconds_bucket{le=\"5e-05\"} 1",
        "foghorn_reactor_turn_seconds_bucket{le=\"0.0001\"} 2",
        "foghorn_reactor_turn_seconds_bucket{le=\"1\"} 2",
        "foghorn_reactor_turn_seconds_bucket{le=\"+Inf\"} 3",
        "foghorn_reactor_turn_seconds_sum 2.0001",
        "foghorn_reactor_turn_seconds_count 3",
    ] {
        let shown = text.lines().filter(|line| line.contains("turn_seconds")).collect::<Vec<_>>().join("\n");
        assert!(text.lines().any(|other| other == line), "no {line} in\n{shown}");
    }
}

#[test]
fn shards_are_added_up_and_the_longest_lag_is_the_longest_of_any() {
    let shard = |members, lag_max| ShardStats { members, lag_max, lag: lag_max, ..ShardStats::default() };
    let sum = ShardStats::sum(&[shard(2, 10), shard(3, 4)]);
    assert_eq!((sum.members, sum.lag_max, sum.lag), (5, 10, 14));
}

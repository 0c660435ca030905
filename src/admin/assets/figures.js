// From the server's counters to what the plots show: two answers make the rates and percentiles of the time between them.

/** Seconds that the plots show. */
export const HISTORY = 300;

/** The difference of two distributions that have counted since the start; nothing without the first. */
function between(before, now) {
  return { bounds: now.bounds, counts: now.counts.map((count, index) => (before ? count - before.counts[index] : 0)) };
}

/** The bound that this part of the values does not exceed; null without values. Above all bounds it is the highest. */
export function quantile({ bounds, counts }, part) {
  const total = counts.reduce((sum, count) => sum + count, 0);
  if (total === 0) return null;
  let reached = 0;
  const index = counts.findIndex((count) => (reached += count) >= part * total);
  return bounds[Math.min(index, bounds.length - 1)];
}

/** What is shown of one moment; without the answer before there are no rates. */
export function moment(before, now) {
  const seconds = before ? (now.uptimeMicros - before.uptimeMicros) / 1e6 : 0;
  const rate = (pick) => (seconds > 0 ? Math.max(0, pick(now) - pick(before)) / seconds : null);
  const load = (pick) => {
    const value = rate((stats) => pick(stats) ?? NaN);
    return Number.isFinite(value) ? value / 1e4 : null;
  };
  const millis = (value) => (value === null ? null : value / 1000);
  const turns = between(before?.reactor.turnMicros, now.reactor.turnMicros);
  const commits = between(before?.commits.micros, now.commits.micros);
  const way99 = (step) => millis(quantile(between(before?.way[step], now.way[step]), 0.99));
  const shards = now.shards.map((shard, index) => ({
    ...shard,
    load: before?.shards[index] ? load((stats) => stats.shards[index].busyMicros) : null,
    messageRate: rate((stats) => stats.shards[index].messages),
    deliveryRate: rate((stats) => stats.shards[index].deliveries),
  }));
  const loads = shards.map((shard) => shard.load).filter((value) => value !== null);
  return {
    connections: now.connections,
    sessions: now.sessions,
    streams: now.streams,
    received: rate((stats) => stats.traffic.messagesReceived),
    published: rate((stats) => stats.messages),
    deliveries: rate((stats) => stats.traffic.deliveries),
    turn50: millis(quantile(turns, 0.5)),
    turn99: millis(quantile(turns, 0.99)),
    commit50: millis(quantile(commits, 0.5)),
    commit99: millis(quantile(commits, 0.99)),
    readToShard: way99("readToShard"),
    shardToCommit: way99("shardToCommit"),
    commitToSend: way99("commitToSend"),
    lagMax: now.lagMax,
    behind: now.lags.counts.reduce((sum, count) => sum + count, 0) - now.lags.counts[0],
    reactor: load((stats) => stats.reactor.busyMicros),
    busiest: loads.length ? Math.max(...loads) : null,
    mean: loads.length ? loads.reduce((sum, value) => sum + value, 0) / loads.length : null,
    resident: now.memory.resident,
    windows: now.memory.windows,
    waiting: now.memory.waiting,
    recorders: now.memory.recorders,
    shards,
  };
}

/** The plots: what each shows, and how its values are written. */
export const PLOTS = [
  { title: "Connections", unit: "count", series: [["connections", "all"], ["sessions", "WebSockets"], ["streams", "event streams"]] },
  { title: "Messages per second", unit: "rate", series: [["received", "received"], ["published", "published"]] },
  { title: "Deliveries per second", unit: "rate", series: [["deliveries", "to members"]] },
  { title: "Turns of the loop", unit: "millis", series: [["turn50", "half within"], ["turn99", "99 % within"]] },
  { title: "Commits", unit: "millis", series: [["commit50", "half within"], ["commit99", "99 % within"]] },
  { title: "The way inside, 99 % within", unit: "millis", series: [["readToShard", "read to shard"], ["shardToCommit", "shard to commit"], ["commitToSend", "commit to send"]] },
  { title: "Lag", unit: "count", series: [["lagMax", "messages, furthest behind"], ["behind", "members behind"]] },
  { title: "Load", unit: "percent", series: [["reactor", "reactor"], ["busiest", "busiest shard"], ["mean", "shards on average"]] },
  { title: "Memory", unit: "bytes", series: [["resident", "process"], ["windows", "windows"], ["waiting", "waiting"], ["recorders", "recorders"]] },
];

const COUNT = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });
const UNITS = ["B", "KiB", "MiB", "GiB", "TiB"];

export function write(unit, value) {
  if (value === null || value === undefined) return "–";
  switch (unit) {
    case "bytes": {
      const power = Math.min(UNITS.length - 1, value > 0 ? Math.floor(Math.log2(value) / 10) : 0);
      return `${COUNT.format(value / 1024 ** power)} ${UNITS[power]}`;
    }
    case "millis":
      return `${COUNT.format(value)} ms`;
    case "percent":
      return `${COUNT.format(value)} %`;
    default:
      return COUNT.format(value);
  }
}

/** Whether the cluster of a node is there; nothing for a server that is in none. */
export function clusterState(cluster) {
  if (!cluster) return "";
  if (!cluster.contact) return `, cluster: Redis does not answer, ${COUNT.format(cluster.unsettled)} batches in doubt`;
  const nodes = cluster.nodes === 1 ? "1 node" : `${COUNT.format(cluster.nodes)} nodes`;
  return `, cluster of ${nodes}, Redis answers for ${duration(Math.floor(cluster.contactMicros / 1e6))}`;
}

export function duration(seconds) {
  const parts = [[86_400, "d"], [3600, "h"], [60, "min"], [1, "s"]];
  const at = parts.findIndex(([size]) => seconds >= size);
  if (at < 0) return "0 s";
  const [[size, name], next] = [parts[at], parts[at + 1]];
  const rest = next ? Math.floor((seconds % size) / next[0]) : 0;
  return `${Math.floor(seconds / size)} ${name}${rest > 0 ? ` ${rest} ${next[1]}` : ""}`;
}

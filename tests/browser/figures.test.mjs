// What the dashboard makes of the server's figures, without a browser.
import assert from "node:assert/strict";
import { test } from "node:test";
import { clusterState, moment } from "../../src/admin/assets/figures.js";

const spread = (...counts) => ({ bounds: [50, 1000], counts });

function stats(seconds, commits) {
  const [way, micros] = [spread(1, 0, 0), spread(0, 0, 0)];
  return {
    uptimeMicros: seconds * 1e6, connections: 1, sessions: 1, streams: 0, messages: 0, lagMax: 0, lags: spread(1, 0, 0),
    traffic: { messagesReceived: 0, deliveries: 0 }, commits: { micros }, memory: {}, shards: [],
    reactor: { turnMicros: micros, busyMicros: 0 },
    way: { readToShard: way, shardToCommit: spread(1, commits, 0), commitToSend: way },
  };
}

test("the way inside is that of the time between two answers", () => {
  const now = moment(stats(1, 0), stats(2, 7));
  assert.equal(now.shardToCommit, 1);
  assert.equal(now.readToShard, null);
  assert.equal(moment(undefined, stats(1, 3)).shardToCommit, null);
});

test("a node says whether its cluster answers", () => {
  assert.equal(clusterState(undefined), "");
  const there = { contact: true, contactMicros: 61e6, nodes: 3, unsettled: 0 };
  assert.equal(clusterState(there), ", cluster of 3 nodes, Redis answers for 1 min 1 s");
  assert.equal(clusterState({ ...there, nodes: 1 }), ", cluster of 1 node, Redis answers for 1 min 1 s");
  const gone = { contact: false, contactMicros: 0, nodes: 3, unsettled: 2 };
  assert.equal(clusterState(gone), ", cluster: Redis does not answer, 2 batches in doubt");
});

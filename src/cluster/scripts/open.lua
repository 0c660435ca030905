-- Where a room stands; makes it, or gives it another epoch, if it was asked to or must.
local keys = { room = KEYS[1], stream = KEYS[2], meta = KEYS[3], nodes = KEYS[4], rooms = KEYS[5], users = KEYS[6] }
local node, purpose, uid, shown_epoch = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local shown_seq, shown_at, room_gen = tonumber(ARGV[5]), tonumber(ARGV[6]), ARGV[7]
local nonce, channel, name, new_uid, new_epoch = ARGV[10], ARGV[12], ARGV[13], ARGV[14], ARGV[15]

local gen, n = generation(keys.meta, ARGV[8], tonumber(ARGV[9]), nonce)
local room, now, is_changed = load_room(keys.room), micros(), false
if not room then
  local is_forgotten = room_gen ~= '' and room_gen ~= gen
  if purpose ~= 'create' and not is_forgotten then return { 'gone', gen, whole(n) } end
  if is_forgotten then
    room = begin_room(keys, name, uid, other_epoch(shown_epoch, nonce), shown_at, gen)
  else
    redis.call('DEL', keys.stream)
    room = begin_room(keys, name, new_uid, new_epoch, 0, gen)
  end
  is_changed = true
elseif purpose == 'renew' and room.uid ~= uid and room_gen == gen then
  return { 'gone', gen, whole(n) }
else
  local newest = redis.call('XREVRANGE', keys.stream, '+', '-', 'COUNT', 1)[1]
  local stands_at = newest and seq_of(newest) or 0
  if stands_at > room.seq then
    return redis.error_reply('ERR foghorn: the stream of a room has more than the room')
  end
  local is_cut = room.tail <= room.seq and stands_at < room.seq
  if is_cut then
    -- The stream was lost or cut, by whom or whatever: what is left goes on.
    room.bytes = nil
    room.seq, room.tail = math.max(stands_at, room.tail - 1), math.min(room.tail, stands_at + 1)
    if not newest then room.tail, room.gone = room.seq + 1, room.at end
  end
  if is_cut or purpose == 'renew' or room.gen ~= gen or (room.epoch == shown_epoch and room.seq < shown_seq) then
    room.gen, room.epoch, is_changed = gen, other_epoch(room.epoch, nonce), true
    room.at = math.max(room.at, shown_at)
  end
end
local is_trimmed = trim(keys.stream, room, ARGV[11], now)
if is_changed or is_trimmed then save_room(keys.room, room) end
if is_changed then
  n = redis.call('HINCRBY', keys.meta, 'n', 1)
  announce(channel, room, n, node, room.seq + 1, {})
end
local overdue = redis.call('ZRANGE', keys.nodes, '-inf', '(' .. whole(now / 1000), 'BYSCORE', 'LIMIT', 0, 4)
return {
  'ok', gen, whole(n), room.uid, room.epoch, whole(room.seq), whole(room.tail), whole(room.gone), whole(room.at),
  room.settings, whole(redis.call('HLEN', keys.users)), overdue,
}

-- Ends stays of a node that has not renewed its lease, in one room; answers whether there may be more of them.
local keys = {
  room = KEYS[1], stream = KEYS[2], meta = KEYS[3], stays = KEYS[4], users = KEYS[5], rooms_of_node = KEYS[6],
  nodes = KEYS[7],
}
local dead, name, channel, nonce, notice, node = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5], ARGV[6]
local STAYS_MAX = 256

local now = micros()
local score = redis.call('ZSCORE', keys.nodes, dead)
if not score or tonumber(score) >= now / 1000 then return { 'alive' } end
redis.call('ZADD', keys.nodes, 1, dead)
local room = load_room(keys.room)
if not room then
  redis.call('HDEL', keys.rooms_of_node, name)
  return { 'done', '0' }
end
local gen, n = generation(keys.meta, ARGV[7], tonumber(ARGV[8]), nonce)
if room.gen ~= gen then room.gen, room.epoch = gen, other_epoch(room.epoch, nonce) end
local function notice_of(user)
  return (string.gsub(notice, '{username}', function() return user end))
end

local first, pieces, count = room.seq + 1, {}, 0
local stays = redis.call('HGETALL', keys.stays)
for index = 1, #stays, 2 do
  if string.match(stays[index + 1], '^(%x*)|') == dead then
    if count == STAYS_MAX or room.seq >= SEQ_MAX then break end
    count = count + 1
    local _, _, user = end_stay(keys, stays[index])
    add(keys.stream, room, now, {
      kind = 'l', sender = 'SYSTEM', content = notice_of(user), id = '',
      user = user, online = whole(redis.call('HLEN', keys.users)),
    }, pieces)
  end
end
if count > 0 then
  n = redis.call('HINCRBY', keys.meta, 'n', 1)
  trim(keys.stream, room, ARGV[9], now)
  save_room(keys.room, room)
  announce(channel, room, n, node, first, pieces)
end
if count == STAYS_MAX then return { 'more', whole(count) } end
redis.call('HDEL', keys.rooms_of_node, name)
return { 'done', whole(count) }

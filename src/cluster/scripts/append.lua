-- Appends messages to the log of a room, each unless its id was used or it would tell nothing; answers as it did before
-- if this batch was appended already.
local keys = {
  room = KEYS[1], stream = KEYS[2], meta = KEYS[3], answer = KEYS[4], stays = KEYS[5], users = KEYS[6],
  rooms_of_node = KEYS[7], nodes = KEYS[8], rooms = KEYS[9],
}
local node, number, uid, shown_epoch = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local shown_seq, shown_at, room_gen = tonumber(ARGV[5]), tonumber(ARGV[6]), ARGV[7]
local nonce, window, lease, channel, name = ARGV[10], ARGV[11], tonumber(ARGV[13]), ARGV[14], ARGV[15]
local ANSWER_MS, RECORD, FIELDS = 600000, 16, 9

local last = redis.call('GET', keys.answer)
if last then
  local space = string.find(last, ' ', 1, true)
  if space and string.sub(last, 1, space - 1) == number then return string.sub(last, space + 1) end
end

local gen, n = generation(keys.meta, ARGV[8], tonumber(ARGV[9]), nonce)
local room, now, is_changed = load_room(keys.room), micros(), false
if not room then
  if room_gen == '' or room_gen == gen then return 'gone ' .. gen .. ' ' .. whole(n) end
  -- It was not deleted but forgotten.
  room = begin_room(keys, name, uid, other_epoch(shown_epoch, nonce), shown_at, gen)
  is_changed = true
elseif room.uid ~= uid and room_gen == gen then
  return 'gone ' .. gen .. ' ' .. whole(n)
elseif room.gen ~= gen or (room.epoch == shown_epoch and room.seq < shown_seq) then
  room.gen, room.epoch, is_changed = gen, other_epoch(room.epoch, nonce), true
end
room.at = math.max(room.at, shown_at)

-- Which message took an id, if one did.
local function repeated(key, digest)
  local used = key ~= '' and redis.call('GET', KEYS[tonumber(key)])
  if not used then return nil end
  local seq, at, first = string.match(used, '^(%d+) (%d+) (%x+)$')
  if not seq then error({ err = 'ERR foghorn: an id was not noted as ids are' }) end
  return 'r:' .. seq .. ':' .. at .. ':' .. (first == digest and '1' or '0')
end

-- A stay begins or ends; false if there is nothing to tell.
local function told(record)
  if record.kind == 'j' then
    local stay = node .. '|' .. record.session .. '|' .. whole(now) .. '|' .. record.user
    if redis.call('HSETNX', keys.stays, record.stay, stay) == 0 then return false end
    redis.call('HINCRBY', keys.users, record.user, 1)
    redis.call('HINCRBY', keys.rooms_of_node, name, 1)
    if not redis.call('ZSCORE', keys.nodes, node) then
      redis.call('ZADD', keys.nodes, whole(now / 1000 + lease), node)
    end
  else
    local owner = end_stay(keys, record.stay)
    if not owner then return false end
    if owner == node then count_down(keys.rooms_of_node, name) end
  end
  record.online = whole(redis.call('HLEN', keys.users))
  return true
end

local first, first_at, tokens, pieces = room.seq + 1, 0, {}, {}
for base = RECORD, #ARGV, FIELDS do
  local record = {
    kind = ARGV[base], sender = ARGV[base + 1], content = ARGV[base + 2], id = ARGV[base + 3],
    user = ARGV[base + 5], stay = ARGV[base + 6], session = ARGV[base + 7], online = '',
  }
  local digest, key = ARGV[base + 4], ARGV[base + 8]
  local token = repeated(key, digest)
  if not token and room.seq >= SEQ_MAX then token = 'u' end
  if not token and record.stay ~= '' and not told(record) then token = 'n' end
  if not token then
    local at = add(keys.stream, room, now, record, pieces)
    if #tokens == 0 or first_at == 0 then first_at = room.at end
    if key ~= '' then
      redis.call('SET', KEYS[tonumber(key)], whole(room.seq) .. ' ' .. at .. ' ' .. digest, 'PX', window)
    end
    token = record.online == '' and 'a' or 'p:' .. record.online
  end
  tokens[#tokens + 1] = token
end

if is_changed or #pieces > 0 then
  n = redis.call('HINCRBY', keys.meta, 'n', 1)
  trim(keys.stream, room, ARGV[12], now)
  save_room(keys.room, room)
  announce(channel, room, n, node, first, pieces)
end
local text = table.concat({
  'ok', room.epoch, gen, whole(n), whole(first), whole(first_at), table.concat(tokens, ' '),
}, ' ')
redis.call('SET', keys.answer, number .. ' ' .. text, 'PX', ANSWER_MS)
return text

-- What several scripts do. Numbers of Lua are exact up to 2^53, but written with an exponent from 10^14 on.
local SEQ_MAX = 9007199254740991

local function whole(number)
  return string.format('%.0f', number)
end

local function micros()
  local time = redis.call('TIME')
  return tonumber(time[1]) * 1000000 + tonumber(time[2])
end

local function ordinal(gen)
  return tonumber(string.match(gen, '^(%d+)-%x+$')) or 0
end

-- What the partition has gone through: its generation, and how many changes there were. A new generation begins where
-- Redis knows less than this node has seen of it, or other things.
local function generation(meta, seen, seen_n, nonce)
  local found = redis.call('HMGET', meta, 'gen', 'n')
  local gen, n = found[1], tonumber(found[2]) or 0
  local number, seen_number = 0, ordinal(seen)
  local is_behind = not gen
  if gen then
    number = ordinal(gen)
    is_behind = seen ~= ''
      and ((gen == seen and n < seen_n) or (gen ~= seen and number <= seen_number))
  end
  if is_behind then
    gen = whole(math.max(number, seen_number) + 1) .. '-' .. nonce
    redis.call('HSET', meta, 'gen', gen, 'n', whole(n))
  end
  return gen, n
end

-- Another epoch of the same log, whose messages keep their ids.
local function other_epoch(epoch, nonce)
  return string.sub(nonce, 1, 8) .. string.sub(epoch, 9, 16)
end

local function seq_of(entry)
  local seq = string.match(entry[1], '^(%d+)-0$')
  if not seq then
    error({ err = 'ERR foghorn: a stream has an entry that is not numbered as those of a room are' })
  end
  return tonumber(seq)
end

-- The time of the first message from this number on, if there is one.
local function time_from(stream, seq)
  local entry = redis.call('XRANGE', stream, whole(seq) .. '-0', '+', 'COUNT', 1)[1]
  return entry and entry[2][1] == 'a' and tonumber(entry[2][2])
end

-- The number of the first message from `tail` to `seq` that is not earlier than `time`; `seq + 1` if there is none.
local function first_since(stream, tail, seq, time)
  local low, high = tail, seq + 1
  while low < high do
    local middle = math.floor((low + high) / 2)
    local at = time_from(stream, middle)
    if at and at < time then low = middle + 1 else high = middle end
  end
  return low
end

-- What the hash of a room says, with numbers as numbers.
local function load_room(key)
  local found = redis.call('HMGET', key, 'uid', 'epoch', 'seq', 'at', 'gen', 'tail', 'gone', 'settings',
    'bytes')
  if not found[1] then return nil end
  local room = {
    uid = found[1], epoch = found[2], seq = tonumber(found[3]), at = tonumber(found[4]), gen = found[5],
    tail = tonumber(found[6]), gone = tonumber(found[7]), settings = found[8] or '',
    bytes = tonumber(found[9] or ''),
  }
  if not (room.epoch and #room.epoch == 16 and room.seq and room.at and room.tail and room.gone) then
    error({ err = 'ERR foghorn: the hash of a room is not as it was written' })
  end
  return room
end

local function save_room(key, room)
  redis.call('HSET', key, 'uid', room.uid, 'epoch', room.epoch, 'seq', whole(room.seq), 'at', whole(room.at),
    'gen', room.gen, 'tail', whole(room.tail), 'gone', whole(room.gone),
    'bytes', room.bytes and whole(room.bytes) or '')
end

-- A room that is not there begins; what there still is of its log is kept.
local function begin_room(keys, name, uid, epoch, at, gen)
  local room = { uid = uid, epoch = epoch, seq = 0, at = at, gen = gen, tail = 1, gone = 0, settings = '' }
  local newest = redis.call('XREVRANGE', keys.stream, '+', '-', 'COUNT', 1)[1]
  if newest then
    room.seq = seq_of(newest)
    room.tail = seq_of(redis.call('XRANGE', keys.stream, '-', '+', 'COUNT', 1)[1])
    room.at = math.max(at, time_from(keys.stream, room.seq) or 0)
  end
  save_room(keys.room, room)
  redis.call('HSET', keys.room, 'made', whole(micros()))
  redis.call('ZADD', keys.rooms, 0, name)
  return room
end

-- How much a room keeps: what it has its own way, or what holds for all, given as messages, microseconds and bytes. Zero is
-- without limit.
local function retention(room, general)
  local count_max, age_max, bytes_max = string.match(general, '^(%d+) (%d+) (%d+)$')
  count_max, age_max, bytes_max = tonumber(count_max), tonumber(age_max), tonumber(bytes_max)
  if room.settings == '' then return count_max, age_max, bytes_max end
  local own = cjson.decode(room.settings)
  return tonumber(own.messages) or count_max, own.age and tonumber(own.age) * 1000000 or age_max,
    tonumber(own.bytes) or bytes_max
end

-- The bytes of senders and contents of the messages from `first` to `last`.
local function bytes_between(stream, first, last)
  local CHUNK, bytes = 64, 0
  while first <= last do
    local some = redis.call('XRANGE', stream, whole(first) .. '-0', whole(last) .. '-0', 'COUNT', CHUNK)
    for _, entry in ipairs(some) do
      for index = 1, #entry[2], 2 do
        if entry[2][index] == 's' or entry[2][index] == 'c' then bytes = bytes + #entry[2][index + 1] end
      end
    end
    if #some < CHUNK then return bytes end
    first = seq_of(some[#some]) + 1
  end
  return bytes
end

-- Where the log of a room begins that keeps a number of bytes, if it were to begin at `tail`; the newest message stays. The
-- bytes are counted where there is such a limit, and only there.
local function tail_within(stream, room, tail, bytes_max)
  if bytes_max == 0 then
    room.bytes = nil
    return tail
  end
  if room.bytes then
    room.bytes = room.bytes + (room.added or 0) - bytes_between(stream, room.tail, tail - 1)
  else
    room.bytes = bytes_between(stream, tail, room.seq)
  end
  while room.bytes > bytes_max and tail < room.seq do
    room.bytes = room.bytes - bytes_between(stream, tail, tail)
    tail = tail + 1
  end
  return tail
end

-- Removes what is kept no longer; says whether the room has changed.
local function trim(stream, room, general, now)
  local tail, bytes = room.tail, room.bytes
  local count_max, age_max, bytes_max = retention(room, general)
  if count_max > 0 then tail = math.max(tail, room.seq - count_max + 1) end
  if age_max > 0 and tail <= room.seq then
    local oldest = time_from(stream, tail)
    if oldest and oldest < now - age_max then
      tail = first_since(stream, tail, room.seq, now - age_max)
    end
  end
  tail = tail_within(stream, room, tail, bytes_max)
  if tail == room.tail then return bytes ~= room.bytes end
  local newest = redis.call('XRANGE', stream, whole(tail - 1) .. '-0', whole(tail - 1) .. '-0')[1]
  room.gone = newest and tonumber(newest[2][2]) or room.at
  room.tail = tail
  redis.call('XTRIM', stream, 'MINID', whole(tail) .. '-0')
  return true
end

-- Announces entries: lengths of pieces, then the pieces themselves.
local function announce(channel, room, n, node, first, pieces)
  local head = { '1', node, room.uid, room.epoch, room.gen, whole(n), whole(first) }
  local lengths = {}
  for index = 1, #head do lengths[index] = #head[index] end
  for index = 1, #pieces do lengths[#head + index] = #pieces[index] end
  redis.call('SPUBLISH', channel,
    table.concat(lengths, ',') .. '\n' .. table.concat(head) .. table.concat(pieces))
end

-- Appends a message, and gives its time.
local function add(stream, room, now, record, pieces)
  room.seq = room.seq + 1
  room.at = math.max(now, room.at + 1)
  room.added = (room.added or 0) + #record.sender + #record.content
  local at = whole(room.at)
  local fields = { 'a', at, 't', record.kind, 's', record.sender, 'c', record.content }
  if record.id ~= '' then
    fields[#fields + 1] = 'i'
    fields[#fields + 1] = record.id
  end
  if record.online ~= '' then
    for _, piece in ipairs({ 'u', record.user, 'o', record.online }) do fields[#fields + 1] = piece end
  end
  redis.call('XADD', stream, whole(room.seq) .. '-0', unpack(fields))
  for _, piece in ipairs({ at, record.kind, record.sender, record.content, record.id, record.user, record.online }) do
    pieces[#pieces + 1] = piece
  end
  return at
end

-- A stay ends; false if there was none. Gives the node that it belonged to, the session and the user.
local function end_stay(keys, stay)
  local held = redis.call('HGET', keys.stays, stay)
  if not held then return false end
  redis.call('HDEL', keys.stays, stay)
  local node, session, user = string.match(held, '^(%x*)|(%x*)|%d*|(.*)$')
  if user and redis.call('HINCRBY', keys.users, user, -1) <= 0 then redis.call('HDEL', keys.users, user) end
  return node or '', session or '', user or ''
end

-- A node has a stay less in a room.
local function count_down(rooms_of_node, name)
  if redis.call('HINCRBY', rooms_of_node, name, -1) <= 0 then redis.call('HDEL', rooms_of_node, name) end
end

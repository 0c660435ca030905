-- Before each script of a room. KEYS: the room's hash, stream, participants, stays, users; then of its partition: rooms,
-- rooms by participant, imports, meta; the room's channel. ARGV: its public id, what all keys of the partition begin with.
local ROOM, STREAM, PARTICIPANTS, STAYS, USERS = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local ROOMS, BY_PARTICIPANT, IMPORTS, META, CHANNEL = KEYS[6], KEYS[7], KEYS[8], KEYS[9], KEYS[10]
local ID, PREFIX = ARGV[1], ARGV[2]

-- Numbers of Lua are exact up to 2^53, but written with an exponent from 10^14 on.
local function whole(number)
  return string.format('%.0f', number)
end

-- The time by the clock of Redis, in microseconds.
local function now()
  local time = redis.call('TIME')
  return tonumber(time[1]) * 1000000 + tonumber(time[2])
end

local function uid()
  return redis.call('HGET', ROOM, 'uid')
end

-- What is shown of the room; nothing if there is none.
local function info()
  local fields = redis.call('HMGET', ROOM, 'uid', 'made', 'title', 'about', 'by', 'settings')
  if not fields[1] then
    return false
  end
  fields[7] = redis.call('ZRANGE', PARTICIPANTS, 0, -1)
  return fields
end

-- The generation of the partition, which begins with this one if there is none.
local function generation(nonce)
  local gen = redis.call('HGET', META, 'gen')
  if not gen then
    gen = '1-' .. nonce
    redis.call('HSET', META, 'gen', gen, 'n', '0')
  end
  return gen
end

local function configure(settings)
  if settings == '' then
    redis.call('HDEL', ROOM, 'settings')
  else
    redis.call('HSET', ROOM, 'settings', settings)
  end
end

local function join(user)
  if not redis.call('ZSCORE', PARTICIPANTS, user) then
    redis.call('ZADD', PARTICIPANTS, redis.call('HINCRBY', ROOM, 'joins', 1), user)
  end
  redis.call('ZADD', BY_PARTICIPANT, 0, #user .. ':' .. user .. ID)
end

-- Makes the room, which is not there, from eight arguments: uid, epoch, generation if there is none, time, title, what
-- it is for, `+` and who creates it, settings.
local function make(first)
  -- What others left behind of a room whose hash is gone.
  redis.call('UNLINK', STREAM, PARTICIPANTS, STAYS, USERS)
  redis.call('HSET', ROOM, 'uid', ARGV[first], 'epoch', ARGV[first + 1], 'gen', generation(ARGV[first + 2]),
    'seq', '0', 'at', '0', 'tail', '1', 'gone', '0', 'made', ARGV[first + 3], 'title', ARGV[first + 4])
  if ARGV[first + 5] ~= '' then
    redis.call('HSET', ROOM, 'about', ARGV[first + 5])
  end
  if ARGV[first + 6] ~= '' then
    redis.call('HSET', ROOM, 'by', string.sub(ARGV[first + 6], 2))
  end
  configure(ARGV[first + 7])
  redis.call('ZADD', ROOMS, 0, ID)
end

-- Removes the room of this uid, and tells those who follow it.
local function remove(uid)
  for _, user in ipairs(redis.call('ZRANGE', PARTICIPANTS, 0, -1)) do
    redis.call('ZREM', BY_PARTICIPANT, #user .. ':' .. user .. ID)
  end
  -- These keys are of the same slot, and known only here.
  local nodes = {}
  for _, stay in ipairs(redis.call('HVALS', STAYS)) do
    local node = string.match(stay, '^([^|]*)|')
    if node and not nodes[node] then
      nodes[node] = true
      redis.call('HDEL', PREFIX .. 'n:' .. node, ID)
    end
  end
  redis.call('UNLINK', ROOM, STREAM, PARTICIPANTS, STAYS, USERS)
  redis.call('ZREM', ROOMS, ID)
  redis.call('ZREM', IMPORTS, ID)
  redis.call('SPUBLISH', CHANNEL, 'D' .. uid)
end

-- Another epoch of the same log, whose messages keep their ids.
local function other_epoch(epoch, nonce)
  return string.sub(nonce, 1, 8) .. string.sub(epoch, 9, 16)
end

-- The log has changed otherwise than by an append: tells where it stands, as appends do, so that whoever follows it reads it.
local function announce()
  local n = redis.call('HINCRBY', META, 'n', 1)
  local found = redis.call('HMGET', ROOM, 'uid', 'epoch', 'gen', 'seq')
  local pieces = { '1', '', found[1], found[2], found[3], whole(n), whole(tonumber(found[4]) + 1) }
  local lengths = {}
  for index = 1, #pieces do
    lengths[index] = #pieces[index]
  end
  redis.call('SPUBLISH', CHANNEL, table.concat(lengths, ',') .. '\n' .. table.concat(pieces))
end

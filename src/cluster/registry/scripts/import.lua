-- ARGV[3..10]: as `make` takes them; 11: the number that comes before, or nothing; 12: whether these are the last; 13: what
-- of the epoch is in the ids, or nothing; 14: whether there is something wrong with the messages, which do not come then;
-- 15: how long ids are remembered; 16: messages kept at most where the room does not say, 0 is all; 17: how many
-- participants; the participants; messages of 9 arguments each.
local AFTER, IS_LAST, ID_EPOCH, HAS_FLAW = ARGV[11], ARGV[12] == '1', ARGV[13], ARGV[14] == '1'
local WINDOW, KEPT_MAX, PARTICIPANT_COUNT = tonumber(ARGV[15]), tonumber(ARGV[16]), tonumber(ARGV[17])
local FIRST, FIELDS = 18 + PARTICIPANT_COUNT, 9

local found = redis.call('HMGET', ROOM, 'uid', 'epoch', 'seq', 'at', 'gen', 'tail')
local existed = found[1]
local seq, at, tail = tonumber(found[3]) or 0, tonumber(found[4]) or 0, tonumber(found[6]) or 1
if AFTER == '' and seq > 0 then
  return { 'exists', whole(seq) }
end
if AFTER ~= '' and seq ~= tonumber(AFTER) then
  return { 'disorder', whole(seq) }
end
if HAS_FLAW then
  return { 'ok', whole(seq) }
end
local first_seq, first_at = tonumber(ARGV[FIRST]), tonumber(ARGV[FIRST + 1])
if first_at and first_at <= at then
  return { 'disorder', whole(seq) }
end

local uid, epoch = existed, found[2]
if not existed then
  make(3)
  for index = 18, FIRST - 1 do
    join(ARGV[index])
  end
  uid, epoch = ARGV[3], ARGV[4]
end
local gen, time = generation(ARGV[5]), now()
-- Whoever is in the room by now reads it anew; so it is, too, if Redis has forgotten something.
if existed and (AFTER == '' or found[5] ~= gen) then
  epoch = other_epoch(epoch, ARGV[4])
end
if AFTER == '' and first_seq then
  tail = first_seq
  if ID_EPOCH ~= '' then
    epoch = other_epoch(ID_EPOCH, ARGV[4])
  end
end

for base = FIRST, #ARGV, FIELDS do
  local fields = { 'a', ARGV[base + 1], 't', ARGV[base + 2], 's', ARGV[base + 3], 'c', ARGV[base + 4] }
  local sender, id = ARGV[base + 3], ARGV[base + 5]
  if id ~= '' then
    fields[9], fields[10] = 'i', id
  end
  if ARGV[base + 7] ~= '' then
    for _, piece in ipairs({ 'u', ARGV[base + 6], 'o', ARGV[base + 7] }) do
      fields[#fields + 1] = piece
    end
  end
  redis.call('XADD', STREAM, ARGV[base] .. '-0', unpack(fields))
  seq, at = tonumber(ARGV[base]), tonumber(ARGV[base + 1])
  local left = at + WINDOW - time
  if id ~= '' and sender ~= '' and left >= 1000 then
    -- These keys are of the same slot; only here it is known which.
    redis.call('SET', PREFIX .. 'i:' .. uid .. ':' .. #sender .. ':' .. sender .. id,
      ARGV[base] .. ' ' .. ARGV[base + 1] .. ' ' .. ARGV[base + 8], 'PX', whole(math.floor(math.min(left, WINDOW) / 1000)))
  end
end

-- No more than the room keeps, however much is imported; what is too old goes with the next append.
local settings = redis.call('HGET', ROOM, 'settings')
local kept_max = settings and tonumber(cjson.decode(settings).messages) or KEPT_MAX
if kept_max > 0 and seq - tail + 1 > kept_max then
  tail = seq - kept_max + 1
  local newest = redis.call('XREVRANGE', STREAM, whole(tail - 1) .. '-0', '-', 'COUNT', 1)[1]
  redis.call('XTRIM', STREAM, 'MINID', whole(tail) .. '-0')
  if newest then
    redis.call('HSET', ROOM, 'gone', newest[2][2])
  end
end
redis.call('HSET', ROOM, 'epoch', epoch, 'gen', gen, 'seq', whole(seq), 'at', whole(at), 'tail', whole(tail))
if IS_LAST then
  redis.call('HDEL', ROOM, 'import')
  redis.call('ZREM', IMPORTS, ID)
else
  if AFTER == '' then
    redis.call('HSET', ROOM, 'import', existed and '1' or '0')
  end
  redis.call('ZADD', IMPORTS, whole(time), ID)
end
announce()
return { 'ok', whole(seq) }

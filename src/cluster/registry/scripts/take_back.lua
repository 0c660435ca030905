-- ARGV[3]: what makes another epoch; 4: generation if there is none; 5: how long ids are remembered; 6: only if nothing has
-- come for so long. Answers whether something was taken back.
local found = redis.call('HMGET', ROOM, 'uid', 'import')
if not found[1] then
  redis.call('ZREM', IMPORTS, ID)
  return false
end
local last = tonumber(redis.call('ZSCORE', IMPORTS, ID) or 0)
if not found[2] or (ARGV[6] ~= '' and now() - last < tonumber(ARGV[6])) then
  return 0
end
if found[2] == '0' then
  remove(found[1])
  redis.call('HINCRBY', META, 'n', 1)
  return 1
end

-- Ids of messages that go are not used any more.
local from, upto = now() - tonumber(ARGV[5]), '+'
repeat
  local entries = redis.call('XREVRANGE', STREAM, upto, '-', 'COUNT', 500)
  for _, entry in ipairs(entries) do
    local fields = {}
    for index = 1, #entry[2], 2 do
      fields[entry[2][index]] = entry[2][index + 1]
    end
    if (tonumber(fields.a) or 0) < from then
      entries = {}
      break
    end
    if fields.i and fields.s then
      redis.call('UNLINK', PREFIX .. 'i:' .. found[1] .. ':' .. #fields.s .. ':' .. fields.s .. fields.i)
    end
    upto = '(' .. entry[1]
  end
until #entries == 0
redis.call('UNLINK', STREAM)
redis.call('HSET', ROOM, 'epoch', ARGV[3], 'gen', generation(ARGV[4]), 'seq', '0', 'at', '0', 'tail', '1', 'gone', '0')
redis.call('HDEL', ROOM, 'import')
redis.call('ZREM', IMPORTS, ID)
announce()
return 1

-- Where rooms of one partition stand: of each its uid, epoch and newest number, or nothing if it is not there.
local gen, n = generation(KEYS[1], ARGV[1], tonumber(ARGV[2]), ARGV[3])
local heads = { gen, whole(n) }
for index = 2, #KEYS - 1 do
  local found = redis.call('HMGET', KEYS[index], 'uid', 'epoch', 'seq')
  for field = 1, 3 do heads[#heads + 1] = found[field] or '' end
end
return heads

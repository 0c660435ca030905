-- KEYS[1]: the bans of a partition, with their ends. ARGV: how many to pass over, how many to give at most. Gives who is
-- banned, and for how many microseconds still.
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])
local found = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', '+inf', 'WITHSCORES', 'LIMIT', ARGV[1], ARGV[2])
for index = 2, #found, 2 do
  found[index] = string.format('%.0f', math.max(0, tonumber(found[index]) - now))
end
return found

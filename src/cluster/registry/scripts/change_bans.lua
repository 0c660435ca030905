-- KEYS[1]: the bans of a partition, with their ends. ARGV[1]: who is banned, if anyone; ARGV[2]: for how many microseconds, or
-- nothing if no longer. Forgets the bans that have ended.
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', string.format('%.0f', now))
if ARGV[2] == '' then
  redis.call('ZREM', KEYS[1], ARGV[1])
elseif ARGV[2] then
  redis.call('ZADD', KEYS[1], string.format('%.0f', now + tonumber(ARGV[2])), ARGV[1])
end
return 1

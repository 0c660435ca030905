-- KEYS[1]: the imports of a partition that are not finished. ARGV: for how long nothing has come, how many to give at most.
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])
return redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', string.format('%.0f', now - tonumber(ARGV[1])), 'LIMIT', 0, ARGV[2])

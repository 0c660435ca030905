-- A node is there for another while, if it has stays in the partition; answers whether the others have taken it to be there
-- all the time, and which nodes they should look after.
local nodes, node, lease = KEYS[1], ARGV[1], tonumber(ARGV[2])
local now = micros() / 1000
local held = '1'
if lease > 0 then
  -- One whose stays are being ended has the score 1.
  local score = redis.call('ZSCORE', nodes, node)
  if not score or tonumber(score) <= 1 then held = '0' end
  redis.call('ZADD', nodes, whole(now + lease), node)
end
return { held, redis.call('ZRANGE', nodes, '-inf', '(' .. whole(now), 'BYSCORE', 'LIMIT', 0, 16) }

-- A node that has not renewed its lease and has no stays any more is forgotten.
local nodes, rooms_of_node, dead = KEYS[1], KEYS[2], ARGV[1]
local score = redis.call('ZSCORE', nodes, dead)
if score and tonumber(score) < micros() / 1000 and redis.call('HLEN', rooms_of_node) == 0 then
  redis.call('ZREM', nodes, dead)
end
return 'done'

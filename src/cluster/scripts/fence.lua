-- A server that was a replica before writes on where its master was, perhaps, and that one may write still: what is numbered
-- here from now on belongs to other epochs. The first node that finds it so says so, once for each history of a server.
local meta, history, is_told, nonce = KEYS[1], ARGV[1], ARGV[2], ARGV[3]
local found = redis.call('HMGET', meta, 'history', 'gen', 'n')
local gen, n, change = found[2], tonumber(found[3]) or 0, '0'
if found[1] ~= history then
  redis.call('HSET', meta, 'history', history)
  if is_told == '1' and gen then
    gen = whole(ordinal(gen) + 1) .. '-' .. nonce
    redis.call('HSET', meta, 'gen', gen)
    change = '1'
  end
end
return { gen or '', whole(n), change }

-- ARGV[3]: the user.
redis.call('ZREM', PARTICIPANTS, ARGV[3])
redis.call('ZREM', BY_PARTICIPANT, #ARGV[3] .. ':' .. ARGV[3] .. ID)
return info()

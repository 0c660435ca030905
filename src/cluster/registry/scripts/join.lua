-- ARGV[3]: the user, ARGV[4]: participants at most. Answers 0 if there are as many.
if not uid() then
  return false
end
if not redis.call('ZSCORE', PARTICIPANTS, ARGV[3]) and redis.call('ZCARD', PARTICIPANTS) >= tonumber(ARGV[4]) then
  return 0
end
join(ARGV[3])
return info()

-- Replaces leases on the fields of a viewer's hash by values, where they still stand.
--
-- KEYS: the hash
-- ARGV: the lease's token, then each field and its value
for i = 2, #ARGV, 2 do
  if redis.call('HGET', KEYS[1], ARGV[i]) == ARGV[1] then
    redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1])
  end
end
return 1

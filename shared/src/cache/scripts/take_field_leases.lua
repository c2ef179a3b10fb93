-- Takes leases on the fields of a viewer's hash where no value stands. Fields have no TTL of their own, so a lease that
-- was left behind gives way.
--
-- KEYS: the hash
-- ARGV: the lease's token, the hash's seconds, the fields
for i = 3, #ARGV do
  local known = redis.call('HGET', KEYS[1], ARGV[i])
  if not known or not string.find('nlsb', known, 1, true) then
    redis.call('HSET', KEYS[1], ARGV[i], ARGV[1])
  end
end
redis.call('EXPIRE', KEYS[1], ARGV[2], 'NX')
return 1

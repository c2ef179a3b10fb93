-- Replaces a lease by the value, if it still stands, for as long as every writer at work may still be. Returns whether the
-- value stands.
--
-- KEYS: the key, its writers if it has any
-- ARGV: the lease's token, the value, its seconds
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return keep(KEYS[1], KEYS[2], ARGV[2], ARGV[3])

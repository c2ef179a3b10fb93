-- Forgets the value of a key, a lease on it too, and that there is this writer.
--
-- A value that begins with `!` is a hold of an earlier release, which goes by itself.
--
-- KEYS: the key, its writers if the caller is one
-- ARGV: the writer's token
if KEYS[2] then redis.call('HDEL', KEYS[2], ARGV[1]) end
local kept = redis.call('GET', KEYS[1])
if kept and string.sub(kept, 1, 1) == '!' then return 0 end
return redis.call('DEL', KEYS[1])

-- Adds a writer of a key. The value of the key stays, since nobody was answered yet, but no longer than the writer may
-- take; unless the writer hides it.
--
-- KEYS: the key, its writers
-- ARGV: the writer's token, its seconds
local millis = 1000 * tonumber(ARGV[2])
redis.call('HSET', KEYS[2], ARGV[1], now() + millis)
redis.call('PEXPIRE', KEYS[2], 2 * millis)
if hides(ARGV[1]) then
  redis.call('DEL', KEYS[1])
elseif redis.call('PTTL', KEYS[1]) > millis then
  redis.call('PEXPIRE', KEYS[1], millis)
end
return 1

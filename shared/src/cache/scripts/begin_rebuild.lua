-- Begins to rebuild a list. Returns 1 if so, 0 if the list is there with all that belongs to it, and -1 if somebody else
-- rebuilds it.
--
-- KEYS: the list, then what belongs to it
-- ARGV: the placeholder, its seconds
local first = redis.call('LINDEX', KEYS[1], 0)
if first then
  if string.byte(first) == 63 then return -1 end -- '?'
  if not KEYS[2] or redis.call('EXISTS', KEYS[2]) == 1 then return 0 end
end
redis.call('DEL', unpack(KEYS))
redis.call('RPUSH', KEYS[1], ARGV[1])
redis.call('EXPIRE', KEYS[1], ARGV[2])
return 1

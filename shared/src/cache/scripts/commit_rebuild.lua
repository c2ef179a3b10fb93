-- Ends a rebuild: keeps what was pushed meanwhile, and puts what belongs to the list in its place. Does nothing and
-- returns 0 if the placeholder is gone.
--
-- KEYS: the list; where something belongs to it, that and the key at which it was prepared
-- ARGV: the placeholder, the number of ids that stay, the list's seconds, its elements
if redis.call('LINDEX', KEYS[1], 0) ~= ARGV[1] then return 0 end
for i = 4, #ARGV do redis.call('RPUSH', KEYS[1], ARGV[i]) end
if KEYS[2] then
  redis.call('RENAME', KEYS[3], KEYS[2])
  redis.call('EXPIRE', KEYS[2], ARGV[3])
end
settle(KEYS[1], tonumber(ARGV[2]), 1000 * tonumber(ARGV[3]), nil)
return 1

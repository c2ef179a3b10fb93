-- Takes a lease on a key where nothing stands. Returns whether it was taken.
--
-- Writers whose time was up before are done with, one way or the other: the holder of the lease reads what became of what
-- they wrote.
--
-- KEYS: the key, its writers if it has any
-- ARGV: the lease's token, its seconds
local taken = redis.call('SET', KEYS[1], ARGV[1], 'NX', 'EX', ARGV[2])
if taken and KEYS[2] then
  local now = now()
  for token, deadline in pairs(writers(KEYS[2])) do
    if deadline <= now then redis.call('HDEL', KEYS[2], token) end
  end
end
return taken and 1 or 0

-- Replaces a post's counts by later ones, and forgets that there is this writer.
--
-- Where nothing stands nothing is put: later counts may have stood there. Where a lease stands it goes: its holder may
-- have read the store before. A value that begins with `!` is a hold of an earlier release, which goes by itself.
--
-- KEYS: the key, its writers
-- ARGV: the writer's token, the counts, their revision, their seconds
redis.call('HDEL', KEYS[2], ARGV[1])
local kept = redis.call('GET', KEYS[1])
if not kept then return 0 end
local first = string.sub(kept, 1, 1)
if first == '!' then return 0 end
if first ~= '{' then return redis.call('DEL', KEYS[1]) end
local rev = tonumber(string.match(kept, '"rev":(%d+)')) or -1
if rev < tonumber(ARGV[3]) then kept = ARGV[2] end
return keep(KEYS[1], KEYS[2], kept, ARGV[4])

-- Trims a list of posts to its newest ids. A placeholder stays one. Returns whether there was anything to trim.
--
-- Mostly the ids at the beginning are in order, and older than those behind them: then they are dropped as they are, the
-- last of them is the floor, and sorting is saved.
--
-- KEYS: the list
-- ARGV: the number of ids that stay
local key, cap = KEYS[1], tonumber(ARGV[1])
local length = redis.call('LLEN', key)
if length <= cap then return 0 end
local list = redis.call('LRANGE', key, 0, length - cap)
local lead = 0
while list[lead + 1] and #list[lead + 1] ~= 8 do lead = lead + 1 end
local count = #list - lead
if count <= 1 then return 0 end
local joined = table.concat(list, '', lead + 1)
local rising = #joined == 8 * count
if rising then
  local words = {struct.unpack('>' .. string.rep('I4', 2 * count), joined)}
  local hi, lo = words[1], words[2]
  for at = 3, 2 * count, 2 do
    local next_hi, next_lo = words[at], words[at + 1]
    if next_hi < hi or (next_hi == hi and next_lo <= lo) then rising = false break end
    hi, lo = next_hi, next_lo
  end
end
local placeholder = list[1]
if string.byte(placeholder) ~= 63 then placeholder = nil end -- '?'
if not rising then
  local ttl = redis.call('PTTL', key)
  if ttl < 0 then return 0 end
  settle(key, cap, math.max(ttl, 1), placeholder)
  return 1
end
local floor, first = id(list[#list - 1]), {}
for at = lead, 1, -1 do
  local kind = string.byte(list[at])
  if kind == 45 then -- '-'
    local before = id(string.sub(list[at], 2))
    if newer(before, floor) then floor = before end
  elseif kind == 64 then -- '@'
    first[#first + 1] = list[at]
  end
end
first[#first + 1] = '-' .. floor[3]
first[#first + 1] = placeholder
redis.call('LTRIM', key, length - cap, -1)
redis.call('LPUSH', key, unpack(first))
return 1

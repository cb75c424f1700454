-- SPDX-License-Identifier: Apache-2.0
-- Append events.
-- KEYS stream, counter, cut-offs, their ends
-- ARGV stamp, 's', id, id, ...    or    stamp, 'c', bytes, end
-- Gives the number of the last one.
redis.call('DEL', KEYS[1] .. ':none') -- there is no such key: a write that takes no room, see lib.lua
local seq
for i = 3, ARGV[2] == 'c' and 3 or #ARGV do
  seq = append(KEYS[1], KEYS[2], ARGV[1], ARGV[2], ARGV[i])
end
if ARGV[2] == 'c' then
  local n = string.format('%.0f', seq)
  redis.call('XADD', KEYS[3], n .. '-0', 'c', ARGV[1] .. ARGV[3])
  redis.call('ZADD', KEYS[4], ARGV[4], n)
end
return seq

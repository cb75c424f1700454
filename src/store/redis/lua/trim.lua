-- SPDX-License-Identifier: Apache-2.0
-- Remove cut-offs that are past their end, and events that are old. The newest event always stays.
-- KEYS stream, cut-offs, their ends
-- ARGV now, how many at most, before when events are old
-- Gives {how many cut-offs went, 1 when more is waiting}
local max, old = tonumber(ARGV[2]), tonumber(ARGV[3])
local due = redis.call('ZRANGEBYSCORE', KEYS[3], '-inf', ARGV[1], 'LIMIT', 0, max)
for _, n in ipairs(due) do
  redis.call('XDEL', KEYS[2], n .. '-0')
  redis.call('ZREM', KEYS[3], n)
end
-- The first of N that is not old, or the last of them.
local function first_young(n)
  local rows = redis.call('XRANGE', KEYS[1], '-', '+', 'COUNT', n)
  for i, row in ipairs(rows) do
    local at = #row[2][2] >= 13 and most(row[2][2], 9, 5) or 0
    if i == #rows or at >= old then return i, row[1] end
  end
end
local keep, id = first_young(2) -- mostly there is nothing to do
if keep == 2 then keep, id = first_young(500) end
if keep and keep > 1 then redis.call('XTRIM', KEYS[1], 'MINID', id) end
local is_more = #due > 0 and #due == max or keep == 500
return {#due, is_more and 1 or 0}

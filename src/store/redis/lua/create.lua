-- SPDX-License-Identifier: Apache-2.0
-- Create a session, on a server that has all keys.
-- KEYS session, stream, counter [, index]
-- ARGV record, px, stamp [, what session keys begin with, now, entry, px of the index, max, max of a class, policy,
--      fence, px of it]
-- Gives how many sessions the limit ended; -1 when there is something under that key; -3 when the limit refuses.
local beyond, over
if KEYS[4] then
  local limit = {tonumber(ARGV[8]), tonumber(ARGV[9]), tonumber(ARGV[10])}
  beyond, over = look(KEYS[4], ARGV[6], tonumber(ARGV[5]), limit, '')
  if not beyond then return redis.call('EXISTS', KEYS[1]) == 1 and -1 or -3 end
end
if not redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2], 'NX') then return -1 end
if not KEYS[4] then return 0 end
enter(KEYS[4], ARGV[6], tonumber(ARGV[7]), over)
return carry_out(KEYS[4], beyond, over, ARGV[4], ARGV[11], ARGV[12], KEYS[2], KEYS[3], ARGV[3])

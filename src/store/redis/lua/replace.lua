-- SPDX-License-Identifier: Apache-2.0
-- Create a session in the place of another, on a server that has all keys.
-- KEYS session, stream, counter, old session, index or '', index of the old session or ''
-- ARGV record, px, stamp, what session keys begin with, now, entry, px of the index, max, max of a class, policy,
--      fence, px of it, what the old session must begin with, its new value, px of that, its id
-- Gives as create.lua; -2 when the old session is not what it was.
if redis.call('GETRANGE', KEYS[4], 0, #ARGV[13] - 1) ~= ARGV[13] then return -2 end
local beyond, over
if KEYS[5] ~= '' then
  local limit = {tonumber(ARGV[8]), tonumber(ARGV[9]), tonumber(ARGV[10])}
  beyond, over = look(KEYS[5], ARGV[6], tonumber(ARGV[5]), limit, ARGV[16])
  if not beyond then return redis.call('EXISTS', KEYS[1]) == 1 and -1 or -3 end
end
if not redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2], 'NX') then return -1 end
redis.call('SET', KEYS[4], ARGV[14], 'PX', ARGV[15])
append(KEYS[2], KEYS[3], ARGV[3], 's', ARGV[16])
if KEYS[6] ~= '' then leave(KEYS[6], ARGV[16]) end
if KEYS[5] == '' then return 0 end
enter(KEYS[5], ARGV[6], tonumber(ARGV[7]), over)
return carry_out(KEYS[5], beyond, over, ARGV[4], ARGV[11], ARGV[12], KEYS[2], KEYS[3], ARGV[3])

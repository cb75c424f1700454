-- SPDX-License-Identifier: Apache-2.0
-- End one session: a step of a cluster.
-- KEYS session
-- ARGV fence, px, 'y' when it was seen to be there, 'n' when not, '' when that does not matter
-- Gives 1 when a session was there, 0 when not; -2 when one is there that was not.
if ARGV[3] == 'n' then
  local first = redis.call('GETRANGE', KEYS[1], 0, 0)
  if first ~= '\0' and redis.call('EXISTS', KEYS[1]) == 1 then return -2 end
end
return put_fence(KEYS[1], ARGV[1], ARGV[2]) and 1 or 0

-- SPDX-License-Identifier: Apache-2.0
-- Move the last-seen time of a session forward. Its place in a record: docs/formats/session-record.md.
-- KEYS session [, index]
-- ARGV first byte of the record, last seen (5 bytes, as in the record), px [, entry]
local head = redis.call('GETRANGE', KEYS[1], 0, 10)
if #head < 11 or head:sub(1, 1) ~= ARGV[1] then return 0 end
if math.floor(head:byte(2) / 8) % 2 == 1 then return 0 end -- ending
if least(head, 7, 5) >= least(ARGV[2], 1, 5) then return 0 end
redis.call('PEXPIRE', KEYS[1], ARGV[3])
redis.call('SETRANGE', KEYS[1], 6, ARGV[2])
if KEYS[2] then see(KEYS[2], ARGV[4]) end
return 1

-- SPDX-License-Identifier: Apache-2.0
-- Put in front of each script. What lies under which key: docs/stores/redis.md.
--
-- Redis refuses a script only at its first write: no room, no primary, too few replicas. So a script does all or
-- nothing as long as its first write is one that can be refused. What must go through in a full store (logging
-- out, revoking) begins with a write that takes no room.

-- A whole number of N bytes at I: most, or least, significant byte first.
local function most(s, i, n)
  local v = 0
  for k = i, i + n - 1 do v = v * 256 + s:byte(k) end
  return v
end

local function least(s, i, n)
  local v = 0
  for k = i + n - 1, i, -1 do v = v * 256 + s:byte(k) end
  return v
end

-- End the session KEY. A fence that is there keeps its reason, and its time if that is the later one; it is
-- written anew all the same, so that there is something for a replica to acknowledge. Gives whether there was a
-- session.
local function put_fence(key, fence, px)
  local was = redis.call('GET', key)
  local is_fence = was and was:byte(1) == 0
  local left = redis.call('PTTL', key)
  redis.call('DEL', key)
  if is_fence and #was >= 9 then
    if least(was, 2, 8) < least(fence, 2, 8) then
      fence = fence:sub(1, 9) .. was:sub(10)
    else
      fence = was
      if left > 0 then px = left end
    end
  end
  redis.call('SET', key, fence, 'PX', px)
  return was and not is_fence
end

-- Append to the stream of events: its number, which is the order of the commits.
local function append(stream, counter, stamp, kind, bytes)
  local seq = redis.call('INCR', counter)
  if seq == 1 then -- or the counter was lost, and the stream was not
    local last = redis.call('XREVRANGE', stream, '+', '-', 'COUNT', 1)[1]
    if last then
      seq = tonumber(last[1]:match('^%d+')) + 1
      redis.call('SET', counter, string.format('%.0f', seq))
    end
  end
  redis.call('XADD', stream, 'MAXLEN', '~', 100000, string.format('%.0f-0', seq), kind, stamp .. bytes)
  return seq
end

-- The index of a user: entries of one score, so ordered by their bytes.
--    1 16  public id of the session
--   17  1  'l' live, 'x' to be ended by a limit
--   18  5  'l': when it is forgotten; 'x': until when its fence stands
--   23  5  'l': its absolute end
--   28  5  'l': last seen
--   33  5  'l': issued
local LIVE, ENDING = 108, 120

local function entry_of(index, id)
  return redis.call('ZRANGEBYLEX', index, '[' .. id, '(' .. id .. '\255', 'LIMIT', 0, 1)[1]
end

local function leave(index, id)
  redis.call('ZREMRANGEBYLEX', index, '[' .. id, '(' .. id .. '\255')
end

local function see(index, entry)
  local was = entry_of(index, entry:sub(1, 16))
  if was and was:byte(17) == LIVE and most(was, 28, 5) < most(entry, 28, 5) then
    redis.call('ZREM', index, was)
    redis.call('ZADD', index, 0, entry)
  end
end

-- The value of a character of base64url.
local function digit(c)
  if c >= 97 then return c - 71 end
  if c == 95 then return 63 end
  if c >= 65 then return c - 65 end
  if c == 45 then return 62 end
  return c + 4
end

-- Is the entry A to be ended before B? The same order as in src/store/rules.c.
local function older(a, b)
  local x, y = most(a, 28, 5), most(b, 28, 5)
  if x == y then x, y = most(a, 33, 5), most(b, 33, 5) end
  for i = 1, 16 do
    if x ~= y then break end
    x, y = digit(a:byte(i)), digit(b:byte(i))
  end
  return x < y
end

-- Add ENTRY and trim the index: all of it when there is a limit, else a few entries from where ENTRY stands (ids
-- are random: each entry's turn comes). Gives the entries that are beyond the limit, and what was trimmed.
-- Entries left over by a limit that was not carried out come with those beyond it.
local function enter(index, entry, now, ttl, max)
  local id, beyond, live, over = entry:sub(1, 16), {}, {}, {}
  local found
  leave(index, id)
  if max > 0 then
    found = redis.call('ZRANGE', index, 0, -1)
  else
    found = redis.call('ZRANGEBYLEX', index, '(' .. id, '+', 'LIMIT', 0, 8)
  end
  for _, e in ipairs(found) do
    if #e == 22 and e:byte(17) == ENDING then
      beyond[#beyond + 1] = e
    elseif #e ~= 37 or most(e, 18, 5) <= now then
      over[#over + 1] = e
    elseif now < most(e, 23, 5) then
      live[#live + 1] = e
    end
  end
  redis.call('ZADD', index, 0, entry)
  for _, e in ipairs(over) do redis.call('ZREM', index, e) end
  if redis.call('PTTL', index) < ttl then redis.call('PEXPIRE', index, ttl) end
  if max > 0 and #live >= max then
    table.sort(live, older)
    for i = 1, #live - max + 1 do beyond[#beyond + 1] = live[i] end
  end
  return beyond, over
end

-- Remove the session that ENTRY says is over, if it is the one that ENTRY was written for. Mostly it is gone by
-- itself; not where the caller's clock was set forward.
local function drop(key, entry)
  local head = #entry == 37 and redis.call('GETRANGE', key, 0, 20) or ''
  if #head == 21 and head:byte(1) ~= 0 and least(head, 7, 5) == most(entry, 28, 5)
    and least(head, 17, 5) == most(entry, 33, 5) then
    redis.call('DEL', key)
  end
end

-- On a server that has all keys: remove and end what `enter` gave. Gives how many sessions were ended.
local function carry_out(index, beyond, over, names, fence, px, stream, counter, stamp)
  local ended = 0
  for _, e in ipairs(over) do drop(names .. e:sub(1, 16), e) end
  for _, e in ipairs(beyond) do
    local id = e:sub(1, 16)
    redis.call('ZREM', index, e)
    if put_fence(names .. id, fence, px) then ended = ended + 1 end
    append(stream, counter, stamp, 's', id)
  end
  return ended
end

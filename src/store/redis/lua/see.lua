-- SPDX-License-Identifier: Apache-2.0
-- The same in the index alone.
-- KEYS index
-- ARGV entry
see(KEYS[1], ARGV[1])
return 1

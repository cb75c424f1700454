-- SPDX-License-Identifier: Apache-2.0
-- Remove a session that an index says is over: a step of a cluster.
-- KEYS session
-- ARGV its entry
drop(KEYS[1], ARGV[1])
return 1

// Every cap of the engine, with its unit and its reason. What an operator may set is bounded here
// too.
#pragma once

#define PE_WORKERS_MAX  32         // workers: rings are one a pair of workers
#define PE_SPACES_MAX   64         // spaces: 8 bits in a cell key, kept small
#define PE_ENTITIES_MAX (1u << 26) // entity slots: 32-bit handles, 164 bytes each
#define PE_BURST_MAX    64         // messages a turn and source
// clients of a ring source: a bit mask of them, and its worker looks at each one's next line in a
// turn
#define PE_RING_CLIENTS_MAX 64
// records worked together: see docs/hot-path rates of 32 and 64
#define PE_BATCH_MAX        64
#define PE_RING_RECORDS_MAX 4096      // records in a worker-to-worker ring: a few ms at full rate
#define PE_TTL_MAX_MS       86400000u // one day: far below half of the 32-bit tick range
#define PE_TTL_DEFAULT_MS   30000u
// how long a gone entity's (incarnation, sequence) is remembered
#define PE_TOMBSTONE_MS            10000u
#define PE_STALE_INTERVALS         3u // announced updates that are missed before an entity is stale
#define PE_DETAILS_BYTES_TOTAL_MAX (1ull << 37)
#define PE_CLOCK_AHEAD_MS          2000u   // event times and incarnations further ahead are refused
#define PE_PRECISION_MAX_M         1000.0f // bounds the walk of a point query
#define PE_QUERY_RESULTS_MAX       4096    // results of one answer, all its parts together
// of results that a worker packs in a turn: one answer of the most there may be, and a part of it
// twice; 0.25 ms, by Zstandard half a millisecond
#define PE_PACK_TURN_BYTES      278528
#define PE_QUERY_NEAREST_MAX    1000    // the nearest that one query may ask for: kept in a heap
#define PE_QUERY_CELLS_MAX      65536   // leaf cells one query may visit
#define PE_QUERY_CANDIDATES_MAX 1048576 // positions one query may test
// spheres and boxes larger than this are refused on a GEODETIC space
#define PE_QUERY_RADIUS_MAX_M 2000000.0
#define PE_TURN_QUERIES       2 // whole queries' worth of walking in one turn: tens of ms at worst
#define PE_STRANGER_CELLS_MAX \
	1024 // of one query that is not trusted: its answer has few results anyway
#define PE_STRANGER_CANDIDATES_MAX 65536
// Predictions: how far ahead of an event time, at most and by default; a day-old course says
// nothing
#define PE_PREDICT_HORIZON_MAX_MS 600000u
#define PE_PREDICT_HORIZON_MS     60000u
#define PE_PREDICT_DISTANCE_MAX_M 10000.0f
// m/s: a walk that looks for what will be somewhere is as much wider as the fastest gets
#define PE_PREDICT_SPEED_MAX_MPS 350.0
// of thresholds under load: beyond it an entity is not where it is said to be
#define PE_COARSE_MAX 16u
#define PE_FENCES_MAX (1u << 24) // standing volumes of one index: 128 bytes each
// cells of one standing volume: its edge is placed on coarser ones rather than on more
#define PE_FENCE_CELLS_MAX           1024
#define PE_FENCE_STACK_MAX           4096 // volumes on one cell: an update may have to test each
#define PE_SUBSCRIPTIONS_DEFAULT     64u
#define PE_SUBSCRIPTIONS_MAX         4096u     // each with a log of its events
#define PE_SUBSCRIPTION_EVENTS_MAX   32768u    // of one log: 80 bytes each
#define PE_SUBSCRIPTION_LEASE_MS     3600000u  // an hour: of who names no lease
#define PE_SUBSCRIPTION_LEASE_MAX_MS 86400000u // a day
#define PE_NOTICE_BATCH_MS           100u    // events of who wants them packed wait so long at most
#define PE_FENCE_MARGIN_MAX_M        50000.0 // so that a cell with its margin is nearly flat
#define PE_FENCE_DWELL_MAX_MS        3600000u // an hour: far below half of the 32-bit tick range
// Who broadcast an entity first is remembered so long after it is gone, by default and at most: it
// keeps its place in the table
#define PE_OWNER_MEMORY_MS     600000u
#define PE_OWNER_MEMORY_MAX_MS 86400000u
// Quarantine: fixes that agree before a jump is believed, by default and at most; suspects of a
// worker, at most
#define PE_PLAUSIBLE_FIXES     2u
#define PE_PLAUSIBLE_FIXES_MAX 16u
#define PE_SUSPECTS_MAX        65536u

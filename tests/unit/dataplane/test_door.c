// The door: whose bucket a message draws from and how much, what is refused in which order, and
// that its count of what came in and what it let through agrees with one kept in floating point.
#include "dataplane/door.h"
#include "tests/testing.h"

#include <string.h>

#include "wire/encode.h"

#define SECOND 1000u

static struct pe_door *door;
static struct pe_message burst[PE_BURST_MAX];
static struct pe_door_refused refused[PE_BURST_MAX];
static unsigned refused_count;
static uint8_t data[PE_BURST_MAX][PE_WIRE_BYTES_MAX];
static unsigned queued;

static void begin(struct pe_door_config config, unsigned workers)
{
	CU_ASSERT_FATAL(pe_door_wanted(&config));
	CU_ASSERT_EQUAL_FATAL(pe_door_create(&config, workers, &door), PE_OK);
	queued = 0;
}

static void end(void)
{
	pe_door_destroy(door);
	door = NULL;
}

static struct pe_peer stranger(uint8_t network, uint8_t host)
{
	return (struct pe_peer){
		.address = {[10] = 0xFF, [11] = 0xFF, 198, 51, network, host}, .port = 4000};
}

static struct pe_peer known(uint32_t principal)
{
	struct pe_peer peer = stranger(1, 1);

	peer.principal = principal;
	return peer;
}

static struct pe_peer trusted(void)
{
	struct pe_peer peer = stranger(1, 1);

	peer.trusted = true;
	return peer;
}

// A message of `count` records of a type; what stands in them matters to no door.
static void queue(struct pe_peer peer, unsigned type, unsigned count, unsigned priority)
{
	uint8_t *to = data[queued];
	uint16_t records = (uint16_t)count;

	memset(to, 0, PE_WIRE_BYTES_MAX);
	to[0] = PE_WIRE_VERSION;
	to[offsetof(struct pe_wire_header, type)] = (uint8_t)type;
	memcpy(to + offsetof(struct pe_wire_header, count), &records, sizeof records);
	for (unsigned i = 0; type == PE_TYPE_SPATIAL_QUERY && i < count; i++)
		to[80 + 128 * i + offsetof(struct pe_wire_query, priority)] =
			(uint8_t)(i + 1 == count ? priority : PE_PRIORITY_LOW);
	burst[queued++] = (struct pe_message){.data = to,
		.bytes = type == PE_TYPE_SPATIAL_QUERY ? 80 + 128 * count : 80 + 24 + 80 * count,
		.peer = peer};
}

// How many of what is queued are let in.
static unsigned admit(unsigned worker, uint64_t mono_ms)
{
	unsigned count = queued, kept;

	kept = pe_door_admit(door, worker, burst, count, mono_ms, refused, &refused_count);
	CU_ASSERT_EQUAL(kept + refused_count, count);
	queued = 0;
	return kept;
}

static unsigned one(struct pe_peer peer, unsigned type, unsigned count, uint64_t mono_ms)
{
	queue(peer, type, count, PE_PRIORITY_NORMAL);
	return admit(0, mono_ms);
}

static void test_networks(void)
{
	uint64_t t = 1000000;

	begin((struct pe_door_config){.source = {.updates = 100, .queries = 100}}, 1);
	// The depth is a second's worth; hosts of a /24 share it, another network has its own.
	for (unsigned i = 0; i < 25; i++)
		CU_ASSERT_EQUAL(one(stranger(1, (uint8_t)i), PE_TYPE_SPATIAL_UPDATE, 4, t), 1);
	CU_ASSERT_EQUAL(one(stranger(1, 99), PE_TYPE_SPATIAL_UPDATE, 1, t), 0);
	CU_ASSERT_EQUAL(refused[0].reason, PE_REASON_rate_source);
	CU_ASSERT_FALSE(refused[0].reply); // nobody waits for a word
	queue(stranger(1, 99), PE_TYPE_SPATIAL_UPDATE, 1, 0);
	data[0][offsetof(struct pe_wire_header, flags)] = PE_FLAG_ACK;
	CU_ASSERT_EQUAL(admit(0, t), 0);
	CU_ASSERT(refused[0].reply);
	CU_ASSERT_EQUAL(one(stranger(2, 99), PE_TYPE_SPATIAL_UPDATE, 1, t), 1);
	// Questions have a bucket of their own.
	CU_ASSERT_EQUAL(one(stranger(1, 99), PE_TYPE_SPATIAL_QUERY, 1, t), 1);
	// Who is trusted, or known, is not the network's.
	CU_ASSERT_EQUAL(one(trusted(), PE_TYPE_SPATIAL_UPDATE, 16, t), 1);
	CU_ASSERT_EQUAL(one(known(5), PE_TYPE_SPATIAL_UPDATE, 16, t), 1);
	// Ten tokens come back in a tenth of a second.
	CU_ASSERT_EQUAL(one(stranger(1, 1), PE_TYPE_SPATIAL_UPDATE, 11, t + 100), 0);
	CU_ASSERT_EQUAL(one(stranger(1, 1), PE_TYPE_SPATIAL_UPDATE, 10, t + 100), 1);
	end();
}

static void test_costs(void)
{
	static const struct {
		unsigned type, count, cost; // cost 0: it passes whatever there is
	} cases[] = {
		{PE_TYPE_SPATIAL_UPDATE, 16, 16},
		{PE_TYPE_DETAILED_UPDATE, 8, 8},
		{PE_TYPE_WITHDRAW, 40, 40},
		{PE_TYPE_SPATIAL_QUERY, 10, 10},
		{PE_TYPE_EXPLAIN, 1, 1},
		{PE_TYPE_REGION_SUBSCRIBE, 5, 1},
		{PE_TYPE_PING, 1, 1},
		{PE_TYPE_STATE_REQUEST, 1, 1},
		// No number of records that a message can have.
		{PE_TYPE_SPATIAL_UPDATE, 0, 1},
		{PE_TYPE_SPATIAL_UPDATE, 65535, 1},
		{PE_TYPE_SPATIAL_RESPONSE, 1, 0},
		{0x00, 1, 0},
		{0x77, 1, 0},
	};

	for (unsigned i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		// 1600 is a multiple of every cost: the first beyond it is refused.
		unsigned most = cases[i].cost ? 1600 / cases[i].cost : 2000, let = 0;
		bool whole = !cases[i].cost || 1600 % cases[i].cost == 0;

		CU_ASSERT(whole);
		begin((struct pe_door_config){.source = {.updates = 1600, .queries = 1600}}, 1);
		for (unsigned n = 0; n < most; n++) {
			queue(stranger(1, 1), cases[i].type,
				cases[i].count > 48 ? 1 : cases[i].count, 0);
			if (cases[i].count > 48)
				memset(data[0] + offsetof(struct pe_wire_header, count), 0xFF, 2);
			let += admit(0, 5000);
		}
		CU_ASSERT_EQUAL(let, most);
		CU_ASSERT_EQUAL(one(stranger(1, 1), cases[i].type, 1, 5000), !cases[i].cost);
		end();
	}
	// What is too short for a header, or of another version, is the engine's to refuse.
	begin((struct pe_door_config){.source = {.updates = 0.01, .queries = 0.01}}, 1);
	for (unsigned i = 0; i < 1000; i++) {
		queue(stranger(1, 1), PE_TYPE_PING, 1, 0);
		burst[0].bytes = i % 80;
		CU_ASSERT_EQUAL(admit(0, 5000), 1);
		queue(stranger(1, 1), PE_TYPE_PING, 1, 0);
		data[0][0] = 2;
		CU_ASSERT_EQUAL(admit(0, 5000), 1);
	}
	end();
}

// A principal has one bucket for all workers and addresses; the total one for all.
static void test_principals_and_total(void)
{
	uint64_t t = 77000;
	unsigned let = 0;

	begin((struct pe_door_config){.principal = {.updates = 1000}, .total = {.updates = 1600}},
		4);
	for (unsigned i = 0; i < 400; i++) {
		struct pe_peer peer = known(7);

		peer.address[15] = (uint8_t)i;
		queue(peer, PE_TYPE_SPATIAL_UPDATE, 4, 0);
		let += admit(i % 4, t);
	}
	CU_ASSERT_EQUAL(let, 250);
	CU_ASSERT_EQUAL(refused[0].reason, PE_REASON_rate_principal);
	CU_ASSERT_EQUAL(one(known(8), PE_TYPE_SPATIAL_UPDATE, 16, t), 1);
	CU_ASSERT_EQUAL(one(known(16384), PE_TYPE_SPATIAL_UPDATE, 16, t), 1);
	// 600 are left of the total, and nobody is beyond it.
	for (let = 0; one(trusted(), PE_TYPE_SPATIAL_UPDATE, 8, t); let++)
		;
	CU_ASSERT_EQUAL(let, (600 - 32) / 8);
	CU_ASSERT_EQUAL(refused[0].reason, PE_REASON_rate_total);
	CU_ASSERT_EQUAL(one(stranger(1, 1), PE_TYPE_SPATIAL_UPDATE, 8, t), 0);
	CU_ASSERT_EQUAL(one(stranger(1, 1), PE_TYPE_SPATIAL_UPDATE, 8, t + 5), 0);
	CU_ASSERT_EQUAL(one(trusted(), PE_TYPE_SPATIAL_UPDATE, 8, t + 5), 1);
	end();
}

// However many strangers there are, half of what all together may send at once is left to the
// others, and all that they need of the rate.
static void test_strangers_come_last(void)
{
	uint64_t t = 50000;
	unsigned let = 0, ours = 0;

	begin(
		(struct pe_door_config){
			.total = {.updates = 1600, .queries = 1600, .bytes_out = 1e6}},
		1);
	for (unsigned i = 0; i < 1000; i++)
		let += one(stranger((uint8_t)i, 1), PE_TYPE_SPATIAL_UPDATE, 8, t);
	CU_ASSERT_EQUAL(let, 100);
	for (unsigned i = 0; i < 200; i++)
		ours += one(i % 2 ? trusted() : known(i + 1), PE_TYPE_SPATIAL_UPDATE, 8, t);
	CU_ASSERT_EQUAL(ours, 100);
	// A second in which both want all of it.
	for (ours = let = 0; t < 51000; t += 5) {
		for (unsigned i = 0; i < 10; i++)
			let += one(stranger((uint8_t)i, 1), PE_TYPE_SPATIAL_UPDATE, 8, t);
		ours += one(trusted(), PE_TYPE_SPATIAL_UPDATE, 8, t);
	}
	CU_ASSERT(ours >= 199 && let == 0);
	while (pe_door_may_send(door, 0, &(struct pe_peer){.port = 1}, t))
		pe_door_sent(door, 0, &(struct pe_peer){.port = 1}, 1000, t);
	CU_ASSERT_EQUAL(one(stranger(1, 1), PE_TYPE_SPATIAL_QUERY, 1, t), 0);
	CU_ASSERT(pe_door_may_send(door, 0, &(struct pe_peer){.trusted = true}, t));
	CU_ASSERT_EQUAL(one(trusted(), PE_TYPE_SPATIAL_QUERY, 1, t), 1);
	end();
}

// Bytes are drawn as they leave: who is in debt asks in vain, who goes on draws to the bound and no
// further.
static void test_bytes_out(void)
{
	struct pe_peer peer = stranger(1, 1), other = stranger(2, 1), friend = trusted();
	uint64_t t = 9000;
	unsigned sent = 0;

	begin((struct pe_door_config){.source = {.bytes_out = 100000}, .total = {.bytes_out = 1e6}},
		1);
	CU_ASSERT_EQUAL(one(peer, PE_TYPE_SPATIAL_QUERY, 1, t), 1);
	while (pe_door_may_send(door, 0, &peer, t) && sent < 10000) {
		pe_door_sent(door, 0, &peer, 1000, t);
		sent++;
		CU_ASSERT_EQUAL(one(peer, PE_TYPE_SPATIAL_QUERY, 1, t), sent < 100);
	}
	CU_ASSERT_EQUAL(sent, 200); // twice the depth
	CU_ASSERT_EQUAL(one(peer, PE_TYPE_SPATIAL_QUERY, 1, t), 0);
	CU_ASSERT_EQUAL(refused[0].reason, PE_REASON_bandwidth);
	CU_ASSERT_FALSE(refused[0].reply);
	// Updates go on, with no word about them; others are not concerned.
	CU_ASSERT_EQUAL(one(peer, PE_TYPE_SPATIAL_UPDATE, 1, t), 1);
	CU_ASSERT_EQUAL(one(other, PE_TYPE_SPATIAL_QUERY, 1, t), 1);
	CU_ASSERT(pe_door_may_send(door, 0, &friend, t));
	// The debt is paid with time.
	CU_ASSERT_EQUAL(one(peer, PE_TYPE_SPATIAL_QUERY, 1, t + 999), 0);
	CU_ASSERT_EQUAL(one(peer, PE_TYPE_SPATIAL_QUERY, 1, t + 1001), 1);
	// The total holds for those who are trusted too.
	t += 60000;
	for (sent = 0; pe_door_may_send(door, 0, &friend, t) && sent < 10000; sent++)
		pe_door_sent(door, 0, &friend, 1000, t);
	CU_ASSERT_EQUAL(sent, 2000);
	CU_ASSERT_FALSE(pe_door_may_send(door, 0, &other, t));
	end();
}

// LOW first, then NORMAL, then HIGH; updates, pings and requests for counters never.
static void test_shedding(void)
{
	static const unsigned rank[PE_PRIORITIES] = {[PE_PRIORITY_LOW] = 0,
		[PE_PRIORITY_NORMAL] = 1,
		[PE_PRIORITY_HIGH] = 2,
		[PE_PRIORITY_CRITICAL] = 3};

	begin((struct pe_door_config){.sheds = true}, 2);
	for (unsigned shed = 0; shed <= PE_DOOR_SHED_MAX; shed++) {
		pe_door_shed(door, 1, shed);
		for (unsigned p = 0; p < PE_PRIORITIES; p++)
			for (unsigned count = 1; count <= 10; count += 9) {
				// The last of the message's questions has the class.
				queue(trusted(), PE_TYPE_SPATIAL_QUERY, count, p);
				CU_ASSERT_EQUAL(admit(1, 100), rank[p] >= shed);
				if (rank[p] < shed)
					CU_ASSERT_EQUAL(refused[0].reason, PE_REASON_shed_query);
				queue(known(3), PE_TYPE_SPATIAL_QUERY, count, p);
				CU_ASSERT_EQUAL(admit(1, 100), rank[p] >= shed);
				queue(stranger(1, 1), PE_TYPE_SPATIAL_QUERY, count, p);
				CU_ASSERT_EQUAL(admit(1, 100), rank[p] >= shed && shed < 2);
				queue(trusted(), PE_TYPE_SPATIAL_QUERY, count, p);
				CU_ASSERT_EQUAL(admit(0, 100), 1); // another worker
			}
		queue(trusted(), PE_TYPE_EXPLAIN, 1, 0);
		CU_ASSERT_EQUAL(admit(1, 100), shed < 2);
		queue(trusted(), PE_TYPE_REGION_SUBSCRIBE, 1, 0);
		CU_ASSERT_EQUAL(admit(1, 100), shed < 2);
		queue(stranger(1, 1), PE_TYPE_SPATIAL_UPDATE, 1, 0);
		queue(stranger(1, 1), PE_TYPE_PING, 1, 0);
		queue(trusted(), PE_TYPE_STATE_REQUEST, 1, 0);
		CU_ASSERT_EQUAL(admit(1, 100), 3);
	}
	end();
}

// Order is kept on both sides of the door, and telling is bounded.
static void test_order(void)
{
	unsigned replies = 0;

	begin((struct pe_door_config){.source = {.queries = 64}}, 1);
	for (unsigned i = 0; i < PE_BURST_MAX; i++) {
		queue(stranger((uint8_t)(i % 2), 1), PE_TYPE_SPATIAL_QUERY, 4, 0);
		burst[i].peer.port = (uint16_t)i;
	}
	CU_ASSERT_EQUAL(admit(0, 1), 32);
	for (unsigned i = 1; i < 32; i++) {
		CU_ASSERT(burst[i].peer.port > burst[i - 1].peer.port);
		CU_ASSERT(refused[i].message.peer.port > refused[i - 1].message.peer.port);
	}
	for (unsigned i = 0; i < 100; i++)
		for (unsigned k = 0; k < 16; k++) {
			CU_ASSERT_EQUAL(one(stranger(1, 1), PE_TYPE_SPATIAL_QUERY, 4, 1), 0);
			replies += refused[0].reply;
		}
	CU_ASSERT_EQUAL(replies, PE_DOOR_REPLIES / 10 - 32);
	end();
}

// Any bytes whatever, from anyone: nothing is read beyond them (they lie on the heap, of exact
// size), all come out on one side.
static void test_junk(void)
{
	uint64_t seed = 0x5EED0D00;
	unsigned let = 0, out = 0;

	begin((struct pe_door_config){.source = {.updates = 500, .queries = 500, .bytes_out = 1e4},
		      .principal = {.updates = 500, .queries = 500, .bytes_out = 1e4},
		      .total = {.updates = 5000, .queries = 5000, .bytes_out = 1e5},
		      .sheds = true},
		2);
	for (uint64_t n = 0; n < testing_amount(20000); n++) {
		unsigned count = 1 + (unsigned)(testing_random(&seed) % PE_BURST_MAX), kept;
		uint8_t *heap[PE_BURST_MAX];

		for (unsigned i = 0; i < count; i++) {
			uint64_t r = testing_random(&seed);
			unsigned bytes = (unsigned)(r % 400);

			heap[i] = malloc(bytes ? bytes : 1);
			for (unsigned b = 0; b < bytes; b++)
				heap[i][b] = (uint8_t)(testing_random(&seed) >> (b % 8));
			if (bytes > 1 && r >> 32 & 1) {
				heap[i][0] = PE_WIRE_VERSION;
				heap[i][1] = (uint8_t)(0x10 + (r >> 33) % 9);
			}
			burst[i] = (struct pe_message){.data = heap[i],
				.bytes = bytes,
				.peer = r >> 40 & 1 ? known(1 + (uint32_t)(r >> 41) % 20000) :
						      stranger((uint8_t)(r >> 48), 1)};
			burst[i].peer.trusted = (r >> 56) % 3 == 0;
		}
		pe_door_shed(door, n % 2, (unsigned)(n / 16 % 4));
		kept = pe_door_admit(
			door, n % 2, burst, count, 1000 + n / 4, refused, &refused_count);
		CU_ASSERT_EQUAL(kept + refused_count, count);
		let += kept;
		out += refused_count;
		for (unsigned i = 0; i < kept; i++)
			pe_door_sent(door, n % 2, &burst[i].peer, burst[i].bytes, 1000 + n / 4);
		for (unsigned i = 0; i < count; i++)
			free(heap[i]);
	}
	CU_ASSERT(let > 0 && out > 0);
	end();
}

// Against buckets in floating point: as many networks as share no set, random times, costs and
// kinds.
static void test_model(void)
{
	uint64_t seed = 0xD00D, t = 1000000;
	double level[8][2], last[8][2];
	unsigned differ = 0, refusals = 0;
	const double rate[2] = {700, 90}, depth[2] = {700, 90};

	begin((struct pe_door_config){.source = {.updates = rate[0], .queries = rate[1]}}, 1);
	for (unsigned i = 0; i < 8; i++)
		for (unsigned k = 0; k < 2; k++) {
			level[i][k] = depth[k];
			last[i][k] = (double)t;
		}
	for (uint64_t n = 0; n < testing_amount(200000); n++) {
		uint64_t r = testing_random(&seed);
		unsigned i = r % 8, k = r >> 8 & 1;
		unsigned cost = 1 + (unsigned)(r >> 16) % (k ? 10 : 16);
		bool expected;

		t += (r >> 32) % 4 == 0 ? (r >> 40) % 8 : 0;
		level[i][k] += ((double)t - last[i][k]) / 1000 * rate[k];
		if (level[i][k] > depth[k])
			level[i][k] = depth[k];
		last[i][k] = (double)t;
		expected = level[i][k] >= cost;
		if (one(stranger((uint8_t)i, (uint8_t)(r >> 24)),
			    k ? PE_TYPE_SPATIAL_QUERY : PE_TYPE_SPATIAL_UPDATE, cost,
			    t) != expected) {
			// A period is a whole number of sixteenths of a nanosecond: they may part
			// at an edge.
			CU_ASSERT(level[i][k] - cost < 1e-3 && level[i][k] - cost > -1e-3);
			expected = !expected;
			differ++;
		}
		refusals += !expected;
		level[i][k] -= expected ? cost : 0;
	}
	CU_ASSERT(differ < 1000 && refusals > 100);
	end();
}

// Ten times of what they may, of 64 networks, for three seconds, their answers sent: whoever is
// known does not notice, and within a second of its end everybody has again what is his.
static void test_after_a_flood(void)
{
	static const struct pe_door_config config = {
		.source = {.updates = 200, .queries = 100, .bytes_out = 40000},
		.total = {.updates = 20000, .queries = 8000, .bytes_out = 2e6}};
	uint64_t t = 1000000, end_ms = t + 3 * SECOND;
	unsigned let = 0, asked = 0, known_let = 0, known_asked = 0;

	begin(config, 1);
	for (; t < end_ms; t++) {
		for (unsigned i = 0; i < 64; i++)
			queue(stranger((uint8_t)i, 1),
				(i + t) & 1 ? PE_TYPE_SPATIAL_QUERY : PE_TYPE_SPATIAL_UPDATE, 1,
				PE_PRIORITY_NORMAL);
		asked += queued;
		let += admit(0, t);
		for (unsigned i = 0; i < 64; i++) {
			struct pe_peer peer = stranger((uint8_t)i, 1);

			if (pe_door_may_send(door, 0, &peer, t))
				pe_door_sent(door, 0, &peer, 200, t);
		}
		known_asked += 2;
		known_let += one(known(5), PE_TYPE_SPATIAL_QUERY, 1, t);
		known_let += one(trusted(), PE_TYPE_SPATIAL_UPDATE, 1, t);
		CU_ASSERT(pe_door_may_send(door, 0, &(struct pe_peer){.trusted = true}, t));
	}
	CU_ASSERT_EQUAL(known_let, known_asked);
	CU_ASSERT(let > 0 && let < asked / 2);
	// Half of the rates that they have, when debts of a second's bytes are paid: all of it.
	let = asked = 0;
	for (t += SECOND + 20; t < end_ms + 3 * SECOND; t += 20) {
		for (unsigned i = 0; i < 64; i += 4) {
			struct pe_peer peer = stranger((uint8_t)i, 1);

			asked += 2;
			let += one(peer, PE_TYPE_SPATIAL_QUERY, 1, t);
			let += one(peer, PE_TYPE_SPATIAL_UPDATE, 2, t);
			CU_ASSERT(pe_door_may_send(door, 0, &peer, t));
			pe_door_sent(door, 0, &peer, 200, t);
		}
	}
	CU_ASSERT_EQUAL(let, asked);
	end();
}

static void test_bad_rates(void)
{
	struct pe_door_config none = {0}, large = {.source = {.updates = 1e11}},
			      small = {.total = {.bytes_out = 1e-4}},
			      bursts = {.source = {.updates = 1e-2}, .burst_s = 1e12};

	CU_ASSERT_FALSE(pe_door_wanted(&none));
	CU_ASSERT_EQUAL(pe_door_create(&large, 1, &door), PE_RANGE);
	CU_ASSERT_EQUAL(pe_door_create(&small, 1, &door), PE_RANGE);
	CU_ASSERT_EQUAL(pe_door_create(&bursts, 1, &door), PE_RANGE);
	CU_ASSERT_PTR_NULL(door);
	pe_door_destroy(NULL);
}

int main(void)
{
	static const struct testing_case cases[] = {
		{"networks", test_networks},
		{"what a message costs", test_costs},
		{"principals and the total", test_principals_and_total},
		{"strangers come last", test_strangers_come_last},
		{"bytes out", test_bytes_out},
		{"shedding", test_shedding},
		{"order and replies", test_order},
		{"junk", test_junk},
		{"buckets in floating point", test_model},
		{"after a flood", test_after_a_flood},
		{"rates that are none", test_bad_rates},
	};

	return testing_main("dataplane-door", cases, sizeof cases / sizeof cases[0]);
}

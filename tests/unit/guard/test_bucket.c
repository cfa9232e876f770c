// Token buckets against a bucket of doubles, and the table of strangers: what it shares, what it
// takes over.
#include "dataplane/guard/bucket.h"
#include "tests/testing.h"

#include <string.h>

static struct pe_rate rate_of(double per_second, double burst)
{
	struct pe_rate rate;

	CU_ASSERT_EQUAL_FATAL(pe_rate_make(per_second, burst, &rate), PE_OK);
	return rate;
}

static void test_burst_and_refill(void)
{
	struct pe_rate rate = rate_of(1000, 10);
	uint64_t bucket = 0, now = 5000000000u;

	for (unsigned i = 0; i < 10; i++)
		CU_ASSERT(pe_bucket_take(&bucket, &rate, now, 1));
	CU_ASSERT_FALSE(pe_bucket_take(&bucket, &rate, now, 1));
	CU_ASSERT_FALSE(pe_bucket_take(&bucket, &rate, now + 999999, 1)); // 1 ns too early
	CU_ASSERT(pe_bucket_take(&bucket, &rate, now + 1000000, 1));
	CU_ASSERT_FALSE(pe_bucket_take(&bucket, &rate, now + 1000000, 1));
	now += 3600000000000u; // an hour fills it once, not more
	CU_ASSERT(pe_bucket_take(&bucket, &rate, now, 10));
	CU_ASSERT_FALSE(pe_bucket_take(&bucket, &rate, now, 1));
	// All or none: a failed take draws nothing.
	now += 5000000;
	CU_ASSERT_FALSE(pe_bucket_take(&bucket, &rate, now, 6));
	CU_ASSERT(pe_bucket_take(&bucket, &rate, now, 5));
	// More than the bucket holds never passes.
	CU_ASSERT_FALSE(pe_bucket_take(&bucket, &rate, now + 3600000000000u, 11));
	// A clock that steps back gives nothing.
	CU_ASSERT_FALSE(pe_bucket_take(&bucket, &rate, now - 4000000, 1));
}

static void test_rates(void)
{
	struct pe_rate rate;
	uint64_t bucket = 0;

	CU_ASSERT_EQUAL(pe_rate_make(0, 0, &rate), PE_OK); // no limit
	for (unsigned i = 0; i < 1000; i++)
		CU_ASSERT(pe_bucket_take(&bucket, &rate, 1, PE_RATE_COST_MAX));
	CU_ASSERT_EQUAL(pe_rate_make(-1, 10, &rate), PE_RANGE);
	CU_ASSERT_EQUAL(pe_rate_make(1e-4, 10, &rate), PE_RANGE);
	CU_ASSERT_EQUAL(pe_rate_make(17e9, 10, &rate), PE_RANGE);
	CU_ASSERT_EQUAL(pe_rate_make(10, 0.5, &rate), PE_RANGE);
	CU_ASSERT_EQUAL(pe_rate_make(1e-3, 1e12, &rate), PE_RANGE); // 30,000 years to fill
	CU_ASSERT_EQUAL(pe_rate_make(__builtin_nan(""), 10, &rate), PE_RANGE);
	CU_ASSERT_EQUAL(pe_rate_make(10, __builtin_nan(""), &rate), PE_RANGE);
	// The highest rate and the lowest do not overflow with the largest cost.
	rate = rate_of(16e9, 65536);
	bucket = 0;
	CU_ASSERT(pe_bucket_take(&bucket, &rate, 1, PE_RATE_COST_MAX));
	CU_ASSERT_FALSE(pe_bucket_take(&bucket, &rate, 1, 1));
	rate = rate_of(1e-3, 1);
	bucket = 0;
	CU_ASSERT(pe_bucket_take(&bucket, &rate, 1, 1));
	CU_ASSERT_FALSE(pe_bucket_take(&bucket, &rate, 1, PE_RATE_COST_MAX));
	CU_ASSERT_FALSE(pe_bucket_take(&bucket, &rate, 999999999999u, 1));
	CU_ASSERT(pe_bucket_take(&bucket, &rate, 1000000000001u, 1));
}

// A bucket as the books have it: tokens that grow with time and are drawn.
static void test_model(void)
{
	uint64_t seed = 0x5EED0002, wrong = 0;

	printf("seed %#llx ", (unsigned long long)seed);
	for (unsigned round = 0; round < 200; round++) {
		// Rates whose period is whole, so that both count alike.
		double per_second = 16e9 / (double)(16 * (1 + testing_random(&seed) % 100000));
		double burst = (double)(1 + testing_random(&seed) % 1000), tokens = burst;
		struct pe_rate rate = rate_of(per_second, burst);
		uint64_t bucket = 0, now = testing_random(&seed) >> 16, last = now;

		for (unsigned i = 0; i < 5000; i++) {
			uint32_t cost = 1 + (uint32_t)(testing_random(&seed) % 8);
			bool want;

			now += testing_random(&seed) % (uint64_t)(4e9 / per_second * 4);
			tokens += (double)(now - last) * per_second / 1e9;
			tokens = tokens > burst ? burst : tokens;
			last = now;
			// Too close to tell with doubles: the integers decide.
			if (__builtin_fabs(tokens - cost) < 1e-6)
				want = pe_bucket_take(&bucket, &rate, now, cost);
			else if ((want = tokens > cost) !=
				pe_bucket_take(&bucket, &rate, now, cost))
				wrong++;
			tokens -= want ? cost : 0;
		}
	}
	CU_ASSERT_EQUAL(wrong, 0);
}

static void v4(uint8_t address[16], unsigned a, unsigned b, unsigned c, unsigned d)
{
	memset(address, 0, 16);
	address[10] = address[11] = 0xFF;
	address[12] = (uint8_t)a;
	address[13] = (uint8_t)b;
	address[14] = (uint8_t)c;
	address[15] = (uint8_t)d;
}

static void test_prefixes(void)
{
	static uint8_t key[64] = {1, 2, 3};
	struct pe_rate rate = rate_of(1, 4);
	struct pe_bucket_table table;
	uint8_t a[16] = {0x20, 0x01, 0x0d, 0xb8, 0, 0, 1}, b[16];

	CU_ASSERT_EQUAL(pe_bucket_table_create(&table, 0, &rate, key), PE_INVALID);
	CU_ASSERT_EQUAL(pe_bucket_table_create(&table, 48, &rate, key), PE_INVALID);
	CU_ASSERT_EQUAL_FATAL(pe_bucket_table_create(&table, 64, &rate, key), PE_OK);
	for (unsigned i = 0; i < 4; i++) { // one /24 shares a bucket
		v4(b, 192, 0, 2, i);
		CU_ASSERT(pe_bucket_table_take(&table, b, 1000, 1));
	}
	v4(b, 192, 0, 2, 200);
	CU_ASSERT_FALSE(pe_bucket_table_take(&table, b, 1000, 1));
	v4(b, 192, 0, 3, 0);
	CU_ASSERT(pe_bucket_table_take(&table, b, 1000, 1));
	for (unsigned i = 0; i < 4; i++) { // and so does one /56
		memcpy(b, a, 16);
		b[7] = (uint8_t)i;
		b[15] = (uint8_t)(i * 7);
		CU_ASSERT(pe_bucket_table_take(&table, b, 1000, 1));
	}
	CU_ASSERT_FALSE(pe_bucket_table_take(&table, a, 1000, 1));
	a[6] = 2;
	CU_ASSERT(pe_bucket_table_take(&table, a, 1000, 1));
	pe_bucket_table_destroy(&table);
}

// Who comes when a set is full takes over the fullest bucket, with what is left in it.
static void test_takes_over(void)
{
	static uint8_t key[64] = {4};
	struct pe_rate rate = rate_of(1, 10);
	struct pe_bucket_table table;
	uint8_t address[16];

	CU_ASSERT_EQUAL_FATAL(pe_bucket_table_create(&table, 1, &rate, key), PE_OK);
	for (unsigned i = 0; i < 4; i++) { // 9, 8, 4 and 6 drawn: 1, 2, 6 and 4 left
		static const uint32_t drawn[4] = {9, 8, 4, 6};

		v4(address, 10, 0, i, 1);
		CU_ASSERT(pe_bucket_table_take(&table, address, 1000, drawn[i]));
	}
	v4(address, 10, 1, 0, 1);
	CU_ASSERT_FALSE(pe_bucket_table_take(&table, address, 1000, 7));
	CU_ASSERT(pe_bucket_table_take(&table, address, 1000, 6)); // the third's
	CU_ASSERT_EQUAL(table.taken_over, 1);
	v4(address, 10, 0, 1, 1);
	// the others' are as they were
	CU_ASSERT_FALSE(pe_bucket_table_take(&table, address, 1000, 3));
	CU_ASSERT(pe_bucket_table_take(&table, address, 1000, 2));
	pe_bucket_table_destroy(&table);
}

// However many addresses a flood invents, it gets no more than the sets hold and refill; and an
// idle table forgets.
static void test_flood(void)
{
	static uint8_t key[64] = {9};
	struct pe_rate rate = rate_of(10, 5);
	struct pe_bucket_table table;
	uint64_t seed = 0x5EED0003, passed = 0, now = 1000000000u;
	const unsigned sets = 16, buckets = sets * PE_BUCKET_WAYS;
	uint8_t address[16];

	CU_ASSERT_EQUAL_FATAL(pe_bucket_table_create(&table, sets, &rate, key), PE_OK);
	for (unsigned i = 0; i < 200000; i++) {
		uint64_t x = testing_random(&seed);

		memcpy(address, &x, 8);
		memset(address + 8, 0, 8);
		address[0] |= 0x20; // never mapped IPv4
		passed += pe_bucket_table_take(&table, address, now, 1);
		now += 10000; // 2 s in all
	}
	CU_ASSERT(passed <= buckets * (5 + 2 * 10 + 1));
	CU_ASSERT(passed >= buckets * 5);
	CU_ASSERT(table.taken_over > 0);
	// After a rest everyone begins anew.
	now += 10000000000u;
	v4(address, 10, 0, 0, 1);
	for (unsigned i = 0; i < 5; i++)
		CU_ASSERT(pe_bucket_table_take(&table, address, now, 1));
	CU_ASSERT_FALSE(pe_bucket_table_take(&table, address, now, 1));
	pe_bucket_table_destroy(&table);
}

TESTING_MAIN("guard-bucket", {"burst and refill", test_burst_and_refill}, {"rates", test_rates},
	{"against a bucket of doubles", test_model}, {"prefixes", test_prefixes},
	{"taking over", test_takes_over}, {"a flood from invented addresses", test_flood})

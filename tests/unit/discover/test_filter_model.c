// Random filters and entities: what the compiled program says is what the tree says, with and
// without context and metadata; and whatever is made of a program or a block by changing and
// cutting bytes, nothing outside is read (the copies have their exact size, so that
// AddressSanitizer sees it).
#include "testing.h"
#include "unit/wire/testing_wire.h"
#include "filter_tree.h"

#include <math.h>

#define FILTERS   20000
#define ENTITIES  10
#define MUTATIONS 1000000

static uint64_t pairs, verdicts[3], yes_count;

static void fail_at(uint64_t seed)
{
	printf("seed of the filter: %" PRIu64 "\n", seed);
	CU_FAIL("a compiled filter and its tree disagree");
}

// A random tree that fits a program.
static uint32_t fitting_tree(struct tree *tree, uint8_t *program, unsigned tests, uint64_t *random)
{
	uint32_t bytes;

	do {
		tree_random(tree, tests, random);
		bytes = tree_write(tree, program);
	} while (!bytes);
	return bytes;
}

static void compare_once(
	const struct tree *tree, const struct pe_filter *filter, uint64_t *random, uint64_t seed)
{
	struct tree_entity entity;
	struct tree_blocks blocks;
	struct pe_facts facts;
	enum pe_filter_verdict hot;
	uint8_t *context, *metadata;
	bool run;

	tree_random_entity(&entity, random);
	tree_facts(&entity, &blocks, &facts);
	facts.context = context = copy_exact(blocks.context, facts.context_bytes);
	facts.metadata = metadata = copy_exact(blocks.metadata, facts.metadata_bytes);
	run = pe_filter_run(filter, &facts);
	facts.context = facts.metadata = NULL; // it must not look
	hot = pe_filter_run_hot(filter, &facts);
	if (run != (tree_evaluate(tree, &entity, true) == PE_FILTER_YES) ||
		hot != tree_evaluate(tree, &entity, false))
		fail_at(seed);
	pairs++;
	verdicts[hot]++;
	yes_count += run;
	free_exact(context);
	free_exact(metadata);
}

static void against_trees(void)
{
	uint64_t filters = testing_amount(FILTERS);

	random_seed();
	for (uint64_t i = 0; i < filters; i++) {
		uint64_t seed = random_u64(), random = seed;
		uint8_t program[PE_FILTER_BYTES_MAX], *copy;
		struct pe_filter_error error;
		struct pe_filter filter;
		struct tree tree;
		uint32_t bytes = fitting_tree(&tree, program, 1 + random_below(12), &random);

		copy = copy_exact(program, bytes);
		CU_ASSERT_EQUAL(pe_filter_compile(&filter, copy, bytes, &error), PE_FILTER_SOUND);
		free_exact(copy);
		for (unsigned j = 0; j < ENTITIES; j++)
			compare_once(&tree, &filter, &random, seed);
	}
	printf("%" PRIu64 " pairs, %" PRIu64 " yes; without context and metadata %" PRIu64
	       " yes, %" PRIu64 " no, %" PRIu64 " open ",
		pairs, yes_count, verdicts[PE_FILTER_YES], verdicts[PE_FILTER_NO],
		verdicts[PE_FILTER_NEEDS_COLD]);
	CU_ASSERT(pairs == filters * ENTITIES);
	// Else the comparison compares little.
	CU_ASSERT(yes_count > pairs / 10 && yes_count < pairs - pairs / 10);
	for (unsigned i = 0; i < 3; i++)
		CU_ASSERT(verdicts[i] > pairs / 20);
}

// Every beginning of a program and of a block is refused, also when it says that this is its
// length.
static void truncated(void)
{
	random_seed();
	for (unsigned i = 0; i < 300; i++) {
		uint64_t random = random_u64();
		struct tree tree;
		struct tree_entity entity;
		struct tree_blocks blocks;
		struct pe_facts facts;
		struct pe_filter_error error;
		uint8_t program[PE_FILTER_BYTES_MAX];
		uint32_t bytes = fitting_tree(&tree, program, 1 + i % 16, &random), at;

		tree_random_entity(&entity, &random);
		tree_facts(&entity, &blocks, &facts);
		for (uint16_t n = 0; n < bytes; n++) {
			uint8_t *cut = copy_exact(program, n);

			CU_ASSERT_NOT_EQUAL(pe_filter_check(cut, n, &error), PE_FILTER_SOUND);
			if (n >= 2) {
				memcpy(cut, &n, sizeof n);
				CU_ASSERT_NOT_EQUAL(
					pe_filter_check(cut, n, &error), PE_FILTER_SOUND);
				CU_ASSERT(error.at <= n);
			}
			free_exact(cut);
		}
		for (uint16_t n = 0; n < facts.metadata_bytes; n++) {
			uint8_t *cut = copy_exact(blocks.metadata, n);

			CU_ASSERT_NOT_EQUAL(pe_metadata_check(cut, n, &at), PE_BLOCK_SOUND);
			if (n >= 2)
				memcpy(cut, &n, sizeof n);
			CU_ASSERT_NOT_EQUAL(pe_metadata_check(cut, n, &at), PE_BLOCK_SOUND);
			CU_ASSERT(at <= n);
			free_exact(cut);
		}
		for (uint16_t n = 0; n < facts.context_bytes; n++) {
			uint8_t *cut = copy_exact(blocks.context, n);

			CU_ASSERT_NOT_EQUAL(pe_context_check(cut, n, &at), PE_BLOCK_SOUND);
			if (n >= 2)
				memcpy(cut, &n, sizeof n);
			CU_ASSERT_NOT_EQUAL(pe_context_check(cut, n, &at), PE_BLOCK_SOUND);
			free_exact(cut);
		}
	}
}

static void mutate(uint8_t *data, uint32_t bytes)
{
	for (unsigned n = 1 + random_below(3); n > 0; n--) {
		uint8_t *at = &data[random_below(3) ? random_below(bytes) :
						      random_below(bytes < 24 ? bytes : 24)];

		*at = random_below(2) ? *at ^ (uint8_t)(1u << random_below(8)) :
					(uint8_t)random_below(40);
	}
}

struct mutated {
	uint64_t programs, contexts, metadata; // that were still sound
};

// A base program and base blocks, changed again and again.
static void mutate_round(unsigned times, struct mutated *sound)
{
	uint64_t random = random_u64();
	struct tree tree;
	struct tree_entity entity;
	struct tree_blocks blocks;
	struct pe_facts facts, theirs;
	struct pe_filter filter, other;
	struct pe_filter_error error;
	uint8_t program[PE_FILTER_BYTES_MAX], target[PE_METADATA_BYTES_MAX];
	uint32_t bytes = fitting_tree(&tree, program, 1 + random_below(14), &random), at;

	tree_random_entity(&entity, &random);
	tree_facts(&entity, &blocks, &facts);
	CU_ASSERT_EQUAL(pe_filter_compile(&filter, program, bytes, &error), PE_FILTER_SOUND);
	for (unsigned i = 0; i < times; i++) {
		uint8_t *p = copy_exact(program, bytes);
		uint8_t *c = copy_exact(blocks.context, facts.context_bytes);
		uint8_t *m = copy_exact(blocks.metadata, facts.metadata_bytes);
		struct pe_filter_cursor cursor = {0};
		struct pe_filter_step step;
		struct pe_context context;
		volatile bool use;

		mutate(p, bytes);
		mutate(c, facts.context_bytes);
		mutate(m, facts.metadata_bytes);
		theirs = facts;
		theirs.context = c;
		theirs.metadata = m;
		// Sound program, blocks of any kind: wrong answers are fine, reads outside are not.
		use = pe_filter_run(&filter, &theirs);
		pe_context_read(c, facts.context_bytes, &context);
		while (pe_filter_next(p, bytes, &cursor, &step))
			CU_ASSERT_FATAL(step.constant_at + step.constant_bytes <= (int)bytes);
		if (pe_filter_compile(&other, p, bytes, &error) == PE_FILTER_SOUND) {
			sound->programs++;
			use = pe_filter_run(&other, &theirs);
			use = pe_filter_run_hot(&other, &theirs) == PE_FILTER_YES;
		} else {
			CU_ASSERT_FATAL(error.at <= bytes);
		}
		(void)use;
		sound->contexts += pe_context_check(c, facts.context_bytes, &at) == PE_BLOCK_SOUND;
		if (pe_metadata_check_change(m, facts.metadata_bytes, &at) == PE_BLOCK_SOUND) {
			sound->metadata++;
			memcpy(target, blocks.metadata, sizeof target);
			if (pe_metadata_apply(target, m, facts.metadata_bytes) == PE_BLOCK_SOUND)
				CU_ASSERT_FATAL(pe_metadata_check(target,
							pe_block_bytes(target, sizeof target),
							&at) == PE_BLOCK_SOUND);
		}
		free_exact(p);
		free_exact(c);
		free_exact(m);
	}
}

static void mutated(void)
{
	uint64_t rounds = testing_amount(MUTATIONS) / 1000;
	struct mutated sound = {0};

	random_seed();
	for (uint64_t i = 0; i < rounds; i++)
		mutate_round(1000, &sound);
	printf("%" PRIu64 " mutations; sound afterwards: %" PRIu64 " programs, %" PRIu64
	       " contexts, %" PRIu64 " metadata ",
		rounds * 1000, sound.programs, sound.contexts, sound.metadata);
	CU_ASSERT(sound.programs && sound.contexts && sound.metadata);
}

TESTING_MAIN("discover-filter-model", {"against trees", against_trees},
	{"truncations are refused", truncated}, {"mutations are harmless", mutated})

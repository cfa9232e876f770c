#include "filter_tree.h"

#include "testing.h"
#include "wire/half.h"

#include <assert.h>
#include <math.h>
#include <string.h>

// Small pools, so that what is asked for is often there.
static const char *const names[] = {"a", "ab", "draught", "größe", "n-1", "x.y", "two words", "\"",
	"abcdefghijklmnopqrstuvwxyz012345"};
static const char *const tags[] = {
	"ferry", "tug", "ice", "Fähre", "a", "abcdefghijklmnopqrstuvwxyz012345"};
static const char *const texts[] = {"", "a", "b", "ab", "ü", "\n\\\"\x01\x7F", "ferry"};
static const int64_t wholes[] = {0, 1, -1, 2, 7, 1ll << 53, (1ll << 53) + 1, INT64_MAX,
	INT64_MAX - 1, INT64_MIN, -(1ll << 53) - 1};
static const double reals[] = {0.0, -0.0, 0.5, 1.0, -1.0, 2.5, 7.0, 0x1p53, 0x1p63, -0x1p63,
	0x1p62 * 1.5, 1e300, -1e300, 5e-324, 0.1};

static const uint8_t leaves[] = {PE_FILTER_TYPE, PE_FILTER_STATE, PE_FILTER_CUSTOM_TYPE,
	PE_FILTER_CUSTOM_STATE, PE_FILTER_ID, PE_FILTER_POSITION_CONFIDENCE,
	PE_FILTER_STATUS_CONFIDENCE, PE_FILTER_AGE, PE_FILTER_RADIUS, PE_FILTER_SPEED,
	PE_FILTER_STALE, PE_FILTER_TAG, PE_FILTER_ACTIVITY, PE_FILTER_META, PE_FILTER_META,
	PE_FILTER_META, PE_FILTER_META_IN, PE_FILTER_META_EXISTS};

#define COUNT(a)          (sizeof(a) / sizeof(a)[0])
#define PICK(pool, state) ((pool)[below(COUNT(pool), state)])

static unsigned below(unsigned n, uint64_t *random)
{
	return (unsigned)(testing_random(random) % n);
}

void tree_random_value(struct tree_value *v, uint64_t *random)
{
	*v = (struct tree_value){.type = (uint8_t)below(PE_VALUE_TYPES, random)};
	v->truth = below(2, random);
	v->whole = below(8, random) ? PICK(wholes, random) : (int64_t)testing_random(random);
	v->real = below(8, random) ? PICK(reals, random) : (double)below(1000000, random) / 997.0;
	if (v->type == PE_VALUE_TEXT) {
		const char *text = PICK(texts, random);

		v->bytes = (uint8_t)strlen(text);
		memcpy(v->data, text, v->bytes);
	} else if (v->type == PE_VALUE_BYTES) {
		v->bytes = (uint8_t)below(4, random);
		for (unsigned i = 0; i < v->bytes; i++)
			v->data[i] = (uint8_t)(below(3, random) * 127);
	}
}

// Few ids, in ascending order by their number.
static void make_id(uint8_t id[16], unsigned number)
{
	memset(id, 0x5A, 16);
	id[7] = (uint8_t)(number / 4);
	id[15] = (uint8_t)(1 + number % 4);
}

static void random_leaf(struct tree_node *n, uint64_t *random)
{
	unsigned first;

	n->op = PICK(leaves, random);
	n->argument = (uint8_t)(1 + below(6, random));
	switch (n->op) {
	case PE_FILTER_TYPE:
	case PE_FILTER_STATE:
		n->argument = 0;
		n->operand = (uint16_t)(1 + below(31, random));
		break;
	case PE_FILTER_STALE:
		n->argument = 0;
		break;
	case PE_FILTER_CUSTOM_TYPE:
	case PE_FILTER_CUSTOM_STATE:
		n->operand = (uint16_t)below(3, random);
		break;
	case PE_FILTER_ID:
		n->argument = (uint8_t)(1 + below(3, random));
		first = below(5, random);
		for (unsigned i = 0; i < n->argument; i++)
			make_id(n->ids[i], first + 2 * i);
		break;
	case PE_FILTER_POSITION_CONFIDENCE:
	case PE_FILTER_STATUS_CONFIDENCE:
		n->operand = (uint16_t)(below(3, random) ? 1 + below(4, random) :
							   1 + below(255, random));
		break;
	case PE_FILTER_AGE:
		n->whole = below(4, random) ? (int64_t)below(5, random) * 15000 - 15000 :
					      (int64_t)testing_random(random);
		break;
	case PE_FILTER_RADIUS:
		n->number = below(4, random) ? below(4, random) * 50.0 : (double)INFINITY;
		break;
	case PE_FILTER_SPEED:
		n->number = below(4, random) ? below(3, random) * 5.0 :
					       (double)below(1000, random) / 37;
		break;
	case PE_FILTER_TAG:
	case PE_FILTER_ACTIVITY:
		n->argument = 0;
		strcpy(n->name, PICK(tags, random));
		break;
	default:
		strcpy(n->name, PICK(names, random));
		if (n->op == PE_FILTER_META_EXISTS) {
			n->argument = 0;
			break;
		}
		if (n->op == PE_FILTER_META_IN)
			n->argument = (uint8_t)(1 + below(4, random));
		n->value_count = n->op == PE_FILTER_META_IN ? n->argument : 1;
		for (unsigned i = 0; i < n->value_count; i++)
			tree_random_value(&n->values[i], random);
		if (n->op == PE_FILTER_META && n->values[0].type <= PE_VALUE_BOOL)
			n->argument = (uint8_t)(1 + below(2, random));
	}
}

static uint8_t random_part(struct tree *tree, unsigned tests, uint64_t *random)
{
	uint8_t index = (uint8_t)tree->count++;
	struct tree_node *n = &tree->nodes[index];

	memset(n, 0, sizeof *n);
	if (below(5, random) == 0 && tree->nots < TREE_NOTS_MAX) {
		tree->nots++;
		n->op = PE_FILTER_NOT;
		n->left = random_part(tree, tests, random);
	} else if (tests == 1) {
		random_leaf(n, random);
	} else {
		unsigned left_tests = 1 + below(tests - 1, random);

		n->op = below(2, random) ? PE_FILTER_AND : PE_FILTER_OR;
		n->left = random_part(tree, left_tests, random);
		n->right = random_part(tree, tests - left_tests, random);
	}
	return index;
}

void tree_random(struct tree *tree, unsigned tests, uint64_t *random)
{
	assert(2 * tests - 1 + TREE_NOTS_MAX <= TREE_NODES_MAX);
	tree->count = tree->nots = 0;
	tree->root = random_part(tree, tests, random);
}

struct pe_value tree_value_of(const struct tree_value *v)
{
	struct pe_value value = {.type = v->type, .bytes = v->bytes, .data = v->data};

	if (v->type == PE_VALUE_BOOL)
		value.truth = v->truth;
	else if (v->type == PE_VALUE_I64)
		value.whole = v->whole;
	else if (v->type == PE_VALUE_F64)
		value.real = v->real;
	return value;
}

static void write_part(const struct tree *tree, unsigned index, struct pe_filter_writer *w)
{
	const struct tree_node *n = &tree->nodes[index];
	struct pe_value values[4];

	switch (n->op) {
	case PE_FILTER_AND:
	case PE_FILTER_OR:
		write_part(tree, n->left, w);
		write_part(tree, n->right, w);
		pe_filter_put(w, (enum pe_filter_op)n->op, 0, 0);
		return;
	case PE_FILTER_NOT:
		write_part(tree, n->left, w);
		pe_filter_put(w, PE_FILTER_NOT, 0, 0);
		return;
	case PE_FILTER_ID:
		pe_filter_put_constant(w, PE_FILTER_ID, n->argument, n->ids, 16u * n->argument);
		return;
	case PE_FILTER_AGE:
		pe_filter_put_constant(w, PE_FILTER_AGE, n->argument, &n->whole, 8);
		return;
	case PE_FILTER_RADIUS:
	case PE_FILTER_SPEED:
		pe_filter_put_constant(w, (enum pe_filter_op)n->op, n->argument, &n->number, 8);
		return;
	case PE_FILTER_TAG:
	case PE_FILTER_ACTIVITY:
	case PE_FILTER_META_EXISTS:
		pe_filter_put_text(w, (enum pe_filter_op)n->op, (const uint8_t *)n->name,
			(uint32_t)strlen(n->name));
		return;
	case PE_FILTER_META:
	case PE_FILTER_META_IN:
		for (unsigned i = 0; i < n->value_count; i++)
			values[i] = tree_value_of(&n->values[i]);
		pe_filter_put_values(w, (enum pe_filter_op)n->op, n->argument,
			(const uint8_t *)n->name, (uint32_t)strlen(n->name), values,
			n->value_count);
		return;
	default:
		pe_filter_put(w, (enum pe_filter_op)n->op, n->argument, n->operand);
	}
}

uint32_t tree_write(const struct tree *tree, uint8_t *program)
{
	struct pe_filter_writer w;
	struct pe_filter_error error;

	pe_filter_begin(&w);
	write_part(tree, tree->root, &w);
	return pe_filter_finish(&w, program, &error);
}

void tree_random_entity(struct tree_entity *e, uint64_t *random)
{
	static const uint8_t types[] = {0, 1, 2, 3, 128, 129, 255};
	static const float radii[] = {0, 50, 100, 49.5f, 3e38f};
	static const float speeds[] = {0, 3, 4, -5, 0.5f};
	unsigned first;

	memset(e, 0, sizeof *e);
	make_id(e->id, below(9, random));
	e->id_told = below(8, random) != 0;
	e->age_ms = (int64_t)below(5, random) * 15000 - 15000;
	e->radius_m = PICK(radii, random);
	for (unsigned i = 0; i < 3; i++)
		e->velocity[i] = PICK(speeds, random);
	e->type = PICK(types, random);
	e->state = (uint8_t)below(5, random);
	e->custom_state = e->state == PE_STATE_CUSTOM ? (uint8_t)below(3, random) : 0;
	e->position_confidence = (uint8_t)below(5, random);
	e->status_confidence = (uint8_t)(below(2, random) ? below(5, random) : below(256, random));
	e->stale = below(2, random);
	if (below(3, random))
		strcpy(e->activity, PICK(tags, random));
	for (unsigned i = 0; i < COUNT(tags); i++)
		if (below(3, random) == 0)
			strcpy(e->tags[e->tag_count++], tags[i]);
	first = below(COUNT(names), random);
	for (unsigned i = 0; i < COUNT(names); i++)
		if (below(2, random)) {
			strcpy(e->names[e->value_count], names[(first + i) % COUNT(names)]);
			tree_random_value(&e->values[e->value_count++], random);
		}
}

void tree_facts(const struct tree_entity *e, struct tree_blocks *blocks, struct pe_facts *facts)
{
	struct pe_context context = {.tag_count = (uint8_t)e->tag_count};
	bool done = true;

	context.activity =
		(struct pe_name){(const uint8_t *)e->activity, (uint8_t)strlen(e->activity)};
	for (unsigned i = 0; i < e->tag_count; i++)
		context.tags[i] =
			(struct pe_name){(const uint8_t *)e->tags[i], (uint8_t)strlen(e->tags[i])};
	done &= pe_context_write(blocks->context, &context) == PE_BLOCK_SOUND;
	pe_metadata_begin(blocks->metadata);
	for (unsigned i = 0; i < e->value_count; i++) {
		struct pe_entry entry = {.name = (const uint8_t *)e->names[i],
			.name_bytes = (uint8_t)strlen(e->names[i]),
			.value = tree_value_of(&e->values[i])};

		done &= pe_metadata_set(blocks->metadata, &entry) == PE_BLOCK_SOUND;
	}
	if (!done)
		abort();
	*facts = (struct pe_facts){.id = e->id_told ? e->id : NULL,
		.age_ms = e->age_ms,
		.radius_m = e->radius_m,
		.entity_type = e->type,
		.state = e->state,
		.custom_state = e->custom_state,
		.position_confidence = e->position_confidence,
		.status_confidence = e->status_confidence,
		.stale = e->stale,
		.context = blocks->context,
		.context_bytes = pe_block_bytes(blocks->context, sizeof blocks->context),
		.metadata = blocks->metadata,
		.metadata_bytes = pe_block_bytes(blocks->metadata, sizeof blocks->metadata)};
	for (unsigned i = 0; i < 3; i++)
		facts->velocity[i] = pe_half_from_float(e->velocity[i]);
}

// ---- the slow evaluator -------------------------------------------------------------------------

static bool numbers(unsigned compare, long double a, long double b)
{
	switch (compare) {
	case PE_FILTER_EQUAL:
		return a == b;
	case PE_FILTER_NOT_EQUAL:
		return a != b;
	case PE_FILTER_LESS:
		return a < b;
	case PE_FILTER_LESS_EQUAL:
		return a <= b;
	case PE_FILTER_GREATER:
		return a > b;
	default:
		return a >= b;
	}
}

static bool is_number(const struct tree_value *v)
{
	return v->type == PE_VALUE_I64 || v->type == PE_VALUE_F64;
}

// A long double of 64 bits of mantissa holds every i64 and every f64.
static long double number_of(const struct tree_value *v)
{
	return v->type == PE_VALUE_I64 ? (long double)v->whole : (long double)v->real;
}

static bool values_compare(unsigned compare, const struct tree_value *a, const struct tree_value *b)
{
	unsigned i = 0;

	if (is_number(a) && is_number(b))
		return numbers(compare, number_of(a), number_of(b));
	if (a->type != b->type)
		return compare == PE_FILTER_NOT_EQUAL;
	if (a->type == PE_VALUE_NULL)
		return compare == PE_FILTER_EQUAL;
	if (a->type == PE_VALUE_BOOL)
		return (a->truth == b->truth) == (compare == PE_FILTER_EQUAL);
	while (i < a->bytes && i < b->bytes && a->data[i] == b->data[i])
		i++;
	if (i < a->bytes && i < b->bytes)
		return numbers(compare, a->data[i], b->data[i]);
	return numbers(compare, a->bytes, b->bytes);
}

static bool evaluate_cold(const struct tree_node *n, const struct tree_entity *e)
{
	bool found = false;

	if (n->op == PE_FILTER_ACTIVITY)
		return strcmp(e->activity, n->name) == 0;
	if (n->op == PE_FILTER_TAG) {
		for (unsigned i = 0; i < e->tag_count; i++)
			found |= strcmp(e->tags[i], n->name) == 0;
		return found;
	}
	for (unsigned i = 0; i < e->value_count; i++) {
		if (strcmp(e->names[i], n->name) != 0)
			continue;
		if (n->op == PE_FILTER_META_EXISTS)
			return true;
		if (n->op == PE_FILTER_META)
			return values_compare(n->argument, &e->values[i], &n->values[0]);
		for (unsigned j = 0; j < n->value_count; j++)
			found |= values_compare(PE_FILTER_EQUAL, &e->values[i], &n->values[j]);
	}
	return found;
}

static bool evaluate_hot(const struct tree_node *n, const struct tree_entity *e)
{
	const float *v = e->velocity;
	bool found = false;

	switch (n->op) {
	case PE_FILTER_TYPE:
		return n->operand & (e->type >= 128 ? 16 : 1 << e->type);
	case PE_FILTER_STATE:
		return n->operand & 1 << e->state;
	case PE_FILTER_CUSTOM_TYPE:
		return e->type >= 128 && numbers(n->argument, e->type - 128, n->operand);
	case PE_FILTER_CUSTOM_STATE:
		return e->state == 4 && numbers(n->argument, e->custom_state, n->operand);
	case PE_FILTER_ID:
		for (unsigned i = 0; i < n->argument; i++)
			found |= e->id_told && memcmp(n->ids[i], e->id, 16) == 0;
		return found;
	case PE_FILTER_POSITION_CONFIDENCE:
		return e->position_confidence != 0 &&
			numbers(n->argument, e->position_confidence, n->operand);
	case PE_FILTER_STATUS_CONFIDENCE:
		return e->status_confidence != 0 &&
			numbers(n->argument, e->status_confidence, n->operand);
	case PE_FILTER_STALE:
		return e->stale;
	case PE_FILTER_AGE:
		return numbers(n->argument, e->age_ms, n->whole);
	case PE_FILTER_RADIUS:
		return numbers(n->argument,
			e->radius_m != 0 ? (long double)e->radius_m : (long double)INFINITY,
			(long double)n->number);
	default:
		return numbers(n->argument,
			(long double)sqrt((double)(v[0] * v[0] + v[1] * v[1] + v[2] * v[2])),
			(long double)n->number);
	}
}

static enum pe_filter_verdict evaluate(
	const struct tree *tree, unsigned index, const struct tree_entity *e, bool cold_known)
{
	const struct tree_node *n = &tree->nodes[index];
	enum pe_filter_verdict a, b, decides;

	if (n->op == PE_FILTER_NOT) {
		a = evaluate(tree, n->left, e, cold_known);
		return a == PE_FILTER_NEEDS_COLD ? a :
			a == PE_FILTER_YES       ? PE_FILTER_NO :
						   PE_FILTER_YES;
	}
	if (n->op == PE_FILTER_AND || n->op == PE_FILTER_OR) {
		decides = n->op == PE_FILTER_AND ? PE_FILTER_NO : PE_FILTER_YES;
		a = evaluate(tree, n->left, e, cold_known);
		b = evaluate(tree, n->right, e, cold_known);
		if (a == decides || b == decides)
			return decides;
		return a == PE_FILTER_NEEDS_COLD ? a : b;
	}
	if (n->op < PE_FILTER_TAG)
		return evaluate_hot(n, e) ? PE_FILTER_YES : PE_FILTER_NO;
	if (!cold_known)
		return PE_FILTER_NEEDS_COLD;
	return evaluate_cold(n, e) ? PE_FILTER_YES : PE_FILTER_NO;
}

enum pe_filter_verdict tree_evaluate(
	const struct tree *tree, const struct tree_entity *entity, bool cold_known)
{
	return evaluate(tree, tree->root, entity, cold_known);
}

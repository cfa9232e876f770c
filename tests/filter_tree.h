// Random filters as trees and random entities, for the tests of filters: a tree is written as a
// program, and evaluated here slowly and by other means (on the tree, with values that never were
// in a block). Not for the engine.
#pragma once

#include "discover/filter_run.h"
#include "wire/metadata.h"

#define TREE_NODES_MAX 64
#define TREE_NOTS_MAX  16

struct tree_value {
	uint8_t type; // enum pe_value_type
	bool truth;
	int64_t whole;
	double real;
	uint8_t bytes; // of data
	uint8_t data[24];
};

struct tree_node {
	uint8_t op, argument;
	uint16_t operand;
	uint8_t left, right; // nodes; NOT has left only
	uint8_t value_count;
	char name[33]; // tag, activity, name of a value
	double number;
	int64_t whole;
	uint8_t ids[3][16];
	struct tree_value values[4];
};

struct tree {
	unsigned count;
	unsigned nots;
	uint8_t root;
	struct tree_node nodes[TREE_NODES_MAX];
};

struct tree_entity {
	uint8_t id[16];
	bool id_told;
	int64_t age_ms;
	float radius_m;
	float velocity[3]; // that a half can say
	uint8_t type, state, custom_state, position_confidence, status_confidence;
	bool stale;
	unsigned tag_count, value_count;
	char tags[PE_CONTEXT_TAGS_MAX][33];
	char activity[33]; // "" = none
	char names[PE_METADATA_NAMES_MAX][33];
	struct tree_value values[PE_METADATA_NAMES_MAX];
};

// An entity's blocks.
struct tree_blocks {
	uint8_t context[PE_CONTEXT_BYTES_MAX], metadata[PE_METADATA_BYTES_MAX];
};

// A tree of at most `tests` tests; the state is the generator's.
void tree_random(struct tree *tree, unsigned tests, uint64_t *random);
void tree_random_value(struct tree_value *value, uint64_t *random);
void tree_random_entity(struct tree_entity *entity, uint64_t *random);

// The program of a tree, into room for PE_FILTER_BYTES_MAX; 0 = it is too large or too deep for
// one.
uint32_t tree_write(const struct tree *tree, uint8_t *program);

struct pe_value tree_value_of(const struct tree_value *value);

// Builds the blocks and the facts that point into them.
void tree_facts(
	const struct tree_entity *entity, struct tree_blocks *blocks, struct pe_facts *facts);

// cold_known: context and metadata may be looked at.
enum pe_filter_verdict tree_evaluate(
	const struct tree *tree, const struct tree_entity *entity, bool cold_known);

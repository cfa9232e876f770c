// The bill: what an engine's memory comes to, and what of it each pool takes. At start, and for
// whoever asks how full the heaps are.
#include "internal.h"
#include "watch.h"

#include <inttypes.h>

uint64_t pe_engine_memory_bytes(const struct pe_engine *engine)
{
	uint64_t bytes = engine->table.record_memory.mapped_bytes +
		engine->table.index_memory.mapped_bytes + pe_grid_plan(engine->grid).total_bytes +
		engine->table.details.entry_memory.mapped_bytes +
		engine->table.details.unit_memory.mapped_bytes +
		engine->places.memory.mapped_bytes + engine->ring_memory.mapped_bytes +
		engine->owners.memory.mapped_bytes + engine->other_bytes +
		pe_watch_memory_bytes(engine);

	for (unsigned i = 0; i < engine->config.worker_count; i++)
		bytes += engine->workers[i]->pending_memory.mapped_bytes +
			engine->workers[i]->held_memory.mapped_bytes +
			engine->workers[i]->parcels.memory.mapped_bytes +
			engine->workers[i]->frames.memory.mapped_bytes +
			engine->workers[i]->suspects.memory.mapped_bytes +
			engine->workers[i]->query.memory.mapped_bytes +
			engine->workers[i]->outbox_memory.mapped_bytes +
			engine->workers[i]->packing_memory.mapped_bytes;
	return bytes;
}

static void print_pool(FILE *out, const char *name, uint64_t count, const char *what,
	uint64_t bytes, const char *pages)
{
	fprintf(out, "  %-16s %12" PRIu64 " %-10s %10.1f MiB  %s\n", name, count, what,
		(double)bytes / (1 << 20), pages);
}

void pe_engine_print_plan(const struct pe_engine *engine, FILE *out)
{
	const struct pe_engine_config *c = &engine->config;
	const struct pe_table *t = &engine->table;
	struct pe_grid_plan g = pe_grid_plan(engine->grid);
	uint64_t pending = 0, held = 0, held_states = 0, suspects = 0,
		 workers = engine->other_bytes, total = pe_engine_memory_bytes(engine);

	for (unsigned i = 0; i < c->worker_count; i++) {
		pending += engine->workers[i]->pending_memory.mapped_bytes;
		held += engine->workers[i]->held_memory.mapped_bytes;
		held_states += engine->workers[i]->held.count_max;
		suspects += engine->workers[i]->suspects.memory.mapped_bytes;
		workers += engine->workers[i]->query.memory.mapped_bytes +
			engine->workers[i]->parcels.memory.mapped_bytes +
			engine->workers[i]->frames.memory.mapped_bytes +
			engine->workers[i]->outbox_memory.mapped_bytes +
			engine->workers[i]->packing_memory.mapped_bytes;
	}
	fprintf(out, "memory plan (taken at start, never grows):\n");
	print_pool(out, "records", c->entity_count_max, "entities", t->record_memory.mapped_bytes,
		pe_memory_kind_name(t->record_memory.kind));
	print_pool(out, "index", t->index.partition_buckets * (uint64_t)t->index.partition_count,
		"buckets", t->index_memory.mapped_bytes, pe_memory_kind_name(t->index_memory.kind));
	print_pool(out, "leaves", g.leaves, "cells", g.leaf_bytes, "");
	print_pool(out, "nodes", g.nodes, "nodes", g.node_bytes, "");
	print_pool(out, "chunks", g.chunks, "of 32", g.chunk_bytes, "");
	print_pool(out, "deferred", g.crossings, "crossings", g.deferred_bytes, "");
	print_pool(out, "grid, the rest", 0, "",
		g.total_bytes - g.leaf_bytes - g.node_bytes - g.chunk_bytes - g.deferred_bytes, "");
	print_pool(out, "pending", c->pending_count_max, "states", pending, "");
	if (held)
		print_pool(out, "held back", held_states, "states", held, "");
	if (c->details_bytes) {
		print_pool(out, "details", t->details.unit_count * (uint64_t)c->worker_count,
			"of 64", t->details.unit_memory.mapped_bytes, "");
		print_pool(out, "", c->entity_count_max, "entries",
			t->details.entry_memory.mapped_bytes, "");
	}
	if (engine->owners.of)
		print_pool(out, "owners", c->entity_count_max, "entities",
			engine->owners.memory.mapped_bytes, "");
	if (suspects)
		print_pool(out, "quarantine", suspects / sizeof(struct pe_suspect), "suspects",
			suspects, "");
	print_pool(out, "rings", (uint64_t)c->worker_count * (c->worker_count - 1), "rings",
		engine->ring_memory.mapped_bytes, "");
	if (engine->watch)
		print_pool(out, "standing queries", c->fence_count_max, "fences",
			pe_watch_memory_bytes(engine), "");
	print_pool(out, "workers", c->worker_count, "workers", workers, "");
	fprintf(out, "  %-16s %12s %-10s %10.1f MiB  %.0f bytes an entity\n", "in all", "", "",
		(double)total / (1 << 20),
		(double)(total - t->details.unit_memory.mapped_bytes) / c->entity_count_max);
	if (engine->watch)
		fprintf(out,
			"  %-16s %12s %-10s %10.1f MiB  shapes and logs, taken when they are asked for\n",
			"at most besides", "", "",
			(double)pe_watch_memory_more(engine) / (1 << 20));
}

struct pe_heap_use pe_engine_heap_use(const struct pe_engine *engine)
{
	struct pe_heap_use all = {0};

	for (unsigned i = 0; engine->watch && i < engine->config.worker_count; i++) {
		struct pe_heap_use one = pe_heap_read(engine->workers[i]->watch->heap);

		all.taken_bytes += one.taken_bytes;
		all.bytes_max = one.bytes_max; // what all of them may hold together
		all.active_bytes += one.active_bytes;
		all.mapped_bytes += one.mapped_bytes;
	}
	return all;
}

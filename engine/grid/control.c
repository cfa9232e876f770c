// The control thread's part: looks at leaves, nodes and chunks that were left empty, closes them by
// compare-and-swap from no claims, waits a grace period (nobody is still making something of what
// it found missing), takes what nobody has opened again meanwhile, clears the parent's bit and then
// takes the object out of its table, waits another (nobody reads it), and frees it. A chunk is
// taken out of its leaf's chain as soon as it is closed.
#include "grid/grid_internal.h"

#define IDLE_SCANS  2
#define SCAN_SLICE  8192 // objects looked at in one step: well below a millisecond
#define SWEEP_SLICE 64   // … beside notes

static void push_slots(
	struct pe_pending_list *list, enum pe_kind kind, uint32_t index, uint32_t slots)
{
	assert(list->count < PE_PENDING_MAX);
	list->entry[(list->head + list->count++) % PE_PENDING_MAX] = (struct pe_pending){
		.stamp = (uint32_t)pe_rcu_stamp(), .kind = kind, .index = index, .slots = slots};
}

static void push(struct pe_pending_list *list, enum pe_kind kind, uint32_t index)
{
	push_slots(list, kind, index, 0);
}

static bool pop_passed(struct pe_pending_list *list, struct pe_pending *pending)
{
	if (list->count == 0 || !pe_defer_passed(list->entry[list->head].stamp))
		return false;
	*pending = list->entry[list->head];
	list->head = (list->head + 1) % PE_PENDING_MAX;
	list->count--;
	return true;
}

// LEAF: acquire and release: no claim is left and none can come.
static bool close_word(_Atomic uint32_t *word, uint32_t closed)
{
	uint32_t none = 0;

	return atomic_load_explicit(word, memory_order_relaxed) == 0 &&
		atomic_compare_exchange_strong_explicit(
			word, &none, closed, memory_order_acq_rel, memory_order_relaxed);
}

// A node is closed only when several scans in a row found it empty: what comes back soon finds its
// path.
static void close_node(struct pe_grid *grid, uint32_t index)
{
	struct pe_control *c = &grid->control;
	struct pe_node *node = &grid->nodes[index];
	unsigned idle;

	if (atomic_load_explicit(&node->entry.claim, memory_order_relaxed) != 0) {
		if (!(atomic_load_explicit(&node->entry.claim, memory_order_relaxed) & PE_CLOSED))
			atomic_store_explicit(&node->idle, 0, memory_order_relaxed);
		return;
	}
	c->again = true;
	idle = atomic_load_explicit(&node->idle, memory_order_relaxed) + 1;
	atomic_store_explicit(&node->idle, (uint16_t)idle, memory_order_relaxed);
	if (idle > IDLE_SCANS && !node->queued && close_word(&node->entry.claim, PE_CLOSED)) {
		node->queued = 1;
		push(&c->closed, PE_KIND_NODE, index);
	}
}

// Not while it is queued: it was opened again, and is looked at when its turn comes.
static void close_leaf(struct pe_grid *grid, uint32_t index)
{
	struct pe_leaf *leaf = &grid->leaves[index];

	if (!leaf->queued && close_word(&leaf->entry.claim, PE_CLOSED)) {
		leaf->queued = 1;
		push(&grid->control.closed, PE_KIND_LEAF, index);
	}
}

// Two empty chunks may be neighbours, but only this thread takes any out. An empty leaf goes as a
// whole, and its last chunk stays as long as it does.
static void close_chunk(struct pe_grid *grid, uint32_t ref)
{
	uint32_t next, head;
	struct pe_chunk *chunk = pe_chunk_at(grid, ref);
	struct pe_leaf *leaf;

	if (atomic_load_explicit(&chunk->claimed, memory_order_relaxed) != 0)
		return;
	leaf = &grid->leaves[atomic_load_explicit(&chunk->leaf, memory_order_relaxed)];
	if (atomic_load_explicit(&leaf->entry.claim, memory_order_relaxed) & PE_CLOSED)
		return;
	next = atomic_load_explicit(&chunk->next, memory_order_relaxed);
	// CHUNK: acquire
	head = atomic_load_explicit(&leaf->head, memory_order_acquire);
	if (head == ref && next == PE_NONE)
		return;
	if (!close_word(&chunk->claimed, PE_NONE))
		return;
	head = ref;
	// CHUNK: release: keeps what `next` led to visible.
	if (!atomic_compare_exchange_strong_explicit(
		    &leaf->head, &head, next, memory_order_release, memory_order_acquire)) {
		_Atomic uint32_t *link;

		do {
			assert(head != PE_NONE);
			link = &pe_chunk_at(grid, head)->next;
			// CHUNK: acquire
			head = atomic_load_explicit(link, memory_order_acquire);
		} while (head != ref);
		// CHUNK: release, as above
		atomic_store_explicit(link, next, memory_order_release);
	}
	push(&grid->control.gone, ref & PE_SMALL ? PE_KIND_SMALL : PE_KIND_BIG, ref);
}

static void look_at_slab(struct pe_grid *grid, uint32_t slab)
{
	uint32_t ref = PE_NONE, orphans;
	unsigned count = pe_slab_chunks(grid, slab, &ref);

	for (unsigned i = 0; i < count; i++, ref = pe_chunk_next(ref)) {
		_Atomic uint32_t *at = &pe_chunk_at(grid, ref)->orphans;

		// ORPHANS: acquire: the slots are invalid; the stamp is read after.
		orphans = atomic_load_explicit(at, memory_order_relaxed);
		if (orphans)
			orphans = atomic_exchange_explicit(at, 0, memory_order_acquire);
		if (orphans)
			push_slots(&grid->control.gone, PE_PENDING_ORPHANS, ref, orphans);
		else
			close_chunk(grid, ref);
	}
}

static void look_at(struct pe_grid *grid, enum pe_kind kind, uint32_t index)
{
	switch (kind) {
	case PE_KIND_LEAF:
		close_leaf(grid, index);
		break;
	case PE_KIND_NODE:
		close_node(grid, index);
		break;
	case PE_KIND_BIG: // a slab
		look_at_slab(grid, index);
		break;
	case PE_KIND_SMALL:
	case PE_KIND_COUNT:
		break;
	}
}

// How many of what is looked at were ever taken.
static uint32_t mark_of(const struct pe_grid *grid, enum pe_kind kind)
{
	switch (kind) {
	case PE_KIND_LEAF:
	case PE_KIND_NODE:
		return pe_pool_mark(&grid->pool[kind]);
	case PE_KIND_BIG: {
		uint32_t fresh = atomic_load_explicit(&grid->slabs.fresh, memory_order_relaxed);

		return fresh < grid->slabs.count ? fresh : grid->slabs.count;
	}
	default:
		return 0;
	}
}

// One object may bring one entry to either list (a slab seven), and a freed child its parent.
static bool has_room(const struct pe_control *c)
{
	return c->closed.count + c->gone.count < PE_PENDING_MAX / 2;
}

static bool noted(const struct pe_grid *grid)
{
	// EMPTIED: acquire
	for (unsigned i = 0; i < grid->worker_count; i++)
		if (atomic_load_explicit(&grid->workers[i].notes.tail, memory_order_acquire) !=
			atomic_load_explicit(&grid->workers[i].notes.head, memory_order_relaxed))
			return true;
	return false;
}

// What workers noted that they left empty. What is claimed again by now will be noted again.
static bool take_notes(struct pe_grid *grid)
{
	unsigned taken = 0;

	for (unsigned i = 0; i < grid->worker_count; i++) {
		struct pe_notes *n = &grid->workers[i].notes;
		uint32_t head = atomic_load_explicit(&n->head, memory_order_relaxed);
		// EMPTIED: acquire: the notes, and what was given up before them.
		uint32_t tail = atomic_load_explicit(&n->tail, memory_order_acquire);

		for (; head != tail && taken < SCAN_SLICE && has_room(&grid->control);
			head++, taken++) {
			struct pe_note note = n->note[head % PE_NOTES_MAX];

			if (note.kind == PE_KIND_BIG)
				close_chunk(grid, note.index);
			else
				look_at(grid, (enum pe_kind)note.kind, note.index);
		}
		// EMPTIED: release: they are read.
		if (head != atomic_load_explicit(&n->head, memory_order_relaxed))
			atomic_store_explicit(&n->head, head, memory_order_release);
	}
	return taken > 0;
}

// A few of all leaves and slabs in turn, as long as there are notes: an empty chunk that another
// one was put before after it was looked at, or one of a leaf that was claimed again, is noted only
// when it is left empty once more.
static void sweep(struct pe_grid *grid)
{
	struct pe_control *c = &grid->control;

	for (unsigned i = 0; i < SWEEP_SLICE && has_room(c); i++) {
		if (c->sweep_index >= mark_of(grid, c->sweep_kind)) {
			c->sweep_kind = c->sweep_kind == PE_KIND_LEAF ? PE_KIND_BIG : PE_KIND_LEAF;
			c->sweep_index = 0;
			continue;
		}
		look_at(grid, c->sweep_kind, c->sweep_index++);
	}
}

static uint64_t emptied_sum(const struct pe_grid *grid)
{
	uint64_t sum = 0;

	// EMPTIED: acquire: what was given up before the count is seen by the scan that it wakes.
	for (unsigned i = 0; i < grid->worker_count; i++)
		sum += atomic_load_explicit(&grid->workers[i].emptied, memory_order_acquire);
	return sum;
}

static void scan(struct pe_grid *grid)
{
	struct pe_control *c = &grid->control;

	if (!c->scanning) {
		uint64_t sum = emptied_sum(grid);

		if (sum == c->emptied_seen && !c->again && !c->look)
			return;
		// What only this thread left empty are nodes.
		c->only_nodes = sum == c->emptied_seen && !c->look;
		c->scan_kind = c->only_nodes ? PE_KIND_NODE : 0;
		c->look = false;
		c->emptied_seen = sum;
		c->again = false;
		c->scanning = true;
		c->scan_index = 0;
	}
	for (unsigned i = 0; i < SCAN_SLICE; i++) {
		if (!has_room(c))
			return;
		while (c->scan_index >= mark_of(grid, c->scan_kind)) {
			c->scan_index = 0;
			if (++c->scan_kind == PE_KIND_COUNT || c->only_nodes) {
				c->scanning = false;
				return;
			}
		}
		look_at(grid, c->scan_kind, c->scan_index++);
	}
}

// From closed to taken, unless somebody has opened it again. It is then closed anew when it is
// empty, and a whole grace period passes anew.
static bool take(struct pe_entry *entry)
{
	uint32_t claim = PE_CLOSED;

#ifdef PE_PLANT_TAKEN_BLINDLY // LEAF: not looked at
	atomic_store_explicit(&entry->claim, PE_TAKEN, memory_order_release);
	return true;
#endif
	// LEAF: acquire and release: nobody comes any more.
	return atomic_compare_exchange_strong_explicit(
		&entry->claim, &claim, PE_TAKEN, memory_order_acq_rel, memory_order_relaxed);
}

// The object is closed and a grace period has passed: whoever set the parent's bit or was about to
// publish this key has seen it here and given up. From now on it is found taken, until it is out of
// its table; who then finds nothing sets the bit again.
static void take_out(struct pe_grid *grid, struct pe_pending pending)
{
	struct pe_entry *entry;
	_Atomic uint32_t *bucket;
	unsigned child;
	uint32_t parent;
	void *base;

	if (pending.kind == PE_KIND_LEAF) {
		struct pe_leaf *leaf = &grid->leaves[pending.index];

		entry = &leaf->entry;
		base = grid->leaves;
		leaf->queued = 0;
		bucket = pe_leaf_bucket(grid, entry->key);
		child = pe_child_number_of(entry->key, 0);
		parent = leaf->parent;
	} else {
		struct pe_node *node = &grid->nodes[pending.index];

		entry = &node->entry;
		base = grid->nodes;
		node->queued = 0;
		bucket = pe_node_bucket(grid, entry->key, node->level);
		child = pe_child_number_of(entry->key, node->level);
		parent = node->parent;
	}
	if (!take(entry)) {
		// What was left empty again while it was queued, a note said in vain.
		look_at(grid, pending.kind, pending.index);
		return;
	}
	PE_STEP();
#ifndef PE_PLANT_PARENT_BIT_AFTER
	if (parent != PE_NONE)
		// NODE: before the release that takes the object out (HASH).
		atomic_fetch_and_explicit(
			&grid->nodes[parent].occupancy, ~(1ull << child), memory_order_relaxed);
#endif
	PE_STEP();
	pe_table_take_out(bucket, base, pending.index);
	PE_STEP();
#ifdef PE_PLANT_PARENT_BIT_AFTER
	if (parent != PE_NONE)
		atomic_fetch_and_explicit(
			&grid->nodes[parent].occupancy, ~(1ull << child), memory_order_relaxed);
#endif
	push(&grid->control.gone, pending.kind, pending.index);
	if (parent != PE_NONE && pe_entry_unclaim(&grid->nodes[parent].entry) == 0)
		grid->control.again = true;
}

static void free_chunks(struct pe_grid *grid, uint32_t ref)
{
	while (ref != PE_NONE) {
		struct pe_chunk *chunk = pe_chunk_at(grid, ref);
		uint32_t next = atomic_load_explicit(&chunk->next, memory_order_relaxed);

		atomic_store_explicit(&chunk->claimed, PE_NONE, memory_order_relaxed);
		pe_slab_give_shared(grid, ref);
		ref = next;
	}
}

unsigned pe_grid_control(struct pe_grid *grid)
{
	struct pe_control *c = &grid->control;
	struct pe_pending pending;

	while (pop_passed(&c->gone, &pending)) {
		switch ((enum pe_kind)pending.kind) {
		case PE_KIND_LEAF:
			free_chunks(grid,
				atomic_load_explicit(
					&grid->leaves[pending.index].head, memory_order_relaxed));
			pe_pool_give_shared(&grid->pool[PE_KIND_LEAF], pending.index);
			break;
		case PE_KIND_NODE:
			pe_pool_give_shared(&grid->pool[PE_KIND_NODE], pending.index);
			break;
		case PE_KIND_BIG:
		case PE_KIND_SMALL:
			pe_slab_give_shared(grid, pending.index);
			break;
		case PE_PENDING_ORPHANS:
			if (pe_leaf_release_orphans(grid, pending.index, pending.slots))
				c->look = true;
			break;
		}
	}
	while (c->gone.count < PE_PENDING_MAX && pop_passed(&c->closed, &pending))
		take_out(grid, pending);
	if (take_notes(grid))
		sweep(grid);
	scan(grid);
	if (c->closed.count)
		return 2;
	return c->gone.count || noted(grid) || c->scanning || c->again || c->look ||
		emptied_sum(grid) != c->emptied_seen;
}

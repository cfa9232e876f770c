#include "frame.h"
#include "own.h"

#include "apply.h"
#include "space/offset.h"

#include <math.h>

#define LATCH_TRIES 1000u

bool pe_frames_create(struct pe_frames *f)
{
	size_t links = PE_FRAME_LINKS * sizeof *f->links;
	size_t buckets = PE_FRAME_LINKS * sizeof(uint32_t);

	if (pe_memory_map(links + 2 * buckets, false, &f->memory) != PE_OK)
		return false;
	f->links = f->memory.base;
	f->of_child = (uint32_t *)((uint8_t *)f->memory.base + links);
	f->of_parent = f->of_child + PE_FRAME_LINKS;
	memset(f->of_child, 0xFF, 2 * buckets);
	for (uint32_t i = 0; i < PE_FRAME_LINKS; i++)
		f->links[i].next_of_child = i + 1 < PE_FRAME_LINKS ? i + 1 : PE_FRAME_NONE;
	f->free = 0;
	return true;
}

void pe_frames_destroy(struct pe_frames *f)
{
	pe_memory_unmap(&f->memory);
	f->links = NULL;
}

// ---- links ----

static uint32_t bucket(uint32_t handle)
{
	return handle * 2654435761u >> 16 & (PE_FRAME_LINKS - 1);
}

static uint32_t link_of(const struct pe_frames *f, uint32_t child)
{
	uint32_t at = f->of_child[bucket(child)];

	while (at != PE_FRAME_NONE && f->links[at].child != child)
		at = f->links[at].next_of_child;
	return at;
}

static unsigned children(const struct pe_frames *f, uint32_t parent)
{
	unsigned n = 0;

	for (uint32_t at = f->of_parent[bucket(parent)]; at != PE_FRAME_NONE;
		at = f->links[at].next_of_parent)
		n += f->links[at].parent == parent;
	return n;
}

static void flag(struct pe_worker *w, uint32_t handle, uint32_t bit, bool set)
{
	_Atomic uint32_t *at = &pe_apply_record(w, handle)->status;
	uint32_t status = atomic_load_explicit(at, memory_order_relaxed);

	if (set != !!(status & bit))
		atomic_store_explicit(at, status ^ bit, memory_order_relaxed);
}

static void unlink_child(struct pe_worker *w, uint32_t child)
{
	struct pe_frames *f = &w->frames;
	uint32_t link = link_of(f, child), parent, *at;

	if (link == PE_FRAME_NONE)
		return;
	parent = f->links[link].parent;
	for (at = &f->of_child[bucket(child)]; *at != link; at = &f->links[*at].next_of_child)
		;
	*at = f->links[link].next_of_child;
	for (at = &f->of_parent[bucket(parent)]; *at != link; at = &f->links[*at].next_of_parent)
		;
	*at = f->links[link].next_of_parent;
	f->links[link].next_of_child = f->free;
	f->free = link;
	if (!children(f, parent))
		flag(w, parent, PE_STATUS_PARENT, false);
}

static bool owned(const struct pe_worker *w, uint32_t handle)
{
	uint32_t status =
		atomic_load_explicit(&pe_apply_record(w, handle)->status, memory_order_relaxed);

	return PE_STATUS_OWNER(status) == w->index && PE_STATUS_LIFE(status) == PE_LIFE_THERE;
}

bool pe_frame_fits(struct pe_worker *w, uint32_t child, uint32_t parent)
{
	struct pe_frames *f = &w->frames;
	uint32_t link;

	if (!f->links)
		return false;
	if (!owned(w, parent))
		return true;
	link = link_of(f, child);
	if (link != PE_FRAME_NONE && f->links[link].parent == parent)
		return true;
	return (link != PE_FRAME_NONE || f->free != PE_FRAME_NONE) &&
		children(f, parent) < PE_FRAME_CHILDREN;
}

void pe_frame_link(struct pe_worker *w, uint32_t child, uint32_t parent)
{
	struct pe_frames *f = &w->frames;
	uint32_t link;

	if (!f->links)
		return;
	link = link_of(f, child);
	flag(w, child, PE_STATUS_FRAMED, parent != PE_FRAME_NONE);
	if (link != PE_FRAME_NONE && f->links[link].parent == parent)
		return;
	unlink_child(w, child);
	if (parent == PE_FRAME_NONE || !owned(w, parent) || f->free == PE_FRAME_NONE)
		return;
	link = f->free;
	f->free = f->links[link].next_of_child;
	f->links[link] = (struct pe_frame_link){.child = child,
		.parent = parent,
		.next_of_child = f->of_child[bucket(child)],
		.next_of_parent = f->of_parent[bucket(parent)]};
	f->of_child[bucket(child)] = link;
	f->of_parent[bucket(parent)] = link;
	flag(w, parent, PE_STATUS_PARENT, true);
}

void pe_frame_forget(struct pe_worker *w, uint32_t handle)
{
	struct pe_frames *f = &w->frames;
	uint32_t status =
		atomic_load_explicit(&pe_apply_record(w, handle)->status, memory_order_relaxed);

	if (status & PE_STATUS_PARENT)
		for (uint32_t at = f->of_parent[bucket(handle)], next; at != PE_FRAME_NONE;
			at = next) {
			next = f->links[at].next_of_parent;
			if (f->links[at].parent == handle)
				unlink_child(w, f->links[at].child);
		}
	if (status & PE_STATUS_FRAMED) {
		unlink_child(w, handle);
		flag(w, handle, PE_STATUS_FRAMED, false);
	}
}

// ---- where they are ----

struct pose {
	double position[3]; // in the space
	double turn[4];     // quaternion, of its own axes
};

static void multiply(const double a[4], const double b[4], double out[4])
{
	out[0] = a[3] * b[0] + a[0] * b[3] + a[1] * b[2] - a[2] * b[1];
	out[1] = a[3] * b[1] + a[1] * b[3] + a[2] * b[0] - a[0] * b[2];
	out[2] = a[3] * b[2] + a[2] * b[3] + a[0] * b[1] - a[1] * b[0];
	out[3] = a[3] * b[3] - a[0] * b[0] - a[1] * b[1] - a[2] * b[2];
}

static void rotate(const double q[4], const double v[3], double out[3])
{
	double t[3] = {2 * (q[1] * v[2] - q[2] * v[1]), 2 * (q[2] * v[0] - q[0] * v[2]),
		2 * (q[0] * v[1] - q[1] * v[0])};

	out[0] = v[0] + q[3] * t[0] + q[1] * t[2] - q[2] * t[1];
	out[1] = v[1] + q[3] * t[1] + q[2] * t[0] - q[0] * t[2];
	out[2] = v[2] + q[3] * t[2] + q[0] * t[1] - q[1] * t[0];
}

// An entity's own orientation, in its parent's axes if it has one; and that one's id.
static bool own_turn(const struct pe_details_block *block, double turn[4], uint8_t parent_id[16])
{
	struct pe_details_blocks b;
	struct pe_wire_orientation o;
	double square = 0;

	turn[0] = turn[1] = turn[2] = 0;
	turn[3] = 1;
	if (!block)
		return false;
	pe_wire_get_details((const uint8_t *)&block->head, &b);
	if (b.content[PE_DETAILS_ORIENTATION]) {
		memcpy(&o, b.content[PE_DETAILS_ORIENTATION], sizeof o);
		for (unsigned i = 0; i < 4; i++)
			square += (double)o.q[i] * (double)o.q[i];
		for (unsigned i = 0; i < 4; i++)
			turn[i] = (double)o.q[i] / sqrt(square);
	}
	if (!b.content[PE_DETAILS_FRAME])
		return false;
	memcpy(parent_id, b.content[PE_DETAILS_FRAME], 16);
	return true;
}

// Who is there now by an id, on any worker.
static uint32_t find(
	const struct pe_worker *w, const uint8_t id[16], unsigned space, struct pe_published *shown)
{
	const struct pe_table *t = &w->engine->table;
	uint32_t handle = pe_index_find(&t->index, t->records, pe_hash_id(&t->index.key, id), id);
	const struct pe_record *r;
	uint32_t status;

	if (handle == PE_HANDLE_NONE)
		return handle;
	r = &t->records[handle];
	// LIFE: acquire, before what is published
	status = atomic_load_explicit(&r->status, memory_order_acquire);
	if (PE_STATUS_LIFE(status) != PE_LIFE_THERE || PE_STATUS_SPACE(status) != space ||
		!pe_record_read(r, t->drafts, shown, LATCH_TRIES) ||
		// Where its children are would tell where it is, and that it is.
		(shown->attributes & PE_PUBLISHED_VEILED) ||
		(int32_t)(w->tick - shown->expiry_tick) >= 0)
		return PE_HANDLE_NONE;
	return handle;
}

// The frame of `id`: where it is, and how it is turned in the space, through its own parents.
// `child` must not be among them. What it is nested in already counts to PE_FRAME_DEPTH.
static bool frame_of(const struct pe_worker *w, const uint8_t id[16], const uint8_t child[16],
	unsigned space, struct pose *pose, uint32_t *handle)
{
	uint8_t next[16];

	memcpy(next, id, sizeof next);
	*handle = PE_HANDLE_NONE;
	for (unsigned depth = 0; depth < PE_FRAME_DEPTH; depth++) {
		double turn[4], product[4];
		struct pe_published shown;
		uint32_t at;
		bool nested;

		if (pe_id_equal(next, child))
			return false;
		at = find(w, next, space, &shown);
		if (at == PE_HANDLE_NONE || (shown.attributes & PE_ATTRIBUTE_HEIGHT_UNKNOWN))
			return false;
		nested = own_turn(pe_details_get(&w->engine->table.details, at), turn, next);
		if (*handle == PE_HANDLE_NONE) {
			*handle = at;
			memcpy(pose->position, shown.position, sizeof pose->position);
			memcpy(pose->turn, turn, sizeof turn);
		} else {
			multiply(turn, pose->turn, product);
			memcpy(pose->turn, product, sizeof product);
		}
		if (!nested)
			return true;
	}
	return false;
}

static bool place(const struct pe_space *space, const struct pose *frame, const double relative[3],
	double position[3])
{
	double turned[3];

	rotate(frame->turn, relative, turned);
	return pe_space_offset(space, frame->position, turned, position);
}

enum pe_reason pe_frame_place(struct pe_worker *w, struct pe_change *c, const uint8_t parent_id[16],
	struct pe_wire_placed *placed, uint32_t *parent)
{
	struct pose frame;

	memcpy(placed->parent_id, parent_id, 16);
	memcpy(placed->position, c->update.position, sizeof placed->position);
	if (!frame_of(w, parent_id, c->update.entity_id, c->space, &frame, parent))
		return PE_REASON_frame_unknown;
	return place(&w->engine->spaces[c->space].space, &frame, placed->position,
		       c->update.position) ?
		PE_REASON_none :
		PE_REASON_out_of_bounds;
}

// What is left of the times of the state that is seen, in ms; 0: none.
struct left {
	uint32_t duration_ms, cap_ms, interval_ms;
};

static struct left times_left(const struct pe_worker *w, const struct pe_pending *node)
{
	struct left left = {0};

	if (!node)
		return left;
	// A state whose end has come and was not seen to yet ends with the next tick.
	if (node->flags & PE_PENDING_DURATION)
		left.duration_ms = pe_own_reached(node->state_until, w->tick) ?
			1 :
			node->state_until - w->tick;
	if ((node->flags & PE_PENDING_CAP) && !pe_own_reached(node->cap_until, w->tick))
		left.cap_ms = node->cap_until - w->tick;
	if ((node->flags & PE_PENDING_INTERVAL) && !pe_own_reached(node->interval_until, w->tick))
		left.interval_ms = node->interval_until - w->tick;
	return left;
}

static void move_child(struct pe_worker *w, uint32_t child)
{
	const struct pe_details_block *block = pe_details_get(&w->engine->table.details, child);
	struct pe_record *r = pe_apply_record(w, child);
	uint32_t status = atomic_load_explicit(&r->status, memory_order_relaxed), parent;
	const struct pe_space *space = &w->engine->spaces[PE_STATUS_SPACE(status)].space;
	struct pe_pending *node = pe_own_node(w, child, false);
	const struct left left = times_left(w, node);
	struct pe_details_blocks b;
	struct pe_wire_placed placed;
	struct pe_published state;
	struct pe_place at;
	struct pose frame;

	if (!block || PE_STATUS_LIFE(status) != PE_LIFE_THERE)
		return;
	pe_wire_get_details((const uint8_t *)&block->head, &b);
	if (!b.content[PE_DETAILS_FRAME])
		return;
	if (node && !(node->flags & PE_PENDING_STATE))
		node = NULL;
	memcpy(&placed, b.content[PE_DETAILS_FRAME], sizeof placed);
	// What is held back goes along, or its velocity and time would never be seen.
	state = node ? node->state : (status & PE_STATUS_HELD) ? pe_own_held_state(r) : r->shown;
	if (!frame_of(w, placed.parent_id, r->id, PE_STATUS_SPACE(status), &frame, &parent) ||
		!place(space, &frame, placed.position, state.position) ||
		pe_space_locate(space, state.position, &at) != PE_REASON_none)
		return;
	state.word = at.word;
	// What waits for its time, or for a crossing, waits with another place.
	if (node) {
		node->state = state;
		node->key = at.key;
		return;
	}
	if (memcmp(state.position, r->shown.position, sizeof state.position) == 0) {
		// Where it is turns with its parent all the same.
		if (status & PE_STATUS_PARENT)
			pe_frame_follow(w, child);
		return;
	}
	// No room: it stays where it was, as one whose parent does not tell.
	if (pe_own_publish(w, child, &state, at.key, false) == PE_PUBLISH_WAITS) {
		// For the crossing before it, and for nothing else; the times of its state go on.
		node = pe_own_node(w, child, false);
		node->trailing_until = w->tick;
		pe_own_wait_times(w, node, left.duration_ms, left.cap_ms, left.interval_ms);
	}
}

void pe_frame_follow(struct pe_worker *w, uint32_t parent)
{
	struct pe_frames *f = &w->frames;
	uint32_t following[PE_FRAME_CHILDREN];
	unsigned n = 0;

	if (f->depth == PE_FRAME_DEPTH)
		return;
	if (f->depth == 0)
		f->moves = 0;
	for (uint32_t at = f->of_parent[bucket(parent)];
		at != PE_FRAME_NONE && n < PE_FRAME_CHILDREN; at = f->links[at].next_of_parent)
		if (f->links[at].parent == parent)
			following[n++] = f->links[at].child;
	f->depth++;
	for (unsigned i = 0; i < n && f->moves < PE_FRAME_MOVES; i++, f->moves++)
		move_child(w, following[i]);
	f->depth--;
}

#include "dataplane/ring/ring.h"

#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

static uint64_t bit(unsigned n)
{
	return UINT64_C(1) << n;
}

static unsigned lowest(uint64_t mask)
{
	return (unsigned)__builtin_ctzll(mask);
}

// A client that no worker reads from or writes to any more, until attach has seen it.
static void let_go(struct pe_ring_lane *lane, unsigned n)
{
	lane->active &= ~bit(n);
	lane->closing &= ~bit(n);
	lane->to_rouse &= ~bit(n);
	lane->gone |= bit(n);
}

// Stages have changed: whom this worker has now.
static void look_around(struct pe_ring *ring, struct pe_ring_lane *lane, unsigned worker)
{
	for (unsigned n = 0; n < ring->client_count_max; n++) {
		struct pe_ring_client *c = &ring->clients[n];
		// RING-STAGE: acquire pairs with attach's release: the client is filled in. Without
		// it the worker could read from memory that is not mapped yet.
		uint32_t word = atomic_load_explicit(&c->stage, memory_order_acquire);
		enum pe_ring_stage stage = PE_RING_STAGE(word);

		if ((stage != PE_RING_ATTACHED && stage != PE_RING_CLOSING) ||
			word != pe_ring_word(stage, worker) || (lane->gone & bit(n)))
			continue;
		if (atomic_load_explicit(&c->broken, memory_order_relaxed)) {
			if (stage == PE_RING_CLOSING)
				let_go(lane, n);
			continue;
		}
		lane->active |= bit(n);
		if (stage == PE_RING_CLOSING && !(lane->closing & bit(n))) {
			lane->closing |= bit(n);
			c->last_bytes = c->up.mask + 1;
		}
	}
}

// After a sleep: nobody need wake this worker any more, and the edges that did are taken off.
static void arise(struct pe_ring *ring, struct pe_ring_lane *lane)
{
	struct epoll_event events[PE_RING_CLIENTS_MAX + 1];
	uint64_t count;

	for (uint64_t left = lane->active; left; left &= left - 1)
		pe_shm_arise(&ring->clients[lowest(left)].up);
	// Descriptors are never read but the lane's own: a client shares its file, and may make it
	// block.
	// cold: once a sleep
	(void)epoll_wait(lane->epoll_fd, events, PE_RING_CLIENTS_MAX + 1, 0);
	(void)!read(lane->wake_fd, &count, sizeof count);
	lane->armed = false;
}

static void broke(struct pe_ring *ring, struct pe_ring_client *c)
{
	const uint64_t one = 1;

	atomic_store_explicit(&c->broken, true, memory_order_relaxed);
	(void)!write(ring->call_fd, &one, sizeof one);
}

// At most max messages of one client. Returns how many; *broken counts a client who has broken its
// ring.
static unsigned take(struct pe_ring *ring, struct pe_ring_lane *lane, unsigned n,
	struct pe_message *messages, unsigned first, unsigned max, uint64_t *bytes_sum,
	unsigned *broken)
{
	struct pe_ring_client *c = &ring->clients[n];
	uint64_t begin = c->up.head;
	unsigned count = 0;
	const uint8_t *data;
	int bytes = 0;

	while (count < max) {
		struct pe_message *m = &messages[first + count];

		bytes = pe_shm_take(&c->up, &data);
		if (bytes <= 0)
			break;
		memcpy(lane->rx_data[first + count], data, (size_t)bytes);
		m->data = lane->rx_data[first + count];
		m->bytes = (uint32_t)bytes;
		m->peer = c->peer;
		*bytes_sum += (uint32_t)bytes;
		count++;
	}
	if (c->up.head != begin)
		pe_shm_release(&c->up);
	if (bytes < 0) {
		lane->active &= ~bit(n);
		broke(ring, c);
		++*broken;
	}
	if (lane->closing & bit(n)) {
		uint64_t taken = c->up.head - begin;

		c->last_bytes -= taken < c->last_bytes ? taken : c->last_bytes;
		if (bytes <= 0 && count < max)
			c->last_bytes = 0;
		if (c->last_bytes == 0)
			let_go(lane, n);
	}
	if (count)
		atomic_store_explicit(&c->received,
			atomic_load_explicit(&c->received, memory_order_relaxed) + count,
			memory_order_relaxed);
	return count;
}

unsigned pe_ring_receive(struct pe_source *source, unsigned worker, bool fresh,
	struct pe_message *messages, unsigned max, unsigned *seen, struct pe_counters *counters)
{
	struct pe_ring *ring = pe_ring_of(source);
	struct pe_ring_lane *lane = ring->lanes[worker];
	// RING-STAGE: acquire: stages were written before
	uint32_t change = atomic_load_explicit(&lane->change, memory_order_acquire);
	unsigned count = 0, share, clients, broken = 0;
	uint64_t bytes = 0, before, turned, more;

	*seen = 0;
	if (lane->armed)
		arise(ring, lane);
	if (change != lane->change_seen) {
		lane->change_seen = change;
		look_around(ring, lane, worker);
	}
	if (!fresh || !lane->active)
		return 0;
	before = lane->active;
	clients = (unsigned)__builtin_popcountll(before);
	share = clients == 1 ? max : max / clients ? max / clients : 1;
	// Whose turn is first goes round, so that 64 clients on a burst of few are all heard; what
	// one leaves of its share, others who have more than theirs may have in the second round.
	lane->turn = (lane->turn + 1) % PE_RING_CLIENTS_MAX;
	turned = before >> lane->turn | (lane->turn ? before << (64 - lane->turn) : 0);
	for (unsigned round = 0; turned && round < 2 && count < max; round++, turned = more) {
		more = 0;
		for (uint64_t left = turned; left && count < max; left &= left - 1) {
			unsigned n = (lowest(left) + lane->turn) % PE_RING_CLIENTS_MAX;
			unsigned most = round ? max - count : share, got;

			most = most < max - count ? most : max - count;
			got = take(ring, lane, n, messages, count, most, &bytes, &broken);
			if (got == most && (lane->active & bit(n)))
				more |= left & -left;
			count += got;
		}
	}
	*seen = count + broken;
	if (*seen) {
		pe_count(counters, PE_COUNTER_rx_packets, count + broken);
		pe_count(counters, PE_COUNTER_rx_bytes, bytes);
	}
	if (broken)
		pe_count_reason(counters, PE_REASON_ring_record, broken);
	return count;
}

void pe_ring_release(struct pe_source *source, unsigned worker)
{
}

uint8_t *pe_ring_reserve(struct pe_source *source, unsigned worker, const struct pe_peer *peer)
{
	struct pe_ring_lane *lane = pe_ring_of(source)->lanes[worker];

	return lane->free_count ? lane->tx_data[lane->free[--lane->free_count]] : NULL;
}

static bool put(struct pe_ring *ring, struct pe_ring_lane *lane, const struct pe_peer *peer,
	const uint8_t *data, uint32_t bytes)
{
	unsigned n = peer->link % PE_RING_CLIENTS_MAX;
	struct pe_ring_client *c = &ring->clients[n];
	bool broken = false;
	uint8_t *to;

	// Links of subscriptions may outlive their client.
	if (!(lane->active & bit(n)) || c->peer.link != peer->link)
		return false;
	to = pe_shm_reserve(&c->down, bytes, &broken);
	if (to) {
		pe_shm_put(&c->down, to, data, bytes);
		lane->to_rouse |= bit(n);
	} else if (broken) {
		lane->active &= ~bit(n);
		broke(ring, c);
		// Parted from already: nobody calls to have it looked at again.
		if (lane->closing & bit(n))
			let_go(lane, n);
	}
	_Atomic uint64_t *counter = to ? &c->sent : &c->full;
	atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + 1,
		memory_order_relaxed);
	return to != NULL;
}

void pe_ring_commit(struct pe_source *source, unsigned worker, const struct pe_peer *peer,
	uint8_t *data, uint32_t bytes, struct pe_counters *counters)
{
	struct pe_ring *ring = pe_ring_of(source);
	struct pe_ring_lane *lane = ring->lanes[worker];
	size_t slot = (size_t)(data - lane->tx_data[0]) / PE_RING_TX_BYTES;

	assert(slot < PE_RING_TX_SLOTS && bytes <= PE_RING_TX_BYTES);
	// A full ring is its client's own affair: nobody waits for it.
	if (bytes && !put(ring, lane, peer, data, bytes))
		pe_count(counters, PE_COUNTER_tx_dropped, 1);
	lane->free[lane->free_count++] = (uint16_t)slot;
}

// Once for each time that the client says it sleeps.
static void wake(const struct pe_ring_client *c)
{
	const uint64_t one = 1;

	if (c->wake_fd >= 0)
		(void)!write(c->wake_fd, &one, sizeof one);
	else
		// A byte that finds no room finds others that were not read: the client is awake,
		// or will be.
		(void)send(c->socket_fd, "", 1, MSG_DONTWAIT | MSG_NOSIGNAL);
}

void pe_ring_flush(struct pe_source *source, unsigned worker, struct pe_counters *counters)
{
	struct pe_ring *ring = pe_ring_of(source);
	struct pe_ring_lane *lane = ring->lanes[worker];

	for (; lane->to_rouse; lane->to_rouse &= lane->to_rouse - 1) {
		struct pe_ring_client *c = &ring->clients[lowest(lane->to_rouse)];

		pe_shm_ahead(&c->down);
		if (pe_shm_rouse(&c->down))
			wake(c);
	}
}

bool pe_ring_waiting(const struct pe_source *source, unsigned worker, unsigned *looks)
{
	struct pe_ring *ring = (struct pe_ring *)source;
	const struct pe_ring_lane *lane = ring->lanes[worker];

	*looks += (unsigned)__builtin_popcountll(lane->active);
	for (uint64_t left = lane->active; left; left &= left - 1)
		if (pe_shm_glance(&ring->clients[lowest(left)].up))
			return true;
	return false;
}

// Called when the worker is about to sleep: from here on clients wake it.
int pe_ring_wait_fd(const struct pe_source *source, unsigned worker)
{
	struct pe_ring *ring = (struct pe_ring *)source;
	struct pe_ring_lane *lane = ring->lanes[worker];

	lane->armed = true;
	for (uint64_t left = lane->active; left; left &= left - 1)
		if (!pe_shm_drowse(&ring->clients[lowest(left)].up))
			return lane->ready_fd;
	// RING-STAGE: acquire
	if (lane->gone || lane->closing ||
		atomic_load_explicit(&lane->change, memory_order_acquire) != lane->change_seen)
		return lane->ready_fd;
	return lane->epoll_fd;
}

bool pe_ring_departed(struct pe_source *source, unsigned worker, struct pe_peer *peer)
{
	struct pe_ring *ring = pe_ring_of(source);
	struct pe_ring_lane *lane = ring->lanes[worker];
	const uint64_t one = 1;
	unsigned n;

	if (!lane->gone)
		return false;
	n = lowest(lane->gone);
	lane->gone &= lane->gone - 1;
	*peer = ring->clients[n].peer;
	// RING-STAGE: release pairs with attach's acquire: this worker's last look at the client
	// comes before. Without it memory could be unmapped under a read.
	atomic_store_explicit(
		&ring->clients[n].stage, pe_ring_word(PE_RING_DONE, worker), memory_order_release);
	(void)!write(ring->call_fd, &one, sizeof one);
	return true;
}

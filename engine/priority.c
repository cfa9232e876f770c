// Queries of several classes in one turn: the higher are worked and answered first, and each class
// has, of what a turn may do and of what its source takes, a share by its weight. A class takes
// what those above it left; what those below it are owed it leaves, so that the lowest that asks
// has a fifteenth at least. A turn in which all are NORMAL does not come here.
//
// How many messages a source takes is not known before it refuses one. What it took then is shared
// out in the turns that follow, and guessed higher each time that was too little; shares of less
// than a message are saved up.
#include "answer.h"
#include "wire/extension.h"

#define RANKS    PE_PRIORITIES // from the lowest class up
#define ASKS_MAX (PE_BURST_MAX * PE_QUERY_COUNT_MAX)
#define ONE      256u       // message, in credits
#define ROOM_MAX (1u << 16) // a source that takes so many in a turn has no lack

static const uint8_t class_of_rank[RANKS] = {
	PE_PRIORITY_LOW, PE_PRIORITY_NORMAL, PE_PRIORITY_HIGH, PE_PRIORITY_CRITICAL};
static const uint8_t rank_of_class[RANKS] = {1, 0, 2, 3};
static const uint8_t weight[RANKS] = {1, 2, 4, 8};
#define STRANGER_RANK_MAX 1u

struct sorted {
	struct pe_ask asks[ASKS_MAX];
	unsigned first[RANKS + 1]; // of a rank's
};

static unsigned rank_of(const struct pe_wire_view *view, unsigned query)
{
	uint8_t priority = view->records[query * sizeof(struct pe_wire_query) +
		offsetof(struct pe_wire_query, priority)];

	// One that is not defined is refused when its turn comes.
	return rank_of_class[priority & 3];
}

// What all queries of a request have that shares one message: the lowest of them, and no favour for
// strangers.
static unsigned rank_of_stranger(const struct pe_wire_view *view)
{
	unsigned rank = STRANGER_RANK_MAX;

	for (unsigned i = 0; i < view->count; i++)
		if (rank_of(view, i) < rank)
			rank = rank_of(view, i);
	return rank;
}

static void sort(struct sorted *s, const struct pe_worker *w, const struct pe_message *messages,
	const uint8_t *kinds, unsigned count)
{
	unsigned counts[RANKS] = {0}, next[RANKS];

	for (unsigned pass = 0; pass < 2; pass++) {
		for (unsigned i = 0; i < count; i++) {
			const struct pe_wire_view *view = &w->views[i];
			bool trusted = messages[i].peer.trusted;
			unsigned shared;

			if (kinds[i] != PE_TYPE_SPATIAL_QUERY)
				continue;
			shared = trusted ? 0 : rank_of_stranger(view);
			for (unsigned q = 0; q < view->count; q++) {
				unsigned rank = trusted ? rank_of(view, q) : shared;

				if (pass == 0)
					counts[rank]++;
				else
					s->asks[next[rank]++] =
						(struct pe_ask){(uint8_t)i, (uint8_t)q,
							(uint16_t)pe_wire_extensions_bytes(
								view->records, q)};
			}
		}
		s->first[0] = 0;
		for (unsigned rank = 0; rank < RANKS; rank++) {
			next[rank] = s->first[rank];
			s->first[rank + 1] = s->first[rank] + counts[rank];
		}
	}
}

static bool asks(const struct sorted *s, unsigned rank)
{
	return s->first[rank] != s->first[rank + 1];
}

// The weights of those that ask, below a rank.
static unsigned weights_below(const struct sorted *s, unsigned rank)
{
	unsigned sum = 0;

	for (unsigned r = 0; r < rank; r++)
		sum += asks(s, r) ? weight[r] : 0;
	return sum;
}

static void give_credit(struct pe_priority_room *room, const struct sorted *s)
{
	unsigned all = weights_below(s, RANKS);

	for (unsigned rank = 0; rank < RANKS && room->messages != UINT32_MAX; rank++) {
		uint32_t a_turn = room->messages * ONE * weight[rank] / all;

		if (!asks(s, rank))
			continue;
		// What is saved up is a message at most, or those above would be short of it when
		// it is owed.
		room->credit[rank] += a_turn;
		if (room->credit[rank] > a_turn + ONE)
			room->credit[rank] = a_turn + ONE;
	}
}

// Messages that a rank may begin when so many were begun in this turn.
static uint32_t room_for(
	const struct pe_priority_room *room, const struct sorted *s, unsigned rank, uint32_t begun)
{
	uint32_t owed = begun;
	bool lowest = true;

	for (unsigned r = 0; r < rank; r++)
		if (asks(s, r)) {
			owed += room->credit[r] / ONE;
			lowest = false;
		}
	if (lowest || room->messages == UINT32_MAX)
		return UINT32_MAX;
	return room->messages > owed ? room->messages - owed : 0;
}

// What was learnt of the source.
static void learn(struct pe_priority_room *room, bool refused, uint32_t begun)
{
	if (refused) {
		room->messages = begun ? begun : 1;
	} else if (room->messages != UINT32_MAX) {
		room->messages += room->messages / 4 + 1;
		if (room->messages > ROOM_MAX) {
			room->messages = UINT32_MAX;
			memset(room->credit, 0, sizeof room->credit);
		}
	}
}

static uint32_t share(uint32_t all, unsigned part, unsigned of)
{
	return (uint32_t)((uint64_t)all * part / of);
}

void pe_priority_answer(struct pe_worker *w, const struct pe_message *messages,
	const uint8_t *kinds, const uint8_t *spaces, unsigned count)
{
	struct pe_priority_room *room = &w->priority_room;
	struct pe_query_context *q = &w->query;
	uint32_t cells_left = q->cells_left, candidates_left = q->candidates_left;
	const uint32_t cells = cells_left, candidates = candidates_left;
	uint32_t begun = 0;
	struct sorted s;
	unsigned all;

	sort(&s, w, messages, kinds, count);
	all = weights_below(&s, RANKS);
	give_credit(room, &s);
	w->answers_refused = false;
	for (unsigned rank = RANKS; rank-- > 0;) {
		unsigned below = weights_below(&s, rank);
		uint32_t cells_owed = share(cells, below, all),
			 candidates_owed = share(candidates, below, all);
		uint32_t messages_left = room_for(room, &s, rank, begun), used;

		if (!asks(&s, rank))
			continue;
		w->answers_class = class_of_rank[rank];
		w->answers_left = messages_left;
		q->cells_left = cells_left - cells_owed;
		q->candidates_left = candidates_left - candidates_owed;
		pe_answer_queries(w, messages, w->views, spaces, &s.asks[s.first[rank]],
			s.first[rank + 1] - s.first[rank]);
		cells_left = cells_owed + q->cells_left;
		candidates_left = candidates_owed + q->candidates_left;
		used = messages_left - w->answers_left;
		begun += used;
		room->credit[rank] -=
			used * ONE < room->credit[rank] ? used * ONE : room->credit[rank];
	}
	learn(room, w->answers_refused, begun);
	w->answers_class = PE_PRIORITY_NORMAL;
	w->answers_left = UINT32_MAX;
	q->cells_left = cells_left;
	q->candidates_left = candidates_left;
}

#include "adversary.h"

#include "space/offset.h"
#include "testing.h"

#include <math.h>
#include <string.h>

#define PORT     7000u
#define EDGE_M   0.0001
#define ROUNDS   60u // of the solver
#define UNKNOWNS 3u
#define STEP_M   0.01 // of its differences

void adversary_begin(struct adversary *a, struct harness *h, const struct pe_space *space,
	unsigned in, const double home[3], uint64_t seed)
{
	memset(a, 0, sizeof *a);
	a->h = h;
	a->space = space;
	a->in = in;
	a->random = seed;
	a->digest = 0xcbf29ce484222325ull;
	memcpy(a->home, home, sizeof a->home);
	a->answer = calloc(1, sizeof *a->answer);
	if (!a->answer)
		abort();
	watching_init(&a->watcher, h, in, 77);
	a->watcher.port = PORT;
	a->watcher.subscribe.flags = PE_SUBSCRIBE_MOVES;
	a->watcher.subscribe.expiration_ms = PE_SUBSCRIPTION_LEASE_MAX_MS;
	h->principal = ADVERSARY_ME;
	watching_send(&a->watcher, PE_SUBSCRIBE_OPEN, NULL, 0, NULL, 0);
	adversary_turn(a);
}

void adversary_end(struct adversary *a)
{
	watching_free(&a->watcher);
	free(a->answer);
}

// ---- geometry ----

double adversary_random(struct adversary *a, double from, double to)
{
	return from + (to - from) * ((double)(testing_random(&a->random) >> 11) * 0x1p-53);
}

void adversary_offset(
	const struct adversary *a, const double from[3], double x, double y, double place[3])
{
	const double metres[3] = {x, y, 0};

	if (!pe_space_offset(a->space, from, metres, place))
		abort();
	place[2] = from[2];
}

double adversary_metres(const struct adversary *a, const double p[3], const double q[3])
{
	return pe_space_distance(a->space, p, q, false);
}

// How far each fix is off, with the unknowns as they are.
static void misses(const struct adversary *a, const struct adversary_fixes *f, bool common,
	const double u[UNKNOWNS], double *miss)
{
	double place[3];

	adversary_offset(a, f->about, u[0], u[1], place);
	for (unsigned i = 0; i < f->count; i++)
		miss[i] = adversary_metres(a, place, f->from[i]) - (common ? u[2] : f->metres[i]);
}

// Gauss's elimination of n equations; false: they say too little.
static bool eliminate(double m[UNKNOWNS][UNKNOWNS + 1], unsigned n, double x[UNKNOWNS])
{
	for (unsigned i = 0; i < n; i++) {
		unsigned best = i;

		for (unsigned k = i + 1; k < n; k++)
			if (fabs(m[k][i]) > fabs(m[best][i]))
				best = k;
		if (!(fabs(m[best][i]) > 1e-12))
			return false;
		for (unsigned c = 0; c <= n; c++) {
			double v = m[i][c];

			m[i][c] = m[best][c];
			m[best][c] = v;
		}
		for (unsigned k = 0; k < n; k++) {
			double share = m[k][i] / m[i][i];

			for (unsigned c = i; k != i && c <= n; c++)
				m[k][c] -= share * m[i][c];
		}
	}
	for (unsigned i = 0; i < n; i++)
		x[i] = m[i][n] / m[i][i];
	return true;
}

static double square(const double *v, unsigned count)
{
	double sum = 0;

	for (unsigned i = 0; i < count; i++)
		sum += v[i] * v[i];
	return sum;
}

// Levenberg's and Marquardt's way from one beginning; the sum of squares where it ends.
static double descend(
	const struct adversary *a, const struct adversary_fixes *f, bool common, double u[UNKNOWNS])
{
	unsigned n = common ? 3 : 2;
	double miss[ADVERSARY_FIXES_MAX], there[ADVERSARY_FIXES_MAX],
		slope[UNKNOWNS][ADVERSARY_FIXES_MAX];
	double damp = 1e-3, now;

	misses(a, f, common, u, miss);
	now = square(miss, f->count);
	for (unsigned round = 0; round < ROUNDS; round++) {
		double m[UNKNOWNS][UNKNOWNS + 1] = {{0}}, by[UNKNOWNS], to[UNKNOWNS], then;

		for (unsigned k = 0; k < n; k++) {
			memcpy(to, u, sizeof to);
			to[k] += STEP_M;
			misses(a, f, common, to, slope[k]);
			for (unsigned i = 0; i < f->count; i++)
				slope[k][i] = (slope[k][i] - miss[i]) / STEP_M;
		}
		for (unsigned k = 0; k < n; k++) {
			for (unsigned i = 0; i < f->count; i++) {
				for (unsigned c = 0; c < n; c++)
					m[k][c] += slope[k][i] * slope[c][i];
				m[k][n] -= slope[k][i] * miss[i];
			}
			m[k][k] *= 1 + damp;
		}
		if (!eliminate(m, n, by))
			break;
		memcpy(to, u, sizeof to);
		for (unsigned k = 0; k < n; k++)
			to[k] += by[k];
		if (fabs(to[0]) > ADVERSARY_FAR_M || fabs(to[1]) > ADVERSARY_FAR_M) {
			damp = fmax(damp * 10, 1);
			continue;
		}
		misses(a, f, common, to, there);
		then = square(there, f->count);
		if (then > now) {
			damp *= 10;
			continue;
		}
		damp /= 10;
		memcpy(u, to, sizeof to);
		memcpy(miss, there, sizeof miss);
		now = then;
		if (square(by, n) < 1e-12 && damp < 1)
			break;
	}
	return now;
}

bool adversary_solve(
	const struct adversary *a, const struct adversary_fixes *f, bool common, double place[3])
{
	static const double begin[][2] = {{0, 0}, {1, 1}, {-1, 1}, {1, -1}, {-1, -1}};
	double best = INFINITY, u[UNKNOWNS], at[UNKNOWNS] = {0};

	if (f->count < 3)
		return false;
	for (unsigned i = 0; i < sizeof begin / sizeof begin[0]; i++) {
		double left;

		u[0] = begin[i][0] * f->around_m;
		u[1] = begin[i][1] * f->around_m;
		u[2] = f->around_m;
		left = descend(a, f, common, u);
		if (left < best) {
			best = left;
			memcpy(at, u, sizeof at);
		}
	}
	adversary_offset(a, f->about, at[0], at[1], place);
	return best < f->count;
}

// ---- talking ----

static void gather(struct adversary *a)
{
	for (unsigned i = 0; i < a->h->reply_count; i++) {
		const struct harness_reply *r = &a->h->replies[i];

		a->digest ^= r->bytes ^ (uint64_t)r->peer.port << 32;
		for (uint32_t k = 0; k < r->bytes; k++)
			a->digest = (a->digest ^ r->data[k]) * 0x100000001b3ull;
		a->replies++;
	}
}

void adversary_turn(struct adversary *a)
{
	a->h->principal = ADVERSARY_ME;
	harness_turn(a->h);
	watching_take(&a->watcher);
	gather(a);
	harness_control(a->h);
}

// Several moves of one in a row are crossings, of which the second waits for a grace period.
void adversary_settle(struct adversary *a)
{
	for (unsigned i = 0; i < 6; i++) {
		adversary_turn(a);
		a->h->now.mono_ms++;
		a->h->now.wall_ms++;
	}
}

void adversary_put(struct adversary *a, unsigned own, const double place[3])
{
	struct pe_wire_update u =
		harness_update(ADVERSARY_OWN + own, ++a->sequence, place[0], place[1], place[2]);

	u.ttl_ms = 3600000;
	a->h->principal = ADVERSARY_ME;
	harness_queue_updates(a->h, a->in, HARNESS_INCARNATION, &u, 1, true);
	adversary_settle(a);
}

void adversary_take(struct adversary *a, unsigned own)
{
	struct pe_wire_withdraw gone = {.sequence = ++a->sequence};

	harness_id(gone.entity_id, ADVERSARY_OWN + own);
	a->h->principal = ADVERSARY_ME;
	harness_queue_withdraws(a->h, a->in, HARNESS_INCARNATION, &gone, 1, true);
	adversary_settle(a);
}

bool adversary_owns(const uint8_t id[16])
{
	uint64_t n = harness_id_number(id);
	uint8_t as[16];

	harness_id(as, n);
	return n >= ADVERSARY_OWN && n < ADVERSARY_OWN + 100 && memcmp(as, id, 16) == 0;
}

const struct pe_wire_result *adversary_ask(struct adversary *a, const struct pe_wire_query *q,
	const uint8_t *extension, uint32_t bytes)
{
	a->h->principal = ADVERSARY_ME;
	harness_ask_extended(a->h, 0, a->in, q, extension, bytes, a->answer);
	gather(a);
	a->questions++;
	for (unsigned i = 0; i < a->answer->count && !(a->answer->form & PE_ANSWER_CELLS); i++)
		if (!adversary_owns(a->answer->results[i].entity_id)) {
			memcpy(a->shown, a->answer->results[i].entity_id, 16);
			return &a->answer->results[i];
		}
	return NULL;
}

bool adversary_explain(struct adversary *a, const uint8_t id[16], const struct pe_wire_query *q,
	struct pe_wire_explanation *e)
{
	bool told;

	a->h->principal = ADVERSARY_ME;
	told = harness_explain(a->h, 0, a->in, id, q, NULL, 0, e);
	gather(a);
	a->questions++;
	return told;
}

struct pe_wire_query adversary_sphere(const double at[3], double radius_m)
{
	return harness_sphere(at[0], at[1], at[2], radius_m);
}

unsigned adversary_fences(struct adversary *a, struct pe_wire_fence *fences, unsigned count)
{
	struct watching *s = &a->watcher;
	uint32_t ids[PE_SUBSCRIBE_FENCES_MAX];
	unsigned entered = 0;

	for (unsigned i = 0; i < count; i++)
		ids[i] = fences[i].fence_id = ++a->fence;
	a->h->principal = ADVERSARY_ME;
	watching_clear(s);
	watching_send(s, PE_SUBSCRIBE_ADD, fences, count, NULL, 0);
	for (unsigned i = 0; i < 40 && !(s->whole && i > 4); i++)
		adversary_turn(a);
	HARNESS_CHECK(s->done.code == PE_CODE_SUCCESS);
	HARNESS_CHECK(s->whole);
	for (unsigned e = 0; e < s->count; e++)
		for (unsigned i = 0; i < count; i++)
			if (s->events[e].kind == PE_EVENT_ENTER &&
				s->events[e].fence_id == ids[i] &&
				!adversary_owns(s->events[e].result.entity_id))
				entered |= 1u << i;
	watching_remove(s, ids, count);
	adversary_settle(a);
	s->member_count = 0;
	a->questions++;
	return entered;
}

double adversary_bisect(struct adversary *a, double most,
	bool (*there)(struct adversary *a, double at, void *context), void *context)
{
	double yes = 0, no = most;

	if (!there(a, yes, context) || there(a, no, context))
		return -1;
	while (no - yes > EDGE_M) {
		double at = (yes + no) / 2;

		if (there(a, at, context))
			yes = at;
		else
			no = at;
	}
	return (yes + no) / 2;
}

#include "policy/methods.h"

#include "policy/views.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

// written: before the first engine is created; read: anyone
static const struct pe_method *methods[PE_METHODS_MAX];
static unsigned method_count;

static bool is_name(const char *name)
{
	size_t length = strnlen(name, PE_METHOD_NAME_MAX + 1);

	return length && length <= PE_METHOD_NAME_MAX &&
		strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_") == length;
}

static bool is_range(const struct pe_method_range *r)
{
	return strnlen(r->name, sizeof r->name) < sizeof r->name &&
		(!r->name[0] || (isfinite(r->low) && isfinite(r->high) && r->low <= r->high));
}

enum pe_status pe_method_register(const struct pe_method *method, struct pe_error *error)
{
	if (!is_name(method->name) || !method->publish || !is_range(&method->first) ||
		!is_range(&method->second)) {
		error->status = PE_INVALID;
		snprintf(error->text, sizeof error->text,
			"method \"%.31s\": needs a name of 1 to %u of a-z, 0-9 and _, a function, and ranges",
			method->name, PE_METHOD_NAME_MAX);
		return PE_INVALID;
	}
	if (pe_method_find(method->name)) {
		error->status = PE_INVALID;
		snprintf(error->text, sizeof error->text, "method \"%s\": there is one already",
			method->name);
		return PE_INVALID;
	}
	if (method_count == PE_METHODS_MAX) {
		error->status = PE_FULL;
		snprintf(error->text, sizeof error->text, "method \"%s\": at most %u methods",
			method->name, PE_METHODS_MAX);
		return PE_FULL;
	}
	methods[method_count++] = method;
	return PE_OK;
}

const struct pe_method *pe_method_find(const char *name)
{
	for (unsigned i = 0; i < method_count; i++)
		if (strcmp(methods[i]->name, name) == 0)
			return methods[i];
	return NULL;
}

void pe_method_list(char *text, unsigned size)
{
	unsigned used = 0;

	snprintf(text, size, "none");
	for (unsigned i = 0; i < method_count && used < size; i++)
		used += (unsigned)snprintf(
			text + used, size - used, "%s%s", i ? ", " : "", methods[i]->name);
}

static bool in_range(const struct pe_method *m, const struct pe_method_range *r, const char *which,
	double v, struct pe_error *error)
{
	if (r->name[0] ? v >= r->low && v <= r->high : v == 0)
		return true;
	error->status = PE_RANGE;
	if (r->name[0])
		snprintf(error->text, sizeof error->text,
			"method %s: %s is its %s, a number from %g to %g", m->name, which, r->name,
			r->low, r->high);
	else
		snprintf(
			error->text, sizeof error->text, "method %s: it has no %s", m->name, which);
	return false;
}

enum pe_status pe_method_check(
	const struct pe_method *method, double first, double second, struct pe_error *error)
{
	return in_range(method, &method->first, "first", first, error) &&
			in_range(method, &method->second, "second", second, error) ?
		PE_OK :
		PE_RANGE;
}

double pe_method_draw(struct pe_method_stream *s)
{
	unsigned at = s->drawn % 4;
	uint64_t bits;

	if (s->drawn++ >= PE_METHOD_DRAWS_MAX)
		return 1;
	if (at == 0)
		pe_views_draw(s->views, s->id, s->epoch, s->policy, (s->drawn - 1) / 4, s->block);
	memcpy(&bits, s->block + 8 * at, sizeof bits);
	return ((double)(bits >> 11) + 1) * 0x1p-53;
}

bool pe_method_publish(const struct pe_method *method, const struct pe_space *space, double first,
	double second, struct pe_method_stream *stream, bool height_known, double position[3],
	double *within_m)
{
	struct pe_method_case c = {.space = space,
		.height_known = height_known,
		.first = first,
		.second = second,
		.stream = stream};
	double published[3] = {NAN, NAN, NAN};
	struct pe_place place;

	memcpy(c.position, position, sizeof c.position);
	*within_m = NAN;
	stream->drawn = 0;
	if (!method->publish(&c, published, within_m) || stream->drawn > PE_METHOD_DRAWS_MAX ||
		!isfinite(*within_m) || *within_m < 0 || (!height_known && published[2] != 0) ||
		pe_space_locate(space, published, &place) != PE_REASON_none)
		return false;
	memcpy(position, published, sizeof published);
	return true;
}

#include "core_guard.h"

#include "crowd.h"
#include "policy/principals.h"
#include "policy/views.h"

#include <string.h>

#define PREFIX_BITS \
	10u // of the ids that are owned: each has another owned prefix than the one before it
#define SPEED_MPS 100.0f

static const char *const names[CORE_GUARDS] = {[CORE_OPEN] = "open",
	[CORE_KEYRING] = "keyring",
	[CORE_FIRST] = "first",
	[CORE_SPEED] = "speed",
	[CORE_FIRST_SPEED] = "first_speed",
	[CORE_TAGS] = "tags",
	[CORE_RESTRICTED] = "restricted",
	[CORE_COARSE] = "coarse"};

enum core_guard core_guard_of(const char *name)
{
	unsigned i = 0;

	while (i < CORE_GUARDS && (!names[i] || strcmp(names[i], name) != 0))
		i++;
	return (enum core_guard)i;
}

// Who asks is the one that may.
static const uint32_t allowed[] = {1};
static const struct pe_policy restricted = {.name = "restricted",
	.space = PE_POLICY_EVERY_SPACE,
	.visibility = 1u << PE_RESTRICTED,
	.allow = allowed,
	.allow_count = 1};
// No entity of the crowd has a tag.
static const struct pe_policy tagged = {.name = "tagged",
	.space = PE_POLICY_EVERY_SPACE,
	.tags = {{6, "secret"}},
	.tag_count = 1,
	.allow = allowed,
	.allow_count = 1};

void core_guard_config(enum core_guard guard, struct pe_engine_config *c)
{
	struct pe_space_policy *s = &c->spaces[0];

	if (guard == CORE_KEYRING)
		s->authorization = PE_AUTHORIZATION_KEYRING;
	if (guard == CORE_FIRST || guard == CORE_FIRST_SPEED)
		s->authorization = PE_AUTHORIZATION_FIRST;
	if (guard == CORE_SPEED || guard == CORE_FIRST_SPEED)
		s->speed_max_mps[PE_ENTITY_MOBILE] = SPEED_MPS;
	if (guard == CORE_TAGS || guard == CORE_RESTRICTED)
		c->views = (struct pe_views_config){
			.policies = guard == CORE_TAGS ? &tagged : &restricted, .policy_count = 1};
	if (guard == CORE_TAGS)
		c->details_bytes = 16u << 20;
}

enum pe_status core_guard_open(struct core *core, struct pe_error *error)
{
	const struct pe_directory_grant grant = {.principal = 1,
		.roles = PE_ROLE_PUBLISH | PE_ROLE_QUERY,
		.space = PE_DIRECTORY_EVERY_SPACE};
	static struct pe_directory_owned owned[1u << PREFIX_BITS];
	enum core_guard guard = core->options.guard;
	struct pe_principals *directory;
	enum pe_status status;

	if (guard != CORE_KEYRING && guard != CORE_FIRST && guard != CORE_FIRST_SPEED)
		return PE_OK;
	for (uint32_t i = 0; i < 1u << PREFIX_BITS; i++) {
		uint16_t head = __builtin_bswap16((uint16_t)(i << (16 - PREFIX_BITS)));

		owned[i] = (struct pe_directory_owned){.bits = PREFIX_BITS, .principal = 1};
		memcpy(owned[i].prefix, &head, sizeof head);
	}
	// By first broadcast the keyring gives nobody an entity of the crowd.
	status = pe_principals_create(
		&grant, 1, owned, guard == CORE_KEYRING ? 1u << PREFIX_BITS : 0, &directory, error);
	return status == PE_OK ? pe_engine_principals(core->engine, directory) : status;
}

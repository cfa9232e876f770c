#include "places.h"

#include "policy/view.h"

#include <sys/random.h>

static_assert(PE_PUBLISHER_PRINCIPALS == PE_VIEW_PRINCIPALS, "publishers that are principals");

static bool counts_principals(const struct pe_engine_config *config)
{
	for (unsigned i = 0; i < config->views.policy_count; i++)
		if (config->views.policies[i].counts_below)
			return true;
	return false;
}

enum pe_status pe_places_create(struct pe_places *places, const struct pe_engine_config *config)
{
	size_t handles = ((size_t)config->entity_count_max + 31) & ~(size_t)31;
	size_t counts = (PE_PUBLISHERS + 15u) & ~15u;

	*places = (struct pe_places){.principal_max = config->principal_entity_max,
		.network_max = config->network_entity_max,
		.entity_count_max = config->entity_count_max};
	if (!config->principal_entity_max && !config->network_entity_max &&
		config->when_full != PE_FULL_LOWEST_PRIORITY && !counts_principals(config))
		return PE_OK;
	if (getrandom(&places->key, sizeof places->key, 0) != sizeof places->key)
		return PE_IO;
	if (pe_memory_map(handles * sizeof *places->of + counts * sizeof *places->count,
		    config->huge_pages, &places->memory) != PE_OK)
		return PE_NO_MEMORY;
	places->of = places->memory.base;
	places->count = (_Atomic uint32_t *)(places->of + handles);
	return PE_OK;
}

void pe_places_destroy(struct pe_places *places)
{
	pe_memory_unmap(&places->memory);
	places->of = NULL;
}

uint16_t pe_places_publisher(const struct pe_places *places, const struct pe_peer *peer)
{
	static const uint8_t mapped[12] = {[10] = 0xFF, [11] = 0xFF};
	uint8_t network[16] = {0};

	if (peer->principal)
		return (uint16_t)(1 + (peer->principal - 1) % PE_PUBLISHER_PRINCIPALS);
	if (peer->trusted)
		return PE_PUBLISHER_NONE;
	memcpy(network, peer->address, memcmp(peer->address, mapped, sizeof mapped) == 0 ? 15 : 7);
	return (uint16_t)(1 + PE_PUBLISHER_PRINCIPALS +
		pe_hash_id(&places->key, network) % PE_PUBLISHER_NETWORKS);
}

bool pe_places_take(struct pe_places *places, uint32_t handle, uint16_t publisher)
{
	uint32_t most = publisher > PE_PUBLISHER_PRINCIPALS ? places->network_max :
		publisher                                   ? places->principal_max :
							      0;
	uint32_t had =
		atomic_fetch_add_explicit(&places->count[publisher], 1, memory_order_relaxed);

	if (most && had >= most) {
		atomic_fetch_sub_explicit(&places->count[publisher], 1, memory_order_relaxed);
		return false;
	}
	atomic_store_explicit(
		&places->of[pe_handle_number(handle)], publisher, memory_order_relaxed);
	return true;
}

void pe_places_give(struct pe_places *places, uint32_t handle)
{
	uint16_t publisher =
		atomic_load_explicit(&places->of[pe_handle_number(handle)], memory_order_relaxed);

	atomic_fetch_sub_explicit(&places->count[publisher], 1, memory_order_relaxed);
}

// The structure of a configuration file, as libcyaml loads it: every value still the text that
// stands in the file, NULL where a key is missing. Between config_yaml.c, which knows YAML, and
// config.c, which knows what the values mean. Start only; one thread.
#pragma once

#include "yaml_file.h"

struct raw_workers {
	char *count, *idle, *pause_after_turns, *sleep_after_turns, *sleep_us_max, *control_core;
	char **cores;
	unsigned cores_count;
};

struct raw_memory {
	char *entities, *pending, *cells, *nodes, *chunks, *details_mb, *fences, *memberships,
		*subscriptions, *huge_pages, *no_huge, *socket_mem_mb, *when_full;
};

struct raw_security {
	char *keyring, *level, *sessions, *connects_per_second, *connects_burst, *sandbox;
};

struct raw_socket {
	char *address, *port, *level;
};

struct raw_ethdev {
	char *device, *port, *queues, *descriptors, *mtu, *vlan, *level, *steer;
	char **addresses;
	unsigned addresses_count;
};

struct raw_ring {
	char *path, *clients, *ring_kb, *trusted, *known_only, *level;
	char **allow_uids, **allow_gids;
	unsigned allow_uids_count, allow_gids_count;
};

struct raw_source {
	struct raw_ring *ring;
	struct raw_socket *socket;
	struct raw_ethdev *ethdev;
};

struct raw_eal {
	char **arguments;
	unsigned arguments_count;
};

struct raw_budget {
	char *updates, *queries, *bytes_out, *entities, *subscriptions;
};

struct raw_limits {
	char *tombstone_ms, *clock_ahead_ms, *ring_records, *query_results, *query_cells,
		*query_candidates, *burst_ms;
	struct raw_budget network, principal, total;
};

struct raw_load {
	char *coarser_percent, *shedding_percent, *factor;
};

struct raw_space {
	char *id, *name, *kind, *leaf_edge_m, *leaf_height_m, *worldwide, *extent_m;
	char *ttl_default_ms, *ttl_max_ms, *frequency_default;
	char *coalesce_distance_m, *coalesce_interval_ms, *coalesce_attribute, *precision_max_m;
	char *predict_distance_m, *predict_horizon_ms;
	char *stale_after_intervals, *decay_mobile_ms, *decay_temporary_ms, *decay_recurring_ms,
		*decay_custom_ms;
	char *authorization, *owner_memory_ms, *plausible_fixes;
	char *speed_max_mobile_mps, *speed_max_temporary_mps, *speed_max_recurring_mps,
		*speed_max_custom_mps;
	char **home;
	unsigned home_count;
};

struct raw_view_area {
	char **low, **high;
	unsigned low_count, high_count;
};

struct raw_view_method {
	char *name, *first, *second;
};

struct raw_view_policy {
	char *name, *space, *id_prefix, *everyone, *from, *until, *anonymous, *details, *velocity,
		*grid_m, *planar_laplace_m, *k_anonymity, *area_m, *ttl_max_ms, *counts_below,
		*counts_cell_m, *within_m;
	char **visibility, **types, **tags, **allow, **deny, **allow_roles, **deny_roles;
	unsigned visibility_count, types_count, tags_count, allow_count, deny_count,
		allow_roles_count, deny_roles_count;
	struct raw_view_area *area;
	struct raw_view_method *method;
};

struct raw_views {
	char *epoch_ms;
	char *cohort_epochs;
	struct raw_view_policy *policies;
	unsigned policies_count;
};

struct raw_config {
	struct raw_views views;
	struct raw_workers workers;
	struct raw_memory memory;
	struct raw_limits limits;
	struct raw_eal eal;
	struct raw_security security;
	struct raw_load load;
	char *telemetry, *log;
	struct raw_source *sources;
	char **trusted, **admitted;
	struct raw_space *spaces;
	unsigned sources_count, trusted_count, admitted_count, spaces_count;
};

// For raw_load: file.value is then a struct raw_config.
extern const struct cyaml_schema_value raw_config_schema;

#include "config_yaml.h"
#include "policy/views.h"
#include "yaml_schema.h"

#define LIST_MAX 64

#define TEXTS(type, key) TEXTS_MAX(type, key, LIST_MAX)

static const cyaml_schema_field_t workers_fields[] = {
	TEXT(raw_workers, count),
	TEXT(raw_workers, idle),
	TEXT(raw_workers, pause_after_turns),
	TEXT(raw_workers, sleep_after_turns),
	TEXT(raw_workers, sleep_us_max),
	TEXT(raw_workers, control_core),
	TEXTS(raw_workers, cores),
	CYAML_FIELD_END,
};

static const cyaml_schema_field_t memory_fields[] = {
	TEXT(raw_memory, entities),
	TEXT(raw_memory, pending),
	TEXT(raw_memory, cells),
	TEXT(raw_memory, nodes),
	TEXT(raw_memory, chunks),
	TEXT(raw_memory, details_mb),
	TEXT(raw_memory, fences),
	TEXT(raw_memory, memberships),
	TEXT(raw_memory, subscriptions),
	TEXT(raw_memory, huge_pages),
	TEXT(raw_memory, no_huge),
	TEXT(raw_memory, socket_mem_mb),
	TEXT(raw_memory, when_full),
	CYAML_FIELD_END,
};

static const cyaml_schema_field_t network_fields[] = {
	TEXT(raw_budget, updates),
	TEXT(raw_budget, queries),
	TEXT(raw_budget, bytes_out),
	TEXT(raw_budget, entities),
	CYAML_FIELD_END,
};

static const cyaml_schema_field_t principal_fields[] = {
	TEXT(raw_budget, updates),
	TEXT(raw_budget, queries),
	TEXT(raw_budget, bytes_out),
	TEXT(raw_budget, entities),
	TEXT(raw_budget, subscriptions),
	CYAML_FIELD_END,
};

static const cyaml_schema_field_t total_fields[] = {
	TEXT(raw_budget, updates),
	TEXT(raw_budget, queries),
	TEXT(raw_budget, bytes_out),
	CYAML_FIELD_END,
};

static const cyaml_schema_field_t limits_fields[] = {
	TEXT(raw_limits, tombstone_ms),
	TEXT(raw_limits, clock_ahead_ms),
	TEXT(raw_limits, ring_records),
	TEXT(raw_limits, query_results),
	TEXT(raw_limits, query_cells),
	TEXT(raw_limits, query_candidates),
	TEXT(raw_limits, burst_ms),
	CYAML_FIELD_MAPPING(
		"network", CYAML_FLAG_OPTIONAL, struct raw_limits, network, network_fields),
	CYAML_FIELD_MAPPING(
		"principal", CYAML_FLAG_OPTIONAL, struct raw_limits, principal, principal_fields),
	CYAML_FIELD_MAPPING("total", CYAML_FLAG_OPTIONAL, struct raw_limits, total, total_fields),
	CYAML_FIELD_END,
};

static const cyaml_schema_field_t load_fields[] = {
	TEXT(raw_load, coarser_percent),
	TEXT(raw_load, shedding_percent),
	TEXT(raw_load, factor),
	CYAML_FIELD_END,
};

static const cyaml_schema_field_t security_fields[] = {
	TEXT(raw_security, keyring),
	TEXT(raw_security, level),
	TEXT(raw_security, sessions),
	TEXT(raw_security, connects_per_second),
	TEXT(raw_security, connects_burst),
	TEXT(raw_security, sandbox),
	CYAML_FIELD_END,
};

static const cyaml_schema_field_t eal_fields[] = {
	TEXTS(raw_eal, arguments),
	CYAML_FIELD_END,
};

static const cyaml_schema_field_t socket_fields[] = {
	TEXT(raw_socket, address),
	TEXT(raw_socket, port),
	TEXT(raw_socket, level),
	CYAML_FIELD_END,
};

static const cyaml_schema_field_t ethdev_fields[] = {
	TEXT(raw_ethdev, device),
	TEXT(raw_ethdev, port),
	TEXT(raw_ethdev, queues),
	TEXT(raw_ethdev, descriptors),
	TEXT(raw_ethdev, mtu),
	TEXT(raw_ethdev, vlan),
	TEXT(raw_ethdev, level),
	TEXT(raw_ethdev, steer),
	TEXTS(raw_ethdev, addresses),
	CYAML_FIELD_END,
};

static const cyaml_schema_field_t ring_fields[] = {
	TEXT(raw_ring, path),
	TEXT(raw_ring, clients),
	TEXT(raw_ring, ring_kb),
	TEXT(raw_ring, trusted),
	TEXT(raw_ring, known_only),
	TEXT(raw_ring, level),
	TEXTS(raw_ring, allow_uids),
	TEXTS(raw_ring, allow_gids),
	CYAML_FIELD_END,
};

static const cyaml_schema_field_t source_fields[] = {
	CYAML_FIELD_MAPPING_PTR("ring", CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL, struct raw_source,
		ring, ring_fields),
	CYAML_FIELD_MAPPING_PTR("socket", CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL,
		struct raw_source, socket, socket_fields),
	CYAML_FIELD_MAPPING_PTR("ethdev", CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL,
		struct raw_source, ethdev, ethdev_fields),
	CYAML_FIELD_END,
};

static const cyaml_schema_value_t source_value = {
	CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct raw_source, source_fields),
};

static const cyaml_schema_field_t space_fields[] = {
	TEXT(raw_space, id),
	TEXT(raw_space, name),
	TEXT(raw_space, kind),
	TEXT(raw_space, leaf_edge_m),
	TEXT(raw_space, leaf_height_m),
	TEXT(raw_space, worldwide),
	TEXTS(raw_space, home),
	TEXT(raw_space, extent_m),
	TEXT(raw_space, ttl_default_ms),
	TEXT(raw_space, ttl_max_ms),
	TEXT(raw_space, frequency_default),
	TEXT(raw_space, coalesce_distance_m),
	TEXT(raw_space, coalesce_interval_ms),
	TEXT(raw_space, coalesce_attribute),
	TEXT(raw_space, predict_distance_m),
	TEXT(raw_space, predict_horizon_ms),
	TEXT(raw_space, precision_max_m),
	TEXT(raw_space, stale_after_intervals),
	TEXT(raw_space, decay_mobile_ms),
	TEXT(raw_space, decay_temporary_ms),
	TEXT(raw_space, decay_recurring_ms),
	TEXT(raw_space, decay_custom_ms),
	TEXT(raw_space, authorization),
	TEXT(raw_space, owner_memory_ms),
	TEXT(raw_space, speed_max_mobile_mps),
	TEXT(raw_space, speed_max_temporary_mps),
	TEXT(raw_space, speed_max_recurring_mps),
	TEXT(raw_space, speed_max_custom_mps),
	TEXT(raw_space, plausible_fixes),
	CYAML_FIELD_END,
};

static const cyaml_schema_value_t space_value = {
	CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct raw_space, space_fields),
};

static const cyaml_schema_field_t view_area_fields[] = {
	TEXTS_MAX(raw_view_area, low, 3),
	TEXTS_MAX(raw_view_area, high, 3),
	CYAML_FIELD_END,
};

static const cyaml_schema_field_t view_method_fields[] = {
	TEXT(raw_view_method, name),
	TEXT(raw_view_method, first),
	TEXT(raw_view_method, second),
	CYAML_FIELD_END,
};

static const cyaml_schema_field_t view_policy_fields[] = {
	TEXT(raw_view_policy, name),
	TEXT(raw_view_policy, space),
	TEXTS_MAX(raw_view_policy, visibility, 4),
	TEXTS_MAX(raw_view_policy, types, 5),
	TEXTS_MAX(raw_view_policy, tags, PE_POLICY_TAGS_MAX),
	TEXT(raw_view_policy, id_prefix),
	CYAML_FIELD_MAPPING_PTR("area", CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL,
		struct raw_view_policy, area, view_area_fields),
	TEXT(raw_view_policy, everyone),
	TEXTS_MAX(raw_view_policy, allow, PE_POLICY_PRINCIPALS_MAX),
	TEXTS_MAX(raw_view_policy, deny, PE_POLICY_PRINCIPALS_MAX),
	TEXTS_MAX(raw_view_policy, allow_roles, PE_POLICY_ROLES_MAX),
	TEXTS_MAX(raw_view_policy, deny_roles, PE_POLICY_ROLES_MAX),
	TEXT(raw_view_policy, within_m),
	TEXT(raw_view_policy, from),
	TEXT(raw_view_policy, until),
	TEXT(raw_view_policy, anonymous),
	TEXT(raw_view_policy, details),
	TEXT(raw_view_policy, velocity),
	TEXT(raw_view_policy, grid_m),
	TEXT(raw_view_policy, planar_laplace_m),
	TEXT(raw_view_policy, k_anonymity),
	TEXT(raw_view_policy, area_m),
	TEXT(raw_view_policy, ttl_max_ms),
	TEXT(raw_view_policy, counts_below),
	TEXT(raw_view_policy, counts_cell_m),
	CYAML_FIELD_MAPPING_PTR("method", CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL,
		struct raw_view_policy, method, view_method_fields),
	CYAML_FIELD_END,
};

static const cyaml_schema_value_t view_policy_value = {
	CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct raw_view_policy, view_policy_fields),
};

static const cyaml_schema_field_t views_fields[] = {
	TEXT(raw_views, epoch_ms),
	TEXT(raw_views, cohort_epochs),
	CYAML_FIELD_SEQUENCE("policies", CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL, struct raw_views,
		policies, &view_policy_value, 0, LIST_MAX),
	CYAML_FIELD_END,
};

static const cyaml_schema_field_t config_fields[] = {
	CYAML_FIELD_MAPPING("views", CYAML_FLAG_OPTIONAL, struct raw_config, views, views_fields),
	CYAML_FIELD_MAPPING(
		"workers", CYAML_FLAG_OPTIONAL, struct raw_config, workers, workers_fields),
	CYAML_FIELD_MAPPING(
		"memory", CYAML_FLAG_OPTIONAL, struct raw_config, memory, memory_fields),
	CYAML_FIELD_MAPPING(
		"limits", CYAML_FLAG_OPTIONAL, struct raw_config, limits, limits_fields),
	CYAML_FIELD_MAPPING("eal", CYAML_FLAG_OPTIONAL, struct raw_config, eal, eal_fields),
	CYAML_FIELD_MAPPING(
		"security", CYAML_FLAG_OPTIONAL, struct raw_config, security, security_fields),
	CYAML_FIELD_MAPPING("load", CYAML_FLAG_OPTIONAL, struct raw_config, load, load_fields),
	TEXT(raw_config, telemetry),
	TEXT(raw_config, log),
	CYAML_FIELD_SEQUENCE("sources", CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL, struct raw_config,
		sources, &source_value, 0, LIST_MAX),
	TEXTS(raw_config, trusted),
	TEXTS(raw_config, admitted),
	CYAML_FIELD_SEQUENCE("spaces", CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL, struct raw_config,
		spaces, &space_value, 0, LIST_MAX * 2),
	CYAML_FIELD_END,
};

const cyaml_schema_value_t raw_config_schema = {
	CYAML_VALUE_MAPPING(CYAML_FLAG_POINTER, struct raw_config, config_fields),
};

#include "keyring_yaml.h"
#include "dataplane/yaml_schema.h"
#include "keyring.h"

static const cyaml_schema_field_t engine_key_fields[] = {
	TEXT(raw_engine_key, secret_file),
	TEXT(raw_engine_key, from),
	TEXT(raw_engine_key, until),
	CYAML_FIELD_END,
};

static const cyaml_schema_value_t engine_key_value = {
	CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct raw_engine_key, engine_key_fields),
};

static const cyaml_schema_field_t engine_fields[] = {
	TEXT(raw_engine, level),
	TEXT(raw_engine, psk_file),
	CYAML_FIELD_SEQUENCE("keys", CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL, struct raw_engine,
		keys, &engine_key_value, 0, PE_ENGINE_KEYS_MAX),
	CYAML_FIELD_END,
};

static const cyaml_schema_field_t principal_key_fields[] = {
	TEXT(raw_principal_key, public_key),
	TEXT(raw_principal_key, psk_file),
	TEXT(raw_principal_key, from),
	TEXT(raw_principal_key, until),
	CYAML_FIELD_END,
};

static const cyaml_schema_value_t principal_key_value = {
	CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct raw_principal_key, principal_key_fields),
};

static const cyaml_schema_field_t area_fields[] = {
	TEXTS_MAX(raw_area, low, 3),
	TEXTS_MAX(raw_area, high, 3),
	CYAML_FIELD_END,
};

static const cyaml_schema_field_t grant_fields[] = {
	TEXTS_MAX(raw_grant, allow, 4),
	TEXT(raw_grant, space),
	CYAML_FIELD_MAPPING_PTR("area", CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL, struct raw_grant,
		area, area_fields),
	CYAML_FIELD_END,
};

static const cyaml_schema_value_t grant_value = {
	CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct raw_grant, grant_fields),
};

static const cyaml_schema_field_t principal_fields[] = {
	TEXT(raw_principal, id),
	TEXT(raw_principal, name),
	TEXT(raw_principal, level),
	CYAML_FIELD_SEQUENCE("keys", CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL, struct raw_principal,
		keys, &principal_key_value, 0, PE_PRINCIPAL_KEYS_MAX),
	TEXTS_MAX(raw_principal, owns, PE_PRINCIPAL_OWNS_MAX),
	TEXTS_MAX(raw_principal, uids, PE_PRINCIPAL_UIDS_MAX),
	TEXT(raw_principal, stands),
	TEXTS_MAX(raw_principal, roles, PE_PRINCIPAL_ROLES_MAX),
	CYAML_FIELD_SEQUENCE("grants", CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL,
		struct raw_principal, grants, &grant_value, 0, PE_PRINCIPAL_GRANTS_MAX),
	CYAML_FIELD_END,
};

static const cyaml_schema_value_t principal_value = {
	CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct raw_principal, principal_fields),
};

static const cyaml_schema_field_t keyring_fields[] = {
	CYAML_FIELD_MAPPING(
		"engine", CYAML_FLAG_OPTIONAL, struct raw_keyring, engine, engine_fields),
	CYAML_FIELD_SEQUENCE("principals", CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL,
		struct raw_keyring, principals, &principal_value, 0, PE_PRINCIPALS_MAX),
	CYAML_FIELD_END,
};

const cyaml_schema_value_t raw_keyring_schema = {
	CYAML_VALUE_MAPPING(CYAML_FLAG_POINTER, struct raw_keyring, keyring_fields),
};

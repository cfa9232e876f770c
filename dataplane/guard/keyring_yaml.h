// The structure of a keyring file as libcyaml loads it: every value the text that stands there,
// NULL where a key is missing. Between keyring_yaml.c, which has the schema, and keyring.c, which
// knows what the values mean.
#pragma once

#include "dataplane/yaml_file.h"

struct raw_engine_key {
	char *secret_file, *from, *until;
};

struct raw_engine {
	char *level, *psk_file;
	struct raw_engine_key *keys;
	unsigned keys_count;
};

struct raw_principal_key {
	char *public_key, *psk_file, *from, *until;
};

struct raw_area {
	char **low, **high;
	unsigned low_count, high_count;
};

struct raw_grant {
	char **allow;
	char *space;
	struct raw_area *area;
	unsigned allow_count;
};

struct raw_principal {
	char *id, *name, *level, *stands;
	struct raw_principal_key *keys;
	char **owns, **uids, **roles;
	struct raw_grant *grants;
	unsigned keys_count, owns_count, uids_count, roles_count, grants_count;
};

struct raw_keyring {
	struct raw_engine engine;
	struct raw_principal *principals;
	unsigned principals_count;
};

extern const struct cyaml_schema_value raw_keyring_schema;

// What the schemas of YAML files share; for the files that hold one, and nobody else.
#pragma once

#include <cyaml/cyaml.h>

// Every value is taken as text: libcyaml's numbers stop at the first odd character ("1_000" is 1)
// and its booleans take any word, and a configuration must not be guessed at.
#define TEXT(type, key) \
	CYAML_FIELD_STRING_PTR(#key, CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL, struct type, key, \
		0, CYAML_UNLIMITED)
#define TEXTS_MAX(type, key, most) \
	CYAML_FIELD_SEQUENCE(#key, CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL, struct type, key, \
		&raw_text, 0, most)

static const cyaml_schema_value_t raw_text = {
	CYAML_VALUE_STRING(CYAML_FLAG_POINTER, char, 0, CYAML_UNLIMITED),
};

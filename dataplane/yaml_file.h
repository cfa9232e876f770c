// A YAML file that is checked twice: libcyaml loads it by a schema of C structs, and libyaml's tree
// of the same text tells on which line a key stands, so that every complaint names file, line and
// key. Values stay the text that stands in the file (yaml_schema.h says why); what they mean is for
// the schema's owner. At start and on reload; a file belongs to one thread.
#pragma once

#include "base/status.h"

#include <stdbool.h>
#include <stddef.h>

struct cyaml_schema_value;
struct raw_document;

struct raw_file {
	const char *name;
	struct raw_document *document;
	const struct cyaml_schema_value *schema;
	void *value; // as the schema says; NULL: the file holds nothing but comments
};

// What a file holds, at most `most` bytes of it (a number of MiB), to be freed by the caller.
// `again`: it is read while the engine runs too, so that nothing but a file will do: a pipe without
// a writer would be waited for, and that only some may write. NULL: *error names the file and says
// why.
[[nodiscard]] char *raw_read(
	const char *path, size_t most, bool again, size_t *bytes, struct pe_error *error);

// Both passes. On failure error->text is "file:line: key: what"; raw_free in every case.
[[nodiscard]] enum pe_status raw_load(struct raw_file *file,
	const struct cyaml_schema_value *schema, const char *name, const char *text, size_t bytes,
	struct pe_error *error);
void raw_free(struct raw_file *file);

// The line of a path such as "spaces[1].leaf_edge_m"; of the deepest part of it that is there
// otherwise; at least 1.
unsigned raw_line(const struct raw_file *file, const char *path);

// Whether a key of the outermost level is there: libcyaml shows an empty list as none.
bool raw_has(const struct raw_file *file, const char *key);

// Fills *error with "file:line: path: what"; returns PE_INVALID.
__attribute__((format(printf, 4, 5))) enum pe_status raw_fail(const struct raw_file *file,
	struct pe_error *error, const char *path, const char *format, ...);

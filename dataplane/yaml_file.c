#include "yaml_file.h"

#include <cyaml/cyaml.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <yaml.h>

// The file, open, or NULL with the reason in errno, or 0 there: it is no file.
static FILE *open_text(const char *path, bool again)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | (again ? O_NONBLOCK : 0));
	struct stat st;
	FILE *in = NULL;

	if (fd < 0)
		return NULL;
	if (again && (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)))
		errno = 0;
	else
		in = fdopen(fd, "r");
	if (!in)
		(void)close(fd);
	return in;
}

// Who may write the file decides who may do what: everybody, that is, before any key is asked for.
static bool written_by_all(FILE *in)
{
	struct stat st;

	return fstat(fileno(in), &st) == 0 && st.st_mode & S_IWOTH;
}

char *raw_read(const char *path, size_t most, bool again, size_t *bytes, struct pe_error *error)
{
	FILE *in = open_text(path, again);
	char *text;

	error->status = PE_IO;
	*bytes = 0;
	if (!in) {
		snprintf(error->text, sizeof error->text, "%.300s: %s", path,
			errno ? strerror(errno) : "is no file");
		return NULL;
	}
	if (again && written_by_all(in)) {
		snprintf(error->text, sizeof error->text,
			"%.200s: everybody may write it; as its owner, once what it says has been looked at: chmod o-w %.200s",
			path, path);
		error->status = PE_INVALID;
		fclose(in);
		return NULL;
	}
	text = malloc(most + 1);
	if (text)
		*bytes = fread(text, 1, most + 1, in);
	if (text && !ferror(in) && *bytes <= most) {
		fclose(in);
		return text;
	}
	if (!text)
		snprintf(error->text, sizeof error->text, "%.300s: no memory", path);
	else if (ferror(in))
		snprintf(error->text, sizeof error->text, "%.300s: cannot be read: %s", path,
			strerror(errno));
	else
		snprintf(error->text, sizeof error->text, "%.300s: longer than %zu MiB", path,
			most >> 20);
	free(text);
	fclose(in);
	return NULL;
}

// What libcyaml says of a failure: first the message, then the way to it, innermost part first.
struct complaint {
	char what[200];
	char path[200];
	bool in_backtrace;
};

static void hear(cyaml_log_t level, void *context, const char *format, va_list args)
{
	struct complaint *c = context;
	char line[256], part[96] = "", whole[sizeof part + sizeof c->path + 2];
	unsigned entry;

	if (level < CYAML_LOG_ERROR)
		return;
	vsnprintf(line, sizeof line, format, args);
	line[strcspn(line, "\n")] = '\0';
	if (strstr(line, "Backtrace:")) {
		c->in_backtrace = true;
		return;
	}
	if (!c->in_backtrace) {
		const char *from = strncmp(line, "Load: ", 6) == 0 ? line + 6 : line;

		snprintf(c->what, sizeof c->what, "%.190s", from);
		return;
	}
	if (sscanf(line, " in mapping field '%90[^']'", part) == 1) {
		snprintf(whole, sizeof whole, "%s%s%s", part,
			c->path[0] && c->path[0] != '[' ? "." : "", c->path);
	} else if (sscanf(line, " in sequence entry '%u'", &entry) == 1) {
		// It counts entries from 1; paths here count from 0.
		snprintf(part, sizeof part, "[%u]", entry ? entry - 1 : 0);
		snprintf(whole, sizeof whole, "%s%s%s", part,
			c->path[0] && c->path[0] != '[' ? "." : "", c->path);
	} else {
		return;
	}
	snprintf(c->path, sizeof c->path, "%.199s", whole);
}

static const cyaml_config_t *loader(struct complaint *c, cyaml_config_t *config)
{
	*config = (cyaml_config_t){
		.log_fn = hear,
		.log_ctx = c,
		.mem_fn = cyaml_mem,
		.log_level = CYAML_LOG_ERROR,
		.flags = CYAML_CFG_NO_ALIAS,
	};
	return config;
}

struct raw_document {
	yaml_document_t yaml;
};

static yaml_node_t *child(
	yaml_document_t *yaml, yaml_node_t *at, const char *key, size_t bytes, unsigned *line)
{
	yaml_node_pair_t *pair;

	if (!at || at->type != YAML_MAPPING_NODE)
		return NULL;
	// The last one, so that of a repeated key the repetition is named.
	for (pair = at->data.mapping.pairs.top; pair-- > at->data.mapping.pairs.start;) {
		yaml_node_t *name = yaml_document_get_node(yaml, pair->key);

		if (name && name->type == YAML_SCALAR_NODE && name->data.scalar.length == bytes &&
			memcmp(name->data.scalar.value, key, bytes) == 0) {
			*line = (unsigned)name->start_mark.line + 1;
			return yaml_document_get_node(yaml, pair->value);
		}
	}
	return NULL;
}

unsigned raw_line(const struct raw_file *file, const char *path)
{
	yaml_document_t *yaml = file->document ? &file->document->yaml : NULL;
	yaml_node_t *at = yaml ? yaml_document_get_root_node(yaml) : NULL;
	unsigned line = 1;

	while (at && *path) {
		if (*path == '[') {
			unsigned long entry = strtoul(path + 1, NULL, 10);
			yaml_node_item_t *item;

			if (at->type != YAML_SEQUENCE_NODE)
				break;
			item = at->data.sequence.items.start + entry;
			if (item >= at->data.sequence.items.top)
				break;
			at = yaml_document_get_node(yaml, *item);
			line = at ? (unsigned)at->start_mark.line + 1 : line;
			path += strcspn(path, "]");
			path += *path == ']';
		} else {
			size_t bytes = strcspn(path, ".[");

			at = child(yaml, at, path, bytes, &line);
			path += bytes;
		}
		path += *path == '.';
	}
	return line;
}

bool raw_has(const struct raw_file *file, const char *key)
{
	yaml_document_t *yaml = &file->document->yaml;
	unsigned line;

	return child(yaml, yaml_document_get_root_node(yaml), key, strlen(key), &line) != NULL;
}

enum pe_status raw_fail(const struct raw_file *file, struct pe_error *error, const char *path,
	const char *format, ...)
{
	char what[320];
	va_list args;

	va_start(args, format);
	vsnprintf(what, sizeof what, format, args);
	va_end(args);
	error->status = PE_INVALID;
	if (path[0])
		snprintf(error->text, sizeof error->text, "%s:%u: %.100s: %s", file->name,
			raw_line(file, path), path, what);
	else
		snprintf(error->text, sizeof error->text, "%s:%u: %s", file->name,
			raw_line(file, path), what);
	return PE_INVALID;
}

static void not_yaml(
	const struct raw_file *file, const yaml_parser_t *parser, struct pe_error *error)
{
	snprintf(error->text, sizeof error->text, "%s:%zu: not YAML: %s", file->name,
		parser->problem_mark.line + 1,
		parser->problem ? parser->problem : "cannot be read");
}

// What stands behind a line of --- would be read by nobody.
static enum pe_status ends_there(
	const struct raw_file *file, yaml_parser_t *parser, struct pe_error *error)
{
	yaml_document_t more;
	yaml_node_t *root;

	if (!yaml_document_get_root_node(&file->document->yaml))
		return PE_OK; // the stream has ended
	if (!yaml_parser_load(parser, &more)) {
		not_yaml(file, parser, error);
		return PE_INVALID;
	}
	root = yaml_document_get_root_node(&more);
	if (root)
		snprintf(error->text, sizeof error->text,
			"%s:%zu: a second document: a configuration is one, without --- inside",
			file->name, more.start_mark.line + 1);
	yaml_document_delete(&more);
	return root ? PE_INVALID : PE_OK;
}

// Nothing in a configuration or a keyring nests as deep, nor do aliases mean anything there.
// libyaml's time goes with the square of the depth and of the number of anchors: a few kilobytes of
// brackets would hold up whoever reads them for a minute.
#define DEPTH_MAX   32
#define ANCHORS_MAX 1000
// Tags mean nothing either, and with the square of the lines that declare some it goes, too.
#define TAGS_MAX 16

// The line of the first %TAG too many, counted from 1; 0: there are fewer. It is looked for behind
// whatever libyaml takes for the end of a line: the last bytes of these in UTF-8.
static size_t line_of_tags(const char *bytes, size_t length)
{
	static const char name[] = "%TAG", ends[] = "\n\r\x85\xA8\xA9";
	size_t line = 1;
	unsigned tags = 0;

	for (size_t at = 0; at + sizeof name - 1 <= length; at++) {
		tags += (at == 0 || memchr(ends, bytes[at - 1], sizeof ends - 1)) &&
			memcmp(bytes + at, name, sizeof name - 1) == 0;
		if (tags > TAGS_MAX)
			return line;
		line += bytes[at] == '\n';
	}
	return 0;
}

struct measure {
	unsigned depth, anchors;
};

// What is wrong with the text up to here, in what[]; false: nothing.
static bool is_bad(const yaml_event_t *event, struct measure *m, char what[64])
{
	const yaml_char_t *anchor = NULL;

	if (event->type == YAML_SEQUENCE_START_EVENT) {
		m->depth++;
		anchor = event->data.sequence_start.anchor;
	} else if (event->type == YAML_MAPPING_START_EVENT) {
		m->depth++;
		anchor = event->data.mapping_start.anchor;
	} else if (event->type == YAML_SEQUENCE_END_EVENT ||
		event->type == YAML_MAPPING_END_EVENT) {
		m->depth--;
	} else if (event->type == YAML_SCALAR_EVENT) {
		anchor = event->data.scalar.anchor;
		// What stands behind it would be read by nobody.
		if (memchr(event->data.scalar.value, 0, event->data.scalar.length)) {
			snprintf(what, 64, "a text with a NUL in it");
			return true;
		}
	}
	m->anchors += anchor != NULL;
	if (m->depth > DEPTH_MAX)
		snprintf(what, 64, "nested deeper than %u times", DEPTH_MAX);
	else if (m->anchors > ANCHORS_MAX)
		snprintf(what, 64, "more than %u anchors", ANCHORS_MAX);
	return m->depth > DEPTH_MAX || m->anchors > ANCHORS_MAX;
}

static enum pe_status check_events(
	const struct raw_file *file, const char *bytes, size_t length, struct pe_error *error)
{
	struct measure measure = {0};
	size_t tags = line_of_tags(bytes, length);
	yaml_parser_t parser;
	yaml_event_t event;
	bool ended = false, bad = false;
	char what[64];

	// Else what is looked for by its bytes would stand there in others.
	if (length >= 2 &&
		(memcmp(bytes, "\xFF\xFE", 2) == 0 || memcmp(bytes, "\xFE\xFF", 2) == 0)) {
		snprintf(error->text, sizeof error->text, "%s:1: UTF-16: a configuration is UTF-8",
			file->name);
		return PE_INVALID;
	}
	if (tags) {
		snprintf(error->text, sizeof error->text, "%s:%zu: more than %u lines of %%TAG",
			file->name, tags, TAGS_MAX);
		return PE_INVALID;
	}
	if (!yaml_parser_initialize(&parser))
		return PE_OK; // whoever reads it next has no memory either, and says so
	yaml_parser_set_input_string(&parser, (const unsigned char *)bytes, length);
	// What is no YAML is said by who reads it next.
	while (!ended && !bad && yaml_parser_parse(&parser, &event)) {
		ended = event.type == YAML_STREAM_END_EVENT;
		bad = is_bad(&event, &measure, what);
		if (bad)
			snprintf(error->text, sizeof error->text, "%s:%zu: %s", file->name,
				event.start_mark.line + 1, what);
		yaml_event_delete(&event);
	}
	yaml_parser_delete(&parser);
	return bad ? PE_INVALID : PE_OK;
}

static enum pe_status load_tree(
	struct raw_file *file, const char *bytes, size_t length, struct pe_error *error)
{
	struct raw_document *document = calloc(1, sizeof *document);
	yaml_parser_t parser;
	enum pe_status status = PE_INVALID;

	error->status = PE_INVALID;
	if (!document || !yaml_parser_initialize(&parser)) {
		free(document);
		snprintf(error->text, sizeof error->text, "%s: no memory to read it", file->name);
		return error->status = PE_NO_MEMORY;
	}
	yaml_parser_set_input_string(&parser, (const unsigned char *)bytes, length);
	if (yaml_parser_load(&parser, &document->yaml)) {
		file->document = document;
		status = ends_there(file, &parser, error);
	} else {
		not_yaml(file, &parser, error);
		free(document);
	}
	yaml_parser_delete(&parser);
	return status;
}

// libcyaml names the key that follows the colon only in the message ("Unexpected key: x").
static enum pe_status explain(const struct raw_file *file, const struct complaint *c,
	cyaml_err_t failure, struct pe_error *error)
{
	char path[sizeof c->path];
	const char *key = strstr(c->what, "key: ");

	if (failure == CYAML_ERR_INVALID_KEY && key) {
		snprintf(path, sizeof path, "%.100s%s%.90s", c->path, c->path[0] ? "." : "",
			key + 5);
		return raw_fail(file, error, path, "there is no such key");
	}
	if (failure == CYAML_ERR_UNEXPECTED_EVENT && strstr(c->what, "already seen"))
		return raw_fail(file, error, c->path, "the key stands here twice");
	if (failure == CYAML_ERR_SEQUENCE_ENTRIES_MAX)
		return raw_fail(file, error, c->path, "the list has too many entries");
	return raw_fail(file, error, c->path, "%s", c->what[0] ? c->what : cyaml_strerror(failure));
}

enum pe_status raw_load(struct raw_file *file, const struct cyaml_schema_value *schema,
	const char *name, const char *bytes, size_t length, struct pe_error *error)
{
	struct complaint c = {.what = ""};
	cyaml_config_t config;
	cyaml_err_t failure;
	yaml_node_t *root;

	*file = (struct raw_file){.name = name, .schema = schema};
	error->status = check_events(file, bytes, length, error);
	if (error->status != PE_OK)
		return error->status;
	if (load_tree(file, bytes, length, error) != PE_OK)
		return error->status;
	root = yaml_document_get_root_node(&file->document->yaml);
	if (!root)
		return PE_OK; // nothing but comments: everything by default
	if (root->type != YAML_MAPPING_NODE)
		return raw_fail(file, error, "", "a configuration is keys and values");
	failure = cyaml_load_data((const uint8_t *)bytes, length, loader(&c, &config), schema,
		(cyaml_data_t **)&file->value, NULL);
	return failure == CYAML_OK ? PE_OK : explain(file, &c, failure, error);
}

void raw_free(struct raw_file *file)
{
	struct complaint c = {.what = ""};
	cyaml_config_t config;

	if (file->value)
		(void)cyaml_free(loader(&c, &config), file->schema, file->value, 0);
	if (file->document) {
		yaml_document_delete(&file->document->yaml);
		free(file->document);
	}
	*file = (struct raw_file){.name = file->name, .schema = file->schema};
}

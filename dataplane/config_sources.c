// The section `sources` of the configuration.
#include "config.h"
#include "config_read.h"
#include "config_yaml.h"
#include "wire/shm_ring.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

static bool read_socket(const struct reader *r, const char *path, const struct raw_socket *raw,
	struct pe_source_config *s)
{
	uint32_t port = PE_WIRE_PORT;
	char at[96];

	s->kind = PE_SOURCE_SOCKET;
	snprintf(at, sizeof at, "%s.address", path);
	s->bind.bits = 128;
	if (!pe_address_parse(raw->address ? raw->address : "127.0.0.1", s->bind.address))
		return fail(r, at, "must be an IPv4 or IPv6 address", raw->address);
	snprintf(at, sizeof at, "%s.port", path);
	if (!read_u32(r, at, raw->port, 1, 65535, &port))
		return false;
	s->port = (uint16_t)port;
	snprintf(at, sizeof at, "%s.level", path);
	return read_level(r, at, raw->level, &s->level);
}

static bool read_ethdev(const struct reader *r, const char *path, const struct raw_ethdev *raw,
	struct pe_source_config *s)
{
	const struct {
		const char *key, *text;
		uint32_t least, most;
		uint32_t *value;
	} numbers[] = {
		{"queues", raw->queues, 0, PE_WORKERS_MAX, &s->queues},
		{"descriptors", raw->descriptors, 64, 16384, &s->descriptors},
		{"mtu", raw->mtu, 1500, 9000, &s->mtu},
		{"vlan", raw->vlan, 0, 4094, &s->vlan},
	};
	static const char *const steerings[] = {[PE_PORT_STEER_AUTO] = "auto",
		[PE_PORT_STEER_ON] = "on",
		[PE_PORT_STEER_OFF] = "off",
		NULL};
	uint32_t port = PE_WIRE_PORT;
	unsigned steer = PE_PORT_STEER_AUTO;
	char at[96];

	s->kind = PE_SOURCE_ETHDEV;
	s->descriptors = 512;
	s->mtu = 1500;
	snprintf(at, sizeof at, "%s.device", path);
	if (!raw->device || !raw->device[0] || strlen(raw->device) >= sizeof s->device) {
		raw_fail(r->file, r->error, at, "must name a vdev, a PCI address or a port");
		return false;
	}
	memcpy(s->device, raw->device, strlen(raw->device) + 1);
	snprintf(at, sizeof at, "%s.port", path);
	if (!read_u32(r, at, raw->port, 1, 65535, &port))
		return false;
	s->port = (uint16_t)port;
	snprintf(at, sizeof at, "%s.level", path);
	if (!read_level(r, at, raw->level, &s->level))
		return false;
	for (unsigned i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
		snprintf(at, sizeof at, "%s.%s", path, numbers[i].key);
		if (!read_u32(r, at, numbers[i].text, numbers[i].least, numbers[i].most,
			    numbers[i].value))
			return false;
	}
	snprintf(at, sizeof at, "%s.steer", path);
	if (!read_word(r, at, raw->steer, steerings, &steer))
		return false;
	s->steer = (enum pe_port_steering)steer;
	snprintf(at, sizeof at, "%s.addresses", path);
	if (raw->addresses_count == 0) {
		raw_fail(r->file, r->error, at,
			"must name at least one address that the port answers to");
		return false;
	}
	return read_prefixes(r, at, raw->addresses, raw->addresses_count, false, s->addresses,
		PE_SOURCE_ADDRESSES_MAX, &s->address_count);
}

static bool read_ids(const struct reader *r, const char *key, char **texts, unsigned count,
	uint32_t *ids, unsigned *id_count)
{
	char path[96];

	if (count > PE_SOURCE_IDS_MAX) {
		raw_fail(r->file, r->error, key, "at most %u entries", PE_SOURCE_IDS_MAX);
		return false;
	}
	for (unsigned i = 0; i < count; i++) {
		snprintf(path, sizeof path, "%.70s[%u]", key, i);
		if (!read_u32(r, path, texts[i], 0, UINT32_MAX - 1, &ids[i]))
			return false;
	}
	*id_count = count;
	return true;
}

static bool read_ring(const struct reader *r, const char *path, const struct raw_ring *raw,
	struct pe_source_config *s)
{
	uint32_t clients = 16, ring_kb = 1024;
	char at[96];

	s->kind = PE_SOURCE_RING;
	s->trusted = true;
	snprintf(at, sizeof at, "%s.path", path);
	if (!raw->path || raw->path[0] != '/' || strlen(raw->path) >= sizeof s->path) {
		raw_fail(r->file, r->error, at,
			"must be a whole path, from / on, of at most %zu bytes",
			sizeof s->path - 1);
		return false;
	}
	memcpy(s->path, raw->path, strlen(raw->path) + 1);
	snprintf(at, sizeof at, "%s.clients", path);
	if (!read_u32(r, at, raw->clients, 1, PE_RING_CLIENTS_MAX, &clients))
		return false;
	s->client_count = clients;
	snprintf(at, sizeof at, "%s.ring_kb", path);
	if (!read_u32(r, at, raw->ring_kb, PE_SHM_RING_BYTES_MIN >> 10, PE_SHM_RING_BYTES_MAX >> 10,
		    &ring_kb))
		return false;
	if (ring_kb & (ring_kb - 1))
		return fail(r, at, "must be a power of two", raw->ring_kb);
	s->ring_bytes = ring_kb << 10;
	snprintf(at, sizeof at, "%s.trusted", path);
	if (!read_bool(r, at, raw->trusted, &s->trusted))
		return false;
	snprintf(at, sizeof at, "%s.known_only", path);
	if (!read_bool(r, at, raw->known_only, &s->known_only))
		return false;
	snprintf(at, sizeof at, "%s.level", path);
	if (!read_level(r, at, raw->level, &s->level))
		return false;
	snprintf(at, sizeof at, "%s.allow_uids", path);
	if (!read_ids(r, at, raw->allow_uids, raw->allow_uids_count, s->uids, &s->uid_count))
		return false;
	snprintf(at, sizeof at, "%s.allow_gids", path);
	if (!read_ids(r, at, raw->allow_gids, raw->allow_gids_count, s->gids, &s->gid_count))
		return false;
	// Without a word about it: who started the engine.
	if (!raw->allow_uids && !raw->allow_gids)
		s->uids[s->uid_count++] = geteuid();
	return true;
}

static bool read_one_source(const struct reader *r, const char *path, const char *kind,
	const struct raw_source *raw, struct pe_source_config *s)
{
	if (!!raw->socket + !!raw->ethdev + !!raw->ring != 1) {
		raw_fail(r->file, r->error, path, "must be either a socket, an ethdev or a ring");
		return false;
	}
	return raw->socket ? read_socket(r, kind, raw->socket, s) :
		raw->ring  ? read_ring(r, kind, raw->ring, s) :
			     read_ethdev(r, kind, raw->ethdev, s);
}

static bool same_source(const struct pe_source_config *a, const struct pe_source_config *b)
{
	if (a->kind != b->kind)
		return false;
	switch (a->kind) {
	case PE_SOURCE_SOCKET:
		return a->port == b->port && memcmp(a->bind.address, b->bind.address, 16) == 0;
	case PE_SOURCE_ETHDEV:
		return strcmp(a->device, b->device) == 0;
	case PE_SOURCE_RING:
		return strcmp(a->path, b->path) == 0;
	}
	return false;
}

bool pe_config_read_sources(
	const struct reader *r, const struct raw_config *raw, struct pe_config *c)
{
	char path[64], kind[80];

	if (raw->sources_count == 0 || raw->sources_count > PE_SOURCES_MAX) {
		raw_fail(r->file, r->error, "sources", "must have from 1 to %u entries",
			PE_SOURCES_MAX);
		return false;
	}
	for (unsigned i = 0; i < raw->sources_count; i++) {
		const struct raw_source *source = &raw->sources[i];
		struct pe_source_config *s = &c->sources[i];

		*s = (struct pe_source_config){.level = c->level};
		snprintf(path, sizeof path, "sources[%u]", i);
		snprintf(kind, sizeof kind, "%s.%s", path,
			source->socket       ? "socket" :
				source->ring ? "ring" :
					       "ethdev");
		if (!read_one_source(r, path, kind, source, s))
			return false;
		if (s->level && !c->keyring[0]) {
			raw_fail(r->file, r->error, kind, "its level needs security.keyring");
			return false;
		}
		if (s->known_only && !c->keyring[0]) {
			raw_fail(r->file, r->error, kind, "known_only needs security.keyring");
			return false;
		}
		// Without it only loopback would be admitted, and no wire may carry loopback
		// addresses.
		if (source->ethdev && !raw->admitted) {
			raw_fail(r->file, r->error, kind,
				"needs the key admitted: which source prefixes may send to it");
			return false;
		}
		for (unsigned j = 0; j < i; j++) {
			if (same_source(&c->sources[j], s)) {
				raw_fail(r->file, r->error, path, "is the same as sources[%u]", j);
				return false;
			}
		}
	}
	c->source_count = raw->sources_count;
	return true;
}

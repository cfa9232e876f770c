#include "client/transport.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool fail(const char *uri, const char *what, char *error, size_t error_bytes)
{
	snprintf(error, error_bytes,
		"%.100s: %s; understood are udp://host:port and shm:///run/presence/presence.sock",
		uri, what);
	return false;
}

static bool parse_port(const char *text, uint16_t *port)
{
	unsigned long value = 0;

	if (!*text)
		return false;
	for (; *text; text++) {
		if (*text < '0' || *text > '9')
			return false;
		value = value * 10 + (unsigned long)(*text - '0');
		if (value > 65535)
			return false;
	}
	*port = (uint16_t)value;
	return value != 0;
}

static bool parse_udp(const char *uri, const char *rest, struct presence_address *address,
	char *error, size_t error_bytes)
{
	const char *host = rest, *end, *colon;

	if (*rest == '[') { // an IPv6 address has colons of its own
		host++;
		end = strchr(host, ']');
		if (!end || (end[1] && end[1] != ':'))
			return fail(uri, "an IPv6 address stands in [ ]", error, error_bytes);
		colon = end[1] ? end + 1 : NULL;
	} else {
		colon = strchr(host, ':');
		end = colon ? colon : host + strlen(host);
		if (colon && strchr(colon + 1, ':'))
			return fail(uri, "an IPv6 address stands in [ ]", error, error_bytes);
	}
	if (end == host || (size_t)(end - host) >= sizeof address->text)
		return fail(uri, "names no host", error, error_bytes);
	for (const char *c = host; c < end; c++)
		if (*c == '/' || *c == '?' || *c == '#' || *c == '@' || *c <= ' ')
			return fail(uri, "names no host", error, error_bytes);
	if (colon && !parse_port(colon + 1, &address->port))
		return fail(uri, "a port is a number from 1 to 65535", error, error_bytes);
	memcpy(address->text, host, (size_t)(end - host));
	return true;
}

bool presence_uri_parse(
	const char *uri, struct presence_address *address, char *error, size_t error_bytes)
{
	*address = (struct presence_address){0};
	if (strncmp(uri, "udp://", 6) == 0)
		return parse_udp(uri, uri + 6, address, error, error_bytes);
	if (strncmp(uri, "shm://", 6) != 0)
		return fail(uri, "neither udp:// nor shm://", error, error_bytes);
	if (uri[6] != '/' || !uri[7])
		return fail(uri, "a path begins with / after shm://", error, error_bytes);
	if (strlen(uri + 6) >= sizeof address->text)
		return fail(uri, "the path is too long", error, error_bytes);
	address->shm = true;
	memcpy(address->text, uri + 6, strlen(uri + 6));
	return true;
}

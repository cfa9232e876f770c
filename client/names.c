#include "client/watch.h"
#include "base/counters.h"
#include "base/reasons.h"
#include "wire/filter.h"
#include "wire/wire.h"

#include <string.h>

unsigned presence_counter_count(void)
{
	return PE_COUNTER_COUNT;
}

const char *presence_counter_name(unsigned counter)
{
	return counter < PE_COUNTER_COUNT ? pe_counter_name(counter) : "?";
}

const char *presence_counter_unit(unsigned counter)
{
	return counter < PE_COUNTER_COUNT ? pe_counter_unit(counter) : "?";
}

const char *presence_counter_text(unsigned counter)
{
	return counter < PE_COUNTER_COUNT ? pe_counter_text(counter) : "?";
}

int presence_counter_find(const char *name)
{
	for (unsigned i = 0; i < PE_COUNTER_COUNT; i++)
		if (strcmp(pe_counter_name(i), name) == 0)
			return (int)i;
	return -1;
}

const char *presence_reason_name(unsigned reason)
{
	return reason < PE_REASON_COUNT ? pe_reason_info[reason].name : "?";
}

const char *presence_reason_text(unsigned reason)
{
	return reason < PE_REASON_COUNT ? pe_reason_info[reason].text :
					  "a reason that this library does not know";
}

const char *presence_result_text(enum presence_result result)
{
	static const char *const texts[] = {
		[PRESENCE_OK] = "done",
		[PRESENCE_BAD_ARGUMENT] = "an argument that cannot be said in a message",
		[PRESENCE_TIMED_OUT] = "no answer",
		[PRESENCE_INCOMPLETE] = "parts of the answer were lost",
		[PRESENCE_REFUSED] = "refused by the engine",
		[PRESENCE_SYSTEM] = "refused by the system",
		[PRESENCE_WOULD_BLOCK] = "no room in the socket's buffer",
		[PRESENCE_MEMORY] = "no memory",
	};

	return result < sizeof texts / sizeof texts[0] ? texts[result] : "?";
}

const char *presence_code_name(unsigned code)
{
	switch (code) {
// clang-format off
#define CODE(name) \
	case PE_CODE_##name: \
		return #name;
		CODE(SUCCESS)
		CODE(UNKNOWN_ERROR)
		CODE(INVALID_MESSAGE)
		CODE(PROTOCOL_ERROR) CODE(VERSION_MISMATCH) CODE(INVALID_COORDINATES) CODE(
			OUT_OF_BOUNDS) CODE(PRECISION_ERROR) CODE(SPATIAL_CONFLICT)
			CODE(QUERY_TIMEOUT) CODE(STATE_CONFLICT) CODE(INVALID_STATE) CODE(
				SYNC_FAILED) CODE(DELTA_ERROR) CODE(VERSION_CONFLICT)
				CODE(CONNECTION_FAILED) CODE(PEER_UNREACHABLE) CODE(
					BANDWIDTH_EXCEEDED) CODE(TIMEOUT) CODE(RELAY_FAILED)
					CODE(AUTH_FAILED) CODE(UNAUTHORIZED) CODE(ENCRYPTION_ERROR)
						CODE(INVALID_SIGNATURE) CODE(TOKEN_EXPIRED)
							CODE(OUT_OF_MEMORY) CODE(CPU_EXCEEDED) CODE(
								STORAGE_FULL) CODE(RATE_LIMITED)
								CODE(EXTENSION_ERROR)
									CODE(CUSTOM_ERROR)
#undef CODE
		// clang-format on
	}
	return "?";
}

const char *presence_status_name(unsigned status)
{
	static const char *const names[] = {
		"APPLIED", "ACCEPTED", "COALESCED", "REFUSED", "DROPPED"};

	return status < sizeof names / sizeof names[0] ? names[status] : "?";
}

const char *presence_state_name(unsigned state)
{
	static const char *const names[] = {"ACTIVE", "INACTIVE", "BUSY", "AWAY", "CUSTOM"};

	return state < sizeof names / sizeof names[0] ? names[state] : "?";
}

const char *presence_type_name(unsigned type)
{
	static const char *const names[] = {"STATIC", "MOBILE", "TEMPORARY", "RECURRING"};

	if (type >= PRESENCE_CUSTOM && type <= 255)
		return "CUSTOM";
	return type < sizeof names / sizeof names[0] ? names[type] : "?";
}

const char *presence_priority_name(unsigned priority)
{
	static const char *const names[] = {"NORMAL", "LOW", "HIGH", "CRITICAL"};

	return priority < sizeof names / sizeof names[0] ? names[priority] : "?";
}

const char *presence_filter_fault_text(unsigned fault)
{
	return pe_filter_fault_text((enum pe_filter_fault)fault);
}

const char *presence_event_name(unsigned kind)
{
	static const char *const names[] = {
		"?", "ENTER", "MOVE", "LEAVE", "SNAPSHOT_END", "GAP", "ENDED", "PAYLOAD"};

	return kind < sizeof names / sizeof names[0] ? names[kind] : "?";
}

const char *presence_told_cause_name(unsigned kind, unsigned cause)
{
	static const char *const left[] = {"", "moved", "gone", "ended"};
	static const char *const ended[] = {"", "closed", "expired", "replaced", "engine"};

	if (kind == PRESENCE_LEAVE)
		return cause < sizeof left / sizeof left[0] ? left[cause] : "?";
	if (kind == PRESENCE_GAP)
		return cause == PRESENCE_GAP_ANEW ? "anew" : "";
	if (kind != PRESENCE_ENDED)
		return "";
	if (cause == PRESENCE_END_UNKNOWN)
		return "unknown";
	if (cause == PRESENCE_END_REFUSED)
		return "refused";
	return cause < sizeof ended / sizeof ended[0] ? ended[cause] : "?";
}

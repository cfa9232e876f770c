#include "base/reasons.h"

#include "base/codes.h"

const struct pe_reason_info pe_reason_info[PE_REASON_COUNT] = {
	{"none", "no reason", PE_SCOPE_PACKET, PE_VERDICT_REFUSED, PE_CODE_SUCCESS},
#define INFO(name, scope, verdict, code, text) \
	{#name, text, PE_SCOPE_##scope, PE_VERDICT_##verdict, PE_CODE_##code},
	PE_REASONS(INFO)
#undef INFO
};

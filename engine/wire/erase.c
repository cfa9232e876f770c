#include "wire/erase.h"

#include "wire/decode.h"

enum pe_reason pe_wire_check_erased(const struct pe_wire_erased *e)
{
	const struct pe_wire_ack_record ack = {
		.status = e->status, .code = e->code, .reason = e->reason};

	if (e->reserved || (e->where & ~PE_ERASED_DEFINED))
		return PE_REASON_record_reserved;
	if (e->status == PE_ACK_COALESCED || (e->status == PE_ACK_APPLIED) != (e->where != 0))
		return PE_REASON_state;
	return pe_wire_check_ack_record(&ack);
}

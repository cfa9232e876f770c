// What a function of the engine may return when it cannot do its work. Operating errors only: a
// programmer's error asserts. What is told to a client is a `pe_code` (wire/wire.h), and why a
// packet or a record was not taken is a `pe_reason` (base/reasons.h).
#pragma once

enum pe_status {
	PE_OK = 0,
	PE_FULL,    // a bounded table, pool, ring or list has no room
	PE_INVALID, // an argument or an input is malformed
	PE_RANGE,   // well formed, but outside what the object covers
	PE_NOT_FOUND,
	// cannot be done before a grace period has passed; try again in the next turn
	PE_BUSY,
	PE_NO_MEMORY, // memory could not be had at start
	// the operating system or a device refused; errno or the error text says more
	PE_IO,
	PE_UNSUPPORTED,
	PE_TIMEOUT,
};

// A failure at start, in words: what was needed, what was found, and the command that mends it.
struct pe_error {
	enum pe_status status;
	char text[512];
};
// Writes both, as printf does, and returns the status.
__attribute__((format(printf, 3, 4))) enum pe_status pe_fail(
	struct pe_error *error, enum pe_status status, const char *format, ...);

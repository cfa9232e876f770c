#include "base/status.h"

#include <stdarg.h>
#include <stdio.h>

enum pe_status pe_fail(struct pe_error *error, enum pe_status status, const char *format, ...)
{
	va_list args;

	error->status = status;
	va_start(args, format);
	vsnprintf(error->text, sizeof error->text, format, args);
	va_end(args);
	return status;
}

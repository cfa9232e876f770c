#include "log.h"

#include <stdarg.h>
#include <stdio.h>

static enum pe_log_level shown = PE_LOG_INFO;

void pe_log_set_level(enum pe_log_level level)
{
	shown = level;
}

void pe_log(enum pe_log_level level, const char *format, ...)
{
	static const char *const prefix[] = {"error: ", "warning: ", "", "debug: "};
	char line[1024];
	va_list args;

	if (level > shown)
		return;
	va_start(args, format);
	vsnprintf(line, sizeof line, format, args);
	va_end(args);
	fprintf(stderr, "presenced: %s%s\n", prefix[level], line);
}

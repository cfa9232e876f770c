// Lines for the operator, on standard error. Start, stop and housekeeping only: no worker logs in
// its loop. Any thread; a line is written whole.
#pragma once

enum pe_log_level { PE_LOG_ERROR, PE_LOG_WARNING, PE_LOG_INFO, PE_LOG_DEBUG };

// Lines above the level are left out. Set before the threads start; PE_LOG_INFO until then.
void pe_log_set_level(enum pe_log_level level);

__attribute__((format(printf, 2, 3))) void pe_log(enum pe_log_level level, const char *format, ...);

// presenced --doctor: what this machine lacks, each with the command that mends it. Reads only;
// needs no rights.
#pragma once

#include <stdio.h>

// Returns 0 when presenced can run here at all (perhaps slowly), 69 (EX_UNAVAILABLE) when it
// cannot.
int pe_doctor(FILE *out);

// S2's polygon behind C: what the tests of engine/space compare with. One thread.
#pragma once

#include <stdbool.h>

#ifdef __cplusplus
extern "C" {
#endif

struct s2_oracle;

// Rings of directions (of any length), counts[i] of them for ring i; the small side of each is its
// inside, and whoever is in an odd number of rings is in the polygon.
struct s2_oracle *s2_oracle_make(
	const double (*directions)[3], const unsigned *counts, unsigned ring_count);
bool s2_oracle_valid(const struct s2_oracle *oracle);
bool s2_oracle_holds(const struct s2_oracle *oracle, const double direction[3]);
// Angle between a direction and the nearest edge, radians.
double s2_oracle_edge(const struct s2_oracle *oracle, const double direction[3]);
void s2_oracle_free(struct s2_oracle *oracle);

#ifdef __cplusplus
}
#endif

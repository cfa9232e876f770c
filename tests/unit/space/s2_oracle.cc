#include "s2_oracle.h"

#include <algorithm>
#include <memory>
#include <s2/s2edge_distances.h>
#include <s2/s2loop.h>
#include <s2/s2polygon.h>
#include <utility>
#include <vector>

struct s2_oracle {
	S2Polygon polygon;
	bool valid = true;
};

static S2Point point(const double v[3])
{
	return S2Point(v[0], v[1], v[2]).Normalize();
}

struct s2_oracle *s2_oracle_make(
	const double (*directions)[3], const unsigned *counts, unsigned ring_count)
{
	auto oracle = std::make_unique<s2_oracle>();
	std::vector<std::unique_ptr<S2Loop>> loops;

	for (unsigned r = 0, at = 0; r < ring_count; at += counts[r], r++) {
		std::vector<S2Point> points;

		for (unsigned i = 0; i < counts[r]; i++)
			points.push_back(point(directions[at + i]));
		auto loop = std::make_unique<S2Loop>();
		loop->set_s2debug_override(S2Debug::DISABLE);
		loop->Init(points);
		S2Error error;

		// IsValid() would log each fault.
		if (loop->FindValidationError(&error))
			oracle->valid = false;
		loop->Normalize();
		loops.push_back(std::move(loop));
	}
	if (!oracle->valid)
		return oracle.release();

	S2Error error;

	oracle->polygon.set_s2debug_override(S2Debug::DISABLE);
	oracle->polygon.InitNested(std::move(loops));
	oracle->valid = !oracle->polygon.FindValidationError(&error);
	return oracle.release();
}

bool s2_oracle_valid(const struct s2_oracle *oracle)
{
	return oracle->valid;
}

bool s2_oracle_holds(const struct s2_oracle *oracle, const double direction[3])
{
	return oracle->polygon.Contains(point(direction));
}

double s2_oracle_edge(const struct s2_oracle *oracle, const double direction[3])
{
	S1Angle nearest = S1Angle::Infinity();
	S2Point p = point(direction);

	for (int i = 0; i < oracle->polygon.num_loops(); i++) {
		const S2Loop *loop = oracle->polygon.loop(i);

		for (int k = 0; k < loop->num_vertices(); k++)
			nearest = std::min(
				nearest, S2::GetDistance(p, loop->vertex(k), loop->vertex(k + 1)));
	}
	return nearest.radians();
}

void s2_oracle_free(struct s2_oracle *oracle)
{
	delete oracle;
}

// The only C++ of the project: Google Benchmark has no other interface.
#include "bench_c.h"

#include <benchmark/benchmark.h>
#include <x86intrin.h>

static void run_case(benchmark::State &state, const bench_case *c)
{
	uint64_t cycles = 0, done = 0;

	if (c->set_up)
		c->set_up(c->context);
	// Once over, so that caches are as they will be.
	c->function(c->context, c->batch);
	while (state.KeepRunningBatch(static_cast<benchmark::IterationCount>(c->batch))) {
		uint64_t from = __rdtsc();

		c->function(c->context, c->batch);
		cycles += __rdtsc() - from;
		done += c->batch;
	}
	if (c->tear_down)
		c->tear_down(c->context);
	state.counters["cycles"] =
		static_cast<double>(cycles) / static_cast<double>(done ? done : 1);
	state.SetItemsProcessed(static_cast<int64_t>(done));
}

extern "C" void bench_register(const bench_case *cases, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		benchmark::RegisterBenchmark(cases[i].name, run_case, &cases[i]);
}

extern "C" int bench_run(int argc, char **argv)
{
	benchmark::Initialize(&argc, argv);
	if (benchmark::ReportUnrecognizedArguments(argc, argv))
		return 64;
	benchmark::RunSpecifiedBenchmarks();
	benchmark::Shutdown();
	return 0;
}

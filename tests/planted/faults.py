"""The faults that tests/planted/run plants: what stands where, what is written instead, who must notice."""

FAULTS = [
    {
        "name": "ring: the producer takes all room for free",
        "file": "engine/base/ring_spsc.h",
        "from": "\tif (room < wanted) {",
        "to": "\tif (room < wanted && (room = r->mask + 1, false)) {",
        "tests": ["latch-ring"],
    },
    {
        "name": "decode: a message may be one byte longer than its records",
        "file": "engine/wire/decode.c",
        "from": "bytes != legal_bytes)",
        "to": "(bytes != legal_bytes && bytes != legal_bytes + 1))",
        "tests": ["wire-malformed"],
    },
    {
        "name": "timers: due one tick late",
        "file": "engine/entity/wheel.c",
        "from": "while ((int32_t)(now - wheel->tick) >= 0) {",
        "to": "while ((int32_t)(now - wheel->tick) > 0) {",
        "tests": ["entity-wheel"],
    },
    {
        "name": "latch: a reader does not look at the version again",
        "file": "engine/entity/record.h",
        "from": "if (atomic_load_explicit(&r->version, memory_order_relaxed) == version) {",
        "to": "if (version == version) {",
        "tests": ["latch-ring"],
    },
    {
        "name": "latch: the owner writes the copy that readers use",
        "file": "engine/entity/record.h",
        "from": "_Atomic uint64_t *to = (_Atomic uint64_t *)&r->copy[version & 1];",
        "to": "_Atomic uint64_t *to = (_Atomic uint64_t *)&r->copy[(version - 1) & 1];",
        "tests": ["latch-ring"],
    },
]

"""What updates of guarded spaces cost beside those of an open one: owners, greatest speeds, policies (bench/core_guard.h)."""

KINDS = {
    "keyring": "of a space with owners by keyring, each record under another prefix",
    "first": "with owners by first broadcast",
    "speed": "with a greatest speed",
    "first_speed": "with both",
    "tags": "with a policy for tags, of entities that have none",
    "restricted": "of entities that a policy shows to some only",
    "coarse": "of entities that ask for a precision level",
}
MILLION = 1_000_000


def measure(run):
    """Each kind's engine beside one whose space is open, as messages of 16 records, window by window."""
    pages = run.reserve(2 * run.engine_bytes(MILLION) * 1.2)

    def body(start, kind):
        opened = run.core(start, MILLION, "--guard", "open", *pages)
        guarded = run.core(start, MILLION, "--guard", kind, *pages)
        run.warm((opened, "message:16"), (guarded, "message:16"))
        for _ in range(run.rounds):
            other = run.core_window(opened, "message:16", "update_guarded_open", "updates", "records/s")
            got = run.core_window(guarded, "message:16", f"update_guarded_{kind}", "updates", "records/s")
            run.keep(f"update_guarded_{kind}_of_open", got["updates"] / other["updates"], "ratio")

    for kind in KINDS:
        run.group(f"guarded updates: {kind}", lambda start, kind=kind: body(start, kind))

// The configuration of presenced: YAML in, one checked struct out. libcyaml loads the structure (an
// unknown or repeated key is an error), every value is then parsed strictly and checked here, and
// an error names file, line, key and what is wrong. configs/reference.yaml describes every key.
// Start only; one thread. A loaded configuration is immutable.
#pragma once

#include "door.h"
#include "engine.h"
#include "load.h"
#include "log.h"
#include "prefix.h"

#define PE_SOURCES_MAX          8  // a worker polls each one every turn
#define PE_PREFIXES_MAX         32 // compared in turn for every message
#define PE_SOURCE_ADDRESSES_MAX 8  // own addresses of an ethdev port
#define PE_EAL_ARGUMENTS_MAX    32
#define PE_SOURCE_IDS_MAX       16 // users, and groups, that a ring source admits
#define PE_CONFIG_FILE_MAX      (1u << 20)

enum pe_idle {
	PE_IDLE_SPIN,  // isolated cores: poll without a break
	PE_IDLE_PAUSE, // let the sibling hyper-thread run
	PE_IDLE_SLEEP, // give the processor away until something arrives
};

// Whether a port is to give those that are known a queue of their own (port_steer.h).
enum pe_port_steering {
	PE_PORT_STEER_AUTO, // where it can
	PE_PORT_STEER_ON,   // it must, or presenced does not start
	PE_PORT_STEER_OFF,
};

enum pe_source_kind { PE_SOURCE_SOCKET, PE_SOURCE_ETHDEV, PE_SOURCE_RING };

struct pe_source_config {
	enum pe_source_kind kind;
	uint16_t port; // UDP, host order
	uint8_t level; // enum pe_seal_level that messages need at least; 0 = none: from trusted
	               // peers
	struct pe_prefix bind; // socket: where it is bound
	// ethdev: vdev string, PCI address or the name of a port that EAL has
	char device[256];
	unsigned address_count; // ethdev: own addresses
	struct pe_prefix addresses[PE_SOURCE_ADDRESSES_MAX];
	unsigned queues;               // ethdev: 0 = one a worker, as far as the port has them
	unsigned descriptors;          // ethdev: a queue, receive and send
	unsigned mtu;                  // ethdev
	unsigned vlan;                 // ethdev: 0 = untagged
	enum pe_port_steering steer;   // ethdev
	char path[108];                // ring: of its socket, as sun_path
	unsigned client_count;         // ring: at one time
	uint32_t ring_bytes;           // ring: of one, at most; a power of two
	bool trusted;                  // ring
	bool known_only;               // ring: users that the keyring knows, nobody else
	unsigned uid_count, gid_count; // ring: who may attach
	uint32_t uids[PE_SOURCE_IDS_MAX], gids[PE_SOURCE_IDS_MAX];
};

struct pe_config {
	char file[256]; // as named in errors; "built-in" for the embedded default

	unsigned worker_count;
	unsigned core_count; // 0 = not pinned, else worker_count
	unsigned cores[PE_WORKERS_MAX];
	int control_core; // −1 = not pinned
	enum pe_idle idle;
	uint32_t pause_after_turns; // idle turns before the first pause
	uint32_t sleep_after_turns; // idle turns before the first sleep
	// bound of a sleep where a source can only be polled, or another worker may hand over
	uint32_t sleep_us_max;

	bool no_huge;
	uint32_t dpdk_mb; // EAL's memory: packet buffers and queues
	unsigned eal_argument_count;
	char *eal_arguments[PE_EAL_ARGUMENTS_MAX]; // owned

	unsigned source_count;
	struct pe_source_config sources[PE_SOURCES_MAX];
	unsigned trusted_count, admitted_count;
	struct pe_prefix trusted[PE_PREFIXES_MAX];
	struct pe_prefix admitted[PE_PREFIXES_MAX];

	// Sessions (docs/sessions.md): where the keyring is, "" = there are none
	char keyring[512];
	uint32_t session_count_max; // a worker
	uint8_t level;              // of sources that name none
	// CONNECT messages of an address prefix, a second and at once
	double connects_per_second, connects_burst;
	bool sandbox; // give up rights when all is opened (privilege.h)
	bool telemetry;
	enum pe_log_level log_level;

	struct pe_door_config door;
	struct pe_load_rules load;
	struct pe_engine_config engine;
	struct pe_config_views *views; // owned; NULL: no policies
	// who the users of this machine are (ring/users.h), of whoever has the keyring; NULL:
	// nobody is known
	struct pe_users *users;
};

// The names and free roles that stand in policies' lists (guard/listed.h); the configuration's own,
// for the one who has the keyring.
struct pe_listed_name *pe_config_names(const struct pe_config *config, unsigned *count);
// "file:line: views.policies[0].allow": the first list that a name stands in; with `deny`, the
// first of those that deny.
void pe_config_name_place(const struct pe_config *config, const struct pe_listed_name *name,
	bool deny, char *text, size_t bytes);
// What only a keyring can tell, when there is none. PE_INVALID: "file:line: key: what".
[[nodiscard]] enum pe_status pe_config_check_unkeyed(
	const struct pe_config *config, struct pe_error *error);

// path NULL = the embedded default. On failure error->status is PE_INVALID (the configuration) or
// PE_IO (the file cannot be read) and error->text is "file:line: key: what". Free with
// pe_config_free, also after a failure.
[[nodiscard]] enum pe_status pe_config_load(
	const char *path, struct pe_config *config, struct pe_error *error);
// The same from memory; `name` stands for the file in errors.
[[nodiscard]] enum pe_status pe_config_load_text(const char *name, const char *text, size_t bytes,
	struct pe_config *config, struct pe_error *error);
void pe_config_free(struct pe_config *config);

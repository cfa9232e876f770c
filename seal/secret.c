#include "seal/secret.h"

#include <sodium.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

enum pe_status pe_secret_start(struct pe_error *error)
{
	const char *why = NULL;

	if (sodium_init() < 0)
		why = "libsodium does not start: is /dev/urandom there?";
	else if (!crypto_aead_aes256gcm_is_available())
		why = "sessions need a processor with AES, PCLMUL and AVX";
	if (!why)
		return PE_OK;
	snprintf(error->text, sizeof error->text, "%s", why);
	return error->status = PE_UNSUPPORTED;
}

enum pe_status pe_secret_map(size_t bytes, struct pe_secret *secret)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE), mapped = (bytes + page - 1) / page * page;
	void *base;

	*secret = (struct pe_secret){0};
	if (mapped < bytes)
		return PE_NO_MEMORY;
	base = mmap(NULL, mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (base == MAP_FAILED)
		return PE_NO_MEMORY;
	(void)madvise(base, mapped, MADV_DONTDUMP);
	*secret = (struct pe_secret){
		.base = base, .mapped_bytes = mapped, .locked = mlock(base, mapped) == 0};
	return PE_OK;
}

void pe_secret_unmap(struct pe_secret *secret)
{
	if (!secret->base)
		return;
	sodium_memzero(secret->base, secret->mapped_bytes);
	(void)munmap(secret->base, secret->mapped_bytes); // unlocks it too
	*secret = (struct pe_secret){0};
}

void pe_secret_random(void *to, size_t bytes)
{
	randombytes_buf(to, bytes);
}

void pe_secret_wipe(void *at, size_t bytes)
{
	sodium_memzero(at, bytes);
}

bool pe_secret_equal(const void *a, const void *b, size_t bytes)
{
	return sodium_memcmp(a, b, bytes) == 0;
}

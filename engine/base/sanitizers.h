// Which of the compiler's sanitizers the program is built with: gcc says it by a macro, clang by a
// feature. Defined, or not: PE_ADDRESS_SANITIZER, PE_THREAD_SANITIZER.
#pragma once

#if defined(__SANITIZE_ADDRESS__)
#define PE_ADDRESS_SANITIZER 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define PE_ADDRESS_SANITIZER 1
#endif
#endif

#if defined(__SANITIZE_THREAD__)
#define PE_THREAD_SANITIZER 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define PE_THREAD_SANITIZER 1
#endif
#endif
